//! What limits the memory of this process, and how much is left.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};

/// What is kept for the work there is, bytes, at least and at most; between them a share of the limit.
pub const RESERVE_BYTES: RangeInclusive<u64> = 8 * 1024 * 1024..=32 * 1024 * 1024;
/// The part of the limit that is kept.
const RESERVE_SHARE: u64 = 8;

/// A limit and what of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What stands against the limit.
    pub used_bytes: u64,
    /// From here on nothing is given, or the process is killed.
    pub limit_bytes: u64,
    /// What an administrator calls it.
    pub limit: &'static str,
}

impl Room {
    /// Whether no new work should be taken on. Once it is short, a little more than the reserve
    /// must be free until it no longer is, so that the answer does not flutter.
    #[must_use]
    pub fn is_short(&self, was_short: bool) -> bool {
        let reserve =
            (self.limit_bytes / RESERVE_SHARE).clamp(*RESERVE_BYTES.start(), *RESERVE_BYTES.end());
        self.left() < if was_short { reserve / 4 * 5 } else { reserve }
    }

    fn left(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }
}

/// The limit that is nearest; `None` where nothing limits this process but the machine.
#[must_use]
pub fn read() -> Option<Room> {
    let of_process = of_process(&fs::read_to_string("/proc/self/status").unwrap_or_default());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_groups = of_groups(&groups, Path::new("/sys/fs/cgroup"));
    of_process.into_iter().chain(of_groups).min_by_key(Room::left)
}

/// `ulimit -v`, `ulimit -d` and the same of systemd, against what the kernel counts for them.
fn of_process(status: &str) -> Vec<Room> {
    let used = |word: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(word))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let room = |(resource, word, limit): (Resource, &str, &'static str)| {
        let (limit_bytes, _) = getrlimit(resource).ok()?;
        let used_bytes = used(word)?;
        (limit_bytes < UNLIMITED).then_some(Room { used_bytes, limit_bytes, limit })
    };
    [(Resource::RLIMIT_AS, "VmSize:", "LimitAS"), (Resource::RLIMIT_DATA, "VmData:", "LimitDATA")]
        .into_iter()
        .filter_map(room)
        .collect()
}

/// The control group of this process and those above it: `MemoryMax` of a unit, the memory of a
/// container. `groups` is /proc/self/cgroup; a container may show paths that it cannot see.
fn of_groups(groups: &str, mounted_at: &Path) -> Vec<Room> {
    let Some((version, path)) = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_first = controllers.split(',').any(|controller| controller == "memory");
        match (is_first, controllers.is_empty()) {
            (true, _) => Some((&FIRST, path)),
            (false, true) => Some((&SECOND, path)),
            (false, false) => None,
        }
    }) else {
        return Vec::new();
    };
    let top = mounted_at.join(version.folder);
    let ours = top.join(path.trim_start_matches('/'));
    let upward = ours.ancestors().take_while(|folder| folder.starts_with(&top));
    upward.filter_map(|folder| version.room(folder.to_path_buf())).collect()
}

/// How a version of control groups calls its files.
struct Groups {
    folder: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Lines of `memory.stat` whose bytes the kernel takes back before it kills anybody.
    files: [&'static str; 2],
}

const FIRST: Groups = Groups {
    folder: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    files: ["total_inactive_file ", "total_active_file "],
};
const SECOND: Groups = Groups {
    folder: "",
    limit: "memory.max",
    used: "memory.current",
    files: ["inactive_file ", "active_file "],
};
/// What no machine has: so a first version says that there is no limit, and a resource limit.
const UNLIMITED: u64 = 1 << 60;

impl Groups {
    fn room(&self, folder: PathBuf) -> Option<Room> {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
        // "max" is no number.
        let limit_bytes = number(self.limit).filter(|limit| *limit < UNLIMITED)?;
        let stat = text("memory.stat").unwrap_or_default();
        let cache = |word: &&str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(word))?;
            line.trim().parse::<u64>().ok()
        };
        let cached: u64 = self.files.iter().filter_map(cache).sum();
        let used_bytes = number(self.used)?.saturating_sub(cached);
        Some(Room { used_bytes, limit_bytes, limit: "MemoryMax" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn is_short(used_mib: u64, limit_mib: u64, was_short: bool) -> bool {
        let room =
            Room { used_bytes: used_mib * MIB, limit_bytes: limit_mib * MIB, limit: "MemoryMax" };
        room.is_short(was_short)
    }

    #[test]
    fn memory_is_short_when_less_than_the_reserve_is_left_and_until_a_quarter_more_is() {
        // An eighth, at least 8 MiB, at most 32 MiB.
        for (limit, reserve) in [(32, 8), (64, 8), (128, 16), (256, 32), (4096, 32)] {
            assert!(!is_short(limit - reserve, limit, false), "{limit}");
            assert!(is_short(limit - reserve + 1, limit, false), "{limit}");
            let enough = reserve / 4 * 5;
            assert!(!is_short(limit - enough, limit, true), "{limit}");
            assert!(is_short(limit - enough + 1, limit, true), "{limit}");
        }
        assert!(is_short(100, 64, false), "more than the limit may be used");
    }

    /// Writes files below a folder that stands for /sys/fs/cgroup.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn rooms(groups: &str, root: &tempfile::TempDir) -> Vec<(u64, u64)> {
        let rooms = of_groups(groups, root.path());
        rooms.iter().map(|room| (room.used_bytes, room.limit_bytes)).collect()
    }

    #[test]
    fn limits_of_the_group_and_of_those_above_it_are_read_and_cache_is_not_counted() {
        let root = mounted(&[
            ("memory.max", "max\n"),
            ("a.slice/memory.max", "1000\n"),
            ("a.slice/memory.current", "700\n"),
            ("a.slice/b.service/memory.max", "500\n"),
            ("a.slice/b.service/memory.current", "400\n"),
            ("a.slice/b.service/memory.stat", "anon 9\ninactive_file 100\nactive_file 50\n"),
        ]);
        assert_eq!(rooms("0::/a.slice/b.service\n", &root), [(250, 500), (700, 1000)]);
        assert_eq!(rooms("0::/\n", &root), []);
    }

    #[test]
    fn the_first_version_is_read_where_memory_is_its() {
        let root = mounted(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.usage_in_bytes", "5000\n"),
            ("memory/a/memory.limit_in_bytes", "1000\n"),
            ("memory/a/memory.usage_in_bytes", "900\n"),
            ("memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"),
        ]);
        let groups = "9:cpu:/b\n4:memory:/a\n0::/c\n";
        assert_eq!(rooms(groups, &root), [(600, 1000)]);
        // A container that is shown the host's path.
        let root = mounted(&[("memory.max", "64\n"), ("memory.current", "60\n")]);
        assert_eq!(rooms("0::/not/to/be/seen\n", &root), [(60, 64)]);
        assert_eq!(rooms("", &root), []);
    }
}
