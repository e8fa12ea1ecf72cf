//! What is measured: the program, the plugins and the components, built before the first round.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Where everything lies once it is built.
pub struct Built {
    binaries: PathBuf,
    components: PathBuf,
}

impl Built {
    /// Build the program, the plugins and the components of this directory. What is there already
    /// is not built again.
    pub fn make() -> Result<Self> {
        let binaries =
            env::current_exe()?.parent().context("a program has a directory")?.to_owned();
        let components = binaries.join("bench-components");
        let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        // With the features of `tests/run` and `cargo measure`, so that nothing is compiled twice.
        cargo.args(["build", "--quiet", "--release", "--workspace"]);
        cargo.args(["--features", "trellis/kafka", "--bin", "trellis"]);
        run(cargo.current_dir(root()))?;
        let built = Self { binaries, components };
        let mut build = Command::new(built.program());
        build
            .args(["build", "plugins", "tests/bench/guests", "tests/abuse/guests", "--out"])
            .arg(&built.components);
        run(build.current_dir(root()))?;
        Ok(built)
    }

    /// What `tests/run` built, for tests.
    ///
    /// # Errors
    /// When the environment does not name the components.
    pub fn found() -> Result<Self> {
        let components = env::var_os("TRELLIS_TEST_COMPONENTS").context(
            "TRELLIS_TEST_COMPONENTS names no directory: run `tests/run`, which sets it",
        )?;
        let exe = env::current_exe()?;
        // Tests lie one directory deeper than programs.
        let dirs = exe.ancestors().skip(1);
        let binaries = dirs.take(2).find(|dir| dir.join("trellis").is_file());
        let binaries =
            binaries.context("no program `trellis` is built: run `tests/run`")?.to_owned();
        Ok(Self { binaries, components: components.into() })
    }

    /// The host.
    pub fn program(&self) -> PathBuf {
        self.binaries.join("trellis")
    }

    /// A component of this project.
    pub fn component(&self, name: &str) -> Result<PathBuf> {
        let path = self.components.join(format!("{name}.wasm"));
        ensure!(path.is_file(), "{} is not there", path.display());
        Ok(path)
    }

    /// The directory of the components that `tests/foreign` names; builds them once.
    pub fn foreign() -> Result<PathBuf> {
        let output = Command::new(root().join("tests/foreign/build"))
            .stderr(std::process::Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "tests/foreign/build failed");
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    }
}

/// The directory of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where servers of other projects are kept once they are built.
pub fn peers() -> Result<PathBuf> {
    let cache = match env::var_os("TRELLIS_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => {
            PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache/trellis")
        }
    };
    let peers = cache.join("peers");
    fs::create_dir_all(&peers)?;
    Ok(peers)
}

/// The same component as another version of it: it differs in a custom section, so nothing that
/// was compiled for the first fits.
pub fn variant(component: &[u8], number: u64) -> Vec<u8> {
    const NAME: &[u8] = b"bench-variant";
    let mut section = vec![NAME.len() as u8];
    section.extend_from_slice(NAME);
    section.extend_from_slice(&number.to_le_bytes());
    let mut changed = component.to_vec();
    // Section 0 with a length below 128, which is one byte.
    changed.extend_from_slice(&[0, section.len() as u8]);
    changed.extend_from_slice(&section);
    changed
}

/// By which the host tells components apart.
pub fn digest(component: &[u8]) -> String {
    blake3::hash(component).to_string()
}

/// Run a command and fail where it fails.
pub fn run(command: &mut Command) -> Result<()> {
    // Its report belongs to people, the output of this program may be read by a machine.
    let status = command.stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("{command:?} does not start"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
