//! A page as a plain WebSocket client sees it: frames in, frames out, in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::daemon::{CONFIG, Daemon};
use crate::schema::{self, Conversation};

/// Longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that lets local guests in.
pub(crate) fn daemon() -> Daemon {
    Daemon::start(CONFIG)
}

/// A connected page.
pub(crate) struct Page {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    last_seq: u64,
    /// What came while something else was waited for.
    early: Vec<Value>,
    said: Conversation,
    pub(crate) welcome: Value,
}

impl Page {
    /// A guest called `name`.
    pub(crate) fn guest(daemon: &Daemon, name: &str) -> Self {
        Self::connect(daemon, json!({"token": token(daemon, name), "caps": ["media_reports"]}))
    }

    /// Says this hello, and is welcome.
    pub(crate) fn connect(daemon: &Daemon, hello: Value) -> Self {
        let socket = open(daemon.http());
        let (early, said, welcome) = (Vec::new(), Conversation::default(), json!(null));
        let mut page = Self { socket, last_id: 0, last_seq: 0, early, said, welcome };
        page.send(&json!({"t": "hello", "id": "hello", "d": hello}));
        let welcome = page.next().unwrap();
        assert_eq!(
            (&welcome["t"], &welcome["re"]),
            (&json!("welcome"), &json!("hello")),
            "{welcome}"
        );
        page.welcome = welcome["d"].clone();
        page
    }

    pub(crate) fn user(&self) -> String {
        self.welcome["user"].as_str().unwrap().to_owned()
    }

    /// A frame by the schema.
    #[track_caller]
    pub(crate) fn send(&mut self, frame: &Value) {
        self.said.says(frame);
        self.send_bad(frame);
    }

