//! Links that open the page of `/ice-verify` for somebody without a key: on record, good for a day,
//! as often as wanted, until they are revoked like any key (P8).

use std::sync::{Mutex, PoisonError};

use super::commands::{Commands, Running, failed};
use super::control_json::Response;
use super::json::ErrorWord;
use super::operator_json::VerifyLink;
use crate::auth::api_key::{self, ApiKeyHash, KeyGrant, KeyScope};
use crate::limits::probe::{VERIFY_LINK_LEFT_MIN, VERIFY_LINK_TTL};
use crate::time::Now;

/// The one that `turnbell verify` shows beside its result, again and again, so that a job which runs
/// it every minute makes two a day. In memory only: a restart forgets its text, not that it is good.
#[derive(Default)]
pub struct ShownLink(Mutex<Option<(ApiKeyHash, VerifyLink)>>);

impl Commands {
    /// A new link; unless it is to be `fresh`, the one that was shown last is good enough.
    pub(super) fn verify_link(&self, now: Now, fresh: bool) -> Result<Response, ErrorWord> {
        let daemon = self.running()?;
        let link = if fresh { self.make_link(now)?.1 } else { self.link_to_show(now, daemon)? };
        Ok(Response::VerifyLink(link))
    }

    fn link_to_show(&self, now: Now, daemon: &Running) -> Result<VerifyLink, ErrorWord> {
        // Held while one is made: whoever asks at the same time gets the same.
        let mut shown = daemon.shown_link.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_ms = i64::try_from(VERIFY_LINK_LEFT_MIN.as_millis()).unwrap_or(i64::MAX);
        if let Some((hash, link)) = &*shown
            && link.expires_at.saturating_sub(now.unix_ms) >= left_ms
            && daemon.keys.find(now, *hash).is_some()
        {
            return Ok(link.clone());
        }
        let made = self.make_link(now)?;
        *shown = Some(made.clone());
        Ok(made.1)
    }

    fn make_link(&self, now: Now) -> Result<(ApiKeyHash, VerifyLink), ErrorWord> {
        let none = || failed("internal", "nothing here knows its own address");
        let base = self.identity.as_ref().ok_or_else(none)?().invite_base;
        let ttl_ms = i64::try_from(VERIFY_LINK_TTL.as_millis()).unwrap_or(i64::MAX);
        let expires_at = now.unix_ms.saturating_add(ttl_ms);
        let grant =
            KeyGrant { ends_at_unix_ms: Some(expires_at), ..KeyGrant::of(KeyScope::Verify) };
        let named = |id: &str| format!("verify-link-{id}");
        let made = self.make_key(now, api_key::LINK_PREFIX, named, grant)?;
        let link = VerifyLink {
            url: format!("{}/ice-verify#k={}", base.url, made.key.expose()),
            url_from: base.from,
            id: made.id,
            expires_at,
        };
        Ok((made.hash, link))
    }
}
