//! Invites: links that let somebody in for a while without an account (P3).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::Request;
use hyper::http::request::Parts;

use super::Edge;
use super::access::{self, Access};
use super::error::ApiError;
use super::ice;
use super::identity::{IdentityOptions, guest, private};
use super::invite_json::{InviteMade, InviteWanted, InviteWord, Redeem, Redeemed};
use crate::auth::api_key::KeyScope;
use crate::auth::identity::{Role, TenantId, UserId};
use crate::auth::own_token::Invite;
use crate::auth::secret::random_bytes;
use crate::call::ulid::Ulid;
use crate::limits::identity::{
    INVITE_TTL_DEFAULT, INVITE_TTL_MAX, INVITE_TTL_MIN, INVITE_TTL_OF_MEMBERS_MAX,
    INVITE_USES_DEFAULT, INVITE_USES_MAX, INVITE_USES_OF_MEMBERS_MAX,
};
use crate::store::{InviteRow, InviteUse, Store, StoreError};
use crate::time::Now;

/// The first part of every link, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InviteBase {
    /// Scheme, host, port and base path, without a slash at the end.
    pub url: String,
    /// For a person.
    pub from: String,
}

/// Makes an invite and puts it on record. Waits for the record.
///
/// # Errors
/// What is wrong with what is wanted, or with the record.
pub(super) fn make(
    now: Now,
    store: &Store,
    identity: &IdentityOptions,
    wanted: InviteWanted,
) -> Result<InviteMade, ApiError> {
    let InviteWanted { to, tenant, ttl_s, uses } = wanted;
    let tenant = match tenant {
        None => TenantId::default_tenant(),
        Some(text) => identity
            .known_tenant(&text)
            .ok_or_else(|| ApiError::field("tenant", "there is no such tenant"))?,
    };
    let to = to.map(|to| {
        UserId::new(&to).ok_or_else(|| ApiError::field("to", "a user has 1 to 128 bytes"))
    });
    let to = to.transpose()?;
    let (low, high) = (INVITE_TTL_MIN.as_secs(), INVITE_TTL_MAX.as_secs());
    let ttl_s = ttl_s.unwrap_or(INVITE_TTL_DEFAULT.as_secs());
    if !(low..=high).contains(&ttl_s) {
        return Err(ApiError::field("ttl_s", format!("must be from {low} to {high} seconds")));
    }
    let uses = uses.unwrap_or(INVITE_USES_DEFAULT);
    if !(1..=INVITE_USES_MAX).contains(&uses) {
        return Err(ApiError::field("uses", format!("must be from 1 to {INVITE_USES_MAX}")));
    }
    let random = random_bytes::<16>().map_err(|_| ApiError::internal())?;
    let id = Ulid::new(now.unix_ms, u128::from_le_bytes(random)).to_string();
    let expires_at_unix_s = now.unix_s().saturating_add_unsigned(ttl_s);
    let invite = Invite { id: (*id).into(), tenant, to, expires_at_unix_s };
    let token = identity.own.invite(now, &invite).ok_or_else(ApiError::internal)?;
    let (tenant, to) = (invite.tenant.to_string(), invite.to.map(|to| to.to_string()));
    let expires_at = expires_at_unix_s * 1000;
    store.add_invite(InviteRow {
        id: id.clone(),
        tenant: tenant.clone(),
        to: to.clone(),
        created_at_unix_ms: now.unix_ms,
        expires_at_unix_ms: expires_at,
        uses_max: uses,
        uses: 0,
        revoked_at_unix_ms: None,
    })?;
    let InviteBase { url, from } = identity.invite_base.clone();
    let url = format!("{url}/j/#{token}");
    Ok(InviteMade { url, url_from: from, token, id, tenant, to, expires_at, uses })
}

/// `POST /v1/invites`: for who runs the place, or a tenant of it.
pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    let store = edge.store().ok_or_else(ApiError::not_found)?.clone();
    let options = edge.options();
    let access = edge.admit(now, &options, &parts, KeyScope::Calls).await?;
    let mut wanted: InviteWanted =
        ice::json_body(&parts.headers, body, "`to`, `tenant`, `ttl_s`, `uses`").await?;
    let own = match &access {
        Access::Token(who) => {
            if !options.identity.inviters.hold(who, edge.is_local(&parts)) {
                return Err(ApiError::forbidden(
                    "this user may not invite anybody",
                    "identity.invites in the config says who may; `turnbell invite` and API keys \
                     of scope `calls` always do",
                ));
            }
            if !who.role.governs_calls() {
                check_modest(&wanted)?;
            }
            Some(&who.tenant)
        }
        Access::Key { .. } | Access::Local => access.key_tenant(),
    };
    if let Some(own) = own {
        if wanted.tenant.as_deref().is_some_and(|tenant| tenant != own.as_str()) {
            return Err(ApiError::forbidden(
                "this is an invite into another tenant",
                "owners, admins and members invite into their own; a key without --tenant into any",
            ));
        }
        wanted.tenant = Some(own.to_string());
    }
    let identity = options.identity.clone();
    let made = tokio::task::spawn_blocking(move || make(now, &store, &identity, wanted)).await;
    made.map_err(|_| ApiError::internal())?.map(private)
}

