//! A real broker for a test, run by the script beside this file. It ends with the process that
//! started it, also when that is killed.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A broker that runs.
pub struct Broker {
    script: Child,
    said: serde_json::Value,
}

impl Broker {
    /// Start a broker that keeps everything in `dir`, on the ports it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        Self::run(dir, None)
    }

    /// The same for clients that find it at another address, `host:port`, which leads to it.
    pub fn start_behind(dir: &Path, address: &str) -> Self {
        Self::run(Some(dir), Some(address))
    }

    fn run(dir: Option<&Path>, address: Option<&str>) -> Self {
        let mut directories = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let script = directories.find_map(|directory| {
            Some(directory.join("tests/servers/kafka")).filter(|script| script.is_file())
        });
        let mut script = Command::new(script.expect("the workspace has the script"))
            .arg("serve")
            .args(dir)
            .args(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).expect("the broker started and said where it is");
        Self { script, said }
    }

    fn text(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap()
    }

    /// `host:port` of the listener without encryption.
    pub fn plain(&self) -> &str {
        self.text("plain")
    }

    /// `host:port` of the listener with TLS and SCRAM-SHA-512.
    pub fn secure(&self) -> &str {
        self.text("secure")
    }

    /// Who may come in there.
    pub fn user(&self) -> &str {
        self.text("user")
    }

    /// The user's password.
    pub fn password(&self) -> &str {
        self.text("password")
    }

    /// The file with the authority that the broker's certificate is of.
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

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Nobody can be told of an error here; the script ends with its input.
        let _ = self.script.wait();
    }
}
