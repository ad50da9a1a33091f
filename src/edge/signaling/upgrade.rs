//! `GET /v1/ws`: who may open a WebSocket, and the upgrade (RFC 6455 §4.2).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::body::Body as _;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::desk::PageDesk;
use super::exchange::Exchange;
use super::socket;
use crate::edge::Edge;
use crate::edge::cors::{self, Claimed};
use crate::edge::error::ApiError;
use crate::edge::forwarded::HttpClient;
use crate::limits::ws::WS_CONNECTIONS_MAX;

/// The subprotocol; a client that does not name it is refused.
pub const PROTOCOL: &str = "turnbell.v1";

/// What signaling needs of the daemon.
pub struct Signaling {
    exchange: Exchange,
    places: Arc<Semaphore>,
}

impl Signaling {
    /// Puts the parts together.
    #[must_use]
    pub fn new(exchange: Exchange) -> Self {
        Self { exchange, places: Arc::new(Semaphore::new(WS_CONNECTIONS_MAX)) }
    }
}

impl Signaling {
    pub(crate) async fn all_gone(&self) {
        // Whoever holds every place is alone.
        let _ = self.places.acquire_many(WS_CONNECTIONS_MAX as u32).await;
    }
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let signaling = edge.signaling().ok_or_else(ApiError::not_found)?;
    let headers = &parts.headers;
    let accept = asks_for_upgrade(headers)?;
    // What one reader takes for the body, another would take for frames.
    if !body.is_end_stream() {
        return Err(ApiError::framing("an upgrade has no body"));
    }
    if !is_welcome(&edge, headers) {
        return Err(ApiError::foreign_origin());
    }
    if edge.is_draining() {
        return Err(ApiError::draining());
    }
    let place = signaling.places.clone().try_acquire_owned().map_err(|_| ApiError::crowded())?;
    let exchange = signaling.exchange.clone();
    let desk = PageDesk {
        vantage: edge.vantage(&parts),
        client: parts.extensions.get::<HttpClient>().and_then(HttpClient::known),
        edge: Arc::clone(&edge),
    };
    let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
    tokio::spawn(async move {
        match upgrade.await {
            Ok(stream) => socket::serve(TokioIo::new(stream), exchange, Arc::new(desk)).await,
            Err(why) => tracing::trace!(%why, "a connection did not become a WebSocket"),
        }
        drop(place);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// The answer to the client's key.
fn asks_for_upgrade(headers: &HeaderMap) -> Result<HeaderValue, ApiError> {
    let holds = |name, wanted: &str| {
        let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if !holds(CONNECTION, "upgrade") || !holds(UPGRADE, "websocket") {
        return Err(ApiError::upgrade_required());
    }
    if !holds(SEC_WEBSOCKET_VERSION, "13") {
        return Err(ApiError::bad_request("Sec-WebSocket-Version must be 13"));
    }
    if !holds(SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        return Err(ApiError::bad_request("Sec-WebSocket-Protocol must hold turnbell.v1"));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(ApiError::bad_request("there must be one Sec-WebSocket-Key"));
    };
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| ApiError::internal())
}

/// Whether the page may be here (P10): none, one of our own, or a listed one. Tokens say who
/// somebody is; the origin only keeps foreign pages from using them.
fn is_welcome(edge: &Edge, headers: &HeaderMap) -> bool {
    match cors::claimed(headers) {
        Claimed::Nothing => true,
        Claimed::One(origin) => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            let own = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            own.is_some_and(|own| !own.is_empty() && own.eq_ignore_ascii_case(host))
                || cors::is_allowed(&edge.options(), origin)
        }
        Claimed::Nonsense => false,
    }
}
