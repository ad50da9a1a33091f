//! `POST /v1/users/{id}/revoke`: a backend, or who governs a tenant, sends a user away (P31).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Request;
use serde::{Deserialize, Serialize};

use super::Edge;
use super::access::Access;
use super::control_json::Response as Answer;
use super::error::ApiError;
use super::ice;
use super::identity::private;
use crate::auth::api_key::KeyScope;
use crate::auth::credential::turn_user;
use crate::auth::identity::{TenantId, UserId};
use crate::time::Now;

#[derive(Deserialize)]
struct Wanted {
    /// How long, seconds; until it is undone without one.
    for_s: Option<u64>,
    /// Whose user; a token or a key of one tenant says it itself.
    tenant: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    user: String,
    tenant: String,
    /// Allocations that ended.
    allocations_ended: Option<usize>,
    /// Unix milliseconds; null: until it is undone.
    until_at: Option<i64>,
}

/// Ends his pages, calls and allocations, and refuses his tokens from here on.
pub(crate) async fn revoke(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    let commands = edge.commands().ok_or_else(ApiError::not_found)?;
    let options = edge.options();
    let access = edge.admit(now, &options, &parts, KeyScope::Admin).await?;
    let Wanted { for_s, tenant: named } =
        ice::json_body(&parts.headers, body, "`for_s` (seconds), `tenant`").await?;
    let of_access = match &access {
        Access::Token(who) if who.role.governs_calls() => Some(who.tenant.clone()),
        Access::Token(_) => {
            return Err(ApiError::forbidden(
                "this token may not revoke anybody",
                "owners and admins revoke users of their tenant, keys of scope `admin` any",
            ));
        }
        Access::Key { .. } => access.key_tenant().cloned(),
        Access::Local => None,
    };
    let no_tenant = || ApiError::field("tenant", "there is no such tenant");
    let named = named.map(|text| options.identity.known_tenant(&text).ok_or_else(no_tenant));
    let tenant = match (named.transpose()?, of_access) {
        (Some(named), Some(own)) if named != own => {
            return Err(ApiError::forbidden(
                "this is for users of another tenant",
                "leave `tenant` out, or use a key that was made without --tenant",
            ));
        }
        (Some(tenant), _) | (None, Some(tenant)) => tenant,
        (None, None) => TenantId::default_tenant(),
    };
    let user = UserId::new(&id).ok_or_else(|| {
        ApiError::field("id", "a user id has 1 to 128 bytes and no control characters")
    })?;
    if matches!(&access, Access::Token(who) if who.user == user) {
        return Err(ApiError::forbidden(
            "nobody revokes himself",
            "another owner or admin can, or `turnbell revoke`",
        ));
    }
    // Without a tenant it means him of `default` and the credentials that name no tenant (`whom`).
    let is_plain = tenant == TenantId::default_tenant() && !user.as_str().contains('/');
    let name = if is_plain { user.as_str().to_owned() } else { turn_user(&tenant, &user) };
    let done = tokio::task::spawn_blocking(move || commands.revoke(now, name, for_s)).await;
    match done.map_err(|_| ApiError::internal())? {
        Ok(Answer::Revoked { closed, until_at, .. }) => Ok(private(Revoked {
            user: user.as_str().to_owned(),
            tenant: tenant.to_string(),
            allocations_ended: closed,
            until_at,
        })),
        Ok(_) => Err(ApiError::internal()),
        Err(word) => Err(ApiError::of_command(word)),
    }
}
