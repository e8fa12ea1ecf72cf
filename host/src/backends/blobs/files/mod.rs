//! Blobs as files in the data directory: a directory for each plugin, one in it for each container.
//!
//! ```text
//!  put, append, copy, delete ─▶ the key's turn ─┐
//!  open, read, list ────────────────────────────┴▶ a place of the plugin's ─▶ a thread that blocks
//! ```
//! Two writes of one key never run at once; tasks wait for that, not threads. Of the threads for
//! blocking work, which the databases need too, a plugin has a few at a time.
//!
//! The files are the host's own and not those of `object_store`, whose local files fit the promises
//! badly: they have no append and no content type, a copy is a hard link, which an append in place
//! would change with the original, a removal is not synced, `a` and `a/b` exclude each other, lists
//! have no order, and what a killed host was writing stays for good.

use std::{
    collections::HashMap,
    fs,
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use rustix::process::{Resource, getrlimit};
use tokio::sync::{Mutex as Turn, OnceCell, OwnedSemaphorePermit, Semaphore};

use super::{
    Blob, Blobs, Container, ContentType, Entry, Error, Info, MAX_WRITE, Place, Range, Result, Store,
};

mod disk;
mod header;
mod names;
mod quota;
#[cfg(test)]
mod tests;
mod walk;

use disk::{Disk, failed};
use quota::Quota;

/// Where files are before they have their names. No plugin is called this.
const STAGING: &str = ".staging";
/// What a plugin has running at a time, of everything that blocks.
const AT_ONCE: usize = 8;
/// Turns of keys; keys share them.
const TURNS: usize = 64;
/// Blobs that are open at least, however few files the process may have.
const LEAST_OPEN: usize = 16;
/// And at most: a semaphore counts no further.
const MOST_OPEN: usize = 1 << 20;

/// All plugins' blobs.
pub struct Files {
    directory: PathBuf,
    most: u64,
    plugins: Mutex<HashMap<String, Arc<OnceCell<Arc<Shared>>>>>,
    /// Blobs that may be open: whoever reads them slowly must not keep the log and the databases
    /// from their files.
    open: Arc<Semaphore>,
}

impl Files {
    /// Open the directory, made where it is not there. One process at a time. A plugin may ask for
    /// `most` bytes.
    pub fn open(directory: &Path, most: u64) -> io::Result<Self> {
        let staging = directory.join(STAGING);
        // What a host that was killed did not finish.
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&staging)?,
        }
        if let Some(above) = directory.parent() {
            fs::File::open(above)?.sync_all()?;
        }
        let files = getrlimit(Resource::Nofile).maximum;
        let files =
            files.map_or(MOST_OPEN, |files| usize::try_from(files / 4).unwrap_or(MOST_OPEN));
        Ok(Self {
            directory: directory.to_owned(),
            most,
            plugins: Mutex::default(),
            open: Arc::new(Semaphore::new(files.clamp(LEAST_OPEN, MOST_OPEN))),
        })
    }

    async fn shared(&self, plugin: &str) -> Result<Arc<Shared>> {
        let cell = {
            let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            plugins.entry(plugin.to_owned()).or_default().clone()
        };
        let shared = cell.get_or_try_init(async || {
            let disk = Disk::new(self.directory.join(plugin), self.directory.join(STAGING));
            let plugin = plugin.to_owned();
            let open = self.open.clone();
            block(move || Ok(Arc::new(Shared::new(&plugin, disk, open)?))).await
        });
        shared.await.cloned()
    }
}

impl Blobs for Files {
    fn most(&self) -> u64 {
        self.most
    }

    fn open(&self, plugin: &str, most: u64) -> BoxFuture<'_, Result<Arc<dyn Store>>> {
        let plugin = plugin.to_owned();
        async move {
            let shared = self.shared(&plugin).await?;
            Ok(Arc::new(Room { shared, most }) as Arc<dyn Store>)
        }
        .boxed()
    }
}

