//! Mounts: what listeners choose from. Each is a channel of the host, and a record of what it is.

use serde::{Deserialize, Serialize};

use crate::format::{Codec, Format};
use crate::store::{self, Store};

/// More mounts than this are refused; anybody who may play makes one by playing.
pub const MOST: usize = 64;

/// The name of a mount: 1 to 64 letters, digits and `._-`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mount(String);

impl Mount {
    /// One of that name.
    pub fn named(name: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        (begins && name.len() <= 64 && name.bytes().all(is_plain)).then(|| Self(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name without what stands for the format.
    pub fn stem(&self) -> &str {
        match Format::of_name(&self.0) {
            Some(_) => self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem),
            None => &self.0,
        }
    }

    /// The channel that its listeners hear.
    pub fn channel(&self) -> String {
        format!("mount:{}", self.0)
    }

    /// What is known of it; `None` where nothing ever played.
    pub fn record(&self) -> store::Result<Option<Record>> {
        store::get(Store::Mounts, &self.0)
    }

    /// Let the record be there, and change it.
    pub fn change(
        &self,
        format: Format,
        mut change: impl FnMut(&mut Record),
    ) -> store::Result<Record> {
        store::change(Store::Mounts, &self.0, |record: Option<Record>| {
            let mut record =
                record.unwrap_or(Record { format, codec: None, set: None, said: None });
            change(&mut record);
            record
        })
    }
}

impl TryFrom<String> for Mount {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::named(&name).ok_or("a mount has 1 to 64 letters, digits and `._-`, like `lobby.mp3`")
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// All mounts, in the order of their names.
pub fn all() -> store::Result<Vec<Mount>> {
    let mut mounts: Vec<_> =
        store::keys(Store::Mounts)?.iter().filter_map(|name| Mount::named(name)).collect();
    mounts.sort();
    Ok(mounts)
}

/// What a mount is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What plays in it, from its first sound on: players do not change in the middle.
    pub format: Format,
    /// The same for Ogg, as soon as it is known.
    pub codec: Option<Codec>,
    /// What was set over the API, and what the last source said.
    pub set: Option<About>,
    /// See `set`, which goes first.
    pub said: Option<About>,
}

impl Record {
    /// What to tell listeners.
    pub fn about(&self) -> About {
        self.set.clone().or_else(|| self.said.clone()).unwrap_or_default()
    }

    /// Whether a track of this kind may play.
    pub fn takes(&self, format: Format, codec: Option<Codec>) -> bool {
        self.format == format && (self.codec.is_none() || codec == self.codec)
    }
}

/// What Icecast's sources say in `ice-` fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// `ice-name`.
    pub name: String,
    /// `ice-genre`.
    pub genre: String,
    /// `ice-description`.
    pub description: String,
    /// `ice-url`.
    pub url: String,
    /// `ice-public`: whether directories may list it.
    pub public: bool,
    /// `ice-bitrate`, thousands of bits a second; 0: not said.
    pub bitrate: u32,
}

impl About {
    /// The same with texts that go into header fields, lists and pages.
    pub fn tidy(self) -> Self {
        let Self { name, genre, description, url, public, bitrate } = self;
        let [name, genre, description, url] =
            [name, genre, description, url].map(|text| Self::field(&text));
        Self { name, genre, description, url, public, bitrate }
    }

    /// As bytes of a header field: one line of printable characters, at most 200 bytes.
    pub fn field(text: &str) -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        text[..text.floor_char_boundary(200)].to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["lobby.mp3", "a", "1-x_y.ogg"] {
            assert_eq!(Mount::named(name).unwrap().channel(), format!("mount:{name}"));
        }
        for name in ["", ".mp3", "-a", "a/b", "a b", "caf\u{e9}", &"x".repeat(65)] {
            assert!(Mount::named(name).is_none(), "{name}");
        }
        assert_eq!(Mount::named("lobby.mp3").unwrap().stem(), "lobby");
        assert_eq!(Mount::named("v1.5").unwrap().stem(), "v1.5");
    }

    #[test]
    fn what_was_set_goes_before_what_a_source_said() {
        let about = |name: &str| Some(About { name: name.to_owned(), ..About::default() });
        let mut record = Record { format: Format::Ogg, codec: None, set: None, said: None };
        assert_eq!(record.about(), About::default());
        record.said = about("said");
        assert_eq!(record.about().name, "said");
        record.set = about("set");
        assert_eq!(record.about().name, "set");
    }

    #[test]
    fn a_track_fits_by_format_and_codec() {
        let mut record = Record { format: Format::Ogg, codec: None, set: None, said: None };
        assert!(record.takes(Format::Ogg, Some(Codec::Opus)) && !record.takes(Format::Mp3, None));
        record.codec = Some(Codec::Vorbis);
        assert!(!record.takes(Format::Ogg, Some(Codec::Opus)));
    }
}
