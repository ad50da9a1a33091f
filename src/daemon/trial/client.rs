//! A TURN client over UDP, TCP and TLS: for one's own relay, and for two that are compared.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{timeout, timeout_at};

use super::{Fault, tls};
use crate::auth::credential::Issued;
use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::limits::outside::{STUN_RTO, TRIAL_PATIENCE};
use crate::time::Now;
use crate::turn::fact::Transport;
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;
use crate::wire::channel_data::ChannelRange;
use crate::wire::error_code::ErrorCode;
use crate::wire::framing::{Framing, first_frame};
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// A client with an open way to the relay.
pub(crate) struct Client {
    link: Link,
    local: SocketAddr,
    /// What was read of the next message over a stream.
    received: Vec<u8>,
    /// The protocol that a TLS server chose.
    protocol: Option<Vec<u8>>,
    login: Option<Login>,
}

/// What an Allocate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Protocol number: 17 is UDP.
    pub(crate) transport: u8,
    /// The server's choice without one.
    pub(crate) family: Option<Family>,
}

enum Link {
    Udp(UdpSocket),
    Stream(Box<dyn Stream>),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

struct Login {
    username: String,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: LongTermKey,
}

/// What is asked for, with words for the case that it fails.
type Step<T> = Result<T, Fault>;

impl Client {
    /// Opens the way. `is_proxied`: a PROXY header is expected, and sent as a balancer that speaks
    /// for itself does.
    pub(crate) async fn connect(
        transport: Transport,
        server: SocketAddr,
        is_proxied: bool,
    ) -> Step<Self> {
        Self::connect_offering(transport, server, is_proxied, &[]).await
    }

    /// The same; a TLS server is offered these protocols (ALPN).
    pub(crate) async fn connect_offering(
        transport: Transport,
        server: SocketAddr,
        is_proxied: bool,
        protocols: &[&str],
    ) -> Step<Self> {
        let opening = open(transport, server, is_proxied, protocols);
        let (link, local, protocol) = match timeout(TRIAL_PATIENCE, opening).await {
            Ok(opened) => opened.map_err(|error| Fault(format!("connecting fails: {error}")))?,
            Err(_) => return Err(Fault("connecting takes too long".to_owned())),
        };
        Ok(Self { link, local, received: Vec::new(), protocol, login: None })
    }

    /// The protocol that a TLS server chose of those it was offered.
    pub(crate) fn protocol(&self) -> Option<String> {
        self.protocol.as_ref().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// A Binding; fails if the relay sees another address than ours.
    pub(crate) async fn binding(&mut self) -> Step<()> {
        let mapped = self.mapped().await?;
        if mapped != Some(self.local) {
            return Err(Fault(format!(
                "Binding says that {} comes from {}",
                self.local,
                mapped.map_or_else(|| "nowhere".to_owned(), |at| at.to_string())
            )));
        }
        Ok(())
    }

    /// Where the server sees this client.
    pub(crate) async fn mapped(&mut self) -> Step<Option<SocketAddr>> {
        let id = new_id()?;
        let request = MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, true);
        let answer = self.exchange("Binding", id, &request).await?;
        if let Some(code) = error_of(&answer) {
            return Err(Fault(format!("Binding is answered with {}", code.number())));
        }
        Ok(address(&answer, AttributeType::XOR_MAPPED_ADDRESS))
    }

    /// Allocates in this family; the relayed transport address.
    pub(crate) async fn allocate(&mut self, family: Family, issued: &Issued) -> Step<SocketAddr> {
        let wish = Wish { transport: 17, family: Some(family) };
        self.challenge(wish, &issued.username, issued.credential.expose()).await?;
        self.allocate_challenged(wish).await
    }