/// What the generations of a plugin share.
struct Shared {
    disk: Disk,
    quota: Quota,
    turns: [Arc<Turn<()>>; TURNS],
    hasher: RandomState,
    places: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Shared {
    fn new(plugin: &str, disk: Disk, open: Arc<Semaphore>) -> Result<Self> {
        Ok(Self {
            quota: Quota::new(plugin, disk.used()?),
            disk,
            turns: std::array::from_fn(|_| Arc::default()),
            hasher: RandomState::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            open,
        })
    }

    /// Do what blocks, in one of the plugin's places.
    async fn run<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().acquire_owned().await;
        block(move || {
            let _place = place;
            work(&self)
        })
        .await
    }

    /// The same when it is the key's turn, which ends with the work, also where nobody waits.
    async fn write<T: Send + 'static>(
        self: Arc<Self>,
        place: &Place,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.hasher.hash_one(place) as usize % TURNS;
        let turn = self.turns[turn].clone().lock_owned().await;
        self.run(move |shared| {
            let _turn = turn;
            work(shared)
        })
        .await
    }
}

/// Run on a thread that may block.
async fn block<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Unavailable("the host is shutting down".into()))?
}

/// A plugin's blobs, as one of its generations may write them.
struct Room {
    shared: Arc<Shared>,
    most: u64,
}

fn check_write(bytes: &Bytes) -> Result<()> {
    if bytes.len() > MAX_WRITE { Err(Error::TooLarge(bytes.len())) } else { Ok(()) }
}

impl Store for Room {
    fn put(
        &self,
        place: Place,
        body: Bytes,
        content_type: Option<ContentType>,
    ) -> BoxFuture<'_, Result<Info>> {
        let most = self.most;
        async move {
            check_write(&body)?;
            let at = place.clone();
            self.shared
                .clone()
                .write(&at, move |shared| {
                    shared.disk.put(&place, &body, content_type, &shared.quota, most)
                })
                .await
        }
        .boxed()
    }

    fn append(&self, place: Place, bytes: Bytes) -> BoxFuture<'_, Result<Info>> {
        let most = self.most;
        async move {
            check_write(&bytes)?;
            let at = place.clone();
            self.shared
                .clone()
                .write(&at, move |shared| shared.disk.append(&place, &bytes, &shared.quota, most))
                .await
        }
        .boxed()
    }

    fn open(&self, place: Place) -> BoxFuture<'_, Result<Option<Arc<dyn Blob>>>> {
        async move {
            let room = self.shared.open.clone().try_acquire_owned();
            let room = room.map_err(|_| Error::Unavailable("too many are open already".into()))?;
            let opened = self.shared.clone().run(move |shared| shared.disk.open(&place)).await?;
            let shared = self.shared.clone();
            Ok(opened.map(|(file, header)| {
                Arc::new(Opened { file, info: header.info(), shared, _room: room }) as Arc<dyn Blob>
            }))
        }
        .boxed()
    }

    fn list(&self, container: Container, range: Range) -> BoxFuture<'_, Result<Vec<Entry>>> {
        self.shared.clone().run(move |shared| shared.disk.list(&container, &range)).boxed()
    }

    fn delete(&self, place: Place) -> BoxFuture<'_, Result<()>> {
        async move {
            let at = place.clone();
            let shared = self.shared.clone();
            shared.write(&at, move |shared| shared.disk.delete(&place, &shared.quota)).await
        }
        .boxed()
    }

    fn copy(&self, from: Place, to: Place) -> BoxFuture<'_, Result<Option<Info>>> {
        let most = self.most;
        async move {
            let at = to.clone();
            let shared = self.shared.clone();
            shared.write(&at, move |shared| shared.disk.copy(&from, &to, &shared.quota, most)).await
        }
        .boxed()
    }
}

/// A blob that is read. Its file stays what it was: a write makes another one, and an append adds
/// behind the size that was read.
struct Opened {
    file: fs::File,
    info: Info,
    shared: Arc<Shared>,
    _room: OwnedSemaphorePermit,
}

impl Blob for Opened {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(self: Arc<Self>, offset: u64, length: usize) -> BoxFuture<'static, Result<Bytes>> {
        let left = self.info.size.saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| left.min(length));
        if length == 0 {
            return async { Ok(Bytes::new()) }.boxed();
        }
        let shared = self.shared.clone();
        shared
            .run(move |_| {
                let mut bytes = vec![0; length];
                let at = header::LENGTH as u64 + offset;
                self.file.read_exact_at(&mut bytes, at).map_err(failed)?;
                Ok(bytes.into())
            })
            .boxed()
    }
}
