//! Plugins in C: `plugin.c` and the files beside it, compiled by clang as Zig carries it, with all
//! that WASI needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use super::{Language, Progress, Project};
use crate::cli::{
    assets,
    build::{
        encode::{Contracts, Growth},
        read, toolchain, world,
    },
};

pub(super) const C: Language = Language { name: "c", entry: "plugin.c", equip, compile };

/// The compiler.
const ZIG: &str = "0.17.1";

/// The parts of the library that are exports: compiled only into plugins that are run by them.
const EXPORTS: &[(&str, &str)] = &[
    ("http.c", "trellis:http/packed-handler@0.1.0"),
    ("consumer.c", "trellis:kafka/packed-consumer@0.1.0"),
    ("connection.c", "trellis:streaming/connection-handler@0.1.0"),
    ("socket.c", "trellis:streaming/socket-handler@0.1.0"),
    ("job.c", "trellis:jobs/job-handler@0.1.0"),
    ("lifecycle.c", world::LIFECYCLE),
];

/// The functions by which a plugin has hooks.
const HOOKS: &[&str] = &["trellis_on_start", "trellis_on_save", "trellis_on_stop"];

fn contracts(project: &Project) -> PathBuf {
    project.generated().join("wit")
}

/// Where the library is in a project.
const LIBRARY: &str = ".trellis/c";

/// Give it the library and the bindings that this rests on.
fn equip(project: &Project) -> anyhow::Result<()> {
    let hooks = hooks(project)?;
    world::write(project.manifest, hooks, &contracts(project))?;
    let contracts = Contracts::read(&contracts(project), project.manifest)?;
    let mut exports = world::exports(project.manifest);
    exports.extend(hooks);
    let bindings = contracts.bindings(generator(), &exports)?;
    let bindings = bindings.iter().map(|(name, bytes)| (Path::new("bindings").join(name), bytes));
    let wanted = |name: &str| {
        let is_run_by = |(file, export): &(&str, &str)| *file != name || exports.contains(export);
        !name.starts_with("tests/") && EXPORTS.iter().all(is_run_by)
    };
    let files = assets::below("plugins/sdk/c")
        .filter(|(path, _)| wanted(path))
        .map(|(path, bytes)| (path.into(), bytes));
    let folder = project.folder.join(LIBRARY);
    assets::lay_out(&folder, files.chain(bindings))
        .with_context(|| format!("cannot write the library to `{}`", folder.display()))
}

/// The plugin's hooks, which its sources tell.
fn hooks(project: &Project) -> anyhow::Result<&'static [&'static str]> {
    let mut text = String::new();
    for file in sources(project.folder, "")? {
        text += &String::from_utf8_lossy(&read(&project.folder.join(file))?);
    }
    Ok(world::hooks(&text, HOOKS))
}

fn generator() -> Box<dyn wit_bindgen_core::WorldGenerator> {
    // The type of the component is put in when it is made.
    let options = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
    options.build()
}

fn compile(project: &Project, progress: &Progress) -> anyhow::Result<Vec<u8>> {
    let name = &project.manifest.name;
    let zig = toolchain::from_pypi("ziglang", ZIG, progress)?.join("ziglang/zig");
    let out = tempfile::tempdir().context("no directory for the module")?;
    let module = out.path().join("plugin.wasm");
    let memory = toolchain::memory("c")?;
    let mut cc = Command::new(zig);
    cc.current_dir(project.folder)
        .args(["cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-std=c11", "-O2", "-Wall"])
        // Zig would have wrong arithmetic trap without a word.
        .args(["-fno-sanitize=undefined", "-Wl,--strip-all"])
        // Every instance has a stack of its own, and Zig's usual one takes 16 MiB.
        .args(["-Wl,-z,stack-size=1048576", "-I", LIBRARY, "-o"])
        .arg(&module)
        .args(sources(project.folder, "")?)
        .args(sources(project.folder, LIBRARY)?)
        .env("ZIG_GLOBAL_CACHE_DIR", &memory)
        .env("ZIG_LOCAL_CACHE_DIR", &memory);
    let (doing, failed) = (format!("building {name}"), format!("`{name}` does not build"));
    toolchain::run(&mut cc, &doing, &failed, REMEDY, progress)?;
    let contracts = Contracts::read(&contracts(project), project.manifest)?;
    contracts.component(&read(&module)?, Growth::ByAnybody)
}

const REMEDY: &str = "set `TRELLIS_CACHE` to a directory from which programs can be started";

/// The `.c` files of a folder of the project, by their paths from there, in order.
fn sources(project: &Path, folder: &str) -> anyhow::Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(project.join(folder))? {
            found.push(Path::new(folder).join(entry?.file_name()));
        }
        Ok(found)
    };
    let mut found = read().with_context(|| format!("cannot read `{}`", project.display()))?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    found.sort();
    Ok(found)
}
