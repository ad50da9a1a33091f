//! Which web pages may read what: exact origins, never a wildcard, never cookies.

use std::sync::Arc;

use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{Edge, Options};
use crate::limits::CORS_PREFLIGHT_AGE;

/// Answers preflights and marks answers that a listed page may read.
pub(crate) fn layer(edge: Arc<Edge>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |_, request| {
            let origin = claimed(&request.headers);
            matches!(origin, Claimed::One(origin)
                if is_allowed(&edge.options.read(), origin) || edge.keys.name_origin(origin))
        }))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .max_age(CORS_PREFLIGHT_AGE)
}

/// What a request says about the page it comes from.
pub(crate) enum Claimed<'a> {
    /// No browser page, or a page of our own.
    Nothing,
    /// The origin as it was written.
    One(&'a str),
    /// Two origins, or one that is no text: nobody honest sends that.
    Nonsense,
}

/// Reads the Origin header.
pub(crate) fn claimed(headers: &HeaderMap) -> Claimed<'_> {
    let mut all = headers.get_all(ORIGIN).iter();
    match (all.next().map(HeaderValue::to_str), all.next()) {
        (None, _) => Claimed::Nothing,
        (Some(Ok(origin)), None) => Claimed::One(origin),
        (Some(Err(_)), _) | (_, Some(_)) => Claimed::Nonsense,
    }
}

/// A listed origin, or in the local default one of this machine's own pages.
pub(crate) fn is_allowed(options: &Options, origin: &str) -> bool {
    options.cors_origins.contains(origin) || (options.cors_local && is_local(origin))
}

/// `http://localhost`, `http://127.0.0.1` or `http://[::1]`, with any port or none.
pub(crate) fn is_local(origin: &str) -> bool {
    let Some(authority) = origin.strip_prefix("http://") else { return false };
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(|host| {
        authority
            .strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
    })
}

/// Digits of a port number (`parse` alone would take a sign).
pub(crate) fn is_port(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_origins_are_these_three_hosts_over_http_and_nothing_that_looks_like_them() {
        for yes in [
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:65535",
            "http://[::1]:8080",
        ] {
            assert!(is_local(yes), "{yes}");
        }
        for no in [
            "null",
            "",
            "https://localhost",
            "http://localhost.evil.com",
            "http://localhost:3000.evil.com",
            "http://localhost:",
            "http://localhost:65536",
            "http://localhost:+80",
            "http://127.0.0.1.nip.io",
            "http://127.0.0.10",
            "http://[::1].evil.com",
            "http://localhost@evil.com",
            "http://evil.com",
        ] {
            assert!(!is_local(no), "{no}");
        }
    }
}
