#![allow(clippy::unwrap_used)]
use super::*;

/// A segment of two seconds.
pub fn segment(number: u64, init: &str) -> Segment {
    Segment {
        file: format!("{number}.m4s"),
        init: init.to_owned(),
        at_ms: 1_000_000 + number * 2000,
        duration_ms: 2000,
        bytes: 100_000,
        is_break: false,
    }
}

/// A stream that is live with so many segments.
pub fn stream(segments: u64) -> Stream {
    let mut stream = Stream::default();
    stream.claim(1_000_000).unwrap();
    let part = Part {
        file: "init.mp4".to_owned(),
        codecs: "avc1.64001e,mp4a.40.2".to_owned(),
        size: Some((640, 360)),
    };
    stream.part = Some(part);
    for number in 0..segments {
        stream.add(segment(number, "init.mp4"), 3);
        stream.heard_ms += 2000;
    }
    stream
}

#[test]
fn a_name_is_its_publishers_until_that_is_silent_or_leaves() {
    let mut stream = Stream::default();
    assert_eq!(stream.claim(10_000), Ok(()));
    assert_eq!((stream.session, stream.claim(10_000)), (10_000, Err(())));
    assert_eq!(stream.claim(14_999), Err(()));
    assert_eq!((stream.claim(15_000), stream.session), (Ok(()), 15_000));
    stream.ended_ms = Some(15_001);
    // A clock that was set back gives no number twice.
    assert_eq!((stream.claim(1), stream.session), (Ok(()), 15_001));
}

#[test]
fn a_stream_ends_in_steps_with_or_without_a_word() {
    let mut stream = stream(3);
    let heard = stream.heard_ms;
    for (after, state) in [
        (0, State::Live),
        (14_999, State::Live),
        (15_000, State::Away),
        (30_000, State::Ended),
        (300_000, State::Gone),
    ] {
        assert_eq!(stream.state(heard + after), state, "{after}");
    }
    stream.ended_ms = Some(heard);
    assert_eq!(stream.state(heard), State::Away);
    stream.clear();
    assert_eq!(stream.state(heard), State::Gone);
    assert_eq!(stream.gone, 3);
}

#[test]
fn segments_leave_the_playlist_before_their_files_are_removed() {
    let mut stream = stream(6);
    assert_eq!(stream.shown(3).0[0].file, "3.m4s");
    assert_eq!(stream.shown(3).1, 3);
    assert_eq!(stream.add(segment(6, "init.mp4"), 3), ["0.m4s"]);
    assert_eq!(stream.shown(3).1, 4);
    assert_eq!(stream.clear().len(), 6 + 1, "the initialisation goes with the last of its own");
}

#[test]
fn a_publisher_who_comes_back_goes_on_behind_a_break() {
    let mut stream = stream(2);
    stream.ended_ms = Some(stream.heard_ms);
    stream.claim(stream.heard_ms).unwrap();
    assert!(stream.part.is_some(), "what is left of it is still watched");
    stream.part = Some(Part { file: "b.mp4".into(), codecs: String::new(), size: None });
    let mut removed = Vec::new();
    for number in 2..9 {
        removed.extend(stream.add(segment(number, "b.mp4"), 3));
        stream.heard_ms += 2000;
        let (shown, before, breaks) = stream.shown(3);
        let all = before + shown.len() as u64;
        assert_eq!(all, number + 1);
        let within = shown.iter().filter(|segment| segment.is_break).count() as u64;
        assert_eq!(breaks + within, 1, "at {number}");
    }
    assert_eq!(removed, ["0.m4s", "1.m4s", "init.mp4", "2.m4s"]);
    assert_eq!(stream.bits(), (400_000, 400_000));
}
