//! Messages in fragments, with control frames between them (chapter 5).

use super::*;

#[test]
fn fragments_are_joined() {
    let frames = [TEXT_BEGIN.frame("one "), MORE.frame("two "), LAST.frame("three")];
    assert_eq!(decoded(&frames), [text("one two three")]);
    let frames = [BINARY_BEGIN.frame([1, 2]), LAST.frame([3]), TEXT.frame("next")];
    assert_eq!(decoded(&frames), [binary(&[1, 2, 3]), text("next")]);
}

#[test]
fn fragments_may_be_empty() {
    let frames = [TEXT_BEGIN.frame(""), MORE.frame(""), LAST.frame("")];
    assert_eq!(decoded(&frames), [text("")]);
    let frames = [TEXT_BEGIN.frame(""), MORE.frame("middle"), LAST.frame("")];
    assert_eq!(decoded(&frames), [text("middle")]);
}

#[test]
fn control_frames_come_between_fragments_and_are_seen_first() {
    let frames = [
        TEXT_BEGIN.frame("a"),
        PING.frame("1"),
        MORE.frame("b"),
        PONG.frame(""),
        PING.frame("2"),
        LAST.frame("c"),
    ];
    let pong = Incoming::Pong(Bytes::new());
    assert_eq!(decoded(&frames), [ping("1"), pong, ping("2"), text("abc")]);
}

#[test]
fn a_control_frame_in_fragments_is_refused() {
    for begin in [First(0x09), First(0x0a), First(0x08)] {
        assert_eq!(refused(&[begin.frame("a"), LAST.frame("b")]), (vec![], 1002));
    }
}

#[test]
fn a_continuation_without_a_message_is_refused() {
    for first in [MORE, LAST] {
        assert_eq!(refused(&[first.frame("x")]), (vec![], 1002));
        assert_eq!(refused(&[TEXT.frame("a"), first.frame("x")]), (vec![text("a")], 1002));
        let ended = [TEXT_BEGIN.frame("a"), LAST.frame("b"), first.frame("x")];
        assert_eq!(refused(&ended), (vec![text("ab")], 1002));
    }
}

#[test]
fn a_message_within_another_is_refused() {
    for first in [TEXT, BINARY, TEXT_BEGIN, BINARY_BEGIN] {
        let frames = [TEXT_BEGIN.frame("a"), PING.frame("p"), first.frame("b")];
        assert_eq!(refused(&frames), (vec![ping("p")], 1002));
    }
}

#[test]
fn a_close_frame_ends_a_message_that_is_not_whole() {
    let frames = [TEXT_BEGIN.frame("a"), CLOSE.frame([]), LAST.frame("b")];
    let close = Incoming::Close { code: None, reason: String::new() };
    assert_eq!(decoded(&frames), [close]);
}
