//! DSCP and ECN on the way through the relay (RFC 8656 §14), with `carry_tos` on and off.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::SockRef;

use crate::daemon::{Daemon, PASSWORD, USER};
use crate::network::{Network, in_own_network};
use crate::turn_client::TurnClient;

const CONFIG: &str = r#"
state_directory = "state"
relay_addresses = ["5.44.30.1", "2a0e:44:30::1"]
default_relay_family = "client"
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
auth.users = ["alice:wonderland-17"]
"#;
/// Expedited forwarding, ECT(0); and another class that met congestion.
const VOICE: u8 = 46 << 2 | 0b10;
const MARKED: u8 = 34 << 2 | 0b11;

/// A client's socket that sends with `tos` and says what it receives with.
fn marking(socket: UdpSocket, tos: u8) -> UdpSocket {
    let options = SockRef::from(&socket);
    if socket.local_addr().unwrap().is_ipv4() {
        options.set_tos_v4(u32::from(tos)).unwrap();
        options.set_recv_tos_v4(true).unwrap();
    } else {
        options.set_tclass_v6(u32::from(tos)).unwrap();
        options.set_recv_tclass_v6(true).unwrap();
    }
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// What the next datagram came with.
fn received_tos(socket: &UdpSocket) -> u8 {
    let (mut buffer, mut control) = ([0; 2048], [0; 64]);
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut buffers,
        Some(&mut control),
        MsgFlags::empty(),
    )
    .unwrap();
    let mut messages = message.cmsgs().unwrap();
    messages
        .find_map(|message| {
            if let ControlMessageOwned::Ipv4Tos(tos) = message {
                return Some(tos);
            }
            if let ControlMessageOwned::Ipv6TClass(class) = message {
                return Some(u8::try_from(class).unwrap());
            }
            None
        })
        .unwrap()
}

fn check(config: &str, expected: impl Fn(u8) -> u8) {
    let config = format!("{config}\n{CONFIG}");
    let (client, server, peer) = (Network::new(), Network::here(), Network::new());
    server.cable(
        "near",
        &["5.44.20.1/24", "2a0e:44:20::1/64"],
        &client,
        &["5.44.20.2/24", "2a0e:44:20::2/64"],
    );
    server.cable(
        "far",
        &["5.44.30.1/24", "2a0e:44:30::1/64"],
        &peer,
        &["5.44.30.2/24", "2a0e:44:30::2/64"],
    );
    let _daemon = Daemon::start(&config);
    for (at, server, peer_at) in [
        ("5.44.20.2:0", "5.44.20.1:3478", "5.44.30.2:0"),
        ("[2a0e:44:20::2]:0", "[2a0e:44:20::1]:3478", "[2a0e:44:30::2]:0"),
    ] {
        let server: SocketAddr = server.parse().unwrap();
        let connect = |tos| {
            let socket = marking(client.udp(at), tos);
            let turn = socket.try_clone().unwrap();
            (socket, TurnClient::allocate_from(turn, server, USER, PASSWORD).unwrap())
        };
        let (a_socket, a) = connect(VOICE);
        let (b_socket, b) = connect(MARKED);
        let outside = marking(peer.udp(peer_at), MARKED);
        let outside_at = outside.local_addr().unwrap();
        for turn in [&a, &b] {
            turn.permit(outside_at.ip()).unwrap();
            turn.permit(a.relayed.ip()).unwrap();
        }

        a.send(outside_at, b"to a peer");
        assert_eq!(received_tos(&outside), expected(VOICE));
        outside.send_to(b"to a client", a.relayed).unwrap();
        assert_eq!(received_tos(&a_socket), expected(MARKED));
        // Inside the process.
        a.send(b.relayed, b"to another client");
        assert_eq!(received_tos(&b_socket), expected(VOICE));
        b.send(a.relayed, b"and back");
        assert_eq!(received_tos(&a_socket), expected(MARKED));
        // Each datagram has its own.
        marking(a_socket.try_clone().unwrap(), 0);
        a.send(outside_at, b"plain");
        assert_eq!(received_tos(&outside), 0);
    }
}

#[test]
fn dscp_and_ecn_are_kept_both_ways_and_inside_in_both_families() {
    in_own_network(|| check("carry_tos = \"on\"", |tos| tos));
}

#[test]
fn a_listener_on_one_address_keeps_them_too() {
    let listen = "carry_tos = \"on\"\nlisten = [\"5.44.20.1:3478\", \"[2a0e:44:20::1]:3478\"]";
    in_own_network(|| check(listen, |tos| tos));
}

#[test]
fn everything_is_best_effort_unless_asked() {
    in_own_network(|| check("", |_| 0));
}
