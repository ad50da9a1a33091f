//! Revoking users: in the running daemon at once, and on record so that a restart keeps it.

use std::sync::Arc;

use super::commands::Commands;
use super::control_json::{Response, RevokedUser};
use super::json::ErrorWord;
use crate::auth::whom;
use crate::limits::USERNAME_BYTES_MAX;
use crate::limits::revocation::REVOCATION_MAX;
use crate::store::{RevocationRow, StoreError};
use crate::time::Now;
use crate::turn::contract::Command;
use crate::turn::revocation::Revocation;

/// Has every shard carry a command out.
pub type TellShards = Arc<dyn Fn(Command) -> Told + Send + Sync>;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Done; so many allocations ended by it.
    Done(usize),
    /// There are as many revocations as can be held; nothing was done.
    Full,
    /// A shard does not answer in time.
    NoAnswer,
}

impl Commands {
    pub(super) fn revoke(
        &self,
        now: Now,
        user: String,
        for_s: Option<u64>,
    ) -> Result<Response, ErrorWord> {
        if user.is_empty() || user.len() > USERNAME_BYTES_MAX {
            let message = format!("a user has 1 to {USERNAME_BYTES_MAX} bytes");
            return Err(ErrorWord { field: Some("user".into()), ..failed("bad_request", message) });
        }
        if for_s.is_some_and(|for_s| for_s == 0 || for_s > REVOCATION_MAX.as_secs()) {
            let message = format!("a time from 1 to {} seconds", REVOCATION_MAX.as_secs());
            return Err(ErrorWord {
                field: Some("for_s".into()),
                ..failed("bad_request", message)
            });
        }
        let user = whom::kept(&user);
        let until = for_s.map(|for_s| now.unix_ms.saturating_add_unsigned(for_s * 1000));
        let revocation = Revocation { user: user.as_str().into(), until_unix_ms: until };
        let row =
            RevocationRow { user: user.clone(), at_unix_ms: now.unix_ms, until_unix_ms: until };
        let told = self.tell(Command::Revoke(revocation))?;
        if told != Some(Told::Full) {
            self.end_sessions(&user, until);
        }
        let closed = match told {
            Some(Told::Full) => return Err(StoreError::RevocationsFull.into()),
            Some(Told::Done(closed)) => Some(closed),
            Some(Told::NoAnswer) | None => None,
        };
        match self.store.revoke(row, now) {
            Ok(()) => Ok(Response::Revoked { user, closed, until_at: until }),
            Err(why) if closed.is_some() => Err(failed(
                "not_recorded",
                format!("refused from here on, but a restart would let him in again: {why}"),
            )),
            Err(why) => Err(why.into()),
        }
    }

    /// After the relay has forgotten his allocations: a page that hears of it asks in vain.
    fn end_sessions(&self, user: &str, until_unix_ms: Option<i64>) {
        let Some(daemon) = &self.daemon else { return };
        // First his tokens, so that who is sent away cannot come back in between.
        daemon.revoked.add(user, until_unix_ms);
        if let Some((tenant, user)) = whom::meant(user)
            && !(daemon.end_sessions)(tenant, user)
        {
            tracing::warn!("signaling does not answer: sessions of a revoked user may go on");
        }
    }

    pub(super) fn undo_revoke(&self, user: String) -> Result<Response, ErrorWord> {
        let user = whom::kept(&user);
        if let Some(daemon) = &self.daemon {
            daemon.revoked.remove(&user);
        }
        self.tell(Command::Restore { user: user.as_str().into() })?;
        if self.store.undo_revoke(&user)? {
            Ok(Response::RevokeUndone { user })
        } else {
            Err(failed("not_revoked", "this user is not revoked; `turnbell revoke` lists who is"))
        }
    }

    pub(super) fn revoked(&self, now: Now) -> Result<Response, ErrorWord> {
        let rows = self.store.revocations(now)?;
        let word = |row: RevocationRow| RevokedUser {
            user: row.user,
            revoked_at: row.at_unix_ms,
            until_at: row.until_unix_ms,
        };
        Ok(Response::RevokedUsers(rows.into_iter().map(word).collect()))
    }

    /// `None` where no daemon runs.
    fn tell(&self, command: Command) -> Result<Option<Told>, ErrorWord> {
        let Some(daemon) = &self.daemon else { return Ok(None) };
        match (daemon.tell)(command) {
            Told::NoAnswer => {
                Err(failed("no_answer", "the relay does not answer; nothing was changed"))
            }
            told @ (Told::Done(_) | Told::Full) => Ok(Some(told)),
        }
    }
}

fn failed(code: &'static str, message: impl Into<String>) -> ErrorWord {
    ErrorWord { code: code.into(), message: message.into().into(), field: None, hint: None }
}
