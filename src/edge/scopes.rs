//! What the key of a request opens, for whom, and from which pages (P9).

use hyper::header::{HOST, HeaderMap};
use hyper::http::request::Parts;

use super::Edge;
use super::access::{Access, HINT_KEY};
use super::cors::{self, Claimed};
use super::error::ApiError;
use crate::auth::api_key::{KeyGrant, KeyScope, LINK_PREFIX};
use crate::auth::identity::TenantId;
use crate::time::Now;

impl Access {
    /// Whether a key, if one was sent, opens this. What others may is said by who they are.
    ///
    /// # Errors
    /// 403, with the scope that is missing.
    pub(crate) fn may(&self, scope: KeyScope) -> Result<(), ApiError> {
        match self {
            Self::Key { grant, .. } if !grant.has(scope) => Err(missing(scope)),
            Self::Key { .. } | Self::Token(_) | Self::Local => Ok(()),
        }
    }

    /// Whether all addresses in full are for these eyes (P8): an admin's, and on this machine.
    pub(crate) fn is_admin(&self) -> bool {
        match self {
            Self::Key { .. } => self.may_for_all(KeyScope::Admin).is_ok(),
            Self::Local => true,
            Self::Token(_) => false,
        }
    }

    /// The one tenant that a key is for.
    pub(crate) fn key_tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Key { grant, .. } => grant.tenant.as_ref(),
            Self::Token(_) | Self::Local => None,
        }
    }

    /// What concerns the whole daemon: no token, and no key of one tenant.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn may_for_all(&self, scope: KeyScope) -> Result<(), ApiError> {
        self.may(scope)?;
        match self.key_tenant() {
            Some(_) => Err(ApiError::forbidden(
                "this key is for one tenant, and this concerns all of them",
                "make a key without --tenant",
            )),
            None => Ok(()),
        }
    }
}

impl Edge {
    /// Judges a request of who verifies (P8): an admin, a user, or who has a link for it; the last
    /// two as often as a page may ask.
    ///
    /// # Errors
    /// 401, 403, 429 as [`Self::reader`].
    pub(super) async fn verifier(&self, now: Now, parts: &Parts) -> Result<Access, ApiError> {
        let access = self.reader(now, parts, KeyScope::Verify).await?;
        let is_counted = match &access {
            Access::Key { grant, .. } => !grant.has(KeyScope::Admin),
            // A token's request was counted already.
            Access::Token(_) | Access::Local => false,
        };
        if is_counted && !self.page_may(now, parts) {
            return Err(ApiError::too_many("this address asks for more than pages need"));
        }
        Ok(access)
    }
}

/// Refuses a key that nobody made, or that is good no more.
pub(super) fn unknown(key: &str) -> ApiError {
    if key.starts_with(LINK_PREFIX) {
        return ApiError::unauthorized(
            "this link has ended: it was good for a day, or was taken back",
            "ask who sent it for a new one; `turnbell verify --link` makes it",
        );
    }
    ApiError::unauthorized("this API key does not exist (or is revoked)", HINT_KEY)
}

/// A key that names origins is for their pages alone.
///
/// # Errors
/// 403 for a page of another origin, and for who says of none.
pub(super) fn check_origin(grant: &KeyGrant, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_listed = |origin: &str| grant.origins.iter().any(|own| **own == *origin);
    let passes = grant.origins.is_empty()
        || match cors::claimed(headers) {
            Claimed::One(origin) => is_listed(origin),
            Claimed::Nonsense => false,
            // A browser names no origin in a GET to where its page came from, and says so.
            Claimed::Nothing => {
                let is_own_page = headers.get("sec-fetch-site").is_some_and(|v| v == "same-origin");
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let schemes = ["https://", "http://"];
                is_own_page
                    && host.is_some_and(|h| schemes.iter().any(|s| is_listed(&[s, h].concat())))
            }
        };
    if passes {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "this key is for the pages of certain origins alone, and this is none of them",
        "`turnbell key list` shows which; servers use a key that was made without --origin",
    ))
}

fn missing(scope: KeyScope) -> ApiError {
    let (message, hint) = match scope {
        KeyScope::Ice => (
            "this key has not the scope `ice`, which asks for ICE configs",
            "`turnbell key add <name> --scope ice` makes one that has; `turnbell key list` shows \
             what each opens",
        ),
        KeyScope::Calls => (
            "this key has not the scope `calls`, which ends calls and makes invites",
            "`turnbell key add <name> --scope calls` makes one that has; `turnbell key list` shows \
             what each opens",
        ),
        KeyScope::Log => (
            "this key has not the scope `log`, which reads what happened",
            "`turnbell key add <name> --scope log` makes one that has; `turnbell key list` shows \
             what each opens",
        ),
        KeyScope::Verify => (
            "this key has not the scope `verify`, which verifies from a page",
            "`turnbell key add <name> --scope verify` makes one that has; `turnbell verify --link` \
             makes a link that is good for a day",
        ),
        KeyScope::Admin => (
            "this key has not the scope `admin`",
            "`turnbell key add <name> --scope admin` makes one that has; `turnbell key list` shows \
             what each opens",
        ),
    };
    ApiError::forbidden(message, hint)
}
