#![allow(clippy::unwrap_used)]
use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::media::RECORD;
use crate::rtmp::{commands, deliver, greeting};
use crate::shelf::memory::Memory;

const NOW: u64 = 1_800_000_000_000;

/// A server with one client.
struct Server {
    shelf: Memory,
    settings: Settings,
    entry: Cell<Option<Entry>>,
    now_ms: u64,
    publisher: Publisher,
    out: Vec<u8>,
    closed: Option<String>,
}

impl Server {
    fn new() -> Self {
        let apps = ["hls", "live"].map(str::to_owned).to_vec();
        let keys = "live/show:good+key\nhls/*:k%20";
        Self {
            shelf: Memory::default(),
            settings: Settings::of(apps, keys, Vec::new(), "2", "6", "15").unwrap(),
            entry: Cell::new(None),
            now_ms: NOW,
            publisher: Publisher::new("192.0.2.1".to_owned(), NOW).0,
            out: Vec::new(),
            closed: None,
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Publisher, &mut House<'_, Memory>) -> Reply) {
        let door = |_: &str, is_right: &dyn Fn() -> bool| {
            let right = if is_right() { Entry::Open } else { Entry::Closed };
            self.entry.get().unwrap_or(right)
        };
        let (shelf, settings, now_ms) = (&mut self.shelf, &self.settings, self.now_ms);
        let mut house = House { shelf, settings, door: &door, now_ms };
        let reply = work(&mut self.publisher, &mut house);
        self.out.extend(reply.send);
        self.closed = self.closed.take().or(reply.close);
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.with(|publisher, house| publisher.hear(house, bytes));
    }

    /// Let time pass, with what happens meanwhile.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 1000 {
            self.now_ms += 1000;
            self.with(Publisher::tick);
        }
    }

    /// A second of video and sound.
    fn second(&mut self, at_ms: u32) {
        for at in (at_ms..at_ms + 1000).step_by(40) {
            let first = if at % 2000 == 0 { 0x17 } else { 0x27 };
            self.hear(&deliver(true, at, &[first, 1, 0, 0, 0, 0, 0, 0, 1, 9]));
            self.hear(&deliver(false, at, &[0xaf, 1, 7]));
        }
        self.pass(1000);
    }

    fn parameters(&mut self) {
        self.hear(&deliver(true, 0, &[&[0x17, 0, 0, 0, 0], &RECORD[..]].concat()));
        self.hear(&deliver(false, 0, &[0xaf, 0, 0x12, 0x10]));
    }

    /// What the client is told last: the code and its words.
    fn told(&self) -> (String, String) {
        let commands = commands(&self.out);
        let info = &commands.last().unwrap()[3];
        let text = |name| info.text(name).unwrap().to_owned();
        (text("code"), text("description"))
    }
}

#[test]
fn an_encoder_with_its_key_is_live() {
    for (app, name) in [
        ("live", "show?key=good+key"),
        ("live/", "show?a=b&key=good%2Bkey"),
        ("hls", "any?key=k%20"),
        ("hls", "any?key=k%2520"),
    ] {
        let mut server = Server::new();
        server.hear(&greeting(app, name));
        assert_eq!(server.told().0, "NetStream.Publish.Start", "{app}/{name}");
        server.parameters();
        (0..5).for_each(|second| server.second(second * 1000));
        assert_eq!(server.closed, None);
        assert_eq!(server.shelf.streams.values().next().unwrap().segments.len(), 2);
    }
}

#[test]
fn who_has_no_key_or_another_one_is_told_the_same_and_sent_away() {
    for name in ["show", "show?key=", "show?key=bad", "other?key=good+key", "show?Key=good+key"] {
        let mut server = Server::new();
        server.hear(&greeting("live", name));
        let (code, said) = server.told();
        assert_eq!(code, "NetStream.Publish.Rejected");
        assert!(said.starts_with("the key is wrong or missing"), "{said}");
        assert_eq!(server.closed, Some(said));
        assert!(server.shelf.streams.is_empty());
    }
}

#[test]
fn whoever_tries_too_often_is_told_so_whatever_the_key() {
    let mut server = Server::new();
    server.entry.set(Some(Entry::TooMany));
    server.hear(&greeting("live", "show?key=good+key"));
    assert!(server.told().1.contains("too many wrong keys"));
}

#[test]
fn an_application_or_a_name_that_cannot_be_is_refused() {
    let long = "x".repeat(60_000);
    for (app, name, word) in [
        ("other", "show", "applications hls, live"),
        (long.as_str(), "show", "applications hls, live"),
        ("live", "", "1 to 64 letters"),
        ("live", "../x", "1 to 64 letters"),
        ("live", long.as_str(), "1 to 64 letters"),
    ] {
        let mut server = Server::new();
        server.hear(&greeting(app, name));
        let (code, said) = server.told();
        assert_eq!(code, "NetStream.Publish.BadName");
        assert!(said.contains(word), "{said}");
        assert_eq!(server.closed, Some(said));
    }
}

#[test]
fn a_codec_that_is_not_passed_on_is_named_and_the_stream_ends() {
    for (is_video, body, word) in [
        (true, &b"\x90hvc1....."[..], "`hvc1`"),
        (true, b"\x90av01", "`av01`"),
        (false, b"\x2fmp3", "audio codec 2"),
        (true, b"\x17\0\0\0\0no parameters", "cannot be read"),
    ] {
        let mut server = Server::new();
        server.hear(&greeting("live", "show?key=good+key"));
        server.hear(&deliver(is_video, 0, body));
        let (code, said) = server.told();
        assert_eq!(code, "NetStream.Publish.Rejected");
        assert!(said.contains(word), "{said}");
        assert!(server.closed.is_some());
        let stream = server.shelf.streams.values().next().unwrap();
        assert_eq!(stream.ended_ms, Some(NOW));
    }
}