    /// Asks without a login, and makes one of the challenge; the realm of it.
    pub(crate) async fn challenge(
        &mut self,
        wish: Wish,
        username: &str,
        password: &str,
    ) -> Step<Vec<u8>> {
        let id = new_id()?;
        let first = wishing(MessageWriter::new(Class::Request, Method::ALLOCATE, id), wish);
        let challenge = self.exchange("Allocate", id, &first.finish(None, true)).await?;
        let text = |kind| {
            let message = Message::parse(&challenge).ok()?;
            message.attribute(kind).map(<[u8]>::to_vec)
        };
        let (Some(realm), Some(nonce)) = (text(AttributeType::REALM), text(AttributeType::NONCE))
        else {
            let code = error_of(&challenge).map_or(0, ErrorCode::number);
            let said = if code == 0 {
                "is granted".to_owned()
            } else {
                format!("is answered with {code}")
            };
            return Err(Fault(format!("Allocate without a login {said}")));
        };
        let algorithm = PasswordAlgorithm::Md5;
        let key = LongTermKey::derive(algorithm, username.as_bytes(), &realm, password.as_bytes());
        self.login =
            Some(Login { username: username.to_owned(), realm: realm.clone(), nonce, key });
        Ok(realm)
    }

    /// Allocates with the login; the relayed transport address.
    pub(crate) async fn allocate_challenged(&mut self, wish: Wish) -> Step<SocketAddr> {
        let answer = self.ask("Allocate", Method::ALLOCATE, |writer| wishing(writer, wish)).await?;
        let relayed = address(&answer, AttributeType::XOR_RELAYED_ADDRESS);
        relayed.ok_or_else(|| Fault("Allocate succeeds without a relayed address".to_owned()))
    }

    pub(crate) async fn permit(&mut self, peer: SocketAddr) -> Step<()> {
        self.ask("CreatePermission", Method::CREATE_PERMISSION, |writer| {
            writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        })
        .await
        .map(|_| ())
    }

    pub(crate) async fn bind_channel(&mut self, number: u16, peer: SocketAddr) -> Step<()> {
        self.ask("ChannelBind", Method::CHANNEL_BIND, |writer| {
            writer
                .u32(AttributeType::CHANNEL_NUMBER, u32::from(number) << 16)
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        })
        .await
        .map(|_| ())
    }

    pub(crate) async fn release(&mut self) -> Step<()> {
        let zero = |writer: MessageWriter| writer.u32(AttributeType::LIFETIME, 0);
        self.ask("Refresh", Method::REFRESH, zero).await.map(|_| ())
    }

    pub(crate) async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Step<()> {
        let indication = MessageWriter::new(Class::Indication, Method::SEND, new_id()?)
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, data);
        self.write(&indication.finish(None, false)).await.map_err(broken)
    }

    /// Waits for these data from that peer.
    pub(crate) async fn expect(&mut self, peer: SocketAddr, data: &[u8]) -> Step<()> {
        let until = (Now::read().mono + TRIAL_PATIENCE).into();
        loop {
            let bytes = match timeout_at(until, self.read()).await {
                Ok(read) => read.map_err(broken)?,
                Err(_) => return Err(Fault(format!("a datagram from {peer} does not arrive"))),
            };
            let Ok(message) = Message::parse(&bytes) else { continue };
            if message.method() == Method::DATA
                && address(&bytes, AttributeType::XOR_PEER_ADDRESS) == Some(peer)
                && message.attribute(AttributeType::DATA) == Some(data)
            {
                return Ok(());
            }
        }
    }

    /// A signed request; an error response is a fault.
    async fn ask(
        &mut self,
        what: &str,
        method: Method,
        fill: impl FnOnce(MessageWriter) -> MessageWriter,
    ) -> Step<Vec<u8>> {
        let id = new_id()?;
        let Some(Login { username, realm, nonce, key }) = &self.login else {
            return Err(Fault(format!("{what} without a login")));
        };
        let request = fill(MessageWriter::new(Class::Request, method, id))
            .attribute(AttributeType::USERNAME, username.as_bytes())
            .attribute(AttributeType::REALM, realm)
            .attribute(AttributeType::NONCE, nonce)
            .finish(Some(key.as_bytes()), true);
        let answer = self.exchange(what, id, &request).await?;
        match error_of(&answer) {
            Some(code) => Err(Fault(format!("{what} is answered with {}", code.number()))),
            None => Ok(answer),
        }
    }

