//! `blobs`: bytes under a key in containers of the plugin's own, `trellis:storage/blobs`, and
//! `wasi:blobstore` for components that were made for other hosts.
//!
//! The HTTP trigger enters here as well, where a plugin's answer names a blob as its body
//! ([`Prepared::named`]): whatever else a plugin can say, it names its own blobs only.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use metrics::Counter;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::{
    backends::{
        Backends,
        blobs::{self, Blob, Container, ContentType, Entry, Info, Key, Place, Range, Store},
    },
    quantity,
};

mod blobstore;
mod host;
#[cfg(test)]
mod tests;

/// The largest blob that is handed over whole.
const MAX_WHOLE: u64 = 16 << 20;
/// The most bytes of a part that is handed over.
const MAX_PART: u32 = 1 << 20;

/// The capability: all plugins' blobs.
pub struct Blobs {
    blobs: Arc<dyn blobs::Blobs>,
}

/// `[needs.blobs]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The plugin's containers: 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// What its blobs may take together, [`blobs::COST`] for each included.
    pub max_bytes: quantity::Bytes,
}

impl Default for Grant {
    fn default() -> Self {
        Self { containers: Vec::new(), max_bytes: quantity::Bytes(1 << 30) }
    }
}

/// What a generation has: the plugin's blobs, its containers, and what is counted of them.
pub struct Prepared {
    store: Arc<dyn Store>,
    containers: BTreeMap<String, Container>,
    /// What is left of [`blobstore::MAX_OPEN`].
    open: Arc<Semaphore>,
    read: Counter,
    written: Counter,
    errors: Counter,
}

/// What one store of wasmtime has: all of the generation.
pub type Instance = Arc<Prepared>;

/// Why a call had no effect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What stands behind refused it, or cannot be reached.
    #[error(transparent)]
    Backend(#[from] blobs::Error),
    /// The manifest does not name the container.
    #[error("`{0}` is not in `[needs.blobs] containers` of the manifest; add it there")]
    NoContainer(String),
    /// What an answer names is no blob.
    #[error("`{0}` names no blob; write it as `container/key`")]
    NoName(String),
    /// The blob is too large to be handed over whole.
    #[error("the blob has `{0}` bytes; read it in parts")]
    LargeBlob(u64),
    /// There is nothing at the key.
    #[error("there is no blob `{0}`")]
    NoBlob(String),
    /// A value was finished that goes nowhere.
    #[error("nothing says where the value goes; call `write-data` before `finish`")]
    NoPlace,
    /// Too many blobs are open for reading.
    #[error("`{0}` blobs are open for reading; drop one before the next")]
    TooManyOpen(usize),
    /// The part is too large to be handed over.
    #[error("a part has `{0}` bytes; ask for {MAX_PART} at most")]
    LargePart(u32),
}

/// A blob that an answer names.
pub struct Named {
    /// What is at its place now.
    pub blob: Arc<dyn Blob>,
    /// Counts what is read of it.
    pub read: Counter,
}

impl Prepared {
    async fn new(
        all: &dyn blobs::Blobs,
        plugin: &str,
        grant: &Grant,
    ) -> Result<Self, blobs::Error> {
        let container = |name: &String| Ok((name.clone(), Container::new(name)?));
        let counter = |name| metrics::counter!(name, "plugin" => plugin.to_owned());
        Ok(Self {
            store: all.open(plugin, grant.max_bytes.0).await?,
            containers: grant.containers.iter().map(container).collect::<Result<_, _>>()?,
            open: Arc::new(Semaphore::new(blobstore::MAX_OPEN)),
            read: counter("trellis_blobs_read_bytes_total"),
            written: counter("trellis_blobs_written_bytes_total"),
            errors: counter("trellis_blobs_errors_total"),
        })
    }

    /// The blob that an answer names as `container/key`; `None` where there is none.
    pub async fn named(&self, name: &str) -> Result<Option<Named>, Error> {
        let parts = name.split_once('/');
        let (container, key) = parts.ok_or_else(|| Error::NoName(name.to_owned()))?;
        let blob = self.open(container, key).await?;
        Ok(blob.map(|blob| Named { blob, read: self.read.clone() }))
    }

    async fn put(
        &self,
        container: &str,
        key: &str,
        body: Bytes,
        content_type: Option<&str>,
    ) -> Result<Info, Error> {
        let place = self.place(container, key)?;
        let content_type = content_type.map(ContentType::new).transpose()?;
        let bytes = body.len();
        let info = self.answered(self.store.put(place, body, content_type).await)?;
        self.written.increment(bytes as u64);
        Ok(info)
    }

