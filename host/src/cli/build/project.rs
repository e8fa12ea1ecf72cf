//! A plugin that is built from sources.

use std::path::{Path, PathBuf};

use crate::manifest::Manifest;

/// The folder of a plugin and what its manifest says.
pub(in crate::cli) struct Project<'a> {
    /// The folder.
    pub(in crate::cli) folder: &'a Path,
    /// Its manifest.
    pub(in crate::cli) manifest: &'a Manifest,
}

impl Project<'_> {
    /// Where a build puts what it makes for the sources to use: the guest library, the world. It
    /// can be deleted at any time, and belongs into no repository.
    pub(in crate::cli) fn generated(&self) -> PathBuf {
        self.folder.join(".trellis")
    }
}
