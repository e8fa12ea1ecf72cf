//! Which entries of a partition were taken: each node's once, and in the order in which it has
//! numbered them.

use std::collections::HashMap;

use super::entry::Head;

/// By node: the number that comes next.
#[derive(Debug, Default)]
pub struct Seen(HashMap<u32, u64>);

impl Seen {
    /// Whether an entry comes next. What came before is there already; what comes after something
    /// that is missing will come again behind that.
    pub fn take(&mut self, head: Head) -> bool {
        // Of a node that is new here, wherever it stands.
        let next = self.0.entry(head.node).or_insert(head.number);
        let comes = *next == head.number;
        if comes {
            *next += 1;
        }
        comes
    }

    /// Entries were deleted before they could be read: nodes stand wherever they stand.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nodes_entries_are_taken_once_and_in_order() {
        let mut seen = Seen::default();
        let mut take = |node, number| seen.take(Head { node, number });
        // A node is taken up where it stands.
        assert!(take(1, 40) && take(2, 0) && take(1, 41));
        // A write that failed and happened all the same comes again.
        assert!(!take(1, 40) && !take(1, 41) && take(1, 42));
        // One that was written before the one that failed waits for its turn.
        assert!(!take(1, 44) && take(1, 43) && take(1, 44));
        seen.forget();
        assert!(seen.take(Head { node: 1, number: 99 }));
    }
}