    async fn append(&self, container: &str, key: &str, bytes: Bytes) -> Result<Info, Error> {
        let place = self.place(container, key)?;
        let length = bytes.len();
        let info = self.answered(self.store.append(place, bytes).await)?;
        self.written.increment(length as u64);
        Ok(info)
    }

    /// A small blob whole.
    async fn get(&self, container: &str, key: &str) -> Result<Option<(Info, Bytes)>, Error> {
        let Some(blob) = self.open(container, key).await? else { return Ok(None) };
        let info = blob.info().clone();
        if info.size > MAX_WHOLE {
            return Err(Error::LargeBlob(info.size));
        }
        Ok(Some((info, self.part_of(blob, 0, MAX_WHOLE as usize).await?)))
    }

    /// A part of a blob.
    async fn read(
        &self,
        container: &str,
        key: &str,
        offset: u64,
        length: u32,
    ) -> Result<Option<Bytes>, Error> {
        if length > MAX_PART {
            return Err(Error::LargePart(length));
        }
        let Some(blob) = self.open(container, key).await? else { return Ok(None) };
        Ok(Some(self.part_of(blob, offset, length as usize).await?))
    }

    async fn head(&self, container: &str, key: &str) -> Result<Option<Info>, Error> {
        Ok(self.open(container, key).await?.map(|blob| blob.info().clone()))
    }

    async fn list(&self, container: &str, range: Range) -> Result<Vec<Entry>, Error> {
        let container = self.container(container)?;
        self.answered(self.store.list(container, range).await)
    }

    async fn delete(&self, container: &str, key: &str) -> Result<(), Error> {
        let place = self.place(container, key)?;
        self.answered(self.store.delete(place).await)
    }

    async fn copy(
        &self,
        [from, to]: [&str; 2],
        [from_key, to_key]: [&str; 2],
    ) -> Result<Option<Info>, Error> {
        let (from, to) = (self.place(from, from_key)?, self.place(to, to_key)?);
        let copied = self.answered(self.store.copy(from, to).await)?;
        self.written.increment(copied.as_ref().map_or(0, |info| info.size));
        Ok(copied)
    }

    async fn open(&self, container: &str, key: &str) -> Result<Option<Arc<dyn Blob>>, Error> {
        let place = self.place(container, key)?;
        self.answered(self.store.open(place).await)
    }

    async fn part_of(
        &self,
        blob: Arc<dyn Blob>,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, Error> {
        let bytes = self.answered(blob.read(offset, length).await)?;
        self.read.increment(bytes.len() as u64);
        Ok(bytes)
    }

    fn container(&self, name: &str) -> Result<Container, Error> {
        let found = self.containers.get(name).cloned();
        found.ok_or_else(|| Error::NoContainer(name.escape_debug().take(63).collect()))
    }

    fn place(&self, container: &str, key: &str) -> Result<Place, Error> {
        Ok(Place { container: self.container(container)?, key: Key::new(key)? })
    }

    /// Count what could not be answered; mistakes of the plugin are its own.
    fn answered<T>(&self, answer: blobs::Result<T>) -> Result<T, Error> {
        if let Err(blobs::Error::Unavailable(_)) = answer {
            self.errors.increment(1);
        }
        Ok(answer?)
    }
}

impl Capability for Blobs {
    const NAME: &'static str = "blobs";
    const INTERFACES: &'static [&'static str] =
        &[host::INTERFACE, blobstore::BLOBSTORE, blobstore::CONTAINER, blobstore::TYPES];
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { blobs: backends.blobs.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        host::link(linker)?;
        blobstore::link(linker)
    }

    fn beyond(need: &Grant, allowed: &Grant) -> Vec<String> {
        let missing = need.containers.iter().filter(|name| !allowed.containers.contains(name));
        let mut beyond: Vec<_> = missing.map(|name| format!("containers = [\"{name}\"]")).collect();
        if need.max_bytes > allowed.max_bytes {
            beyond.push(format!("max-bytes = \"{}\"", need.max_bytes));
        }
        beyond
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        let most = quantity::Bytes(self.blobs.most());
        anyhow::ensure!(
            grant.max_bytes <= most,
            "`[needs.blobs]` asks for {}; the operator allows {most} (`[blobs] max-bytes`)",
            grant.max_bytes
        );
        Ok(Prepared::new(&*self.blobs, &plugin.name, grant).await?)
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        prepared.clone()
    }
}
