//! The client of the `turn-client-proto` crate, which speaks RFC 8489: SHA-256 and MD5 as offered.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;
use turnbell::time::Now;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::framing::{Framing, first_frame};
use turnbell::wire::message::{Class, Message, Method};

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER};
use crate::stream_client::{self, Wire};
use crate::tls_client::{self, TLS_1_2, TLS_1_3};
use crate::turn_client::receive;

/// Username and password.
type Login<'a> = (&'a str, &'a str);

/// What is relayed, whatever the client itself speaks.
const UDP: TransportType = TransportType::Udp;
/// Shortest wait between two looks at the client's timers.
const STEP: Duration = Duration::from_millis(20);

/// The client, its way to the server, and what it sent and heard so far.
struct Client<C> {
    inner: C,
    road: Box<dyn Road>,
    requests: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    data: Vec<(SocketAddr, Vec<u8>)>,
}

/// What lies between client and server.
trait Road {
    fn send(&mut self, bytes: &[u8]);

    /// The next message, if it comes within [`STEP`].
    fn hear(&mut self) -> Option<Vec<u8>>;
}

struct Datagrams {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Road for Datagrams {
    fn send(&mut self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).unwrap();
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        receive(&self.socket, STEP).map(|(_, bytes)| bytes)
    }
}

struct Stream {
    wire: Box<dyn Wire>,
    received: Vec<u8>,
}

impl Road for Stream {
    fn send(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).unwrap();
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        if let Framing::Frame { taken, .. } = first_frame(&self.received, ChannelRange::Rfc8656) {
            return Some(self.received.drain(..taken).collect());
        }
        let mut buffer = [0; 4096];
        match self.wire.read(&mut buffer) {
            Ok(count) => {
                assert_ne!(count, 0, "the server closed");
                self.received.extend_from_slice(&buffer[..count]);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        None
    }
}

impl Client<TurnClientUdp> {
    /// Asks for an allocation.
    fn over_udp(server: SocketAddr, config: TurnConfig) -> Self {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).unwrap();
        let local = socket.local_addr().unwrap();
        let inner = TurnClientUdp::allocate(local, server, config);
        Self::with(inner, Datagrams { socket, server })
    }
}

impl Client<TurnClientTcp> {
    /// The same over a connection; `wire` is what is spoken over it.
    fn over_stream((socket, wire): (TcpStream, Box<dyn Wire>), config: TurnConfig) -> Self {
        socket.set_read_timeout(Some(STEP)).unwrap();
        let (local, server) = (socket.local_addr().unwrap(), socket.peer_addr().unwrap());
        let inner = TurnClientTcp::allocate(local, server, config);
        Self::with(inner, Stream { wire, received: Vec::new() })
    }
}

impl<C: TurnClientApi> Client<C> {
    fn with(inner: C, road: impl Road + 'static) -> Self {
        let (requests, answers, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { inner, road: Box::new(road), requests, answers, data }
    }

    /// Lets it work until it says what is waited for.
    fn until<T>(&mut self, mut wanted: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Now::read().mono + PATIENCE;
        loop {
            let now = now();
            let ended = matches!(self.inner.poll(now), TurnPollRet::Closed);
            while let Some(transmit) = self.inner.poll_transmit(now) {
                self.requests.push(transmit.data.to_vec());
                self.road.send(&transmit.data);
            }
            if let Some(found) = wanted(self) {
                return found;
            }
            assert!(!ended, "the client gave up");
            assert!(Now::read().mono < deadline, "the client waits for ever");
            if let Some(bytes) = self.road.hear() {
                self.hear(bytes);
            }
        }
    }

    fn hear(&mut self, bytes: Vec<u8>) {
        self.answers.push(bytes.clone());
        let (from, to) = (self.inner.remote_addr(), self.inner.local_addr());
        let transmit = Transmit::new(bytes, self.inner.transport(), from, to);
        match self.inner.recv(transmit, now()) {
            // A second 401 it puts aside; whatever else is ignored, somebody waits for in vain.
            TurnRecvRet::Handled | TurnRecvRet::Ignored(_) => {}
            TurnRecvRet::PeerData(data) => self.data.push((data.peer, data.data().to_vec())),
            TurnRecvRet::PeerIcmp { .. } => panic!("nothing was unreachable"),
        }
        while let Some(data) = self.inner.poll_recv(now()) {
            self.data.push((data.peer, data.data().to_vec()));
        }
    }

    fn until_event(&mut self) -> TurnEvent {
        self.until(|client| client.inner.poll_event())
    }

    /// Waits for an answer of this type on the wire.
    fn until_answer(&mut self, kind: u16) {
        self.until(|client| {
            client.answers.iter().find(|bytes| bytes[..2] == kind.to_be_bytes()).map(|_| ())
        });
    }

    fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let sent = self.inner.send_to(UDP, peer, data.to_vec(), now()).unwrap();
        let transmit = sent.expect("something to send").build();
        self.road.send(&transmit.data);
    }
}

