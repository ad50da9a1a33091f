//! Datagrams that the kernel threw away because the buffer of a socket was full.

use std::fs::File;
use std::io::Read;

use crate::limits::diagnose::COUNTER_TABLE_BYTES_MAX;

/// By whose sockets; of ours since start. Zero where the kernel does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketDrops {
    /// Of our listeners.
    pub listeners: u64,
    /// Of relay sockets.
    pub relay_sockets: u64,
    /// Of all sockets in this network namespace, since it was made.
    pub machine: u64,
}

/// Those of all sockets in this network namespace, of both families.
#[must_use]
pub fn of_machine() -> u64 {
    machine(&text("snmp"), &text("snmp6"))
}

fn text(table: &str) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(format!("/proc/net/{table}")) {
        // What is not text is no table.
        let _ = file.take(COUNTER_TABLE_BYTES_MAX).read_to_string(&mut text);
    }
    text
}

/// `RcvbufErrors` of both families.
fn machine(snmp: &str, snmp6: &str) -> u64 {
    let mut rows = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    let column = names.split(' ').position(|name| name == "RcvbufErrors");
    let v4 = column.and_then(|at| values.split(' ').nth(at)).and_then(|value| value.parse().ok());
    let v6 = snmp6.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
    let v6 = v6.and_then(|value| value.trim().parse().ok());
    v4.unwrap_or(0_u64) + v6.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_are_those_of_both_families() {
        let snmp = "Udp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 5 17 3\n";
        assert_eq!(machine(snmp, "Udp6InDatagrams 1\nUdp6RcvbufErrors    \t4\n"), 21);
        assert_eq!(machine("", ""), 0);
    }
}
