//! Texts and what only looks like one (chapter 6).

use super::*;

/// Byte sequences with all that is special about UTF-8, and whether they are texts.
const TABLE: &[(&[u8], bool)] = &[
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true),
    // The first and last of each length.
    (b"\x00", true),
    (b"\x7f", true),
    (b"\xc2\x80", true),
    (b"\xdf\xbf", true),
    (b"\xe0\xa0\x80", true),
    (b"\xef\xbf\xbf", true),
    (b"\xf0\x90\x80\x80", true),
    (b"\xf4\x8f\xbf\xbf", true),
    // Around the surrogates, and what is no character but may be sent.
    (b"\xed\x9f\xbf", true),
    (b"\xee\x80\x80", true),
    (b"\xef\xbf\xbd", true),
    (b"\xef\xbf\xbe", true),
    (b"\xf0\x9f\xbf\xbf", true),
    // Beyond U+10FFFF, and lengths that are no more.
    (b"\xf4\x90\x80\x80", false),
    (b"\xf7\xbf\xbf\xbf", false),
    (b"\xf8\x88\x80\x80\x80", false),
    (b"\xfb\xbf\xbf\xbf\xbf", false),
    (b"\xfc\x84\x80\x80\x80\x80", false),
    (b"\xfd\xbf\xbf\xbf\xbf\xbf", false),
    (b"\xfe", false),
    (b"\xff", false),
    (b"\xfe\xfe\xff\xff", false),
    // Continuation bytes by themselves.
    (b"\x80", false),
    (b"\xbf", false),
    (b"\x80\xbf\x80", false),
    (b"a\xbf", false),
    // First bytes by themselves.
    (b"\xc3 ", false),
    (b"\xe2 ", false),
    (b"\xf0 ", false),
    (b"\xc3", false),
    (b"\xe2\x82", false),
    (b"\xf0\x9f\x98", false),
    (b"\xe2\x82\xc3\xa9", false),
    // Longer than needed.
    (b"\xc0\xaf", false),
    (b"\xc1\xbf", false),
    (b"\xe0\x80\xaf", false),
    (b"\xe0\x9f\xbf", false),
    (b"\xf0\x80\x80\xaf", false),
    (b"\xf0\x8f\xbf\xbf", false),
    (b"\xc0\x80", false),
    // Surrogates, alone and in pairs.
    (b"\xed\xa0\x80", false),
    (b"\xed\xaf\xbf", false),
    (b"\xed\xb0\x80", false),
    (b"\xed\xbf\xbf", false),
    (b"\xed\xa0\x80\xed\xb0\x80", false),
];

#[test]
fn a_text_is_utf_8_in_one_frame_and_in_fragments() {
    for (bytes, is_text) in TABLE {
        let whole = outcome(&[TEXT.frame(bytes)], false);
        let fragments: Vec<_> = [TEXT_BEGIN.frame([])]
            .into_iter()
            .chain(bytes.iter().map(|byte| MORE.frame([*byte])))
            .chain([LAST.frame([])])
            .collect();
        assert_eq!(outcome(&fragments, false), whole, "{bytes:x?}");
        if *is_text {
            assert_eq!(whole, (vec![text(str::from_utf8(bytes).unwrap())], None));
        } else {
            assert_eq!(whole, (vec![], Some(1007)), "{bytes:x?}");
        }
        assert_eq!(decoded(&[BINARY.frame(bytes)]), [binary(bytes)]);
    }
}

#[test]
fn a_text_is_refused_within_a_fragment_before_the_message_is_whole() {
    let good = "κόσμε".as_bytes();
    // Whole fragments, of which more would come.
    let frames = [TEXT_BEGIN.frame(good), MORE.frame(b"\xf4\x90"), MORE.frame("never read")];
    assert_eq!(refused(&frames), (vec![], 1007));
    // Within a frame, at the very byte: U+110000 shows in its second.
    let mut server = Server::new(MAX, false);
    let frame = TEXT.frame([good, b"\xf4\x90\x80\x80 and more"].concat());
    let header = 6;
    let second = header + good.len() + 1;
    for byte in &frame[..second] {
        assert_eq!(server.read(&[*byte]), Ok(vec![]));
    }
    assert_eq!(server.read(&frame[second..=second]).unwrap_err().1.code, 1007);
}

#[test]
fn a_control_frame_within_a_character_does_not_harm_it() {
    let (begin, end) = "€".as_bytes().split_at(1);
    let frames = [TEXT_BEGIN.frame(begin), PING.frame("\0"), LAST.frame(end)];
    assert_eq!(decoded(&frames), [ping("\0"), text("€")]);
}

#[test]
fn each_message_is_a_text_by_itself() {
    let (begin, end) = "€".as_bytes().split_at(1);
    assert_eq!(refused(&[TEXT.frame(begin), TEXT.frame(end)]), (vec![], 1007));
    let frames = [TEXT_BEGIN.frame("a"), LAST.frame(begin), TEXT.frame(end)];
    assert_eq!(refused(&frames), (vec![], 1007));
}
