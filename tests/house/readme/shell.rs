//! Runs the commands of a README: through `sh`, in a directory with what a reader has there, with
//! the addresses of the test's host in place of those that the README knows.

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::OnceCell;

use crate::{
    command::{self, Ran},
    support::Host,
};

use super::text::{self, Readme};

/// The version of wscat that `npx` finds.
const WSCAT: &str = "wscat@6.1.0";

/// Somebody who has read the README of a plugin.
pub struct Shell {
    readme: Readme,
    /// Commands that were not run yet.
    left: Vec<String>,
    /// Variables that commands after them use.
    set: Vec<String>,
    /// What stands in the README, and what is to stand there instead.
    places: Vec<(&'static str, String)>,
    dir: tempfile::TempDir,
}

impl Shell {
    /// Somebody who has read it and done nothing yet.
    pub fn of(plugin: &str) -> Self {
        let readme = Readme::of(plugin);
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_trellis"), bin.join("trellis")).unwrap();
        // It does not run as root, who may be who runs tests, unless it is told to.
        let liquidsoap = "#!/bin/sh\nPATH=${PATH#*:}\n\
             exec liquidsoap 'settings.init.allow_root.set(true)' \"$@\"\n";
        fs::write(bin.join("liquidsoap"), liquidsoap).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(bin.join("liquidsoap"), executable).unwrap();
        symlink(text::folder(), dir.path().join("plugins")).unwrap();
        // Where others may leave what takes long to get.
        symlink(env!("CARGO_TARGET_TMPDIR"), dir.path().join("target")).unwrap();
        let left = readme.commands.clone();
        Self { readme, left, set: Vec::new(), places: Vec::new(), dir }
    }

    /// The settings that the README shows, for a host that grants what its plugins need.
    pub fn settings(&self) -> String {
        format!("[grants]\ndefault = \"needs\"\n{}", self.readme.settings)
    }

    /// Where the commands run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What a command has written.
    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// From now on commands are for this host.
    pub fn visit(&mut self, host: &Host) {
        let data = self.dir().join("data");
        let _ = fs::remove_file(&data);
        symlink(host.data(), data).unwrap();
        self.place("127.0.0.1:8080", host.address("http"));
    }

    /// From now on this stands where the README says otherwise.
    pub fn place(&mut self, said: &'static str, instead: String) {
        self.places.retain(|(other, _)| *other != said);
        self.places.push((said, instead));
    }

    /// Have the commands that follow know the variables of the one that begins so.
    pub fn set(&mut self, begin: &str) {
        let line = self.take(begin);
        self.set.push(line);
    }

    /// Run the command that begins so to its end; what it prints.
    pub async fn run(&mut self, begin: &str) -> String {
        let command = self.command(begin).await;
        let ran: Ran = command::run(command.into()).await;
        assert_eq!(ran.code, Some(0), "{begin}: {ran:?}");
        ran.out
    }

    /// Start the command that begins so.
    pub async fn start(&mut self, begin: &str) -> Running {
        let mut command = self.command(begin).await;
        let said = self.dir().join(format!("said-{}", self.left.len()));
        let errors = said.with_extension("errors");
        let child = command
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&said).unwrap())
            .stderr(fs::File::create(&errors).unwrap())
            .process_group(0)
            .spawn();
        Running { child: child.unwrap(), begin: begin.to_owned(), said, errors }
    }

    async fn command(&mut self, begin: &str) -> Command {
        let line = self.take(begin);
        if line.starts_with("npx ") {
            let modules = self.dir().join("node_modules");
            if !modules.exists() {
                symlink(wscat().await.join("node_modules"), modules).unwrap();
            }
        }
        let lines = self.set.iter().chain([&line]).map(String::as_str);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-c", &lines.collect::<Vec<_>>().join("\n")])
            .current_dir(self.dir())
            .env("PATH", format!("{}:{path}", self.dir().join("bin").display()))
            .env("npm_config_prefer_offline", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Take the command that begins so out of those that are left.
    fn take(&mut self, begin: &str) -> String {
        let at = self.left.iter().position(|command| command.starts_with(begin));
        let at = at.unwrap_or_else(|| panic!("no command begins with `{begin}`: {:#?}", self.left));
        let mut line = self.left.remove(at);
        for (said, instead) in &self.places {
            line = line.replace(said, instead);
        }
        line
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.left.is_empty(), "nobody has run {:#?}", self.left);
        }
    }
}

/// A directory in which `npx` finds wscat, so that it does not get it anew for each test.
async fn wscat() -> &'static Path {
    static DIR: OnceCell<PathBuf> = OnceCell::const_new();
    let get = || async {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(WSCAT);
        if !dir.join("node_modules/.bin/wscat").exists() {
            let mut npm = tokio::process::Command::new("npm");
            npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&dir).arg(WSCAT);
            let done = npm.output().await.expect("run `tests/run`, which installs npm");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        dir
    };
    DIR.get_or_init(get).await
}

/// A command that runs until it is dropped.
pub struct Running {
    child: Child,
    begin: String,
    said: PathBuf,
    errors: PathBuf,
}

impl Running {
    /// What it has printed.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap()).into_owned()
    }

    /// What it has printed once that is as it should be.
    pub async fn until(&self, host: &Host, as_it_should_be: impl Fn(&str) -> bool) -> String {
        host.eventually(async || {
            let said = self.said();
            match as_it_should_be(&said) {
                true => Ok(said),
                false => {
                    let errors = fs::read(&self.errors).unwrap();
                    let errors = String::from_utf8_lossy(&errors);
                    Err(format!("{}: {said}\n{errors}", self.begin))
                }
            }
        })
        .await
    }

    /// Type a line.
    pub fn write(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // With all that the shell has started.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
