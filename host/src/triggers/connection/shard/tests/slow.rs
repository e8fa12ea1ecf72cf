//! Listeners that read slowly or not at all, and those beside them.

use std::{
    io::Write,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
    time::Duration,
};

use super::{
    super::{Cause, Settings},
    Client, Rig, Served,
    client::{CLOSE, PING, TEXT, close_payload, masked},
    listen, raw, until, websocket,
};
use crate::backends::channels::{Channel, Frame, Slow};

const FRAMES: usize = 3000;
const SIZE: usize = 2000;

/// A frame that begins with its number.
fn frame(number: usize) -> Frame {
    Frame::text(format!("{number:0>8}{}", "x".repeat(SIZE - 8)))
}

fn number(payload: &[u8]) -> usize {
    assert_eq!(payload.len(), SIZE);
    str::from_utf8(&payload[..8]).unwrap().parse().unwrap()
}

/// Push all frames while a client reads them, and must get all. Nobody is far behind it.
fn push_while_reading(channel: &Channel, fast: &mut Client) {
    let read = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for expected in 0..FRAMES {
                assert_eq!(number(fast.text().as_bytes()), expected);
                read.store(expected + 1, SeqCst);
            }
        });
        for next in 0..FRAMES {
            until("the fast one reads", || next - read.load(SeqCst) < 20);
            channel.push(frame(next));
        }
    });
}

/// A channel with a client that has read everything, and one that has read nothing.
fn beside_a_fast_one(slow: Slow) -> (Rig, Arc<Channel>, Client, Served) {
    let rig = Rig::new();
    let channel = rig.limited(50, 1 << 20, slow);
    let (mut fast, _fast) = rig.websocket(&[&channel]);
    let (client, served) = rig.serve(rig.door.enter_narrow(), websocket(), listen(&[&channel]));
    push_while_reading(&channel, &mut fast);
    drop(fast);
    until("the fast one is gone", || channel.listeners() < 2);
    (rig, channel, client, served)
}

/// The numbers of the frames up to the last.
fn numbers(client: &mut Client) -> Vec<usize> {
    let mut numbers = vec![];
    while numbers.last() != Some(&(FRAMES - 1)) {
        numbers.push(number(client.text().as_bytes()));
    }
    assert!(numbers.is_sorted_by(|one, next| one < next));
    numbers
}

#[test]
fn a_slow_listener_that_drops_the_oldest_goes_on_with_what_the_ring_has() {
    let (_rig, channel, mut client, served) = beside_a_fast_one(Slow::DropOldest);
    let numbers = numbers(&mut client);
    let gaps: Vec<_> =
        numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(numbers.len() as u64 + channel.tally().lost(), FRAMES as u64);
    assert!(numbers.ends_with(&(FRAMES - 50..FRAMES).collect::<Vec<_>>()));
    assert_eq!((channel.listeners(), channel.tally().kicked()), (1, 0));
    assert!(served.inbox.seen.lock().unwrap().endings.is_empty());
}

#[test]
fn a_slow_listener_that_skips_to_live_goes_on_with_the_newest() {
    let (_rig, channel, mut client, _served) = beside_a_fast_one(Slow::SkipToLive);
    let numbers = numbers(&mut client);
    assert_eq!(numbers.len() as u64 + channel.tally().lost(), FRAMES as u64);
    assert!(numbers[numbers.len() - 2] < FRAMES - 50);
    assert_eq!(channel.tally().kicked(), 0);
}

#[test]
fn a_slow_listener_that_must_not_miss_a_frame_is_disconnected() {
    let (_rig, channel, _client, served) = beside_a_fast_one(Slow::Disconnect);
    let ending = served.ending();
    assert_eq!((ending.cause, ending.code), (Cause::Slow, 1013));
    assert_eq!((channel.listeners(), channel.tally().lost(), channel.tally().kicked()), (0, 0, 1));
}

