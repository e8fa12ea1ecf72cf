//! What a client of the sources' port wants: to play, to say what plays, or to know something.

use crate::format::Format;
use crate::format::Tags;
use crate::mount::{About, Mount};

use super::answer::Answer;
use super::body::Body;
use super::head::{self, Head};

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// To play.
    Play(Wish),
    /// To say what plays in a mount.
    Title(Mount, String),
    /// To know what plays everywhere.
    Status,
    /// To listen, which is for another port.
    Listen(String),
    /// To know what can be asked.
    Methods,
}

/// What somebody wants to play.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where.
    pub mount: Mount,
    /// What it is said to be.
    pub format: Format,
    /// How it is sent.
    pub body: Body,
    /// What is said about it.
    pub about: About,
    /// Whether the client waits for `100 Continue`.
    pub waits: bool,
}

impl Ask {
    /// Whether it is for DJs only.
    pub fn needs_dj(head: &Head) -> bool {
        matches!(head.method.as_str(), "PUT" | "SOURCE") || head.path.starts_with("/admin/")
    }

    /// What a request asks.
    pub fn read(head: &Head) -> Result<Self, Answer> {
        match (head.method.as_str(), head.path.as_str()) {
            ("PUT" | "SOURCE", _) => Ok(Self::Play(Wish::read(head)?)),
            ("GET", "/admin/metadata" | "/admin/metadata.xsl") => title(head),
            ("GET" | "HEAD", path) if path.starts_with("/admin/") => {
                Err(Answer::new(404, "here there is /admin/metadata only"))
            }
            ("GET" | "HEAD", "/status-json.xsl") => Ok(Self::Status),
            ("GET" | "HEAD", path) => Ok(Self::Listen(path.trim_start_matches('/').to_owned())),
            ("OPTIONS", _) => Ok(Self::Methods),
            _ => {
                Err(Answer::new(405, "send PUT or SOURCE to play, GET to ask")
                    .with("allow", METHODS))
            }
        }
    }
}

/// What can be asked.
pub const METHODS: &str = "GET, HEAD, OPTIONS, PUT, SOURCE";

impl Wish {
    fn read(head: &Head) -> Result<Self, Answer> {
        let name = form_urlencoded::parse(head.path.trim_start_matches('/').as_bytes())
            .next()
            .map(|(name, _)| name.into_owned());
        let mount =
            Mount::try_from(name.unwrap_or_default()).map_err(|text| Answer::new(400, text))?;
        let Some(content_type) = head.field("content-type") else {
            return Err(Answer::new(
                400,
                "say what you send in a `content-type` field, such as audio/mpeg",
            ));
        };
        let format = Format::of_type(content_type).ok_or_else(|| {
            Answer::new(415, "this radio takes audio/mpeg (layer III), audio/aac (ADTS) and audio/ogg (Vorbis or Opus)")
        })?;
        if Format::of_name(mount.name()).is_some_and(|named| named != format) {
            return Err(Answer::new(
                415,
                "the mount's name says another format than the `content-type` field",
            ));
        }
        let waits =
            head.field("expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue"));
        Ok(Self { mount, format, body: Body::of(head), about: about(head), waits })
    }
}

fn about(head: &Head) -> About {
    let text = |name: &str| {
        let value = head.field(&format!("ice-{name}")).or(head.field(&format!("icy-{name}")));
        About::field(value.unwrap_or_default().trim())
    };
    // Some say `ice-audio-info: ice-bitrate=128;ice-channels=2`, some `128, 128`.
    let info = head.field("ice-audio-info").unwrap_or_default();
    let said = info.split(';').find_map(|pair| {
        pair.trim().strip_prefix("ice-bitrate=").or(pair.trim().strip_prefix("bitrate="))
    });
    let bitrate = match text("bitrate") {
        bitrate if bitrate.is_empty() => said.unwrap_or_default().to_owned(),
        bitrate => bitrate,
    };
    About {
        name: text("name"),
        genre: text("genre"),
        description: text("description"),
        url: text("url"),
        public: text("public") == "1",
        bitrate: bitrate.split(',').next().and_then(|rate| rate.trim().parse().ok()).unwrap_or(0),
    }
}

/// `mode=updinfo&mount=/lobby.mp3&song=…`, or `artist` and `title`; UTF-8, or what `charset` says.
fn title(head: &Head) -> Result<Ask, Answer> {
    let pairs = pairs(&head.query);
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if value("mode").is_some_and(|mode| mode != b"updinfo") {
        return Err(Answer::new(400, "the only `mode` is updinfo"));
    }
    let mount = value("mount").map(|mount| head::text(mount)).unwrap_or_default();
    let mount = mount.trim_start_matches('/').to_owned();
    let mount = Mount::try_from(mount).map_err(|text| Answer::new(400, text))?;
    let charset = value("charset").map(|charset| head::text(charset).to_ascii_lowercase());
    let is_latin_1 = charset.is_some_and(|charset| {
        matches!(
            charset.as_str(),
            "latin1" | "latin-1" | "iso-8859-1" | "iso8859-1" | "windows-1252"
        )
    });
    let read = |name: &str| {
        let bytes = value(name).map(Vec::as_slice).unwrap_or_default();
        let text = if is_latin_1 { head::latin_1(bytes) } else { head::text(bytes) };
        crate::format::clean(Some(&text))
    };
    let line = match read("song") {
        song if song.is_empty() => Tags { title: read("title"), artist: read("artist") }.line(),
        song => song,
    };
    Ok(Ask::Title(mount, line))
}

