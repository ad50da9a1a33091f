//! What the daemon does about clients with a credential that overdo it.

use std::net::UdpSocket;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::turn_client::{SILENCE, TurnClient, receive};

/// Loopback peers can be reached at every port that the kernel chooses, and these lines.
fn config(lines: &str) -> String {
    format!(
        "allow_private_peers = [\"127.0.0.1\"]\nrelay_ports = \"20000-29999\"\n{lines}\n{CONFIG}"
    )
}

#[test]
fn nothing_is_relayed_to_a_reflection_port() {
    let (closed, open) = (peer(), peer());
    let closed_at = closed.local_addr().unwrap();
    let daemon = Daemon::start(&config(&format!("reflection_ports = \"{}\"", closed_at.port())));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    client.permit(closed_at.ip()).unwrap();
    assert_eq!(client.bind_channel(0x4000, closed_at), Err(403));
    client.bind_channel(0x4001, open.local_addr().unwrap()).unwrap();
    client.send(closed_at, b"closed");
    client.send(open.local_addr().unwrap(), b"open");
    assert_eq!(receive(&open, crate::daemon::PATIENCE).unwrap().1, b"open");
    assert_eq!(receive(&closed, SILENCE), None);
}

fn peer() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}
