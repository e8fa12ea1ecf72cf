//! A real Redis.

use std::{ffi::OsStr, iter, ops::Deref, path::Path};

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

    /// Let it hang, or go on.
    pub fn hang(&self, hang: bool) {
        self.0.signal(if hang { "-STOP" } else { "-CONT" });
    }

    /// End it without a word, as a power cut would.
    pub fn kill(self) {
        self.0.kill();
    }
}

impl Deref for Redis {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.0
    }
}
