//! `Fetch`: a small file of somebody else's, by HTTPS: bounded in bytes, in time and in where it
//! leads. An operator wrote the address, so that it may be a private one (security.md 1 H).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, ETAG, HOST, HeaderValue, IF_NONE_MATCH, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::resolve::{Lookup, resolve};
use crate::limits::keys::{
    ETAG_BYTES_MAX, FETCH_BYTES_MAX, FETCH_HEAD_BYTES_MAX, FETCH_REDIRECTS_MAX, FETCH_TIMEOUT,
};

/// What is to be fetched.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// `https://host[:port]/path`, or `http` to this machine.
    pub url: String,
    /// Certificates (PEM) of who vouches for the server, in place of the system's.
    pub authority: Option<String>,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file; `None`: it is still the one with the tag that was sent.
    pub body: Option<Vec<u8>>,
    /// By which its server knows it again.
    pub etag: Option<String>,
    /// How long it is good, if its server says.
    pub keep_for: Option<Duration>,
}

/// Why nothing came, as a sentence that goes on from the address.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no URL that can be fetched; the config refuses those.
    #[error("is no address that can be fetched")]
    Url,
    /// The resolver.
    #[error("its name is not found: {0}")]
    Name(std::io::Error),
    /// Nobody answers there.
    #[error("cannot be reached at {0}: {1}")]
    Connect(SocketAddr, std::io::Error),
    /// Its certificate, or something else about TLS.
    #[error("{0}{hint}", hint = hint_for(.0))]
    Tls(std::io::Error),
    /// No certificates to judge it by.
    #[error("cannot be judged: {0}")]
    Roots(String),
    /// It is no HTTP, or broke off.
    #[error("does not answer as a web server does: {0}")]
    Http(hyper::Error),
    /// Another status than 200.
    #[error("answers {0}")]
    Status(StatusCode),
    /// To another server, or once too often.
    #[error("leads on to {0:?}, which is not followed; write where it ends")]
    Redirect(String),
    /// Too large.
    #[error("is larger than {FETCH_BYTES_MAX} bytes")]
    TooLarge,
    /// Too slow.
    #[error("has not answered completely within {} s", FETCH_TIMEOUT.as_secs())]
    Timeout,
}

fn hint_for(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            ": nobody whom this machine knows vouches for it; jwks_ca_file names a private authority"
        }
        _ => "",
    }
}

impl Fetch {
    /// Fetches it, unless it is still the one with this tag.
    ///
    /// # Errors
    /// Why not, within [`FETCH_TIMEOUT`].
    pub async fn get(&self, lookup: &Lookup, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let all = self.follow(lookup, etag);
        timeout(FETCH_TIMEOUT, all).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn follow(&self, lookup: &Lookup, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let server = Server::of(&self.url).ok_or(FetchError::Url)?;
        let mut path = server.path.clone();
        for _ in 0..=FETCH_REDIRECTS_MAX {
            let (connection, answer) = self.ask(&server, &path, lookup, etag).await?;
            let done = read(answer, etag).await;
            drop(connection);
            match done? {
                Read::File(fetched) => return Ok(fetched),
                Read::Elsewhere(to) => {
                    path = server.on_it(&to).ok_or_else(|| FetchError::Redirect(shown(&to)))?;
                }
            }
        }
        Err(FetchError::Redirect(shown(&path)))
    }

    async fn ask(
        &self,
        server: &Server,
        path: &str,
        lookup: &Lookup,
        etag: Option<&str>,
    ) -> Result<(Connection, Response<Incoming>), FetchError> {
        let stream = server.connect(lookup).await?;
        let mut request = Request::builder()
            .uri(path)
            .header(HOST, &server.authority)
            .header(ACCEPT, "application/json")
            .header(CONNECTION, "close")
            .header(USER_AGENT, concat!("turnbell/", env!("CARGO_PKG_VERSION")));
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| FetchError::Url)?;
        if !server.is_tls {
            return exchange(stream, request).await;
        }
        let authority = self.authority.clone();
        let config = tokio::task::spawn_blocking(move || client_config(authority.as_deref())).await;
        let config = config
            .unwrap_or_else(|_| Err("reading the authorities failed".to_owned()))
            .map_err(FetchError::Roots)?;
        let name = ServerName::try_from(server.host.clone()).map_err(|_| FetchError::Url)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.map_err(FetchError::Tls)?;
        exchange(stream, request).await
    }
}

/// A server and the path that was asked for first.
struct Server {
    is_tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
    /// As in the URL.
    authority: String,
    path: String,
}

