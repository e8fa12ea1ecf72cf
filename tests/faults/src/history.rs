//! What clients were told beside what is there, and where the two contradict each other.
//!
//! An acknowledged event is in `raw` once; one without an answer is there once or not at all.
//! Whatever is in `raw` is in `events` as often, in the same order within a partition. Each count
//! is the number of events of its kind. Of one client, the acknowledged events stand in the order in
//! which it sent them: it sent one only after the answer to the one before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Kinds of events, each with a count of its own.
pub const KINDS: u64 = 50;

/// An event's number: which client sent it, and how many that one had sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

impl Number {
    /// The number of a client's event.
    pub fn new(client: u32, count: u32) -> Self {
        Self(u64::from(client) << 32 | u64::from(count))
    }

    /// Who sent it.
    pub fn client(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// What kind of event it is.
    pub fn kind(self) -> String {
        format!("kind-{}", self.0 % KINDS)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of client {}", self.0 as u32, self.client())
    }
}

/// What the clients know.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Answered with 2xx.
    pub acknowledged: BTreeSet<Number>,
    /// Not answered, or with an error.
    pub unanswered: BTreeSet<Number>,
}

/// The events of a topic: those of each partition in their order.
pub type Topic = BTreeMap<u32, Vec<Number>>;

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct There {
    /// What the tracker wrote.
    pub raw: Topic,
    /// What the enricher passed on, exactly once.
    pub events: Topic,
    /// What the counters counted of each kind, exactly once.
    pub counted: BTreeMap<String, u64>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It was acknowledged, and is not there.
    #[error("event {0} is lost: it was acknowledged and is not in `raw`")]
    Lost(Number),
    /// It is there more than once.
    #[error("event {number} is in `{topic}` {times} times")]
    Doubled {
        /// Where.
        topic: &'static str,
        /// Which.
        number: Number,
        /// How often.
        times: usize,
    },
    /// It was acknowledged later than one that stands behind it.
    #[error("event {after} stands before {before} in partition {partition} of `{topic}`")]
    Reordered {
        /// Where.
        topic: &'static str,
        /// Where.
        partition: u32,
        /// Which came first.
        before: Number,
        /// Which came second.
        after: Number,
    },
    /// Nobody sent it, or it was never in the topic it came from.
    #[error("event {number} in `{topic}` comes from nowhere")]
    Phantom {
        /// Where.
        topic: &'static str,
        /// Which.
        number: Number,
    },
    /// It was not passed on.
    #[error("event {0} is in `raw` and not in `events`")]
    Stranded(Number),
    /// A count is not the number of events.
    #[error("{counted} events of `{kind}` are counted, {there} are there")]
    Miscounted {
        /// Of which kind.
        kind: String,
        /// The count.
        counted: u64,
        /// How many there are.
        there: u64,
    },
    /// A group does not get to the end.
    #[error("{0}")]
    Stuck(String),
}

/// Everything that must not be.
pub fn check(sent: &Sent, there: &There) -> Vec<Violation> {
    let (raw, events) = (times(&there.raw), times(&there.events));
    let mut found = Vec::new();
    let lost = sent.acknowledged.iter().filter(|number| !raw.contains_key(number));
    found.extend(lost.map(|number| Violation::Lost(*number)));
    for (topic, numbers) in [("raw", &raw), ("events", &events)] {
        let doubled = numbers.iter().filter(|(_, times)| **times > 1);
        found.extend(doubled.map(|(&number, &times)| Violation::Doubled { topic, number, times }));
    }
    let known =
        |number: &Number| sent.acknowledged.contains(number) || sent.unanswered.contains(number);
    let phantom = |topic, number: &Number| Violation::Phantom { topic, number: *number };
    found.extend(raw.keys().filter(|number| !known(number)).map(|number| phantom("raw", number)));
    let invented = events.keys().filter(|number| !raw.contains_key(number));
    found.extend(invented.map(|number| phantom("events", number)));
    let stranded = raw.keys().filter(|number| !events.contains_key(number));
    found.extend(stranded.map(|number| Violation::Stranded(*number)));
    for (topic, partitions) in [("raw", &there.raw), ("events", &there.events)] {
        found.extend(partitions.iter().flat_map(|(partition, numbers)| {
            reordered(topic, *partition, numbers, &sent.acknowledged)
        }));
    }
    found.extend(miscounted(&events, &there.counted));
    found
}

fn times(topic: &Topic) -> BTreeMap<Number, usize> {
    let mut times = BTreeMap::new();
    for number in topic.values().flatten() {
        *times.entry(*number).or_default() += 1;
    }
    times
}

/// Acknowledged events of one client that stand in another order than they were sent in.
fn reordered(
    topic: &'static str,
    partition: u32,
    numbers: &[Number],
    acknowledged: &BTreeSet<Number>,
) -> Vec<Violation> {
    let mut newest: BTreeMap<u32, Number> = BTreeMap::new();
    let mut found = Vec::new();
    for &number in numbers.iter().filter(|number| acknowledged.contains(number)) {
        match newest.get(&number.client()) {
            Some(&after) if after > number => {
                found.push(Violation::Reordered { topic, partition, before: number, after });
            }
            _ => drop(newest.insert(number.client(), number)),
        }
    }
    found
}

