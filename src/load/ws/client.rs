//! One client of `turnbell.v1`: hello, requests, events in order, acknowledgements.

use std::borrow::Cow;
use std::fmt;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::limits::load::{LOAD_ACK_EVENTS, LOAD_PATIENCE};
use crate::limits::ws::{WS_READ_BUFFER_BYTES, WS_WRITE_BUFFER_BYTES_MAX};
use crate::load::target::{Stream, Target};

/// Why a client does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A request was refused.
    Refused { code: String, message: String },
    /// The server closed the connection.
    Closed { code: u16, reason: String },
    /// The connection broke, or did not come about.
    Lost(String),
    /// What should have come did not.
    Silent(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => write!(f, "refused, {code}: {message}"),
            Self::Closed { code, reason } => write!(f, "closed with {code} {reason}"),
            Self::Lost(why) => f.write_str(why),
            Self::Silent(what) => write!(f, "no {what} in {} s", LOAD_PATIENCE.as_secs()),
        }
    }
}

/// A frame of the server.
#[derive(Debug, Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) t: Cow<'a, str>,
    #[serde(borrow, default)]
    re: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    /// What it says, read as `T`; `None` if it says something else.
    pub(super) fn content<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.d?.get()).ok()
    }

    /// The code of a refusal.
    pub(super) fn refusal(&self) -> Option<String> {
        (self.t == "error").then(|| self.content().map_or_else(|| "?".into(), |d: Refusal| d.code))
    }
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Welcome {
    resume_token: String,
    next_seq: u64,
}

const INCOMING: &str = "call.incoming";

/// A connected client.
pub(super) struct Client {
    socket: WebSocketStream<Box<dyn Stream>>,
    last_id: u64,
    last_seq: u64,
    unacknowledged: u32,
    /// A call that came while something else was waited for.
    incoming: Option<Value>,
    /// What a later hello may resume this session with.
    pub(super) resume: Value,
}

impl Client {
    /// Connects, says hello with this content, and is welcome.
    pub(super) async fn connect(target: &Target, hello: Value) -> Result<Self, Trouble> {
        let opening = timeout(LOAD_PATIENCE, open(target));
        let socket = opening.await.map_err(|_| Trouble::Silent("WebSocket"))??;
        let (incoming, resume) = (None, Value::Null);
        let mut client =
            Self { socket, last_id: 0, last_seq: 0, unacknowledged: 0, incoming, resume };
        client.send(json!({"t": "hello", "id": "hello", "d": hello}).to_string()).await?;
        let text = client.soon("welcome").await?;
        let frame = read(&text)?;
        if let Some(refusal) = frame.content::<Refusal>() {
            let Refusal { code, message } = refusal;
            return Err(Trouble::Refused { code, message });
        }
        let welcome: Welcome = frame.content().ok_or(Trouble::Silent("welcome"))?;
        client.last_seq = welcome.next_seq.saturating_sub(1);
        client.resume = json!({"token": welcome.resume_token, "last_seq": client.last_seq});
        Ok(client)
    }

