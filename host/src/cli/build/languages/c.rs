//! Plugins in C: `plugin.c` and the files beside it, compiled by clang as Zig carries it, with all
//! that WASI needs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use wasmparser::{Parser, Payload};

use super::{Language, Progress, Project};
use crate::{
    cli::{
        Hinted, assets,
        build::{
            encode::{Contracts, Growth},
            read, toolchain, world,
        },
    },
    runtime::exports::{connection, consumer, http, job, socket},
};

pub(super) const C: Language = Language { name: "c", entry: "plugin.c", equip, compile };

/// The compiler.
const ZIG: &str = "0.17.1";

/// The parts of the library that are exports: compiled only into plugins that are run by them.
const EXPORTS: &[(&str, &str)] = &[
    ("http.c", http::PACKED),
    ("consumer.c", consumer::PACKED),
    ("connection.c", connection::INTERFACE),
    ("socket.c", socket::INTERFACE),
    ("job.c", job::INTERFACE),
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
        .arg("-fno-sanitize=undefined")
        // An `assert` says what does not hold.
        .arg("-UNDEBUG")
        // Every instance has a stack of its own, and Zig's usual one takes 16 MiB.
        .args(["-Wl,-z,stack-size=1048576", "-I", LIBRARY, "-o"])
        .arg(&module)
        .args(sources(project.folder, "")?)
        .args(sources(project.folder, LIBRARY)?)
        .env("ZIG_GLOBAL_CACHE_DIR", &memory)
        .env("ZIG_LOCAL_CACHE_DIR", &memory);
    let (doing, failed) = (format!("building {name}"), format!("`{name}` does not build"));
    toolchain::run(&mut cc, &doing, &failed, REMEDY, progress).map_err(readable)?;
    let contracts = Contracts::read(&contracts(project), project.manifest)?;
    contracts.component(&without_lines(&read(&module)?)?, Growth::ByAnybody)
}

/// A module without its tables of lines, which are many times larger than its code. The names of
/// functions stay: a trap is told by them. The linker can only leave out both.
fn without_lines(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    const HEADER: usize = 8;
    let mut kept = module.get(..HEADER).unwrap_or_default().to_vec();
    let mut end = HEADER;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let Some((_, content)) = payload.as_section() else { continue };
        let of_lines = |payload: &Payload| match payload {
            Payload::CustomSection(section) => section.name().starts_with(".debug_"),
            _ => false,
        };
        if !of_lines(&payload) {
            kept.extend_from_slice(module.get(end..content.end).unwrap_or_default());
        }
        end = content.end;
    }
    Ok(kept)
}

/// The functions that a plugin must have, and what in the manifest asks for each.
const ASKED_FOR: &[(&str, &str)] = &[
    ("trellis_on_request", "[http]"),
    ("trellis_on_batch", "[[consume]]"),
    ("trellis_on_open", "[connect]"),
    ("trellis_on_events", "[connect]"),
    ("trellis_on_arrival", "[[listen]]"),
    ("trellis_on_job", "[[schedule]]"),
];

/// What the compiler says, without the places of its cache and the count of errors; and what to do
/// about a function that the manifest asks for.
fn readable(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Hinted>() {
        return error;
    }
    let mut hints = Vec::new();
    let mut lines = Vec::new();
    for line in error.to_string().lines() {
        let Some((place, symbol)) = line.split_once(": undefined symbol: ") else {
            if !line.ends_with(" generated.") {
                lines.push(line.to_owned());
            }
            continue;
        };
        match ASKED_FOR.iter().find(|(function, _)| *function == symbol) {
            Some((function, table)) => {
                lines.push(format!("plugin.toml has `{table}`, but there is no `{function}`"));
                hints.push(format!(
                    "write `{function}` as .trellis/c/trellis.h declares it, or take `{table}` out"
                ));
            }
            None => {
                let object = place.rsplit('/').next().unwrap_or(place);
                lines.push(format!("{object}: undefined symbol: {symbol}"));
            }
        }
    }
    Hinted { message: lines.join("\n"), hints }.into()
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plugins::contracts;

    #[test]
    fn every_contract_has_its_part() {
        let mut all = contracts::ALL.iter().map(contracts::Contract::interface);
        assert!(all.all(|interface| EXPORTS.iter().any(|(_, it)| *it == interface)));
    }

    #[test]
    fn a_module_loses_its_lines_and_keeps_its_names() {
        let text = |lines| format!("(module (func $answer) {lines} (@custom \"other\" \"kept\"))");
        let module = |lines| wat::parse_str(text(lines)).unwrap();
        let with = module("(@custom \".debug_line\" \"lines\")");
        assert_eq!(without_lines(&with).unwrap(), module(""));
        assert!(without_lines(b"\0asm").is_err());
    }

    fn told(said: &str) -> String {
        let error = readable(anyhow::anyhow!("`it` does not build\n{said}"));
        crate::cli::error::report(&error, crate::cli::output::Style(false))
    }

    #[test]
    fn a_function_that_the_manifest_asks_for_is_told_with_the_table() {
        let said = "wasm-ld: error: /cache/o/7/consumer.o: undefined symbol: trellis_on_batch";
        let expected = "error: `it` does not build\n\
                        plugin.toml has `[[consume]]`, but there is no `trellis_on_batch`\n\
                        hint: write `trellis_on_batch` as .trellis/c/trellis.h declares it, or \
                        take `[[consume]]` out\n";
        assert_eq!(told(said), expected);
    }

    #[test]
    fn what_the_compiler_says_stays_as_it_is() {
        let said = "plugin.c:2:9: error: no x\n1 error generated.\n\
                    wasm-ld: error: /cache/o/7/plugin.o: undefined symbol: far";
        let expected = "error: `it` does not build\nplugin.c:2:9: error: no x\n\
                        plugin.o: undefined symbol: far\n";
        assert_eq!(told(said), expected);
    }
}
