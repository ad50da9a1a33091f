//! Our own pages: the phone at `/`, the same behind an invite at `/j/`, and the self-test.
//!
//! Their files are part of the binary. No inline script or style, nothing from other origins.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, VARY,
};
use hyper::{StatusCode, Uri};

use super::assets;
use super::error::ApiError;

const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Path, type and content of every file of the pages; `{hash}` is that of the library.
const FILES: &[(&str, &str, &str)] = &[
    ("/diagnostics/draw.js", SCRIPT, include_str!("../web/diagnostics/draw.js")),
    ("/diagnostics/key.js", SCRIPT, include_str!("../web/diagnostics/key.js")),
    ("/diagnostics/live.js", SCRIPT, include_str!("../web/diagnostics/live.js")),
    ("/diagnostics/page.js", SCRIPT, include_str!("../web/diagnostics/page.js")),
    ("/diagnostics/plot.js", SCRIPT, include_str!("../web/diagnostics/plot.js")),
    ("/diagnostics/style.css", STYLE, include_str!("../web/diagnostics/style.css")),
    ("/diagnostics/words.js", SCRIPT, include_str!("../web/diagnostics/words.js")),
    ("/", HTML, include_str!("../web/index.html")),
    ("/j/", HTML, include_str!("../web/join.html")),
    ("/ice-verify/measure.js", SCRIPT, include_str!("../web/ice-verify/measure.js")),
    ("/ice-verify/show.js", SCRIPT, include_str!("../web/ice-verify/show.js")),
    ("/ice-verify/style.css", STYLE, include_str!("../web/ice-verify/style.css")),
    ("/ice-verify/verify.js", SCRIPT, include_str!("../web/ice-verify/verify.js")),
    ("/ice-verify/words.js", SCRIPT, include_str!("../web/ice-verify/words.js")),
    ("/selftest/", HTML, include_str!("../web/selftest/index.html")),
    ("/selftest/call.js", SCRIPT, include_str!("../web/selftest/call.js")),
    ("/selftest/media.js", SCRIPT, include_str!("../web/selftest/media.js")),
    ("/selftest/show.js", SCRIPT, include_str!("../web/selftest/show.js")),
    ("/selftest/words.js", SCRIPT, include_str!("../web/selftest/words.js")),
    ("/selftest/style.css", STYLE, include_str!("../web/selftest/style.css")),
];

/// Pages at paths that also answer JSON.
const PAGES: &[(&str, &str)] = &[("/diagnostics", include_str!("../web/diagnostics/index.html"))];

/// One of [`PAGES`], for who takes HTML there.
pub(crate) fn html(path: &str) -> Response {
    let found = PAGES.iter().find(|(known, _)| *known == path);
    found.map_or_else(|| ApiError::not_found().into_response(), |(_, text)| file(HTML, text))
}

/// The paths of the pages.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _, _)| *path)
}

/// Pages whose relative URLs need the slash that somebody forgot; a browser keeps what follows `#`.
pub(crate) const WITHOUT_SLASH: [&str; 2] = ["/j", "/selftest"];

/// Answers one of [`WITHOUT_SLASH`]. Relative, for nobody here knows the prefix of a proxy.
pub(crate) async fn add_slash(uri: Uri) -> Response {
    let location = if uri.path() == "/j" { "j/" } else { "selftest/" };
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response()
}

/// Answers one of [`paths`].
pub(crate) async fn get(uri: Uri) -> Response {
    let found = FILES.iter().zip(TEXTS.iter()).find(|((path, _, _), _)| *path == uri.path());
    found.map_or_else(
        || ApiError::not_found().into_response(),
        |((_, content_type, _), text)| file(content_type, text),
    )
}

/// The page at `/ice-verify`, for who asks for HTML there.
pub(crate) fn ice_verify() -> Response {
    let mut response = file(HTML, include_str!("../web/ice-verify/index.html"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// Whether a browser asks, and not a program: its `Accept` holds `text/html` (P20).
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = texts.flat_map(|text| text.split(','));
    kinds.any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
    })
}

/// There is none; 204 keeps a 404 out of the newcomer's console.
pub(crate) async fn favicon() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// What [`FILES`] hold, with the hash in its place.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    FILES.iter().map(|(_, _, text)| text.replace("{hash}", assets::hash())).collect()
});

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
