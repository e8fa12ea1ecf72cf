//! Plugins in Rust: cargo, with what it prints as one line of progress, and all of it when it
//! fails.
//!
//! A project outside of the library's own workspace names it by the path `.trellis/sdk/rust`, and
//! gets it there, with the contracts it reads.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
    thread,
};

use anyhow::Context;
use toml::{Table, Value};

use super::{Language, Progress, Project};
use crate::{
    cli::{
        Hinted, assets,
        build::{read, toolchain},
    },
    plugins::contracts::{self, Contract},
    runtime::{
        exports::{connection, consumer, http, job, socket},
        inspect,
    },
};

/// What plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

pub(super) const RUST: Language = Language { name: "rust", entry: "Cargo.toml", equip, compile };

const NO_RUST: &str = "install Rust with rustup: https://rustup.rs";

/// The path by which a project says that it wants the library from here.
const LIBRARY: &str = ".trellis/sdk/rust";

/// Give the library to those that want it.
fn equip(project: &Project) -> anyhow::Result<()> {
    let package = project.folder.join("Cargo.toml");
    let package = fs::read_to_string(&package)
        .with_context(|| format!("cannot read `{}`", package.display()))?;
    if !package.contains(LIBRARY) {
        return Ok(());
    }
    let manifest = standing_alone(assets::text("plugins/sdk/rust/Cargo.toml"))?;
    let under = |folder: &'static str| move |(path, bytes)| (Path::new(folder).join(path), bytes);
    let library = assets::below("plugins/sdk/rust").filter(|(path, _)| *path != "Cargo.toml");
    let files = library
        .map(under("sdk/rust"))
        .chain(assets::below("wit").map(under("sdk/rust/wit")))
        .chain([(PathBuf::from("sdk/rust/Cargo.toml"), manifest.as_bytes())]);
    assets::lay_out(&project.generated(), files)
        .with_context(|| format!("cannot write `{}`", project.generated().display()))
}

/// The manifest of a package with what it takes from its workspace put in.
fn standing_alone(package: &str) -> anyhow::Result<String> {
    let mut manifest: Table = toml::from_str(package)?;
    let workspace: Table = toml::from_str(assets::text("Cargo.toml"))?;
    let shared = workspace.get("workspace").and_then(|it| it.get("package"));
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        for (key, value) in package.iter_mut().filter(|(_, value)| value.get("workspace").is_some())
        {
            if let Some(shared) = shared.and_then(|shared| shared.get(key)) {
                *value = shared.clone();
            }
        }
    }
    manifest.remove("lints");
    Ok(toml::to_string(&manifest)?)
}

/// Build a package; its component is the answer.
fn compile(project: &Project, progress: &Progress) -> anyhow::Result<Vec<u8>> {
    let (folder, name) = (project.folder, &project.manifest.name);
    ensure_target(folder, progress)?;
    progress.doing(&format!("building {name}"));
    let colour = if progress.colour() { "always" } else { "never" };
    let mut cargo = Command::new("cargo")
        .current_dir(folder)
        .args(["rustc", "--lib", "--target", TARGET, "--profile", "plugin"])
        // For packages outside of a workspace that has the profile.
        .args(["--config", "profile.plugin.inherits='release'"])
        .args(["--message-format", "json-render-diagnostics", "--color", colour])
        .args(["--", "--cfg", &cfg_of(folder)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| toolchain::cannot_start("cargo", &error, NO_RUST))?;
    let (stdout, stderr) = (cargo.stdout.take(), cargo.stderr.take());
    let (artifact, messages) = thread::scope(|scope| {
        // Both pipes are read, or the one nobody reads would fill up and cargo stand still.
        let artifact = scope.spawn(|| stdout.and_then(|out| artifact(BufReader::new(out))));
        let messages = stderr.map(|messages| follow(messages, name, progress)).unwrap_or_default();
        (artifact.join().ok().flatten(), messages)
    });
    let status = cargo.wait().context("cargo was lost")?;
    let has_library = !messages.lines().any(|line| plain(line).starts_with(NO_LIBRARY));
    if !status.success() && has_library {
        anyhow::bail!("`{name}` does not build\n{}", messages.trim_end());
    }
    let artifact = artifact.ok_or_else(|| {
        let message = format!("cargo made no component of `{}`", folder.display());
        Hinted::new(message, "add `[lib]` with `crate-type = [\"cdylib\"]`")
    })?;
    let component = read(&artifact)?;
    agree(project, &component)?;
    Ok(component)
}

/// What cargo says of a package of programs alone.
const NO_LIBRARY: &str = "error: no library targets found";

/// A setting that is another one in each folder. Where packages of one name share a target
/// directory, cargo would take what it made of one for the other, if that was built last. It does
/// so with libraries beside them still: flags for those would displace a project's own.
fn cfg_of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    format!("trellis_folder=\"{}\"", blake3::hash(folder.as_os_str().as_encoded_bytes()))
}

