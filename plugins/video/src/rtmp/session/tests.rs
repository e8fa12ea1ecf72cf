#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::super::amf::{self, Value};
use super::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// What an encoder sends until it publishes.
pub fn greeting(app: &str, name: &str) -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    let app = Value::Object(vec![("app".to_owned(), text(app))]);
    for (number, values) in [
        vec![text("connect"), Value::Number(1.0), app],
        vec![text("releaseStream"), Value::Number(2.0), Value::Null, text(name)],
        vec![text("FCPublish"), Value::Number(3.0), Value::Null, text(name)],
        vec![text("createStream"), Value::Number(4.0), Value::Null],
        vec![text("publish"), Value::Number(5.0), Value::Null, text(name), text("live")],
    ]
    .into_iter()
    .enumerate()
    {
        chunk::write(&mut bytes, 3, kind::COMMAND, u32::from(number == 4), &amf::write(&values));
    }
    bytes
}

/// What came of the bytes, each publisher being accepted, and the answers.
fn hear(
    session: &mut Session,
    bytes: &[u8],
    piece: usize,
) -> (Vec<Event>, Vec<u8>, Option<Broken>) {
    let (mut events, mut out) = (Vec::new(), Vec::new());
    for mut input in bytes.chunks(piece) {
        loop {
            match session.next(&mut input, &mut out) {
                Ok(Some(event)) => {
                    if matches!(event, Event::Publish { .. }) {
                        session.accept(&mut out);
                    }
                    events.push(event);
                }
                Ok(None) => break,
                Err(broken) => return (events, out, Some(broken)),
            }
        }
    }
    (events, out, None)
}

/// A tag of video or audio, as an encoder sends it.
pub fn deliver(is_video: bool, timestamp: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let kind = if is_video { kind::VIDEO } else { kind::AUDIO };
    chunk::write(&mut bytes, 4, kind, 1, body);
    bytes[1..4].copy_from_slice(&timestamp.to_be_bytes()[1..]);
    bytes
}

/// The commands that a server sent behind its handshake.
pub fn commands(out: &[u8]) -> Vec<Vec<Value>> {
    let (mut reader, mut input, mut commands) =
        (Reader::default(), out.get(1 + 2 * 1536..).unwrap(), Vec::new());
    while let Some(message) = reader.next(&mut input).unwrap() {
        if message.kind == kind::COMMAND {
            commands.push(amf::read(&message.body).unwrap());
        }
    }
    commands
}

fn publish(app: &str, name: &str) -> Event {
    Event::Publish { app: app.to_owned(), name: name.to_owned() }
}

#[test]
fn an_encoder_is_led_to_publishing_however_its_bytes_are_cut() {
    let mut bytes = greeting("live", "show?key=k");
    chunk::write(&mut bytes, 4, kind::AUDIO, 1, &[0xaf, 1, 2]);
    chunk::write(&mut bytes, 4, kind::VIDEO, 1, &[0x17, 1, 2]);
    let end = amf::write(&[text("deleteStream"), Value::Number(6.0), Value::Null]);
    chunk::write(&mut bytes, 3, kind::COMMAND, 0, &end);
    let expected = [
        publish("live", "show?key=k"),
        Event::Audio(Tag { timestamp: 0, body: vec![0xaf, 1, 2] }),
        Event::Video(Tag { timestamp: 0, body: vec![0x17, 1, 2] }),
        Event::Ended,
    ];
    for piece in [1, 5, 1000, usize::MAX] {
        let (events, out, broken) = hear(&mut Session::default(), &bytes, piece);
        assert_eq!((events.as_slice(), broken), (&expected[..], None));
        let commands = commands(&out);
        let names: Vec<&Value> = commands.iter().map(|values| &values[0]).collect();
        let results = [text("_result"), text("_result"), text("_result"), text("_result")];
        assert_eq!(names[..4], results.iter().collect::<Vec<_>>());
        assert_eq!(commands[3][1..], [Value::Number(4.0), Value::Null, Value::Number(1.0)]);
        assert_eq!(commands[4][3].text("code"), Some("NetStream.Publish.Start"));
    }
}

