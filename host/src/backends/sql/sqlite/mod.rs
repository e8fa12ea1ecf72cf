//! SQLite: one file a plugin, one writer and a few readers a file.
//!
//! Write-ahead log, so readers never wait for the writer; every commit is synced to the disk.
//! Transactions take the writer when they begin, so two never meet half way.
//!
//! ```text
//!  Sqlite ── a plugin ──▶ File ──▶ Pool ── writer (one, a fair queue) ──▶ Connection
//!                                   └──── readers (a few, made when needed) ──▶ Connection
//! ```

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;

use super::{Database, Databases, Error, Result, Settings};

mod connection;
mod file;
mod migrate;
mod pool;
mod transaction;

#[cfg(test)]
mod tests;

use file::File;

/// All databases, in one directory.
pub struct Sqlite {
    directory: PathBuf,
    settings: Settings,
    /// Weak, so that the threads of a plugin that is gone end.
    open: Mutex<HashMap<String, Weak<File>>>,
}

impl Sqlite {
    /// Keep the databases in `directory`, created when it is not there.
    pub fn open(settings: Settings, directory: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), settings, open: Mutex::default() })
    }
}

impl Databases for Sqlite {
    fn open(&self, plugin: &str) -> BoxFuture<'_, Result<Arc<dyn Database>>> {
        let plugin = plugin.to_owned();
        async move {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if plugin.is_empty() || !plugin.bytes().all(plain) {
                return Err(Error::Invalid(format!("`{plugin}` cannot name a database")));
            }
            let mut open = self.open.lock().await;
            open.retain(|_, file| file.strong_count() > 0);
            if let Some(file) = open.get(&plugin).and_then(Weak::upgrade) {
                return Ok(file as Arc<dyn Database>);
            }
            let path = self.directory.join(format!("{plugin}.sqlite"));
            let file = File::open(path, &self.settings).await?;
            open.insert(plugin, Arc::downgrade(&file));
            Ok(file as Arc<dyn Database>)
        }
        .boxed()
    }
}

/// What a failure of SQLite means to a plugin. Codes: <https://www.sqlite.org/rescode.html>.
fn failure(error: sqlx::Error) -> Error {
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::Protocol(reason) => Error::Invalid(reason),
            other => {
                tracing::warn!(error = %other, "a connection to a database was lost");
                Error::Unavailable("the connection was lost".into())
            }
        };
    };
    let message = database.message().to_owned();
    let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or(1);
    match code & 0xff {
        // Busy and locked.
        5 | 6 => Error::Conflict,
        19 => Error::Constraint(message),
        18 => Error::TooLarge,
        9 => Error::Unavailable("the statement was cut off".into()),
        13 => Error::Unavailable("the database is full".into()),
        // Memory, input and output, a file that cannot be opened or is damaged.
        7 | 10 | 11 | 14 | 26 => {
            tracing::warn!(%message, code, "a database failed");
            Error::Unavailable("the database failed".into())
        }
        _ => Error::Invalid(message),
    }
}
