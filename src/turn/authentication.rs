//! The long-term credential mechanism: who sent a request (RFC 8489 §9.2.4).

use std::borrow::Cow;

use super::allocation::Allocation;
use super::fact::Fact;
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::reply::{Reject, Request, Seal};
use super::watch::What;
use crate::auth::credential::{AuthFailure, Authenticated};
use crate::auth::key::PasswordAlgorithm;
use crate::auth::nonce::{NonceVerdict, says_password_algorithms};
use crate::auth::secret::hex;
use crate::auth::user_hash::UserHash;
use crate::limits::TEXT_BYTES_MAX;
use crate::time::Now;
use crate::turn::contract::Output;
use crate::wire::attribute::AttributeType;
use crate::wire::message::Message;

impl Relay {
    /// Checks a request in the order of §9.2.4.
    ///
    /// # Errors
    /// 401 without a message integrity or with wrong credentials, 400 with a part of them missing
    /// or with password algorithms that are not as they were offered, 438 with an old nonce. The
    /// same for a wrong name, a wrong password and an expired one.
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
        // Step 2: integrity without the attributes that it needs. USERNAME is asked first.
        let (Some(name), Some(realm), Some(nonce)) = (
            message
                .attribute(AttributeType::USERNAME)
                .map(Name::Said)
                .or_else(|| message.attribute(AttributeType::USERHASH).map(Name::Hashed)),
            message.attribute(AttributeType::REALM),
            message.attribute(AttributeType::NONCE),
        ) else {
            return Err(Reject::BadRequest);
        };
        // Step 3: password algorithms, if the challenge offered them.
        let algorithm = password_algorithm(&message, nonce)?;
        // Steps 4 and 5: name and integrity.
        let name = self.known(now, tuple, name);
        let found = self.find_key(now, tuple, &message, algorithm, name.as_bytes(), realm);
        let who = match found.and_then(|who| self.guard.admit(now, who)) {
            Ok(who) => who,
            Err(cause) => {
                self.authentication_failed(now, tuple, &message, &name, cause);
                return Err(Reject::Unauthenticated);
            }
        };
        // Step 6: the nonce, last, so that 438 is said only to somebody who knows the password.
        let protocol = tuple.transport.protocol();
        match self.nonce_key.check(now, protocol, tuple.client, nonce) {
            NonceVerdict::Fresh => {}
            NonceVerdict::Stale | NonceVerdict::Foreign => {
                let cause = AuthFailure::StaleNonce;
                self.authentication_failed(now, tuple, &message, &name, cause);
                return Err(Reject::StaleNonce);
            }
        }
        let username = name.into_text().ok_or(Reject::Unauthenticated)?;
        Ok(Request { tuple, message, seal: Seal::of(&message, &who.key), who, username })
    }

    /// Looks for the name behind a USERHASH: that of the live allocation, a static account, or a
    /// credential issued here.
    fn known<'a>(&self, now: Now, tuple: FiveTuple, name: Name<'a>) -> Name<'a> {
        let Name::Hashed(value) = name else { return name };
        let Some(hash) = UserHash::from_value(value) else { return name };
        let realm = self.verifier.realm().as_bytes();
        let own = self.live(now, tuple).map(|allocation| &allocation.username);
        own.filter(|username| UserHash::of(username.as_bytes(), realm) == hash)
            .cloned()
            .or_else(|| self.verifier.name(&hash))
            .map_or(name, Name::Found)
    }

    fn live(&self, now: Now, tuple: FiveTuple) -> Option<&Allocation> {
        self.live_slot(now, tuple).ok().map(|slot| &self.allocations[slot])
    }

    /// The key that makes the message's integrity.
    ///
    /// The user of a live allocation is checked against its own key first: that is cheap, and it
    /// outlives a rotation of secrets. Its credential may also have expired since its Allocate.
    fn find_key(
        &self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        algorithm: PasswordAlgorithm,
        username: &[u8],
        realm: &[u8],
    ) -> Result<Authenticated, AuthFailure> {
        let own = self.live(now, tuple).filter(|allocation| {
            allocation.username.as_bytes() == username && realm == self.verifier.realm().as_bytes()
        });
        if let Some(Allocation { who, .. }) = own
            && who.key.algorithm() == algorithm
            && message.integrity_matches(who.key.as_bytes())
        {
            return Ok(who.clone());
        }
        let who = self
            .verifier
            .verify(algorithm, username, realm, |key| message.integrity_matches(key.as_bytes()))?;
        if own.is_none() {
            who.check_expiry(now)?;
        }
        Ok(who)
    }

    fn authentication_failed(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        name: &Name<'_>,
        cause: AuthFailure,
    ) {
        self.counters.auth_failure(cause);
        let what = What::NotAuthenticated { method: message.method(), cause };
        self.note_of(now, tuple, Some(name.as_bytes()), what);
        if !self.auth_failure_facts.take(now.mono, 1) {
            self.auth_failures_suppressed += 1;
            return;
        }
        self.outputs.push_back(Output::Fact(Fact::AuthenticationFailed {
            at_unix_ms: now.unix_ms,
            client: tuple.client,
            transport: tuple.transport,
            username: name.shown(),
            cause,
            suppressed: std::mem::take(&mut self.auth_failures_suppressed),
        }));
    }
}

