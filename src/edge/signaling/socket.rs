//! One WebSocket: `hello`, then frames both ways until either side has enough.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message as WsMessage};

use super::end::End;
use super::exchange::{Exchange, Orders};
use super::frame_in::{self, HelloFrame, Read};
use super::frame_out;
use crate::auth::identity::Identity;
use crate::auth::token::TokenError;
use crate::call::contract::{CloseCode, ConnectionId};
use crate::call::event::{Event, Message};
use crate::call::refusal::{ErrorCode, Refusal};
use crate::call::request::{Hello, RequestId};
use crate::call::ulid::SessionId;
use crate::limits::ws::{
    WS_CLOSE_PATIENCE, WS_CONTROL_FRAMES_BURST, WS_CONTROL_FRAMES_PER_S, WS_FRAME_BYTES_MAX,
    WS_HELLO_TIMEOUT, WS_MESSAGE_BYTES_MAX, WS_PING_INTERVAL, WS_READ_BUFFER_BYTES, WS_SILENCE_MAX,
    WS_WRITE_BUFFER_BYTES_MAX,
};
use crate::policy::rate::TokenBucket;
use crate::time::Now;

/// What a socket asks of the rest of the edge.
pub trait Desk: Send + Sync + 'static {
    /// Waits a moment for the key of this token, if it is one that can be fetched.
    fn keys_for<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// Who bears this token.
    ///
    /// # Errors
    /// Why it does not count.
    fn verify(&self, token: &str) -> Result<Identity, TokenError>;

    /// Whether his tokens stopped counting in the meantime.
    fn is_revoked(&self, who: &Identity) -> bool;

    /// An ICE config for him, as `/ice` would answer, with or without TURN servers.
    fn ice(&self, who: &Identity, session: SessionId, has_turn: bool) -> Value;
}

/// Bounds of the framing (P10): what is over them is closed with 1009.
#[must_use]
pub fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(WS_READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WS_WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(WS_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(WS_MESSAGE_BYTES_MAX))
}

/// Serves a connection whose upgrade was answered, to its end.
pub async fn serve<S>(stream: S, exchange: Exchange, desk: Arc<dyn Desk>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
    let (mut sink, stream) = socket.split();
    let mut stream = Incoming::new(stream);
    let end = match greet(&mut stream, &*desk).await {
        Ok((hello, id)) => {
            let who = hello.identity.clone();
            match exchange.open(hello).await {
                // Revoked between the two: the switchboard may have been told before it knew him.
                Some((connection, _)) if desk.is_revoked(&who) => {
                    exchange.lost(connection).await;
                    End::with(CloseCode::Revoked, ErrorCode::Forbidden.code())
                }
                Some((connection, orders)) => {
                    let who = Mutex::new(who);
                    let page = Page { exchange: &exchange, desk: &*desk, connection, who };
                    let end = page.talk(&mut sink, &mut stream, orders, id).await;
                    exchange.lost(connection).await;
                    end
                }
                None => End::with(CloseCode::Draining, ""),
            }
        }
        Err(Unwelcome { said, end }) => {
            if let Some(said) = said {
                let _ = timeout(WS_CLOSE_PATIENCE, sink.send(WsMessage::text(said))).await;
            }
            end
        }
    };
    if let End::Close { code, reason } = end {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let goodbye = async {
            sink.send(WsMessage::Close(Some(frame))).await.ok()?;
            let mut socket = sink.reunite(stream.frames).ok()?;
            // RFC 6455 §7.1.1: the server closes, as soon as its close frame was answered.
            while let Some(Ok(message)) = socket.next().await {
                if matches!(message, WsMessage::Close(_)) {
                    return Some(());
                }
            }
            // Closing with something unread would reset the connection, and what was just written
            // would be lost on its way. The other side's end is the answer to ours.
            // On the heap: every connection would carry an array here for all of its life.
            let mut unread = vec![0; WS_READ_BUFFER_BYTES];
            while socket.get_mut().read(&mut unread).await.ok()? > 0 {}
            Some(())
        };
        let _ = timeout(WS_CLOSE_PATIENCE, goodbye).await;
    }
}