/// What members make without asking anybody is for a few people and for a few days.
fn check_modest(wanted: &InviteWanted) -> Result<(), ApiError> {
    let most = INVITE_TTL_OF_MEMBERS_MAX.as_secs();
    if wanted.ttl_s.is_some_and(|ttl_s| ttl_s > most) {
        let message = format!("members make invites for at most {most} seconds");
        return Err(ApiError::field("ttl_s", message));
    }
    if wanted.uses.is_some_and(|uses| uses > INVITE_USES_OF_MEMBERS_MAX) {
        let message = format!("members make invites for at most {INVITE_USES_OF_MEMBERS_MAX} uses");
        return Err(ApiError::field("uses", message));
    }
    Ok(())
}

/// Whether a page may invite, for it to know before it tries.
///
/// # Errors
/// 429.
pub(super) async fn may_page(edge: &Edge, parts: &Parts) -> Result<bool, ApiError> {
    let (now, options) = (Now::read(), edge.options());
    let inviters = options.identity.inviters;
    let Some(token) = access::presented_token(&parts.headers) else {
        return Ok(edge.store().is_some() && edge.is_local(parts));
    };
    if !edge.page_may(now, parts) {
        return Err(ApiError::too_many("this address asks for more than pages need"));
    }
    let who = options.identity.verify(now, token).await;
    Ok(who.is_ok_and(|who| inviters.hold(&who, edge.is_local(parts))))
}

/// `POST /v1/invites/redeem`: whoever has the link becomes a guest of that tenant.
pub(crate) async fn redeem(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    let store = edge.store().ok_or_else(ApiError::not_found)?.clone();
    if !edge.page_may(now, &parts) {
        return Err(ApiError::too_many("this address has tried enough invites"));
    }
    let asked: Redeem = ice::json_body(&parts.headers, body, "`token` and `name` (texts)").await?;
    let options = edge.options();
    let identity = &options.identity;
    let invite = identity.own.read_invite(now, &asked.token).map_err(|why| {
        tracing::debug!(%why, "an invite does not count");
        if why.is_expired() { expired() } else { ApiError::gone("invite_invalid", UNKNOWN) }
    })?;
    let tenant = identity.tenants.options_by_tenant.get(&invite.tenant);
    if tenant.is_none_or(|tenant| tenant.is_suspended) {
        return Err(ApiError::gone("tenant_suspended", "nobody is let in there at the moment"));
    }
    let id = invite.id.to_string();
    let used = tokio::task::spawn_blocking(move || store.use_invite(&id, now)).await;
    match used.map_err(|_| ApiError::internal())?? {
        InviteUse::Granted => {}
        InviteUse::UsedUp => {
            return Err(ApiError::gone(
                "invite_used_up",
                "this invite was used as often as it may",
            ));
        }
        InviteUse::Revoked => {
            return Err(ApiError::gone("invite_revoked", "this invite was taken back"));
        }
        InviteUse::Expired => return Err(expired()),
        InviteUse::Unknown => return Err(ApiError::gone("invite_invalid", UNKNOWN)),
    }
    let mut who = guest(now, &asked.name)?;
    who.tenant = invite.tenant;
    // Who is here for one person need not see everybody else (P27).
    who.role = if invite.to.is_some() { Role::Visitor } else { Role::Member };
    let token = identity.own.session(now, &who).ok_or_else(ApiError::internal)?;
    Ok(private(Redeemed {
        token,
        user: who.user.to_string(),
        name: who.name,
        tenant: who.tenant.to_string(),
        to: invite.to.map(|to| to.to_string()),
        expires_at: who.expires_at_unix_s.unwrap_or_default() * 1000,
    }))
}

const UNKNOWN: &str = "this invite is not one of ours; ask for a new link";

fn expired() -> ApiError {
    ApiError::gone("invite_expired", "this invite has expired; ask for a new link")
}

impl From<StoreError> for ApiError {
    fn from(why: StoreError) -> Self {
        if matches!(why, StoreError::InvitesFull) {
            return Self::too_many("there are as many invites as there may be");
        }
        tracing::warn!(%why, "an invite is not on record");
        Self::store_unavailable()
    }
}

impl From<InviteRow> for InviteWord {
    fn from(row: InviteRow) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant,
            to: row.to,
            created_at: row.created_at_unix_ms,
            expires_at: row.expires_at_unix_ms,
            uses: row.uses_max,
            used: row.uses,
            revoked_at: row.revoked_at_unix_ms,
        }
    }
}
