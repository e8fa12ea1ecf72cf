//! A file of compiled functions.
//!
//! ```text
//! magic 8 │ count u32 │ digest of the table 16 │ table: count × (key 32, size u32, digest 16) │ code
//! ```
//! Written once, then only read. Each function has a digest of its key and its code, so that bytes
//! that went bad on the disk are no function; functions lie one after the other, so that a table
//! cannot lead outside of the file.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

/// What the compiler knows a function by: a SHA-256 of all that its code follows from.
pub(super) type Key = [u8; 32];
/// The first half of a BLAKE3 digest: against bad disks, not against people.
type Check = [u8; 16];

const MAGIC: [u8; 8] = *b"TRLfuns1";
const HEAD: usize = MAGIC.len() + 4 + 16;
const ROW: usize = 32 + 4 + 16;

/// Where a function lies in its pack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u64,
    size: u32,
    check: Check,
}

/// A pack that is open.
#[derive(Debug)]
pub(super) struct Pack {
    /// What its file is called.
    pub(super) name: String,
    file: File,
    hits: AtomicU64,
}

/// Write these functions. Answers how many bytes that took.
pub(super) fn write<'f>(
    file: &mut File,
    functions: impl Iterator<Item = (&'f Key, &'f [u8])> + Clone,
) -> io::Result<u64> {
    let mut table = Vec::new();
    let mut total = 0;
    for (key, code) in functions.clone() {
        let size = u32::try_from(code.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        table.extend_from_slice(key);
        table.extend_from_slice(&size.to_le_bytes());
        table.extend_from_slice(&check(&[key, code]));
        total += u64::from(size);
    }
    let count = u32::try_from(table.len() / ROW).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&MAGIC)?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&check(&[&table]))?;
    out.write_all(&table)?;
    for (_, code) in functions {
        out.write_all(code)?;
    }
    out.flush()?;
    Ok((HEAD + table.len()) as u64 + total)
}

impl Pack {
    /// Open a file and read its table. One that is no whole pack is an error.
    pub(super) fn open(path: &Path, name: String) -> io::Result<(Self, Vec<(Key, Place)>)> {
        let mut file = File::open(path)?;
        let table = read_table(&mut file)?;
        let mut at = (HEAD + table.len()) as u64;
        let mut places = Vec::with_capacity(table.len() / ROW);
        for row in table.chunks_exact(ROW) {
            let (key, size, check) = row_of(row).ok_or(io::ErrorKind::InvalidData)?;
            places.push((key, Place { at, size, check }));
            at += u64::from(size);
        }
        if file.metadata()?.len() != at {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is cut off"));
        }
        Ok((Self { name, file, hits: AtomicU64::new(0) }, places))
    }

    /// The code of a function, unless it is not what was written.
    pub(super) fn read(&self, key: &Key, place: Place) -> io::Result<Vec<u8>> {
        let mut code = vec![0; place.size as usize];
        self.file.read_exact_at(&mut code, place.at)?;
        if check(&[key, &code]) != place.check {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a function has changed"));
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        Ok(code)
    }

    /// How often it was read since the last time somebody asked.
    pub(super) fn take_hits(&self) -> u64 {
        self.hits.swap(0, Ordering::Relaxed)
    }

    /// Note in the file system that it was of use.
    pub(super) fn touch(&self) -> io::Result<()> {
        self.file.set_modified(SystemTime::now())
    }
}

/// The table, which is no longer than the file.
fn read_table(file: &mut File) -> io::Result<Vec<u8>> {
    let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let size = file.metadata()?.len();
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (count, digest) = rest.split_at(4);
    let count = count.try_into().map(u32::from_le_bytes).map_err(|_| bad("it has no head"))?;
    let length = u64::from(count) * ROW as u64;
    if magic != MAGIC || length > size {
        return Err(bad("it is no file of functions"));
    }
    let mut table = vec![0; length as usize];
    file.read_exact(&mut table)?;
    if check(&[&table]) != digest {
        return Err(bad("its table has changed"));
    }
    Ok(table)
}

fn row_of(row: &[u8]) -> Option<(Key, u32, Check)> {
    let (key, rest) = row.split_first_chunk()?;
    let (size, check) = rest.split_first_chunk()?;
    Some((*key, u32::from_le_bytes(*size), *check.first_chunk()?))
}

fn check(parts: &[&[u8]]) -> Check {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = Check::default();
    hasher.finalize_xof().fill(&mut check);
    check
}