/// `supports` is what its RFC 8489 half may choose from.
fn config((username, password): Login<'_>, supports: &[IntegrityAlgorithm]) -> TurnConfig {
    let mut config = TurnConfig::new(TurnCredentials::new(username, password));
    config.set_supported_integrity(supports[0]);
    for algorithm in supports {
        config.add_supported_integrity(*algorithm);
    }
    config.set_anonymous_username(Feature::Auto);
    config
}

fn now() -> Instant {
    // Nanoseconds of the monotonic clock would need an origin; those of the wall clock have one.
    Instant::from_nanos(Now::read().unix_ms * 1_000_000)
}

/// The last STUN message in `all` of this class and method.
fn last(all: &[Vec<u8>], class: Class, method: Method) -> Message<'_> {
    let mut messages = all.iter().rev().filter_map(|bytes| Message::parse(bytes).ok());
    messages.find(|m| m.class() == class && m.method() == method).expect("such a message")
}

fn carries(bytes: &[u8], kind: AttributeType) -> bool {
    // By hand: the reader hides what stands behind an integrity.
    let mut at = 20;
    while at < bytes.len() {
        let [t0, t1, l0, l1] = bytes[at..at + 4].try_into().unwrap();
        if u16::from_be_bytes([t0, t1]) == kind.0 {
            return true;
        }
        at += 4 + usize::from(u16::from_be_bytes([l0, l1])).next_multiple_of(4);
    }
    false
}

/// Allocates, permits, binds, relays both ways and ends with what it supports; the PASSWORD-ALGORITHM
/// it chose, and whether its requests were signed by SHA-256.
fn relays<C: TurnClientApi>(mut client: Client<C>, supports: &[IntegrityAlgorithm]) -> (u16, bool) {
    let TurnEvent::AllocationCreated(UDP, relayed) = client.until_event() else {
        panic!("no allocation")
    };
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer_addr = peer.local_addr().unwrap();
    client.inner.create_permission(UDP, peer_addr.ip(), now()).unwrap();
    assert!(matches!(client.until_event(), TurnEvent::PermissionCreated(..)));
    let check_relayed = |client: &mut Client<C>, lengths: &[usize]| {
        for message in lengths.iter().map(|length| vec![*length as u8; *length]) {
            client.send(peer_addr, &message);
            assert_eq!(receive(&peer, PATIENCE), Some((relayed, message.clone())));
            peer.send_to(&message, relayed).unwrap();
            assert_eq!(client.until(|client| client.data.pop()), (peer_addr, message));
        }
    };
    check_relayed(&mut client, &[5, 6, 7, 8, 1400]);
    client.inner.bind_channel(UDP, peer_addr, now()).unwrap();
    assert!(matches!(client.until_event(), TurnEvent::ChannelCreated(..)));
    // On a stream it does not pad ChannelData, which RFC 8656 §12.5 asks for.
    check_relayed(&mut client, &[8, 1400]);
    client.inner.delete(now()).unwrap();
    client.until_answer(0x0104);

    // What it asked and heard was RFC 8489, and every answer was signed as that wants.
    for method in [Method::ALLOCATE, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let _ = last(&client.answers, Class::SuccessResponse, method);
    }
    let successes = client.answers.iter().filter(|bytes| bytes[..2] == [1, 3]);
    for success in successes {
        assert!(carries(success, AttributeType::MESSAGE_INTEGRITY_SHA256));
        // It reads no SHA-256 where it signs by SHA-1, so it is sent both.
        let knows = supports.contains(&IntegrityAlgorithm::Sha256);
        assert_eq!(carries(success, AttributeType::MESSAGE_INTEGRITY), !knows);
    }
    let request = last(&client.requests, Class::Request, Method::ALLOCATE);
    let offer = request.attribute(AttributeType::PASSWORD_ALGORITHMS);
    assert_eq!(offer, Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]));
    let [n0, n1, 0, 0] = *request.attribute(AttributeType::PASSWORD_ALGORITHM).unwrap() else {
        panic!("parameters")
    };
    let bytes = client.requests.iter().rfind(|bytes| bytes[..2] == [0, 3]).unwrap();
    (u16::from_be_bytes([n0, n1]), carries(bytes, AttributeType::MESSAGE_INTEGRITY_SHA256))
}

