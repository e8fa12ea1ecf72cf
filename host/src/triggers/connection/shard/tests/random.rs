//! Many operations in no order, against a model of what each client must get.
//!
//! A client reads on a thread of its own and notes what comes. When all is done each of them must
//! have, of each time it was in a channel, frames without a gap from the place where it joined;
//! and all of them if it has not left. What was sent to it alone must be there in order, up to the
//! close frame if there is one.

use std::{
    collections::HashMap,
    io::Write,
    net::Shutdown,
    sync::Arc,
    thread::{self, JoinHandle},
};

use proptest::prelude::*;

use super::{
    Client, Rig, Served,
    client::{CLOSE, PING, PONG, TEXT, masked},
    until,
};
use crate::backends::channels::{Channel, Frame, Limits, Options, Start};

const CHANNELS: usize = 3;
const OPERATIONS: usize = 200;

#[derive(Clone, Debug)]
enum Operation {
    Enter,
    Join { client: usize, channel: usize, recent: usize },
    Leave { client: usize, channel: usize },
    Send { client: usize },
    Publish { channel: usize, frames: usize },
    Ping { client: usize },
    Close { client: usize },
    ClientCloses { client: usize },
    Vanish { client: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    let (client, channel) = (0_usize..20, 0..CHANNELS);
    prop_oneof![
        2 => Just(Operation::Enter),
        4 => (client.clone(), channel.clone(), 0_usize..5)
            .prop_map(|(client, channel, recent)| Operation::Join { client, channel, recent }),
        2 => (client.clone(), channel.clone())
            .prop_map(|(client, channel)| Operation::Leave { client, channel }),
        4 => client.clone().prop_map(|client| Operation::Send { client }),
        6 => (channel, 1_usize..20)
            .prop_map(|(channel, frames)| Operation::Publish { channel, frames }),
        2 => client.clone().prop_map(|client| Operation::Ping { client }),
        1 => client.clone().prop_map(|client| Operation::Close { client }),
        1 => client.clone().prop_map(|client| Operation::ClientCloses { client }),
        1 => client.prop_map(|client| Operation::Vanish { client }),
    ]
}

/// What a client got, in order, by channel; what was sent to it alone has the last place.
type Got = [Vec<usize>; CHANNELS + 1];

/// What is known of a client.
struct Known {
    served: Served,
    /// The client's side for writing; none once it has nothing more to say.
    speaks: Option<Client>,
    reader: JoinHandle<(Got, usize, bool)>,
    /// The first number of each time in a channel, and whether it is still in there.
    joined: HashMap<usize, (Vec<usize>, bool)>,
    sent: usize,
    pinged: usize,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    ClosedByHost,
    ClosedByClient,
    Vanished,
}

impl Known {
    fn is_open(&self) -> bool {
        self.fate == Fate::Open
    }
}

/// Reads until the connection ends: what came, how many pongs, and whether there was a close.
fn read(mut client: Client) -> (Got, usize, bool) {
    let (mut got, mut pongs) = (Got::default(), 0);
    let mut peeked = [0];
    while client.stream.peek(&mut peeked).is_ok_and(|count| count > 0) {
        match client.frame() {
            (TEXT, payload) => {
                let text = String::from_utf8(payload).unwrap();
                let (place, number) = text.split_once(' ').unwrap();
                got[place.parse::<usize>().unwrap()].push(number.parse().unwrap());
            }
            (PONG, _) => pongs += 1,
            (CLOSE, payload) => {
                let answer = masked(CLOSE, &payload);
                // The host may not wait for it.
                let _ = client.stream.write_all(&answer);
                return (got, pongs, true);
            }
            other => panic!("{other:?}"),
        }
    }
    (got, pongs, false)
}

struct World {
    rig: Rig,
    channels: Vec<Arc<Channel>>,
    published: [usize; CHANNELS],
    clients: Vec<Known>,
}

impl World {
    fn new() -> Self {
        let rig = Rig::new();
        // None of what is published is passed over, however long a client takes to be served.
        let limits = Limits { frames: 20 * OPERATIONS, bytes: 1 << 20 };
        let options = Options { limits, ..Options::default() };
        let open = |number: usize| rig.channels.open(&number.to_string(), options).unwrap();
        let channels = (0..CHANNELS).map(open).collect();
        Self { rig, channels, published: [0; CHANNELS], clients: vec![] }
    }

    fn act(&mut self, operation: &Operation) {
        match *operation {
            Operation::Enter => self.enter(),
            Operation::Publish { channel, frames } => self.publish(channel, frames),
            Operation::Join { client, .. }
            | Operation::Leave { client, .. }
            | Operation::Send { client }
            | Operation::Ping { client }
            | Operation::Close { client }
            | Operation::ClientCloses { client }
            | Operation::Vanish { client } => self.act_on(client, operation),
        }
    }