#[test]
fn a_second_publisher_is_refused_while_the_first_is_there() {
    let mut server = Server::new();
    server.hear(&greeting("live", "show?key=good+key"));
    server.parameters();
    (0..5).for_each(|second| server.second(second * 1000));
    let first = std::mem::replace(
        &mut server.publisher,
        Publisher::new("192.0.2.2".to_owned(), server.now_ms).0,
    );
    server.out.clear();
    server.hear(&greeting("live", "show?key=good+key"));
    assert_eq!(server.told().0, "NetStream.Publish.BadName");
    assert!(server.closed.take().unwrap().contains("is live already"));
    // The first one falls silent.
    server.now_ms += 6_000;
    server.publisher = Publisher::new("192.0.2.2".to_owned(), server.now_ms).0;
    server.out.clear();
    server.hear(&greeting("live", "show?key=good+key"));
    assert_eq!(server.told().0, "NetStream.Publish.Start");
    // And is told when it comes back.
    server.publisher = first;
    (5..9).for_each(|second| server.second(second * 1000));
    assert!(server.closed.unwrap().contains("took `live/show` over"));
}

#[test]
fn whoever_says_nothing_or_nothing_of_use_is_sent_away_in_time() {
    // Half open.
    let mut server = Server::new();
    server.pass(9_000);
    assert_eq!(server.closed, None);
    server.pass(1_000);
    assert!(server.closed.unwrap().contains("nothing was published within 10 s"));
    // A byte at a time.
    let mut server = Server::new();
    for byte in greeting("live", "show").iter().take(20) {
        server.hear(&[*byte]);
        server.pass(1_000);
    }
    assert!(server.closed.unwrap().contains("nothing was published within 10 s"));
    // Published, and then nothing.
    let mut server = Server::new();
    server.hear(&greeting("live", "show?key=good+key"));
    server.pass(20_000);
    assert!(server.closed.unwrap().contains("nothing came for 20 s"));
    // Pictures that never are key frames.
    let mut server = Server::new();
    server.hear(&greeting("live", "show?key=good+key"));
    server.parameters();
    for at in 0..30 {
        server.hear(&deliver(true, at * 1000, &[0x27, 1, 0, 0, 0, 0, 0, 0, 1, 9]));
        server.pass(1_000);
    }
    assert!(server.closed.as_ref().unwrap().contains("no key frame"));
    assert_eq!(server.told().0, "NetStream.Publish.Rejected");
}

#[test]
fn a_stream_ends_when_its_publisher_says_so_or_goes_away() {
    for says in [true, false] {
        let mut server = Server::new();
        server.hear(&greeting("live", "show?key=good+key"));
        server.parameters();
        (0..3).for_each(|second| server.second(second * 1000));
        match says {
            true => {
                // `deleteStream`, as a text, a number and nothing.
                let body = [b"\x02\0\x0cdeleteStream\0", &[0; 8][..], b"\x05"].concat();
                let mut bytes = vec![3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0];
                bytes.extend(body);
                server.hear(&bytes);
                assert_eq!(server.closed.as_deref(), Some("the publisher ended"));
            }
            false => server.with(|publisher, house| {
                publisher.end(house, "the client went away");
                Reply::nothing()
            }),
        }
        let stream = server.shelf.streams.values().next().unwrap();
        assert_eq!(stream.ended_ms, Some(NOW + 3_000));
        let lengths: Vec<u64> = stream.segments.iter().map(|one| one.duration_ms).collect();
        assert_eq!(lengths, [2000, 1000]);
    }
}

#[test]
fn a_swap_in_the_middle_of_everything_changes_nothing() {
    let mut bytes = greeting("live", "show?key=good+key");
    bytes.extend(deliver(true, 0, &[&[0x17, 0, 0, 0, 0], &RECORD[..]].concat()));
    for at in (0..5000).step_by(40) {
        let first = if at % 2000 == 0 { 0x17 } else { 0x27 };
        let units = [&[0, 0, 0, 200][..], &[9; 200]].concat();
        bytes.extend(deliver(true, at, &[&[first, 1, 0, 0, 0][..], &units].concat()));
    }
    let play = |swaps: bool| {
        let mut server = Server::new();
        for piece in bytes.chunks(777) {
            server.hear(piece);
            if swaps {
                let saved = postcard::to_allocvec(&server.publisher).unwrap();
                server.publisher = postcard::from_bytes(&saved).unwrap();
            }
        }
        (server.shelf.files, server.shelf.streams, server.out)
    };
    assert_eq!(play(true), play(false));
}

proptest! {
    #[test]
    fn garbage_is_no_harm_at_any_stage(
        bytes in prop::collection::vec(any::<u8>(), 0..3000), stage in 0..3, piece in 1..500usize
    ) {
        let mut server = Server::new();
        if stage > 0 {
            server.hear(&greeting("live", "show?key=good+key"));
        }
        if stage > 1 {
            server.parameters();
        }
        for piece in bytes.chunks(piece) {
            server.hear(piece);
            if server.closed.is_some() {
                break;
            }
        }
        server.pass(31_000);
        prop_assert!(server.closed.is_some());
    }
}
