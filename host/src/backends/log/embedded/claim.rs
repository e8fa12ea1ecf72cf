//! Who may commit in a partition, and what was committed: the writer's view of groups.
//!
//! A reader takes its partition over through the writer, so everything its predecessor committed
//! before is seen, and everything later is refused.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    super::{Error, Result},
    partition::Partition,
};

/// Durable offsets of groups, by group and partition id.
pub type Committed = BTreeMap<(Arc<str>, u32), u64>;

/// A reader's right to commit in a partition.
#[derive(Clone)]
pub struct Claim {
    /// The group.
    pub group: Arc<str>,
    /// The partition.
    pub partition: Arc<Partition>,
    /// Higher than that of every earlier reader of the partition.
    pub epoch: u64,
}

/// Where all groups are, with the writes that are not durable yet.
#[derive(Default)]
pub struct Places {
    places: HashMap<(Arc<str>, u32), Place>,
}

#[derive(Default)]
struct Place {
    epoch: u64,
    committed: Option<u64>,
}

impl Places {
    /// Take up what is durable: at the start, and when a write failed.
    pub fn set_all(&mut self, committed: &Committed) {
        self.places.values_mut().for_each(|place| place.committed = None);
        for ((group, partition), offset) in committed {
            self.set(group, *partition, *offset);
        }
    }

    /// Give a partition to a claim. Answers the committed offset.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a later claim has it.
    pub fn take(&mut self, claim: &Claim) -> Result<Option<u64>> {
        let place = self.places.entry((Arc::clone(&claim.group), claim.partition.id)).or_default();
        if claim.epoch < place.epoch {
            return Err(fenced(claim));
        }
        place.epoch = claim.epoch;
        Ok(place.committed)
    }

    /// Commit an offset.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another claim has the partition.
    pub fn commit(&mut self, claim: &Claim, offset: u64) -> Result<()> {
        let place = self.places.entry((Arc::clone(&claim.group), claim.partition.id)).or_default();
        if place.epoch != claim.epoch {
            return Err(fenced(claim));
        }
        place.committed = Some(offset);
        Ok(())
    }

    /// Set an offset whoever has the partition.
    pub fn set(&mut self, group: &Arc<str>, partition: u32, offset: u64) {
        self.places.entry((Arc::clone(group), partition)).or_default().committed = Some(offset);
    }
}

fn fenced(claim: &Claim) -> Error {
    Error::Fenced { topic: claim.partition.topic.to_string(), partition: claim.partition.number }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::super::Range, *};

    #[test]
    fn only_the_latest_claim_commits() {
        let range = Range { start: 0, end: 0 };
        let partition = Arc::new(Partition::new(0, "t".into(), 0, range));
        let claim = |epoch| Claim { group: "g".into(), partition: Arc::clone(&partition), epoch };
        let mut places = Places::default();
        assert_eq!(places.take(&claim(1)).unwrap(), None);
        places.commit(&claim(1), 5).unwrap();
        assert_eq!(places.take(&claim(3)).unwrap(), Some(5));
        assert!(matches!(places.commit(&claim(1), 6), Err(Error::Fenced { .. })));
        assert!(matches!(places.take(&claim(2)), Err(Error::Fenced { .. })));
        assert_eq!(places.take(&claim(3)).unwrap(), Some(5));
    }
}
