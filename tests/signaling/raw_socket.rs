//! A WebSocket written by hand, byte by byte, for what no client library sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::page::token;

const PATIENCE: Duration = Duration::from_secs(20);
/// What a browser sends along.
pub(crate) const UPGRADE: [&str; 5] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: chat, turnbell.v1",
];
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const PING: u8 = 0x89;
const MASK: u8 = 0x80;

pub(crate) struct RawSocket(TcpStream);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this close code.
    Closed(u16),
    /// Without a word.
    Cut,
}

/// Head of the answer to an upgrade with these headers, and the connection.
pub(crate) fn upgrade(http: SocketAddr, host: &str, headers: &[&str]) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "GET /v1/ws HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ended");
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), stream)
}

impl RawSocket {
    /// Upgraded, and nothing said.
    pub(crate) fn open(daemon: &Daemon, host: &str) -> Self {
        let (head, stream) = upgrade(daemon.http(), host, &UPGRADE);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(stream)
    }

    /// A guest who has said hello, and the welcome.
    pub(crate) fn guest(daemon: &Daemon, host: &str) -> (Self, Value) {
        let mut socket = Self::open(daemon, host);
        let hello = json!({"t": "hello", "id": "h", "d": {"token": token(daemon, "Mallory")}});
        socket.send(TEXT, hello.to_string().as_bytes());
        let (opcode, welcome) = socket.next().unwrap();
        assert_eq!(opcode, 1);
        (socket, serde_json::from_slice(&welcome).unwrap())
    }

    /// A frame with this first byte, masked with zeros; one that comes too late is not missed.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(MASK | short as u8),
            middle @ 126..65_536 => {
                bytes.push(MASK | 126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(MASK | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        self.bytes(&bytes);
    }

    /// Any bytes; whether they could still be sent.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The next frame: its opcode and content. `None` at the end.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, length] = self.exactly::<2>()?;
        assert_eq!(length & MASK, 0, "a server masks nothing");
        let length = match length {
            126 => u64::from(u16::from_be_bytes(self.exactly()?)),
            127 => u64::from_be_bytes(self.exactly()?),
            short => u64::from(short),
        };
        let mut content = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut content).ok()?;
        Some((first & 0x0f, content))
    }

    /// How it ends, whatever comes before.
    pub(crate) fn end(&mut self) -> End {
        loop {
            match self.next() {
                Some((8, content)) => {
                    // The answer, without which the server waits for it.
                    self.send(0x88, &content);
                    return End::Closed(u16::from_be_bytes([content[0], content[1]]));
                }
                Some(_) => {}
                None => return End::Cut,
            }
        }
    }

    fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(why) if why.kind() == ErrorKind::WouldBlock => panic!("it hangs"),
            Err(_) => None,
        }
    }
}
