//! A script that runs a server for as long as its input is open, and says where the server is.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A script whose server runs.
pub struct Script {
    child: Child,
    said: serde_json::Value,
}

impl Script {
    /// Run the script of this name and wait until its server is there.
    pub fn start(name: &str, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`tests/servers/{name}` does not start: {error}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line);
        let said = said.unwrap_or_else(|_| panic!("`tests/servers/{name}` said `{line}`"));
        Self { child, said }
    }

    /// `host:port` of the listener without encryption.
    pub fn plain(&self) -> &str {
        self.text("plain")
    }

    /// `host:port` of the listener with TLS, where that is another one.
    pub fn secure(&self) -> &str {
        self.text("secure")
    }

    /// Who may come in there and do what a host does.
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

    /// A text of what it said.
    pub fn text(&self, key: &str) -> &str {
        self.said[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {}", self.said))
    }

    /// A number of what it said.
    pub fn number(&self, key: &str) -> u64 {
        self.said[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {}", self.said))
    }

    /// Send the server a signal, as `kill` takes it.
    pub fn signal(&self, signal: &str) {
        let pid = self.number("pid").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// End the server without a word, as a power cut would.
    pub fn kill(self) {
        self.signal("-9");
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The script ends once it sees nobody waits any longer. Nobody can be told of an error here.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
