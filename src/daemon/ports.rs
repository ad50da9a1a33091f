//! Every listening port, bound before anything is answered.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, Protocol as Ip, Socket, Type};
use tokio::sync::mpsc;

use super::{DaemonError, relaying};
use crate::config::Config;
use crate::edge::Handed;
use crate::edge::accept::Door;
use crate::edge::certificates::Certificates;
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::port_holder::{Protocol, bind_failure};
use crate::plane::udp::{self, Listener};

/// All of them.
pub(super) struct Ports {
    /// By relay thread.
    pub(super) udp: Vec<Vec<Listener>>,
    pub(super) doors: Vec<Bound>,
    pub(super) http: Vec<TcpListener>,
}

/// A port for TURN over TCP or TLS.
pub(super) struct Bound {
    listener: TcpListener,
    is_tls: bool,
    /// `http.listen` names it, too.
    has_http: bool,
    /// `proxy_protocol` names it, too.
    is_proxied: bool,
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
        let mut doors = Vec::new();
        let lists =
            [("listen_tcp", &config.listen_tcp, false), ("listen_tls", &config.listen_tls, true)];
        for (key, addresses, is_tls) in lists {
            for at in addresses.iter().filter(|address| address.is_ipv4() || has_ipv6) {
                let has_http = config.shares_http(*at);
                let is_proxied = config.proxy_protocol.contains(at);
                let bound = keep(key, at, bind_tcp(*at));
                doors.extend(bound.map(|listener| Bound {
                    listener,
                    is_tls,
                    has_http,
                    is_proxied,
                }));
            }
        }
        let http = config.http.listen.iter().filter(|at| !config.is_shared(**at));
        let http = http.filter_map(|at| keep("http.listen", at, bind_tcp(*at))).collect();
        if errors.is_empty() {
            Ok(Self { udp, doors, http })
        } else {
            Err(DaemonError::Wishes(errors))
        }
    }

    /// Where the doors stand: over TCP, or over TLS.
    pub(super) fn doors_at(&self, is_tls: bool) -> Vec<SocketAddr> {
        let of_kind = self.doors.iter().filter(|door| door.is_tls == is_tls);
        of_kind.filter_map(|door| door.listener.local_addr().ok()).collect()
    }

    /// Where HTTP answers: without TLS, or with it.
    pub(super) fn http_at(&self, is_tls: bool) -> Vec<SocketAddr> {
        let shared = self.doors.iter().filter(|door| door.has_http && door.is_tls == is_tls);
        let own = self.http.iter().filter(|_| !is_tls);
        let all = own.chain(shared.map(|door| &door.listener));
        all.filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

impl Bound {
    /// The door as the edge opens it; `http` takes what wants HTTP at a shared port.
    pub(super) fn door(
        self,
        certificates: Option<&Arc<Certificates>>,
        http: &mpsc::Sender<Handed>,
    ) -> Result<Door, rustls::Error> {
        let Self { listener, is_tls, has_http, is_proxied } = self;
        let certificates = certificates.filter(|_| is_tls);
        let tls = certificates.map(|c| c.server_config(has_http)).transpose()?;
        Ok(Door { listener, is_proxied, tls, http: has_http.then(|| http.clone()) })
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
) -> Vec<Vec<Listener>> {
    let threads = relaying::threads(config);
    let mut groups = Vec::new();
    for address in &config.listen {
        if address.is_ipv6() && !has_ipv6 {
            warnings.push(format!("this machine has no IPv6: not listening on {address}"));
            continue;
        }
        match Listener::bind_group(*address, threads) {
            Ok(group) => groups.push(group),
            Err(error) => {
                errors.push(bind_failure(Protocol::Udp, *address, "listen", &error));
            }
        }
    }
    if errors.is_empty() && groups.is_empty() {
        errors.push("nothing to listen on: set \"listen\" to an address of this machine".into());
    }
    warnings.extend(groups.iter().flatten().find_map(small_buffer));
    let mut by_thread: Vec<Vec<Listener>> = (0..threads).map(|_| Vec::new()).collect();
    for group in groups {
        by_thread.iter_mut().zip(group).for_each(|(one, listener)| one.push(listener));
    }
    by_thread
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    fn http_at(address: &str) -> Ports {
        let mut config = Config::embedded();
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.listen_tcp = Vec::new();
        config.http.listen = vec![address.parse().unwrap()];
        Ports::bind(&config, &[], &mut Vec::new()).unwrap()
    }

    #[test] // security.md D7: a queue of 128 lets the next one wait a second
    fn a_burst_of_http_connections_waits_to_be_accepted() {
        let ports = http_at("127.0.0.1:0");
        let at = ports.http_at(false)[0];
        let burst = (0..500).map(|_| TcpStream::connect_timeout(&at, Duration::from_secs(5)));
        assert_eq!(burst.collect::<Result<Vec<_>, _>>().unwrap().len(), 500);
    }

    #[test] // R17
    fn http_on_the_wildcard_of_one_family_leaves_the_port_of_the_other_free() {
        let ports = http_at("[::]:0");
        let port = ports.http_at(false)[0].port();
        assert!(TcpListener::bind(("0.0.0.0", port)).is_ok());
    }
}
