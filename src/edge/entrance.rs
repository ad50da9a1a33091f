//! What every request passes before it is looked up: is it well-formed, who sent it, and does it
//! ask for something under `http.base_path`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, LOCATION,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri, Version};
use tokio::time::timeout;

use super::access::HttpPeer;
use super::error::ApiError;
use super::forwarded::{self, HttpClient};
use super::silent::InRow;
use super::{Edge, Options};
use crate::limits::probe::VERIFY_REPORT_BODY_BYTES_MAX;
use crate::limits::record::NOTES_BODY_BYTES_MAX;
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_SWALLOW_BYTES_MAX};

/// Lets a request in under the path it has without the prefix.
pub(super) async fn enter(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let options = edge.options.read();
    if let Err(error) = well_formed(&parts) {
        if let Some(in_row) = parts.extensions.get::<Arc<InRow>>() {
            // What follows is for the client's sake alone: it may be cut for others.
            in_row.falls_silent();
        }
        let _ = timeout(options.request_timeout, swallow(&parts.headers, body)).await;
        return error.into_response();
    }
    match within(&options.base_path, &parts.uri) {
        Within::Yes(uri) => parts.uri = uri,
        Within::WithoutSlash(location) => return to(&location),
        Within::No => return ApiError::not_found().into_response(),
    }
    introduce(&edge, &options, &mut parts);
    let asks_for_another_protocol = parts.headers.contains_key(UPGRADE);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    // Behind such a head line ends are not looked at (`strict_head`): no request may follow it.
    if asks_for_another_protocol && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads what is sent along with a request that is refused: a proxy that finds the connection closed
/// while it still sends says 502, and nobody hears why.
async fn swallow(headers: &HeaderMap, mut body: Body) {
    // Who waits to be asked for the body has not sent any. What is chunked is not looked at.
    let is_bounded = content_length(headers).is_some_and(|it| it <= HTTP_SWALLOW_BYTES_MAX as u64);
    if is_bounded && !headers.contains_key(EXPECT) && !headers.contains_key(TRANSFER_ENCODING) {
        while let Some(Ok(_)) = body.frame().await {}
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Says who the client is, to all who ask further in.
fn introduce(edge: &Edge, options: &Options, parts: &mut Parts) {
    // Without the listener's word there is no client.
    let Some(HttpPeer(peer)) = parts.extensions.get().copied() else { return };
    let peer = peer.ip().to_canonical();
    let trusted = &options.trusted_proxies;
    if forwarded::names_a_client(&parts.headers) && !forwarded::is_trusted(peer, trusted) {
        edge.proxy_watch.note(peer);
    }
    parts.extensions.insert(HttpClient::of(peer, &parts.headers, trusted));
}

enum Within {
    /// With the URI it has from there on.
    Yes(Uri),
    /// The prefix itself: relative URLs of the page would leave it. With what is right.
    WithoutSlash(HeaderValue),
    No,
}

fn within(base: &str, uri: &Uri) -> Within {
    if base.is_empty() {
        return Within::Yes(uri.clone());
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    match uri.path().strip_prefix(base) {
        // Relative, for nobody here knows what a proxy in front makes of host and path.
        Some("") => {
            let last = base.rsplit('/').next().unwrap_or_default();
            HeaderValue::try_from(format!("{last}/{query}"))
                .map_or(Within::No, Within::WithoutSlash)
        }
        Some(rest) if rest.starts_with('/') => {
            let mut inner = uri.clone().into_parts();
            inner.path_and_query = PathAndQuery::try_from(format!("{rest}{query}")).ok();
            Uri::from_parts(inner).map_or(Within::No, Within::Yes)
        }
        Some(_) | None => Within::No,
    }
}

/// 307: the method stays, and no browser keeps it when the config changes.
fn to(location: &HeaderValue) -> Response {
    let headers =
        [(LOCATION, location.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

/// Refuses what is too large or can be read in two ways.
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
    let most = body_bytes_max(&parts.method, parts.uri.path());
    if content_length(headers).is_some_and(|length| length > most as u64) {
        return Err(ApiError::body_too_large(most));
    }
    if parts.method == Method::CONNECT {
        return Err(ApiError::method_not_allowed("GET, HEAD, POST, OPTIONS"));
    }
    Ok(())
}

/// Of a path as the client wrote it, with any prefix.
fn body_bytes_max(method: &Method, path: &str) -> usize {
    match *method {
        Method::PATCH => NOTES_BODY_BYTES_MAX,
        Method::POST if path.contains("/api/ice-verify/runs/") && path.ends_with("/report") => {
            VERIFY_REPORT_BODY_BYTES_MAX
        }
        _ => HTTP_BODY_BYTES_MAX,
    }
}

/// Bytes of the head as the client wrote it, give or take the blanks.
fn head_bytes(uri: &Uri, headers: &HeaderMap) -> usize {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    target + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base: &str, uri: &str) -> String {
        match within(base, &uri.parse().unwrap()) {
            Within::Yes(uri) => uri.to_string(),
            Within::WithoutSlash(location) => format!("-> {}", location.to_str().unwrap()),
            Within::No => "no".to_owned(),
        }
    }

    #[test]
    fn what_is_under_the_prefix_is_looked_up_without_it() {
        for (base, uri, found) in [
            ("", "/ice?x=1", "/ice?x=1"),
            ("", "*", "*"),
            ("/turn", "/turn/ice?x=1", "/ice?x=1"),
            ("/turn", "/turn/", "/"),
            ("/turn", "/turn//ice", "//ice"),
            ("/turn", "/turn/turn/ice", "/turn/ice"),
            ("/a/b", "/a/b/ice", "/ice"),
            ("/turn", "http://localhost/turn/ice", "http://localhost/ice"),
            ("/turn", "/turn", "-> turn/"),
            ("/turn", "/turn?x=//evil", "-> turn/?x=//evil"),
            ("/a/b", "/a/b", "-> b/"),
            ("/turn", "/", "no"),
            ("/turn", "/ice", "no"),
            ("/turn", "/turnip", "no"),
            ("/turn", "/turn%2Fice", "no"),
            ("/turn", "/TURN/ice", "no"),
            ("/turn", "//turn/ice", "no"),
            ("/turn", "/x/../turn/ice", "no"),
            ("/turn", "*", "no"),
            ("/a/b", "/a/", "no"),
        ] {
            assert_eq!(at(base, uri), found, "{base} {uri}");
        }
    }
}
