//! A plain HTTP client for one server: what `turnbell verify https://...` asks with. No redirects, no
//! cookies, everything bounded; over TLS the certificate must be good, for a key may be sent.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderValue, LOCATION, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::prober::roots::Roots;
use crate::limits::probe::{WEB_BODY_BYTES_MAX, WEB_PATIENCE, WEB_PING_PATIENCE};
use crate::probe::verdict::Upgrade;
use crate::time::utc::http_date;

/// A server and what it is asked with.
#[derive(Debug, Clone)]
pub struct Web {
    is_tls: bool,
    host: String,
    port: u16,
    /// As it stands in Host.
    authority: String,
    /// Without a slash at the end.
    path: String,
    bearer: Option<String>,
    roots: Roots,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 200 and others.
    pub status: u16,
    /// When it was given by the server's clock, Unix seconds.
    pub date_unix_s: Option<i64>,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Where it came from.
    pub from: IpAddr,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Web {
    /// Reads `https://host[:port][/path]`; `http://` is for networks of one's own.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(url: &str, bearer: Option<String>, roots: Roots) -> Result<Self, String> {
        let wrong = || format!("{url} is no address such as https://calls.example.org");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(wrong()),
        };
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
        if bearer.as_ref().is_some_and(|text| HeaderValue::from_str(text).is_err()) {
            return Err("the key or token holds characters that none has".to_owned());
        }
        Ok(Self {
            is_tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
            bearer,
            roots,
        })
    }

    /// The host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks for a path; with a body it is a POST of JSON.
    ///
    /// # Errors
    /// A sentence: no connection, no good certificate, no answer.
    pub async fn ask(&self, path: &str, body: Option<Vec<u8>>) -> Result<Answer, String> {
        let asking = async {
            let (stream, from) = self.connect().await?;
            let mut request = self.request(path)?;
            if let Some(body) = body {
                *request.method_mut() = Method::POST;
                let json = HeaderValue::from_static("application/json");
                request.headers_mut().insert(CONTENT_TYPE, json);
                *request.body_mut() = Full::new(Bytes::from(body));
            }
            let response = send(stream, request).await?;
            let status = response.status();
            let header = |name| response.headers().get(name)?.to_str().ok();
            if let Some(to) = header(LOCATION).filter(|_| status.is_redirection()) {
                return Err(format!("{} sends to {to}; use that address", self.authority));
            }
            let date_unix_s = header(DATE).and_then(http_date);
            let body = Limited::new(response.into_body(), WEB_BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("its answer does not arrive: {error}"))?;
            let (status, body) = (status.as_u16(), body.to_bytes().to_vec());
            Ok(Answer { status, date_unix_s, body, from })
        };
        within(WEB_PATIENCE, asking).await
    }

    /// Tries a WebSocket, and whether frames pass.
    pub async fn upgrade(&self, path: &str) -> Upgrade {
        match within(WEB_PATIENCE, self.try_upgrade(path)).await {
            Ok(upgrade) => upgrade,
            Err(why) => Upgrade::Failed(why),
        }
    }

    async fn try_upgrade(&self, path: &str) -> Result<Upgrade, String> {
        let (stream, _) = self.connect().await?;
        let mut request = self.request(path)?;
        for (name, value) in [
            (CONNECTION, "upgrade"),
            (UPGRADE, "websocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_PROTOCOL, "turnbell.v1"),
            // Any sixteen bytes; the answer to them is not needed.
            (SEC_WEBSOCKET_KEY, "dHVybmJlbGwgdmVyaWZ5IQ=="),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let response = send(stream, request).await?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            StatusCode::UPGRADE_REQUIRED | StatusCode::OK | StatusCode::BAD_REQUEST => {
                return Ok(Upgrade::Stripped(response.status().as_u16()));
            }
            StatusCode::NOT_FOUND => return Ok(Upgrade::Missing),
            status => return Ok(Upgrade::Failed(format!("the upgrade is answered with {status}"))),
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|error| error.to_string())?;
        let mut socket = TokioIo::new(upgraded);
        // A ping without content, masked with zeros (RFC 6455 §5.5.2).
        socket.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.map_err(|error| error.to_string())?;
        // A server that hears nothing closes in the end, which is no answer.
        let pong = timeout(WEB_PING_PATIENCE, pong(&mut socket)).await;
        Ok(if matches!(pong, Ok(Ok(true))) { Upgrade::Works } else { Upgrade::Held })
    }

    fn request(&self, path: &str) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .uri(format!("{}{path}", self.path))
            .header(HOST, &self.authority)
            .header(USER_AGENT, concat!("turnbell/", env!("CARGO_PKG_VERSION")));
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        request.body(Full::default()).map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<(Box<dyn Stream>, IpAddr), String> {
        let authority = &self.authority;
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| format!("{authority} cannot be reached: {error}{}", cure(&error)))?;
        let from = stream.peer_addr().map_err(|error| error.to_string())?.ip().to_canonical();
        if !self.is_tls {
            return Ok((Box::new(stream), from));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots.store())
            .with_no_client_auth();
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.map_err(|error| {
            format!("the TLS connection to {authority} does not come about: {}", tls_fault(&error))
        })?;
        Ok((Box::new(stream), from))
    }
}

/// Whether a pong comes before the end; other frames are read over.
async fn pong(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
    const PONG: u8 = 0x8A;
    const CLOSE: u8 = 0x88;
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).await?;
        // What is longer than 125 bytes no server says to who has said nothing.
        if head[0] == PONG || head[0] == CLOSE || head[1] > 125 {
            return Ok(head[0] == PONG);
        }
        let mut payload = [0; 125];
        socket.read_exact(&mut payload[..usize::from(head[1])]).await?;
    }
}

/// What to do about a connection that does not come about, after a semicolon.
fn cure(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    if kind == Kind::ConnectionRefused {
        "; nothing listens at that port: look whether the web server or turnbell's `http.listen` does, \
         and whether a firewall rejects it"
    } else if matches!(kind, Kind::TimedOut | Kind::HostUnreachable | Kind::NetworkUnreachable) {
        "; look whether the address is right, and at the firewalls on the way"
    } else {
        ""
    }
}

/// The library's words are for those who write TLS.
fn tls_fault(error: &io::Error) -> String {
    use rustls::{CertificateError as Bad, Error};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(Bad::UnknownIssuer)) => {
            "its certificate is signed by nobody that this machine trusts; serve the whole chain \
             (fullchain.pem in place of cert.pem), or name the root of a private authority in \
             SSL_CERT_FILE"
                .to_owned()
        }
        Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "its certificate has expired; renew it, and have the web server read it again"
                .to_owned()
        }
        Some(Error::InvalidMessage(_)) => {
            "what answers there speaks no TLS; is that the port of http://?".to_owned()
        }
        Some(error) => error.to_string(),
        None => format!("{error}; is that the port of https://?"),
    }
}

async fn send(
    stream: Box<dyn Stream>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, String> {
    let broken = |error: hyper::Error| format!("it does not speak HTTP as expected: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends with the answer, or with the socket it becomes.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(broken)
}

async fn within<T>(
    patience: Duration,
    doing: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let late = |_| {
        let seconds = patience.as_secs();
        Err(format!(
            "there is no answer within {seconds} s; look whether the address is right, and at the \
             firewalls on the way"
        ))
    };
    timeout(patience, doing).await.unwrap_or_else(late)
}
