//! Breaks a host and what it stands on while clients send numbered events, then looks for each of
//! them.
//!
//! ```text
//! load ─▶ tracker ─▶ raw ─▶ enricher ─▶ events ─▶ counters ─▶ sql
//!   │                 │    topics and offset        │    rows and offset
//!   │ acknowledged?   │    in one transaction       │    in one transaction
//!   ▼                 ▼                             ▼
//! history: lost, doubled, out of order, phantom, miscounted, stuck
//! ```
//! `scenario` has one file for each kind of fault.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use scenario::{Outcome, Plan};
use stage::Stage;

mod behind;
mod history;
mod load;
mod proxy;
mod reading;
mod scenario;
mod stage;
#[cfg(test)]
mod tests;

/// Break a host and what it stands on while clients send; fail when an event is lost, doubled, out
/// of order or invented.
#[derive(Debug, Parser)]
#[command(
    name = "faults",
    after_help = "\
Examples:
  faults kill-host --rounds 1000 --longest 300
  faults kill-host --log kafka --rounds 100
  faults network --rounds 50 --seed 7
  faults all --rounds 20"
)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// How often the fault is made.
    #[arg(long, global = true, default_value_t = 20)]
    rounds: usize,
    /// The longest time between two faults, in milliseconds.
    #[arg(long, global = true, default_value_t = 2000)]
    longest: u64,
    /// The longest that a partition of a host that is gone may be without a reader, in milliseconds.
    #[arg(long, global = true, default_value_t = 10_000)]
    taken_over: u64,
    /// Repeats the moments of an earlier run.
    #[arg(long, global = true)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Scenario {
    /// Every scenario, one after the other.
    All,
    /// Kill the host.
    KillHost {
        /// Where its topics are.
        #[arg(long, value_enum, default_value_t = stage::Kind::Embedded)]
        log: stage::Kind,
    },
    /// Kill the Kafka broker.
    KillBroker,
    /// Kill PostgreSQL.
    KillDatabase,
    /// Cut, delay, throttle and reset the connections to Kafka and PostgreSQL.
    Network,
    /// Kill Redis, and make the network before it bad.
    Cache,
    /// Fill the disk of the embedded backends.
    Disk,
    /// Let `fsync` fail below the embedded backends.
    Sync,
    /// Let the host's clock jump.
    Clock,
    /// Three hosts over Kafka and PostgreSQL: kill one, then replace a plugin on all.
    Nodes,
}

impl Scenario {
    const EACH: [Self; 11] = [
        Self::KillHost { log: stage::Kind::Embedded },
        Self::KillHost { log: stage::Kind::Kafka },
        Self::KillHost { log: stage::Kind::Servers },
        Self::KillBroker,
        Self::KillDatabase,
        Self::Network,
        Self::Cache,
        Self::Disk,
        Self::Sync,
        Self::Clock,
        Self::Nodes,
    ];

    /// The scenarios that it stands for.
    fn parts(self) -> Vec<Self> {
        match self {
            Self::All => Self::EACH.to_vec(),
            one => vec![one],
        }
    }

    async fn play(self, plan: &mut Plan) -> Result<Outcome> {
        match self {
            Self::All => bail!("it is taken apart before it is played"),
            Self::KillHost { log } => scenario::kill_host::play(plan, log).await,
            Self::KillBroker => {
                scenario::kill_server::play(plan, stage::Kind::Kafka, Stage::cluster).await
            }
            Self::KillDatabase => {
                scenario::kill_server::play(plan, stage::Kind::Servers, Stage::database).await
            }
            Self::Network => scenario::network::play(plan).await,
            Self::Cache => scenario::cache::play(plan).await,
            Self::Disk => scenario::disk::play(plan).await,
            Self::Sync => scenario::sync::play(plan).await,
            Self::Clock => scenario::clock::play(plan).await,
            Self::Nodes => scenario::nodes::play(plan).await,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("seed {seed}");
    for scenario in arguments.scenario.parts() {
        let mut plan = Plan {
            rounds: arguments.rounds,
            longest: Duration::from_millis(arguments.longest),
            taken_over: Duration::from_millis(arguments.taken_over),
            random: fastrand::Rng::with_seed(seed),
        };
        let outcome = scenario.play(&mut plan).await;
        let outcome = outcome.with_context(|| format!("{scenario:?} with seed {seed}"))?;
        println!("{scenario:?}: {outcome}");
    }
    Ok(())
}
