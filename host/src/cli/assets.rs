//! What projects of plugins are made of, carried by the program: the contracts (`wit`), the guest
//! libraries (`plugins/sdk`) and the templates of `trellis new`. So one file is all that somebody
//! needs who writes a plugin, and a library always fits the host that builds with it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Every file with its path in the source tree.
const ALL: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The files below a folder, each with its path from there.
pub(super) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    ALL.iter().filter_map(move |(path, bytes)| {
        let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
        Some((rest, *bytes))
    })
}

/// The text of one file; empty for one that is not there.
pub(super) fn text(path: &str) -> &'static str {
    let found = ALL.iter().find(|(known, _)| *known == path);
    found.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Make a folder hold exactly these files. Those that are right already are left alone, so that
/// nothing is built again for them.
pub(super) fn lay_out<'a>(
    folder: &Path,
    files: impl IntoIterator<Item = (PathBuf, &'a [u8])>,
) -> io::Result<()> {
    let mut wanted = BTreeSet::new();
    for (path, bytes) in files {
        let path = folder.join(path);
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, bytes)?;
        }
        wanted.insert(path);
    }
    remove_others(folder, &wanted)
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_are_carried_along() {
        assert!(text("wit/http/http.wit").contains("package trellis:http@0.1.0;"));
        assert!(below("wit").any(|(path, _)| path == "kafka/kafka.wit"));
        assert_eq!(text("wit/nowhere.wit"), "");
    }

    #[test]
    fn a_folder_is_made_to_hold_what_it_should_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("a/one", &b"1"[..]), ("two", b"2")];
        let lay = |files: &[(&str, &'static [u8])]| {
            lay_out(dir.path(), files.iter().map(|(path, bytes)| (path.into(), *bytes))).unwrap();
        };
        lay(&files);
        let written = fs::metadata(dir.path().join("two")).unwrap().modified().unwrap();
        lay(&files[1..]);
        assert!(!dir.path().join("a/one").exists());
        let two = fs::metadata(dir.path().join("two")).unwrap();
        assert_eq!(two.modified().unwrap(), written);
        lay(&[("two", b"3")]);
        assert_eq!(fs::read(dir.path().join("two")).unwrap(), b"3");
    }
}
