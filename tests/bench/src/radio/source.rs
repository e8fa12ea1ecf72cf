//! Plays to a server in real time, as sources of Icecast do.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{AUTHORIZATION, MOUNT, sound::Sound};
use crate::process::{Process, pinned};

/// How long a server may take to listen, and to take a frame.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to play.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// Written once the server lets it play.
    #[arg(long)]
    ready_file: PathBuf,
}

/// Play until the server takes no more, or for ever.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut stream = let_in(arguments.to)?;
    std::fs::write(&arguments.ready_file, "ready")?;
    let (mut sound, begun) = (Sound::default(), Instant::now());
    loop {
        sleep(sound.due().saturating_sub(begun.elapsed()));
        let frame = sound.next().context("sound does not end")?;
        stream.write_all(&frame).context("the server takes no more")?;
    }
}

fn let_in(to: SocketAddr) -> Result<TcpStream> {
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(to) {
            Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(10)),
            connected => break connected?,
        }
    };
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "PUT {MOUNT} HTTP/1.1\r\nhost: {to}\r\nauthorization: {AUTHORIZATION}\r\n\
         content-type: audio/mpeg\r\nice-public: 0\r\nice-name: bench\r\nice-bitrate: 128\r\n\
         expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut byte)?;
        ensure!(length > 0, "not let in: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&byte);
    }
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.starts_with("HTTP/1.1 100"), "not let in: {answer}");
    Ok(stream)
}

/// A source that plays in a process of its own until this is dropped.
pub struct Source {
    _process: Process,
    _dir: TempDir,
}

impl Source {
    /// Play to this server, from these processors.
    pub async fn start(to: &str, pins: Option<&str>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (ready, log) = (dir.path().join("ready"), dir.path().join("log"));
        let mut command: Command = pinned(std::env::current_exe()?.as_os_str(), pins);
        command.args(["radio-source", "--to", to, "--ready-file"]).arg(&ready);
        command.env("RUST_LIB_BACKTRACE", "0");
        let mut process = Process::start(command, &log)?;
        process.until_written(&ready, &log).await.context("the source")?;
        Ok(Self { _process: process, _dir: dir })
    }
}