/// The library's macros, each with what it exports.
const EXPORTS: &[(&str, &str)] = &[
    ("http!(FUNCTION)", http::PACKED),
    ("consumer!(FUNCTION)", consumer::PACKED),
    ("connection!(TYPE)", connection::INTERFACE),
    ("socket!(TYPE)", socket::INTERFACE),
    ("job!(FUNCTION)", job::INTERFACE),
];

/// Whether the code has what the manifest says is started.
fn agree(project: &Project, component: &[u8]) -> anyhow::Result<()> {
    let exports = inspect::surface(component)?.exports;
    let is_missing = |it: &&Contract| !it.is_among(exports.iter().map(String::as_str));
    let Some(missing) = contracts::asked(project.manifest).find(is_missing) else { return Ok(()) };
    let (table, interface) = (missing.table, missing.interface());
    let message = format!(
        "plugin.toml has `{table}`, but the code exports no `{}`",
        contracts::without_version(interface)
    );
    let export = EXPORTS.iter().find(|(_, it)| *it == interface).map_or(interface, |(it, _)| it);
    Err(Hinted::new(message, format!("write `trellis_sdk::{export};`, or take it out")).into())
}

/// Show each step as it comes, and keep everything else for the case of a failure.
fn follow(stderr: ChildStderr, name: &str, progress: &Progress) -> String {
    let mut messages = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        match step(&line) {
            Some(step) => progress.doing(&format!("building {name}: {step}")),
            None if is_chatter(&line) => {}
            None => messages += &(line + "\n"),
        }
    }
    messages
}

/// `compiling serde v1.0`, if the line is such a step.
fn step(line: &str) -> Option<String> {
    const STEPS: &[&str] = &[
        "Compiling",
        "Downloading",
        "Downloaded",
        "Updating",
        "Locking",
        "Adding",
        "Finished",
        "Blocking",
    ];
    let mut words = plain(line).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let first = words.first_mut().filter(|first| STEPS.contains(&first.as_str()))?;
    *first = first.to_lowercase();
    Some(words.into_iter().take(3).collect::<Vec<_>>().join(" "))
}

/// What cargo adds that helps nobody: attempts that are made again, and that there were errors.
fn is_chatter(line: &str) -> bool {
    const CHATTER: &[&str] = &[
        "warning: spurious network error",
        "error: could not compile",
        "For more information about",
        "Some errors have detailed explanations",
    ];
    let line = plain(line);
    CHATTER.iter().any(|chatter| line.starts_with(chatter))
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => letters.by_ref().take_while(|c| !c.is_ascii_alphabetic()).for_each(drop),
            letter => text.push(letter),
        }
    }
    text
}

/// The last component that cargo says it made: that of the package itself.
fn artifact(messages: impl BufRead) -> Option<PathBuf> {
    let mut last = None;
    for line in messages.lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let files = message["filenames"].as_array().into_iter().flatten();
        let mut files = files.filter_map(|file| file.as_str());
        if let Some(file) = files.find(|file| file.ends_with(".wasm")) {
            last = Some(file.into());
        }
    }
    last
}

/// Add the target if the toolchain of this folder does not have it.
fn ensure_target(folder: &Path, progress: &Progress) -> anyhow::Result<()> {
    let libraries = Command::new("rustc")
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| toolchain::cannot_start("rustc", &error, NO_RUST))?;
    let libraries = String::from_utf8_lossy(&libraries.stdout).trim().to_owned();
    if !libraries.is_empty() && Path::new(&libraries).is_dir() {
        return Ok(());
    }
    progress.doing(&format!("adding the target {TARGET}"));
    let hint = format!("install it with `rustup target add {TARGET}`");
    let added = Command::new("rustup").current_dir(folder).args(["target", "add", TARGET]).output();
    match added {
        Ok(added) if added.status.success() => Ok(()),
        Ok(added) => {
            let said = String::from_utf8_lossy(&added.stderr);
            let reason = said.lines().find_map(|line| line.strip_prefix("error: "));
            let reason = reason.unwrap_or(said.trim());
            Err(Hinted::new(format!("the target {TARGET} is missing: {reason}"), hint).into())
        }
        Err(_) => Err(Hinted::new(format!("the target {TARGET} is missing"), hint).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_has_its_macro() {
        let mut all = contracts::ALL.iter().map(Contract::interface);
        assert!(all.all(|interface| EXPORTS.iter().any(|(_, it)| *it == interface)));
    }

    #[test]
    fn steps_are_told_apart_from_messages() {
        let compiling = "\x1b[1m\x1b[32m   Compiling\x1b[0m serde v1.0.1 (/tmp/serde)";
        assert_eq!(step(compiling).as_deref(), Some("compiling serde v1.0.1"));
        assert_eq!(step("error: cannot find value"), None);
        assert!(is_chatter("\x1b[1m\x1b[31merror\x1b[0m: could not compile `it` (lib)"));
        assert!(!is_chatter("error: cannot find value"));
    }

    #[test]
    fn the_last_component_is_the_package_itself() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/dep.wasm\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/libx.rlib\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/x.wasm\"]}\n",
            "not json\n",
        );
        assert_eq!(artifact(messages.as_bytes()), Some("/t/x.wasm".into()));
    }
}
