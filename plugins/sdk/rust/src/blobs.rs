//! Bytes under a key, in containers of the plugin's own.
//!
//! ```no_run
//! use trellis_sdk::{blobs, http::Response};
//!
//! blobs::put("tracks", "1/cover", b"...", Some("image/png"))?;
//! // A recording goes on over many calls.
//! blobs::append("tracks", "1/sound", b"...")?;
//! // The host sends it, whole or in ranges.
//! let answer = Response::blob("tracks", "1/sound").with_header("content-type", "audio/ogg");
//! # Ok::<(), blobs::Error>(())
//! ```
//!
//! The containers are in `[needs.blobs] containers` of the manifest. What returned is durable.

use crate::bindings::imports::trellis::storage::blobs as wit;

pub use wit::{Blob, Entry, Error, Info};

/// The most entries of a page.
pub const MAX_PAGE: u32 = 1000;

/// Write a blob over whatever is there, at most 16 MiB.
pub fn put(
    container: &str,
    key: &str,
    body: &[u8],
    content_type: Option<&str>,
) -> Result<Info, Error> {
    wit::put(container, key, body, content_type)
}

/// Add to the end of a blob, at most 16 MiB a call; one begins where there is none.
pub fn append(container: &str, key: &str, bytes: &[u8]) -> Result<Info, Error> {
    wit::append(container, key, bytes)
}

/// A whole blob of at most 16 MiB.
pub fn get(container: &str, key: &str) -> Result<Option<Blob>, Error> {
    wit::get(container, key)
}

/// A part of a blob, at most 1 MiB; fewer bytes at its end, none behind it.
pub fn read(
    container: &str,
    key: &str,
    offset: u64,
    length: u32,
) -> Result<Option<Vec<u8>>, Error> {
    wit::read(container, key, offset, length)
}

/// What is known of a blob without reading it.
pub fn head(container: &str, key: &str) -> Result<Option<Info>, Error> {
    wit::head(container, key)
}

/// A page of the blobs whose keys begin with `prefix`, behind the key `after`, at most
/// [`MAX_PAGE`]. [`all`] goes through all pages.
pub fn list(
    container: &str,
    prefix: &str,
    after: Option<&str>,
    most: u32,
) -> Result<Vec<Entry>, Error> {
    wit::list(container, prefix, after, most)
}

/// The blobs whose keys begin with `prefix`, in the order of their keys, asked for page by page. It
/// ends behind an error.
pub fn all(container: &str, prefix: &str) -> impl Iterator<Item = Result<Entry, Error>> {
    let mut page = Vec::new().into_iter();
    let mut after: Option<String> = None;
    let mut ended = false;
    std::iter::from_fn(move || {
        if page.len() == 0 && !ended {
            match list(container, prefix, after.as_deref(), MAX_PAGE) {
                Ok(next) => {
                    ended = next.len() < MAX_PAGE as usize;
                    page = next.into_iter();
                }
                Err(error) => {
                    ended = true;
                    return Some(Err(error));
                }
            }
        }
        let entry = page.next()?;
        after = Some(entry.key.clone());
        Some(Ok(entry))
    })
}

/// The blobs of a container beyond the newest ones that have at most so many bytes together: what
/// to delete, so that a container that only grows keeps within bounds. The newest is never among
/// them.
pub fn surplus(container: &str, most: u64) -> Result<Vec<Entry>, Error> {
    let entries = all(container, "").collect::<Result<Vec<_>, _>>()?;
    Ok(beyond(entries, most))
}

fn beyond(mut entries: Vec<Entry>, most: u64) -> Vec<Entry> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.info.modified_ms));
    let newest = 1.min(entries.len());
    let mut bytes = entries[..newest].iter().map(|entry| entry.info.size).sum::<u64>();
    let mut older = entries.split_off(newest);
    older.retain(|entry| {
        bytes = bytes.saturating_add(entry.info.size);
        bytes > most
    });
    older
}

/// Remove a blob; a missing one is fine.
pub fn delete(container: &str, key: &str) -> Result<(), Error> {
    wit::delete(container, key)
}

/// Write what is under one key under another, each a container and a key; `None` where there is
/// nothing.
pub fn copy(from: (&str, &str), to: (&str, &str)) -> Result<Option<Info>, Error> {
    wit::copy(from.0, from.1, to.0, to.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_beyond_what_is_kept_and_the_newest_never() {
        let entry = |key: &str, size, modified_ms| Entry {
            key: key.to_owned(),
            info: Info { size, modified_ms, etag: String::new(), content_type: None },
        };
        let entries = || vec![entry("old", 5, 1), entry("new", 20, 3), entry("mid", 5, 2)];
        let keys =
            |most| beyond(entries(), most).into_iter().map(|entry| entry.key).collect::<Vec<_>>();
        assert_eq!(keys(30), Vec::<String>::new());
        assert_eq!(keys(25), ["old"]);
        assert_eq!(keys(1), ["mid", "old"]);
        assert!(beyond(Vec::new(), 1).is_empty());
    }
}
