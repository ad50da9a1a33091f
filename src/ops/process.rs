//! What the kernel says about this process.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};

/// Zero where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Process {
    /// CPU time of all threads, seconds.
    pub cpu_s: f64,
    /// Memory in use, bytes.
    pub resident_bytes: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Most of them.
    pub max_fds: u64,
    /// Start, Unix seconds.
    pub started_unix_s: f64,
}

/// Asks.
#[must_use]
pub fn read() -> Process {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (text("/proc/self/stat"), text("/proc/self/status"));
    let mut process = Process {
        max_fds: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft),
        open_fds: open_fds(),
        ..Process::default()
    };
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let seconds = |time: nix::sys::time::TimeVal| {
            time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0
        };
        process.cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
    }
    // The name in parentheses may hold blanks; what follows it is numbers from field 3 on.
    let started = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(22 - 3)?.parse::<u64>().ok());
    let memory = |word: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(word))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    process.virtual_bytes = memory("VmSize:").unwrap_or(0) * 1024;
    process.resident_bytes = memory("VmRSS:").unwrap_or(0) * 1024;
    let booted = text("/proc/stat");
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<u64>().ok());
    if let (Some(booted), Some(after)) = (booted, started) {
        process.started_unix_s = booted as f64 + after as f64 / TICKS_PER_S;
    }
    process
}

/// Linux 6.2 and later know how many there are. Before, all are listed: with 10,000 of them that
/// keeps a processor, and the relay thread on it, for milliseconds.
fn open_fds() -> u64 {
    match fs::metadata("/proc/self/fd").map_or(0, |fds| fds.len()) {
        0 => fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
        known => known,
    }
}

/// What Linux calls USER_HZ: the unit of times in /proc, the same on every machine with this name.
const TICKS_PER_S: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_descriptors_and_has_started() {
        let process = read();
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes);
        assert!((3..process.max_fds).contains(&process.open_fds), "{process:?}");
        let age = crate::time::Now::read().unix_s() as f64 - process.started_unix_s;
        assert!((-2.0..100_000.0).contains(&age), "{process:?}");
        assert!(process.cpu_s >= 0.0);
    }
}
