//! Deleting what topics need not keep: whole chunks, the oldest first.

use std::{sync::Arc, time::Duration};

use tokio::time;

use super::{
    super::{Range, Result, TopicSettings},
    partition::Partition,
    request::Request,
    shared::Shared,
    store::Store,
};

/// Chunks that one request deletes at most, so that producers do not wait behind it for long.
const MOST_CHUNKS: usize = 1024;

/// Check all partitions every `every`, for ever.
pub async fn run(shared: Arc<Shared>, every: Duration) {
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = check(&shared).await {
            tracing::warn!(%error, "old records could not be deleted");
        }
    }
}

/// Delete what may be deleted now.
pub async fn check(shared: &Shared) -> Result<()> {
    let topics = shared.topics.load_full();
    for topic in topics.iter() {
        let settings = &topic.settings;
        if settings.retention_ms.is_none() && settings.retention_bytes.is_none() {
            continue;
        }
        for partition in &topic.partitions {
            while trim(shared, partition, settings).await? {}
        }
    }
    Ok(())
}

/// Delete some old chunks of a partition; answers whether there may be more.
async fn trim(
    shared: &Shared,
    partition: &Arc<Partition>,
    settings: &TopicSettings,
) -> Result<bool> {
    let (id, range) = (partition.id, partition.range());
    if range.start == range.end {
        return Ok(false);
    }
    let keep = Keep::of(settings, shared.now_ms());
    let (bases, start) = shared.on_disk(move |store| expired(store, id, range, keep)).await?;
    if bases.is_empty() {
        return Ok(false);
    }
    let more = bases.len() == MOST_CHUNKS;
    let partition = Arc::clone(partition);
    shared.ask(|reply| Request::Trim { partition, bases, start, reply }).await?;
    Ok(more)
}

/// What must stay.
#[derive(Clone, Copy)]
struct Keep {
    /// Records from this time on, ms since 1970.
    since: Option<i64>,
    /// The newest bytes.
    bytes: Option<u64>,
}

impl Keep {
    fn of(settings: &TopicSettings, now: i64) -> Self {
        let since = |age: u64| now.saturating_sub_unsigned(age);
        Self { since: settings.retention_ms.map(since), bytes: settings.retention_bytes }
    }
}

/// The first chunks of a partition that need not stay, by base offset, and where the rest starts.
fn expired(store: &Store, id: u32, range: Range, keep: Keep) -> Result<(Vec<u64>, u64)> {
    let (mut bases, mut start) = (Vec::new(), range.start);
    let written = store.ends(id)?.bytes;
    for chunk in store.chunks_from(id, range.start, range.end)?.take(MOST_CHUNKS) {
        let chunk = chunk?;
        let behind = written - (chunk.before() + chunk.packed().len() as u64);
        let old = keep.since.is_some_and(|since| chunk.newest() < since);
        let surplus = keep.bytes.is_some_and(|bytes| behind >= bytes);
        if !old && !surplus {
            break;
        }
        bases.push(chunk.base);
        start = chunk.end();
    }
    Ok((bases, start))
}