#[test]
fn who_wants_to_watch_is_told_where() {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    let play = amf::write(&[text("play"), Value::Number(0.0), Value::Null, text("show")]);
    chunk::write(&mut bytes, 3, kind::COMMAND, 1, &play);
    let (_, out, broken) = hear(&mut Session::default(), &bytes, usize::MAX);
    assert!(broken.unwrap().0.contains("watch over HTTP"));
    assert_eq!(commands(&out)[0][3].text("code"), Some("NetStream.Play.Failed"));
}

#[test]
fn media_before_publishing_says_nothing_and_is_short() {
    let mut bytes = vec![3];
    bytes.resize(1 + 2 * 1536, 0);
    chunk::write(&mut bytes, 4, kind::VIDEO, 1, &[0x17; 1000]);
    assert_eq!(hear(&mut Session::default(), &bytes, 99).0, []);
    chunk::write(&mut bytes, 4, kind::VIDEO, 1, &[0x17; 70_000]);
    let broken = hear(&mut Session::default(), &bytes, 99).2;
    assert!(broken.unwrap().0.contains("70000 bytes: at most 65536"));
}

#[test]
fn a_publisher_may_not_publish_twice_or_before_it_connects() {
    let mut bytes = greeting("live", "show");
    let publish = amf::write(&[text("publish"), Value::Number(5.0), Value::Null, text("x")]);
    chunk::write(&mut bytes, 3, kind::COMMAND, 1, &publish);
    let broken = hear(&mut Session::default(), &bytes, usize::MAX).2;
    assert!(broken.unwrap().0.contains("publishes one stream"));
    let mut bytes = bytes[..1 + 2 * 1536].to_vec();
    chunk::write(&mut bytes, 3, kind::COMMAND, 1, &publish);
    let broken = hear(&mut Session::default(), &bytes, usize::MAX).2;
    assert!(broken.unwrap().0.contains("before `connect`"));
}

#[test]
fn bytes_are_acknowledged_and_pings_are_answered() {
    let mut session = Session::default();
    let mut bytes = greeting("live", "show");
    chunk::write(&mut bytes, 2, kind::WINDOW_SIZE, 0, &5000u32.to_be_bytes());
    chunk::write(&mut bytes, 2, kind::USER_CONTROL, 0, &user(PING, 77));
    hear(&mut session, &bytes, 1000);
    let mut more = Vec::new();
    for _ in 0..6 {
        chunk::write(&mut more, 4, kind::AUDIO, 1, &[0xaf; 1000]);
    }
    let (_, out, _) = hear(&mut session, &more, 1000);
    let acknowledgement = [2, 0, 0, 0, 0, 0, 4, kind::ACKNOWLEDGEMENT];
    assert_eq!(out.windows(8).filter(|window| *window == acknowledgement).count(), 1);
    let (_, out, _) = hear(&mut Session::default(), &bytes, usize::MAX);
    assert!(out.windows(6).any(|window| window == user(PONG, 77)));
}

#[test]
fn a_session_goes_on_from_what_was_saved() {
    let mut bytes = greeting("live", "show");
    chunk::write(&mut bytes, 4, kind::VIDEO, 1, &[0x17; 1000]);
    for at in [0, 700, 1600, 3200, bytes.len() - 500] {
        let mut session = Session::default();
        let mut events = hear(&mut session, &bytes[..at], 64).0;
        let saved = postcard::to_allocvec(&session).unwrap();
        let mut session: Session = postcard::from_bytes(&saved).unwrap();
        events.extend(hear(&mut session, &bytes[at..], 64).0);
        let video = Event::Video(Tag { timestamp: 0, body: vec![0x17; 1000] });
        assert_eq!(events, [publish("live", "show"), video], "cut at {at}");
    }
}

proptest! {
    #[test]
    fn garbage_ends_a_session_or_says_nothing(
        mut bytes in prop::collection::vec(any::<u8>(), 0..5000), greeted: bool
    ) {
        if greeted {
            let mut all = greeting("live", "show");
            all.append(&mut bytes);
            bytes = all;
        }
        hear(&mut Session::default(), &bytes, 700);
    }

    #[test]
    fn a_byte_that_is_wrong_anywhere_is_no_harm(at in 3073..3900usize, byte: u8) {
        let mut bytes = greeting("live", "show");
        if let Some(wrong) = bytes.get_mut(at) {
            *wrong = byte;
        }
        hear(&mut Session::default(), &bytes, 700);
    }
}
