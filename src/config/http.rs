//! `[http]`: where it answers, to whom, and behind what.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::checker::Checker;
use super::raw::{List, RawHttp};
use super::value::{self, Refusal};
use crate::limits::LISTENERS_MAX;

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Listeners; empty: no HTTP at all.
    pub listen: Vec<SocketAddr>,
    /// Origins that pages may call from, exactly as browsers send them (`https://app.example`).
    pub cors_origins: Vec<String>,
    /// Whether a truly local request to `/ice` needs no key.
    pub local_without_key: bool,
    /// Requests a second with one API key.
    pub rate_per_key: u32,
    /// Reverse proxies that are believed whom they forward for.
    pub trusted_proxies: Vec<IpNet>,
    /// Path that everything is served under, without the slash at its end; empty: at the root.
    pub base_path: String,
    /// Where people reach this from outside, without a slash at the end (`https://calls.example.org`);
    /// `None`: derived from what is open.
    pub public_url: Option<String>,
}

impl Checker<'_> {
    pub(super) fn http(&mut self, default: Http, raw: RawHttp, listen_tls: &[SocketAddr]) -> Http {
        let http = Http {
            listen: self
                .list("http.listen", raw.listen, 0..=LISTENERS_MAX, |t| value::listener(t, 8080))
                .unwrap_or(default.listen),
            cors_origins: self
                .list("http.cors_origins", raw.cors_origins, 0..=ORIGINS_MAX, value::origin)
                .unwrap_or(default.cors_origins),
            local_without_key: self.switch(raw.local_without_key, default.local_without_key),
            rate_per_key: self.number(
                "http.rate_per_key",
                raw.rate_per_key,
                default.rate_per_key,
                1..=100_000,
            ),
            trusted_proxies: self.trusted_proxies(raw.trusted_proxies),
            base_path: self.text("http.base_path", raw.base_path, default.base_path, base_path),
            public_url: self.text("http.public_url", raw.public_url, None, public_url),
        };
        let is_plain = |at: &&SocketAddr| !at.ip().is_loopback() && !listen_tls.contains(at);
        for listener in http.listen.iter().filter(is_plain) {
            self.warnings.push(format!(
                "http.listen: {listener} is reached from outside without encryption; keys and \
                 credentials can be read on the way, put a proxy with TLS in front"
            ));
        }
        if http.local_without_key {
            self.warnings.push(
                "http.local_without_key: every program on this machine gets credentials, and so \
                 does everybody behind a reverse proxy on it that adds no forwarding header"
                    .to_owned(),
            );
        }
        http
    }

    fn trusted_proxies(&mut self, raw: List) -> Vec<IpNet> {
        let key = "http.trusted_proxies";
        let found = self.list(key, raw, 0..=TRUSTED_PROXIES_MAX, trusted_network);
        let found = found.unwrap_or_default();
        self.warnings.extend(found.iter().filter_map(|(_, note)| note.clone()));
        found.into_iter().map(|(net, _)| net).collect()
    }
}

/// A network of proxies: not so wide that everybody may say who they are.
fn trusted_network(text: &str) -> Result<(IpNet, Option<String>), Refusal> {
    let (net, note) = value::network(text)?;
    let bits_min = match net {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 7,
    };
    if net.prefix_len() < bits_min {
        return Err(Refusal(format!(
            "is too wide: at least /{bits_min} here; whoever is in it can claim to be anybody"
        )));
    }
    Ok((net, note))
}

/// `/turnbell`, or empty. Only what a proxy passes on as it is, never decoded.
fn base_path(text: &str) -> Result<String, Refusal> {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~".contains(&c);
    let fits = |segment: &str| {
        !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(is_plain)
    };
    let rooted = text.strip_prefix('/').is_some_and(|path| path.split('/').all(fits));
    if text.len() > BASE_PATH_BYTES_MAX || !(text.is_empty() || rooted) {
        return Err(Refusal(format!(
            "must be empty, or a path such as \"/turnbell\": a slash at the beginning and none at \
             the end, names of letters, digits and -._~ between them, at most \
             {BASE_PATH_BYTES_MAX} bytes"
        )));
    }
    Ok(text.to_owned())
}

/// `https://calls.example.org/turnbell`, without a slash at its end; empty: `None`.
fn public_url(text: &str) -> Result<Option<String>, Refusal> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(None);
    }
    let after_scheme = text.find("://").map_or(0, |at| at + 3);
    let path_at = text[after_scheme..].find('/').map_or(text.len(), |at| after_scheme + at);
    let (origin, path) = text.split_at(path_at);
    if value::origin(origin).is_err() || base_path(path).is_err() {
        return Err(Refusal(
            "must be what people type into a browser to reach this: scheme, host, a port if it is \
             not the usual one, and http.base_path if there is one, such as \
             \"https://calls.example.org\""
                .to_owned(),
        ));
    }
    Ok(Some(text.to_owned()))
}

/// Origins pages may call from.
const ORIGINS_MAX: usize = 256;
/// Networks of proxies; a walk along a header asks all of them.
const TRUSTED_PROXIES_MAX: usize = 64;
/// Bytes of a base path.
const BASE_PATH_BYTES_MAX: usize = 128;
