//! A real Redis.

use std::{
    ffi::OsStr,
    iter,
    path::{Path, PathBuf},
};

use super::script::Script;

/// A server that runs.
pub struct Redis(Script);

impl Redis {
    /// Start a server that keeps everything in `dir`, on the ports it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        let dir = dir.map(Path::as_os_str);
        Self(Script::start("redis", iter::once(OsStr::new("serve")).chain(dir)))
    }

    /// `host:port` of the listener without encryption.
    pub fn plain(&self) -> &str {
        self.0.text("plain")
    }

    /// `host:port` of the listener with TLS.
    pub fn secure(&self) -> &str {
        self.0.text("secure")
    }

    /// Who may come in there, and do what a host does.
    pub fn user(&self) -> &str {
        self.0.text("user")
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        self.0.text("password")
    }

    /// The file with the authority that the server's certificate is of.
    pub fn ca(&self) -> PathBuf {
        self.0.text("ca").into()
    }

    /// Let it hang, or go on.
    pub fn hang(&self, hang: bool) {
        self.0.signal(if hang { "-STOP" } else { "-CONT" });
    }

    /// End it without a word, as a power cut would.
    pub fn kill(self) {
        self.0.kill();
    }
}
