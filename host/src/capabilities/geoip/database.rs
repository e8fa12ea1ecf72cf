//! The MaxMind file: read whole, and read again when it was replaced.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use maxminddb::Reader;
use serde::Deserialize;
use wasmtime::component::{ComponentType, Lower};

/// `trellis:plugin/geoip.location`.
#[derive(Clone, Debug, Default, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Location {
    pub country: Option<String>,
    pub city: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
}

/// The part of a record that is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Country<'a>,
    city: City<'a>,
    location: Point,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct City<'a> {
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Point {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// Why a file is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the database `{}` of `[geoip] database` cannot be read: {reason}; name another file, or none", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// It is not in the format.
    #[error("`{}` of `[geoip] database` is no MaxMind database: {reason}; name another file, or none", path.display())]
    Malformed {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// An open file.
pub struct Database {
    path: PathBuf,
    reader: ArcSwap<Reader<Vec<u8>>>,
}

/// Tells versions of a file apart.
type Stamp = (SystemTime, u64);

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Database {
    /// Read the file, and follow it from now on; the task ends with the last user.
    pub async fn open(path: PathBuf) -> Result<Arc<Self>, Error> {
        let (stamp, reader) = blocking(&path, read).await?;
        let database = Arc::new(Self { path, reader: ArcSwap::from_pointee(reader) });
        tokio::spawn(follow(Arc::downgrade(&database), stamp));
        Ok(database)
    }

    /// Where an address is; `None` when the database does not know it.
    pub fn locate(&self, address: IpAddr) -> Option<Location> {
        let reader = self.reader.load();
        let found = reader.lookup(address.to_canonical()).ok()?;
        let record: Record<'_> = found.decode().ok()??;
        Some(Location {
            country: record.country.iso_code.map(str::to_owned),
            city: record.city.names.en.map(str::to_owned),
            latitude: record.location.latitude,
            longitude: record.location.longitude,
        })
    }

    /// Read the file again when it is another one than `before` and the same as at the last
    /// look, so that it is not read while it is written.
    pub(super) async fn look(&self, before: &mut Stamp, last: &mut Stamp) {
        let Ok(now) = blocking(&self.path, stamp).await else {
            return;
        };
        let settled = std::mem::replace(last, now) == now;
        if now == *before || !settled {
            return;
        }
        *before = now;
        match blocking(&self.path, read).await {
            Ok((_, reader)) => {
                self.reader.store(Arc::new(reader));
                tracing::info!(path = %self.path.display(), "the new location database is in use");
            }
            Err(error) => tracing::warn!(%error, "the location database from before stays in use"),
        }
    }
}

async fn follow(database: Weak<Database>, mut before: Stamp) {
    let mut last = before;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match database.upgrade() {
            Some(database) => database.look(&mut before, &mut last).await,
            None => return,
        }
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: fn(&Path) -> Result<T, Error>,
) -> Result<T, Error> {
    let owned = path.to_owned();
    let worked = tokio::task::spawn_blocking(move || work(&owned)).await;
    worked.unwrap_or_else(|error| Err(unreadable(path)(io::Error::other(error))))
}

fn stamp(path: &Path) -> Result<Stamp, Error> {
    let meta = fs::metadata(path).map_err(unreadable(path))?;
    Ok((meta.modified().map_err(unreadable(path))?, meta.len()))
}

fn read(path: &Path) -> Result<(Stamp, Reader<Vec<u8>>), Error> {
    let stamp = stamp(path)?;
    let bytes = fs::read(path).map_err(unreadable(path))?;
    let malformed = |error: maxminddb::MaxMindDbError| Error::Malformed {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    Ok((stamp, Reader::from_source(bytes).map_err(malformed)?))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |reason| Error::Unreadable { path: path.to_owned(), reason }
}
