//! What the transition table says of a request. Written from the table, not from the code.

use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::Request;
use turnbell::call::state::CallStatus;

use super::World;
use crate::call::actor::Prediction;

impl World {
    pub(super) fn predict(&self, index: usize, request: &Request) -> Option<Prediction> {
        let actor = &self.actors[index];
        let call = match request {
            Request::CallRinging { call }
            | Request::CallAccept { call, .. }
            | Request::CallReject { call, .. }
            | Request::CallCancel { call }
            | Request::CallMedia { call, .. }
            | Request::CallHangup { call, .. }
            | Request::CallRejoin { call, .. } => *call,
            Request::Ping => return Some(Ok(())),
            Request::Bye
            | Request::AuthRefresh(_)
            | Request::PresenceSet(_)
            | Request::PresenceSubscribe(_)
            | Request::CallInvite(_)
            | Request::CallSignal(_)
            | Request::CallUpdate { .. }
            | Request::QualityReport(_)
            | Request::UserBlock(_)
            | Request::UserUnblock(_)
            | Request::UserBlocked
            | Request::Feedback { .. } => return None,
        };
        let row = self.board.record.calls.get(&call)?;
        let identity = &actor.who.identity;
        let is_party = [&row.caller, &row.callee].contains(&&identity.user);
        if row.tenant != identity.tenant {
            return Some(Err(ErrorCode::NotFound));
        }
        // What was over before this daemon began stands in the record, not in its memory.
        if self.over_before.contains(&call) {
            return Some(Err(ErrorCode::NotFound));
        }
        if row.status.is_final() {
            return Some(Err(if is_party { ErrorCode::CallEnded } else { ErrorCode::NotFound }));
        }
        if !is_party {
            return Some(Err(ErrorCode::NotParty));
        }
        let is_answered = row.status == CallStatus::Answered;
        let (has_seat, is_rung) = (actor.seats.contains(&call), actor.is_rung(call));
        let of = |is_granted, code| if is_granted { Ok(()) } else { Err(code) };
        Some(match request {
            Request::CallRinging { .. } if is_answered && !has_seat => {
                Err(ErrorCode::AlreadyAnswered)
            }
            Request::CallAccept { .. } | Request::CallReject { .. } if is_answered => {
                Err(ErrorCode::AlreadyAnswered)
            }
            Request::CallRinging { .. }
            | Request::CallAccept { .. }
            | Request::CallReject { .. } => of(is_rung, ErrorCode::NotParty),
            Request::CallCancel { .. } if row.caller != identity.user || !has_seat => {
                Err(ErrorCode::NotParty)
            }
            Request::CallCancel { .. } => of(!is_answered, ErrorCode::AlreadyAnswered),
            Request::CallMedia { .. } if !has_seat => Err(ErrorCode::NotParty),
            Request::CallMedia { .. } | Request::CallRejoin { .. } => {
                of(is_answered, ErrorCode::BadRequest)
            }
            Request::CallHangup { .. } => {
                of(has_seat || is_rung && !is_answered, ErrorCode::NotParty)
            }
            Request::Ping
            | Request::Bye
            | Request::AuthRefresh(_)
            | Request::PresenceSet(_)
            | Request::PresenceSubscribe(_)
            | Request::CallInvite(_)
            | Request::CallSignal(_)
            | Request::CallUpdate { .. }
            | Request::QualityReport(_)
            | Request::UserBlock(_)
            | Request::UserUnblock(_)
            | Request::UserBlocked
            | Request::Feedback { .. } => return None,
        })
    }
}
