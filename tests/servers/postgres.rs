//! A real PostgreSQL for a test, run by the script beside this file. It ends with the process that
//! started it, also when that is killed.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server that runs.
pub struct Postgres {
    script: Child,
    said: serde_json::Value,
}

impl Postgres {
    /// Start a server that keeps everything in `dir`, on the port it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        Self::run("serve", dir.map(Path::as_os_str).as_slice())
    }

    /// Start a server in `dir` that follows the one in `other` and answers reads.
    pub fn follow(dir: &Path, other: &Path) -> Self {
        Self::run("follow", &[dir.as_os_str(), other.as_os_str()])
    }

    fn run(command: &str, args: &[&OsStr]) -> Self {
        let mut directories = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let script = directories.find_map(|directory| {
            Some(directory.join("tests/servers/postgres")).filter(|script| script.is_file())
        });
        let mut script = Command::new(script.expect("the workspace has the script"))
            .arg(command)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).expect("the server started and said where it is");
        Self { script, said }
    }

    fn text(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap()
    }

    /// Where it listens.
    pub fn host(&self) -> &str {
        self.text("host")
    }

    /// The port there.
    pub fn port(&self) -> u16 {
        self.said["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap()
    }

    /// A database that the user owns.
    pub fn database(&self) -> &str {
        self.text("database")
    }

    /// Who may come in, and make databases and roles.
    pub fn user(&self) -> &str {
        self.text("user")
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        self.text("password")
    }

    /// The file with the authority that the server's certificate is of.
    pub fn ca(&self) -> PathBuf {
        self.text("ca").into()
    }

    /// End it without a word, as a power cut would.
    pub fn kill(mut self) {
        let pid = self.said["pid"].as_i64().unwrap();
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
        // The script ends once it sees nobody waits any longer.
        drop(self.script.stdin.take());
        self.script.wait().unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Nobody can be told of an error here; the script ends with its input.
        let _ = self.script.wait();
    }
}
