//! Datagrams that the kernel threw away because the buffer of a socket was full.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use crate::limits::diagnose::SOCKET_TABLE_BYTES_MAX;

/// By whose sockets. Zero where the kernel does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SocketDrops {
    /// Of our listeners.
    pub listeners: u64,
    /// Of relay sockets that are open.
    pub relay_sockets: u64,
    /// Of all sockets in this network namespace, since it was made.
    pub machine: u64,
}

/// Asks `/proc/net`. `listeners`: our UDP ports; `relay`: where relay sockets are.
#[must_use]
pub fn read(listeners: &[SocketAddr], relay: &RangeInclusive<u16>) -> SocketDrops {
    let mut drops = SocketDrops::default();
    for (table, is_v6) in [("udp", false), ("udp6", true)] {
        let of_family = listeners.iter().filter(|at| at.is_ipv6() == is_v6);
        let ports: Vec<u16> = of_family.map(SocketAddr::port).collect();
        count(&text(table), &ports, relay, &mut drops);
    }
    drops.machine = machine(&text("snmp"), &text("snmp6"));
    drops
}

fn text(table: &str) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(format!("/proc/net/{table}")) {
        // What is not text is no table.
        let _ = file.take(SOCKET_TABLE_BYTES_MAX).read_to_string(&mut text);
    }
    text
}

/// `sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops`
fn count(table: &str, listeners: &[u16], relay: &RangeInclusive<u16>, drops: &mut SocketDrops) {
    for line in table.lines().skip(1) {
        let mut words = line.split_ascii_whitespace();
        let port = words.nth(1).and_then(|local| local.rsplit_once(':'));
        let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        let dropped = words.next_back().and_then(|word| word.parse::<u64>().ok());
        let (Some(port), Some(dropped)) = (port, dropped) else { continue };
        if listeners.contains(&port) {
            drops.listeners += dropped;
        } else if relay.contains(&port) {
            drops.relay_sockets += dropped;
        }
    }
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
    use std::net::UdpSocket;

    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  126: 00000000:0D96 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 28124 2 0000000000000000 41
  200: 0100007F:C001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 28125 2 0000000000000000 2
  201: 0100007F:BFFF 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 28126 2 0000000000000000 9
";

    #[test]
    fn drops_are_told_apart_by_port() {
        let mut drops = SocketDrops::default();
        count(TABLE, &[3478], &(49_152..=65_535), &mut drops);
        assert_eq!((drops.listeners, drops.relay_sockets), (41, 2));
        let snmp = "Udp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 5 17 3\n";
        assert_eq!(machine(snmp, "Udp6InDatagrams 1\nUdp6RcvbufErrors    \t4\n"), 21);
        assert_eq!(machine("", ""), 0);
    }

    #[test]
    fn a_socket_that_nobody_reads_has_drops_once_it_is_full() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(2048).unwrap();
        let at = socket.local_addr().unwrap();
        let drops = || read(&[at], &(1..=1)).listeners;
        assert_eq!(drops(), 0);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], at).unwrap();
        }
        assert!(drops() > 0);
    }
}