#[test]
fn a_slow_listener_that_still_reads_is_told_why_it_is_disconnected() {
    let rig = Rig::new();
    let channel = rig.limited(2, 1 << 20, Slow::Disconnect);
    let (mut client, served) = rig.serve(rig.door.enter_narrow(), websocket(), listen(&[&channel]));
    let reader = thread::spawn(move || {
        loop {
            let (opcode, payload) = client.frame();
            if opcode == CLOSE {
                return close_payload(&payload).0;
            }
        }
    });
    // Far faster than anybody reads.
    until("it is too slow", || {
        (0..100).for_each(|number| _ = channel.push(frame(number)));
        channel.tally().kicked() > 0
    });
    assert_eq!(reader.join().unwrap(), 1013);
    assert_eq!(served.ending().cause, Cause::Slow);
}

#[test]
fn a_listener_that_takes_no_byte_for_long_is_cut_whatever_its_channel_wants() {
    let settings = Settings { stalled: Duration::from_millis(300), ..Settings::default() };
    for protocol in [websocket(), raw()] {
        let rig = Rig::with(settings);
        let channel = rig.limited(4, 64 << 20, Slow::DropOldest);
        let sides = rig.door.enter_narrow();
        let (_client, served) = rig.serve(sides, protocol, listen(&[&channel]));
        channel.push(Frame::binary(vec![0; 16 << 20]));
        assert_eq!(served.ending().cause, Cause::Slow);
        assert_eq!((channel.listeners(), channel.tally().kicked()), (0, 1));
    }
}

#[test]
fn a_client_that_reads_bit_by_bit_is_not_stalled() {
    let settings = Settings { stalled: Duration::from_secs(2), ..Settings::default() };
    let rig = Rig::with(settings);
    let channel = rig.limited(4, 64 << 20, Slow::DropOldest);
    let sides = rig.door.enter_narrow();
    let (mut client, served) = rig.serve(sides, raw(), listen(&[&channel]));
    channel.push(Frame::binary(vec![7; 2 << 20]));
    for _ in 0..32 {
        thread::sleep(Duration::from_millis(100));
        assert_eq!(client.bytes(64 << 10), vec![7; 64 << 10]);
    }
    assert!(served.inbox.seen.lock().unwrap().endings.is_empty());
}

#[test]
fn a_client_to_which_too_much_is_sent_alone_is_disconnected() {
    let rig = Rig::new();
    let (_client, served) = rig.serve(rig.door.enter_narrow(), websocket(), vec![]);
    until("it is too slow", || {
        served.handle.send(frame(0));
        !served.inbox.seen.lock().unwrap().endings.is_empty()
    });
    assert_eq!(served.ending().cause, Cause::Slow);
    assert_eq!(served.handle.waiting(), 0);
}

#[test]
fn what_is_sent_at_a_clients_pace_arrives_however_much_it_is() {
    let rig = Rig::new();
    let (mut client, served) = rig.serve(rig.door.enter_narrow(), websocket(), vec![]);
    let reader = thread::spawn(move || {
        for expected in 0..FRAMES {
            assert_eq!(number(client.text().as_bytes()), expected);
        }
        client
    });
    for next in 0..FRAMES {
        until("the client reads", || served.handle.waiting() < 32 << 10);
        served.handle.send(frame(next));
    }
    let _client = reader.join().unwrap();
    until("all is written", || served.handle.waiting() == 0);
}

#[test]
fn pings_that_are_not_read_pile_up_nothing() {
    let rig = Rig::new();
    let channel = rig.limited(4, 64 << 20, Slow::DropOldest);
    let (mut client, _served) =
        rig.serve(rig.door.enter_narrow(), websocket(), listen(&[&channel]));
    channel.push(Frame::text("y".repeat(4 << 20)));
    let (mut pinging, mut pongs) = (client.stream.try_clone().unwrap(), vec![]);
    let pinger = thread::spawn(move || {
        for number in 0..50_000_u32 {
            let ping = masked(PING, &number.to_be_bytes());
            pinging.write_all(&ping).unwrap();
        }
    });
    // Only once all pings are in the host is the frame read.
    pinger.join().unwrap();
    while pongs.last() != Some(&49_999) {
        let (opcode, payload) = client.frame();
        if opcode == TEXT {
            assert_eq!(payload.len(), 4 << 20);
        } else {
            pongs.push(u32::from_be_bytes(payload.try_into().unwrap()));
        }
    }
    assert!(pongs.is_sorted());
    assert!(pongs.len() < 50_000, "{}", pongs.len());
}
