//! A plain TURN client over a TCP or TLS connection, for tests that need to see single bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::framing::{Framing, first_frame};
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What lies between client and server.
pub(crate) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// A client with its connection.
pub(crate) struct StreamClient {
    wire: Box<dyn Wire>,
    /// The connection below, whatever is spoken over it.
    pub(crate) socket: TcpStream,
    received: Vec<u8>,
    server: SocketAddr,
    login: Option<Login>,
}

struct Login {
    username: String,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: LongTermKey,
}

impl StreamClient {
    /// Connects over TCP.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let socket = connect(server);
        Self::over(Box::new(socket.try_clone().unwrap()), socket, server)
    }

    /// Speaks over `wire`, which lies on `socket`.
    pub(crate) fn over(wire: Box<dyn Wire>, socket: TcpStream, server: SocketAddr) -> Self {
        Self { wire, socket, received: Vec::new(), server, login: None }
    }

    /// Its own transport address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends bytes, whole.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).unwrap();
        self.wire.flush().unwrap();
    }

    /// The next message, its padding checked and cut off; `None` if the server closed first.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match first_frame(&self.received, ChannelRange::Rfc8656) {
                Framing::Frame { len, taken } => {
                    let message = self.received[..len].to_vec();
                    assert!(self.received[len..taken].iter().all(|byte| *byte == 0), "padding");
                    self.received.drain(..taken);
                    return Some(message);
                }
                Framing::Malformed => panic!("the server sent what is no message"),
                Framing::Partial => {}
            }
            let mut buffer = [0; 16 * 1024];
            match self.wire.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if is_the_end(error.kind()) => return None,
                Err(error) => panic!("the server sends nothing: {error}"),
            }
        }
    }

    /// Waits until the server closes, and checks that it said nothing before.
    #[track_caller]
    pub(crate) fn check_closed_in_silence(&mut self) {
        assert_eq!(self.next(), None);
    }

    /// A Binding over it; the mapped address.
    #[track_caller]
    pub(crate) fn binding(&mut self) -> SocketAddr {
        let id = new_id();
        self.send(&binding(id));
        let answer = self.answer(id);
        let message = Message::parse(&answer).unwrap();
        let mapped = message.attribute(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
        XorAddress::decode(mapped, &id).unwrap()
    }

    /// Allocates in the server's family; the relayed transport address.
    ///
    /// # Errors
    /// The code of the error response.
    pub(crate) fn allocate(&mut self, username: &str, password: &str) -> Result<SocketAddr, u16> {
        let id = new_id();
        let first = MessageWriter::new(Class::Request, Method::ALLOCATE, id)
            .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24);
        self.send(&first.finish(None, false));
        let answer = self.answer(id);
        let challenge = Message::parse(&answer).unwrap();
        let text = |kind| challenge.attribute(kind).expect("a challenge").to_vec();
        let (realm, nonce) = (text(AttributeType::REALM), text(AttributeType::NONCE));
        let key = LongTermKey::derive(
            PasswordAlgorithm::Md5,
            username.as_bytes(),
            &realm,
            password.as_bytes(),
        );
        self.login = Some(Login { username: username.to_owned(), realm, nonce, key });
        let family = if self.server.is_ipv4() { 1 } else { 2 };
        let answer = self.ask(Method::ALLOCATE, |writer| {
            writer
                .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
                .u32(AttributeType::REQUESTED_ADDRESS_FAMILY, family << 24)
        })?;
        let success = Message::parse(&answer).unwrap();
        let relayed = success.attribute(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
        Ok(XorAddress::decode(relayed, &success.transaction_id()).unwrap())
    }

    /// # Errors
    /// The code of the error response.
    pub(crate) fn permit(&mut self, peer: IpAddr) -> Result<(), u16> {
        self.ask(Method::CREATE_PERMISSION, |writer| {
            writer.xor_address(AttributeType::XOR_PEER_ADDRESS, SocketAddr::new(peer, 0))
        })
        .map(|_| ())
    }

    /// # Errors
    /// The code of the error response.
    pub(crate) fn bind_channel(&mut self, number: u16, peer: SocketAddr) -> Result<(), u16> {
        self.ask(Method::CHANNEL_BIND, |writer| {
            writer
                .u32(AttributeType::CHANNEL_NUMBER, u32::from(number) << 16)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        })
        .map(|_| ())
    }

    /// The bytes of a signed request, and its id.
    pub(crate) fn request(
        &self,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> (TransactionId, Vec<u8>) {
        let login = self.login.as_ref().expect("it has allocated");
        let id = new_id();
        let bytes = fill(MessageWriter::new(Class::Request, method, id))
            .attribute(AttributeType::USERNAME, login.username.as_bytes())
            .attribute(AttributeType::REALM, &login.realm)
            .attribute(AttributeType::NONCE, &login.nonce)
            .finish(Some(login.key.as_bytes()), true);
        (id, bytes)
    }

    /// The answer to request `id`; data that comes before is not looked at.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: TransactionId) -> Vec<u8> {
        loop {
            let message = self.next().expect("the server answers before it closes");
            if message[0] & 0xC0 == 0 && message[8..20] == id.0 {
                return message;
            }
        }
    }

    /// The code of the error response is the error.
    #[track_caller]
    fn ask(
        &mut self,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Result<Vec<u8>, u16> {
        let (id, bytes) = self.request(method, fill);
        self.send(&bytes);
        let answer = self.answer(id);
        let message = Message::parse(&answer).unwrap();
        match message.attribute(AttributeType::ERROR_CODE) {
            Some(code) => Err(ErrorCode::from_value(code).unwrap().number()),
            None => Ok(answer),
        }
    }
}

/// Connects, with patience for what is read and written.
pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&server, PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// ChannelData with its padding, which may hold anything.
pub(crate) fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    let mut bytes = [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0xEE);
    bytes
}

/// A Binding request.
pub(crate) fn binding(id: TransactionId) -> Vec<u8> {
    MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, false)
}

/// A Send indication.
pub(crate) fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    MessageWriter::new(Class::Indication, Method::SEND, new_id())
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, data)
        .finish(None, false)
}

/// An id that no other message of this process has.
pub(crate) fn new_id() -> TransactionId {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0x5A; 12];
    id[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    TransactionId(id)
}

/// Whether an error says that the other side has closed.
fn is_the_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe
    )
}
