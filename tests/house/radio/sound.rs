//! Sound for the radio's tests: tones as files, programs that send and hear them, and what is in
//! what was heard.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::support::{Host, PATIENCE};

/// Samples a second of what is decoded.
const RATE: usize = 44_100;

/// A tone as a file whose name says what it is; frames of MP3 that need none before them.
pub fn tone(dir: &Path, name: &str, hertz: u32, seconds: u32) -> PathBuf {
    let path = dir.join(name);
    let sine = format!("sine=frequency={hertz}:duration={seconds}:sample_rate=44100");
    let coding: &[&str] = match path.extension().and_then(|end| end.to_str()) {
        Some("mp3") => &["-c:a", "libmp3lame", "-b:a", "128k", "-reservoir", "0"],
        Some("flac") => &["-c:a", "flac"],
        Some("opus") => &["-c:a", "libopus", "-b:a", "96k"],
        _ => &["-c:a", "aac", "-b:a", "96k"],
    };
    let title = format!("title=Tone of {hertz}");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", &sine, "-ac", "2"])
        .args(coding)
        .args(["-metadata", &title, "-metadata", "artist=Somebody"])
        .arg(&path)
        .status();
    assert!(made.expect("run `tests/run`, which installs ffmpeg").success());
    path
}

/// A program that runs until it is dropped.
pub struct Program {
    child: Child,
}

impl Program {
    /// Start it; what it says on its standard error goes to a file.
    pub fn start(command: &mut Command, said: &Path) -> Self {
        let said = fs::File::create(said).unwrap();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let child = command.spawn();
        Self { child: child.expect("run `tests/run`, which installs ffmpeg, liquidsoap and curl") }
    }

    /// ffmpeg as a source, in real time; `to` is `user:password@127.0.0.1:port/mount`.
    pub fn ffmpeg(file: &Path, to: &str, more: &[&str]) -> Self {
        let kind = if to.ends_with(".mp3") {
            "mp3"
        } else if to.ends_with(".aac") {
            "adts"
        } else {
            "ogg"
        };
        let content_type = match kind {
            "mp3" => "audio/mpeg",
            "adts" => "audio/aac",
            _ => "audio/ogg",
        };
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-re", "-i"]).arg(file).args(["-c", "copy", "-f", kind]);
        command.args(["-content_type", content_type]).args(more).arg(format!("icecast://{to}"));
        Self::start(&mut command, &file.with_extension("said"))
    }

    /// Send it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Wait until it ends by itself; whether it says that all went well.
    pub fn wait(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who listens with curl.
pub struct Listener {
    program: Program,
    heard: PathBuf,
}

impl Listener {
    /// Begin to listen; `dir` is for what is heard.
    pub fn open(host: &Host, dir: &Path, mount: &str, more: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let heard = dir.join(format!("heard-{number}-{mount}"));
        let mut command = Command::new("curl");
        command.args(["-sSN", "--fail"]).args(more).arg("-o").arg(&heard);
        command.arg(host.url(&format!("/radio/{mount}")));
        let program = Program::start(&mut command, &heard.with_extension("said"));
        Self { program, heard }
    }

    /// What was heard so far.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(&self.heard).unwrap_or_default()
    }

    /// Stop; what was heard, decoded.
    pub fn stop(self) -> Sound {
        drop(self.program);
        Sound::of(&fs::read(&self.heard).unwrap())
    }
}

/// Decoded sound.
pub struct Sound {
    samples: Vec<i16>,
    /// What the decoder had to say.
    pub complaints: String,
}

impl Sound {
    /// That of a file.
    pub fn of(file: &[u8]) -> Self {
        let mut child = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-i",
                "-",
                "-f",
                "s16le",
                "-ac",
                "1",
                "-ar",
                &RATE.to_string(),
                "-",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, file) = (child.stdin.take().unwrap(), file.to_owned());
        let writer = std::thread::spawn(move || {
            // A decoder that gives up says why.
            let _ = input.write_all(&file);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let samples =
            output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        Self {
            samples: samples.collect(),
            complaints: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / RATE as f64
    }

    /// The longest silence in it, in seconds; a frame of MP3 has 0.026.
    pub fn longest_silence(&self) -> f64 {
        let (mut longest, mut run) = (0, 0);
        for sample in &self.samples {
            run = if sample.unsigned_abs() < 40 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        f64::from(longest) / RATE as f64
    }

    /// The tones that follow each other, in Hertz. Those at the joints, which are none, are left out.
    pub fn tones(&self) -> Vec<u32> {
        let crossings =
            |part: &[i16]| part.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        let of = |part: &[i16]| (crossings(part) as f64 * 5.0 / 10.0).round() as u32 * 10;
        let all: Vec<u32> = self.samples.chunks_exact(RATE / 5).map(of).collect();
        let mut tones: Vec<u32> =
            all.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        tones.dedup();
        tones
    }

    /// Assert that it is whole: nothing that the decoder minds, and no gap but what encoders put in
    /// front of a file.
    pub fn is_whole(&self) {
        assert_eq!(self.complaints, "");
        assert!(self.longest_silence() < 0.1, "a gap of {} s", self.longest_silence());
    }
}