    /// Any frame.
    pub(crate) fn send_bad(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).unwrap();
    }

    /// Asks, and waits for the answer: its content, or its error.
    pub(crate) fn ask(&mut self, t: &str, d: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let id = format!("c{}", self.last_id);
        self.send(&json!({"t": t, "id": id, "d": d}));
        self.answer_to(&id)
    }

    /// Asks what the schema forbids.
    pub(crate) fn ask_bad(&mut self, t: &str, d: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let id = format!("c{}", self.last_id);
        self.send_bad(&json!({"t": t, "id": id, "d": d}));
        self.answer_to(&id)
    }

    pub(crate) fn answer_to(&mut self, id: &str) -> Result<Value, Value> {
        loop {
            let frame = self.next().expect("an answer");
            if frame["re"] == id {
                return match frame["t"].as_str() {
                    Some("ok") => Ok(frame["d"].clone()),
                    _ => Err(frame["d"].clone()),
                };
            }
            self.early.push(frame);
        }
    }

    /// The next event of this kind; others before it are passed over.
    pub(crate) fn event(&mut self, t: &str) -> Value {
        if let Some(at) = self.early.iter().position(|frame| frame["t"] == t) {
            return self.early.drain(..=at).next_back().unwrap()["d"].clone();
        }
        self.early.clear();
        loop {
            let frame = self.next().unwrap_or_else(|end| panic!("no {t}: {end:?}"));
            if frame["t"] == t {
                return frame["d"].clone();
            }
        }
    }

    /// The next `call.state` of this state.
    pub(crate) fn state(&mut self, state: &str) -> Value {
        loop {
            let view = self.event("call.state");
            if view["state"] == state {
                return view;
            }
        }
    }

    /// The next frame, or the code the server closed with; `None` if it just went away.
    pub(crate) fn next(&mut self) -> Result<Value, Option<u16>> {
        let mut pings = 0;
        loop {
            match self.socket.read() {
                // One comes every 20 s: whoever waits through three waits for nothing.
                Ok(Message::Ping(_)) => {
                    pings += 1;
                    assert!(pings < 3, "nothing came but pings");
                }
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(text.as_str()).unwrap();
                    self.said.hears(&frame);
                    if let Some(seq) = frame["seq"].as_u64() {
                        assert_eq!(seq, self.last_seq + 1, "no event is missing: {frame}");
                        self.last_seq = seq;
                    }
                    return Ok(frame);
                }
                Ok(Message::Close(frame)) => {
                    // The answer, without which the server waits for it.
                    let _ = self.socket.flush();
                    return Err(code(frame.as_ref()));
                }
                Ok(_) => {}
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Err(None),
                Err(Error::Protocol(_)) => return Err(None),
                Err(Error::Io(why)) if why.kind() == ErrorKind::ConnectionReset => {
                    return Err(None);
                }
                Err(why) => panic!("nothing came: {why}"),
            }
        }
    }

    /// The code the server closes with, whatever it says before.
    pub(crate) fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next() {
                return code;
            }
        }
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) -> (Value, u64) {
        let Self { socket, welcome, last_seq, .. } = self;
        drop(socket);
        (welcome, last_seq)
    }

    /// Comes back as the same page.
    pub(crate) fn resume(daemon: &Daemon, token: &str, from: &(Value, u64)) -> Self {
        let resume = json!({"token": from.0["resume_token"], "last_seq": from.1});
        let hello = json!({"token": token, "caps": ["media_reports"], "resume": resume});
        let mut page = Self::connect_at(daemon, hello, from.1);
        // What is sent again comes first.
        let next = page.welcome["next_seq"].as_u64().unwrap();
        page.last_seq = if page.welcome["resumed"] == true { from.1 } else { next - 1 };
        page
    }

    /// The same over a connection that takes little before it is read.
    pub(crate) fn connect_narrow(daemon: &Daemon, hello: Value) -> Self {
        schema::prepare();
        let narrow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        narrow.set_recv_buffer_size(4096).unwrap();
        // The server's side holds a few segments of it, and on loopback they are large.
        narrow.set_tcp_mss(536).unwrap();
        narrow.connect(&daemon.http().into()).unwrap();
        Self::connect_by(open_by(daemon.http(), narrow.into()), hello, 0)
    }

    /// Says a hello that resumes what the page itself has begun.
    pub(crate) fn resume_as(daemon: &Daemon, hello: Value) -> Self {
        let at = hello["resume"]["last_seq"].as_u64().unwrap();
        Self::connect_at(daemon, hello, at)
    }

    fn connect_at(daemon: &Daemon, hello: Value, last_seq: u64) -> Self {
        Self::connect_by(open(daemon.http()), hello, last_seq)
    }

    fn connect_by(socket: WebSocket<TcpStream>, hello: Value, last_seq: u64) -> Self {
        let (early, said, welcome) = (Vec::new(), Conversation::default(), json!(null));
        let mut page = Self { socket, last_id: 1000, last_seq, early, said, welcome };
        page.send(&json!({"t": "hello", "d": hello}));
        let welcome = page.next().unwrap();
        assert_eq!(welcome["t"], "welcome", "{welcome}");
        page.welcome = welcome["d"].clone();
        page
    }

    /// The socket itself, for what no client should do.
    pub(crate) fn raw(&mut self) -> &mut WebSocket<TcpStream> {
        &mut self.socket
    }
}

pub(crate) fn code(frame: Option<&CloseFrame>) -> Option<u16> {
    frame.map(|frame| frame.code.into())
}

/// A request for the WebSocket.
pub(crate) fn request(http: SocketAddr) -> Request {
    let mut request = format!("ws://{http}/v1/ws").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "turnbell.v1".parse().unwrap());
    request
}

/// An open WebSocket that has said nothing.
pub(crate) fn open(http: SocketAddr) -> WebSocket<TcpStream> {
    schema::prepare();
    open_by(http, TcpStream::connect(http).unwrap())
}

fn open_by(http: SocketAddr, stream: TcpStream) -> WebSocket<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (socket, response) = client(request(http), stream).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "turnbell.v1");
    socket
}

/// A guest's token.
pub(crate) fn token(daemon: &Daemon, name: &str) -> String {
    let (status, body) = post(daemon.http(), "/v1/guests", &json!({"name": name}), &[]);
    assert_eq!(status, 200, "{body}");
    body["token"].as_str().unwrap().to_owned()
}

/// A POST with a JSON body.
pub(crate) fn post(http: SocketAddr, path: &str, body: &Value, headers: &[&str]) -> (u16, Value) {
    let headers = [&["Content-Type: application/json"], headers].concat();
    exchange(http, &format!("POST {path}"), &headers, &body.to_string())
}

/// A request of its own connection: status, and the body if it is JSON.
pub(crate) fn exchange(http: SocketAddr, line: &str, headers: &[&str], body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{line} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n");
    headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
