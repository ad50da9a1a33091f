//! Who may be here: tokens of issuers, guests with a token of our own (P2), and what a page may know
//! before it has one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde::{Deserialize, Serialize};

use super::Edge;
use super::error::ApiError;
use super::ice;
use super::invites::{self, InviteBase};
use super::revoked::Revoked;
use crate::auth::identity::{Identity, Role, TenantId, UserId};
use crate::auth::own_token::OwnKey;
use crate::auth::secret::random_bytes;
use crate::auth::token::{Issuers, TokenError};
use crate::call::options::{TenantOptions, Tenants};
use crate::limits::ws::{GUEST_NAME_BYTES_MAX, GUEST_TTL};
use crate::time::Now;

/// Has the keys of an issuer fetched because a token names one that is not there. `None`: nothing
/// new would come at once.
pub type FetchKeys = Arc<dyn Fn(&str) -> Option<Fetching> + Send + Sync>;
/// Over when that is done or has failed; bounded in time, and in how many wait.
pub type Fetching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whose tokens count.
#[derive(Clone)]
pub struct IdentityOptions {
    /// Our own tokens among them.
    pub issuers: Arc<Issuers>,
    /// How keys come that are not there yet.
    pub fetch_keys: FetchKeys,
    /// What we sign with.
    pub own: OwnKey,
    /// Who gets a token without having one.
    pub guests: Guests,
    /// Whose page makes invites.
    pub inviters: Inviters,
    /// All tenants there are.
    pub tenants: Arc<Tenants>,
    /// Users whose tokens do not count.
    pub revoked: Arc<Revoked>,
    /// What invite links begin with.
    pub invite_base: InviteBase,
}

/// Who may be a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// Truly local pages.
    Local,
    /// Whoever asks.
    Anyone,
    /// Nobody.
    Nobody,
}

/// Whose page makes invites. An API key with the scope `calls` and commands always do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inviters {
    /// Owners, admins, and pages on this machine.
    Local,
    /// Agents and members as well, if an issuer vouches for them: no guests.
    Members,
    /// Everybody who has a token.
    Anyone,
    /// Nobody.
    Nobody,
}

impl Inviters {
    /// Whether he may; `is_local`: his page is truly local.
    #[must_use]
    pub fn hold(self, who: &Identity, is_local: bool) -> bool {
        let is_member = match who.role {
            Role::Owner | Role::Admin | Role::Agent | Role::Member => true,
            Role::PortalCustomer | Role::Visitor | Role::Service => false,
        };
        match self {
            Self::Local => who.role.governs_calls() || is_local,
            Self::Members => is_local || is_member && who.is_verified,
            Self::Anyone => true,
            Self::Nobody => false,
        }
    }
}

impl IdentityOptions {
    /// Nobody but who holds a token of a key that nobody knows: for tests of the rest.
    ///
    /// # Errors
    /// If there is no entropy: a key that can be guessed must never be.
    pub fn none() -> Result<Self, getrandom::Error> {
        let own = OwnKey::new(&random_bytes::<32>()?);
        let tenant = (TenantId::default_tenant(), TenantOptions::default());
        Ok(Self {
            issuers: Arc::default(),
            fetch_keys: Arc::new(|_| None),
            own,
            guests: Guests::Nobody,
            inviters: Inviters::Local,
            tenants: Arc::new(Tenants { options_by_tenant: [tenant].into() }),
            revoked: Arc::default(),
            invite_base: InviteBase::default(),
        })
    }

