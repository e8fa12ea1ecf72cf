//! How connections end, by either side.

use std::{
    io::Write,
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use super::{
    super::{Cause, Protocol, Settings},
    Rig,
    client::{BINARY, CLOSE, PING, PONG, TEXT, masked},
    listen, raw, until, websocket,
};
use crate::backends::channels::{Frame, Start};

#[test]
fn a_clients_close_is_answered_with_its_code_and_the_socket_closed() {
    let rig = Rig::new();
    for (payload, code) in [(&b""[..], 1005), (b"\x03\xe8bye", 1000), (b"\x0f\xa0", 4000)] {
        let (mut client, served) = rig.websocket(&[]);
        client.send(CLOSE, payload);
        assert_eq!(client.close().0, code);
        assert_eq!(client.rest(), b"");
        drop(client);
        let ending = served.ending();
        assert_eq!((ending.cause, ending.code), (Cause::Client, code));
        assert_eq!(ending.reason.as_bytes(), payload.get(2..).unwrap_or_default());
    }
    until("nobody is there", || rig.shards.connections() == 0);
}

#[test]
fn the_hosts_close_comes_behind_what_was_sent_and_waits_for_the_answer() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    let (mut client, served) = rig.websocket(&[&channel]);
    (0..10).for_each(|_| served.handle.send(Frame::text("x")));
    served.handle.close(4001, "enough");
    served.handle.send(Frame::text("too late"));
    (0..10).for_each(|_| assert_eq!(client.text(), "x"));
    assert_eq!(client.close(), (4001, "enough".into()));
    channel.push(Frame::text("too late"));
    // Nothing but the answer counts any more.
    client.send(TEXT, b"ignored");
    client.send(CLOSE, b"\x0f\xa1");
    assert_eq!(client.rest(), b"");
    drop(client);
    let ending = served.ending();
    assert_eq!((ending.cause, ending.code, &*ending.reason), (Cause::Host, 4001, "enough"));
    assert!(served.inbox.seen.lock().unwrap().messages.is_empty());
}

#[test]
fn a_client_that_does_not_answer_a_close_is_cut() {
    let rig = Rig::new();
    let (mut client, served) = rig.websocket(&[]);
    served.handle.close(1000, "");
    assert_eq!(client.close().0, 1000);
    assert_eq!(client.rest(), b"");
    assert_eq!(served.ending().cause, Cause::Host);
}

#[test]
fn a_stream_is_closed_when_all_that_was_sent_is_written() {
    let rig = Rig::new();
    let (mut client, served) = rig.serve(rig.door.enter(), raw(), vec![]);
    served.handle.send(Frame::binary(vec![1; 300_000]));
    served.handle.close(1000, "");
    assert_eq!(client.rest(), vec![1; 300_000]);
    drop(client);
    assert_eq!(served.ending().cause, Cause::Host);
}

#[test]
fn a_stream_ends_with_the_clients_end_of_file_whatever_it_sent() {
    let rig = Rig::new();
    for protocol in [raw(), Protocol::EventStream] {
        let (client, served) = rig.serve(rig.door.enter(), protocol, vec![]);
        (&client.stream).write_all(&[0x81; 300_000]).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(served.ending().cause, Cause::Client);
        assert!(served.inbox.seen.lock().unwrap().messages.is_empty());
    }
}

#[test]
fn a_client_that_disappears_is_noticed() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    let (client, served) = rig.websocket(&[&channel]);
    drop(client);
    let ending = served.ending();
    assert_eq!((ending.cause, ending.code), (Cause::Lost, 1006));
    assert_eq!((channel.listeners(), rig.shards.connections()), (0, 0));
    // What is ordered now is nothing.
    served.handle.send(Frame::text("x"));
    served.handle.join(channel.listen(Start::Next).0);
    served.handle.close(1000, "");
    assert_eq!((channel.listeners(), served.handle.waiting()), (0, 0));
}

