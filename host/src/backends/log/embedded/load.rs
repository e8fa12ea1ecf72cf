//! Bringing the memory in line with the disk: at the start, and after a write that failed.

use std::sync::Arc;

use super::{
    super::Result,
    claim::Committed,
    lane::Lanes,
    partition::Partition,
    store::{Store, StoredTopic},
    topics::{TopicEntry, Topics},
};

/// What a store holds.
pub struct Loaded {
    /// The topics.
    pub topics: Topics,
    /// Where each partition goes on.
    pub lanes: Lanes,
    /// The offsets of groups.
    pub committed: Committed,
}

/// Read what a store holds; partitions in `known` are kept and moved to where the disk is. Blocks.
pub fn load(store: &Store, known: &Topics) -> Result<Loaded> {
    let mut stored = store.topics()?;
    stored.sort_by_key(|(_, topic)| topic.first);
    let (mut topics, mut lanes) = (Topics::default(), Lanes::default());
    for (name, topic) in stored {
        topics = topics.with(load_topic(store, known, name.into(), topic, &mut lanes)?);
    }
    let committed = store.committed()?.into_iter();
    let committed = committed.map(|(partition, group, offset)| ((group.into(), partition), offset));
    Ok(Loaded { topics, lanes, committed: committed.collect() })
}

fn load_topic(
    store: &Store,
    known: &Topics,
    name: Arc<str>,
    topic: StoredTopic,
    lanes: &mut Lanes,
) -> Result<TopicEntry> {
    let mut partitions = Vec::new();
    for number in 0..topic.settings.partitions {
        let id = topic.first + number;
        let ends = store.ends(id)?;
        let partition = match known.partition(&name, number) {
            Ok(partition) => Arc::clone(partition),
            Err(_) => Arc::new(Partition::new(id, Arc::clone(&name), number, ends.range)),
        };
        partition.catch_up(ends.range);
        lanes.add(Arc::clone(&partition), &ends);
        partitions.push(partition);
    }
    Ok(TopicEntry { name, settings: topic.settings, partitions })
}
