//! Orders to one connection.

use std::thread;

use super::Rig;
use crate::backends::channels::Frame;

#[test]
fn what_one_caller_sends_arrives_in_order_among_that_of_others() {
    let rig = Rig::new();
    let (mut client, served) = rig.websocket(&[]);
    thread::scope(|scope| {
        for caller in 0..4 {
            let handle = served.handle.clone();
            scope.spawn(move || {
                for number in 0..500 {
                    handle.send(Frame::text(format!("{caller} {number}")));
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..2000 {
            let text = client.text();
            let (caller, number) = text.split_once(' ').unwrap();
            let next = &mut next[caller.parse::<usize>().unwrap()];
            assert_eq!(number, next.to_string());
            *next += 1;
        }
    });
}

#[test]
fn connections_are_spread_over_the_shards() {
    let rig = Rig::new();
    let _clients: Vec<_> = (0..10).map(|_| rig.websocket(&[])).collect();
    let counts: Vec<_> = rig.shards.mailboxes.iter().map(|mailbox| mailbox.connections()).collect();
    assert_eq!(counts, [5, 5]);
}
