//! `GET /ice` (and `/v1/ice`): a config that `new RTCPeerConnection()` takes as it is.
//!
//! Parameters, in the query of a GET or the JSON body of a POST: `user`, the name after the expiry
//! in the TURN username (random without one), and `ttl`, seconds. Others are ignored, so that a
//! client may send what it likes to newer and older servers alike.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Edge;
use super::access::Access;
use super::error::ApiError;
use super::exact::Object;
use super::forwarded::HttpClient;
use super::ice_urls::{UrlSources, Vantage};
use super::json::{IceConfig, IceRequest, IceServer};
use crate::auth::credential::{Issued, User, UserError, issue};
use crate::auth::identity::Identity;
use crate::auth::secret::Secret;
use crate::auth::user_hash::IssuedNames;
use crate::limits::{HTTP_BODY_BYTES_MAX, TTL_MAX, TTL_MIN};
use crate::time::Now;

/// What `/ice` hands out.
#[derive(Debug)]
pub struct IceOptions {
    /// The secret that issues: the first of the active ones.
    pub secret: Secret<String>,
    /// Where the relay looks for the names that are issued here.
    pub issued: Arc<IssuedNames>,
    /// Lifetime where the request names none; [`TTL_MIN`]..=[`TTL_MAX`], whole seconds.
    pub ttl_default: Duration,
    /// What our own URLs are made of.
    pub urls: UrlSources,
    /// `iceTransportPolicy` is `relay`, else `all`.
    pub relay_only: bool,
    /// Our own STUN as an entry of its own, first.
    pub stun: bool,
    /// Other people's servers.
    pub foreign: Vec<ForeignServer>,
}

/// An entry for a server that is not ours.
#[derive(Debug, Clone)]
pub struct ForeignServer {
    /// Before or after our own entries.
    pub place: Place,
    /// Its URLs, never empty; checked by the config.
    pub urls: Vec<String>,
    /// How a client proves itself there.
    pub auth: ForeignAuth,
}

/// Where a foreign entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Tried before ours.
    Before,
    /// Tried after ours.
    After,
}

/// How a client proves itself to a foreign server.
#[derive(Debug, Clone)]
pub enum ForeignAuth {
    /// Not at all: plain STUN.
    None,
    /// With the same words for everyone.
    Fixed {
        /// As it stands in the entry.
        username: String,
        /// As it stands in the entry.
        credential: Secret<String>,
    },
    /// With a credential issued for each request, from the secret we share with that server.
    Secret(Secret<String>),
}

/// A credential that was handed out, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuance {
    /// When it was asked for.
    pub at_unix_ms: i64,
    /// The name after the expiry.
    pub user: Box<str>,
    /// The whole TURN username.
    pub username: Box<str>,
    /// Its end, Unix seconds.
    pub expires_at: i64,
    /// Its lifetime, seconds.
    pub ttl_s: u64,
    /// On what ground.
    pub access: Access,
    /// Whom the request came from; `None` if only a proxy knows.
    pub peer: Option<IpAddr>,
}

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, _) = request.into_parts();
    let options = edge.options.read();
    let access = edge.admit(now, &options, &parts)?;
    answer(&edge, &options.ice, now, &parts, access, from_query(&parts)?)
}

pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    let options = edge.options.read();
    let access = edge.admit(now, &options, &parts)?;
    let request = from_body(&parts.headers, body).await?;
    answer(&edge, &options.ice, now, &parts, access, request)
}

fn answer(
    edge: &Edge,
    options: &IceOptions,
    now: Now,
    parts: &Parts,
    access: Access,
    request: IceRequest,
) -> Result<Response, ApiError> {
    // A key belongs to a backend that hands the config on; only a page that is here itself can use
    // this machine's loopback address.
    let vantage = match access {
        Access::Key { .. } => Vantage::Elsewhere,
        Access::Local => Vantage::ThisMachine,
        Access::Token(_) => edge.vantage(parts),
    };
    let (user, ttl_s) = match &access {
        Access::Key { .. } | Access::Local => checked(request, options.ttl_default)?,
        Access::Token(identity) => of_token(now, identity, request, options.ttl_default)?,
    };
    let client = parts.extensions.get::<HttpClient>().and_then(HttpClient::known);
    let has_turn = match &access {
        Access::Key { .. } | Access::Local => true,
        Access::Token(identity) => edge.may_relay(identity)?,
    };
    let wanted = Wanted { user: &user, ttl_s, vantage, has_turn };
    let config = edge.ice_config(now, wanted, access, client).ok_or_else(ApiError::draining)?;
    let mut response = Json(config).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What a config is to hold.
pub(super) struct Wanted<'a> {
    /// The name after the expiry.
    pub(super) user: &'a User,
    /// Lifetime of the credential, seconds.
    pub(super) ttl_s: u64,
    /// From where the URLs will be used.
    pub(super) vantage: Vantage,
    /// Whether TURN servers may be named at all.
    pub(super) has_turn: bool,
}

