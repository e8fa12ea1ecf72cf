//! From a key to a file and back.
//!
//! Each part of a key is a name in the directory of its container with a mark behind it, so that
//! `a` and `a/b` have room beside each other, and no part is a way to another directory:
//!
//! ```text
//! tracks, "a"         tracks/a.b
//! tracks, "a/b.mp3"   tracks/a.d/b.mp3.b
//! ```
//! Names are kept as they are, so that people find what they look for. The files are not the blobs
//! themselves: each has a header.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::super::Place;

/// Behind the name of a blob.
const BLOB: &str = ".b";
/// Behind the name of a directory.
const DIRECTORY: &str = ".d";

/// The file of a blob, below the directory of its plugin.
pub fn file(plugin: &Path, place: &Place) -> PathBuf {
    let mut path = plugin.join(place.container.as_str());
    let mut parts = place.key.as_str().split('/').peekable();
    while let Some(part) = parts.next() {
        let mark = if parts.peek().is_some() { DIRECTORY } else { BLOB };
        path.push([part, mark].concat());
    }
    path
}

/// What a name in a directory stands for, as it continues a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The part; with a slash behind it where more parts follow. In this form the names of a
    /// directory have the order of the keys in it.
    pub text: String,
    /// Whether more parts follow.
    pub is_directory: bool,
}

impl Name {
    /// Read a name; `None` for what is not the host's.
    pub fn read(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        if let Some(part) = name.strip_suffix(DIRECTORY) {
            return Some(Self { text: [part, "/"].concat(), is_directory: true });
        }
        let part = name.strip_suffix(BLOB)?;
        Some(Self { text: part.to_owned(), is_directory: false })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::backends::blobs::{Container, Key};

    fn place(key: &str) -> Option<Place> {
        let key = Key::new(key).ok()?;
        Some(Place { container: Container::new("c").unwrap(), key })
    }

    #[test]
    fn a_key_can_be_the_beginning_of_another() {
        let path = |key| file(Path::new("p"), &place(key).unwrap());
        assert_eq!(path("a"), Path::new("p/c/a.b"));
        assert_eq!(path("a/b.mp3"), Path::new("p/c/a.d/b.mp3.b"));
        assert_eq!(path("a.d/b"), Path::new("p/c/a.d.d/b.b"));
    }

    proptest! {
        #[test]
        fn no_key_leaves_its_container_and_each_is_read_back(key in "[./\\\\a-c~ü-]{1,12}") {
            let Some(place) = place(&key) else { return Ok(()) };
            let path = file(Path::new("/p"), &place);
            let below = path.strip_prefix("/p/c").unwrap();
            let read: String = below.iter().map(|name| Name::read(name).unwrap().text).collect();
            prop_assert_eq!(read, key);
            prop_assert!(below.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
}
