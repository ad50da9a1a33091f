//! Sources that no honest client has: port 0, and the daemon's own address. Raw sockets send and
//! see them, which root of a network namespace may open.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{Daemon, PATIENCE};
use crate::network::in_own_network;

const SERVER_PORT: u16 = 3478;
const IP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;

/// Sends and sees every IPv4 datagram of the network.
struct Wire(Socket);

/// Source port, destination port, payload.
type Datagram = (u16, u16, Vec<u8>);

impl Wire {
    fn open() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn send(&self, from_port: u16, payload: &[u8]) {
        let length = (UDP_HEADER_BYTES + payload.len()) as u16;
        let mut bytes = Vec::new();
        // No checksum, which UDP over IPv4 allows.
        for word in [from_port, SERVER_PORT, length, 0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(payload);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, SERVER_PORT));
        self.0.send_to(&bytes, &to.into()).unwrap();
    }

    fn see(&self) -> Datagram {
        let mut buffer = [0; 2048];
        let count = (&self.0).read(&mut buffer).expect("a datagram");
        let udp = &buffer[IP_HEADER_BYTES..count];
        let word = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        (word(0), word(2), udp[UDP_HEADER_BYTES..].to_vec())
    }

    /// Everything up to the answer to a question from `port`, which is asked by this.
    fn see_until_answered(&self, port: u16) -> Vec<Datagram> {
        self.send(port, &binding_request(0xFF));
        let mut seen = Vec::new();
        loop {
            let datagram = self.see();
            if (datagram.0, datagram.1) == (SERVER_PORT, port) {
                return seen;
            }
            seen.push(datagram);
        }
    }
}

fn binding_request(id: u8) -> Vec<u8> {
    MessageWriter::new(Class::Request, Method::BINDING, TransactionId([id; 12])).finish(None, false)
}

#[test]
fn a_request_from_port_0_or_from_the_daemon_itself_is_not_answered() {
    in_own_network(|| {
        let _daemon = Daemon::start_embedded();
        let wire = Wire::open();
        for port in [0, SERVER_PORT] {
            wire.send(port, &binding_request(1));
            let seen = wire.see_until_answered(40_000);
            let answers = seen.iter().filter(|(from, to, payload)| {
                let class = Message::parse(payload).map(|message| message.class());
                (*from, *to) == (SERVER_PORT, port) && class != Ok(Class::Request)
            });
            assert_eq!(answers.count(), 0, "from port {port}: {seen:?}");
            assert!(
                seen.iter().any(|(from, to, _)| (*from, *to) == (port, SERVER_PORT)),
                "the request itself was on the wire: {seen:?}"
            );
        }
    });
}
