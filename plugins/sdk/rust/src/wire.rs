//! Reading and writing the packed layouts: little endian integers and length-prefixed bytes.
//!
//! Every read is checked against the end of the bytes and nothing here panics. The layouts
//! themselves are drawn in the WIT packages; the modules that know them build on this one.

use std::fmt;

/// The version byte that opens every packed layout.
pub(crate) const VERSION: u8 = 1;
/// The length that stands for null.
const NULL: u32 = u32::MAX;

/// Bytes that do not follow their layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was being read.
    pub part: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the packed bytes do not follow their layout at the {}", self.part)
    }
}

impl std::error::Error for Malformed {}

/// Reads from the front of a byte string.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The number of bytes that have not been read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub fn take(&mut self, count: usize, part: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed { part })?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed { part })?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub fn u8(&mut self, part: &'static str) -> Result<u8, Malformed> {
        Ok(self.array::<1>(part)?[0])
    }

    #[inline]
    pub fn u16(&mut self, part: &'static str) -> Result<u16, Malformed> {
        self.array(part).map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self, part: &'static str) -> Result<u32, Malformed> {
        self.array(part).map(u32::from_le_bytes)
    }

    #[inline]
    pub fn u64(&mut self, part: &'static str) -> Result<u64, Malformed> {
        self.array(part).map(u64::from_le_bytes)
    }

    /// A length and that many bytes.
    #[inline]
    pub fn bytes(&mut self, part: &'static str) -> Result<&'a [u8], Malformed> {
        let length = self.u32(part)?;
        self.take(length as usize, part)
    }

    /// The same, where one length stands for null.
    #[inline]
    pub fn optional(&mut self, part: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        match self.u32(part)? {
            NULL => Ok(None),
            length => self.take(length as usize, part).map(Some),
        }
    }

    #[inline]
    pub fn str(&mut self, part: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(part)?).map_err(|_| Malformed { part })
    }

    /// Refuse a layout that this library does not know.
    #[inline]
    pub fn version(&mut self) -> Result<(), Malformed> {
        match self.u8("version")? {
            VERSION => Ok(()),
            _ => Err(Malformed { part: "version" }),
        }
    }
}

/// A length and the bytes. What is longer than the layouts can say is cut off at 4 GiB, which a
/// 32-bit guest never holds.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(NULL - 1);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes[..length as usize]);
}

/// The same, or null.
#[inline]
pub(crate) fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(out, bytes),
        None => out.extend_from_slice(&NULL.to_le_bytes()),
    }
}

/// Write an integer into its place once it is known. The place was reserved by the caller.
#[inline]
pub(crate) fn patch(out: &mut [u8], at: usize, value: &[u8]) {
    out[at..at + value.len()].copy_from_slice(value);
}
