//! The newcomer's page: a relayed call between two peer connections in one tab.
//!
//! Its files are part of the binary. No inline script or style, nothing from other origins.

use axum::response::{IntoResponse, Response};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use hyper::{StatusCode, Uri};

use super::error::ApiError;

const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Path, type and content of every file of the page.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../web/index.html")),
    ("/call.js", SCRIPT, include_str!("../web/call.js")),
    ("/media.js", SCRIPT, include_str!("../web/media.js")),
    ("/show.js", SCRIPT, include_str!("../web/show.js")),
    ("/words.js", SCRIPT, include_str!("../web/words.js")),
    ("/style.css", STYLE, include_str!("../web/style.css")),
];

/// The paths of the page.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _, _)| *path)
}

/// Answers one of [`paths`].
pub(crate) async fn get(uri: Uri) -> Response {
    let found = FILES.iter().find(|(path, _, _)| *path == uri.path());
    found.map_or_else(
        || ApiError::not_found().into_response(),
        |(_, content_type, text)| file(content_type, text),
    )
}

/// There is none; 204 keeps a 404 out of the newcomer's console.
pub(crate) async fn favicon() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        // An upgraded daemon must not meet a script of the day before.
        (CACHE_CONTROL, "no-cache"),
    ];
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
