//! What can happen to a relay, as tests write it.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::turn::contract::Why;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method};

use super::request::Request;
use super::setup::credential;
use super::{CLIENT, SERVER, SERVER_V6};

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// Over TCP: the number of the connection. Else over UDP.
    pub(crate) connection: Option<u64>,
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The client sends a message.
    Message(Request),
    /// The client sends bytes.
    Bytes(Vec<u8>),
    /// A peer sends to the client's relayed transport address, through the kernel.
    FromPeer(SocketAddr, Vec<u8>),
    /// The ledger answers its oldest open question.
    SocketOpened(Result<(), Why>),
    /// The client's connection is gone.
    StreamCloses,
    /// Time goes by; ticks come when they are due.
    After(Duration),
    /// The daemon stops.
    Stop,
}

impl Event {
    fn new(what: What) -> Self {
        Self { client: CLIENT, server: SERVER, connection: None, what }
    }

    /// The same, about another client.
    pub(crate) fn at(mut self, client: SocketAddr) -> Self {
        self.client = client;
        self.server = if client.is_ipv6() { SERVER_V6 } else { SERVER };
        self
    }

    /// The same over a TCP connection.
    pub(crate) fn over_tcp(mut self, number: u64) -> Self {
        self.connection = Some(number);
        self
    }

    /// The same, to another address of the server.
    pub(crate) fn to(mut self, server: SocketAddr) -> Self {
        self.server = server;
        self
    }
}

impl From<Request> for Event {
    fn from(request: Request) -> Self {
        Self::new(What::Message(request))
    }
}

impl Request {
    /// The same, from another client.
    pub(crate) fn at(self, client: SocketAddr) -> Event {
        Event::from(self).at(client)
    }
}

/// A request signed by "alice", as the client that every test has.
fn signed(method: Method) -> Request {
    Request::new(Class::Request, method).signed_by(credential("alice"))
}

/// An Allocate for UDP.
pub(crate) fn allocate() -> Request {
    allocate_bare().raw(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
}

/// An Allocate without REQUESTED-TRANSPORT.
pub(crate) fn allocate_bare() -> Request {
    signed(Method::ALLOCATE)
}

/// A Refresh without LIFETIME.
pub(crate) fn refresh() -> Request {
    signed(Method::REFRESH)
}

/// A CreatePermission for these peers.
pub(crate) fn create_permission(peers: &[SocketAddr]) -> Request {
    peers.iter().fold(signed(Method::CREATE_PERMISSION), |request, peer| request.peer(*peer))
}

/// A ChannelBind of any number, in range or not.
pub(crate) fn channel_bind(number: u16, peer: SocketAddr) -> Request {
    let [n0, n1] = number.to_be_bytes();
    signed(Method::CHANNEL_BIND).raw(AttributeType::CHANNEL_NUMBER, &[n0, n1, 0, 0]).peer(peer)
}

/// A request of any method.
pub(crate) fn request(method: Method) -> Request {
    signed(method)
}

/// A Binding, unsigned.
pub(crate) fn binding() -> Request {
    Request::new(Class::Request, Method::BINDING)
}

/// A Send indication.
pub(crate) fn send(peer: SocketAddr, data: &[u8]) -> Request {
    Request::new(Class::Indication, Method::SEND).peer(peer).raw(AttributeType::DATA, data)
}

/// ChannelData, without padding.
pub(crate) fn channel_data(number: u16, data: &[u8]) -> Event {
    bytes(&[&number.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat())
}

/// Any bytes from the client.
pub(crate) fn bytes(bytes: &[u8]) -> Event {
    Event::new(What::Bytes(bytes.to_vec()))
}

/// Bytes from the client, written in hexadecimal; blanks are for the reader.
pub(crate) fn hex(digits: &str) -> Event {
    bytes(&unhex(digits))
}

/// A peer's datagram to the client's relayed transport address.
pub(crate) fn from_peer(peer: SocketAddr, data: &[u8]) -> Event {
    Event::new(What::FromPeer(peer, data.to_vec()))
}

/// The ledger answers the oldest question.
pub(crate) fn socket_opened(result: Result<(), Why>) -> Event {
    Event::new(What::SocketOpened(result))
}

/// The client's TCP connection is gone.
pub(crate) fn stream_closes(number: u64) -> Event {
    Event::new(What::StreamCloses).over_tcp(number)
}

/// Time goes by.
pub(crate) fn after_s(seconds: u64) -> Event {
    Event::new(What::After(Duration::from_secs(seconds)))
}

/// The daemon stops.
pub(crate) fn stop() -> Event {
    Event::new(What::Stop)
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let digits: String = digits.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
