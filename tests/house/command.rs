//! Runs the program's commands as a user does, to their end.

use std::{ffi::OsStr, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::support::{Host, PATIENCE};

/// What became of a command.
#[derive(Debug)]
pub struct Ran {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The output as JSON, one value.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The output as JSON, one value a line.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// It did what it was asked.
    pub fn well(self) -> Self {
        assert!(self.code == Some(0) && self.err.is_empty(), "{self:?}");
        self
    }

    /// It says in an orderly way why it did not.
    pub fn refused(self) -> Self {
        assert!(self.code.is_some_and(|code| code == 1 || code == 2), "{self:?}");
        assert!(self.err.contains("error: "), "{self:?}");
        for word in ["panicked", "backtrace", "RUST_BACKTRACE"] {
            assert!(!self.err.contains(word), "{self:?}");
        }
        self
    }
}

/// The program with these arguments, without what the environment says of a host.
pub fn trellis<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trellis"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRELLIS_")) {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Wait until a command has ended.
pub async fn run(command: Command) -> Ran {
    run_within(PATIENCE, command).await
}

/// The same for one that takes its time.
pub async fn run_within(patience: Duration, mut command: Command) -> Ran {
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A command for this host.
pub fn asking(host: &Host, arguments: &[&str]) -> Command {
    let mut command = trellis(arguments);
    command.arg("--data").arg(host.data());
    command
}

/// Have a command ask this host.
pub async fn ask(host: &Host, arguments: &[&str]) -> Ran {
    run(asking(host, arguments)).await
}