/// Who does not get in: what he is told before the close.
struct Unwelcome {
    said: Option<String>,
    end: End,
}

impl From<End> for Unwelcome {
    fn from(end: End) -> Self {
        Self { said: None, end }
    }
}

/// What a client sends.
struct Incoming<S> {
    frames: SplitStream<WebSocketStream<S>>,
    /// Those that cost the switchboard nothing, and us little: but not in any number.
    controls: TokenBucket,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    fn new(frames: SplitStream<WebSocketStream<S>>) -> Self {
        let controls = TokenBucket::new(WS_CONTROL_FRAMES_PER_S, WS_CONTROL_FRAMES_BURST);
        Self { frames, controls }
    }

    /// The next text; control frames are dealt with on the way.
    async fn next_text(&mut self) -> Result<String, End> {
        loop {
            let next = timeout(WS_SILENCE_MAX, self.frames.next()).await;
            match next {
                Err(_) | Ok(None) => return Err(End::Gone),
                Ok(Some(Ok(WsMessage::Text(text)))) if text.len() > WS_FRAME_BYTES_MAX => {
                    let why = format!("frames have at most {WS_FRAME_BYTES_MAX} bytes");
                    return Err(End::with(CloseCode::TooBig, &why));
                }
                Ok(Some(Ok(WsMessage::Text(text)))) => return Ok(text.as_str().to_owned()),
                Ok(Some(Ok(WsMessage::Binary(_)))) => {
                    return Err(End::with(CloseCode::Protocol, "frames are text"));
                }
                Ok(Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_)))) => {
                    if !self.controls.take(Now::read().mono, 1) {
                        return Err(End::with(CloseCode::Rate, "too many pings and pongs"));
                    }
                }
                Ok(Some(Ok(WsMessage::Close(_)))) => return Err(End::Gone),
                Ok(Some(Err(why))) => return Err(End::fault(&why)),
            }
        }
    }
}

async fn greet<S>(
    stream: &mut Incoming<S>,
    desk: &dyn Desk,
) -> Result<(Hello, Option<RequestId>), Unwelcome>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let text = timeout(WS_HELLO_TIMEOUT, stream.next_text()).await;
    let text = text.map_err(|_| End::with(CloseCode::NoHello, "no hello in 5 s"))??;
    let HelloFrame { id, token, device, capabilities, resume } =
        frame_in::hello(&text).map_err(End::from)?;
    desk.keys_for(&token).await;
    match desk.verify(&token) {
        Ok(identity) => Ok((Hello { identity, device, capabilities, resume }, id)),
        Err(why) => {
            let refusal = not_good(&why);
            // 1013 in RFC 6455's registry: it passes. A client connects again by itself.
            let code = if why == TokenError::NoKeysYet {
                1013
            } else if why == TokenError::Revoked {
                CloseCode::Revoked.number()
            } else if why.is_expired() {
                CloseCode::TokenExpired.number()
            } else {
                CloseCode::Auth.number()
            };
            let said = frame_out::error(id.as_ref(), &refusal).to_string();
            let end = End::Close { code, reason: refusal.code.code().to_owned() };
            Err(Unwelcome { said: Some(said), end })
        }
    }
}

/// Whoever presents a token learns whether it was good once, and nothing else.
fn not_good(why: &TokenError) -> Refusal {
    tracing::debug!(%why, "a token does not count");
    if *why == TokenError::NoKeysYet {
        let message = "the keys of this token's issuer cannot be fetched at the moment; try again";
        Refusal::new(ErrorCode::Internal, message)
    } else if why.is_expired() {
        Refusal::new(ErrorCode::TokenExpired, "the token has expired; get a new one")
    } else if *why == TokenError::Revoked {
        Refusal::new(ErrorCode::Forbidden, "this user is not let in")
    } else {
        Refusal::new(ErrorCode::Unauthenticated, "the token is not good here")
    }
}

