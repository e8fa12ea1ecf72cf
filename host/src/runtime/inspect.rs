//! Reads what a component says about itself, without compiling it.

use wasmparser::{Encoding, Parser, Payload};

use crate::capabilities::Dialect;

/// The surface of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surface {
    /// The names of its imports, mostly interfaces with their versions.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
    /// The engine it needs.
    pub dialect: Dialect,
}

/// Why bytes are not a component.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing at all.
    #[error("the file is empty")]
    Empty,
    /// Neither a component nor a module.
    #[error("not a WebAssembly file: it starts with {0}")]
    NotWasm(String),
    /// A core module.
    #[error(
        "a core module, not a component; build it for `wasm32-wasip2` or turn it into a component"
    )]
    Module,
    /// Broken or cut off.
    #[error("cut off or broken at byte {offset}: {reason}")]
    Broken {
        /// Where.
        offset: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Read the imports and exports of a component and check that the file is whole.
pub fn surface(bytes: &[u8]) -> Result<Surface, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    if !bytes.starts_with(b"\0asm") {
        let start = bytes.get(..bytes.len().min(4)).unwrap_or_default();
        return Err(Error::NotWasm(format!("`{}`", start.escape_ascii())));
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(Error::Module);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    let of_wasi_03 = |name: &String| name.starts_with("wasi:") && name.contains("@0.3.");
    let concurrent = imports.iter().chain(&exports).any(of_wasi_03);
    let dialect = if concurrent { Dialect::Concurrent } else { Dialect::Plain };
    Ok(Surface { imports, exports, dialect })
}

fn broken(error: wasmparser::BinaryReaderError) -> Error {
    Error::Broken { offset: error.offset(), reason: error.message().to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert!(matches!(surface(b"#!/bin/sh"), Err(Error::NotWasm(_))));
        assert!(matches!(surface(b""), Err(Error::Empty)));
        assert!(matches!(surface(b"\0asm\x01\0\0\0"), Err(Error::Module)));
        assert!(matches!(surface(b"\0asm\x0d\0\x01\0\x07"), Err(Error::Broken { .. })));
        assert!(surface(b"\0asm\x0d\0\x01\0").unwrap().exports.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes: Vec<u8>) {
            let _ = surface(&bytes);
            bytes.splice(0..0, *b"\0asm\x0d\0\x01\0");
            let _ = surface(&bytes);
        }
    }
}
