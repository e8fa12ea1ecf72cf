//! A write that a power cut tore apart.
//!
//! fjall frames each write in its journal and forgets one without an end. But a disk may have
//! kept the end and lost the middle: then the checksum is wrong, and fjall does not open. The
//! last write before a crash may be dropped, since nobody was told that it is durable: every
//! earlier one was synced before it began. A wrong checksum anywhere else is damage, and stays.
//!
//! ```text
//! start  1, items u32, number u64
//! item   2, kind u8, compression u8, keyspace u64, key u16, size u32, stored u32, key, value
//! end    3, checksum u64, magic
//! ```

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Buf;

/// What ends a write, behind its checksum.
const MAGIC: &[u8; 4] = b"FJL\x03";

/// The end of a journal, taken off.
pub struct Cut {
    journal: PathBuf,
    at: u64,
    bytes: Vec<u8>,
}

/// Take the last write off the newest journal in `directory`; `None` when there is none.
pub fn cut_last_write(directory: &Path) -> io::Result<Option<Cut>> {
    let Some(journal) = newest_journal(directory)? else { return Ok(None) };
    let mut bytes = fs::read(&journal)?;
    let Some(at) = last_write(&bytes) else { return Ok(None) };
    let file = OpenOptions::new().write(true).open(&journal)?;
    file.set_len(at as u64)?;
    file.sync_all()?;
    Ok(Some(Cut { journal, at: at as u64, bytes: bytes.split_off(at) }))
}

impl Cut {
    /// Put it back: the damage was elsewhere.
    pub fn put_back(self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.journal)?;
        file.set_len(self.at)?;
        file.seek(SeekFrom::Start(self.at))?;
        file.write_all(&self.bytes)?;
        file.sync_all()
    }
}

fn newest_journal(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if path.extension().is_some_and(|extension| extension == "jnl") {
            newest = newest.max(number.map(|number| (number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the last write that has a start and an end begins.
fn last_write(journal: &[u8]) -> Option<usize> {
    let (mut rest, mut last) = (journal, None);
    loop {
        let start = journal.len() - rest.len();
        match skip_write(&mut rest) {
            Some(()) => last = Some(start),
            None => return last,
        }
    }
}

fn skip_write(rest: &mut &[u8]) -> Option<()> {
    expect(rest, 1)?;
    let items = rest.try_get_u32_le().ok()?;
    rest.try_get_u64_le().ok()?;
    for _ in 0..items {
        expect(rest, 2)?;
        *rest = rest.get(1 + 1 + 8..)?;
        let key = usize::from(rest.try_get_u16_le().ok()?);
        rest.try_get_u32_le().ok()?;
        let stored = rest.try_get_u32_le().ok()? as usize;
        *rest = rest.get(key.checked_add(stored)?..)?;
    }
    expect(rest, 3)?;
    rest.try_get_u64_le().ok()?;
    *rest = rest.strip_prefix(MAGIC)?;
    Some(())
}

fn expect(rest: &mut &[u8], tag: u8) -> Option<()> {
    (rest.try_get_u8().ok()? == tag).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_searched_without_a_panic(mut bytes: Vec<u8>) {
            last_write(&bytes);
            bytes.splice(0..0, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
            last_write(&bytes);
        }
    }
}
