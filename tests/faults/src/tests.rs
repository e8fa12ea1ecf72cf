//! The short form of each scenario.

#![allow(clippy::unwrap_used)]

use tokio::sync::Mutex;

use super::*;
use crate::stage::Kind;

/// One scenario at a time: each has servers of its own.
static TURN: Mutex<()> = Mutex::const_new(());
/// No limit that a busy machine could break: the program has a stricter one.
const PATIENT: Duration = Duration::from_secs(60);

/// Play a scenario with a few faults, at moments that differ from run to run.
async fn play(scenario: Scenario, rounds: usize, longest: Duration) {
    let _turn = TURN.lock().await;
    let seed = fastrand::u64(..);
    let mut plan =
        Plan { rounds, longest, taken_over: PATIENT, random: fastrand::Rng::with_seed(seed) };
    let outcome = scenario.play(&mut plan).await;
    let outcome = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
    assert!(outcome.acknowledged() > 0, "seed {seed}: {outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_loses_and_doubles_nothing() {
    play(Scenario::KillHost { log: Kind::Embedded }, 5, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_over_a_cluster_loses_and_doubles_nothing() {
    play(Scenario::KillHost { log: Kind::Kafka }, 3, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_and_doubles_nothing() {
    play(Scenario::KillBroker, 2, Duration::from_millis(2000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_loses_and_doubles_nothing() {
    play(Scenario::KillDatabase, 2, Duration::from_millis(2000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_loses_and_doubles_nothing() {
    play(Scenario::Network, 4, Duration::from_millis(2000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_away_forgets_and_makes_nothing_up() {
    play(Scenario::Cache, 6, Duration::from_millis(1000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_and_doubles_nothing() {
    play(Scenario::Disk, 3, Duration::from_millis(1000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_sync_loses_and_doubles_nothing() {
    play(Scenario::Sync, 3, Duration::from_millis(1000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_loses_and_doubles_nothing() {
    play(Scenario::Clock, 5, Duration::from_millis(500)).await;
}
