//! Playlists of HLS: the first one says what there is, the second which segments.

use std::fmt::Write;

use jiff::Timestamp;

use crate::stream::{State, Stream};

/// What a player asks for first. `media` is where the segments are listed.
pub fn multivariant(stream: &Stream, media: &str) -> Option<String> {
    let part = stream.part.as_ref()?;
    let (peak, average) = stream.bits();
    let mut attributes =
        format!("BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\"", part.codecs);
    if let Some((width, height)) = part.size {
        let _ = write!(attributes, ",RESOLUTION={width}x{height}");
    }
    Some(format!("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:{attributes}\n{media}\n"))
}

/// Which segments there are.
pub fn media(stream: &Stream, window: usize, now_ms: u64) -> String {
    let (segments, before, breaks) = stream.shown(window);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{before}\n",
        stream.target_s
    );
    if breaks > 0 {
        let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}");
    }
    let mut init = "";
    for segment in segments {
        if segment.is_break {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if segment.init != init {
            init = &segment.init;
            let _ = writeln!(text, "#EXT-X-MAP:URI=\"{init}\"");
        }
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date(segment.at_ms));
        let (seconds, rest) = (segment.duration_ms / 1000, segment.duration_ms % 1000);
        let _ = writeln!(text, "#EXTINF:{seconds}.{rest:03},\n{}", segment.file);
    }
    if stream.state(now_ms) == State::Ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// A time as ISO 8601 has it, with milliseconds.
pub fn date(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stream::tests::{segment, stream};

    #[test]
    fn the_first_playlist_says_what_there_is() {
        let text = multivariant(&stream(3), "show/media.m3u8?viewer=1").unwrap();
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:6\n\
             #EXT-X-STREAM-INF:BANDWIDTH=400000,AVERAGE-BANDWIDTH=400000,\
             CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=640x360\nshow/media.m3u8?viewer=1\n"
        );
        assert_eq!(multivariant(&Stream::default(), ""), None);
    }

    #[test]
    fn the_second_lists_the_last_segments_with_their_times() {
        let stream = stream(5);
        assert_eq!(
            media(&stream, 2, stream.heard_ms),
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:3\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:46.000Z\n#EXTINF:2.000,\n3.m4s\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:16:48.000Z\n#EXTINF:2.000,\n4.m4s\n"
        );
        assert!(!media(&stream, 2, stream.heard_ms + 29_999).contains("ENDLIST"));
        assert!(media(&stream, 2, stream.heard_ms + 30_000).ends_with("#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn a_break_is_told_where_it_is_and_counted_once_it_is_gone() {
        let mut stream = stream(2);
        stream.broken = true;
        stream.add(segment(2, "b.mp4"), 3);
        let text = media(&stream, 3, stream.heard_ms);
        assert!(text.contains("1.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b.mp4\"\n"), "{text}");
        assert!(!text.contains("DISCONTINUITY-SEQUENCE"));
        stream.add(segment(3, "b.mp4"), 3);
        let text = media(&stream, 1, stream.heard_ms);
        assert!(text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1\n"), "{text}");
    }
}
