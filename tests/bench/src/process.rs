//! Programs that run while something is measured, and end with it.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How long anything may take to stop or to come to an end.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How long a program may take until it is ready: thousands of plugins are tried before that.
const START: Duration = Duration::from_secs(900);

/// Memory is settled when it has not grown or shrunk by so much, in MiB ...
const STILL_MIB: f64 = 0.1;
/// ... in this time, ...
const STILL: Duration = Duration::from_secs(2);
/// ... which it is given up to wait for after this one.
const RESTLESS: Duration = Duration::from_secs(20);

/// In which Linux tells times to programs, whatever its own clock does.
const TICKS: f64 = 100.0;

/// A command that runs on these processors only.
pub fn pinned(program: &OsStr, processors: Option<&str>) -> Command {
    let Some(processors) = processors else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", processors]).arg(program);
    command
}

/// A program that is killed when this is dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Start it; what it says goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = fs::File::options().create(true).append(true).open(log)?;
        let started = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self { child: started.with_context(|| format!("{command:?} does not start"))? })
    }

    /// Wait until `file` is there, which a program writes once it is ready.
    pub async fn until_written(&mut self, file: &Path, log: &Path) -> Result<String> {
        let begun = Instant::now();
        loop {
            match fs::read_to_string(file) {
                Ok(text) if !text.is_empty() => return Ok(text),
                _ => {}
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}:\n{}", tail(log));
            }
            if begun.elapsed() > START {
                bail!("it is not ready after {START:?}:\n{}", tail(log));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Its resident memory and the part of it that is no file's, in MiB.
    pub fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib =
                line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).with_context(|| format!("no {name} in {status}"))
        };
        Ok((mib("VmRSS")?, mib("RssAnon")?))
    }

    /// Its resident memory once it has come to rest, in MiB.
    pub async fn settled_memory(&self) -> Result<f64> {
        let begun = Instant::now();
        let (mut memory, _) = self.memory()?;
        loop {
            tokio::time::sleep(STILL).await;
            let (now, _) = self.memory()?;
            if (now - memory).abs() < STILL_MIB || begun.elapsed() > RESTLESS {
                return Ok(now);
            }
            memory = now;
        }
    }

    /// The processor time that all its threads have had, in seconds.
    pub fn processor_time(&self) -> Result<f64> {
        processor_time(self.child.id())
    }

    /// The end that nobody is warned of.
    pub fn kill(&mut self) {
        // A program that has ended already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ask it to stop and wait until it has.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("it does not stop");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The processor time that all threads of a process have had, in seconds.
pub fn processor_time(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    both_times(&stat).with_context(|| format!("no times in {stat}"))
}

/// The time in user and in kernel mode that `/proc/PID/stat` tells, in seconds.
fn both_times(stat: &str) -> Option<f64> {
    // The name of the program may have spaces and brackets; what follows it has none.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// The end of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_name_of_a_program_hides_no_times() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(super::both_times(stat), Some(3.0));
        assert_eq!(super::both_times("7 (a) S 1"), None);
    }
}
