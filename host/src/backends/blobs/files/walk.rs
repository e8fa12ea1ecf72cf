//! Going through the files of a plugin: what they take, and the pages of a container.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::{Container, Entry, MAX_PAGE, Range, Result},
    disk::{Disk, cost, failed},
    header::Header,
    names::Name,
};

impl Disk {
    /// What all blobs count.
    pub fn used(&self) -> Result<u64> {
        let mut used = 0;
        let mut directories = vec![self.root().to_owned()];
        while let Some(directory) = directories.pop() {
            for (path, file) in entries(&directory).map_err(failed)? {
                if file.is_dir() {
                    directories.push(path);
                } else {
                    used += cost(file.len());
                }
            }
        }
        Ok(used)
    }

    /// A page of a container.
    pub fn list(&self, container: &Container, range: &Range) -> Result<Vec<Entry>> {
        let most = range.most.min(MAX_PAGE);
        let mut found = Vec::new();
        // What is still to be looked at, in the order of the keys: the next one last.
        let mut ahead = Vec::new();
        self.look_into(&self.root().join(container.as_str()), "", range, &mut ahead)?;
        while let Some(Step { key, path, is_directory }) = ahead.pop() {
            if found.len() == most {
                break;
            }
            if is_directory {
                self.look_into(&path, &key, range, &mut ahead)?;
            } else if let Some(header) = read(&path)? {
                found.push(Entry { key, info: header.info() });
            }
        }
        Ok(found)
    }

    /// Put the entries of a directory that may have keys of the range before all others.
    fn look_into(
        &self,
        directory: &Path,
        base: &str,
        range: &Range,
        ahead: &mut Vec<Step>,
    ) -> Result<()> {
        let begin = ahead.len();
        for name in names(directory).map_err(failed)? {
            let Some(Name { text, is_directory }) = Name::read(&name) else { continue };
            let key = [base, &text].concat();
            if is_wanted(&key, is_directory, range) {
                ahead.push(Step { key, path: directory.join(&name), is_directory });
            }
        }
        ahead[begin..].sort_unstable_by(|one, other| other.key.cmp(&one.key));
        Ok(())
    }
}

/// A file or a directory that is to be looked at.
struct Step {
    /// The key, or what the keys in a directory begin with.
    key: String,
    path: PathBuf,
    is_directory: bool,
}

/// Whether a key is in the range, or one that begins so may be.
fn is_wanted(key: &str, is_directory: bool, Range { prefix, after, .. }: &Range) -> bool {
    let fits = key.starts_with(&**prefix) || (is_directory && prefix.starts_with(key));
    let behind = |after: &str| key > after || (is_directory && after.starts_with(key));
    fits && after.as_deref().is_none_or(behind)
}

/// The header of a blob that may have gone meanwhile.
fn read(path: &Path) -> Result<Option<Header>> {
    let read = fs::File::open(path).and_then(|file| Header::read(&file));
    gone_is_none(read).map_err(failed)
}

/// The names in a directory that may not be there.
fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let Some(read) = gone_is_none(fs::read_dir(directory))? else { return Ok(Vec::new()) };
    read.map(|entry| Ok(entry?.file_name())).collect()
}

/// What is in a directory that may not be there.
fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for name in names(directory)? {
        let path = directory.join(name);
        if let Some(metadata) = gone_is_none(fs::symlink_metadata(&path))? {
            found.push((path, metadata));
        }
    }
    Ok(found)
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