#[test] // RFC 8489 §9.2.5: the first algorithm on our list that it supports
fn it_relays_by_sha_256_and_where_it_knows_only_md5_by_that() {
    let daemon = Daemon::start(&format!("allow_private_peers = [\"127.0.0.1\"]\n{CONFIG}"));
    let (username, credential) = daemon.issue("bob");
    let (sha1, sha256) = (IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256);
    for login in [(USER, PASSWORD), (&*username, &*credential)] {
        let relays = |supports: &[_]| {
            relays(Client::over_udp(daemon.udp(), config(login, supports)), supports)
        };
        assert_eq!(relays(&[sha256]), (2, true));
        assert_eq!(relays(&[sha1, sha256]), (2, true));
        assert_eq!(relays(&[sha1]), (1, false));
    }
    let rows = daemon
        .wait_for_rows(|rows| rows.len() == 6 && rows.iter().all(|row| row.end_reason.is_some()));
    assert!(rows.iter().all(|row| row.end_reason.as_deref() == Some("client")), "{rows:#?}");
}

#[test]
fn it_relays_by_sha_256_over_ipv6_over_tcp_and_over_tls() {
    let daemon = tls_client::daemon();
    let supports = [IntegrityAlgorithm::Sha256];
    let config = || config((USER, PASSWORD), &supports);
    assert_eq!(relays(Client::over_udp(daemon.udp6(), config()), &supports), (2, true));
    for server in [daemon.tcp(), daemon.tcp6()] {
        let socket = stream_client::connect(server);
        let wire = Box::new(socket.try_clone().unwrap());
        let client = Client::over_stream((socket, wire), config());
        assert_eq!(relays(client, &supports), (2, true));
    }
    let home = daemon.directory();
    for (server, speaks) in [(daemon.tls(), &TLS_1_3), (daemon.tls6(), &TLS_1_2)] {
        let wire = tls_client::handshake(home.path(), server, speaks).unwrap();
        let socket = wire.sock.try_clone().unwrap();
        let client = Client::over_stream((socket, Box::new(wire)), config());
        assert_eq!(relays(client, &supports), (2, true));
    }
    let rows = daemon.wait_for_rows(|rows| {
        rows.len() == 5 && rows.iter().all(|row| row.end_reason.as_deref() == Some("client"))
    });
    // By indications, and over the channel.
    let relayed = (5 + 2, (5 + 6 + 7 + 8 + 1400) + (8 + 1400));
    for row in &rows {
        assert_eq!((row.to_peers, row.to_client), (relayed, relayed), "{rows:#?}");
    }
}

#[test] // RFC 8656 §7.1: ADDITIONAL-ADDRESS-FAMILY
fn one_allocation_of_both_families_relays_to_a_peer_of_each() {
    let daemon = tls_client::daemon();
    let mut config = config((USER, PASSWORD), &[IntegrityAlgorithm::Sha256]);
    config.add_address_family(AddressFamily::IPV6);
    let mut client = Client::over_udp(daemon.udp(), config);
    let mut allocated = || {
        let event = client.until_event();
        let TurnEvent::AllocationCreated(UDP, relayed) = event else { panic!("{event:?}") };
        relayed
    };
    let mut relayed = [allocated(), allocated()];
    relayed.sort();
    for (relayed, any) in relayed.into_iter().zip(["127.0.0.1:0", "[::1]:0"]) {
        let peer = UdpSocket::bind(any).unwrap();
        let peer_addr = peer.local_addr().unwrap();
        client.inner.create_permission(UDP, peer_addr.ip(), now()).unwrap();
        assert!(matches!(client.until_event(), TurnEvent::PermissionCreated(..)));
        client.send(peer_addr, b"out");
        assert_eq!(receive(&peer, PATIENCE), Some((relayed, b"out".to_vec())));
        peer.send_to(b"back", relayed).unwrap();
        assert_eq!(client.until(|client| client.data.pop()), (peer_addr, b"back".to_vec()));
    }
    client.inner.delete(now()).unwrap();
    client.until_answer(0x0104);
    let rows = daemon
        .wait_for_rows(|rows| !rows.is_empty() && rows.iter().all(|row| row.end_reason.is_some()));
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!((rows[0].to_peers, rows[0].to_client), ((2, 6), (2, 8)), "{rows:#?}");
}

#[test]
fn it_is_refused_with_a_wrong_password_in_either_form() {
    let daemon = Daemon::start(CONFIG);
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let mut client =
            Client::over_udp(daemon.udp(), config((USER, "wonderland-18"), &[algorithm]));
        // The challenge, and the refusal.
        client.until(|client| (client.answers.len() == 2).then_some(()));
        for answer in &client.answers {
            let refusal = Message::parse(answer).unwrap();
            let code = refusal.attribute(AttributeType::ERROR_CODE);
            assert_eq!(code, Some(&[0, 0, 4, 1][..]));
        }
        assert!(client.inner.poll_event().is_none());
        assert_eq!(client.inner.relayed_addresses().next(), None);
    }
    assert!(daemon.rows().is_empty());
}
