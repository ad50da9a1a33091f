//! The client library at `/client/`: for our own pages and for everybody else's (P21); and the schema
//! of what it speaks (P22).
//!
//! `/client/<hash>/turnbell.js` never changes and is kept for ever; `/client/turnbell.js` is asked for
//! again each time, and the answer is mostly 304.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use hyper::{StatusCode, Uri};
use sha2::{Digest, Sha256};

use super::error::ApiError;

macro_rules! files {
    ($($name:literal,)*) => {
        /// Name and content of every file, below `/client/`.
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../web/client/", $name))),)*];
    };
}

files! {
    "account.js",
    "backoff.js",
    "call.js",
    "call_types.js",
    "components.js",
    "components/account_store.js",
    "components/alerts.js",
    "components/base.js",
    "components/phone_style.js",
    "components/stage_style.js",
    "components/styles.js",
    "components/tb-active-call.js",
    "components/tb-call-button.js",
    "components/tb-dialer.js",
    "components/tb-history.js",
    "components/tb-incoming.js",
    "components/tb-invite.js",
    "components/tb-mic-test.js",
    "components/tb-phone.js",
    "components/tb-sign-in.js",
    "components/texts.js",
    "controls.js",
    "emitter.js",
    "environment.js",
    "errors.js",
    "line.js",
    "link.js",
    "media.js",
    "negotiation.js",
    "page.css",
    "peer.js",
    "play.js",
    "session_store.js",
    "sound.js",
    "stats.js",
    "turnbell.js",
    "turnbell.v1.schema.json",
    "wordlist.js",
    "words.js",
}

/// Where they are.
pub(crate) const PATH: &str = "/client/{*file}";

const FOREVER: &str = "public, max-age=31536000, immutable";

/// Names this state of all files: 16 hexadecimal digits.
pub(crate) fn hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let mut all = Sha256::new();
        for (name, text) in FILES {
            all.update(name.len().to_le_bytes());
            all.update(name);
            all.update(text.len().to_le_bytes());
            all.update(text);
        }
        all.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    });
    &HASH
}

/// Answers [`PATH`].
pub(crate) async fn get(uri: Uri, headers: HeaderMap) -> Response {
    let asked = uri.path().strip_prefix("/client/").unwrap_or_default();
    let pinned = asked.strip_prefix(hash()).and_then(|rest| rest.strip_prefix('/'));
    let name = pinned.unwrap_or(asked);
    let Some((name, text)) = FILES.iter().find(|(known, _)| *known == name) else {
        return ApiError::not_found().into_response();
    };
    let tag = format!("\"{}\"", hash());
    let is_known =
        headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => text.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    let cache = if pinned.is_some() { FOREVER } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    // Foreign pages load modules across origins; there is nothing private in them.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "json")) => "application/json",
        Some(_) | None => "text/javascript; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn on_disk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if name == "types" => {}
                true => on_disk(&entry.path(), &format!("{prefix}{name}/"), found),
                // For bundlers and the compiler.
                false if ["package.json", "tsconfig.json"].contains(&&*name) => {}
                false => {
                    found.insert(format!("{prefix}{name}"));
                }
            }
        }
    }

    #[test]
    fn every_file_of_the_library_is_served() {
        let mut found = BTreeSet::new();
        on_disk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/client"), "", &mut found);
        let served: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(served, found);
    }
}
