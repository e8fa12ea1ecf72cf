//! Where the figures come from.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One line each: processor, cores, kernel, versions.
pub fn describe() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!("machine  {} · {cores} cores · {}", processor(), memory()),
        format!("kernel   {}", said(Command::new("uname").arg("-srm"))),
        format!("rustc    {}", said(Command::new("rustc").arg("--version"))),
        format!("versions {}", versions()),
    ]
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "an unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory() -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map_or_else(String::new, |kib| format!("{:.0} GiB", kib / f64::from(1 << 20)))
}

/// The versions that decide, from the lock file this was compiled with.
fn versions() -> String {
    const NAMES: [&str; 6] = ["wasmtime", "hyper", "axum", "tokio", "fjall", "tokio-tungstenite"];
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let start = lock.find(&format!("name = \"{name}\"\nversion = \""))?;
        lock[start..].lines().nth(1)?.split('"').nth(1).map(|found| format!("{name} {found}"))
    };
    NAMES.into_iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// The processors for servers and the one for the load; both `None` where there is only one.
pub fn pins() -> (Option<String>, Option<String>) {
    match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => (None, None),
        2 => (Some("0".to_owned()), Some("1".to_owned())),
        cores => (Some(format!("0-{}", cores - 2)), Some((cores - 1).to_string())),
    }
}

/// Let this program, and those that it starts from now on, have so many files open.
pub fn open_files(count: u64) -> Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    // Only the system's own user gets more than the most; for all others this fails then.
    let wanted = most.map(|most| most.max(count));
    let set = setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: wanted });
    set.with_context(|| format!("{count} files cannot be open at a time: `ulimit -Hn` is {most:?}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_versions_are_those_of_the_lock_file() {
        let versions = super::versions();
        assert!(versions.contains("wasmtime 48."), "{versions}");
        assert!(versions.contains("hyper 1."), "{versions}");
    }
}