#[test]
fn a_client_that_resets_the_connection_while_frames_come_is_noticed() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    let (client, served) = rig.websocket(&[&channel]);
    channel.push(Frame::text("x"));
    until("the frame is there", || client.stream.peek(&mut [0]).is_ok());
    // Closed with unread bytes, the client's system resets the connection.
    drop(client);
    until("it is lost", || {
        channel.push(Frame::text("x"));
        !served.inbox.seen.lock().unwrap().endings.is_empty()
    });
    assert_eq!(served.ending().cause, Cause::Lost);
}

#[test]
fn garbage_is_answered_with_a_close_frame_that_says_what_is_wrong() {
    let rig = Rig::new();
    let too_big = [&[0x82, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0][..], &[0; 4]].concat();
    let not_text = masked(TEXT, &[0xff, 0xfe]);
    for (bytes, code) in
        [(&b"GET / HTTP/1.1\r\n\r\n"[..], 1002), (&too_big, 1009), (&not_text, 1007)]
    {
        let (mut client, served) = rig.websocket(&[]);
        client.stream.write_all(bytes).unwrap();
        assert_eq!(client.close().0, code);
        assert_eq!(client.rest(), b"");
        drop(client);
        let ending = served.ending();
        assert_eq!((ending.cause, ending.code), (Cause::Violation, code));
    }
}

#[test]
fn pings_are_answered_in_order() {
    let rig = Rig::new();
    let (mut client, _served) = rig.websocket(&[]);
    for number in 0..10 {
        client.send(PING, &[number]);
    }
    for number in 0..10 {
        assert_eq!(client.frame(), (PONG, vec![number]));
    }
}

#[test]
fn a_silent_client_is_pinged_and_cut_if_it_stays_silent() {
    let settings = Settings { ping: Duration::from_millis(300), ..Settings::default() };
    let rig = Rig::with(settings);
    let (mut client, served) = rig.websocket(&[]);
    for _ in 0..3 {
        assert_eq!(client.frame(), (PING, vec![]));
        client.send(PONG, b"");
    }
    assert_eq!(client.frame(), (PING, vec![]));
    assert_eq!(client.rest(), b"");
    let ending = served.ending();
    assert_eq!((ending.cause, ending.code), (Cause::Lost, 1006));
}

#[test]
fn a_client_that_the_inbox_does_not_hear_is_not_called_silent() {
    let settings = Settings { ping: Duration::from_millis(200), ..Settings::default() };
    let rig = Rig::with(settings);
    let (mut client, served) = rig.websocket(&[]);
    served.inbox.full_from(0);
    client.send(BINARY, b"x");
    served.inbox.messages(1);
    thread::sleep(Duration::from_millis(1500));
    assert!(served.inbox.seen.lock().unwrap().endings.is_empty());
}

#[test]
fn a_shutdown_closes_every_connection_and_cuts_who_does_not_answer() {
    let rig = Rig::new();
    let (mut polite, served) = rig.websocket(&[]);
    let (mut stubborn, other) = rig.websocket(&[]);
    let polite = thread::spawn(move || {
        let close = polite.close();
        polite.send(CLOSE, b"\x03\xe9");
        assert_eq!(polite.rest(), b"");
        close
    });
    let start = Instant::now();
    rig.shards.close(1001, "until tomorrow", Duration::from_millis(500));
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert_eq!(polite.join().unwrap(), (1001, "until tomorrow".into()));
    for ending in [served.ending(), other.ending()] {
        assert_eq!((ending.cause, ending.code), (Cause::Shutdown, 1001));
    }
    assert_eq!(stubborn.close().0, 1001);
    let (client, late) = rig.serve(rig.door.enter(), websocket(), listen(&[]));
    assert_eq!(late.ending().cause, Cause::Shutdown);
    assert_eq!(rig.shards.connections(), 0);
    drop(client);
}

#[test]
fn a_shutdown_of_polite_clients_does_not_wait_for_its_patience() {
    let rig = Rig::new();
    let (mut client, served) = rig.websocket(&[]);
    let client = thread::spawn(move || {
        assert_eq!(client.close().0, 1001);
        client.send(CLOSE, b"");
    });
    rig.shards.close(1001, "", Duration::from_secs(3600));
    client.join().unwrap();
    assert_eq!(served.ending().cause, Cause::Shutdown);
}