/// §9.2.4 step 3: which algorithm the key is made by.
///
/// # Errors
/// 400 if the challenge offered algorithms and the request has one of the two attributes only, a
/// list that is not the one that was sent, or an algorithm that is not in it. A nonce that does not
/// say so is not ours, and comes to light as that (438).
fn password_algorithm(message: &Message<'_>, nonce: &[u8]) -> Result<PasswordAlgorithm, Reject> {
    let list = message.attribute(AttributeType::PASSWORD_ALGORITHMS);
    let chosen = message.attribute(AttributeType::PASSWORD_ALGORITHM);
    let chosen_here = chosen.and_then(PasswordAlgorithm::from_value);
    if !says_password_algorithms(nonce) {
        return Ok(chosen_here.unwrap_or(PasswordAlgorithm::Md5));
    }
    match (list, chosen, chosen_here) {
        (None, None, _) => Ok(PasswordAlgorithm::Md5),
        (Some(list), _, Some(algorithm)) if list == PasswordAlgorithm::offer() => Ok(algorithm),
        (Some(_) | None, _, _) => Err(Reject::BadRequest),
    }
}

/// Whom a request says it is from.
enum Name<'a> {
    /// USERNAME, as sent.
    Said(&'a [u8]),
    /// USERHASH, as sent, behind which no name is known.
    Hashed(&'a [u8]),
    /// The name behind a USERHASH.
    Found(Box<str>),
}

/// Looked up, hashed and refused in place of a name that is not known, so that this costs what a
/// known one costs. No account can have it, and it has no expiry.
const NOBODY: &[u8] = b"\0 nobody has this name";

impl<'a> Name<'a> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Said(name) => name,
            Self::Hashed(_) => NOBODY,
            Self::Found(name) => name.as_bytes(),
        }
    }

    fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Said(name) => std::str::from_utf8(name).ok().map(Cow::Borrowed),
            Self::Hashed(_) => None,
            Self::Found(name) => Some(Cow::Owned(name.into_string())),
        }
    }

    /// As the record shows it, bounded.
    fn shown(&self) -> Box<str> {
        let text = |name: &[u8]| {
            let shown = &name[..name.len().min(TEXT_BYTES_MAX)];
            String::from_utf8_lossy(shown).into()
        };
        match self {
            Self::Said(name) => text(name),
            Self::Hashed(value) => {
                format!("userhash {}", hex(&value[..value.len().min(32)])).into()
            }
            Self::Found(name) => text(name.as_bytes()),
        }
    }
}
