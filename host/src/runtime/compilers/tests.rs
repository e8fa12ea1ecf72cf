//! Compilers with jobs that look at what they run on.

use std::sync::{Condvar, mpsc};

use thread_priority::thread_schedule_policy;

use super::*;

const LONG: Duration = Duration::from_secs(60);

impl Compilers {
    /// Wait until all jobs have ended that were not given up.
    pub fn until_done(&self) -> impl Future<Output = ()> {
        let turns = self.turns.clone();
        async move { drop(turns.acquire_many(COMPILATIONS as u32).await.unwrap()) }
    }
}

/// Whether the thread runs on the time that nobody else wants.
fn on_spare_time() -> bool {
    thread_schedule_policy().unwrap()
        == ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle)
}

/// A job that waits on spare time until the flag is set, and answers whether it runs on it.
fn stuck(
    end: &Arc<(Mutex<bool>, Condvar)>,
) -> impl Fn(oneshot::Sender<bool>) + Send + Sync + 'static {
    let end = Arc::clone(end);
    move |done| {
        if on_spare_time() {
            let ended = end.1.wait_while(end.0.lock().unwrap(), |ended| !*ended);
            drop(ended.unwrap());
        }
        let _ = done.send(on_spare_time());
    }
}

fn set(end: &Arc<(Mutex<bool>, Condvar)>) {
    *end.0.lock().unwrap() = true;
    end.1.notify_all();
}

#[tokio::test]
async fn a_job_on_spare_time_that_does_not_get_on_is_begun_again_with_a_share() {
    let compilers = Compilers::new(1, LONG);
    let end = Arc::default();
    for _ in 0..COMPILATIONS {
        assert!(!compilers.run(0, stuck(&end)).await.unwrap());
    }
    // They are still there, and no more than these wait for spare time.
    assert_eq!(compilers.spare.available_permits(), 0);
    assert!(!compilers.run(0, stuck(&end)).await.unwrap());
    compilers.until_done().await;
    set(&end);
    drop(compilers.spare.acquire_many(COMPILATIONS as u32).await.unwrap());
}

#[tokio::test]
async fn what_nobody_waits_for_runs_on_spare_time_alone_and_where_there_is_a_place() {
    let compilers = Compilers::new(1, LONG);
    let (tell, told) = mpsc::channel();
    let places = compilers.spare.acquire_many(COMPILATIONS as u32).await.unwrap();
    let teller = tell.clone();
    compilers.aside(move || teller.send("without a place").unwrap());
    drop(places);
    compilers.aside(move || tell.send(if on_spare_time() { "spare" } else { "share" }).unwrap());
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["spare"]);
}

#[test]
fn the_wait_for_spare_time_leaves_most_of_the_timeout_to_the_second_attempt() {
    let timeout = Duration::from_secs(120);
    let compilers = Compilers::new(1, timeout);
    assert_eq!(compilers.patience(0), PATIENCE);
    assert_eq!(compilers.patience(256 << 10), PATIENCE + PATIENCE_PER_MIB / 4);
    for mib in [1, 18, 4096] {
        assert_eq!(compilers.patience(mib << 20), timeout / 8, "{mib} MiB");
    }
    assert_eq!(Compilers::new(1, Duration::ZERO).patience(1 << 20), Duration::ZERO);
}

#[tokio::test]
async fn a_job_has_threads_with_the_share_that_it_was_given() {
    let compilers = Compilers::new(1, LONG);
    let look = Arc::new(|done: oneshot::Sender<bool>| done.send(on_spare_time()).unwrap());
    assert!(compilers.start(Share::Spare, (), look.clone()).unwrap().await.unwrap());
    assert!(!compilers.start(Share::Small, (), look).unwrap().await.unwrap());
}

#[tokio::test]
async fn a_job_that_panics_takes_nobody_with_it() {
    let compilers = Compilers::new(1, LONG);
    for _ in 0..=COMPILATIONS {
        let panics = |_: oneshot::Sender<()>| panic!("a bug");
        assert!(matches!(compilers.run(0, panics).await, Err(Error::Panicked)));
    }
    compilers.run(0, |done| done.send(()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_job_that_takes_long_does_not_hold_up_another() {
    let compilers = Compilers::new(1, LONG);
    let (end, ended) = mpsc::channel::<()>();
    let ended = Mutex::new(ended);
    let (begun, began) = oneshot::channel();
    let begun = Mutex::new(Some(begun));
    let waits = move |done: oneshot::Sender<()>| {
        begun.lock().unwrap().take().map(|begun| begun.send(()));
        let _ = ended.lock().unwrap().recv();
        let _ = done.send(());
    };
    let long = compilers.run(0, waits);
    let short = async {
        began.await.unwrap();
        compilers.run(0, |done| done.send(()).unwrap()).await.unwrap();
        drop(end);
    };
    tokio::join!(async { long.await.unwrap() }, short);
}

#[tokio::test]
async fn a_job_that_nobody_waits_for_any_more_lets_others_begin() {
    let compilers = Compilers::new(1, Duration::from_millis(200));
    let (end, ended) = mpsc::channel::<()>();
    let ended = Arc::new(Mutex::new(ended));
    for _ in 0..=COMPILATIONS {
        let ended = ended.clone();
        let waits = move |_: oneshot::Sender<()>| {
            let _ = ended.lock().unwrap().recv();
        };
        assert!(matches!(compilers.run(0, waits).await, Err(Error::Timeout(_))));
    }
    drop(end);
}
