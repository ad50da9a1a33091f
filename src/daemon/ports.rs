//! Every listening port, bound before anything is answered.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol as Ip, Socket, Type};

use super::DaemonError;
use crate::config::Config;
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::port_holder::{Protocol, bind_failure};
use crate::plane::udp::{self, Listener};

/// All of them.
pub(super) struct Ports {
    pub(super) udp: Vec<Listener>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) http: Vec<TcpListener>,
}

impl Ports {
    /// Tries every port before any failure is told, so that all of them are told at once.
    pub(super) fn bind(
        config: &Config,
        here: &[InterfaceAddress],
        warnings: &mut Vec<String>,
    ) -> Result<Self, DaemonError> {
        let has_ipv6 = has_ipv6(here);
        let mut errors = Vec::new();
        let udp = bind_udp(config, has_ipv6, warnings, &mut errors);
        let mut keep = |key: &str, address: &SocketAddr, bound: io::Result<TcpListener>| {
            let failure = |error| errors.push(bind_failure(Protocol::Tcp, *address, key, &error));
            bound.map_err(failure).ok()
        };
        let usable = config.listen_tcp.iter().filter(|address| address.is_ipv4() || has_ipv6);
        let tcp = usable.filter_map(|at| keep("listen_tcp", at, bind_tcp(*at))).collect();
        let http = config.http.listen.iter();
        let http = http.filter_map(|at| keep("http.listen", at, TcpListener::bind(at))).collect();
        if errors.is_empty() {
            Ok(Self { udp, tcp, http })
        } else {
            Err(DaemonError::Wishes(errors))
        }
    }
}

/// Whether there is anything to listen for on IPv6. A kernel where it is switched off
/// (`disable_ipv6`) still binds the wildcard, but has no address of that family, not even loopback.
pub(crate) fn has_ipv6(here: &[InterfaceAddress]) -> bool {
    udp::has_ipv6() && here.iter().any(|found| found.address.is_ipv6())
}

/// Binds a listening TCP socket of one family, as it is done at start.
pub(crate) fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Ip::TCP))?;
    if address.is_ipv6() {
        // v4 and v6 are separate sockets: an IPv4 client never shows up as ::ffff:a.b.c.d.
        socket.set_only_v6(true)?;
    }
    // Connections of the run before, which take a minute to die, do not hold the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that wait for `accept` in the kernel; it cuts this to net.core.somaxconn.
const BACKLOG: i32 = 4096;

fn bind_udp(
    config: &Config,
    has_ipv6: bool,
    warnings: &mut Vec<String>,
    errors: &mut Vec<String>,
) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for address in &config.listen {
        if address.is_ipv6() && !has_ipv6 {
            warnings.push(format!("this machine has no IPv6: not listening on {address}"));
            continue;
        }
        match Listener::bind(*address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                errors.push(bind_failure(Protocol::Udp, *address, "listen", &error));
            }
        }
    }
    if errors.is_empty() && listeners.is_empty() {
        errors.push("nothing to listen on: set \"listen\" to an address of this machine".into());
    }
    warnings.extend(listeners.iter().find_map(small_buffer));
    listeners
}

/// That the kernel cut the receive buffer of a listener; they are all treated alike.
pub(crate) fn small_buffer(listener: &Listener) -> Option<String> {
    listener.is_receive_buffer_small().then(|| {
        format!(
            "the kernel gives {} KiB of receive buffer to a listener, busy servers lose packets with \
             that; scripts/install sets net.core.rmem_max, or: sysctl -w net.core.rmem_max=4194304",
            listener.receive_buffer_bytes() / 1024,
        )
    })
}
