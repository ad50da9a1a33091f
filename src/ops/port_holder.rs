//! Why a port could not be bound, as a sentence: who holds it, and which setting moves ours.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Which table of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP, listening sockets only.
    Tcp,
}

/// A process that has a port open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Its short name, 15 bytes at the most, control characters escaped.
    pub command: String,
}

/// The sentence for a failed bind. `key` is the setting that names the address.
#[must_use]
pub fn bind_failure(protocol: Protocol, at: SocketAddr, key: &str, error: &io::Error) -> String {
    let (port, ip, kind) = (at.port(), at.ip(), error.kind());
    if kind == ErrorKind::AddrInUse {
        return taken(protocol, at, key, holder(protocol, at).as_ref());
    }
    if kind == ErrorKind::PermissionDenied && port < 1024 {
        return format!(
            "{protocol} port {port} on {ip} may be opened by root only; use the systemd unit, which \
             grants CAP_NET_BIND_SERVICE, or set \"{key}\" in turnbell.toml to a port from 1024"
        );
    }
    if kind == ErrorKind::AddrNotAvailable {
        return format!(
            "{protocol} port {port} cannot be opened on {ip}: no interface of this machine has that \
             address; set \"{key}\" in turnbell.toml"
        );
    }
    format!(
        "{protocol} port {port} on {ip} cannot be opened: {error}; \"{key}\" in turnbell.toml \
         names it"
    )
}

/// The sentence for a port that somebody else holds.
#[must_use]
pub fn taken(protocol: Protocol, at: SocketAddr, key: &str, holder: Option<&Holder>) -> String {
    let (port, ip) = (at.port(), at.ip());
    let Some(Holder { pid, command }) = holder else {
        return format!(
            "{protocol} port {port} on {ip} is taken by another program (`ss -lnp` as root shows \
             which); stop it or set \"{key}\" in turnbell.toml"
        );
    };
    let stop = match command.as_str() {
        "turnserver" => "stop it (systemctl stop coturn)",
        "turnbell" => "stop it (systemctl stop turnbell)",
        _ => "stop it",
    };
    format!(
        "{protocol} port {port} on {ip} is taken by {command} (pid {pid}); {stop} or set \"{key}\" \
         in turnbell.toml"
    )
}

/// The process whose socket stands in the way of `at`; `None` if there is none, or if the system
/// does not show it to this user.
#[must_use]
pub fn holder(protocol: Protocol, at: SocketAddr) -> Option<Holder> {
    let files = match protocol {
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let mut sockets = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        sockets.extend(text.lines().filter_map(|line| parse_socket(line, protocol)));
    }
    sockets.retain(|socket| socket.local.port() == at.port());
    sockets.retain(|socket| conflicts(socket.local.ip(), at.ip()));
    // Several may stand in the way; the one on exactly our address explains best.
    sockets.sort_by_key(|socket| socket.local.ip() != at.ip());
    sockets.iter().find_map(|socket| process_of(socket.inode))
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    inode: u64,
}

/// One line of `/proc/net/{udp,udp6,tcp,tcp6}`; `None` for the head and for connections.
fn parse_socket(line: &str, protocol: Protocol) -> Option<Socket> {
    const TCP_LISTEN: &str = "0A";
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, _, _, _, _, _, inode, ..] = columns[..] else { return None };
    if protocol == Protocol::Tcp && state != TCP_LISTEN {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    // Each group of 8 digits is a word in the machine's byte order.
    let words: Option<Vec<[u8; 4]>> = (0..ip.len() / 8)
        .map(|at| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Socket { local: SocketAddr::new(ip, port), inode: inode.parse().ok()? })
}

/// Whether a socket on `theirs` can keep us from `ours`. A v6 wildcard may hold v4, too.
fn conflicts(theirs: IpAddr, ours: IpAddr) -> bool {
    let same_family = theirs.is_ipv4() == ours.is_ipv4();
    match theirs {
        _ if theirs.to_canonical() == ours.to_canonical() => true,
        IpAddr::V4(_) => same_family && (theirs.is_unspecified() || ours.is_unspecified()),
        IpAddr::V6(_) => theirs.is_unspecified() || same_family && ours.is_unspecified(),
    }
}

fn process_of(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_open(Path::new(&format!("/proc/{pid}/fd")), &wanted))
        .map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Holder { pid, command: name.trim_end().escape_debug().to_string() }
        })
}