    /// Who bears this token.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn bearer(&self, now: Now, token: &str) -> Result<Identity, TokenError> {
        let who = self.issuers.verify(now, token)?;
        if self.revoked.holds(now, &who) { Err(TokenError::Revoked) } else { Ok(who) }
    }

    /// A tenant that is in the config.
    #[must_use]
    pub fn known_tenant(&self, text: &str) -> Option<TenantId> {
        TenantId::new(text).filter(|id| self.tenants.options_by_tenant.contains_key(id))
    }

    /// Waits for the key of this token, if it is to be had and not there.
    pub(super) async fn keys_for(&self, token: &str) {
        let fetching = self.issuers.lacking(token).and_then(|issuer| (self.fetch_keys)(issuer));
        if let Some(fetching) = fetching {
            fetching.await;
        }
    }

    pub(super) async fn verify(&self, now: Now, token: &str) -> Result<Identity, ApiError> {
        self.keys_for(token).await;
        self.bearer(now, token).map_err(|why| {
            tracing::debug!(%why, "a token does not count");
            if why == TokenError::NoKeysYet {
                return ApiError::no_keys_yet();
            }
            ApiError::bad_token(why.is_expired())
        })
    }
}

impl fmt::Debug for IdentityOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityOptions").field("guests", &self.guests).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
struct Guest {
    token: String,
    user: String,
    name: Box<str>,
    /// Unix milliseconds.
    expires_at: i64,
}

/// `POST /v1/guests {"name"}`: a token of our own for somebody who has none.
pub(crate) async fn guests(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    let may = match edge.options().identity.guests {
        Guests::Anyone => true,
        Guests::Local => edge.is_local(&parts),
        Guests::Nobody => false,
    };
    if !may {
        return Err(ApiError::forbidden(
            "guests are not let in here",
            "identity.guests = \"anyone\" lets everybody in; `turnbell invite` lets one in",
        ));
    }
    if !edge.page_may(now, &parts) {
        return Err(ApiError::too_many("this address has asked for enough guest tokens"));
    }
    let asked: Asked = ice::json_body(&parts.headers, body, "`name` (text)").await?;
    let guest = guest(now, &asked.name)?;
    let token = edge.options().identity.own.session(now, &guest).ok_or_else(ApiError::internal)?;
    let expires_at = guest.expires_at_unix_s.unwrap_or_default() * 1000;
    let user = guest.user.as_str().to_owned();
    Ok(private(Guest { token, user, name: guest.name, expires_at }))
}

/// Somebody new: `g_` and 10 random characters, in the tenant `default`.
pub(super) fn guest(now: Now, name: &str) -> Result<Identity, ApiError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random = random_bytes::<10>().map_err(|_| ApiError::internal())?;
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let user = format!("g_{}", letters.iter().collect::<String>());
    let plain: String = name.chars().filter(|c| !c.is_control()).collect();
    let plain = plain.trim();
    Ok(Identity {
        tenant: TenantId::default_tenant(),
        user: UserId::new(&user).ok_or_else(ApiError::internal)?,
        role: Role::Member,
        name: plain[..plain.floor_char_boundary(GUEST_NAME_BYTES_MAX)].into(),
        is_verified: false,
        expires_at_unix_s: Some(now.unix_s() + GUEST_TTL.as_secs() as i64),
        contact: None,
        number: None,
    })
}

#[derive(Serialize)]
struct PublicConfig {
    features: Features,
    /// Whether `POST /v1/guests` would let this page in.
    guests: bool,
    /// Whether `POST /v1/invites` would let the bearer of the token that was sent along, or this page
    /// without one, invite somebody.
    invites: bool,
    /// Where the WebSocket is, from the page's own place.
    ws: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Features {
    voice: bool,
    turn: bool,
}

/// `GET /v1/config`: what a page may know before it has a token.
pub(crate) async fn config(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let invites = invites::may_page(&edge, &parts).await?;
    let guests = match edge.options().identity.guests {
        Guests::Anyone => true,
        Guests::Local => edge.is_local(&parts),
        Guests::Nobody => false,
    };
    let options = edge.options();
    let tenant = options.identity.tenants.options_by_tenant.get(&TenantId::default_tenant());
    let voice = edge.signaling().is_some() && tenant.is_some_and(|tenant| tenant.voice_enabled);
    let turn = tenant.is_some_and(|tenant| tenant.turn_enabled);
    Ok(private(PublicConfig {
        features: Features { voice, turn },
        guests,
        invites,
        ws: "v1/ws",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

pub(super) fn private(body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