    fn enter(&mut self) {
        if self.clients.len() >= 20 {
            return;
        }
        let (speaks, served) = self.rig.websocket(&[]);
        let reads = Client { stream: speaks.stream.try_clone().unwrap() };
        self.clients.push(Known {
            served,
            speaks: Some(speaks),
            reader: thread::spawn(|| read(reads)),
            joined: HashMap::new(),
            sent: 0,
            pinged: 0,
            fate: Fate::Open,
        });
    }

    fn publish(&mut self, channel: usize, frames: usize) {
        for _ in 0..frames {
            let number = self.published[channel];
            self.channels[channel].push(Frame::text(format!("{channel} {number}")));
            self.published[channel] += 1;
        }
    }

    fn act_on(&mut self, client: usize, operation: &Operation) {
        let Some(known) = self.clients.get_mut(client).filter(|known| known.is_open()) else {
            return;
        };
        match *operation {
            Operation::Join { channel, recent, .. } => {
                let (starts, is_in) = known.joined.entry(channel).or_default();
                if !*is_in {
                    let start = if recent == 0 { Start::Next } else { Start::Recent(recent) };
                    known.served.handle.join(self.channels[channel].listen(start).0);
                    starts.push(self.published[channel].saturating_sub(recent));
                    *is_in = true;
                }
            }
            Operation::Leave { channel, .. } => {
                known.served.handle.leave(&self.channels[channel]);
                known.joined.entry(channel).or_default().1 = false;
            }
            Operation::Send { .. } => {
                known.served.handle.send(Frame::text(format!("{CHANNELS} {}", known.sent)));
                known.sent += 1;
            }
            Operation::Ping { .. } => {
                known.speaks.as_mut().unwrap().send(PING, b"p");
                known.pinged += 1;
            }
            Operation::Close { .. } => {
                known.served.handle.close(4000, "");
                known.fate = Fate::ClosedByHost;
            }
            Operation::ClientCloses { .. } => {
                known.speaks.take().unwrap().send(CLOSE, b"\x03\xe8");
                known.fate = Fate::ClosedByClient;
            }
            Operation::Vanish { .. } => {
                let stream = known.speaks.take().unwrap().stream;
                stream.shutdown(Shutdown::Both).unwrap();
                known.fate = Fate::Vanished;
            }
            Operation::Enter | Operation::Publish { .. } => {}
        }
    }

    /// Wait until all has arrived, and check it.
    fn end(self) {
        let Self { rig, channels, published, clients } = self;
        // Whoever joins, or is told, after this has lost nothing before.
        for channel in &channels {
            until("all is told", || channel.behind() == 0);
        }
        for known in &clients {
            if known.is_open() {
                // All before it is written by then; channels too, as they were told.
                known.served.handle.close(4001, "");
            }
        }
        for known in clients {
            let (got, pongs, closed) = known.reader.join().unwrap();
            drop(known.speaks);
            known.served.ending();
            assert!(pongs <= known.pinged);
            assert_eq!(closed, known.fate != Fate::Vanished);
            let is_whole = matches!(known.fate, Fate::Open | Fate::ClosedByHost);
            let sent: Vec<_> = (0..known.sent).collect();
            assert!(sent.starts_with(&got[CHANNELS]));
            assert!(!is_whole || got[CHANNELS] == sent);
            for (channel, numbers) in got[..CHANNELS].iter().enumerate() {
                let (starts, is_in) = known.joined.get(&channel).cloned().unwrap_or_default();
                let last = runs(numbers, &starts);
                if is_in && known.fate == Fate::Open {
                    let from = starts.last().copied().unwrap();
                    assert!(last == Some(published[channel]) || from == published[channel]);
                }
            }
        }
        assert_eq!(rig.shards.connections(), 0);
        assert!(channels.iter().all(|channel| channel.listeners() == 0));
        assert!(
            channels.iter().all(|channel| channel.tally().lost() + channel.tally().kicked() == 0)
        );
    }
}

/// The number after the last, if these are runs without a gap, of which each begins at one of the
/// starts, in their order.
fn runs(numbers: &[usize], starts: &[usize]) -> Option<usize> {
    let (mut next, mut starts) = (None, starts.iter());
    for number in numbers {
        if next != Some(*number) {
            assert!(starts.any(|start| start == number), "a gap before {number}");
        }
        next = Some(number + 1);
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn whatever_happens_each_client_gets_what_is_its_own_and_no_gap(
        operations in proptest::collection::vec(operation(), OPERATIONS),
    ) {
        let mut world = World::new();
        world.act(&Operation::Enter);
        operations.iter().for_each(|operation| world.act(operation));
        world.end();
    }
}
