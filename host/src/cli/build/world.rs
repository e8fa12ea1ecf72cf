//! The world that a plugin is built against: what its manifest says, in WIT.
//!
//! Rust's library works out from the code what a component imports and exports. The other
//! languages' tools want to be told before: a `[http]` table is an export of the HTTP handler, a
//! `[needs.sql]` the import of `sql`, and so on.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{
    cli::assets,
    manifest::Manifest,
    plugins::contracts::{self, Contract},
    runtime::exports::lifecycle,
};

/// The package and the name of the world.
pub(super) const PACKAGE: &str = "trellis:generated";
/// The name of the world.
pub(super) const WORLD: &str = "plugin";

/// The hooks around a generation. No manifest asks for them: a component exports them where its code
/// has any.
pub(super) const LIFECYCLE: &str = lifecycle::INTERFACE;

/// What a plugin exports because of its hooks: nothing, unless its source has one of the words by
/// which its language names them. Hooks that are exported in vain do nothing.
pub(super) fn hooks(source: &str, words: &[&str]) -> &'static [&'static str] {
    match words.iter().any(|word| source.contains(word)) {
        true => &[LIFECYCLE],
        false => &[],
    }
}

/// The text of a plugin's world, with its package. It exports what its manifest says, and its
/// hooks.
pub(super) fn text(manifest: &Manifest, hooks: &[&str]) -> String {
    let lines = |verb: &str, interfaces: Vec<&str>| {
        let line = |interface| format!("    {verb} {interface};\n");
        interfaces.into_iter().map(line).collect::<String>()
    };
    let (imports, mut exports) = (imports(manifest), exports(manifest));
    exports.extend(hooks);
    format!(
        "package {PACKAGE};\n\nworld {WORLD} {{\n{}{}}}\n",
        lines("import", imports),
        lines("export", exports)
    )
}

/// The interfaces by which the host runs it.
pub(super) fn exports(manifest: &Manifest) -> Vec<&'static str> {
    contracts::asked(manifest).map(Contract::interface).collect()
}

/// What it may use: what is free, and what it needs.
fn imports(manifest: &Manifest) -> Vec<&'static str> {
    let all = capabilities(manifest).into_iter();
    all.filter_map(|(wanted, interface)| wanted.then_some(interface)).collect()
}

/// A world under another name that may use everything, whatever a manifest needs, and exports these
/// interfaces. For tools that leave out what a module does not call: the host then tells which
/// need is missing.
pub(super) fn open(package: &str, manifest: &Manifest, exports: &[&str]) -> String {
    let imports = capabilities(manifest).into_iter().map(|(_, interface)| interface);
    let imports = imports.map(|interface| format!("    import {interface};\n"));
    let exports = exports.iter().map(|interface| format!("    export {interface};\n"));
    let lines: String = imports.chain(exports).collect();
    format!("package {package};\n\nworld {WORLD} {{\n{lines}}}\n")
}

/// Every capability, and whether a plugin may use it.
fn capabilities(manifest: &Manifest) -> [(bool, &'static str); 15] {
    let needs = &manifest.needs;
    [
        (true, "wasi:logging/logging@0.1.0-draft"),
        (true, "wasi:config/store@0.2.0-rc.1"),
        (true, "trellis:plugin/metrics@0.1.0"),
        (needs.geoip.is_some(), "trellis:plugin/geoip@0.1.0"),
        (needs.produce.is_some(), "trellis:kafka/packed-producer@0.1.0"),
        (needs.sql.is_some(), "trellis:storage/sql@0.1.0"),
        (needs.cache.is_some(), "trellis:storage/cache@0.1.0"),
        (needs.blobs.is_some(), "trellis:storage/blobs@0.1.0"),
        (needs.keyvalue.is_some(), "wasi:keyvalue/store@0.2.0-draft2"),
        (needs.keyvalue.is_some(), "wasi:keyvalue/atomics@0.2.0-draft2"),
        (needs.keyvalue.is_some(), "wasi:keyvalue/batch@0.2.0-draft2"),
        (needs.channels.is_some(), "trellis:streaming/channels@0.1.0"),
        (needs.channels.is_some(), "trellis:streaming/presence@0.1.0"),
        (needs.channels.is_some(), "trellis:streaming/mailboxes@0.1.0"),
        (needs.http.is_some(), "trellis:http/client@0.1.0"),
    ]
}

/// Write the world as a folder that every WIT tool reads: the world, and the packages it names
/// below `deps`.
pub(super) fn write(manifest: &Manifest, hooks: &[&str], folder: &Path) -> anyhow::Result<()> {
    let world = text(manifest, hooks);
    let packages = packages().map(|(path, bytes)| (Path::new("deps").join(path), bytes));
    let files = packages.chain([(PathBuf::from("plugin.wit"), world.as_bytes())]);
    assets::lay_out(folder, files)
        .with_context(|| format!("cannot write the world to `{}`", folder.display()))
}

/// Packages that no world here names: they are for components that were made for other hosts, and a
/// tool may have its own of them. It also takes only one of two drafts of a package.
const ELSEWHERE: &[&str] = &[
    "deps/blobstore/",
    "deps/clocks/",
    "deps/io/",
    "deps/keyvalue-draft/",
    "deps/messaging/",
    "deps/otel/",
];

/// The files of all other packages, each in a folder of its own.
fn packages() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let wanted = |path: &str| !ELSEWHERE.iter().any(|package| path.starts_with(package));
    let flat = |path: &'static str| path.strip_prefix("deps/").unwrap_or(path);
    let files = assets::below("wit").filter(move |(path, _)| wanted(path));
    files.map(move |(path, bytes)| (flat(path), bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        crate::manifest::read(&format!("name = \"it\"\n{text}"), "plugin.toml").unwrap()
    }

    #[test]
    fn a_world_exports_what_runs_the_plugin_and_imports_what_it_needs() {
        let manifest =
            manifest("[http]\nroutes = [\"/it\"]\n[[consume]]\ntopics = [\"raw\"]\n[needs.sql]\n");
        let text = text(&manifest, hooks("on_start();", &["on_start", "on_stop"]));
        for line in [
            "export trellis:http/packed-handler@0.1.0;",
            "export trellis:kafka/packed-consumer@0.1.0;",
            "export trellis:plugin/lifecycle@0.1.0;",
            "import trellis:storage/sql@0.1.0;",
            "import wasi:logging/logging@0.1.0-draft;",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("keyvalue") && !text.contains("streaming"), "{text}");
        assert!(hooks("on_request();", &["on_start", "on_stop"]).is_empty());
    }
}
