//! The client of the `turn-client-proto` crate, which speaks RFC 8489: SHA-256 and MD5 as offered.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::stun::message::IntegrityAlgorithm;
use turn_client_proto::types::{TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;
use turnbell::time::Now;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method};

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER};
use crate::turn_client::receive;

const UDP: TransportType = TransportType::Udp;
/// Shortest wait between two looks at the client's timers.
const STEP: Duration = Duration::from_millis(20);

/// The client, a socket for it, and what it sent and heard so far.
struct Client {
    inner: TurnClientUdp,
    socket: UdpSocket,
    server: SocketAddr,
    requests: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    data: Vec<(SocketAddr, Vec<u8>)>,
}

impl Client {
    /// Asks for an allocation; `supports` is what its RFC 8489 half may choose from.
    fn new(
        server: SocketAddr,
        (username, password): (&str, &str),
        supports: &[IntegrityAlgorithm],
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = TurnConfig::new(TurnCredentials::new(username, password));
        config.set_supported_integrity(supports[0]);
        for algorithm in supports {
            config.add_supported_integrity(*algorithm);
        }
        config.set_anonymous_username(Feature::Auto);
        let inner = TurnClientUdp::allocate(socket.local_addr().unwrap(), server, config);
        let (requests, answers, data) = (Vec::new(), Vec::new(), Vec::new());
        Self { inner, socket, server, requests, answers, data }
    }

    /// Lets it work until it says what is waited for.
    fn until<T>(&mut self, mut wanted: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Now::read().mono + PATIENCE;
        loop {
            let now = now();
            let ended = matches!(self.inner.poll(now), TurnPollRet::Closed);
            while let Some(transmit) = self.inner.poll_transmit(now) {
                self.requests.push(transmit.data.to_vec());
                self.socket.send_to(&transmit.data, transmit.to).unwrap();
            }
            if let Some(found) = wanted(self) {
                return found;
            }
            assert!(!ended, "the client gave up");
            assert!(Now::read().mono < deadline, "the client waits for ever");
            if let Some((from, bytes)) = receive(&self.socket, STEP) {
                self.hear(from, bytes);
            }
        }
    }

    fn hear(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.answers.push(bytes.clone());
        let transmit = Transmit::new(bytes, UDP, from, self.socket.local_addr().unwrap());
        match self.inner.recv(transmit, now()) {
            // A second 401 it puts aside; whatever else is ignored, somebody waits for in vain.
            TurnRecvRet::Handled | TurnRecvRet::Ignored(_) => {}
            TurnRecvRet::PeerData(data) => self.data.push((data.peer, data.data().to_vec())),
            TurnRecvRet::PeerIcmp { .. } => panic!("nothing was unreachable"),
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
        self.socket.send_to(&transmit.data, self.server).unwrap();
    }
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

/// Allocates, permits, binds, relays both ways and ends with `supports`; the PASSWORD-ALGORITHM it
/// chose, and whether its requests were signed by SHA-256.
fn relays(daemon: &Daemon, login: (&str, &str), supports: &[IntegrityAlgorithm]) -> (u16, bool) {
    let mut client = Client::new(daemon.udp(), login, supports);
    let TurnEvent::AllocationCreated(UDP, relayed) = client.until_event() else {
        panic!("no allocation")
    };
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer_addr = peer.local_addr().unwrap();
    client.inner.create_permission(UDP, peer_addr.ip(), now()).unwrap();
    assert!(matches!(client.until_event(), TurnEvent::PermissionCreated(..)));
    client.send(peer_addr, b"as an indication");
    assert_eq!(receive(&peer, PATIENCE), Some((relayed, b"as an indication".to_vec())));
    client.inner.bind_channel(UDP, peer_addr, now()).unwrap();
    assert!(matches!(client.until_event(), TurnEvent::ChannelCreated(..)));
    client.send(peer_addr, b"over a channel");
    assert_eq!(receive(&peer, PATIENCE), Some((relayed, b"over a channel".to_vec())));
    peer.send_to(b"back", relayed).unwrap();
    let back = client.until(|client| client.data.pop());
    assert_eq!(back, (peer_addr, b"back".to_vec()));
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
        assert_eq!(relays(&daemon, login, &[sha256]), (2, true));
        assert_eq!(relays(&daemon, login, &[sha1, sha256]), (2, true));
        assert_eq!(relays(&daemon, login, &[sha1]), (1, false));
    }
    let rows = daemon
        .wait_for_rows(|rows| rows.len() == 6 && rows.iter().all(|row| row.end_reason.is_some()));
    assert!(rows.iter().all(|row| row.end_reason.as_deref() == Some("client")), "{rows:#?}");
}

#[test]
fn it_is_refused_with_a_wrong_password_in_either_form() {
    let daemon = Daemon::start(CONFIG);
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let mut client = Client::new(daemon.udp(), (USER, "wonderland-18"), &[algorithm]);
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
