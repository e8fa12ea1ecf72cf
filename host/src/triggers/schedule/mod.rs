//! The schedule trigger: runs plugins by the clock.
//!
//! Each `[[schedule]]` of each plugin is one task here. It outlives the plugin's generations and asks
//! for the live one at each run, so that no two runs of a schedule overlap, whatever is swapped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use metrics::counter;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    manifest,
    plugins::{Generation, Watch},
    quantity::now_ms,
    runtime::{CallError, exports::job::Job},
};

/// How long to wait for the next generation after one has ended.
const SWAP: Duration = Duration::from_millis(20);

/// A schedule of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    plugin: Arc<str>,
    name: String,
    every: Duration,
}

/// Run the schedules of whatever is live, until `shutdown` is cancelled. Returns once the runs in
/// progress have ended.
pub async fn run(mut live: Watch, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut running: HashMap<Key, CancellationToken> = HashMap::new();
    loop {
        let wanted = schedules(&live);
        running.retain(|key, stop| {
            let stays = wanted.contains(key);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for key in wanted {
            running.entry(key.clone()).or_insert_with(|| {
                let stop = shutdown.child_token();
                tasks.spawn(follow(key, live.clone(), stop.clone()));
                stop
            });
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = live.changed() => if changed.is_err() { shutdown.cancelled().await; break },
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// The schedules of all plugins that are live.
fn schedules(live: &Watch) -> Vec<Key> {
    let live = live.borrow();
    let of = |generation: &Arc<Generation>| {
        let plugin = generation.plugin.clone();
        let key = move |schedule: &manifest::Schedule| Key {
            plugin: plugin.clone(),
            name: schedule.name.clone(),
            every: schedule.every.into(),
        };
        let schedules = generation.manifest().schedule.iter();
        schedules.map(key).collect::<Vec<_>>()
    };
    live.generations.iter().filter(|one| one.offered().job).flat_map(of).collect()
}

/// Run one schedule until it is stopped; a run in progress ends first.
async fn follow(key: Key, live: Watch, stop: CancellationToken) {
    let mut ticks = interval(key.every);
    // After a run that took long, the next one comes when it is due, and not all at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        run_once(&key, &live).await;
    }
}

/// One run, by the live generation; a swap in the middle takes the next one.
async fn run_once(key: &Key, live: &Watch) {
    let due_ms = now_ms();
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