    /// The answer to `id`. Over UDP the request is sent again until it comes.
    async fn exchange(&mut self, what: &str, id: TransactionId, request: &[u8]) -> Step<Vec<u8>> {
        let until = Now::read().mono + TRIAL_PATIENCE;
        let mut is_sent = false;
        loop {
            if !is_sent || matches!(self.link, Link::Udp(_)) {
                self.write(request).await.map_err(broken)?;
                is_sent = true;
            }
            let again = match self.link {
                Link::Udp(_) => until.min(Now::read().mono + STUN_RTO),
                Link::Stream(_) => until,
            };
            while let Ok(read) = timeout_at(again.into(), self.read()).await {
                let bytes = read.map_err(broken)?;
                let is_it = |message: Message<'_>| message.transaction_id() == id;
                if Message::parse(&bytes).is_ok_and(is_it) {
                    return Ok(bytes);
                }
            }
            if Now::read().mono >= until {
                return Err(Fault(format!("{what} is not answered")));
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.link {
            Link::Udp(socket) => socket.send(bytes).await.map(|_| ()),
            Link::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 2048];
        loop {
            if let Framing::Frame { len, taken } =
                first_frame(&self.received, ChannelRange::Rfc8656)
            {
                let message = self.received[..len].to_vec();
                self.received.drain(..taken);
                return Ok(message);
            }
            match &mut self.link {
                Link::Udp(socket) => {
                    let count = socket.recv(&mut buffer).await?;
                    return Ok(buffer[..count].to_vec());
                }
                Link::Stream(stream) => match stream.read(&mut buffer).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => self.received.extend_from_slice(&buffer[..count]),
                },
            }
        }
    }
}

async fn open(
    transport: Transport,
    server: SocketAddr,
    is_proxied: bool,
    protocols: &[&str],
) -> io::Result<(Link, SocketAddr, Option<Vec<u8>>)> {
    if transport == Transport::Udp {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        let local = socket.local_addr()?;
        return Ok((Link::Udp(socket), local, None));
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    if is_proxied {
        // Version 2, LOCAL, no addresses.
        stream.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await?;
    }
    if transport == Transport::Tcp {
        return Ok((Link::Stream(Box::new(stream)), local, None));
    }
    let mut config = tls::any_certificate()?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::from(server.ip()), stream).await?;
    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    Ok((Link::Stream(Box::new(stream)), local, protocol))
}

fn wishing(writer: MessageWriter, wish: Wish) -> MessageWriter {
    let writer = writer.u32(AttributeType::REQUESTED_TRANSPORT, u32::from(wish.transport) << 24);
    match wish.family {
        Some(family) => {
            writer.u32(AttributeType::REQUESTED_ADDRESS_FAMILY, u32::from(family.to_byte()) << 24)
        }
        None => writer,
    }
}

fn address(bytes: &[u8], kind: AttributeType) -> Option<SocketAddr> {
    let message = Message::parse(bytes).ok()?;
    XorAddress::decode(message.attribute(kind)?, &message.transaction_id())
}

fn error_of(bytes: &[u8]) -> Option<ErrorCode> {
    ErrorCode::from_value(Message::parse(bytes).ok()?.attribute(AttributeType::ERROR_CODE)?)
}

fn new_id() -> Step<TransactionId> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(|_| Fault("the kernel gives no random bytes".to_owned()))?;
    Ok(TransactionId(id))
}

fn broken(error: io::Error) -> Fault {
    Fault(format!("the connection breaks: {error}"))
}
