//! Close frames (chapter 7).

use super::*;

/// A close frame with this code and reason.
fn frame(code: u16, reason: &[u8]) -> Vec<u8> {
    CLOSE.frame([&code.to_be_bytes(), reason].concat())
}

fn closed(code: u16, reason: &str) -> Incoming {
    Incoming::Close { code: Some(code), reason: reason.to_owned() }
}

#[test]
fn a_close_frame_may_say_why() {
    let nothing = Incoming::Close { code: None, reason: String::new() };
    assert_eq!(decoded(&[CLOSE.frame([])]), [nothing]);
    assert_eq!(decoded(&[frame(1000, b"")]), [closed(1000, "")]);
    assert_eq!(decoded(&[frame(1001, "grüße".as_bytes())]), [closed(1001, "grüße")]);
    let longest = "x".repeat(123);
    assert_eq!(decoded(&[frame(1000, longest.as_bytes())]), [closed(1000, &longest)]);
}

#[test]
fn nothing_is_read_behind_a_close_frame() {
    for behind in [TEXT.frame("late"), PING.frame("late"), frame(1000, b""), vec![0xff; 9]] {
        let mut server = Server::new(MAX, false);
        let bytes = [frame(1000, b""), behind.clone()].concat();
        assert_eq!(server.read(&bytes), Ok(vec![closed(1000, "")]));
        assert_eq!(server.read(&behind), Ok(vec![]));
        assert!(server.input.is_empty());
    }
}

#[test]
fn half_a_code_is_refused() {
    assert_eq!(refused(&[CLOSE.frame([3])]), (vec![], 1002));
}

#[test]
fn a_reason_that_is_no_text_is_refused() {
    assert_eq!(refused(&[frame(1000, b"\xce\xba\xed\xa0\x80")]), (vec![], 1007));
    assert_eq!(refused(&[frame(1000, b"cut \xe2\x82")]), (vec![], 1007));
}

#[test]
fn only_codes_that_may_be_sent_are_taken() {
    let taken = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    for code in taken {
        assert_eq!(decoded(&[frame(code, b"")]), [closed(code, "")]);
    }
    let refused_codes =
        [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 0x8000, 0xffff];
    for code in refused_codes {
        assert_eq!(refused(&[frame(code, b"why")]), (vec![], 1002), "{code}");
    }
}
