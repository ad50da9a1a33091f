//! The long-term credential mechanism: who sent a request (RFC 8489 §9.2.4).

use super::fact::Fact;
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::reply::{Reject, Request};
use crate::auth::credential::{AuthFailure, Authenticated};
use crate::auth::nonce::NonceVerdict;
use crate::limits::TEXT_BYTES_MAX;
use crate::time::Now;
use crate::turn::contract::Output;
use crate::wire::attribute::AttributeType;
use crate::wire::message::Message;

impl Relay {
    /// Checks a request in the order of §9.2.4.
    ///
    /// # Errors
    /// 401 without MESSAGE-INTEGRITY or with wrong credentials, 400 with a part of them missing,
    /// 438 with an old nonce. The same for a wrong name, a wrong password and an expired one.
    pub(super) fn authenticate<'a>(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        message: Message<'a>,
    ) -> Result<Request<'a>, Reject> {
        // §9.2.4 step 1: no integrity, so challenge. This is how every client starts.
        if !message.has_integrity() {
            return Err(Reject::Unauthenticated);
        }
        // Step 2: integrity without the attributes that it needs.
        let (Some(username), Some(realm), Some(nonce)) = (
            message.attribute(AttributeType::USERNAME),
            message.attribute(AttributeType::REALM),
            message.attribute(AttributeType::NONCE),
        ) else {
            return Err(Reject::BadRequest);
        };
        // Steps 4 and 5: name and integrity.
        let who = match self.find_key(now, tuple, &message, username, realm) {
            Ok(who) => who,
            Err(cause) => {
                self.authentication_failed(now, tuple, username, cause);
                return Err(Reject::Unauthenticated);
            }
        };
        // Step 6: the nonce, last, so that 438 is said only to somebody who knows the password.
        let protocol = tuple.transport.protocol();
        match self.nonce_key.check(now, protocol, tuple.client, nonce) {
            NonceVerdict::Fresh => {}
            NonceVerdict::Stale | NonceVerdict::Foreign => {
                self.authentication_failed(now, tuple, username, AuthFailure::StaleNonce);
                return Err(Reject::StaleNonce);
            }
        }
        let username = std::str::from_utf8(username).map_err(|_| Reject::Unauthenticated)?;
        Ok(Request { tuple, message, who, username })
    }

    /// The key that makes the message's integrity.
    ///
    /// The user of a live allocation is checked against its own key: that is cheap, and it is why
    /// a credential that expired after its Allocate still refreshes what it made.
    fn find_key(
        &self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        username: &[u8],
        realm: &[u8],
    ) -> Result<Authenticated, AuthFailure> {
        if let Ok(slot) = self.live_slot(now, tuple) {
            let allocation = &self.allocations[slot];
            if allocation.username.as_bytes() == username
                && realm == self.verifier.realm().as_bytes()
                && message.integrity_matches(allocation.who.key.as_bytes())
            {
                return Ok(allocation.who.clone());
            }
        }
        self.verifier
            .authenticate(now, username, realm, |key| message.integrity_matches(key.as_bytes()))
    }

    fn authentication_failed(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        username: &[u8],
        cause: AuthFailure,
    ) {
        self.counters.auth_failures += 1;
        if !self.auth_failure_facts.take(now.mono, 1) {
            self.auth_failures_suppressed += 1;
            return;
        }
        let shown = &username[..username.len().min(TEXT_BYTES_MAX)];
        self.outputs.push_back(Output::Fact(Fact::AuthenticationFailed {
            at_unix_ms: now.unix_ms,
            client: tuple.client,
            transport: tuple.transport,
            username: String::from_utf8_lossy(shown).into(),
            cause,
            suppressed: std::mem::take(&mut self.auth_failures_suppressed),
        }));
    }
}
