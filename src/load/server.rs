//! What the server uses, as the kernel of the same machine tells of it.

use std::fs;

use super::LoadError;

/// One reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) rss_bytes: u64,
    /// On-CPU time of all threads, microseconds.
    pub(super) cpu_us: u64,
    /// Kernel memory of the whole machine that cannot be reclaimed: sockets are in there.
    pub(super) kernel_bytes: u64,
}

impl Reading {
    /// # Errors
    /// If there is no such process.
    pub(super) fn of(pid: u32) -> Result<Self, LoadError> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).map_err(|why| LoadError::File {
                path,
                why: format!("{why}; --pid is the process of the server on this machine"),
            })
        };
        let (status, schedstat) = (read("status")?, cpu_of_all_threads(pid));
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Ok(Self {
            rss_bytes: kilobytes(&status, "VmRSS:") * 1024,
            cpu_us: schedstat,
            kernel_bytes: kilobytes(&meminfo, "SUnreclaim:") * 1024,
        })
    }
}

/// The first number of each thread's `schedstat` is nanoseconds on a CPU.
fn cpu_of_all_threads(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ns = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    ns.sum::<u64>() / 1000
}

/// `VmRSS:     1234 kB`
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

/// Load average of the last minute; 0 where the kernel does not say.
pub(super) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_no_process_has_none() {
        let reading = Reading::of(std::process::id()).expect("it runs");
        assert!(reading.rss_bytes > 100_000 && reading.kernel_bytes > 0, "{reading:?}");
        let why = Reading::of(u32::MAX).expect_err("no pid is as large").to_string();
        assert!(why.contains("--pid"), "{why}");
    }

    #[test]
    fn a_line_of_proc_is_read_by_its_name() {
        let text = "VmSize:\t  900 kB\nVmRSS:\t  12 kB\n";
        assert_eq!((kilobytes(text, "VmRSS:"), kilobytes(text, "VmSwap:")), (12, 0));
    }
}