/// The pairs of a query with their bytes as they were meant: they may be Latin-1, which a decoder
/// of forms would replace.
fn pairs(query: &str) -> Vec<(String, Vec<u8>)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (head::text(&decoded(key)), decoded(value))
    };
    query.split('&').map(pair).collect()
}

fn decoded(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let mut digit = || char::from(ahead.next()?).to_digit(16);
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => {
                    out.push((high << 4 | low) as u8);
                    bytes = ahead;
                }
                _ => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn ask(head: &str) -> Result<Ask, u16> {
        let bytes = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        let (head, _) = Head::read(bytes.as_bytes()).unwrap().unwrap();
        Ask::read(&head).map_err(|answer| answer.status)
    }

    #[test]
    fn what_ffmpeg_and_liquidsoap_and_butt_send_is_understood() {
        let Ok(Ask::Play(wish)) = ask(
            "PUT /lobby.mp3 HTTP/1.1\nAuthorization: Basic x\nExpect: 100-continue\nContent-Type: audio/mpeg\n\
             Ice-Name: Night\nIce-Public: 1\nIce-Audio-Info: bitrate=96",
        ) else {
            panic!()
        };
        assert_eq!(
            (wish.mount.name(), wish.format, wish.waits, wish.body),
            ("lobby.mp3", Format::Mp3, true, Body::Open)
        );
        assert_eq!(
            (wish.about.name.as_str(), wish.about.public, wish.about.bitrate),
            ("Night", true, 96)
        );
        let Ok(Ask::Play(wish)) = ask(
            "SOURCE /live HTTP/1.0\ncontent-type: application/ogg\nice-bitrate: 128\nicy-genre: jazz",
        ) else {
            panic!()
        };
        assert_eq!((wish.format, wish.waits, wish.about.bitrate), (Format::Ogg, false, 128));
        assert_eq!(wish.about.genre, "jazz");
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_its_reason() {
        for (head, status) in [
            ("PUT /lobby.mp3 HTTP/1.1", 400),
            ("PUT / HTTP/1.1\ncontent-type: audio/mpeg", 400),
            ("PUT /a/b.mp3 HTTP/1.1\ncontent-type: audio/mpeg", 400),
            ("PUT /lobby.mp3 HTTP/1.1\ncontent-type: audio/flac", 415),
            ("PUT /lobby.mp3 HTTP/1.1\ncontent-type: audio/ogg", 415),
            ("DELETE /lobby.mp3 HTTP/1.1", 405),
            ("GET /admin/stats HTTP/1.1", 404),
            ("GET /admin/metadata?mode=kill&mount=/a HTTP/1.1", 400),
            ("GET /admin/metadata?mode=updinfo HTTP/1.1", 400),
        ] {
            assert_eq!(ask(head).unwrap_err(), status, "{head}");
        }
    }

    #[test]
    fn titles_come_in_utf_8_and_latin_1_and_in_parts() {
        for (query, wanted) in [
            ("song=Caf%C3%A9", "Café"),
            ("song=Caf%E9", "Café"),
            ("song=Caf%C3%A9&charset=latin1", "CafÃ©"),
            ("song=a+b%26c%", "a b&c%"),
            ("artist=A&title=B", "A - B"),
            ("title=B", "B"),
            ("song=a%0D%0Ab", "a  b"),
        ] {
            let title =
                ask(&format!("GET /admin/metadata?mode=updinfo&mount=%2Fx.mp3&{query} HTTP/1.0"));
            assert_eq!(title, Ok(Ask::Title(Mount::named("x.mp3").unwrap(), wanted.to_owned())));
        }
    }

    #[test]
    fn others_want_to_know() {
        assert_eq!(ask("GET /status-json.xsl HTTP/1.1"), Ok(Ask::Status));
        assert_eq!(ask("GET /lobby.mp3 HTTP/1.1"), Ok(Ask::Listen("lobby.mp3".to_owned())));
        assert_eq!(ask("OPTIONS * HTTP/1.1"), Ok(Ask::Methods));
    }

    proptest! {
        #[test]
        fn any_request_is_understood_or_refused(path in "[!-~]{1,40}", kind in "[ -~]{0,20}", ice in "[ -~]{0,30}") {
            for method in ["PUT", "GET", "SOURCE", "X"] {
                let _ = ask(&format!("{method} /{path} HTTP/1.1\ncontent-type: {kind}\nice-audio-info: {ice}"));
                let _ = ask(&format!("{method} /admin/metadata?{path} HTTP/1.1"));
            }
        }
    }
}
