//! What keeps one client's doings from becoming everybody's trouble: asked by the relay, never on
//! its own.

use std::time::Duration;

use super::contract::Discard;
use super::fact::{EndReason, Transport};
use super::five_tuple::FiveTuple;
use super::page_runs::PageRuns;
use super::rates::{Direction, RateOptions, Rates};
use super::relay::Relay;
use super::revocation::{Revocation, Revocations};
use super::shared::Shared;
use super::watch::What;
use crate::auth::credential::{AuthFailure, Authenticated};
use crate::auth::nonce::NonceVerdict;
use crate::auth::page_run::is_page_run;
use crate::policy::shield::{AnswerKind, Budgets, Cut, Permit};
use crate::time::Now;
use crate::wire::attribute::AttributeType;
use crate::wire::message::Message;

/// What a guard is made from.
#[derive(Debug, Clone)]
pub struct GuardOptions {
    /// By what it judges.
    pub rules: GuardRules,
    /// Random: see [`crate::policy::shield::ShieldOptions::seed`].
    pub shield_seed: [u64; 2],
    /// Who is not welcome any more.
    pub revoked: Vec<Revocation>,
}

/// What a guard judges by; may be replaced while calls are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardRules {
    /// Answers to those who have proven nothing.
    pub shield: Budgets,
    /// How fast may be relayed.
    pub rates: RateOptions,
    /// What a credential's expiry ends.
    pub expiry: ExpiryRule,
}

/// What a credential's expiry ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryRule {
    /// New allocations only: a call may outlive its credential. A little clock skew is forgiven.
    Allocate,
    /// Everything, to the second: allocations made with it end then.
    Strict,
}

/// Everything the relay keeps for it.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) shared: Shared,
    rates: Option<Box<Rates>>,
    /// `None` while no page that verifies has an allocation here, so that nobody is asked for it.
    page_runs: Option<Box<PageRuns>>,
    rules: GuardRules,
    pub(super) revocations: Revocations,
}

impl Guard {
    pub(super) fn new(options: GuardOptions, shared: Shared) -> Self {
        let GuardOptions { rules, shield_seed: _, revoked } = options;
        Self {
            rates: Rates::new(rules.rates, &shared.everybody),
            page_runs: None,
            shared,
            rules,
            revocations: Revocations::new(revoked),
        }
    }

    /// Judges by other rules from here on. Other rates begin with full buckets for everybody;
    /// `live` are the slots of the live allocations, with their users.
    pub(super) fn replace<'a>(
        &mut self,
        rules: GuardRules,
        live: impl Iterator<Item = (usize, &'a str)>,
    ) {
        let old = std::mem::replace(&mut self.rules, rules);
        self.shared.shield().set_budgets(rules.shield);
        if rules.rates != old.rates {
            self.rates = Rates::new(rules.rates, &self.shared.everybody);
            if let Some(rates) = &mut self.rates {
                live.for_each(|(slot, user)| rates.open(slot, user));
            }
        }
    }

    /// Whether somebody whose credential is right is welcome all the same.
    pub(super) fn admit(&self, now: Now, who: Authenticated) -> Result<Authenticated, AuthFailure> {
        if self.revocations.holds(now, &who.user) {
            return Err(AuthFailure::Revoked);
        }
        if let Some(expires_at) = self.strict_end(&who)
            && expires_at <= now.unix_s()
        {
            return Err(AuthFailure::Expired { ago_s: now.unix_s() - expires_at });
        }
        Ok(who)
    }

    /// How long an allocation of `who` may live that would live for `lifetime`.
    pub(super) fn lifetime(&self, now: Now, who: &Authenticated, lifetime: Duration) -> Duration {
        // Deviation: RFC 8656 §7.2 grants at least ten minutes; the operator asked for less.
        self.time_left(now, who).map_or(lifetime, |left| lifetime.min(left))
    }

    /// How long anything of `who` may still live; `None`: as long as it is refreshed.
    pub(super) fn time_left(&self, now: Now, who: &Authenticated) -> Option<Duration> {
        self.strict_end(who).map(|expires_at| {
            let left_ms = expires_at.saturating_mul(1000).saturating_sub(now.unix_ms);
            Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
        })
    }

