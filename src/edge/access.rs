//! Who may have a config: an API key, or a request that provably stays on this machine.
//!
//! A request is *truly local* if all of this holds:
//! - its TCP source is a loopback address;
//! - it is HTTP/1.1 (a reverse proxy that was set up in three lines may speak 1.0 to its backend);
//! - its Host is `localhost`, `*.localhost`, 127.0.0.0/8 or `[::1]`, so that a name somebody else
//!   points at 127.0.0.1 opens nothing;
//! - it carries no header that a proxy would have added;
//! - if a page made it, the page is a local or a listed one.
//!
//! A request from a trusted proxy is truly local only if the proxy says that its client is; one
//! that comes from there and says nothing is not. Of others, a forwarding header that is there is
//! enough to make a request not local.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};

use hyper::Version;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::cors::{self, Claimed};
use super::error::ApiError;
use super::forwarded::{HttpClient, Told};
use super::ice_urls::Vantage;
use super::{Edge, Options, scopes};
use crate::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope, PREFIX};
use crate::auth::identity::Identity;
use crate::policy::shield::{AnswerKind, Cut};
use crate::time::Now;

/// Source of the TCP connection; the listener puts it into every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpPeer(pub SocketAddr);

/// On what ground a request passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// With an API key.
    Key {
        /// Its id in the record.
        id: Box<str>,
        /// Its hash.
        hash: ApiKeyHash,
        /// What it opens.
        grant: Arc<KeyGrant>,
    },
    /// With a token that names a user: for his own config only.
    Token(Box<Identity>),
    /// Truly local, without a key.
    Local,
}

/// Why a request is not truly local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotLocal {
    Source,
    Version,
    Host,
    Forwarded,
    ProxySilent,
    Page,
}

pub(super) const HINT_KEY: &str =
    "make a key with `turnbell key add <name>` and send it as `Authorization: Bearer tbk_...`";

impl Edge {
    /// Judges a request without counting it.
    ///
    /// # Errors
    /// 401: no key and not truly local, or a key that nobody made; 403: one of other pages.
    pub(crate) fn identify(
        &self,
        now: Now,
        options: &Options,
        parts: &Parts,
    ) -> Result<Access, ApiError> {
        match presented_key(&parts.headers) {
            Presented::Key(key) => {
                let hash = ApiKeyHash::of(key);
                let found = self.keys.find(now, hash);
                let (id, grant) = found.ok_or_else(|| scopes::unknown(key))?;
                scopes::check_origin(&grant, &parts.headers)?;
                Ok(Access::Key { id, hash, grant })
            }
            Presented::Nonsense => Err(scopes::unknown("")),
            Presented::Nothing => match locality(options, parts) {
                Ok(()) => Ok(Access::Local),
                Err(why) => Err(not_local(why)),
            },
        }
    }

    /// Judges a request that makes something, and takes it from its rate.
    ///
    /// # Errors
    /// 401, 403 as [`Self::identify`]; 403 for a key without this scope; 429 over the key's rate, or over the one of all local requests.
    pub(crate) async fn admit(
        &self,
        now: Now,
        options: &Options,
        parts: &Parts,
        scope: KeyScope,
    ) -> Result<Access, ApiError> {
        let access = match presented_token(&parts.headers) {
            Some(token) => {
                options.identity.verify(now, token).await.map(|who| Access::Token(who.into()))
            }
            None => self.identify(now, options, parts),
        };
        let access = access.map_err(|refusal| self.refused(now, parts, refusal))?;
        access.may(scope)?;
        let (taken, who) = match &access {
            Access::Token(_) => {
                (self.page_may(now, parts), "this address asks for more configs than pages need")
            }
            Access::Key { hash, .. } => (
                self.keys.take(now, *hash, options.rate_per_key),
                "this API key asks for more than its rate",
            ),
            Access::Local => {
                let mut rate = self.local_rate.lock().unwrap_or_else(PoisonError::into_inner);
                (
                    rate.take(now, options.rate_per_key),
                    "programs on this machine ask for more configs than the rate",
                )
            }
        };
        if taken { Ok(access) } else { Err(ApiError::too_many(who)) }
    }

