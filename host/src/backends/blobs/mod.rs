//! Blobs: bytes under a key, from a line of text to hours of sound, in containers of a plugin's own.
//!
//! The blobs capability enters here, and the HTTP trigger where an answer's body is a blob. One
//! implementation: [`files`] in the data directory. What a key, a container and a content type may
//! be is decided here, so that every implementation is asked for nothing else.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub mod files;
mod settings;

#[cfg(test)]
mod contract;

pub use settings::Settings;

/// The longest key in bytes.
pub const MAX_KEY: usize = 1024;
/// The longest part of a key between two slashes, in bytes: it is the name of a file, with a mark.
pub const MAX_PART: usize = 250;
/// The longest content type in bytes.
pub const MAX_CONTENT_TYPE: usize = 255;
/// The most bytes that are written in one call.
pub const MAX_WRITE: usize = 16 << 20;
/// The most entries of a page.
pub const MAX_PAGE: usize = 1000;
/// What each blob counts besides its bytes, against what a plugin may have: about what it takes of
/// a disk however small it is, so that a bound on bytes is one on blobs as well.
pub const COST: u64 = 4096;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No name for a container.
    #[error(
        "`{0}` is no name for a container; use 1 to 63 of `a-z`, `0-9` and `-`, starting with a \
         letter"
    )]
    Container(String),
    /// The key is empty or too long.
    #[error("a key has `{0}` bytes; make it 1 to {MAX_KEY}")]
    KeyLength(usize),
    /// A part of the key is too long.
    #[error("a part of a key between slashes has `{0}` bytes; make it {MAX_PART} at most")]
    PartLength(usize),
    /// The key has a part that is a way and no name.
    #[error("the key `{0}` has a part that is empty, `.` or `..`; take it out")]
    Part(String),
    /// The key has a control character.
    #[error("the key `{0}` has a control character; take it out")]
    Control(String),
    /// The content type cannot be one.
    #[error(
        "the content type `{0}` cannot be sent; write 1 to {MAX_CONTENT_TYPE} printable ASCII \
         characters, such as `audio/mpeg`"
    )]
    ContentType(String),
    /// More bytes at once than a call may write.
    #[error("a call writes `{0}` bytes; write {MAX_WRITE} at most, and append the rest")]
    TooLarge(usize),
    /// The plugin would have more than it may. Nothing was written.
    #[error("`{wanted}` bytes of blobs are more than the `{most}` that the plugin may have")]
    Full {
        /// What it would have, with [`COST`] for each blob.
        wanted: u64,
        /// What it may have.
        most: u64,
    },
    /// Nothing was read, and whether something was written is open; the same call may succeed
    /// later.
    #[error("blobs are not available: {0}")]
    Unavailable(String),
}

/// A `Result` of this room.
pub type Result<T> = std::result::Result<T, Error>;

/// A container's name: 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Container(Arc<str>);

impl Container {
    /// Check a name.
    pub fn new(name: &str) -> Result<Self> {
        let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        if name.len() > 63 || !begins || !name.bytes().all(sound) {
            return Err(Error::Container(name.escape_debug().take(63).collect()));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A key within its limits: parts with `/` between them, none of which leads anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// Check a key.
    pub fn new(key: &str) -> Result<Self> {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Error::KeyLength(key.len()));
        }
        if key.chars().any(char::is_control) {
            return Err(Error::Control(key.escape_debug().to_string()));
        }
        for part in key.split('/') {
            if matches!(part, "" | "." | "..") {
                return Err(Error::Part(key.to_owned()));
            }
            if part.len() > MAX_PART {
                return Err(Error::PartLength(part.len()));
            }
        }
        Ok(Self(key.into()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a blob is said to be, as it goes into a header: printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType(Arc<str>);

impl ContentType {
    /// Check a content type.
    pub fn new(text: &str) -> Result<Self> {
        let printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if text.is_empty() || text.len() > MAX_CONTENT_TYPE || !printable {
            return Err(Error::ContentType(text.escape_debug().take(MAX_CONTENT_TYPE).collect()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a blob is, among those of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The container.
    pub container: Container,
    /// The key in it.
    pub key: Key,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.container.as_str(), self.key.as_str())
    }
}

/// What is known of a blob without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its bytes.
    pub size: u64,
    /// Another text after every change; without quotes, letters, digits and `-`.
    pub etag: String,
    /// When it was last written, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What it is said to be.
    pub content_type: Option<ContentType>,
}

/// Which entries of a container are wanted.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// What the keys begin with: any text.
    pub prefix: String,
    /// Only keys behind this one: any text.
    pub after: Option<String>,
    /// How many, at most [`MAX_PAGE`].
    pub most: usize,
}

/// A blob in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// What is known of it.
    pub info: Info,
}

/// All plugins' blobs.
pub trait Blobs: Send + Sync + 'static {
    /// What a plugin may ask for at most: `[blobs] max-bytes` of the settings.
    fn most(&self) -> u64;

    /// The blobs of a plugin, whose name is a part of a path. Its generations share them; `most` is
    /// what all of them may take by what is written through this handle, [`COST`] for each included.
    fn open(&self, plugin: &str, most: u64) -> BoxFuture<'_, Result<Arc<dyn Store>>>;
}

/// One plugin's blobs.
///
/// Promises, which `contract.rs` checks for every implementation:
/// - No other plugin's calls read or change them, whatever the keys are.
/// - What returned `Ok` survives `kill -9` and a power cut, and every later read sees it.
/// - A write happens wholly or not at all: nobody ever reads a part of one, and one that fails
///   leaves what was there. The bound is looked at before anything is written.
/// - A [`Blob`] that was opened stays what it was while others write, append and delete.
/// - `a` and `a/b` are both keys; a list has every key once, in the order of their bytes.
/// - No call blocks the thread it is polled on. Dropping the future of a write that has begun does
///   not take the write back.
pub trait Store: Send + Sync + 'static {
    /// Write a blob over whatever is there.
    fn put(
        &self,
        place: Place,
        body: Bytes,
        content_type: Option<ContentType>,
    ) -> BoxFuture<'_, Result<Info>>;

    /// Add to the end of a blob, which begins empty and without a content type where there is none.
    /// Of many at once each is added in one piece.
    fn append(&self, place: Place, bytes: Bytes) -> BoxFuture<'_, Result<Info>>;

    /// The blob as it is now, to be read; `None` where there is none.
    fn open(&self, place: Place) -> BoxFuture<'_, Result<Option<Arc<dyn Blob>>>>;

    /// Entries of a container in the order of their keys' bytes. What is written meanwhile may be
    /// among them or not.
    fn list(&self, container: Container, range: Range) -> BoxFuture<'_, Result<Vec<Entry>>>;

    /// Remove a blob; a missing one is fine.
    fn delete(&self, place: Place) -> BoxFuture<'_, Result<()>>;

    /// Write what is at `from` to another place, with its content type; `None` where there is
    /// nothing. The two are apart from then on.
    fn copy(&self, from: Place, to: Place) -> BoxFuture<'_, Result<Option<Info>>>;
}

/// One state of a blob.
pub trait Blob: Send + Sync + 'static {
    /// What is known of it.
    fn info(&self) -> &Info;

    /// The bytes from `offset` on: `length` of them, fewer at the end, none behind it.
    fn read(self: Arc<Self>, offset: u64, length: usize) -> BoxFuture<'static, Result<Bytes>>;
}
