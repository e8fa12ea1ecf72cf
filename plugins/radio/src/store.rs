//! What is remembered in the key-value store: values of JSON, so that the next version reads what
//! this one wrote.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use trellis_sdk::keyvalue;

/// The stores of `[needs.keyvalue]`.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    /// What each mount is.
    Mounts,
    /// Who is live in each mount, or was last.
    Live,
    /// Where the playing of tracks is in each mount.
    Play,
    /// What plays and played in each mount.
    Now,
    /// The headers of the logical stream of each mount of Ogg, as they are.
    Headers,
    /// Each track.
    Tracks,
    /// The playlist of each mount.
    Playlists,
    /// All shows, under one key.
    Shows,
    /// Each recording.
    Recordings,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Live => "live",
            Self::Play => "play",
            Self::Now => "now",
            Self::Headers => "headers",
            Self::Tracks => "tracks",
            Self::Playlists => "playlists",
            Self::Shows => "shows",
            Self::Recordings => "recordings",
        }
    }

    fn open(self) -> Result<keyvalue::Store> {
        Ok(keyvalue::Store::open(self.name())?)
    }
}

/// Why the store did not do it.
#[derive(Debug)]
pub struct Error(String);

/// What the functions here return.
pub type Result<T> = std::result::Result<T, Error>;

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key-value store: {}", self.0)
    }
}

impl From<keyvalue::Error> for Error {
    fn from(error: keyvalue::Error) -> Self {
        Self(format!("{error:?}"))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// The value of a key. One that is not understood, because a later version wrote it, is none.
pub fn get<T: DeserializeOwned>(store: Store, key: &str) -> Result<Option<T>> {
    Ok(read(raw(store, key)?.as_deref()))
}

/// The bytes of a key.
pub fn raw(store: Store, key: &str) -> Result<Option<Vec<u8>>> {
    Ok(store.open()?.get(key)?)
}

/// What bytes from [`raw`] say.
pub fn read<T: DeserializeOwned>(bytes: Option<&[u8]>) -> Option<T> {
    serde_json::from_slice(bytes?).ok()
}

/// Write a value over whatever was there.
pub fn set<T: Serialize>(store: Store, key: &str, value: &T) -> Result<()> {
    set_raw(store, key, &serde_json::to_vec(value)?)
}

/// Write bytes over whatever was there.
pub fn set_raw(store: Store, key: &str, bytes: &[u8]) -> Result<()> {
    Ok(store.open()?.set(key, bytes)?)
}

/// Replace a value by what the function makes of it, which runs again whenever somebody else wrote
/// in between; the new value.
pub fn change<T: Serialize + DeserializeOwned>(
    store: Store,
    key: &str,
    mut change: impl FnMut(Option<T>) -> T,
) -> Result<T> {
    let (mut value, mut failed) = (None, None);
    store.open()?.update(key, |bytes| {
        let new = change(read(bytes.as_deref()));
        let written = serde_json::to_vec(&new);
        value = Some(new);
        written.unwrap_or_else(|error| {
            failed = Some(error);
            bytes.unwrap_or_default()
        })
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => value.ok_or_else(|| Error("nothing was written".to_owned())),
    }
}

/// Write a value where there are still the bytes that [`raw`] said; whether it was.
pub fn swap<T: Serialize>(
    store: Store,
    key: &str,
    before: Option<&[u8]>,
    value: &T,
) -> Result<bool> {
    let new = serde_json::to_vec(value)?;
    let mut is_same = false;
    store.open()?.update(key, |bytes| {
        is_same = bytes.as_deref() == before;
        if is_same { new.clone() } else { bytes.unwrap_or_default() }
    })?;
    Ok(is_same)
}

/// Forget a key.
pub fn delete(store: Store, key: &str) -> Result<()> {
    Ok(store.open()?.delete(key)?)
}

/// All keys of a store, in no order.
pub fn keys(store: Store) -> Result<Vec<String>> {
    let store = store.open()?;
    let (mut keys, mut cursor) = store.keys(None)?;
    while let Some(next) = cursor {
        let (more, after) = store.keys(Some(&next))?;
        keys.extend(more);
        cursor = after;
    }
    Ok(keys)
}
