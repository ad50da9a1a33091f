//! An issuer of tokens with a web server for its keys, which does as a test tells it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PublicKeyData};
use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use turnbell::time::Now;

/// A key that signs tokens.
pub(crate) struct Signer {
    id: String,
    pair: KeyPair,
}

impl Signer {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), pair: KeyPair::generate().unwrap() }
    }

    /// An hour for `alice`.
    pub(crate) fn token(&self, issuer: &str) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        let key = EncodingKey::from_ec_pem(self.pair.serialize_pem().as_bytes()).unwrap();
        let exp = Now::read().unix_s() + 3600;
        encode(&header, &json!({"iss": issuer, "sub": "alice", "exp": exp}), &key).unwrap()
    }

    fn jwk(&self) -> Value {
        let point = &self.pair.der_bytes()[1..];
        let half = |at: usize| URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
        json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": half(0), "y": half(32)})
    }
}

/// A set of these keys, as JSON.
pub(crate) fn set(keys: &[&Signer]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What is said at a path.
#[derive(Clone)]
pub(crate) enum Says {
    /// 200 with this body and these headers.
    File(String, Vec<&'static str>),
    /// Any other answer, as bytes.
    Raw(String),
    /// Nothing, while the connection stays open.
    Nothing,
}

#[derive(Default)]
struct State {
    says_at: Mutex<BTreeMap<String, Says>>,
    heads: Mutex<Vec<String>>,
    held: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

/// A web server for keys.
pub(crate) struct KeyServer {
    at: SocketAddr,
    /// Of the authority that vouches for it; `None`: it speaks no TLS.
    pub(crate) authority: Option<String>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl KeyServer {
    pub(crate) fn https() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap().pem();
        let chain = vec![CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start(Some(Arc::new(config)), Some(pem))
    }

    pub(crate) fn http() -> Self {
        Self::start(None, None)
    }

    fn start(tls: Option<Arc<ServerConfig>>, authority: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let of_thread = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (state, tls) = (Arc::clone(&of_thread), tls.clone());
                let stream = stream.unwrap();
                // A client that gives up, or trusts nobody here, is no fault of the server's.
                std::thread::spawn(move || match tls {
                    Some(config) => {
                        let raw = stream.try_clone().unwrap();
                        let tls = ServerConnection::new(config).unwrap();
                        state.serve(StreamOwned::new(tls, stream), raw)
                    }
                    None => {
                        let raw = stream.try_clone().unwrap();
                        state.serve(stream, raw)
                    }
                });
            }
        });
        Self { at, authority, state, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.at)
    }

    pub(crate) fn says(&self, path: &str, what: Says) {
        self.state.says_at.lock().unwrap().insert(path.to_owned(), what);
    }

    /// These keys, until something else is said.
    pub(crate) fn has(&self, path: &str, keys: &[&Signer]) {
        self.says(path, Says::File(set(keys), Vec::new()));
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }
}

impl State {
    fn serve(&self, mut stream: impl Read + Write, raw: TcpStream) -> Option<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        self.heads.lock().unwrap().push(head);
        let said = self.says_at.lock().unwrap().get(&path).cloned();
        let answer = match said {
            Some(Says::File(body, headers)) => {
                let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
            }
            Some(Says::Raw(answer)) => answer,
            Some(Says::Nothing) => {
                self.held.lock().unwrap().push(raw);
                return None;
            }
            None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).ok()?;
        stream.flush().ok()
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.at);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
