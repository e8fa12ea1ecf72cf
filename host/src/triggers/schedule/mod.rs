//! The schedule trigger: runs plugins by the clock.
//!
//! Each `[[schedule]]` of each plugin is one task here. It outlives the plugin's generations and asks
//! for the live one at each run, so that no two runs of a schedule overlap, whatever is swapped.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use metrics::counter;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    manifest,
    plugins::{Generation, Watch},
    quantity::now_ms,
    runtime::{CallError, exports::job::Job},
};

/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(20);
/// How long runs in progress may take once the host stops.
const LAST_RUNS: Duration = Duration::from_secs(10);

/// A schedule of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    plugin: Arc<str>,
    name: String,
}

/// The task of a schedule.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Run the schedules of whatever is live, until `shutdown` is cancelled. Returns once the runs in
/// progress have ended, but waits for none of them for long.
pub async fn run(mut live: Watch, shutdown: CancellationToken) {
    let mut running: HashMap<Key, Running> = HashMap::new();
    // Those that were stopped, whose last run may go on.
    let mut ending: HashMap<Key, JoinHandle<()>> = HashMap::new();
    loop {
        let wanted = schedules(&live);
        for (key, gone) in running.extract_if(|key, _| !wanted.contains(key)) {
            gone.stop.cancel();
            ending.insert(key, gone.task);
        }
        ending.retain(|_, task| !task.is_finished());
        for key in wanted {
            if let Entry::Vacant(place) = running.entry(key.clone()) {
                let (stop, before) = (shutdown.child_token(), ending.remove(&key));
                let follow = follow(key, live.clone(), stop.clone(), before);
                place.insert(Running { stop, task: tokio::spawn(follow) });
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = live.changed() => if changed.is_err() { shutdown.cancelled().await; break },
        }
    }
    let running = running.into_values().map(|running| running.task);
    let _ = timeout(LAST_RUNS, join_all(running.chain(ending.into_values()))).await;
}

/// The schedules of all plugins that are live.
fn schedules(live: &Watch) -> Vec<Key> {
    let live = live.borrow();
    let of = |generation: &Arc<Generation>| {
        let plugin = generation.plugin.clone();
        let key = move |schedule: &manifest::Schedule| Key {
            plugin: plugin.clone(),
            name: schedule.name.clone(),
        };
        let schedules = generation.manifest().schedule.iter();
        schedules.map(key).collect::<Vec<_>>()
    };
    live.generations.iter().filter(|one| one.offered().job).flat_map(of).collect()
}

/// Run one schedule until it is stopped, once the task before it has ended; a run in progress ends
/// first.
async fn follow(
    key: Key,
    mut live: Watch,
    stop: CancellationToken,
    before: Option<JoinHandle<()>>,
) {
    if let Some(before) = before {
        // However it ended, it has.
        let _ = before.await;
    }
    // When the last run was due; the first one is so now.
    let mut last: Option<Instant> = None;
    loop {
        let Some(every) = every(&live, &key) else {
            // It is about to be stopped, or to come back.
            match stop.run_until_cancelled(live.changed()).await {
                Some(Ok(())) => continue,
                _ => return,
            }
        };
        let due = last.map_or_else(Instant::now, |last| next(last, every, Instant::now()));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep_until(due) => {
                run_once(&key, &live, due).await;
                last = Some(due);
            }
            // It may be due at another time now.
            Ok(()) = live.changed() => {}
        }
    }
}

/// When a run is due next: those that were due meanwhile are not made up for.
fn next(last: Instant, every: Duration, now: Instant) -> Instant {
    let passed = now.saturating_duration_since(last).as_nanos() / every.as_nanos().max(1);
    // At most a year of the shortest time fits.
    let missed = u32::try_from(passed).unwrap_or(u32::MAX);
    let due = last + every.saturating_mul(missed);
    if missed == 0 || due < now { due + every } else { due }
}

/// How often the live generation wants it.
fn every(live: &Watch, key: &Key) -> Option<Duration> {
    let generation = serving(live, &key.plugin)?;
    let tables = &generation.manifest().schedule;
    tables.iter().find(|schedule| schedule.name == key.name).map(|schedule| schedule.every.into())
}

/// One run, by the live generation; a swap in the middle takes the next one.
async fn run_once(key: &Key, live: &Watch, due: Instant) {
    let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(0);
    let due_ms = now_ms().saturating_sub(late);
    let id = format!("{}/{due_ms}", key.name);
    let job = Job { id, name: key.name.clone(), due_ms, attempt: 1, payload: Vec::new() };
    while let Some(generation) = serving(live, &key.plugin) {
        match call(&generation, job.clone()).await {
            Ok(Ok(())) => return note(key, "done"),
            Ok(Err(reason)) => {
                generation.note_bad_answer();
                if generation.tells() {
                    let (plugin, schedule) = (&key.plugin, &key.name);
                    tracing::warn!(%plugin, schedule, reason, "a run of a schedule failed");
                }
                return note(key, "failed");
            }
            Err(CallError::Gone { .. }) => tokio::time::sleep(SWAP).await,
            Err(error) => {
                generation.note(&error);
                if generation.tells() {
                    let (plugin, schedule, kind) = (&key.plugin, &key.name, error.kind());
                    tracing::error!(%plugin, schedule, kind, %error, "a schedule was not run");
                }
                return note(key, "failed");
            }
        }
    }
}

async fn call(generation: &Generation, job: Job) -> Result<Result<(), String>, CallError> {
    let mut lease = generation.lend().await?;
    lease.state().call.caused_by(&job.id, None);
    lease.run_job(job).await
}

fn serving(live: &Watch, plugin: &str) -> Option<Arc<Generation>> {
    let live = live.borrow();
    live.generations.iter().find(|one| *one.plugin == *plugin && one.offered().job).cloned()
}

fn note(key: &Key, outcome: &'static str) {
    let (plugin, schedule) = (key.plugin.to_string(), key.name.clone());
    counter!("trellis_schedule_runs_total",
        "plugin" => plugin, "schedule" => schedule, "outcome" => outcome)
    .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_during_a_long_run_is_let_pass() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let after = |seconds: f64| {
            let now = begun + Duration::from_secs_f64(seconds);
            next(begun, second, now).duration_since(begun).as_secs()
        };
        assert_eq!((after(0.0), after(0.5), after(1.5), after(7.2)), (1, 1, 2, 8));
    }
}
