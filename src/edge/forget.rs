//! `DELETE /v1/users/{id}` and `turnbell forget`: a person is taken out of the record (P33).
//!
//! What he has goes first: his pages, calls and allocations end, so that nothing writes of him while
//! he is forgotten. He is not locked out: with a token that is still good he is somebody new.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{Request, StatusCode};

use super::Edge;
use super::calls::{Viewer, pairs, private};
use super::commands::{Commands, failed, wrong};
use super::control_json;
use super::error::ApiError;
use super::forget_json::ForgottenWord;
use super::json::ErrorWord;
use super::revoke::Told;
use super::usage::{known, no_such_tenant};
use crate::auth::api_key::KeyScope;
use crate::auth::credential::turn_user;
use crate::auth::identity::{TenantId, UserId};
use crate::limits::RECORD_ORDER_TIMEOUT;
use crate::store::{Acknowledge, Person};
use crate::turn::contract::Command;

/// `DELETE /v1/users/{id}?tenant=`
pub(crate) async fn delete(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let commands = edge.commands().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts, KeyScope::Admin).await?;
    let asked = pairs(&parts)?.into_iter().find(|(name, _)| name == "tenant");
    let tenant = match (&viewer, asked) {
        (Viewer::Everything, None) => TenantId::default_tenant(),
        // One that is no longer in the config may still be on record.
        (Viewer::Everything, Some((_, tenant))) => {
            known(&edge, &tenant).or_else(|_| TenantId::new(&tenant).ok_or_else(no_such_tenant))?
        }
        (Viewer::Keyed(own), asked) => {
            if asked.is_some_and(|(_, tenant)| tenant != own.as_str()) {
                return Err(no_such_tenant());
            }
            own.clone()
        }
        (Viewer::Tenant(own), asked) => {
            if asked.is_some_and(|(_, tenant)| tenant != own.tenant.as_str()) {
                return Err(no_such_tenant());
            }
            own.tenant.clone()
        }
        (Viewer::User(_), _) => {
            return Err(ApiError::forbidden(
                "this token may forget nobody",
                "owners and admins forget users of their tenant; an API key any",
            ));
        }
    };
    let user = UserId::new(&id).ok_or_else(|| ApiError::field("id", NO_USER))?;
    let who = Person { tenant, user };
    // It goes on to its end if whoever asked has left.
    let done = tokio::task::spawn_blocking(move || commands.forget_person(&who)).await;
    match done.map_err(|_| ApiError::internal())? {
        Ok(word) => Ok(private(StatusCode::OK, word)),
        Err(why) => {
            tracing::warn!(why = %why.message, "a person is not forgotten");
            Err(ApiError::store_unavailable())
        }
    }
}

const NO_USER: &str = "a user id has 1 to 128 bytes and no control characters";

impl Commands {
    pub(super) fn forget(
        &self,
        user: &str,
        tenant: Option<&str>,
        really: bool,
    ) -> Result<control_json::Response, ErrorWord> {
        let tenant = match tenant {
            None => TenantId::default_tenant(),
            Some(tenant) => TenantId::new(tenant)
                .ok_or_else(|| wrong("tenant", "a tenant has 1 to 32 of a-z, 0-9 and -"))?,
        };
        let user = UserId::new(user).ok_or_else(|| wrong("user", NO_USER))?;
        let who = Person { tenant, user };
        let word = if really {
            self.forget_person(&who)?
        } else {
            ForgottenWord::of(&who, false, None, self.store.on_record_of(&who)?)
        };
        Ok(control_json::Response::Forgotten(word))
    }

    fn forget_person(&self, who: &Person) -> Result<ForgottenWord, ErrorWord> {
        let ended = self.end_all_of(who)?;
        // What ended by that is on its way to the record, under his name.
        let (told, written) = sync_channel(1);
        self.store.when_written(Acknowledge::new(move |result| {
            let _ = told.try_send(result.is_ok());
        }));
        if written.recv_timeout(RECORD_ORDER_TIMEOUT) != Ok(true) {
            return Err(failed("store_unavailable", "the record is not being written; try again"));
        }
        let forgotten = self.store.forget(who)?;
        tracing::info!(rows = forgotten.rows.iter().map(|row| row.rows).sum::<u64>(), "forgotten");
        Ok(ForgottenWord::of(who, true, ended, forgotten))
    }

    /// `None` where no daemon runs.
    fn end_all_of(&self, who: &Person) -> Result<Option<usize>, ErrorWord> {
        let Some(daemon) = &self.daemon else { return Ok(None) };
        let Person { tenant, user } = who;
        let no_answer = || failed("no_answer", "the daemon does not answer; nothing was forgotten");
        let is_default = *tenant == TenantId::default_tenant();
        let name = if is_default { user.to_string() } else { turn_user(tenant, user) };
        let relaying = || match (daemon.tell)(Command::End { user: (*name).into(), session: None })
        {
            Told::Done(ended) => Ok(ended),
            Told::Full | Told::NoAnswer => Err(no_answer()),
        };
        let ended = relaying()?;
        if !(daemon.end_sessions)(tenant.clone(), user.clone()) {
            return Err(no_answer());
        }
        // Once more: his pages may have asked for another one in between.
        Ok(Some(ended + relaying()?))
    }
}