impl Server {
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Self {
            is_tls,
            host,
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path,
        })
    }

    /// The path of `location`, if it is on this server.
    fn on_it(&self, location: &str) -> Option<String> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(location.to_owned());
        }
        let to = Self::of(location)?;
        let is_here = (to.is_tls, &to.host, to.port) == (self.is_tls, &self.host, self.port);
        is_here.then_some(to.path)
    }

    /// The first of its addresses that takes the connection.
    async fn connect(&self, lookup: &Lookup) -> Result<TcpStream, FetchError> {
        let found = match self.host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, self.port)],
            Err(_) => resolve(lookup, &self.host, self.port).await.map_err(FetchError::Name)?,
        };
        let nobody = || std::io::Error::other("it has no address");
        let mut last = FetchError::Name(nobody());
        // Without TLS nobody may sit between, whatever the resolver says.
        for at in found.into_iter().filter(|at| self.is_tls || at.ip().is_loopback()) {
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = FetchError::Connect(at, error),
            }
        }
        Err(last)
    }
}

/// Ends with the value.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(Connection, Response<Incoming>), FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(FETCH_HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    let connection = Connection(tokio::spawn(async move {
        // What goes wrong is said by the answer.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await.map_err(FetchError::Http)?;
    Ok((connection, answer))
}

enum Read {
    File(Fetched),
    Elsewhere(String),
}

async fn read(answer: Response<Incoming>, asked_with: Option<&str>) -> Result<Read, FetchError> {
    let text =
        |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let status = answer.status();
    let etag = text(ETAG).filter(|tag| tag.len() <= ETAG_BYTES_MAX).map(ToOwned::to_owned);
    let keep_for = text(CACHE_CONTROL).and_then(max_age);
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if asked_with.is_some() => {
            let etag = etag.or_else(|| asked_with.map(ToOwned::to_owned));
            return Ok(Read::File(Fetched { body: None, etag, keep_for }));
        }
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let to = text(LOCATION).ok_or(FetchError::Status(status))?;
            return Ok(Read::Elsewhere(to.to_owned()));
        }
        other => return Err(FetchError::Status(other)),
    }
    let body = Limited::new(answer.into_body(), FETCH_BYTES_MAX).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => FetchError::Http(*error),
        Err(other) => {
            debug_assert!(other.is::<LengthLimitError>(), "there is no third kind");
            FetchError::TooLarge
        }
    })?;
    Ok(Read::File(Fetched { body: Some(body.to_bytes().to_vec()), etag, keep_for }))
}

/// `max-age`; what must not be kept at all is good for no time.
fn max_age(cache_control: &str) -> Option<Duration> {
    let mut age = None;
    for word in cache_control.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        if word == "no-store" || word == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(seconds) = word.strip_prefix("max-age=") {
            // More than fits is very long.
            let digits = seconds.trim_matches('"');
            let is_number = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
            age = is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)));
        }
    }
    age
}

/// What somebody else wrote, short enough for a log.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Where systems keep the authorities they trust: Debian and Alpine, Fedora and its kin, SUSE.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

fn client_config(authority: Option<&str>) -> Result<ClientConfig, String> {
    let certificates: Vec<CertificateDer<'static>> = match authority {
        Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect(),
        None => {
            let read = |path| CertificateDer::pem_file_iter(path).ok();
            AUTHORITIES.into_iter().find_map(read).into_iter().flatten().flatten().collect()
        }
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        let from = if authority.is_some() { "jwks_ca_file" } else { "/etc/ssl or /etc/pki" };
        return Err(format!(
            "there is no authority in {from}; install the package ca-certificates, or write \
             jwks_ca_file"
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_long_it_is_good() {
        let s = Duration::from_secs;
        for (text, age) in [
            ("max-age=300", Some(s(300))),
            ("public, MAX-AGE=\"300\", must-revalidate", Some(s(300))),
            ("max-age=99999999999999999999999", Some(s(u64::MAX))),
            ("no-store", Some(s(0))),
            ("max-age=300, no-cache", Some(s(0))),
            ("max-age=-1", None),
            ("max-age=", None),
            ("public", None),
            ("", None),
        ] {
            assert_eq!(max_age(text), age, "{text:?}");
        }
    }

    #[test]
    fn a_redirect_stays_on_the_server() {
        let server = Server::of("https://id.example.org/jwks").unwrap();
        for (to, path) in [
            ("/keys?x", Some("/keys?x")),
            ("https://id.example.org/keys", Some("/keys")),
            ("https://ID.example.org:443/keys", Some("/keys")),
            ("//evil.example/keys", None),
            ("https://evil.example/keys", None),
            ("http://id.example.org/keys", None),
            ("https://id.example.org:8443/keys", None),
            ("keys", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(server.on_it(to).as_deref(), path, "{to}");
        }
    }
}
