//! The languages that plugins are written in: one file each, and a line in the list below.

use std::path::Path;

use super::{Progress, Project};

mod c;
mod go;
mod javascript;
mod python;
mod rust;

/// How plugins in one language are built.
pub(in crate::cli) struct Language {
    /// Its name on the command line, and that of its templates.
    pub(in crate::cli) name: &'static str,
    /// The file in a plugin's folder that says it is written in this language; a build begins
    /// there.
    pub(in crate::cli) entry: &'static str,
    /// Puts the guest library into the project, below [`Project::generated`], where the
    /// language's tools and editors find it.
    pub(in crate::cli) equip: fn(&Project) -> anyhow::Result<()>,
    /// Makes the component of an equipped project.
    pub(super) compile: fn(&Project, &Progress) -> anyhow::Result<Vec<u8>>,
}

/// All of them. A folder is in the first one whose entry it has.
pub(in crate::cli) const ALL: &[Language] =
    &[rust::RUST, javascript::TYPESCRIPT, javascript::JAVASCRIPT, python::PYTHON, go::GO, c::C];

/// The language of a plugin's folder.
pub(in crate::cli) fn of(folder: &Path) -> Option<&'static Language> {
    ALL.iter().find(|language| folder.join(language.entry).is_file())
}