impl Edge {
    /// Whether his tenant hands out TURN servers.
    ///
    /// # Errors
    /// 403 if nobody of it is let in.
    fn may_relay(&self, who: &Identity) -> Result<bool, ApiError> {
        let options = self.options();
        match options.identity.tenants.options_by_tenant.get(&who.tenant) {
            Some(tenant) if !tenant.is_suspended => Ok(tenant.turn_enabled),
            Some(_) | None => Err(ApiError::forbidden(
                "the tenant of this token is unknown here or suspended",
                "[tenant.<id>] in the config of the daemon says who is let in",
            )),
        }
    }

    /// Makes a config and puts it on record; `None` if this node drains and names no other one.
    pub(super) fn ice_config(
        &self,
        now: Now,
        wanted: Wanted<'_>,
        access: Access,
        client: Option<IpAddr>,
    ) -> Option<IceConfig> {
        let options = &self.options().ice;
        let Wanted { user, ttl_s, vantage, has_turn } = wanted;
        let expires_at = now.unix_s().saturating_add_unsigned(ttl_s);
        let issued = issue(&options.secret, user, expires_at);
        options.issued.note(&issued);
        let draining = self.is_draining();
        let mut ice_servers = if draining {
            options.foreign_servers(user, &issued)
        } else {
            options.servers(now, vantage, user, &issued)
        };
        if !has_turn {
            ice_servers.retain(|server| server.username.is_none());
        }
        // Without any, a page would sit there with no relay and no reason.
        if draining && ice_servers.is_empty() {
            return None;
        }
        // While draining no credential of ours was handed out.
        if !draining && has_turn {
            (self.record)(Issuance {
                at_unix_ms: now.unix_ms,
                user: user.counted_as().into(),
                username: issued.username.into_boxed_str(),
                expires_at,
                ttl_s,
                access,
                peer: client,
            });
        }
        Some(IceConfig {
            ice_servers,
            ice_transport_policy: if options.relay_only { "relay" } else { "all" },
            ttl: ttl_s,
            expires_at,
            refresh_after: ttl_s * 4 / 5,
        })
    }
}

/// A page's own config (P1): the TURN user is the token's, and the credential ends with the token.
fn of_token(
    now: Now,
    identity: &Identity,
    request: IceRequest,
    ttl_default: Duration,
) -> Result<(User, u64), ApiError> {
    if request.user.is_some() {
        return Err(ApiError::field("user", "the token says who this is; leave user out"));
    }
    let (_, ttl_s) = checked(request, ttl_default)?;
    let left = identity.expires_at_unix_s.map_or(i64::MAX, |end| end - now.unix_s());
    // Who passed has time left, or is within the skew that is forgiven.
    let left = u64::try_from(left).unwrap_or(0).max(1);
    Ok((User::of_session(identity, "ice"), ttl_s.min(left)))
}

impl IceOptions {
    /// Foreign entries alone, in their order.
    fn foreign_servers(&self, user: &User, issued: &Issued) -> Vec<IceServer> {
        let places = [Place::Before, Place::After].into_iter();
        places.flat_map(|place| self.foreign_at(place, user, issued)).collect()
    }

    fn foreign_at(&self, place: Place, user: &User, issued: &Issued) -> Vec<IceServer> {
        let entries = self.foreign.iter().filter(|server| server.place == place);
        entries.map(|server| server.entry(user, issued.expires_at)).collect()
    }

