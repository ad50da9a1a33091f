//! What the machine offers: speed of the links that relay, room on a disk.

use std::net::IpAddr;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::interfaces;

/// Name and speed of the slowest link that has one of these addresses, Mbit/s. Virtual links mostly
/// do not say how fast they are.
#[must_use]
pub fn slowest(addresses: &[IpAddr]) -> Option<(String, u64)> {
    let here = interfaces::all().ok()?;
    let of_relay = here.iter().filter(|it| addresses.contains(&it.address));
    let known = of_relay.filter_map(|it| Some((it.interface.clone(), speed(&it.interface)?)));
    known.min_by_key(|(_, mbit)| *mbit)
}

fn speed(interface: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/speed")).ok()?;
    parse(&text)
}

/// -1 and 2^32 - 1 stand for "unknown".
fn parse(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|mbit| (1..=10_000_000).contains(mbit))
}

/// Bytes that the disk below `directory` has left for programs that are not root.
#[must_use]
pub fn disk_free(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_does_not_know_its_speed_has_none() {
        assert_eq!(parse("1000\n"), Some(1000));
        for unknown in ["-1\n", "4294967295\n", "0", "", "fast"] {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_disk_has_room_or_is_full_and_no_disk_says_nothing() {
        assert!(disk_free(Path::new("/proc")).is_some());
        assert_eq!(disk_free(Path::new("/nowhere/at/all")), None);
    }
}
