//! Asking the tenant's backend whether a call may be made; it has two seconds (P5).

use super::contract::{Authorize, Output, Ticket, Verdict};
use super::options::OnError;
use super::request::{Invite, Target};
use super::switchboard::{Asked, Outcome, Switchboard};
use super::timers::Timer;
use super::user::UserKey;
use crate::limits::call::{AUTHORIZE_PENDING_MAX, AUTHORIZE_TIMEOUT};
use crate::time::Now;

/// An invite that waits for a backend.
#[derive(Debug)]
pub(super) struct Asking {
    asked: Asked,
    invite: Invite,
}

impl Switchboard {
    /// Puts the question; the reply to the invite comes with the answer.
    pub(super) fn ask_backend(
        &mut self,
        now: Now,
        asked: &Asked,
        key: &UserKey,
        invite: Invite,
    ) -> Outcome {
        if self.asking.len() >= AUTHORIZE_PENDING_MAX {
            let verdict = self.without_answer(key);
            return self.invite(now, asked, invite, Some(verdict));
        }
        let ticket = self.ticket();
        let Target::User(callee) = &invite.to;
        let question = Authorize {
            tenant: key.tenant.clone(),
            caller: key.user.clone(),
            callee: callee.clone(),
            media: invite.media,
            metadata: invite.metadata.clone(),
        };
        self.outputs.push_back(Output::Ask { ticket, question });
        self.timers.set(Timer::Ask(ticket), now.mono + AUTHORIZE_TIMEOUT);
        self.asking.insert(ticket, Asking { asked: asked.clone(), invite });
        Ok(None)
    }

    /// The answer, or that there is none. A late one does nothing.
    pub(super) fn authorized(&mut self, now: Now, ticket: Ticket, verdict: Option<Verdict>) {
        let Some(Asking { asked, invite }) = self.asking.remove(&ticket) else { return };
        self.timers.cancel(Timer::Ask(ticket));
        let Some(key) = self.sessions.get(asked.session).map(|session| session.key.clone()) else {
            return;
        };
        let verdict = verdict.unwrap_or_else(|| self.without_answer(&key));
        match self.invite(now, &asked, invite, Some(verdict)) {
            Ok(Some(reply)) => self.answer(now, &asked, Ok(reply)),
            Ok(None) => {}
            Err(refusal) => self.answer(now, &asked, Err(refusal)),
        }
    }

    fn without_answer(&self, key: &UserKey) -> Verdict {
        match self.options(&key.tenant).authorize.map(|options| options.on_error) {
            Some(OnError::Refuse) => Verdict::Deny,
            Some(OnError::Allow) | None => Verdict::Allow { longest: None },
        }
    }
}