    /// Why an allocation ended whose time is over.
    pub(super) fn end_reason(&self, now: Now, who: &Authenticated) -> EndReason {
        match self.strict_end(who) {
            Some(expires_at) if expires_at <= now.unix_s() => EndReason::CredentialExpired,
            Some(_) | None => EndReason::Expired,
        }
    }

    /// Unix seconds at which everything of `who` ends.
    fn strict_end(&self, who: &Authenticated) -> Option<i64> {
        match self.rules.expiry {
            ExpiryRule::Allocate if is_page_run(&who.user) => who.expires_at,
            ExpiryRule::Allocate => None,
            ExpiryRule::Strict => who.expires_at,
        }
    }

    /// An allocation of `who` lives in `slot`.
    pub(super) fn opened(&mut self, slot: usize, who: &Authenticated) {
        if let Some(rates) = &mut self.rates {
            rates.open(slot, &who.user);
        }
        if is_page_run(&who.user) {
            let known = &self.shared.page_runs;
            self.page_runs.get_or_insert_with(|| PageRuns::new(known)).open(slot, who);
        }
    }

    /// It is gone.
    pub(super) fn closed(&mut self, slot: usize) {
        if let Some(rates) = &mut self.rates {
            rates.close(slot);
        }
        if let Some(runs) = &mut self.page_runs {
            runs.close(slot);
            if runs.are_gone() {
                self.page_runs = None;
            }
        }
    }

    /// Whether each datagram is to be asked for.
    pub(super) fn holds_a_rate(&self) -> bool {
        self.rates.is_some()
    }

    /// Whether a datagram may be relayed, on the forwarding path.
    #[inline]
    pub(super) fn may_relay(
        &mut self,
        now: Now,
        slot: usize,
        direction: Direction,
        bytes: usize,
    ) -> Result<(), Discard> {
        if self.rates.is_none() && self.page_runs.is_none() {
            return Ok(());
        }
        self.charge(now, slot, direction, bytes)
    }

    // Kept out of the forwarding path of those who set no rate while no page verifies.
    #[inline(never)]
    fn charge(
        &mut self,
        now: Now,
        slot: usize,
        direction: Direction,
        bytes: usize,
    ) -> Result<(), Discard> {
        let Self { rates, page_runs, .. } = self;
        if let Some(runs) = page_runs {
            runs.take(slot, bytes)?;
        }
        let taken = rates.as_mut().map_or(Ok(()), |rates| rates.take(now, slot, direction, bytes));
        if let (Err(_), Some(runs)) = (taken, page_runs) {
            runs.give_back(slot, bytes);
        }
        taken
    }
}

/// That an answer may be sent.
#[must_use]
pub(super) enum Answerable {
    /// The client is where it says it is, so the answer cannot hit anybody else.
    Proven,
    /// At the cost of the shield's budgets.
    Paid(Permit),
}

impl Relay {
    /// Whether a request that passed no authentication is answered; `None` is counted.
    ///
    /// A nonce that was made for this address and port proves a way back, and so does a stream.
    pub(super) fn may_answer(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        kind: AnswerKind,
    ) -> Option<Answerable> {
        if tuple.transport != Transport::Udp || self.carries_our_nonce(now, tuple, message) {
            return Some(Answerable::Proven);
        }
        let judged = self.guard.shared.shield().admit(now.mono, kind, tuple.client.ip());
        match judged {
            Ok(permit) => Some(Answerable::Paid(permit)),
            Err(cut) => {
                let reason = match cut {
                    Cut::Source => Discard::ShieldSource,
                    Cut::Total => Discard::ShieldTotal,
                };
                self.counters.discard(reason);
                self.note(now, tuple, message, What::Unanswered(reason));
                None
            }
        }
    }

    /// Counts an answer that was made against the budgets.
    pub(super) fn answered(&self, tuple: FiveTuple, answerable: Answerable, bytes: usize) {
        let Answerable::Paid(permit) = answerable else { return };
        let headers = if tuple.client.is_ipv6() { 40 + 8 } else { 20 + 8 };
        self.guard.shared.shield().sent(permit, headers + bytes);
    }

    fn carries_our_nonce(&self, now: Now, tuple: FiveTuple, message: &Message<'_>) -> bool {
        message.attribute(AttributeType::NONCE).is_some_and(|nonce| {
            let protocol = tuple.transport.protocol();
            self.nonce_key.check(now, protocol, tuple.client, nonce) == NonceVerdict::Fresh
        })
    }
}
