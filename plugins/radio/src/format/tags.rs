//! What a track is called, as it says itself: ID3 tags of MPEG and AAC files, and the comments of
//! Vorbis and Opus.

use std::io::Cursor;

use serde::{Deserialize, Serialize};

/// The longest title or artist that is kept, in bytes.
const MAX: usize = 300;
/// More comments than anybody writes.
const MAX_COMMENTS: u32 = 1000;

/// Title and artist; empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// What it is called.
    pub title: String,
    /// Who plays.
    pub artist: String,
}

impl Tags {
    /// `artist - title`, or the one that there is.
    pub fn line(&self) -> String {
        match (self.artist.is_empty(), self.title.is_empty()) {
            (false, false) => format!("{} - {}", self.artist, self.title),
            _ => [self.artist.as_str(), self.title.as_str()].concat(),
        }
    }

    /// Those of a file with an ID3 tag in front of it.
    pub fn of_id3(file: &[u8]) -> Self {
        use id3::TagLike;
        let Ok(tag) = id3::Tag::read_from2(Cursor::new(file)) else { return Self::default() };
        Self { title: clean(tag.title()), artist: clean(tag.artist()) }
    }

    /// Those of the second header packet of Vorbis or Opus. What is cut off is left out.
    pub fn of_comments(packet: &[u8]) -> Self {
        let packet = packet.strip_prefix(b"\x03vorbis").or(packet.strip_prefix(b"OpusTags"));
        let mut tags = Self::default();
        let _ = packet.and_then(|packet| tags.read(packet));
        tags
    }

    fn read(&mut self, mut left: &[u8]) -> Option<()> {
        text(&mut left)?;
        let count = number(&mut left)?;
        for _ in 0..count.min(MAX_COMMENTS) {
            let comment = String::from_utf8_lossy(text(&mut left)?);
            let (key, value) = comment.split_once('=').unwrap_or_default();
            let place = match key.to_ascii_lowercase().as_str() {
                "title" => &mut self.title,
                "artist" => &mut self.artist,
                _ => continue,
            };
            if place.is_empty() {
                *place = clean(Some(value));
            }
        }
        Some(())
    }
}

fn number(left: &mut &[u8]) -> Option<u32> {
    let (number, rest) = left.split_first_chunk()?;
    *left = rest;
    Some(u32::from_le_bytes(*number))
}

fn text<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(left)?).ok()?;
    let (text, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(text)
}

/// One line of bounded length.
pub fn clean(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.trim();
    text[..text.floor_char_boundary(MAX)].to_owned()
}
