//! Which path is answered by what, and what every request passes on its way there.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use hyper::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Uri, Version};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::error::ApiError;
use super::signaling::upgrade;
use super::{Edge, cors, health, ice, metrics, page};
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX};

/// The whole tree. Layers stand innermost first.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let page = |router: Router<Arc<Edge>>, path| router.route(path, reading(get(page::get)));
    page::paths()
        .fold(Router::new(), page)
        .route("/ice", issuing())
        .route("/v1/ice", issuing())
        .route("/v1/ws", reading(get(upgrade::get)))
        .route("/healthz", reading(get(health::get)))
        .route("/metrics", reading(get(metrics::get)))
        .route("/readyz", reading(get(health::ready)))
        .route("/favicon.ico", reading(get(page::favicon)))
        .fallback(async || ApiError::not_found())
        .with_state(edge.clone())
        .layer(from_fn_with_state(edge.clone(), guard))
        .layer(cors::layer(edge))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(panicked))
}

/// A path that hands out a credential: HEAD is refused, for a safe method must leave no trace.
fn issuing() -> MethodRouter<Arc<Edge>> {
    on(MethodFilter::GET, ice::get)
        .on(MethodFilter::POST, ice::post)
        .on(MethodFilter::HEAD, async || ApiError::method_not_allowed("GET, POST, OPTIONS"))
        .fallback(async || ApiError::method_not_allowed("GET, POST, OPTIONS"))
}

fn reading(methods: MethodRouter<Arc<Edge>>) -> MethodRouter<Arc<Edge>> {
    methods.fallback(async || ApiError::method_not_allowed("GET, HEAD, OPTIONS"))
}

/// Refuses what is malformed or too large, and ends what takes too long.
async fn guard(State(edge): State<Arc<Edge>>, request: Request<Body>, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(error) = well_formed(&parts) {
        return error.into_response();
    }
    let answer = next.run(Request::from_parts(parts, body));
    tokio::time::timeout(edge.options.read().request_timeout, answer)
        .await
        .unwrap_or_else(|_| ApiError::request_timeout().into_response())
}

fn well_formed(parts: &Parts) -> Result<(), ApiError> {
    let headers = &parts.headers;
    if head_bytes(&parts.uri, headers) > HTTP_HEAD_BYTES_MAX {
        return Err(ApiError::head_too_large(HTTP_HEAD_BYTES_MAX));
    }
    // RFC 9112 §6.1: with both, a proxy in front and we could see two different requests. Nothing
    // here needs a chunked request, so none is read. (Lengths that differ end in hyper, with 400.)
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(ApiError::framing(
            "a request body needs Content-Length, not Transfer-Encoding",
        ));
    }
    // RFC 9112 §3.2: exactly one Host in HTTP/1.1.
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(ApiError::framing("a request has exactly one Host header"));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > HTTP_BODY_BYTES_MAX as u64) {
        return Err(ApiError::body_too_large(HTTP_BODY_BYTES_MAX));
    }
    if parts.method == Method::CONNECT {
        return Err(ApiError::method_not_allowed("GET, HEAD, POST, OPTIONS"));
    }
    Ok(())
}

/// Bytes of the head as the client wrote it, give or take the blanks.
fn head_bytes(uri: &Uri, headers: &HeaderMap) -> usize {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    target + fields.sum::<usize>()
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the HTTP side panic; this is a bug");
    ApiError::internal().into_response()
}
