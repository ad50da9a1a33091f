//! A TURN client for one's own relay, over UDP, TCP and TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{timeout, timeout_at};

use super::Fault;
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
pub(super) struct Client {
    link: Link,
    local: SocketAddr,
    /// What was read of the next message over a stream.
    received: Vec<u8>,
    login: Option<Login>,
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
    pub(super) async fn connect(
        transport: Transport,
        server: SocketAddr,
        is_proxied: bool,
    ) -> Step<Self> {
        let opening = open(transport, server, is_proxied);
        let (link, local) = match timeout(TRIAL_PATIENCE, opening).await {
            Ok(opened) => opened.map_err(|error| Fault(format!("connecting fails: {error}")))?,
            Err(_) => return Err(Fault("connecting takes too long".to_owned())),
        };
        Ok(Self { link, local, received: Vec::new(), login: None })
    }

    /// A Binding; fails if the relay sees another address than ours.
    pub(super) async fn binding(&mut self) -> Step<()> {
        let id = new_id()?;
        let request = MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, true);
        let answer = self.exchange("Binding", id, &request).await?;
        let mapped = address(&answer, AttributeType::XOR_MAPPED_ADDRESS);
        if mapped != Some(self.local) {
            return Err(Fault(format!(
                "Binding says that {} comes from {}",
                self.local,
                mapped.map_or_else(|| "nowhere".to_owned(), |at| at.to_string())
            )));
        }
        Ok(())
    }

    /// Allocates in this family; the relayed transport address.
    pub(super) async fn allocate(&mut self, family: Family, issued: &Issued) -> Step<SocketAddr> {
        let id = new_id()?;
        let first = wishing(MessageWriter::new(Class::Request, Method::ALLOCATE, id), family);
        let challenge = self.exchange("Allocate", id, &first.finish(None, true)).await?;
        let text = |kind| {
            let message = Message::parse(&challenge).ok()?;
            message.attribute(kind).map(<[u8]>::to_vec)
        };
        let (Some(realm), Some(nonce)) = (text(AttributeType::REALM), text(AttributeType::NONCE))
        else {
            let code = error_of(&challenge).map_or(0, ErrorCode::number);
            return Err(Fault(format!("Allocate is answered with {code} and no challenge")));
        };
        let (username, password) = (&issued.username, issued.credential.expose());
        let algorithm = PasswordAlgorithm::Md5;
        let key = LongTermKey::derive(algorithm, username.as_bytes(), &realm, password.as_bytes());
        self.login = Some(Login { username: username.clone(), realm, nonce, key });
        let answer =
            self.ask("Allocate", Method::ALLOCATE, |writer| wishing(writer, family)).await?;
        let relayed = address(&answer, AttributeType::XOR_RELAYED_ADDRESS);
        relayed.ok_or_else(|| Fault("Allocate succeeds without a relayed address".to_owned()))
    }

    pub(super) async fn permit(&mut self, peer: SocketAddr) -> Step<()> {
        self.ask("CreatePermission", Method::CREATE_PERMISSION, |writer| {
            writer.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        })
        .await
        .map(|_| ())
    }

    pub(super) async fn release(&mut self) -> Step<()> {
        let zero = |writer: MessageWriter| writer.u32(AttributeType::LIFETIME, 0);
        self.ask("Refresh", Method::REFRESH, zero).await.map(|_| ())
    }

    pub(super) async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Step<()> {
        let indication = MessageWriter::new(Class::Indication, Method::SEND, new_id()?)
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::DATA, data);
        self.write(&indication.finish(None, false)).await.map_err(broken)
    }

    /// Waits for these data from that peer.
    pub(super) async fn expect(&mut self, peer: SocketAddr, data: &[u8]) -> Step<()> {
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
) -> io::Result<(Link, SocketAddr)> {
    if transport == Transport::Udp {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        let local = socket.local_addr()?;
        return Ok((Link::Udp(socket), local));
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    if is_proxied {
        // Version 2, LOCAL, no addresses.
        stream.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await?;
    }
    if transport == Transport::Tcp {
        return Ok((Link::Stream(Box::new(stream)), local));
    }
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls()?));
    let stream = connector.connect(ServerName::from(server.ip()), stream).await?;
    Ok((Link::Stream(Box::new(stream)), local))
}

fn tls() -> io::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Anybody(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Takes any certificate: whom it covers is told apart ([`crate::edge::ice_urls`]), and who answers
/// at our own port is known. That the key belongs to it is checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn wishing(writer: MessageWriter, family: Family) -> MessageWriter {
    writer
        .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
        .u32(AttributeType::REQUESTED_ADDRESS_FAMILY, u32::from(family.to_byte()) << 24)
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
