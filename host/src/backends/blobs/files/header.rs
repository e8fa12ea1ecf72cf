//! What stands before the bytes of a blob in its file.
//!
//! ```text
//!   0  "trellis" 1          16  modified, ms since 1970   40  length of the content type, u16
//!   8  size of the blob     24  id, 16 bytes              42  content type        512  the blob
//! ```
//! Integers are little endian. The size says how much of the file is the blob: what an append has
//! written counts from the moment in which the size is. The header has one sector, which a disk
//! writes whole or not at all. In a file of its own or in an attribute it could be of another
//! version than the bytes.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::super::{ContentType, Info, MAX_CONTENT_TYPE};
use crate::quantity::now_ms;

/// The bytes of a header.
pub const LENGTH: usize = 512;
const MAGIC: &[u8; 8] = b"trellis\x01";
const SIZE: usize = 8;
const MODIFIED: usize = 16;
const ID: usize = 24;
const TYPE_LENGTH: usize = 40;
const TYPE: usize = 42;

const _: () = assert!(TYPE + MAX_CONTENT_TYPE <= LENGTH);

/// The header of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The bytes of the blob.
    pub size: u64,
    modified_ms: u64,
    /// Tells this blob from others that were under its key.
    id: u128,
    /// What it is said to be.
    pub content_type: Option<ContentType>,
}

impl Header {
    /// A header for a blob that is written now.
    pub fn new(size: u64, content_type: Option<ContentType>) -> Self {
        Self { size, modified_ms: now_ms(), id: fastrand::u128(..), content_type }
    }

    /// The same after `bytes` were added now.
    pub fn grown(&self, bytes: u64) -> Self {
        Self { size: self.size + bytes, modified_ms: now_ms(), ..self.clone() }
    }

    /// As the file has it.
    pub fn bytes(&self) -> [u8; LENGTH] {
        let content_type = self.content_type.as_ref().map_or("", ContentType::as_str).as_bytes();
        let mut bytes = [0; LENGTH];
        bytes[..SIZE].copy_from_slice(MAGIC);
        bytes[SIZE..MODIFIED].copy_from_slice(&self.size.to_le_bytes());
        bytes[MODIFIED..ID].copy_from_slice(&self.modified_ms.to_le_bytes());
        bytes[ID..TYPE_LENGTH].copy_from_slice(&self.id.to_le_bytes());
        bytes[TYPE_LENGTH..TYPE].copy_from_slice(&(content_type.len() as u16).to_le_bytes());
        bytes[TYPE..TYPE + content_type.len()].copy_from_slice(content_type);
        bytes
    }

    /// Read the header of a file.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; LENGTH];
        file.read_exact_at(&mut bytes, 0)?;
        Self::parse(&bytes).ok_or_else(|| io::Error::other("the file of a blob is damaged"))
    }

    fn parse(bytes: &[u8; LENGTH]) -> Option<Self> {
        let number = |at| Some(u64::from_le_bytes(*bytes[at..].first_chunk()?));
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let length = u16::from_le_bytes(*bytes[TYPE_LENGTH..].first_chunk()?);
        let content_type =
            std::str::from_utf8(bytes.get(TYPE..TYPE + usize::from(length))?).ok()?;
        let content_type = Some(content_type).filter(|text| !text.is_empty());
        Some(Self {
            size: number(SIZE)?,
            modified_ms: number(MODIFIED)?,
            id: u128::from_le_bytes(*bytes[ID..].first_chunk()?),
            content_type: content_type.map(ContentType::new).transpose().ok()?,
        })
    }

    /// What others may know.
    pub fn info(&self) -> Info {
        Info {
            size: self.size,
            etag: format!("{:032x}-{:x}", self.id, self.size),
            modified_ms: self.modified_ms,
            content_type: self.content_type.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_damage_is_seen() {
        for content_type in [None, Some(ContentType::new(&"x".repeat(255)).unwrap())] {
            let header = Header::new(7, content_type);
            assert_eq!(Header::parse(&header.bytes()), Some(header.clone()));
            let grown = header.grown(3);
            assert_eq!(grown.size, 10);
            assert_ne!(grown.info().etag, header.info().etag);
        }
        let mut bytes = Header::new(7, None).bytes();
        bytes[TYPE_LENGTH + 1] = 0xff;
        assert_eq!(Header::parse(&bytes), None);
        assert_eq!(Header::parse(&[0; LENGTH]), None);
    }
}
