//! `call.signal`: offers, answers and candidates from one party to the other, in order, unread.

use super::event::Reply;
use super::live_call::LiveCall;
use super::lookup::{not_now, not_party};
use super::media::{PartyId, Signal, SignalPayload};
use super::record::About;
use super::refusal::{ErrorCode, Refusal};
use super::rows::TimelineKind;
use super::switchboard::{Outcome, Switchboard};
use super::ulid::{CallId, SessionId};
use super::weight;
use crate::limits::call::{
    CANDIDATE_BYTES_MAX, CANDIDATES_PER_GENERATION_MAX, CANDIDATES_PER_SIGNAL_MAX,
    OFFERS_UNANSWERED_MAX, SDP_BYTES_MAX, SIGNALS_BUFFERED_MAX,
};
use crate::time::Now;

/// "It was out of date, or nobody is there."
const NOT_DELIVERED: Outcome = Ok(Some(Reply::Signaled { is_delivered: false }));
const DELIVERED: Outcome = Ok(Some(Reply::Signaled { is_delivered: true }));

impl Switchboard {
    /// `call.signal`.
    pub(super) fn call_signal(&mut self, now: Now, session: SessionId, signal: Signal) -> Outcome {
        check_sizes(&signal.payload)?;
        let Signal { call: id, to, generation, payload } = signal;
        let (call, index) = self.seat(session, id)?;
        let other = other_party(call, index, to)?;
        let is_answered = call.is_answered();
        let (from, to) = (call.parties[index].id, call.parties[other].seat);
        if !is_answered && call.buffered.len() >= SIGNALS_BUFFERED_MAX {
            let message = "too many signals before anybody has answered";
            return Err(Refusal::new(ErrorCode::QuotaExceeded, message));
        }
        let Some(call) = self.calls.get_mut(id) else { return NOT_DELIVERED };
        if !admit(call, index, generation, &payload)? {
            return NOT_DELIVERED;
        }
        let (is_offer, is_answer) = kinds(&payload);
        if !is_answered {
            call.buffered.push((generation, payload));
            return DELIVERED;
        }
        let Some(to) = to else { return NOT_DELIVERED };
        self.tell_signal(now, to, id, from, generation, payload);
        if is_offer {
            let detail = generation.to_string();
            self.note(now, id, TimelineKind::Offer, About::Party(from), &detail);
        }
        if is_answer {
            self.note_answer(now, id, from, generation);
        }
        DELIVERED
    }

    /// An answer was passed on.
    pub(super) fn note_answer(&mut self, now: Now, id: CallId, from: PartyId, generation: u32) {
        let detail = generation.to_string();
        self.note(now, id, TimelineKind::Answer, About::Party(from), &detail);
        if let Some(call) = self.calls.get_mut(id) {
            call.parties.iter_mut().for_each(|party| party.offers = 0);
        }
        self.first_answer(now, id);
    }
}

/// Whom a signal is for: the party it names, or the only other one.
fn other_party(call: &LiveCall, index: usize, to: Option<PartyId>) -> Result<usize, Refusal> {
    let mut others = (0..call.parties.len()).filter(|other| *other != index);
    others.find(|other| to.is_none_or(|to| call.parties[*other].id == to)).ok_or_else(not_party)
}

/// Whether the signal is up to date; notes what it changes.
///
/// # Errors
/// `bad_request` for a generation that cannot be; `rate_limited` for too many offers or candidates.
fn admit(
    call: &mut LiveCall,
    index: usize,
    generation: u32,
    payload: &SignalPayload,
) -> Result<bool, Refusal> {
    let from = call.parties[index].id;
    if generation == 0 || generation > call.generation.saturating_add(1) {
        return Err(Refusal::bad("gen", "the next offer has the next generation"));
    }
    match payload {
        SignalPayload::Offer { .. } => {
            // Both may make the next offer at once: the polite one takes his back.
            let is_next = generation > call.generation;
            let collides = generation == call.generation && call.offered_by != Some(from);
            if !is_next && !collides {
                return Ok(false);
            }
            let party = &mut call.parties[index];
            if party.offers >= OFFERS_UNANSWERED_MAX {
                let wait = std::time::Duration::from_secs(1);
                return Err(Refusal::too_often("offers without an answer", wait));
            }
            party.offers += 1;
            if is_next {
                call.generation = generation;
                call.offered_by = Some(from);
                call.parties.iter_mut().for_each(|party| party.candidates = 0);
            }
            Ok(true)
        }
        SignalPayload::Answer { .. } if !call.is_answered() => {
            Err(not_now("an answer of the caller", call))
        }
        SignalPayload::Candidates(list) => {
            if generation < call.generation {
                return Ok(false);
            }
            let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
            let party = &mut call.parties[index];
            let candidates = party.candidates.saturating_add(count);
            if candidates > CANDIDATES_PER_GENERATION_MAX {
                let wait = std::time::Duration::from_secs(1);
                return Err(Refusal::too_often("candidates in this negotiation", wait));
            }
            party.candidates = candidates;
            Ok(true)
        }
        SignalPayload::Answer { .. } | SignalPayload::EndOfCandidates | SignalPayload::Rollback => {
            Ok(generation == call.generation)
        }
    }
}

/// Whether it is an offer; whether it is an answer.
fn kinds(payload: &SignalPayload) -> (bool, bool) {
    match payload {
        SignalPayload::Offer { .. } => (true, false),
        SignalPayload::Answer { .. } => (false, true),
        SignalPayload::Candidates(_) | SignalPayload::EndOfCandidates | SignalPayload::Rollback => {
            (false, false)
        }
    }
}

fn check_sizes(payload: &SignalPayload) -> Result<(), Refusal> {
    match payload {
        SignalPayload::Offer { sdp, .. } | SignalPayload::Answer { sdp } => {
            match sdp.0.len() > SDP_BYTES_MAX {
                true => Err(Refusal::too_large("sdp")),
                false => Ok(()),
            }
        }
        SignalPayload::Candidates(list) => {
            let is_heavy = |one| weight::candidate(one) > CANDIDATE_BYTES_MAX;
            match list.len() > CANDIDATES_PER_SIGNAL_MAX || list.iter().any(is_heavy) {
                true => Err(Refusal::too_large("cands")),
                false => Ok(()),
            }
        }
        SignalPayload::EndOfCandidates | SignalPayload::Rollback => Ok(()),
    }
}