/// A connection after its hello.
struct Page<'a> {
    exchange: &'a Exchange,
    desk: &'a dyn Desk,
    connection: ConnectionId,
    /// By the last good token.
    who: Mutex<Identity>,
}

impl Page<'_> {
    fn who(&self) -> MutexGuard<'_, Identity> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who bears a newer token. The switchboard refuses one of somebody else.
    async fn refreshed(&self, token: &str) -> Result<Identity, Refusal> {
        self.desk.keys_for(token).await;
        let newer = self.desk.verify(token).map_err(|why| not_good(&why))?;
        let mut who = self.who();
        if (&newer.tenant, &newer.user) == (&who.tenant, &who.user) {
            who.clone_from(&newer);
        }
        Ok(newer)
    }

    async fn talk<S>(
        &self,
        sink: &mut SplitSink<WebSocketStream<S>, WsMessage>,
        stream: &mut Incoming<S>,
        orders: Orders,
        hello: Option<RequestId>,
    ) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Orders { messages, mut close } = orders;
        let mut writing = std::pin::pin!(self.write(sink, messages, hello));
        tokio::select! {
            end = self.read(stream) => end,
            // All is written; or nothing can be, and then there is no order to close either.
            () = &mut writing => close.try_recv().map_or(End::Gone, End::from),
            closing = &mut close => match closing {
                Ok(closing) => {
                    let _ = timeout(WS_CLOSE_PATIENCE, &mut writing).await;
                    closing.into()
                }
                Err(_) => End::Gone,
            },
        }
    }

    async fn read<S>(&self, stream: &mut Incoming<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let text = match stream.next_text().await {
                Ok(text) => text,
                Err(end) => return end,
            };
            let frame = match frame_in::frame(&text) {
                Ok(Read::Frame(frame)) => frame,
                Ok(Read::Refresh { id, ack, token }) => {
                    Read::refreshed(id, ack, self.refreshed(&token).await)
                }
                Err(why) => return why.into(),
            };
            self.exchange.said(self.connection, frame).await;
        }
    }

    /// Ends when there is nothing more to write, or no way to.
    async fn write<S>(
        &self,
        sink: &mut SplitSink<WebSocketStream<S>, WsMessage>,
        mut messages: mpsc::Receiver<Box<Message>>,
        hello: Option<RequestId>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut pings = interval(WS_PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        pings.tick().await;
        let mut session = None;
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                _ = pings.tick() => {
                    if sink.send(WsMessage::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let Some(message) = message else { return };
            let mut next = Some(message);
            let mut count = 0;
            while let Some(message) = next {
                let text = self.text(&message, hello.as_ref(), &mut session);
                if sink.feed(WsMessage::text(text)).await.is_err() {
                    return;
                }
                count += 1;
                next = messages.try_recv().ok();
            }
            if sink.flush().await.is_err() {
                return;
            }
            self.exchange.sent(self.connection, count).await;
        }
    }

    /// The content of a diff that goes to many; `None` of anything else.
    fn shared(&self, event: &Arc<Event>) -> Option<Arc<str>> {
        if !matches!(**event, Event::PresenceDiff { .. }) {
            return None;
        }
        self.exchange.texts.text(event, frame_out::content)
    }

    fn text(
        &self,
        message: &Message,
        hello: Option<&RequestId>,
        session: &mut Option<SessionId>,
    ) -> String {
        if let Message::Welcome(welcome) = message {
            *session = Some(welcome.session);
        }
        let ice = |has_turn| match *session {
            Some(session) => self.desk.ice(&self.who(), session, has_turn),
            None => Value::Null,
        };
        if let Message::Event { seq, at_unix_ms, event } = message
            && let Some(content) = self.shared(event)
        {
            return frame_out::presence_diff(*seq, *at_unix_ms, &content);
        }
        frame_out::write(message, hello, &ice)
    }
}