fn miscounted(events: &BTreeMap<Number, usize>, counted: &BTreeMap<String, u64>) -> Vec<Violation> {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for (number, times) in events {
        *kinds.entry(number.kind()).or_default() += *times as u64;
    }
    let all: BTreeSet<&String> = kinds.keys().chain(counted.keys()).collect();
    let of = |counts: &BTreeMap<String, u64>, kind| counts.get(kind).copied().unwrap_or_default();
    let pairs = all.into_iter().map(|kind| (kind, of(counted, kind), of(&kinds, kind)));
    let wrong = pairs.filter(|(_, counted, there)| counted != there);
    wrong
        .map(|(kind, counted, there)| Violation::Miscounted { kind: kind.clone(), counted, there })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(client: u32, count: u32) -> Number {
        Number::new(client, count)
    }

    /// Two clients with three events each, the last of which has no answer and is not there.
    fn sent() -> Sent {
        let all = |counts: &[u32]| {
            let each = |client| counts.iter().map(move |count| number(client, *count));
            [1, 2].into_iter().flat_map(each).collect()
        };
        Sent { acknowledged: all(&[0, 1]), unanswered: all(&[2]) }
    }

    fn there() -> There {
        let raw = Topic::from([
            (0, vec![number(1, 0), number(1, 1)]),
            (1, vec![number(2, 0), number(2, 1)]),
        ]);
        let mut counted = BTreeMap::new();
        for number in raw.values().flatten() {
            *counted.entry(number.kind()).or_default() += 1;
        }
        There { events: raw.clone(), raw, counted }
    }

    fn violations(change: impl FnOnce(&mut There)) -> Vec<Violation> {
        let mut there = there();
        change(&mut there);
        check(&sent(), &there)
    }

    /// What the change of a topic alone brings about, in both topics and the counts.
    fn planted(change: impl Fn(&mut Topic)) -> Vec<Violation> {
        violations(|there| {
            change(&mut there.raw);
            there.events = there.raw.clone();
            there.counted.clear();
            for number in there.raw.values().flatten() {
                *there.counted.entry(number.kind()).or_default() += 1;
            }
        })
    }

    #[test]
    fn a_history_without_faults_has_no_violation_whether_the_unanswered_are_there_or_not() {
        assert_eq!(violations(|_| {}), []);
        let late = |topic: &mut Topic| topic.entry(1).or_default().push(number(2, 2));
        assert_eq!(planted(late), []);
    }

    #[test]
    fn a_planted_loss_is_found() {
        let lose = |topic: &mut Topic| topic.entry(0).or_default().truncate(1);
        assert_eq!(planted(lose), [Violation::Lost(number(1, 1))]);
    }

    #[test]
    fn a_planted_double_is_found_in_the_topic_where_it_is() {
        let double = |topic: &mut Topic| topic.entry(1).or_default().push(number(2, 1));
        let doubled = |topic| Violation::Doubled { topic, number: number(2, 1), times: 2 };
        assert_eq!(planted(double), [doubled("raw"), doubled("events")]);
        let passed_on_twice = violations(|there| {
            double(&mut there.events);
            *there.counted.entry(number(2, 1).kind()).or_default() += 1;
        });
        assert_eq!(passed_on_twice, [doubled("events")]);
    }

    #[test]
    fn a_planted_reorder_is_found() {
        let found = planted(|topic| topic.entry(0).or_default().reverse());
        let reordered = |topic| Violation::Reordered {
            topic,
            partition: 0,
            before: number(1, 0),
            after: number(1, 1),
        };
        assert_eq!(found, [reordered("raw"), reordered("events")]);
    }

    #[test]
    fn a_phantom_and_a_stranded_event_are_found() {
        let found = planted(|topic| topic.entry(1).or_default().push(number(9, 9)));
        assert_eq!(found, [Violation::Phantom { topic: "raw", number: number(9, 9) }]);
        let found = violations(|there| {
            there.events.entry(0).or_default().clear();
            there.events.entry(1).or_default().push(number(1, 2));
            there.counted.clear();
            for number in there.events.values().flatten() {
                *there.counted.entry(number.kind()).or_default() += 1;
            }
        });
        let expected = [
            Violation::Phantom { topic: "events", number: number(1, 2) },
            Violation::Stranded(number(1, 0)),
            Violation::Stranded(number(1, 1)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_wrong_count_is_found() {
        let kind = number(1, 0).kind();
        let found = violations(|there| *there.counted.entry(kind.clone()).or_default() += 1);
        let is = |found: &Violation| matches!(found, Violation::Miscounted { kind: of, .. } if *of == kind);
        assert!(found.len() == 1 && is(&found[0]), "{found:?}");
    }
}
