//! One file for each kind of fault.

use std::{fmt, time::Duration};

use anyhow::{Result, bail};
use bench::house::House;

use crate::{
    history::{Sent, Violation, check},
    reading,
    stage::Stage,
};

pub mod cache;
pub mod clock;
pub mod disk;
pub mod kill_host;
pub mod kill_server;
pub mod network;
pub mod nodes;
pub mod sync;

/// The most violations that are listed.
const LISTED: usize = 20;

/// How often, how fast, and by what chance.
pub struct Plan {
    /// How often the fault is made.
    pub rounds: usize,
    /// The longest time between two faults.
    pub longest: Duration,
    /// Within this time after the end of a host every partition has a reader again.
    pub taken_over: Duration,
    /// Chooses moments and faults.
    pub random: fastrand::Rng,
}

impl Plan {
    /// A time until the next fault.
    pub fn pause(&mut self) -> Duration {
        let longest = u64::try_from(self.longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.u64(longest.min(50)..=longest.max(51)))
    }
}

/// What came of a scenario that nothing was wrong with.
#[derive(Debug)]
pub enum Outcome {
    /// Clients sent events.
    Events {
        /// How often the fault was made.
        rounds: usize,
        /// Events that were acknowledged, all of which are there once.
        acknowledged: usize,
        /// Events without an answer.
        unanswered: usize,
        /// Those of them that are there all the same, once.
        found: usize,
    },
    /// Clients kept values for a while.
    Cache {
        /// How often the fault was made.
        rounds: usize,
        /// Values that were kept, or forgotten.
        kept: usize,
        /// Values that were not.
        refused: usize,
    },
}

impl Outcome {
    /// How much was acknowledged to clients.
    #[cfg(test)]
    pub fn acknowledged(&self) -> usize {
        match self {
            Self::Events { acknowledged, .. } => *acknowledged,
            Self::Cache { kept, .. } => *kept,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events { rounds, acknowledged, unanswered, found } => write!(
                f,
                "{rounds} faults: {acknowledged} acknowledged events are there, each once, in \
                 order, passed on and counted once; so are {found} of {unanswered} without an \
                 answer"
            ),
            Self::Cache { rounds, kept, refused } => write!(
                f,
                "{rounds} faults: {kept} values were kept and {refused} not; none was made up, \
                 none came back after a later one"
            ),
        }
    }
}

/// Once everything is well again: compare what the clients know with what is there.
async fn judge(rounds: usize, stage: &Stage, house: &mut House, sent: &Sent) -> Result<Outcome> {
    let there = match reading::everything(stage, house).await? {
        Ok(there) => there,
        Err(stuck) => bail!("{stuck}\n{}", house.said()),
    };
    let violations = check(sent, &there);
    if !violations.is_empty() {
        bail!("{}\n{}", listed(&violations), house.said());
    }
    let present: usize = there.raw.values().map(Vec::len).sum();
    Ok(Outcome::Events {
        rounds,
        acknowledged: sent.acknowledged.len(),
        unanswered: sent.unanswered.len(),
        found: present.saturating_sub(sent.acknowledged.len()),
    })
}

fn listed(violations: &[Violation]) -> String {
    let mut text = format!("{} violations", violations.len());
    for violation in violations.iter().take(LISTED) {
        text += &format!("\n  {violation}");
    }
    text
}
