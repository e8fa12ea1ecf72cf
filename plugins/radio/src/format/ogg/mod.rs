//! Ogg (RFC 3533) with one audio stream after the other, Vorbis or Opus. Other streams between the
//! pages, such as a skeleton, are left out. Each logical stream is written with a number of its own,
//! so that tracks and sources can follow each other whatever they call themselves.

pub mod page;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Headers, Step, Tags, Unfit, What};
pub use page::MAX as MAX_PAGE;
use page::{Found, Page};

/// More headers than any stream has: covers are among the comments.
const MAX_HEADERS: usize = 256 << 10;
/// So many broken pages in a row are no Ogg; to look at one costs as much as reading 64 KiB.
const MAX_BROKEN: u32 = 64;
/// A page that claims to last longer has a wrong clock.
const LONGEST: Duration = Duration::from_secs(10);

/// What a logical stream is coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Vorbis.
    Vorbis,
    /// Opus (RFC 7845).
    Opus,
}

impl Codec {
    /// Header packets before the sound.
    fn headers(self) -> usize {
        match self {
            Self::Vorbis => 3,
            Self::Opus => 2,
        }
    }
}

/// Where the parser of an Ogg stream is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ogg {
    only: Option<Codec>,
    /// The number that the next logical stream is written with.
    serial: u32,
    stream: Option<Stream>,
    /// Broken pages since the last whole one.
    broken: u32,
    /// Whether a stream began that is not to be played.
    has_strange: bool,
}

/// A logical stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stream {
    codec: Codec,
    /// Its number as it comes, and as it is written.
    serials: (u32, u32),
    /// Units of its clock in a second.
    rate: u32,
    /// Header packets that are still to come, with the pages so far and the packet behind the first.
    left: usize,
    pages: Vec<u8>,
    comments: Vec<u8>,
    /// Where its clock was at the end of the last page.
    clock: Option<u64>,
}

impl Ogg {
    /// Before the first byte.
    pub fn new(only: Option<Codec>, serial: u32) -> Self {
        Self { only, serial, stream: None, broken: 0, has_strange: false }
    }

    /// See [`super::Parser::step`].
    pub fn step(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Step>, Unfit> {
        let page = match page::find(bytes) {
            Found::Few => return Ok(None),
            Found::Garbage(used) => return Ok(Step::skip(used)),
            Found::Broken => {
                self.broken += 1;
                let is_ogg = self.broken <= MAX_BROKEN;
                return if is_ogg { Ok(Step::skip(1)) } else { Err(Unfit("this is not Ogg")) };
            }
            Found::Page(page) => page,
        };
        self.broken = 0;
        let what = if page.is_first() { self.begin(&page) } else { self.go_on(&page, out)? };
        Ok(Some(Step { used: page.bytes.len(), what }))
    }

    fn begin(&mut self, page: &Page<'_>) -> What {
        let wanted = |(codec, _): &(Codec, u32)| self.only.is_none_or(|only| only == *codec);
        let Some((codec, rate)) = identify(page.payload).filter(wanted) else {
            self.has_strange = true;
            return What::Nothing;
        };
        let mut pages = Vec::new();
        page.write(self.serial, &mut pages);
        let (serials, left) = ((page.serial(), self.serial), codec.headers() - 1);
        let (comments, clock) = (Vec::new(), None);
        self.stream = Some(Stream { codec, serials, rate, left, pages, comments, clock });
        self.serial = self.serial.wrapping_add(1);
        What::Nothing
    }

    fn go_on(&mut self, page: &Page<'_>, out: &mut Vec<u8>) -> Result<What, Unfit> {
        let Some(stream) = &mut self.stream else {
            return match self.has_strange {
                true => Err(strange(self.only)),
                false => Ok(What::Nothing),
            };
        };
        if page.serial() != stream.serials.0 {
            return Ok(What::Nothing);
        }
        if stream.left > 0 {
            return stream.header(page);
        }
        page.write(stream.serials.1, out);
        Ok(What::Sound(stream.lasts(page.clock())))
    }

    /// The headers of the stream under a new number, for going on after others were heard.
    pub fn renew(&mut self, headers: &[u8]) -> Vec<u8> {
        let (mut pages, mut at) = (Vec::new(), 0);
        while let Found::Page(page) = page::find(headers.get(at..).unwrap_or_default()) {
            page.write(self.serial, &mut pages);
            at += page.bytes.len();
        }
        if let Some(stream) = &mut self.stream {
            stream.serials.1 = self.serial;
        }
        self.serial = self.serial.wrapping_add(1);
        pages
    }
}

impl Stream {
    fn header(&mut self, page: &Page<'_>) -> Result<What, Unfit> {
        if self.pages.len() + page.bytes.len() > MAX_HEADERS {
            return Err(Unfit("the headers of this Ogg stream have more than 256 KiB"));
        }
        page.write(self.serials.1, &mut self.pages);
        // The setup of Vorbis comes behind the comments, and reading them stops at their end.
        self.comments.extend_from_slice(page.payload);
        self.left = self.left.saturating_sub(page.packets());
        if self.left > 0 {
            return Ok(What::Nothing);
        }
        let tags = Tags::of_comments(&std::mem::take(&mut self.comments));
        let (pages, codec) = (std::mem::take(&mut self.pages), self.codec);
        Ok(What::Headers(Headers { pages, codec, tags }))
    }

    /// How long it is from the last page to the end of this one.
    fn lasts(&mut self, clock: Option<u64>) -> Duration {
        let Some(clock) = clock else { return Duration::ZERO };
        let before = self.clock.replace(clock).unwrap_or(0);
        let units = clock.saturating_sub(before);
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(self.rate.max(1));
        let lasts = u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos);
        if lasts > LONGEST { Duration::ZERO } else { lasts }
    }
}

/// Why a stream is not played where this is to be in it.
fn strange(only: Option<Codec>) -> Unfit {
    Unfit(match only {
        None => "this Ogg stream carries neither Vorbis nor Opus: send one of them",
        Some(Codec::Vorbis) => "this Ogg stream carries no Vorbis, as the mount does: send that",
        Some(Codec::Opus) => "this Ogg stream carries no Opus, as the mount does: send that",
    })
}

/// The codec and the clock of a stream that begins with this packet.
fn identify(packet: &[u8]) -> Option<(Codec, u32)> {
    if packet.starts_with(b"OpusHead") {
        return Some((Codec::Opus, 48_000));
    }
    let rest = packet.strip_prefix(b"\x01vorbis")?;
    // The version and the number of channels stand before it.
    let rate = rest.get(5..9)?.first_chunk()?;
    Some((Codec::Vorbis, u32::from_le_bytes(*rate))).filter(|(_, rate)| *rate > 0)
}
