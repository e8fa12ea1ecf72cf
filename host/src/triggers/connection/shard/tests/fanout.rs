//! Frames of channels get to all who listen.

use std::thread;

use super::{
    super::{Decoder, Protocol},
    Client, Rig,
    client::PING,
    client::PONG,
    listen, raw, until, websocket,
};
use crate::backends::channels::{Frame, History, Slow, Start};

/// Reads texts that are the numbers from one to another.
fn expect(client: &mut Client, from: usize, to: usize) {
    for number in from..to {
        assert_eq!(client.text(), number.to_string());
    }
}

#[test]
fn every_listener_gets_every_frame_once_and_in_order() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    let mut clients: Vec<_> = (0..50).map(|_| rig.websocket(&[&channel])).collect();
    assert_eq!((channel.listeners(), rig.shards.connections()), (50, 50));
    channel.push(Frame::text("0"));
    clients.iter_mut().for_each(|(client, _)| expect(client, 0, 1));
    thread::scope(|scope| {
        for (client, _) in &mut clients {
            scope.spawn(|| expect(client, 1, 2000));
        }
        for number in 1..2000 {
            until("the shards keep up", || channel.behind() < 200);
            channel.push(Frame::text(number.to_string()));
        }
    });
    assert_eq!((channel.tally().lost(), channel.tally().kicked()), (0, 0));
}

#[test]
fn a_listener_of_many_channels_gets_each_in_its_order() {
    let rig = Rig::new();
    let channels: Vec<_> = (0..5).map(|number| rig.channel(&number.to_string())).collect();
    let (mut client, _served) = rig.websocket(&channels.iter().collect::<Vec<_>>());
    for number in 0..100 {
        for channel in &channels {
            channel.push(Frame::text(format!("{} {number}", channel.name())));
        }
    }
    let mut next = [0; 5];
    for _ in 0..500 {
        let text = client.text();
        let (channel, number) = text.split_once(' ').unwrap();
        let next = &mut next[channel.parse::<usize>().unwrap()];
        assert_eq!(number, next.to_string());
        *next += 1;
    }
}

#[test]
fn frames_come_in_the_form_of_the_connection() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    let (mut plain, _plain) = rig.websocket(&[&channel]);
    let compressed = Protocol::Websocket { decoder: Decoder::new(1000, true), compressed: true };
    let (mut small, _small) = rig.serve(rig.door.enter(), compressed, listen(&[&channel]));
    let events = Protocol::EventStream;
    let (mut events, _events) =
        rig.serve_with(rig.door.enter(), events, listen(&[&channel]), "head\n\n", b"");
    let (mut raw, _raw) = rig.serve(rig.door.enter(), raw(), listen(&[&channel]));
    let text = "abc".repeat(100);
    let sequence = channel.push(Frame::text(text.clone()));
    assert_eq!(plain.text(), text);
    assert_eq!(small.frame().0, 0x41);
    let event = format!("head\n\nid: {sequence}\ndata: {text}\n\n");
    assert_eq!(events.bytes(event.len()), event.as_bytes());
    assert_eq!(raw.bytes(300), text.as_bytes());
}

#[test]
fn a_player_is_told_what_plays_among_the_audio() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    channel.entitle("first");
    let (mut player, _player) = rig.serve_with(
        rig.door.enter(),
        Protocol::Raw { titles: Some(1000) },
        listen(&[&channel]),
        "head\n\n",
        b"",
    );
    channel.push(Frame::binary(vec![1; 700]));
    channel.push(Frame::binary(vec![2; 700]));
    assert_eq!(player.bytes(6), b"head\n\n");
    assert_eq!(player.bytes(1000), [vec![1; 700], vec![2; 300]].concat());
    assert_eq!(player.bytes(33), b"\x02StreamTitle='first';\0\0\0\0\0\0\0\0\0\0\0\0");
    channel.push(Frame::binary(vec![3; 600]));
    assert_eq!(player.bytes(1001), [vec![2; 400], vec![3; 600], vec![0]].concat());
    channel.entitle("next");
    channel.push(Frame::binary(vec![4; 1000]));
    assert_eq!(player.bytes(1000), vec![4; 1000]);
    assert_eq!(player.bytes(20), b"\x02StreamTitle='next';");
}

#[test]
fn a_newcomer_misses_nothing_from_its_place_on() {
    let rig = Rig::new();
    let channel = rig.channel("a");
    for number in 0..10 {
        channel.push(Frame::text(number.to_string()));
    }
    let (listener, _) = channel.listen(Start::Recent(3));
    for number in 10..20 {
        channel.push(Frame::text(number.to_string()));
    }
    let (mut client, _served) = rig.serve(rig.door.enter(), websocket(), vec![listener]);
    for number in 20..30 {
        channel.push(Frame::text(number.to_string()));
    }
    expect(&mut client, 7, 30);
}

#[test]
fn a_client_that_comes_back_goes_on_where_it_was_or_learns_that_it_cannot() {
    let rig = Rig::new();
    let channel = rig.limited(5, 1 << 20, Slow::DropOldest);
    let sequences: Vec<_> =
        (0..10).map(|number| channel.push(Frame::text(number.to_string()))).collect();
    let (listener, history) = channel.listen(Start::Sequence(sequences[6]));
    let (mut client, _served) = rig.serve(rig.door.enter(), websocket(), vec![listener]);
    assert_eq!(history, History::Whole);
    expect(&mut client, 7, 10);
    let (listener, history) = channel.listen(Start::Sequence(sequences[3]));
    let (mut client, _served) = rig.serve(rig.door.enter(), websocket(), vec![listener]);
    assert_eq!(history, History::Gone);
    expect(&mut client, 5, 10);
}

#[test]
fn large_frames_arrive_whole_with_pongs_between_them() {
    let rig = Rig::new();
    let channel = rig.limited(16, 64 << 20, Slow::Disconnect);
    let (mut client, _served) =
        rig.serve(rig.door.enter_narrow(), websocket(), listen(&[&channel]));
    let payload = |number: u8| vec![number; 1 << 20];
    for number in 0..8 {
        channel.push(Frame::binary(payload(number)));
        client.send(PING, &[number]);
    }
    let (mut numbers, mut pongs) = (vec![], vec![]);
    while numbers.len() < 8 || pongs.last() != Some(&7) {
        let (opcode, bytes) = client.frame();
        if opcode == PONG {
            pongs.push(bytes[0]);
        } else {
            assert!(bytes == payload(bytes[0]));
            numbers.push(bytes[0]);
        }
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(pongs.is_sorted());
}

#[test]
fn a_channel_that_is_left_is_silent_and_can_be_joined_again() {
    let rig = Rig::new();
    let (one, two) = (rig.channel("one"), rig.channel("two"));
    let (mut client, served) = rig.websocket(&[&one, &two]);
    one.push(Frame::text("a"));
    assert_eq!(client.text(), "a");
    served.handle.leave(&one);
    until("it has left", || one.listeners() == 0);
    one.push(Frame::text("b"));
    two.push(Frame::text("c"));
    assert_eq!(client.text(), "c");
    served.handle.join(one.listen(Start::Next).0);
    one.push(Frame::text("d"));
    assert_eq!(client.text(), "d");
    // A further place in the same channel changes nothing.
    served.handle.join(one.listen(Start::Recent(9)).0);
    one.push(Frame::text("e"));
    assert_eq!(client.text(), "e");
    until("the further place is given up", || one.listeners() == 1);
}
