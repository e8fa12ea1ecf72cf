//! The commits of one partition: one on its way to the log, what was done meanwhile behind it.
//!
//! ```text
//!        done and durable      on its way        waiting, merged      being handled
//!  ━━━━━━━━━━━━━━━━━━━━━━━●━━━━━━━━━━━━━━━━●━━━━━━━━━━━━━━━━━━━━●──────────────────────
//! ```
//! So a partition does not stand still while the log syncs, however fast its batches are, and
//! yet nothing is committed that is not done. The room behind is bounded. Where a commit costs the
//! log much, they keep a distance, as long as there is room: many batches share one then.

use std::mem;

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::retry::Backoff;
use crate::backends::log::{Error, Outgoing, Reader, Result};

/// Pieces that may wait behind the commit on its way.
const MOST_PIECES: usize = 16;
/// Bytes of outputs that may wait.
const MOST_BYTES: usize = 8 << 20;

/// Why a partition cannot go on from where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Another member has the partition.
    Fenced,
    /// Outputs with an offset were written or not: only the log knows.
    Doubtful,
}

/// What is done but not yet durable.
#[derive(Default)]
pub struct Commits {
    on_its_way: Option<OnItsWay>,
    waiting: Waiting,
    /// No commit before this moment: the last one failed.
    not_before: Option<Instant>,
    /// None before this one either, unless there is no room: the last has just begun.
    apart_until: Option<Instant>,
    backoff: Backoff,
}

struct OnItsWay {
    task: JoinHandle<Result<()>>,
    next: u64,
    with_outputs: bool,
}

#[derive(Default)]
struct Waiting {
    next: Option<u64>,
    outputs: Vec<Outgoing>,
    pieces: usize,
    bytes: usize,
}

impl Commits {
    /// Everything before `next` is done, and `outputs` came of it.
    pub fn offer(&mut self, mut outputs: Vec<Outgoing>, next: u64) {
        let waiting = &mut self.waiting;
        waiting.next = Some(next);
        waiting.pieces += 1;
        waiting.bytes += outputs.iter().map(|output| output.tail.len()).sum::<usize>();
        if waiting.outputs.is_empty() {
            waiting.outputs = outputs;
        } else {
            waiting.outputs.append(&mut outputs);
        }
    }

    /// Whether so much waits that nothing more should be done before it is durable.
    pub fn is_full(&self) -> bool {
        self.waiting.pieces >= MOST_PIECES || self.waiting.bytes >= MOST_BYTES
    }

    /// Whether everything is durable.
    pub fn is_idle(&self) -> bool {
        self.on_its_way.is_none() && self.waiting.next.is_none()
    }

    /// Send what waits on its way, if the way is free.
    pub fn launch(&mut self, reader: &mut dyn Reader) {
        if self.on_its_way.is_some() || self.not_before.is_some() {
            return;
        }
        if self.apart_until.is_some_and(|moment| Instant::now() < moment) && !self.is_full() {
            return;
        }
        let Waiting { next: Some(next), outputs, .. } = mem::take(&mut self.waiting) else {
            return;
        };
        let with_outputs = !outputs.is_empty();
        let distance = reader.commit_distance();
        self.apart_until = (!distance.is_zero()).then(|| Instant::now() + distance);
        let commit = match with_outputs {
            true => reader.commit_with(outputs, next),
            false => reader.commit(next),
        };
        self.on_its_way = Some(OnItsWay { task: tokio::spawn(commit), next, with_outputs });
    }

    /// Let the next commit begin as soon as it can: nothing more comes that could share it.
    pub fn hurry(&mut self) {
        self.apart_until = None;
    }

    /// Wait until something can be launched again, for ever if there is nothing to launch. Cancel
    /// safe.
    pub async fn landed(&mut self) -> std::result::Result<(), Broken> {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
            self.not_before = None;
            return Ok(());
        }
        let Some(commit) = &mut self.on_its_way else {
            return match (self.apart_until, self.waiting.next) {
                (Some(moment), Some(_)) => {
                    sleep_until(moment).await;
                    Ok(())
                }
                _ => std::future::pending().await,
            };
        };
        let outcome = (&mut commit.task).await;
        let (next, with_outputs) = (commit.next, commit.with_outputs);
        self.on_its_way = None;
        match outcome {
            Ok(Ok(())) => {
                if let Some(waited) = self.backoff.reset() {
                    tracing::info!(next, ?waited, "offsets are committed again");
                }
                Ok(())
            }
            Ok(Err(Error::Fenced { .. })) => Err(Broken::Fenced),
            failed => {
                let error = match failed {
                    Ok(answer) => answer.err().map(|error| error.to_string()),
                    Err(panic) => Some(panic.to_string()),
                };
                if self.backoff.is_fresh() {
                    tracing::warn!(error, next, "an offset was not committed; trying again");
                }
                self.not_before = Some(Instant::now() + self.backoff.pause());
                if with_outputs {
                    return Err(Broken::Doubtful);
                }
                // The same offset again is harmless, and a later one that waits stands for it.
                self.waiting.next = self.waiting.next.or(Some(next));
                Ok(())
            }
        }
    }

    /// Forget what waits, because it will be done again.
    pub fn forget(&mut self) {
        self.waiting = Waiting::default();
    }
}