    /// Judges a request that only reads what happened: with a token as often as a page may ask.
    ///
    /// # Errors
    /// 401, 403 as [`Self::admit`], or a token that is not good; 429.
    pub(crate) async fn reader(
        &self,
        now: Now,
        parts: &Parts,
        scope: KeyScope,
    ) -> Result<Access, ApiError> {
        let options = self.options();
        let Some(token) = presented_token(&parts.headers) else {
            let access = self.identify(now, &options, parts);
            let access = access.map_err(|refusal| self.refused(now, parts, refusal))?;
            access.may(scope)?;
            return Ok(access);
        };
        let who = options.identity.verify(now, token).await;
        let who = who.map_err(|refusal| self.refused(now, parts, refusal))?;
        if !self.page_may(now, parts) {
            return Err(ApiError::too_many("this address asks for more than pages need"));
        }
        Ok(Access::Token(who.into()))
    }

    /// Judges a request for what only admins may see.
    ///
    /// # Errors
    /// 401 as [`Self::identify`]; 403 with a key for less, or for one tenant.
    pub(crate) fn admin(&self, now: Now, parts: &Parts) -> Result<(), ApiError> {
        let access = self.identify(now, &self.options(), parts);
        let access = access.map_err(|refusal| self.refused(now, parts, refusal))?;
        access.may_for_all(KeyScope::Admin)
    }

    /// From where a page sees this daemon.
    pub(crate) fn vantage(&self, parts: &Parts) -> Vantage {
        match locality(&self.options.read(), parts) {
            Ok(()) => Vantage::ThisMachine,
            Err(_) => Vantage::Elsewhere,
        }
    }

    /// Whether a request is truly local, whatever it carries.
    pub(crate) fn is_local(&self, parts: &Parts) -> bool {
        locality(&self.options.read(), parts).is_ok()
    }

    /// Takes one request of a page from what its address may ask for.
    pub(crate) fn page_may(&self, now: Now, parts: &Parts) -> bool {
        let Some(client) = parts.extensions.get::<HttpClient>() else { return true };
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.admit(now.mono, AnswerKind::Error, client.address).is_ok()
    }

    /// Refuses who has proven nothing, and says so only as often as one address may hear it.
    pub(crate) fn refused(&self, now: Now, parts: &Parts, refusal: ApiError) -> ApiError {
        let Some(client) = parts.extensions.get::<HttpClient>() else { return refusal };
        let mut shield = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        // Bytes are not what is scarce here: the permit is worth nothing.
        match shield.admit(now.mono, AnswerKind::Error, client.address) {
            Ok(_) => refusal,
            Err(Cut::Source | Cut::Total) => {
                ApiError::too_many("this address was refused too often; a valid key passes always")
            }
        }
    }
}

fn locality(options: &Options, parts: &Parts) -> Result<(), NotLocal> {
    // Without the listener's word there is no source, and nothing is local.
    let source = parts.extensions.get::<HttpPeer>().ok_or(NotLocal::Source)?.0;
    let client = parts.extensions.get::<HttpClient>().ok_or(NotLocal::Source)?;
    let is_here = source.ip().to_canonical().is_loopback() && client.address.is_loopback();
    if !options.local_without_key || !is_here {
        return Err(NotLocal::Source);
    }
    match client.told {
        Told::Direct | Told::Forwarded => {}
        Told::Nothing | Told::Unknown => return Err(NotLocal::ProxySilent),
    }
    if parts.version != Version::HTTP_11 {
        return Err(NotLocal::Version);
    }
    // Only a client that takes us for a proxy writes the absolute form; it overrides Host.
    let mut hosts = parts.headers.get_all(HOST).iter().map(HeaderValue::to_str);
    let (Some(Ok(host)), None, None) = (hosts.next(), hosts.next(), parts.uri.authority()) else {
        return Err(NotLocal::Host);
    };
    if !is_local_host(host) {
        return Err(NotLocal::Host);
    }
    let is_known = |name: &str, value: &HeaderValue| {
        client.told == Told::Forwarded && is_of_a_trusted_proxy(name, value)
    };
    let mut headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value));
    if headers.any(|(name, value)| is_forwarding_header(name) && !is_known(name, value)) {
        return Err(NotLocal::Forwarded);
    }
    let cross_site = parts.headers.get_all("sec-fetch-site").iter().any(|v| v == "cross-site");
    let page_passes = match cors::claimed(&parts.headers) {
        Claimed::Nothing => !cross_site,
        Claimed::One(origin) => {
            cors::is_local(origin)
                || cors::is_allowed(options, origin)
                || origin.strip_prefix("http://").is_some_and(|own| own == host)
        }
        Claimed::Nonsense => false,
    };
    if page_passes { Ok(()) } else { Err(NotLocal::Page) }
}

