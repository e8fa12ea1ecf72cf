//! Values that are shown to nobody but whom they are meant for. The settings say where each is;
//! the rooms that have the setting enter here.

use std::{env, fmt, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

/// A value that is shared, never copied, and that prints as `***`.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The value, for whom it is meant alone.
    pub fn reveal(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is: the settings name the place, never the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Source {
    /// `{ env = "NAME" }`: a variable of the host's environment.
    Env(String),
    /// `{ file = "/path" }`: a file; one line end at its end does not count.
    File(PathBuf),
}

/// Why a secret could not be read. Never holds what was read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variable is not set.
    #[error("the variable `{0}` is not set or not UTF-8: set it for the host and load again")]
    Env(String),
    /// The file cannot be read.
    #[error("the file `{}` cannot be read: {reason}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is too large for a secret.
    #[error("the file `{}` has more than {MAX_SECRET} bytes", .0.display())]
    TooLarge(PathBuf),
}

/// The largest file that is taken for a secret.
const MAX_SECRET: u64 = 64 << 10;

impl Source {
    /// Read the secret.
    pub async fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::Env(name) => {
                let value = env::var(name).map_err(|_| Error::Env(name.clone()))?;
                Ok(Secret(value.into()))
            }
            Self::File(path) => read_file(path).await,
        }
    }
}

async fn read_file(path: &PathBuf) -> Result<Secret, Error> {
    let unreadable = |reason| Error::File { path: path.clone(), reason };
    let meta = tokio::fs::metadata(path).await.map_err(|error| unreadable(error.to_string()))?;
    if meta.len() > MAX_SECRET {
        return Err(Error::TooLarge(path.clone()));
    }
    let bytes = tokio::fs::read(path).await.map_err(|error| unreadable(error.to_string()))?;
    // The error of the conversion would hold the bytes.
    let text = str::from_utf8(&bytes).map_err(|_| unreadable("it is not UTF-8".into()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret(text.strip_suffix('\r').unwrap_or(text).into()))
}
