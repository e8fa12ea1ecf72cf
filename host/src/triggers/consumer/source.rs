//! Where the batches of one partition come from: reads one ahead, keeps commits moving.
//!
//! Everything that waits for the log waits in [`Source::step`], so that it goes on while a
//! batch is handled, while a message backs off, and while there is nothing to do.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    commits::{Broken, Commits},
    retry::Backoff,
};
use crate::{
    backends::log::{Batch, Error, Limit, Outgoing, Partition, Reader, Result},
    manifest::BatchLimits,
};

/// How long one read waits for a record; the next one follows at once.
const READ_WAIT: Duration = Duration::from_secs(5);
/// How often a batch that gathers is looked after.
const GATHER: Duration = Duration::from_millis(1);

/// One partition's reader with what it read ahead and what is not committed yet.
pub struct Source {
    reader: Box<dyn Reader>,
    ahead: Option<Ahead>,
    /// What follows `ahead` and did not fit into it.
    beyond: Option<Batch>,
    commits: Commits,
    broken: Option<Broken>,
    /// No read before this moment: the last one failed.
    not_before: Option<Instant>,
    backoff: Backoff,
    /// The first offset that was handed out, for a group that has committed nothing.
    origin: Option<u64>,
}

struct Ahead {
    batch: Batch,
    since: Instant,
}

impl Source {
    /// The source of one partition, at the reader's position.
    pub fn new(reader: Box<dyn Reader>) -> Self {
        Self {
            reader,
            ahead: None,
            beyond: None,
            commits: Commits::default(),
            broken: None,
            not_before: None,
            backoff: Backoff::default(),
            origin: None,
        }
    }

    /// Go on from here.
    pub fn seek(&mut self, offset: u64) {
        (self.ahead, self.beyond) = (None, None);
        self.reader.seek(offset);
    }

    /// Whether it can go on from where it is.
    pub fn sound(&self) -> std::result::Result<(), Broken> {
        self.broken.map_or(Ok(()), Err)
    }

    /// Everything before `next` is done, and `outputs` came of it.
    pub fn done(&mut self, outputs: Vec<Outgoing>, next: u64) {
        self.commits.offer(outputs, next);
    }

    /// The next batch, as full as it gets within the limits. Cancel safe.
    pub async fn batch(&mut self, limits: &BatchLimits) -> std::result::Result<Batch, Broken> {
        while self.ahead.is_none() {
            self.sound()?;
            self.step(limits).await;
        }
        self.gather(limits).await?;
        let batch = self.ahead.take().map(|ahead| ahead.batch);
        let batch = batch.ok_or(Broken::Doubtful)?;
        if self.origin.is_none() {
            self.origin = batch.first();
        }
        Ok(batch)
    }

    /// Keep reading ahead and committing; ends only when it is broken. Cancel safe.
    pub async fn work(&mut self, limits: &BatchLimits) -> Broken {
        loop {
            if let Some(broken) = self.broken {
                return broken;
            }
            self.step(limits).await;
        }
    }

    /// Wait until there is room for more that is done but not durable. Cancel safe.
    pub async fn room(&mut self, limits: &BatchLimits) -> std::result::Result<(), Broken> {
        self.launch();
        while self.commits.is_full() {
            self.sound()?;
            self.step(limits).await;
        }
        self.sound()
    }

    /// Wait until everything that is done is durable. Cancel safe.
    pub async fn settle(&mut self) -> std::result::Result<(), Broken> {
        while !self.commits.is_idle() {
            self.sound()?;
            self.commits.hurry();
            self.launch();
            self.landed().await;
        }
        self.sound()
    }

    /// After [`Broken::Doubtful`]: ask the log how far the group is, and go on from there. Fails
    /// only when another member has the partition.
    pub async fn recover(&mut self) -> std::result::Result<(), Broken> {
        self.commits.forget();
        (self.ahead, self.beyond) = (None, None);
        loop {
            sleep(self.backoff.pause()).await;
            match self.reader.committed().await {
                Ok(committed) => {
                    if let Some(offset) = committed.or(self.origin) {
                        self.reader.seek(offset);
                    }
                    self.backoff.reset();
                    self.broken = None;
                    return Ok(());
                }
                Err(Error::Fenced { .. }) => return Err(Broken::Fenced),
                Err(error) => tracing::warn!(%error, "the group's offset is not known"),
            }
        }
    }

