//! What clients send gets to their inbox, at its pace.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use socket2::SockRef;

use super::{
    super::{Cause, Decoder, Message, Protocol},
    Rig,
    client::{BINARY, CLOSE, TEXT, masked},
    websocket,
};
use crate::triggers::connection::websocket::Deflater;

#[test]
fn messages_arrive_in_order_however_they_are_cut() {
    let rig = Rig::new();
    let (client, served) = rig.websocket(&[]);
    let messages: Vec<_> = (0..50).map(|number| vec![number as u8; number * 997]).collect();
    let bytes: Vec<_> = messages.iter().flat_map(|message| masked(BINARY, message)).collect();
    for piece in bytes.chunks(1013) {
        (&client.stream).write_all(piece).unwrap();
    }
    let expected: Vec<_> =
        messages.into_iter().map(|bytes| Message::Binary(bytes.into())).collect();
    assert_eq!(served.inbox.messages(50), expected);
}

#[test]
fn what_came_behind_the_request_is_the_beginning() {
    let rig = Rig::new();
    let bytes = masked(TEXT, b"hello");
    let (leftover, rest) = bytes.split_at(4);
    let (client, served) = rig.serve_with(rig.door.enter(), websocket(), vec![], "", leftover);
    (&client.stream).write_all(rest).unwrap();
    assert_eq!(served.inbox.messages(1), [Message::Text("hello".into())]);
}

#[test]
fn compressed_messages_are_inflated() {
    let rig = Rig::new();
    let protocol = Protocol::Websocket { decoder: Decoder::new(1000, true), compressed: true };
    let (mut client, served) = rig.serve(rig.door.enter(), protocol, vec![]);
    let mut deflater = Deflater::new();
    let text = "abc".repeat(100);
    client.send(0x40 | TEXT, deflater.deflate(text.as_bytes()).unwrap());
    assert_eq!(served.inbox.messages(1), [Message::Text(text.into())]);
}

#[test]
fn a_full_inbox_gets_no_more_until_it_says_so_and_loses_nothing() {
    let rig = Rig::new();
    let (mut client, served) = rig.websocket(&[]);
    served.inbox.full_from(3);
    // More than any buffer holds.
    let writer = thread::spawn(move || {
        for number in 0..2000_u32 {
            client.send(BINARY, &[&number.to_be_bytes()[..], &[0; 10_000]].concat());
        }
        client.send(CLOSE, b"");
        client
    });
    for full in 4..500 {
        assert_eq!(served.inbox.messages(full).len(), full);
        served.handle.resume();
    }
    served.inbox.full_from(usize::MAX);
    served.handle.resume();
    let messages = served.inbox.messages(2000);
    for (number, message) in messages.iter().enumerate() {
        let Message::Binary(bytes) = message else { panic!("a text") };
        assert_eq!(bytes[..4], (number as u32).to_be_bytes());
    }
    let _client = writer.join().unwrap();
    served.ending();
}

#[test]
fn a_client_that_resets_the_connection_is_noticed_even_if_it_is_not_heard() {
    let rig = Rig::new();
    let (mut client, served) = rig.websocket(&[]);
    served.inbox.full_from(0);
    client.send(BINARY, b"x");
    served.inbox.messages(1);
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(served.ending().cause, Cause::Lost);
}

#[test]
fn a_client_that_sends_without_end_leaves_others_their_turn() {
    let rig = Rig::new();
    let (flooding, _flooding) = rig.websocket(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let flood = thread::spawn(move || {
        let bytes = masked(BINARY, &[0; 1000]).repeat(100);
        while !stopped.load(SeqCst) {
            (&flooding.stream).write_all(&bytes).unwrap();
        }
    });
    for _ in 0..20 {
        let (mut client, served) = rig.websocket(&[]);
        client.send(TEXT, b"x");
        served.inbox.messages(1);
    }
    stop.store(true, SeqCst);
    flood.join().unwrap();
}
