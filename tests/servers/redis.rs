//! A real Redis for a test, run by the script beside this file. It ends with the process that
//! started it, also when that is killed.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server that runs.
pub struct Redis {
    script: Child,
    said: serde_json::Value,
}

impl Redis {
    /// Start a server that keeps everything in `dir`, on the ports it had there before; without
    /// one, in a directory that is gone afterwards.
    pub fn start(dir: Option<&Path>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/redis");
        let mut script = Command::new(script)
            .arg("serve")
            .args(dir)
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

    /// `host:port` of the listener without encryption.
    pub fn plain(&self) -> &str {
        self.text("plain")
    }

    /// `host:port` of the listener with TLS.
    pub fn secure(&self) -> &str {
        self.text("secure")
    }

    /// Who may come in there, and do what a host does.
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

    /// Let it hang, or go on.
    pub fn hang(&self, hang: bool) {
        self.signal(if hang { "-STOP" } else { "-CONT" });
    }

    fn signal(&self, signal: &str) {
        let pid = self.said["pid"].as_i64().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// End it without a word, as a power cut would.
    pub fn kill(mut self) {
        self.signal("-9");
        // The script ends once it sees nobody waits any longer.
        drop(self.script.stdin.take());
        self.script.wait().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Nobody can be told of an error here; the script ends with its input.
        let _ = self.script.wait();
    }
}
