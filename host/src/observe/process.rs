//! What the process itself takes of the machine, and since when it runs.

use std::{fs, time::SystemTime};

use metrics::{counter, gauge};
use rustix::time::{ClockId, clock_gettime};

/// Write since when the process runs; once, at its start.
pub(super) fn started() {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    gauge!("trellis_process_started_seconds").set(since.as_secs_f64());
}

/// Write what the process takes now.
pub(super) fn write() {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let millis = spent.tv_sec * 1000 + spent.tv_nsec / 1_000_000;
    counter!("trellis_process_cpu_milliseconds_total").absolute(millis.unsigned_abs());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident(&status) {
        gauge!("trellis_process_resident_bytes").set(bytes as f64);
    }
}

/// The memory that a process has of the machine's, in bytes, as its `/proc/PID/status` tells it.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_process_is_read_from_its_status() {
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident(&own).unwrap() > 1 << 20);
        assert_eq!(resident("VmPeak:\t  9 kB\nVmRSS:\t    20 kB\n"), Some(20480));
        assert_eq!(resident("VmRSS:\t20 pages\n"), None);
        assert_eq!(resident(""), None);
    }
}
