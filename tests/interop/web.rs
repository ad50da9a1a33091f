//! A small HTTPS client that says what a test wants to be said, and hears when the server closes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::daemon::PATIENCE;

/// One connection; requests go over it one after the other.
pub(crate) struct Web(Box<dyn Stream>);

trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Web {
    /// Connects from this address to `server`.
    pub(crate) fn plain(from: &str, server: &str) -> Self {
        Self(Box::new(connect(from, server).unwrap()))
    }

    /// The same over TLS with a server that has a certificate for `name`, signed by `root`.
    pub(crate) fn tls(from: &str, server: &str, name: &str, root: &Path) -> Self {
        Self::try_tls(from, server, name, root).unwrap()
    }

    /// The same where the server may not be there yet.
    pub(crate) fn try_tls(from: &str, server: &str, name: &str, root: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(root).map_err(io::Error::other)?;
        roots.add(root).map_err(io::Error::other)?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = connect(from, server)?;
        session.complete_io(&mut socket)?;
        Ok(Self(Box::new(StreamOwned::new(session, socket))))
    }

    /// `line` is method and target; `headers` are all there are but for the length of the body.
    pub(crate) fn ask(&mut self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{line} HTTP/1.1\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.0.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
        self.0.flush().unwrap();
        self.answer()
    }

    /// Says something that is no request.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        self.0.flush().unwrap();
    }

    fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let body = match header(&head, "content-length") {
            Some(length) => self.bytes(length.parse().unwrap()),
            None if header(&head, "transfer-encoding") == Some("chunked") => self.chunks(),
            None => Vec::new(),
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(self.byte());
            }
            let length = str::from_utf8(&line).unwrap().trim();
            let chunk = self.bytes(usize::from_str_radix(length, 16).unwrap());
            self.bytes(2);
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

impl Answer {
    /// Its value, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| *n == name).map(|(_, v)| v)
}

fn connect(from: &str, server: &str) -> io::Result<TcpStream> {
    let (from, server): (SocketAddr, SocketAddr) =
        (format!("{from}:0").parse().unwrap(), server.parse().unwrap());
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}
