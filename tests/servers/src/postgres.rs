//! A real PostgreSQL.

use std::{ffi::OsStr, iter, ops::Deref, path::Path};

use super::script::Script;

/// A server that runs.
pub struct Postgres(Script);

impl Postgres {
    /// Start a server that keeps everything in `dir`, on the port it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        let dir = dir.map(Path::as_os_str);
        Self(Script::start("postgres", iter::once(OsStr::new("serve")).chain(dir)))
    }

    /// Start a server in `dir` that follows the one in `other` and answers reads.
    pub fn follow(dir: &Path, other: &Path) -> Self {
        let args = [OsStr::new("follow"), dir.as_os_str(), other.as_os_str()];
        Self(Script::start("postgres", args))
    }

    /// Where it listens.
    pub fn host(&self) -> &str {
        self.0.text("host")
    }

    /// The port there.
    pub fn port(&self) -> u16 {
        self.0.number("port").try_into().unwrap()
    }

    /// A database that the user owns.
    pub fn database(&self) -> &str {
        self.0.text("database")
    }

    /// End it without a word, as a power cut would.
    pub fn kill(self) {
        self.0.kill();
    }
}

impl Deref for Postgres {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.0
    }
}
