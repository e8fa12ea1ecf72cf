//! Plain modules to components, for languages whose compilers know nothing of components.
//!
//! ```text
//!  wit ── bindings ── sources of the language ── its compiler ── module ─┐
//!   └───────────────────────── contracts ───────────────────────────────┴── component
//! ```
//!
//! A component imports only what its module calls, so the contracts name every capability.

use std::path::Path;

use anyhow::Context;
use wasmparser::{Parser, Payload};
use wit_bindgen_core::{
    Files, WorldGenerator,
    wit_parser::{Resolve, WorldId},
};
use wit_component::{ComponentEncoder, StringEncoding};

use super::world;
use crate::{
    manifest::Manifest,
    plugins::contracts::{self, Contract},
};

/// How modules that know WASI 0.1 name it, and what they get instead.
const ADAPTER: &str = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
const WASI: &[u8] =
    wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;

/// The contracts of a project, read from the folder that [`world::write`] has written.
pub(super) struct Contracts<'a> {
    resolve: Resolve,
    manifest: &'a Manifest,
}

impl<'a> Contracts<'a> {
    /// Read them.
    pub(super) fn read(folder: &Path, manifest: &'a Manifest) -> anyhow::Result<Self> {
        let mut resolve = Resolve::default();
        resolve
            .push_dir(folder)
            .with_context(|| format!("the contracts in `{}` cannot be read", folder.display()))?;
        Ok(Self { resolve, manifest })
    }

    /// The world of a plugin that may use everything and exports these interfaces.
    fn world(&self, exports: &[&str]) -> anyhow::Result<(Resolve, WorldId)> {
        let mut resolve = self.resolve.clone();
        let text = world::open("trellis:open", self.manifest, exports);
        let package = resolve.push_str("open.wit", &text)?;
        let world = resolve.select_world(&[package], Some(world::WORLD))?;
        Ok((resolve, world))
    }

    /// What a generator writes for a plugin that exports these interfaces.
    pub(super) fn bindings(
        &self,
        mut generator: Box<dyn WorldGenerator>,
        exports: &[&str],
    ) -> anyhow::Result<Files> {
        let (mut resolve, world) = self.world(exports)?;
        let mut files = Files::default();
        generator.generate(&mut resolve, world, &mut files)?;
        Ok(files)
    }

    /// The component of a module: it exports what the module does.
    pub(super) fn component(&self, module: &[u8], growth: Growth) -> anyhow::Result<Vec<u8>> {
        let (resolve, world) = self.world(&exports(module)?)?;
        let mut module = module.to_vec();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            StringEncoding::UTF8,
        )?;
        ComponentEncoder::default()
            .realloc_via_memory_grow(growth == Growth::ByAnybody)
            .module(&module)?
            .adapter(ADAPTER, WASI)?
            .validate(true)
            .encode()
            .context("the module cannot be made a component")
    }
}

/// Who may make the memory of a module larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Only its own allocator, which takes all that is new for its own.
    ByItself,
    /// Others, too: the adapter for WASI takes pages of its own.
    ByAnybody,
}

/// The interfaces of which a module exports functions.
pub(super) fn exports(module: &[u8]) -> anyhow::Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload? {
            for export in section {
                names.push(export?.name);
            }
        }
    }
    let is_exported = |interface: &&str| {
        let of_it = |name: &&str| name.split_once('#').is_some_and(|(it, _)| it == *interface);
        names.iter().any(of_it)
    };
    let all = contracts::ALL.iter().map(Contract::interface).chain([world::LIFECYCLE]);
    Ok(all.filter(is_exported).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_exports_is_what_its_component_exports() {
        let module = r#"(module
            (memory (export "memory") 1)
            (func (export "trellis:jobs/job-handler@0.1.0#run")
                (param i32 i32 i32 i32 i64 i32 i32 i32) (result i32) i32.const 0)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 16))"#;
        let module = wat::parse_str(module).unwrap();
        assert_eq!(exports(&module).unwrap(), ["trellis:jobs/job-handler@0.1.0"]);
        let folder = tempfile::tempdir().unwrap();
        let manifest = crate::manifest::read("name = \"it\"", "plugin.toml").unwrap();
        world::write(&manifest, &[], folder.path()).unwrap();
        let contracts = Contracts::read(folder.path(), &manifest).unwrap();
        let component = contracts.component(&module, Growth::ByAnybody).unwrap();
        let text = String::from_utf8_lossy(&component);
        assert!(text.contains("trellis:jobs/job-handler@0.1.0"));
        assert!(!text.contains("trellis:storage/sql"), "it imports what it does not call");
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(exports(b"\0asm but no module").is_err());
    }
}