    /// The next text, whatever it is. May be dropped at any time: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Utf8Bytes, Trouble> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.as_str().to_owned())
                    });
                    // The answer, without which the server waits for it.
                    let _ = self.socket.flush().await;
                    return Err(Trouble::Closed { code, reason });
                }
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                )) => {}
                Some(Err(why)) => return Err(lost(why)),
                None => return Err(Trouble::Lost("the connection has ended".to_owned())),
            }
        }
    }

    /// Reads a text, and notes the number of an event.
    pub(super) fn read<'a>(&mut self, text: &'a Utf8Bytes) -> Result<Frame<'a>, Trouble> {
        let frame = read(text)?;
        if let Some(seq) = frame.seq {
            self.last_seq = seq;
            self.unacknowledged += 1;
        }
        Ok(frame)
    }

    /// Acknowledges what was read, if it is time to.
    pub(super) async fn acknowledge(&mut self) -> Result<(), Trouble> {
        if self.unacknowledged < LOAD_ACK_EVENTS {
            return Ok(());
        }
        self.acknowledge_all().await
    }

    /// Acknowledges what was read, if anything was.
    pub(super) async fn acknowledge_rest(&mut self) -> Result<(), Trouble> {
        if self.unacknowledged == 0 {
            return Ok(());
        }
        self.acknowledge_all().await
    }

    pub(super) async fn acknowledge_all(&mut self) -> Result<(), Trouble> {
        self.unacknowledged = 0;
        self.resume["last_seq"] = self.last_seq.into();
        self.send(format!(r#"{{"t":"ack","ack":{}}}"#, self.last_seq)).await
    }

    /// Reads one frame and deals with what every client deals with.
    pub(super) async fn pass_over(&mut self) -> Result<(), Trouble> {
        let text = self.next().await?;
        self.read(&text)?;
        self.acknowledge().await
    }

    /// Sends a request of this type and content; says its id.
    pub(super) async fn request(&mut self, t: &str, d: &Value) -> Result<u64, Trouble> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(format!(r#"{{"t":"{t}","id":"{id}","d":{d}}}"#)).await?;
        Ok(id)
    }

    /// Sends a request and waits for its answer; what comes before is passed over.
    pub(super) async fn ask(&mut self, t: &str, d: &Value) -> Result<Value, Trouble> {
        let id = self.request(t, d).await?.to_string();
        loop {
            let text = self.soon("answer").await?;
            let frame = self.read(&text)?;
            if frame.re.as_deref() == Some(&id) {
                return match frame.t == "ok" {
                    true => Ok(frame.content().unwrap_or_default()),
                    false => Err(frame
                        .content()
                        .map_or(Trouble::Silent("answer"), |Refusal { code, message }| {
                            Trouble::Refused { code, message }
                        })),
                };
            }
            self.keep(&frame);
        }
    }

    /// Waits for an event of this type; what comes before is passed over, but for a call.
    pub(super) async fn event(&mut self, t: &'static str) -> Result<Value, Trouble> {
        if let Some(call) = self.incoming.take_if(|_| t == INCOMING) {
            return Ok(call);
        }
        loop {
            let text = self.soon(t).await?;
            let frame = self.read(&text)?;
            if frame.t == t {
                return Ok(frame.content().unwrap_or_default());
            }
            self.keep(&frame);
        }
    }

    fn keep(&mut self, frame: &Frame<'_>) {
        if frame.t == INCOMING {
            self.incoming = frame.content();
        }
    }

    async fn soon(&mut self, what: &'static str) -> Result<Utf8Bytes, Trouble> {
        timeout(LOAD_PATIENCE, self.next()).await.map_err(|_| Trouble::Silent(what))?
    }

    pub(super) async fn send(&mut self, text: String) -> Result<(), Trouble> {
        self.socket.send(Message::text(text)).await.map_err(lost)
    }

    /// Hands a text over without waiting for the network; [`Self::flush`] does.
    pub(super) async fn feed(&mut self, text: String) -> Result<(), Trouble> {
        self.socket.feed(Message::text(text)).await.map_err(lost)
    }

    pub(super) async fn flush(&mut self) -> Result<(), Trouble> {
        self.socket.flush().await.map_err(lost)
    }

    /// Leaves for good, and does not wait for long.
    pub(super) async fn leave(mut self) {
        let goodbye = async {
            self.request("bye", &json!({})).await?;
            while self.next().await.is_ok() {}
            Ok::<(), Trouble>(())
        };
        let _ = timeout(LOAD_PATIENCE, goodbye).await;
    }
}

fn read(text: &Utf8Bytes) -> Result<Frame<'_>, Trouble> {
    serde_json::from_str(text.as_str())
        .map_err(|why| Trouble::Lost(format!("a frame that is no turnbell.v1: {why}")))
}

async fn open(target: &Target) -> Result<WebSocketStream<Box<dyn Stream>>, Trouble> {
    let stream = target.connect().await.map_err(|why| Trouble::Lost(why.to_string()))?;
    let mut request = target.url().into_client_request().map_err(lost)?;
    let protocol = HeaderValue::from_static("turnbell.v1");
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(WS_READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WS_WRITE_BUFFER_BYTES_MAX);
    let opened = client_async_with_config(request, stream, Some(config)).await;
    Ok(opened.map_err(lost)?.0)
}

fn lost(why: Error) -> Trouble {
    let answer = if let Error::Http(answer) = &why { Some(answer.status()) } else { None };
    Trouble::Lost(match answer {
        Some(status) => format!("no WebSocket there: HTTP {status}"),
        None => why.to_string(),
    })
}
