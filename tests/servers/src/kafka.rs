//! A real broker.

use std::{ffi::OsStr, iter, ops::Deref, path::Path};

use super::script::Script;

/// A broker that runs.
pub struct Broker(Script);

impl Broker {
    /// Start a broker that keeps everything in `dir`, on the ports it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        Self::run(dir, None)
    }

    /// The same for clients that find it at another address, `host:port`, which leads to it.
    pub fn start_behind(dir: &Path, address: &str) -> Self {
        Self::run(Some(dir), Some(address))
    }

    fn run(dir: Option<&Path>, address: Option<&str>) -> Self {
        let args = dir.map(Path::as_os_str).into_iter().chain(address.map(OsStr::new));
        Self(Script::start("kafka", iter::once(OsStr::new("serve")).chain(args)))
    }

    /// End it without a word, as a power cut would.
    pub fn kill(self) {
        self.0.kill();
    }
}

impl Deref for Broker {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.0
    }
}
