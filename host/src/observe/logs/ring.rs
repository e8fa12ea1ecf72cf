//! The lines that are kept: as many as fit, of everybody a fair share.
//!
//! When there are too many, the oldest line of whoever has most goes. So a plugin that floods the
//! log drives out its own lines, and what others had to say stays.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::Line;

/// Recent lines.
#[derive(Default)]
pub struct Ring {
    /// By whom they are about; `None` is the host itself.
    shares: HashMap<Option<String>, Share>,
    count: usize,
    bytes: usize,
    /// The number of the next line.
    next: u64,
}

/// The lines about one plugin, with their numbers, oldest first.
#[derive(Default)]
struct Share {
    lines: VecDeque<(u64, Arc<Line>)>,
    bytes: usize,
}

impl Ring {
    /// Keep a line, and of all no more than `most` lines and `most_bytes`.
    pub fn push(&mut self, line: Arc<Line>, most: usize, most_bytes: usize) {
        let size = line.size();
        if !self.shares.contains_key(&line.plugin) {
            self.shares.insert(line.plugin.clone(), Share::default());
        }
        if let Some(share) = self.shares.get_mut(&line.plugin) {
            share.lines.push_back((self.next, line));
            share.bytes += size;
        }
        self.next += 1;
        self.count += 1;
        self.bytes += size;
        while self.bytes > most_bytes && self.drop_one(|share| share.bytes) {}
        while self.count > most && self.drop_one(|share| share.lines.len()) {}
    }

    /// Drop the oldest line of the largest share; whether there was one.
    fn drop_one(&mut self, size: impl Fn(&Share) -> usize) -> bool {
        let oldest = |share: &Share| share.lines.front().map(|(number, _)| *number);
        let by_size =
            |(_, share): &(&Option<String>, &mut Share)| (size(share), Reverse(oldest(share)));
        let Some((owner, share)) = self.shares.iter_mut().max_by_key(by_size) else { return false };
        if let Some((_, line)) = share.lines.pop_front() {
            share.bytes -= line.size();
            self.bytes -= line.size();
            self.count -= 1;
        }
        if share.lines.is_empty() {
            let owner = owner.clone();
            self.shares.remove(&owner);
        }
        true
    }

    /// The last `most` lines, oldest first; those about one plugin, if one is named.
    pub fn recent(&self, plugin: Option<&str>, most: usize) -> Vec<Arc<Line>> {
        let mut lines: Vec<_> = match plugin {
            Some(plugin) => {
                let share = self.shares.get(&Some(plugin.to_owned()));
                share.into_iter().flat_map(|share| &share.lines).collect()
            }
            None => self.shares.values().flat_map(|share| &share.lines).collect(),
        };
        lines.sort_unstable_by_key(|(number, _)| *number);
        let behind = lines.len().saturating_sub(most);
        lines[behind..].iter().map(|(_, line)| line.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(plugin: Option<&str>, message: &str) -> Arc<Line> {
        let plugin = plugin.map(str::to_owned);
        Arc::new(Line { plugin, message: message.to_owned(), ..Line::default() })
    }

    fn messages(lines: &[Arc<Line>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn a_flood_drives_out_its_own_lines() {
        let mut ring = Ring::default();
        ring.push(line(None, "the host"), 4, 1 << 20);
        ring.push(line(Some("quiet"), "one word"), 4, 1 << 20);
        for number in 0..100 {
            ring.push(line(Some("loud"), &number.to_string()), 4, 1 << 20);
        }
        assert_eq!(messages(&ring.recent(None, 9)), ["the host", "one word", "98", "99"]);
        assert_eq!(messages(&ring.recent(Some("loud"), 1)), ["99"]);
        assert_eq!(messages(&ring.recent(Some("quiet"), 9)), ["one word"]);
    }

    #[test]
    fn long_lines_drive_out_the_lines_of_whoever_wrote_them() {
        let mut ring = Ring::default();
        for _ in 0..10 {
            ring.push(line(Some("brief"), "word"), 1000, 20 << 10);
        }
        for _ in 0..100 {
            ring.push(line(Some("loud"), &"~".repeat(4 << 10)), 1000, 20 << 10);
        }
        assert_eq!(ring.recent(Some("brief"), 99).len(), 10);
        assert!(ring.bytes <= 20 << 10 && ring.recent(Some("loud"), 99).len() >= 3);
    }

    #[test]
    fn a_share_that_is_empty_is_gone() {
        let mut ring = Ring::default();
        for number in 0..100 {
            ring.push(line(Some(&format!("p{number}")), ""), 10, 1 << 20);
        }
        assert_eq!((ring.shares.len(), ring.count), (10, 10));
    }
}
