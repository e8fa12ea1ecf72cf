//! The other nodes, as far as they were heard of, and which of them are lost.
//!
//! Time is counted in beats of one's own that came back through the topic: a topic that is away for
//! a while makes nobody look dead, because one's own beats do not come back either.

use std::collections::{BTreeMap, HashSet};

/// The nodes besides this one.
pub struct Peers {
    own: u32,
    partitions: u32,
    /// So many own beats without a word make a node lost.
    patience: u32,
    others: BTreeMap<u32, Peer>,
}

#[derive(Default)]
struct Peer {
    /// Own beats since it was heard of last.
    silent: u32,
    /// Its own beats.
    beats: u64,
    /// The partitions in which it has begun to tell who is shown,
    begun: HashSet<u32>,
    /// and those in which it has told all.
    told: HashSet<u32>,
}

impl Peers {
    /// None but `own`, over so many partitions. A node that says nothing for so many beats is lost.
    pub fn new(own: u32, partitions: u32, patience: u32) -> Self {
        Self { own, partitions, patience, others: BTreeMap::new() }
    }

    /// How many others there are.
    pub fn count(&self) -> usize {
        self.others.len()
    }

    /// A node has said something.
    pub fn heard(&mut self, node: u32) {
        if let Some(peer) = self.others.get_mut(&node) {
            peer.silent = 0;
        }
    }

    /// Another node is there. Whether it is to be asked whom it shows: it should have told by now.
    pub fn beat(&mut self, node: u32) -> bool {
        let partitions = self.partitions as usize;
        let peer = self.others.entry(node).or_default();
        peer.beats += 1;
        peer.begun.len() < partitions && peer.beats > 1
    }

    /// An own beat came back: those who are lost. Of several nodes that find the same, the one with
    /// the lowest number says so first; the others wait a beat longer each.
    pub fn own_beat(&mut self) -> Vec<u32> {
        let others = self.others.iter_mut();
        others.for_each(|(_, peer)| peer.silent = peer.silent.saturating_add(1));
        let before = self.others.range(..self.own);
        let before = before.filter(|(_, peer)| peer.silent < self.patience).count() as u32;
        let limit = self.patience.saturating_add(before);
        let lost = self.others.iter().filter(|(_, peer)| peer.silent >= limit);
        lost.map(|(node, _)| *node).collect()
    }

    /// A node begins to tell who is shown in a partition. Whether what was known of it there is to
    /// be forgotten: it was never told, or does not hold any longer.
    pub fn begins(&mut self, node: u32, partition: u32, anew: bool) -> bool {
        let peer = self.others.entry(node).or_default();
        peer.begun.insert(partition) || anew
    }

    /// It has told all there.
    pub fn ends(&mut self, node: u32, partition: u32) {
        if let Some(peer) = self.others.get_mut(&node) {
            peer.told.insert(partition);
        }
    }

    /// Whether what a node says of its people in a partition counts: it does once it has begun to
    /// tell of all.
    pub fn tells(&self, node: u32, partition: u32) -> bool {
        self.others.get(&node).is_some_and(|peer| peer.begun.contains(&partition))
    }

    /// Whether all nodes have told all.
    pub fn all_told(&self) -> bool {
        self.others.values().all(|peer| peer.told.len() >= self.partitions as usize)
    }

    /// A node is gone. Whether it was there.
    pub fn remove(&mut self, node: u32) -> bool {
        self.others.remove(&node).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(own: u32, others: &[u32]) -> Peers {
        let mut peers = Peers::new(own, 2, 3);
        others.iter().for_each(|node| assert!(!peers.beat(*node)));
        peers
    }

    #[test]
    fn a_node_is_lost_after_so_many_beats_without_a_word() {
        let mut peers = peers(1, &[2, 3]);
        for _ in 0..2 {
            assert!(peers.own_beat().is_empty());
        }
        peers.heard(2);
        assert_eq!(peers.own_beat(), [3]);
        assert!(peers.remove(3) && !peers.remove(3) && peers.count() == 1);
        assert!(peers.own_beat().is_empty());
        assert_eq!(peers.own_beat(), [2]);
    }

    #[test]
    fn of_those_who_are_left_the_first_says_it_first() {
        let mut second = peers(2, &[1, 3]);
        for _ in 0..3 {
            second.heard(1);
            assert!(second.own_beat().is_empty());
        }
        second.heard(1);
        assert_eq!(second.own_beat(), [3]);
        // One that is silent itself is not waited for.
        let mut last = peers(3, &[1, 2]);
        let lost = (0..3).map(|_| last.own_beat()).last();
        assert_eq!(lost, Some(vec![1, 2]));
    }

    #[test]
    fn people_count_from_when_their_node_began_to_tell_of_all() {
        let mut peers = peers(1, &[2]);
        assert!(!peers.tells(2, 0) && !peers.all_told());
        assert!(peers.begins(2, 0, false));
        assert!(peers.tells(2, 0) && !peers.tells(2, 1) && peers.beat(2));
        peers.ends(2, 0);
        assert!(!peers.begins(2, 0, false), "it is known already");
        assert!(peers.begins(2, 0, true), "it says so itself");
        peers.begins(2, 1, false);
        peers.ends(2, 1);
        assert!(peers.all_told() && !peers.beat(2));
    }
}
