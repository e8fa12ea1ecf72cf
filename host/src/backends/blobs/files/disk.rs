//! What happens to the files of one plugin: everything in here blocks.
//!
//! A blob is written beside the others, synced, and renamed to where it belongs, whose directories
//! are synced then. An append writes behind the blob's end, syncs, writes the new size into the
//! header and syncs again: until then nobody reads what it wrote, and the next one writes over it.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::{
    super::{COST, ContentType, Error, Info, Place, Result},
    header::{self, Header},
    names,
    quota::Quota,
};

/// The files of one plugin.
pub struct Disk {
    /// Has a directory for each container.
    root: PathBuf,
    /// Where files are written before they have their names: on the same disk.
    staging: PathBuf,
    /// Held while directories are made for a file, or go with the last one.
    directories: Mutex<()>,
}

/// What a write failed with. A full disk is among these: nothing is known to be lost.
pub fn failed(error: io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

/// What a file counts, by its length.
pub fn cost(file_length: u64) -> u64 {
    file_length.saturating_sub(header::LENGTH as u64) + COST
}

impl Disk {
    /// The files below `root`.
    pub fn new(root: PathBuf, staging: PathBuf) -> Self {
        Self { root, staging, directories: Mutex::new(()) }
    }

    /// The directory with a directory for each container.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Write a blob.
    pub fn put(
        &self,
        place: &Place,
        body: &[u8],
        content_type: Option<ContentType>,
        quota: &Quota,
        most: u64,
    ) -> Result<Info> {
        let header = Header::new(body.len() as u64, content_type);
        self.write(place, header, quota, most, |file| file.write_all(body))
    }

    /// Write what is at one place to another.
    pub fn copy(&self, from: &Place, to: &Place, quota: &Quota, most: u64) -> Result<Option<Info>> {
        let Some((mut source, old)) = self.open(from)? else { return Ok(None) };
        let header = Header::new(old.size, old.content_type);
        let copied = self.write(to, header, quota, most, |file| {
            source.seek(SeekFrom::Start(header::LENGTH as u64))?;
            let copied = io::copy(&mut io::Read::take(&mut source, old.size), file)?;
            if copied == old.size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        });
        copied.map(Some)
    }

    /// Write a file with this header; `fill` writes what follows.
    fn write(
        &self,
        place: &Place,
        header: Header,
        quota: &Quota,
        most: u64,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Info> {
        let path = names::file(&self.root, place);
        let before = fs::metadata(&path).map_or(0, |file| cost(file.len()));
        let change = quota.change(before, header.size + COST, most)?;
        self.stage(&header, fill).and_then(|staged| self.publish(staged, &path)).map_err(failed)?;
        // It is there from here on, whatever becomes of the rest.
        change.keep();
        self.sync_up(&path).map_err(failed)?;
        Ok(header.info())
    }

    fn stage(
        &self,
        header: &Header,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<NamedTempFile> {
        let mut staged = NamedTempFile::new_in(&self.staging)?;
        staged.write_all(&header.bytes())?;
        fill(staged.as_file_mut())?;
        staged.as_file().sync_all()?;
        Ok(staged)
    }

    fn publish(&self, staged: NamedTempFile, path: &Path) -> io::Result<()> {
        let _directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        staged.persist(path)?;
        Ok(())
    }

    /// Add to the end of a blob.
    pub fn append(&self, place: &Place, bytes: &[u8], quota: &Quota, most: u64) -> Result<Info> {
        let path = names::file(&self.root, place);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => {
                return self.put(place, bytes, None, quota, most);
            }
            Err(error) => return Err(failed(error)),
        };
        let old = Header::read(&file).map_err(failed)?;
        let grown = old.grown(bytes.len() as u64);
        let change = quota.change(old.size + COST, grown.size + COST, most)?;
        let end = header::LENGTH as u64 + old.size;
        let written = file.write_all_at(bytes, end).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Give the room back. Where that fails as well, the next append writes over it.
            let _ = file.set_len(end);
            return Err(failed(error));
        }
        // From here on it counts, whether the disk says so or not.
        change.keep();
        file.write_all_at(&grown.bytes(), 0).and_then(|()| file.sync_data()).map_err(failed)?;
        Ok(grown.info())
    }

    /// The file of a blob; `None` where there is none.
    pub fn open(&self, place: &Place) -> Result<Option<(File, Header)>> {
        let file = match File::open(names::file(&self.root, place)) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let header = Header::read(&file).map_err(failed)?;
        Ok(Some((file, header)))
    }

    /// Remove a blob, and the directories that were there for it alone.
    pub fn delete(&self, place: &Place, quota: &Quota) -> Result<()> {
        let path = names::file(&self.root, place);
        let length = match fs::metadata(&path) {
            Ok(file) => file.len(),
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        self.unlink(&path, place).map_err(failed)?;
        quota.give_back(cost(length));
        self.sync_up(&path).map_err(failed)
    }

    fn unlink(&self, path: &Path, place: &Place) -> io::Result<()> {
        let _directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        fs::remove_file(path)?;
        let container = self.root.join(place.container.as_str());
        let above = path.ancestors().skip(1).take_while(|directory| *directory != container);
        for directory in above {
            // Another blob is in it.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Sync the directories from that of a file to the one that the plugin's is in. All of them,
    /// since whoever made one may not have come to sync it yet. One that is gone has gone with its
    /// last file, and whoever removed that syncs the rest.
    fn sync_up(&self, path: &Path) -> io::Result<()> {
        let top = self.root.parent();
        for directory in path.ancestors().skip(1) {
            match File::open(directory) {
                Ok(directory) => directory.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            if Some(directory) == top {
                break;
            }
        }
        Ok(())
    }
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