    /// One thing that happens: a batch was read, a commit has landed, a pause is over. Waits
    /// for ever when nothing is left to wait for. Cancel safe.
    async fn step(&mut self, limits: &BatchLimits) {
        self.launch();
        if self.ahead.is_none()
            && let Some(batch) = self.beyond.take()
        {
            self.ahead = Some(Ahead { batch, since: Instant::now() });
            return;
        }
        let reading = self.ahead.is_none();
        let resting = self.not_before;
        let limit = limit(limits, READ_WAIT);
        tokio::select! {
            biased;
            landed = self.commits.landed() => self.note(landed),
            () = sleep_until(resting.unwrap_or_else(Instant::now)), if reading && resting.is_some() => {
                self.not_before = None;
            }
            read = self.reader.next(limit), if reading && resting.is_none() => self.take(read),
        }
    }

    /// Nothing goes out behind a commit of which nobody knows whether it happened.
    fn launch(&mut self) {
        if self.broken.is_none() {
            self.commits.launch(&mut *self.reader);
        }
    }

    async fn landed(&mut self) {
        let landed = self.commits.landed().await;
        self.note(landed);
    }

    /// What is broken stays so until it has [recovered](Self::recover), whatever lands later.
    fn note(&mut self, landed: std::result::Result<(), Broken>) {
        self.broken = self.broken.or(landed.err());
    }

    fn take(&mut self, read: Result<Batch>) {
        match read {
            Ok(batch) => {
                if let Some(waited) = self.backoff.reset() {
                    let Partition { topic, partition } = self.reader.partition();
                    tracing::info!(%topic, partition, ?waited, "a partition is read again");
                }
                if !batch.is_empty() {
                    self.ahead = Some(Ahead { batch, since: Instant::now() });
                }
            }
            Err(error) => {
                if self.backoff.is_fresh() {
                    let Partition { topic, partition } = self.reader.partition();
                    tracing::warn!(%topic, partition, %error, "a partition is not read; trying again");
                }
                self.not_before = Some(Instant::now() + self.backoff.pause());
            }
        }
    }

    /// Add what has come meanwhile to the batch that was read ahead; while it is not full, wait
    /// for more as long as the manifest allows.
    async fn gather(&mut self, limits: &BatchLimits) -> std::result::Result<(), Broken> {
        self.sound()?;
        loop {
            let Some(Ahead { batch, since }) = &mut self.ahead else { return Ok(()) };
            let whole = limit(limits, Duration::ZERO);
            let size = u32::try_from(batch.size()).unwrap_or(u32::MAX);
            if batch.cut || batch.count >= whole.records || size >= whole.bytes {
                return Ok(());
            }
            let rest = Limit {
                records: whole.records - batch.count,
                bytes: whole.bytes - size,
                wait: Duration::ZERO,
            };
            // A failure shows again at the next read.
            if let Ok(later) = self.reader.next(rest).await
                && !later.is_empty()
            {
                if later.size() > rest.bytes as usize {
                    // One record comes however large: it begins the next batch.
                    self.beyond = Some(later);
                    return Ok(());
                }
                batch.append(&later);
            }
            let (now, end) = (Instant::now(), *since + Duration::from(limits.max_wait));
            if now >= end {
                return Ok(());
            }
            self.launch();
            tokio::select! {
                biased;
                () = sleep_until(end.min(now + GATHER)) => {}
                landed = self.commits.landed() => {
                    self.note(landed);
                    self.sound()?;
                }
            }
        }
    }
}

fn limit(limits: &BatchLimits, wait: Duration) -> Limit {
    Limit {
        records: limits.max_messages.max(1),
        bytes: u32::try_from(limits.max_bytes.0).unwrap_or(u32::MAX).max(1),
        wait,
    }
}