/// A Host header's value that can only mean this machine.
fn is_local_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        Some(_) | None => (host, None),
    };
    if port.is_some_and(|port| !cors::is_port(port)) {
        return false;
    }
    if let Some(v6) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
    }
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.strip_suffix(".localhost").is_some_and(|sub| !sub.is_empty())
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| IpAddr::V4(ip).is_loopback())
}

/// Headers that proxies and CDNs add. A name may stand here that nobody uses; the cost is one 401
/// on a developer's machine. One that is missing could open a server to the world.
fn is_forwarding_header(name: &str) -> bool {
    const EXACT: [&str; 17] = [
        "via",
        "forwarded",
        "forwarded-for",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-remote-ip",
        "x-remote-addr",
        "x-originating-ip",
        "x-proxyuser-ip",
        "x-envoy-external-address",
        "true-client-ip",
        "client-ip",
        "fly-client-ip",
        "fastly-client-ip",
        "cdn-loop",
        "proxy-connection",
    ];
    EXACT.contains(&name)
        || name.starts_with("x-forwarded")
        || name.starts_with("cf-")
        || name.starts_with("x-original-")
        || name.starts_with("x-azure-")
        || name.starts_with("x-appengine-")
        || name.starts_with("x-amzn-")
        || name.starts_with("cloudfront-")
}

/// What a trusted proxy may add to a request of a local client: nothing that names another host.
fn is_of_a_trusted_proxy(name: &str, value: &HeaderValue) -> bool {
    match name {
        "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-port" | "x-real-ip" => true,
        "x-forwarded-host" => value.to_str().is_ok_and(is_local_host),
        _ => false,
    }
}

enum Presented<'a> {
    Nothing,
    Key(&'a str),
    Nonsense,
}

/// What may be a token: anything but one of our keys, with the dots of a JWT.
pub(super) fn presented_token(headers: &HeaderMap) -> Option<&str> {
    match presented_key(headers) {
        Presented::Key(token) => Some(token).filter(|t| !t.starts_with(PREFIX) && t.contains('.')),
        Presented::Nothing | Presented::Nonsense => None,
    }
}

/// What follows `Bearer`, whatever it is.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    match presented_key(headers) {
        Presented::Key(key) => Some(key),
        Presented::Nothing | Presented::Nonsense => None,
    }
}

fn presented_key(headers: &HeaderMap) -> Presented<'_> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Presented::Nothing };
    if all.next().is_some() {
        return Presented::Nonsense;
    }
    match first.to_str().ok().and_then(|value| value.split_once(' ')) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Presented::Key(key.trim()),
        Some(_) | None => Presented::Nonsense,
    }
}

fn not_local(why: NotLocal) -> ApiError {
    let message = match why {
        NotLocal::Source => "an API key is needed",
        NotLocal::Version => "an API key is needed: HTTP/1.0 may come through a proxy",
        NotLocal::Host => "an API key is needed: the Host is not a name of this machine",
        NotLocal::Forwarded => "an API key is needed: a proxy forwarded this request",
        NotLocal::ProxySilent => {
            "an API key is needed: a proxy forwarded this request and did not say for whom"
        }
        NotLocal::Page => "an API key is needed: a page of another origin made this request",
    };
    ApiError::unauthorized(message, HINT_KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_leave_this_machine_are_local_hosts() {
        for yes in [
            "localhost",
            "LOCALHOST:8080",
            "app.localhost:1",
            "127.0.0.1",
            "127.255.0.3:8080",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_local_host(yes), "{yes}");
        }
        for no in [
            "",
            ":8080",
            "evil",
            "localhost.evil.com",
            "evil-localhost",
            ".localhost",
            "127.0.0.1.nip.io",
            "128.0.0.1",
            "127.1",
            "0.0.0.0",
            "[::]",
            "[::1",
            "::1",
            "[::ffff:127.0.0.1]",
            "localhost:",
            "localhost:99999",
            "localhost:+80",
            "localhost:80:80",
            "user@localhost",
            "localhost, evil",
        ] {
            assert!(!is_local_host(no), "{no}");
        }
    }
}
