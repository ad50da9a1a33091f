//! A plain TURN client over one blocking socket, for tests that need to see single datagrams.

use std::io::{ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

/// A request is sent again after this time, at most [`TRIES`] times.
const RETRY: Duration = Duration::from_millis(500);
const TRIES: usize = 20;
/// How long a test waits to be sure that nothing comes.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// A client with an allocation.
#[derive(Debug)]
pub(crate) struct TurnClient {
    socket: UdpSocket,
    server: SocketAddr,
    username: String,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: LongTermKey,
    pub(crate) relayed: SocketAddr,
}

impl TurnClient {
    /// Allocates from a new socket on the server's loopback family.
    pub(crate) fn allocate(
        server: SocketAddr,
        username: &str,
        password: &str,
    ) -> Result<Self, u16> {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        Self::allocate_from(UdpSocket::bind(local).unwrap(), server, username, password)
    }

    /// Allocates in the server's family.
    ///
    /// # Errors
    /// The code of the error response.
    pub(crate) fn allocate_from(
        socket: UdpSocket,
        server: SocketAddr,
        username: &str,
        password: &str,
    ) -> Result<Self, u16> {
        let mut client = Self::challenged(socket, server, username, password);
        client.allocate_now()?;
        Ok(client)
    }

    /// Has a nonce, and nothing else yet.
    pub(crate) fn challenged(
        socket: UdpSocket,
        server: SocketAddr,
        username: &str,
        password: &str,
    ) -> Self {
        let first = request(Method::ALLOCATE, server).finish(None, false);
        let answer = exchange(&socket, server, &first);
        let challenge = Message::parse(&answer).unwrap();
        let text = |kind| challenge.attribute(kind).expect("a challenge").to_vec();
        let (realm, nonce) = (text(AttributeType::REALM), text(AttributeType::NONCE));
        let key = LongTermKey::derive(
            PasswordAlgorithm::Md5,
            username.as_bytes(),
            &realm,
            password.as_bytes(),
        );
        let username = username.to_owned();
        Self { socket, server, username, realm, nonce, key, relayed: server }
    }

    /// # Errors
    /// The code of the error response.
    pub(crate) fn allocate_now(&mut self) -> Result<(), u16> {
        let server = self.server;
        self.allocate_with(|writer| with_family(writer, server)).map(|_| ())
    }

    /// An even port with the next one reserved (RFC 8656 §7.2); its token.
    ///
    /// # Errors
    /// The code of the error response.
    pub(crate) fn allocate_and_reserve(&mut self) -> Result<Vec<u8>, u16> {
        let server = self.server;
        let answer = self.allocate_with(|writer| {
            with_family(writer, server).attribute(AttributeType::EVEN_PORT, &[0x80])
        })?;
        let success = Message::parse(&answer).unwrap();
        Ok(success.attribute(AttributeType::RESERVATION_TOKEN).unwrap().to_vec())
    }

    /// The port that was reserved under this token.
    ///
    /// # Errors
    /// The code of the error response.
    pub(crate) fn redeem(&mut self, token: &[u8]) -> Result<(), u16> {
        let redeem = |writer: MessageWriter| {
            writer
                .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
                .attribute(AttributeType::RESERVATION_TOKEN, token)
        };
        self.allocate_with(redeem).map(|_| ())
    }

    fn allocate_with(
        &mut self,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Result<Vec<u8>, u16> {
        let answer = self.ask(Method::ALLOCATE, fill)?;
        let success = Message::parse(&answer).unwrap();
        let relayed = success.attribute(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
        self.relayed = XorAddress::decode(relayed, &success.transaction_id()).unwrap();
        Ok(answer)
    }

    /// # Errors
    /// The code of the error response.
    pub(crate) fn permit(&self, peer: IpAddr) -> Result<(), u16> {
        self.ask(Method::CREATE_PERMISSION, |writer| {
            writer.xor_address(AttributeType::XOR_PEER_ADDRESS, SocketAddr::new(peer, 0))
        })
        .map(|_| ())
    }

    /// # Errors
    /// The code of the error response.
    pub(crate) fn bind_channel(&self, number: u16, peer: SocketAddr) -> Result<(), u16> {
        self.ask(Method::CHANNEL_BIND, |writer| {
            writer
                .u32(AttributeType::CHANNEL_NUMBER, u32::from(number) << 16)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        })
        .map(|_| ())
    }

    /// Ends the allocation.
    ///
    /// # Errors
    /// The code of the error response.
    pub(crate) fn release(&self) -> Result<(), u16> {
        self.ask(Method::REFRESH, |writer| writer.u32(AttributeType::LIFETIME, 0)).map(|_| ())
    }

    /// A Send indication.
    pub(crate) fn send(&self, peer: SocketAddr, data: &[u8]) {
        self.indicate(peer, data, |writer| writer);
    }

    /// A Send indication whose data must not be fragmented.
    pub(crate) fn send_whole(&self, peer: SocketAddr, data: &[u8]) {
        self.indicate(peer, data, |writer| writer.attribute(AttributeType::DONT_FRAGMENT, &[]));
    }

    fn indicate(
        &self,
        peer: SocketAddr,
        data: &[u8],
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) {
        let bytes = fill(MessageWriter::new(Class::Indication, Method::SEND, new_id()))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, data)
            .finish(None, false);
        self.socket.send_to(&bytes, self.server).unwrap();
    }

    /// The next Data indication, or `None` after [`SILENCE`].
    pub(crate) fn receive(&self) -> Option<(SocketAddr, Vec<u8>)> {
        let bytes = receive(&self.socket, SILENCE)?.1;
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
        let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
        Some((peer, message.attribute(AttributeType::DATA).unwrap().to_vec()))
    }

    /// The next Data indication of either kind: the peer, and its data unless it is about ICMP.
    pub(crate) fn receive_any(&self) -> Option<(SocketAddr, Option<Vec<u8>>)> {
        let bytes = receive(&self.socket, Duration::from_secs(5))?.1;
        let message = Message::parse(&bytes).unwrap();
        let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
        let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
        Some((peer, message.attribute(AttributeType::DATA).map(<[u8]>::to_vec)))
    }

    /// The next Data indication about ICMP: the peer, type, code and error data. `None` after
    /// [`SILENCE`].
    pub(crate) fn receive_icmp(&self) -> Option<(SocketAddr, (u8, u8, u32))> {
        let bytes = receive(&self.socket, SILENCE)?.1;
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
        let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
        let [_, _, kind, code, data @ ..] = message.attribute(AttributeType::ICMP)? else {
            panic!("a short ICMP attribute");
        };
        Some((peer, (*kind, *code, u32::from_be_bytes(data.try_into().unwrap()))))
    }

    /// The bytes of a signed request.
    pub(crate) fn request(
        &self,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Vec<u8> {
        fill(MessageWriter::new(Class::Request, method, new_id()))
            .attribute(AttributeType::USERNAME, self.username.as_bytes())
            .attribute(AttributeType::REALM, &self.realm)
            .attribute(AttributeType::NONCE, &self.nonce)
            .finish(Some(self.key.as_bytes()), true)
    }

    /// The code of the error response is the error.
    fn ask(
        &self,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Result<Vec<u8>, u16> {
        let bytes = self.request(method, fill);
        let answer = exchange(&self.socket, self.server, &bytes);
        let message = Message::parse(&answer).unwrap();
        match message.attribute(AttributeType::ERROR_CODE) {
            Some(code) => Err(ErrorCode::from_value(code).unwrap().number()),
            None => Ok(answer),
        }
    }
}

/// An unauthenticated Allocate in the server's family.
pub(crate) fn first_allocate(server: SocketAddr) -> Vec<u8> {
    request(Method::ALLOCATE, server).finish(None, false)
}

/// The next datagram and who sent it, or `None` when `patience` is over.
pub(crate) fn receive(socket: &UdpSocket, patience: Duration) -> Option<(SocketAddr, Vec<u8>)> {
    let mut buffer = vec![0; 65_536];
    socket.set_read_timeout(Some(patience)).unwrap();
    match socket.recv_from(&mut buffer) {
        Ok((count, from)) => {
            buffer.truncate(count);
            Some((from, buffer))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Sends in order; those of one length in a row as one message, with a shorter one at its end.
pub(crate) fn send_bursts(socket: &UdpSocket, to: SocketAddr, datagrams: &[Vec<u8>]) {
    let mut rest = datagrams;
    while let Some(first) = rest.first() {
        let alike = rest.iter().take_while(|next| next.len() == first.len()).count();
        let shorter = rest.get(alike).is_some_and(|next| (1..first.len()).contains(&next.len()));
        let most = if first.is_empty() || first.len() > 1_400 { 1 } else { 65_507 / first.len() };
        let len = (alike + usize::from(shorter)).min(most).min(64);
        let segment = u16::try_from(first.len()).unwrap();
        let parts: Vec<_> = rest[..len].iter().map(|part| IoSlice::new(part)).collect();
        let burst = [ControlMessage::UdpGsoSegments(&segment)];
        let control = if len > 1 { &burst[..] } else { &[] };
        let to = SockaddrStorage::from(to);
        sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), Some(&to)).unwrap();
        rest = &rest[len..];
    }
}

/// The server's mapped address for this socket, asked with a Binding request.
pub(crate) fn binding(socket: &UdpSocket, server: SocketAddr) -> SocketAddr {
    let request = MessageWriter::new(Class::Request, Method::BINDING, new_id()).finish(None, true);
    let answer = exchange(socket, server, &request);
    let message = Message::parse(&answer).unwrap();
    let mapped = message.attribute(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
    XorAddress::decode(mapped, &message.transaction_id()).unwrap()
}

/// Sends until the answer to it comes, which must come from the address that was asked.
#[track_caller]
pub(crate) fn exchange(socket: &UdpSocket, server: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let id = Message::parse(bytes).unwrap().transaction_id();
    for _ in 0..TRIES {
        socket.send_to(bytes, server).unwrap();
        while let Some((from, answer)) = receive(socket, RETRY) {
            let Ok(message) = Message::parse(&answer) else { continue };
            if message.transaction_id() == id {
                assert_eq!(from, server, "the answer comes from where the request went");
                return answer;
            }
        }
    }
    panic!("{server} does not answer");
}

fn request(method: Method, server: SocketAddr) -> MessageWriter {
    with_family(MessageWriter::new(Class::Request, method, new_id()), server)
}

fn with_family(writer: MessageWriter, server: SocketAddr) -> MessageWriter {
    let family = if server.is_ipv4() { 1 } else { 2 };
    writer
        .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
        .u32(AttributeType::REQUESTED_ADDRESS_FAMILY, family << 24)
}

fn new_id() -> TransactionId {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 12];
    id[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id[8..].copy_from_slice(&std::process::id().to_be_bytes());
    TransactionId(id)
}
