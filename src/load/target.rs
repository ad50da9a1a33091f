//! Where load on signaling goes: this machine, or a server that is said to be one's own.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use hyper::Uri;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{LoadError, own};

/// Authorities that Debian, Ubuntu and most others trust.
pub(super) const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server, resolved once.
pub struct Target {
    url: String,
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Target {
    /// Reads `ws://` and `wss://` URLs. What is not this machine is refused unless it `is_own`.
    ///
    /// `authorities`: PEM file of those that a `wss://` server's certificate may come from; by
    /// itself, the system's.
    ///
    /// # Errors
    /// If the URL is none, leads elsewhere, or the file cannot be used.
    pub fn new(url: &str, is_own: bool, authorities: Option<&Path>) -> Result<Self, LoadError> {
        let wrong = |why: String| LoadError::Url { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| wrong("this is no URL".to_owned()))?;
        let is_encrypted = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) | None => return Err(wrong("it begins with ws:// or wss://".to_owned())),
        };
        let host = uri.host().ok_or_else(|| wrong("it names no host".to_owned()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let mut found = (bare, port)
            .to_socket_addrs()
            .map_err(|why| wrong(format!("{bare} cannot be resolved: {why}")))?;
        let address = found.next().ok_or_else(|| wrong(format!("{bare} has no address")))?;
        own::refuse_foreign(address, is_own)?;
        let tls = match is_encrypted {
            true => {
                let name = ServerName::try_from(bare.to_owned())
                    .map_err(|_| wrong(format!("{bare} is no name for a certificate")))?;
                let authorities = authorities.unwrap_or_else(|| Path::new(SYSTEM_AUTHORITIES));
                Some((connector(authorities)?, name))
            }
            false => None,
        };
        Ok(Self { url: url.to_owned(), address, tls })
    }

    /// As it was typed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// # Errors
    /// If nobody listens, or TLS is not agreed on.
    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        })
    }
}

fn connector(authorities: &Path) -> Result<TlsConnector, LoadError> {
    client_config(authorities).map(TlsConnector::from)
}

/// TLS to servers whose certificate comes from one of these authorities, in PEM.
///
/// # Errors
/// If there is none in the file.
pub(super) fn client_config(authorities: &Path) -> Result<Arc<ClientConfig>, LoadError> {
    let wrong = |why: String| LoadError::File { path: authorities.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(authorities)
        .map_err(|why| wrong(format!("{why}; name a PEM file by --ca")))?;
    roots.add_parsable_certificates(certificates.flatten());
    if roots.is_empty() {
        return Err(wrong("no certificate is in it; --ca names a PEM file".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| wrong(why.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match Target::new(url, false, None) {
            Ok(_) => panic!("{url} is taken"),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn only_this_machine_is_taken_without_a_word() {
        for url in ["ws://127.0.0.1:1/v1/ws", "ws://[::1]:1/v1/ws", "ws://127.9.9.9/v1/ws"] {
            assert!(Target::new(url, false, None).is_ok(), "{url}");
        }
        for url in ["ws://192.0.2.1:1/v1/ws", "ws://[2001:db8::1]/v1/ws", "ws://0.0.0.0/"] {
            assert!(refused(url).contains("--i-own-this-server"), "{url}");
            assert!(Target::new(url, true, None).is_ok(), "{url}");
        }
        assert!(Target::new("ws://[::ffff:127.0.0.1]/", false, None).is_ok());
    }

    #[test]
    fn what_is_no_websocket_url_is_refused_with_an_example() {
        for url in ["http://127.0.0.1/", "127.0.0.1:8080", "ws://", "ws:///v1/ws", ""] {
            assert!(refused(url).contains("ws://127.0.0.1:8080/v1/ws"), "{url}");
        }
    }

    #[test]
    fn a_file_of_authorities_holds_some() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for path in [file.path(), Path::new("/nonexistent")] {
            let why = Target::new("wss://127.0.0.1/", false, Some(path)).err().expect("none in it");
            assert!(why.to_string().contains("--ca"), "{why}");
        }
    }
}
