//! The manifest inside a component: a custom section, so that a plugin is one file.
//!
//! A component is a header and then sections, each a byte that names its kind, a length and that
//! many bytes. Custom sections have the kind 0 and start with a name; engines skip those that
//! they do not know.

use std::ops::Range;

use super::{Manifest, Problem};

/// The section's name.
pub const NAME: &str = "trellis:manifest";
/// Bytes of the header: the magic number and the version.
const HEADER: usize = 8;
/// The kind of custom sections.
const CUSTOM: u8 = 0;

/// The bytes do not have the form of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a whole component: the section at byte {0} is cut off")]
pub struct CutOff(usize);

/// The text of the manifest that a component carries, if it carries one that is text.
pub fn find(component: &[u8]) -> Option<&str> {
    let mut sections = Sections { bytes: component, at: HEADER };
    sections.find_map(|section| std::str::from_utf8(section.ok()?.custom(component)?).ok())
}

/// The component with this manifest in place of any that it carried.
pub fn embed(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, EmbedError> {
    let text = manifest.to_toml();
    // What is written must be readable by the host that gets the file.
    super::read_embedded(&text, NAME)?;
    let mut out = Vec::with_capacity(component.len() + text.len() + 32);
    out.extend_from_slice(component.get(..HEADER).ok_or(CutOff(0))?);
    for section in (Sections { bytes: component, at: HEADER }) {
        let section = section?;
        if section.custom(component).is_none() {
            out.extend_from_slice(&component[section.whole]);
        }
    }
    let mut content = Vec::with_capacity(text.len() + 32);
    put_number(&mut content, NAME.len());
    content.extend_from_slice(NAME.as_bytes());
    content.extend_from_slice(text.as_bytes());
    out.push(CUSTOM);
    put_number(&mut out, content.len());
    out.extend_from_slice(&content);
    Ok(out)
}

/// Why a manifest is not embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The component is broken.
    #[error(transparent)]
    CutOff(#[from] CutOff),
    /// The manifest would be refused.
    #[error(transparent)]
    Problem(#[from] Problem),
}

/// A section at the top level.
struct Section {
    kind: u8,
    /// With its kind and length.
    whole: Range<usize>,
    /// Without.
    content: Range<usize>,
}

impl Section {
    /// What follows the name, if this is a manifest.
    fn custom<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let content = &bytes[self.content.clone()];
        let (length, at) = take_number(content)?;
        let name = content.get(at..at.checked_add(length)?)?;
        (self.kind == CUSTOM && name == NAME.as_bytes()).then(|| &content[at + length..])
    }
}

/// The sections at the top level, in order. Ends after the first that is cut off.
struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Sections<'_> {
    type Item = Result<Section, CutOff>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let (kind, rest) = self.bytes.get(start..)?.split_first()?;
        let section = take_number(rest).and_then(|(length, taken)| {
            let content = start + 1 + taken;
            let end = content.checked_add(length).filter(|end| *end <= self.bytes.len())?;
            Some(Section { kind: *kind, whole: start..end, content: content..end })
        });
        self.at = section.as_ref().map_or(self.bytes.len(), |section| section.whole.end);
        Some(section.ok_or(CutOff(start)))
    }
}

/// Append a number in LEB128.
fn put_number(buffer: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        buffer.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

/// A number in LEB128 of at most 32 bits, and how many bytes it took.
fn take_number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(u32::try_from(number).ok()?).ok()?, index + 1));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EMPTY: [u8; 8] = *b"\0asm\x0d\0\x01\0";

    #[test]
    fn an_embedded_manifest_is_found_and_replaced() {
        let first = embed(&EMPTY, &Manifest::default_for("first")).unwrap();
        assert_eq!(super::super::read(find(&first).unwrap(), "x").unwrap().name, "first");
        let second = embed(&first, &Manifest::default_for("second")).unwrap();
        assert_eq!(super::super::read(find(&second).unwrap(), "x").unwrap().name, "second");
        assert_eq!(second, embed(&EMPTY, &Manifest::default_for("second")).unwrap());
        let parsed = wasmparser::Parser::new(0).parse_all(&second).last().unwrap();
        assert!(parsed.is_ok());
    }

    #[test]
    fn only_the_component_itself_is_searched() {
        let inner = embed(&EMPTY, &Manifest::default_for("inner")).unwrap();
        let mut outer = EMPTY.to_vec();
        outer.push(4);
        put_number(&mut outer, inner.len());
        outer.extend_from_slice(&inner);
        assert_eq!(find(&outer), None);
    }

    #[test]
    fn a_component_that_is_cut_off_takes_no_manifest() {
        let whole = embed(&EMPTY, &Manifest::default_for("a")).unwrap();
        let cut = &whole[..whole.len() - 1];
        assert!(matches!(embed(cut, &Manifest::default_for("a")), Err(EmbedError::CutOff(_))));
        assert!(matches!(embed(b"", &Manifest::default_for("a")), Err(EmbedError::CutOff(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_searched_without_a_panic(mut bytes: Vec<u8>) {
            let _ = find(&bytes);
            bytes.splice(0..0, EMPTY);
            let _ = find(&bytes);
            let _ = embed(&bytes, &Manifest::default_for("a"));
        }

        #[test]
        fn a_number_is_read_as_it_was_written(number: u32) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number as usize);
            assert_eq!(take_number(&bytes), Some((number as usize, bytes.len())));
        }
    }
}
