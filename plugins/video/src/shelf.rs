//! Where streams are kept: what is known of them in a key-value store, their files as blobs. The rest
//! of the plugin knows the trait alone, so that tests keep streams in memory.

use trellis_sdk::keyvalue::Store;
use trellis_sdk::{blobs, keyvalue, log, metrics};

use crate::names::Name;
use crate::stream::Stream;

/// The container of segments and initialisations.
pub const SEGMENTS: &str = "segments";
/// The container of recordings.
pub const RECORDINGS: &str = "recordings";
/// What a player is told that both are.
pub const MP4: &str = "video/mp4";
/// The store, and what the keys of streams begin with.
const STORE: &str = "default";
const STREAMS: &str = "stream/";

/// Why something was not kept: a sentence for the log.
pub type Kept<T = ()> = Result<T, String>;

/// What to do with a stream, once it is known how it is.
pub type Change<'a> = &'a mut dyn FnMut(&mut Stream) -> bool;

/// Where streams are kept.
pub trait Shelf {
    /// What is known of a stream; nothing of one that never was.
    fn stream(&mut self, name: &Name) -> Kept<Stream>;
    /// Change what is known of it, where `change` says so. It may be asked more than once, if
    /// somebody else changes the stream meanwhile.
    fn change(&mut self, name: &Name, change: Change<'_>) -> Kept;
    /// All streams that were ever published.
    fn names(&mut self) -> Kept<Vec<Name>>;
    /// Keep a file of a stream.
    fn put(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept;
    /// Remove one.
    fn remove(&mut self, name: &Name, file: &str) -> Kept;
    /// Begin a recording.
    fn record(&mut self, name: &Name, file: &str) -> Kept;
    /// Go on with it.
    fn append(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept;
}

/// The stores of the host.
pub struct Host;

impl Shelf for Host {
    fn stream(&mut self, name: &Name) -> Kept<Stream> {
        let value = open()?.get(&key(name)).map_err(kept)?;
        Ok(read(value.as_deref()))
    }

    fn change(&mut self, name: &Name, change: Change<'_>) -> Kept {
        let changed = open()?.update(&key(name), |value| {
            let mut stream = read(value.as_deref());
            match change(&mut stream) {
                // What cannot fail to be written has only texts and numbers in it.
                true => serde_json::to_vec(&stream).unwrap_or_default(),
                false => value.unwrap_or_default(),
            }
        });
        changed.map_err(kept)
    }

    fn names(&mut self) -> Kept<Vec<Name>> {
        let (store, mut names, mut cursor) = (open()?, Vec::new(), None);
        loop {
            let (keys, next) = store.keys(cursor.as_deref()).map_err(kept)?;
            names.extend(keys.iter().filter_map(|key| Name::of(key.strip_prefix(STREAMS)?)));
            if next.is_none() {
                names.sort();
                return Ok(names);
            }
            cursor = next;
        }
    }

    fn put(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept {
        let put = blobs::put(SEGMENTS, &path(name, file), bytes, Some(MP4));
        put.map_err(|error| error.to_string())?;
        metrics::count("video_bytes", &[("app", &name.app)], bytes.len() as u64);
        Ok(())
    }

    fn remove(&mut self, name: &Name, file: &str) -> Kept {
        blobs::delete(SEGMENTS, &path(name, file)).map_err(|error| error.to_string())
    }

    fn record(&mut self, name: &Name, file: &str) -> Kept {
        let put = blobs::put(RECORDINGS, &path(name, file), b"", Some(MP4));
        put.map(drop).map_err(|error| error.to_string())
    }

    fn append(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept {
        let append = blobs::append(RECORDINGS, &path(name, file), bytes);
        append.map(drop).map_err(|error| error.to_string())
    }
}

/// Remove the oldest recordings beyond so many bytes, which the segments of streams need.
pub fn drop_recordings(most: u64) -> Kept {
    for entry in blobs::surplus(RECORDINGS, most).map_err(|error| error.to_string())? {
        blobs::delete(RECORDINGS, &entry.key).map_err(|error| error.to_string())?;
        log::info(format_args!("the recording {} is dropped: there are too many", entry.key));
    }
    Ok(())
}

/// The key of a file in its container.
pub fn path(name: &Name, file: &str) -> String {
    [&name.app, "/", &name.name, "/", file].concat()
}

fn key(name: &Name) -> String {
    [STREAMS, &name.path()].concat()
}

fn open() -> Kept<Store> {
    Store::open(STORE).map_err(kept)
}

/// A stream as it was written; what cannot be read counts as none.
fn read(value: Option<&[u8]>) -> Stream {
    value.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
}

fn kept(error: keyvalue::Error) -> String {
    format!("the key-value store: {error}")
}

/// A shelf in memory.
#[cfg(test)]
pub mod memory {
    use std::collections::BTreeMap;

    use super::{Change, Kept, Name, Shelf, Stream, path};

    /// All that was kept.
    #[derive(Default)]
    pub struct Memory {
        pub streams: BTreeMap<Name, Stream>,
        pub files: BTreeMap<String, Vec<u8>>,
        pub recordings: BTreeMap<String, Vec<u8>>,
        /// Whether files are refused.
        pub is_full: bool,
    }

    impl Memory {
        fn room(&self) -> Kept {
            if self.is_full { Err("full".to_owned()) } else { Ok(()) }
        }
    }

    impl Shelf for Memory {
        fn stream(&mut self, name: &Name) -> Kept<Stream> {
            Ok(self.streams.get(name).cloned().unwrap_or_default())
        }

        fn change(&mut self, name: &Name, change: Change<'_>) -> Kept {
            let mut stream = self.stream(name)?;
            if change(&mut stream) {
                self.streams.insert(name.clone(), stream);
            }
            Ok(())
        }

        fn names(&mut self) -> Kept<Vec<Name>> {
            Ok(self.streams.keys().cloned().collect())
        }

        fn put(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept {
            self.room()?;
            self.files.insert(path(name, file), bytes.to_vec());
            Ok(())
        }

        fn remove(&mut self, name: &Name, file: &str) -> Kept {
            self.files.remove(&path(name, file));
            Ok(())
        }

        fn record(&mut self, name: &Name, file: &str) -> Kept {
            self.room()?;
            self.recordings.insert(path(name, file), Vec::new());
            Ok(())
        }

        fn append(&mut self, name: &Name, file: &str, bytes: &[u8]) -> Kept {
            self.room()?;
            self.recordings.entry(path(name, file)).or_default().extend_from_slice(bytes);
            Ok(())
        }
    }
}
