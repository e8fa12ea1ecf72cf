//! The threads that compile, and how much of the processors they get.
//!
//! A compilation takes threads of its own, away from those that serve: the compiler hands them one
//! function after the other, and among those of a large component a small one would be the last.
//!
//! ```text
//!  turn ── spare time ─────────────────────────────────────────────▶ answer
//!              └── starved: begun again with a small share ──────────┘ whichever is first
//! ```
//! It begins on the time that nobody else wants: at any other priority the kernel lets a compiler
//! finish its slice, milliseconds, before a serving thread that woke up goes on, and whoever is
//! served pays for it several times a call. But where no time is spare it would take for ever, and
//! an unprivileged thread cannot leave that class again; so it is begun a second time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustix::time::{ClockId, clock_gettime};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{Instant, sleep, sleep_until},
};

/// Components that are compiled at a time. One that is small need not wait for one that is large.
const COMPILATIONS: usize = 2;
/// How much lower than the serving threads' the priority of a small share is, in steps of `nice`.
const NICE: i32 = 10;
/// How often it is looked whether a compilation gets on.
const LOOK: Duration = Duration::from_millis(100);
/// While the host itself is busy, a compilation waits for spare time so long, and
const PATIENCE: Duration = Duration::from_secs(3);
/// so much longer for each MiB: many times what it takes on a processor of its own, but
const PATIENCE_PER_MIB: Duration = Duration::from_secs(20);
/// never more than this part of the time it may take. What was done by then is done once more.
const PATIENCE_OF_TIMEOUT: u32 = 8;

/// Starts compilations, a few at a time.
pub struct Compilers {
    /// Threads for each compilation.
    threads: usize,
    /// One for each compilation.
    turns: Arc<Semaphore>,
    /// One for each that is on spare time, which may be after nobody waits for it any more.
    spare: Arc<Semaphore>,
    timeout: Duration,
}

/// Why a compilation gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It took too long.
    #[error("compiling took longer than {0:?}; raise `[runtime] compile-timeout`")]
    Timeout(Duration),
    /// It is a bug of the compiler.
    #[error("does not compile: the compiler panicked")]
    Panicked,
    /// The system gives none.
    #[error("no threads to compile with: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// What a compilation gets of the processors.
#[derive(Clone, Copy)]
enum Share {
    /// What nobody else wants.
    Spare,
    /// A little even where all are busy.
    Small,
}

impl Compilers {
    /// Take `threads` for each compilation; 0: as many as fit the machine.
    pub fn new(threads: usize, timeout: Duration) -> Self {
        let threads = if threads == 0 { some_threads() } else { threads };
        let places = || Arc::new(Semaphore::new(COMPILATIONS));
        Self { threads, turns: places(), spare: places(), timeout }
    }

    /// Compile `size` bytes once there is a turn: run a job that sends its answer, and may go on
    /// after that. Two threads may run it at a time.
    ///
    /// A job that takes too long is abandoned: it ends on its own threads, but nobody waits for
    /// it, and another may begin.
    pub async fn run<T: Send + 'static>(
        &self,
        size: usize,
        job: impl Fn(oneshot::Sender<T>) + Send + Sync + 'static,
    ) -> Result<T, Error> {
        // Never closed.
        let turn = Turn::new(self.turns.clone().acquire_owned().await.ok());
        let (job, deadline) = (Arc::new(job), Instant::now() + self.timeout);
        let mut answers = FuturesUnordered::new();
        if let Ok(place) = self.spare.clone().try_acquire_owned() {
            answers.push(self.start(Share::Spare, (turn.clone(), place), job.clone())?);
            tokio::select! {
                Some(answer) = answers.next() => return answer.map_err(|_| Error::Panicked),
                () = starved(self.patience(size)) => {}
            }
            tracing::debug!(bytes = size, "no processor time is spare; compiled with a share");
        }
        let turn = turn.pass_on();
        answers.push(self.start(Share::Small, turn.clone(), job)?);
        tokio::select! {
            Some(answer) = answers.next() => answer.map_err(|_| Error::Panicked),
            () = sleep_until(deadline) => {
                drop(turn.take());
                Err(Error::Timeout(self.timeout))
            }
        }
    }

    /// Run a job on threads of its own, which end with it. It keeps `kept` until then.
    fn start<T: Send + 'static>(
        &self,
        share: Share,
        kept: impl Send + 'static,
        job: Arc<impl Fn(oneshot::Sender<T>) + Send + Sync + 'static>,
    ) -> Result<oneshot::Receiver<T>, Error> {
        let (done, answer) = oneshot::channel();
        self.threads(share)?.spawn(move || {
            let _kept = kept;
            job(done);
        });
        Ok(answer)
    }

    /// Run a job that nobody waits for on the time that nobody else wants, if there is a place.
    pub fn aside(&self, job: impl FnOnce() + Send + 'static) {
        let Ok(place) = self.spare.clone().try_acquire_owned() else { return };
        match self.threads(Share::Spare) {
            Ok(threads) => threads.spawn(move || {
                let _place = place;
                job();
            }),
            Err(error) => tracing::debug!(%error, "no threads for what nobody waits for"),
        }
    }

    fn threads(&self, share: Share) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|index| format!("compiler-{index}"))
            .start_handler(move |_| share.take())
            // A panic has been reported, and whoever waits is told. Unhandled it would end the
            // host.
            .panic_handler(drop)
            .build()
    }

    fn patience(&self, size: usize) -> Duration {
        let mib = size as f64 / f64::from(1 << 20);
        (PATIENCE + PATIENCE_PER_MIB.mul_f64(mib)).min(self.timeout / PATIENCE_OF_TIMEOUT)
    }
}

impl Share {
    /// Give it to the calling thread. Where the system does not let it, the thread keeps what it
    /// has.
    fn take(self) {
        match self {
            Self::Spare => {
                let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                let thread = thread_native_id();
                let _ = set_thread_priority_and_policy(thread, ThreadPriority::Min, policy);
            }
            Self::Small => {
                // On Linux a process id of zero means the calling thread.
                let _ = rustix::process::setpriority_process(None, NICE);
            }
        }
    }
}

/// The right to compile, which lasts until the job has ended or was given up.
#[derive(Clone)]
struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Mutex::new(permit)))
    }

    /// To a job that is run in its stead.
    fn pass_on(&self) -> Self {
        Self::new(self.take())
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Wait until somebody else has the processors, or patience has ended. As long as this process
/// has one it serves, or it compiles: both are worth waiting for.
async fn starved(patience: Duration) {
    let end = Instant::now() + patience;
    loop {
        let (began, had) = (Instant::now(), processor_time());
        sleep(LOOK).await;
        let busy = processor_time().saturating_sub(had) > began.elapsed() / 2;
        if !busy || Instant::now() >= end {
            return;
        }
    }
}

/// What all threads of this process have had.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Half the cores; both where there are two: the one that somebody waits for is soon done.
fn some_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    cores.div_ceil(2).max(2).min(cores)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