    /// Foreign entries before, our STUN, our TURN, foreign entries after.
    fn servers(&self, now: Now, vantage: Vantage, user: &User, issued: &Issued) -> Vec<IceServer> {
        let mut servers = self.foreign_at(Place::Before, user, issued);
        if let Some(url) = self.urls.stun_url(vantage).filter(|_| self.stun) {
            servers.push(IceServer { urls: vec![url], username: None, credential: None });
        }
        let urls = self.urls.turn_urls(now, vantage);
        // `urls: []` would make the browser throw.
        if !urls.is_empty() {
            servers.push(IceServer {
                urls,
                username: Some(issued.username.clone()),
                credential: Some(issued.credential.expose().clone()),
            });
        }
        servers.extend(self.foreign_at(Place::After, user, issued));
        servers
    }
}

impl ForeignServer {
    fn entry(&self, user: &User, expires_at: i64) -> IceServer {
        let (username, credential) = match &self.auth {
            ForeignAuth::None => (None, None),
            ForeignAuth::Fixed { username, credential } => {
                (Some(username.clone()), Some(credential.expose().clone()))
            }
            ForeignAuth::Secret(secret) => {
                let issued = issue(secret, user, expires_at);
                (Some(issued.username), Some(issued.credential.expose().clone()))
            }
        };
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

/// Checks both parameters; the lifetime comes back in seconds.
///
/// # Errors
/// 400 naming the field; 500 where the kernel has no entropy.
pub(crate) fn checked(request: IceRequest, ttl_default: Duration) -> Result<(User, u64), ApiError> {
    let user = match &request.user {
        // Percent-decoding puts U+FFFD where bytes are no UTF-8: two names would become one.
        Some(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
            return Err(ApiError::field("user", "user must be UTF-8"));
        }
        Some(text) => User::parse(text)
            .map_err(|why: UserError| ApiError::field("user", format!("user {why}")))?,
        None => User::random().map_err(|_| ApiError::internal())?,
    };
    let ttl_s = request.ttl.unwrap_or(ttl_default.as_secs());
    if !(TTL_MIN.as_secs()..=TTL_MAX.as_secs()).contains(&ttl_s) {
        return Err(bad_ttl());
    }
    Ok((user, ttl_s))
}

fn bad_ttl() -> ApiError {
    let (min, max) = (TTL_MIN.as_secs(), TTL_MAX.as_secs());
    ApiError::field("ttl", format!("ttl must be a whole number of seconds from {min} to {max}"))
}

fn from_query(parts: &Parts) -> Result<IceRequest, ApiError> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
        return Err(ApiError::bad_request("the query is not of the form name=value&..."));
    };
    let mut request = IceRequest::default();
    for (name, value) in pairs {
        match name.as_str() {
            "user" if request.user.is_some() => {
                return Err(ApiError::field("user", "user is given twice"));
            }
            "user" => request.user = Some(value),
            "ttl" if request.ttl.is_some() => {
                return Err(ApiError::field("ttl", "ttl is given twice"));
            }
            "ttl" => {
                let digits = !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit());
                request.ttl = Some(value.parse().ok().filter(|_| digits).ok_or_else(bad_ttl)?);
            }
            _ => {}
        }
    }
    Ok(request)
}

async fn from_body(headers: &HeaderMap, body: Body) -> Result<IceRequest, ApiError> {
    json_body(headers, body, "`user` (text) and `ttl` (whole seconds)").await
}

/// Reads a JSON object; `what` says what it may hold.
///
/// # Errors
/// 415 if it is not declared as JSON, 400 if it is none, or not of this form.
pub(super) async fn json_body<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    what: &str,
) -> Result<T, ApiError> {
    let essence = |value: &HeaderValue| {
        let text = value.to_str().ok()?;
        Some(text.split(';').next()?.trim().eq_ignore_ascii_case("application/json"))
    };
    if headers.get(CONTENT_TYPE).and_then(essence) != Some(true) {
        return Err(ApiError::not_json());
    }
    let Ok(bytes) = axum::body::to_bytes(body, HTTP_BODY_BYTES_MAX).await else {
        return Err(ApiError::bad_request("the body did not arrive whole"));
    };
    serde_json::from_slice(&bytes).map(|Object(read)| read).map_err(|why| {
        ApiError::bad_request(format!("the body must be a JSON object with {what}: {why}"))
    })
}
