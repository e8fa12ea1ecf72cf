//! What the writer holds of each partition: where the next record goes, and the chunks of the
//! write at hand.

use std::sync::Arc;

use super::{
    super::Position,
    chunk::{Builder, Chunk},
    partition::Partition,
    store::{Changes, Ends},
    topics::{Item, Target},
};

/// All partitions, by id: ids are given in order and never taken back.
#[derive(Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Which have records in the write at hand.
    touched: Vec<u32>,
    /// First partitions of the topics that have records without a key in it.
    spread: Vec<u32>,
}

struct Lane {
    partition: Arc<Partition>,
    next: u64,
    latest: i64,
    bytes: u64,
    open: Option<Builder>,
    sealed: Vec<Chunk>,
    /// Of the first partition of a topic: which takes the next record without a key, and whether
    /// one came in the write at hand.
    turn: u32,
    spread: bool,
}

impl Lanes {
    /// The id of the next partition.
    pub fn next_id(&self) -> u32 {
        self.lanes.len() as u32
    }

    /// Add the partition with the next id.
    pub fn add(&mut self, partition: Arc<Partition>, ends: &Ends) {
        debug_assert_eq!(partition.id, self.next_id());
        self.lanes.push(Lane {
            partition,
            next: ends.range.end,
            latest: ends.latest,
            bytes: ends.bytes,
            open: None,
            sealed: Vec::new(),
            turn: 0,
            spread: false,
        });
    }

    /// Give a record its offset in the write at hand.
    pub fn push(&mut self, item: &Item, now: i64) -> Position {
        let id = match item.target {
            Target::Partition(id) => id,
            Target::Any { first, count } => first + self.turn(first) % count,
        };
        let lane = &mut self.lanes[id as usize];
        if lane.open.is_none() && lane.sealed.is_empty() {
            self.touched.push(id);
        }
        let timestamp_ms = item.timestamp_ms.unwrap_or(now);
        let chunk = lane.open.get_or_insert_with(|| Builder::new(lane.next, item.tail.len()));
        let offset = chunk.push(timestamp_ms, &item.tail);
        let full = chunk.is_full();
        let position = Position { partition: lane.partition.number, offset };
        lane.next = offset + 1;
        if full {
            lane.close_chunk();
        }
        if let Target::Any { first, .. } = item.target
            && full
        {
            self.next_turn(first);
        }
        position
    }

    /// Close all chunks of the write at hand and add them to it.
    pub fn seal(&mut self, changes: &mut Changes<'_>) {
        for id in &self.touched {
            let lane = &mut self.lanes[*id as usize];
            lane.close_chunk();
            lane.sealed.iter().for_each(|chunk| changes.add_chunk(*id, chunk));
        }
        // The same partition until its chunk is full or the write ends: few large chunks are
        // read faster than many small ones.
        for first in std::mem::take(&mut self.spread) {
            self.lanes[first as usize].spread = false;
            self.next_turn(first);
        }
    }

    fn turn(&mut self, first: u32) -> u32 {
        let lane = &mut self.lanes[first as usize];
        if !lane.spread {
            lane.spread = true;
            self.spread.push(first);
        }
        lane.turn
    }

    fn next_turn(&mut self, first: u32) {
        let lane = &mut self.lanes[first as usize];
        lane.turn = lane.turn.wrapping_add(1);
    }

    /// The chunks of the write at hand, which is over.
    pub fn drain(&mut self) -> impl Iterator<Item = (Arc<Partition>, Chunk)> {
        self.touched.drain(..).flat_map(|id| {
            let lane = &mut self.lanes[id as usize];
            let partition = Arc::clone(&lane.partition);
            std::mem::take(&mut lane.sealed)
                .into_iter()
                .map(move |chunk| (Arc::clone(&partition), chunk))
        })
    }
}

impl Lane {
    fn close_chunk(&mut self) {
        if let Some(open) = self.open.take() {
            self.sealed.push(open.seal(&mut self.latest, &mut self.bytes));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::super::Range, super::store::Store, *};

    fn lanes(count: u32) -> Lanes {
        let mut lanes = Lanes::default();
        for id in 0..count {
            let range = Range { start: 0, end: 0 };
            let partition = Arc::new(Partition::new(id, "t".into(), id, range));
            lanes.add(partition, &Ends { range, latest: i64::MIN, bytes: 0 });
        }
        lanes
    }

    fn item(bytes: usize) -> Item {
        Item {
            target: Target::Any { first: 0, count: 3 },
            timestamp_ms: None,
            tail: vec![0; bytes].into(),
        }
    }

    #[test]
    fn records_without_a_key_move_on_with_each_write() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut lanes = lanes(3);
        let mut partitions = Vec::new();
        for _ in 0..6 {
            partitions.push(lanes.push(&item(10), 0).partition);
            assert_eq!(lanes.push(&item(10), 0).partition, partitions[partitions.len() - 1]);
            lanes.seal(&mut store.changes());
            assert_eq!(lanes.drain().count(), 1);
        }
        assert_eq!(partitions, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_large_write_is_cut_into_chunks_and_spread() {
        let mut lanes = lanes(3);
        let positions: Vec<_> = (0..10).map(|_| lanes.push(&item(100 * 1024), 0)).collect();
        let at = |index: usize| (positions[index].partition, positions[index].offset);
        assert_eq!((at(0), at(2), at(3), at(8), at(9)), ((0, 0), (0, 2), (1, 0), (2, 2), (0, 3)));
    }
}