fn has_open(directory: &Path, wanted: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries
        .flatten()
        .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_udp_port_of_this_process_is_found_from_its_address_and_from_the_wildcard() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let found = holder(Protocol::Udp, address).expect("our own socket");
        assert_eq!(found.pid, std::process::id());
        let wildcard = SocketAddr::from(([0, 0, 0, 0], address.port()));
        assert_eq!(holder(Protocol::Udp, wildcard).map(|h| h.pid), Some(std::process::id()));
        let elsewhere = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert_eq!(holder(Protocol::Udp, elsewhere), None);
        assert_eq!(holder(Protocol::Tcp, address), None);
        drop(socket);
        assert_eq!(holder(Protocol::Udp, address), None);
    }

    #[test]
    fn a_tcp_listener_of_this_process_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = holder(Protocol::Tcp, socket.local_addr().unwrap());
        assert_eq!(found.map(|h| h.pid), Some(std::process::id()));
    }

    #[test]
    fn a_failed_bind_names_port_holder_and_setting() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let error = UdpSocket::bind(address).unwrap_err();
        let sentence = bind_failure(Protocol::Udp, address, "listen", &error);
        let (port, pid) = (address.port(), std::process::id());
        let start = format!("UDP port {port} on 127.0.0.1 is taken by ");
        assert!(sentence.starts_with(&start), "{sentence}");
        assert!(sentence.contains(&format!("(pid {pid})")), "{sentence}");
        assert!(sentence.ends_with("or set \"listen\" in turnbell.toml"), "{sentence}");
    }

    #[test]
    fn coturn_is_known_by_its_unit() {
        let turnserver = Holder { pid: 812, command: "turnserver".to_owned() };
        assert_eq!(
            taken(Protocol::Udp, at("0.0.0.0:3478"), "listen", Some(&turnserver)),
            "UDP port 3478 on 0.0.0.0 is taken by turnserver (pid 812); stop it (systemctl stop \
             coturn) or set \"listen\" in turnbell.toml"
        );
        assert_eq!(
            taken(Protocol::Tcp, at("[::1]:8080"), "http.listen", None),
            "TCP port 8080 on ::1 is taken by another program (`ss -lnp` as root shows which); \
             stop it or set \"http.listen\" in turnbell.toml"
        );
    }

    #[test]
    fn other_reasons_have_sentences_of_their_own() {
        let sentence = |kind: ErrorKind, address| {
            bind_failure(Protocol::Udp, at(address), "listen", &io::Error::from(kind))
        };
        let denied = ErrorKind::PermissionDenied;
        assert!(sentence(denied, "0.0.0.0:1023").contains("CAP_NET_BIND_SERVICE"));
        assert!(sentence(denied, "0.0.0.0:1024").contains("cannot be opened: permission denied"));
        let elsewhere = sentence(ErrorKind::AddrNotAvailable, "198.51.100.1:3478");
        assert!(elsewhere.contains("no interface of this machine has that address"));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_read() {
        let v4 = "  12: 0100007F:0D96 00000000:0000 07 00000000:00000000 00:00000000 00000000  0 0 4242 2";
        let expected = Socket { local: at("127.0.0.1:3478"), inode: 4242 };
        assert_eq!(parse_socket(v4, Protocol::Udp), Some(expected));
        assert_eq!(parse_socket(v4, Protocol::Tcp), None);
        let v6 = "1: B80D0120000000000000000001000000:0D96 0:0 0A 0:0 0:0 0 0 0 7 1";
        let expected = Socket { local: at("[2001:db8::1]:3478"), inode: 7 };
        assert_eq!(parse_socket(v6, Protocol::Tcp), Some(expected));
        assert_eq!(parse_socket("  sl  local_address rem_address st", Protocol::Udp), None);
        assert_eq!(parse_socket("1: XYZ:1 0 0 0 0 0 0 0 1", Protocol::Udp), None);
    }

    #[test]
    fn wildcards_stand_in_the_way_of_addresses_and_of_each_other() {
        let pair = |a: &str, b: &str| conflicts(a.parse().unwrap(), b.parse().unwrap());
        assert!(pair("0.0.0.0", "127.0.0.1") && pair("127.0.0.1", "0.0.0.0"));
        assert!(
            pair("::", "0.0.0.0")
                && pair("::", "127.0.0.1")
                && pair("::ffff:127.0.0.1", "127.0.0.1")
        );
        assert!(
            !pair("127.0.0.1", "127.0.0.2") && !pair("0.0.0.0", "::1") && !pair("::1", "0.0.0.0")
        );
    }
}
