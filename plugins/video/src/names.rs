//! Names of streams, which stand in addresses, in keys of the stores and on pages.

use serde::{Deserialize, Serialize};

/// The longest name of an application or a stream.
const LONGEST: usize = 64;

/// An application and a name in it: one stream at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// The application.
    pub app: String,
    /// The name in it.
    pub name: String,
}

impl Name {
    /// A name; `None` where one of its parts could not stand in an address as it is.
    pub fn new(app: &str, name: &str) -> Option<Self> {
        (is_plain(app) && is_plain(name))
            .then(|| Self { app: app.to_owned(), name: name.to_owned() })
    }

    /// A name from the form that [`Self::path`] gives it.
    pub fn of(path: &str) -> Option<Self> {
        let (app, name) = path.split_once('/')?;
        Self::new(app, name)
    }

    /// Both parts, with `/` between them.
    pub fn path(&self) -> String {
        [self.app.as_str(), "/", self.name.as_str()].concat()
    }
}

/// Whether a part of a name means nothing but itself wherever it stands.
pub fn is_plain(part: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=LONGEST).contains(&part.len()) && part.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_made_of_letters_digits_dashes_and_underscores() {
        let name = Name::new("live", "my-Show_2").unwrap();
        assert_eq!(name.path(), "live/my-Show_2");
        assert_eq!(Name::of("live/my-Show_2"), Some(name));
        let long = "x".repeat(1 << 20);
        for wrong in ["", "a/b", "..", "a.b", "a b", "ä", "<b>", "a\n", "%41", &long] {
            assert_eq!(Name::new("live", wrong), None, "{wrong:.20}");
            assert_eq!(Name::new(wrong, "show"), None, "{wrong:.20}");
        }
        assert_eq!(Name::of("live"), None);
        assert_eq!(Name::of("live/a/b"), None);
    }
}
