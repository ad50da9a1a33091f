//! Certificates for tests, daemons that serve them, and clients that trust them.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;

use crate::daemon::{CONFIG, Daemon};
use crate::stream_client::{StreamClient, connect};

/// What a test wants of its certificate beyond the ordinary.
pub(crate) type Change = fn(&mut CertificateParams);

/// Writes `cert.pem` and `key.pem` for `hosts`.
pub(crate) fn write_pair(directory: &Path, hosts: &[&str], change: Change) {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(hosts).unwrap();
    change(&mut params);
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Lines of a config that name them, and ports for TLS.
pub(crate) const TLS: &str = "tls.cert = \"cert.pem\"\ntls.key = \"key.pem\"\n\
                              listen_tls = [\"127.0.0.1:0\", \"[::1]:0\"]\n\
                              allow_private_peers = [\"127.0.0.1\", \"::1\"]\n";

/// A directory with a certificate for loopback and this config, for a daemon to be started in.
pub(crate) fn directory(config: &str) -> Arc<TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    write_pair(directory.path(), &["localhost", "127.0.0.1", "::1"], |_| {});
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    directory
}

/// A daemon that serves TLS on loopback.
pub(crate) fn daemon() -> Daemon {
    Daemon::start_in(directory(&format!("{TLS}{CONFIG}")), |_| {})
}

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct Speaks {
    pub(crate) version: &'static SupportedProtocolVersion,
    pub(crate) alpn: Vec<&'static str>,
}

pub(crate) const TLS_1_3: Speaks = Speaks { version: &TLS13, alpn: Vec::new() };
pub(crate) const TLS_1_2: Speaks = Speaks { version: &TLS12, alpn: Vec::new() };

impl Speaks {
    /// The same, offering these application protocols.
    pub(crate) fn offering(mut self, alpn: &[&'static str]) -> Self {
        self.alpn = alpn.to_vec();
        self
    }
}

/// Shakes hands with what lies in `directory` now; nothing else is trusted.
///
/// # Errors
/// As TLS says.
pub(crate) fn handshake(
    directory: &Path,
    server: SocketAddr,
    speaks: &Speaks,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let trusted = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[speaks.version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = speaks.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::from(server.ip());
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = connect(server);
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// A TURN client over TLS.
pub(crate) fn client(daemon: &Daemon, server: SocketAddr, speaks: &Speaks) -> StreamClient {
    let tls = handshake(daemon.directory().path(), server, speaks).unwrap();
    let socket = tls.sock.try_clone().unwrap();
    StreamClient::over(Box::new(tls), socket, server)
}
