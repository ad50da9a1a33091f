//! `call.update`: hold, mute, camera, screen, passed on to the other side (T19).

use super::event::Event;
use super::live_call::Phase;
use super::lookup::not_now;
use super::record::About;
use super::request::Update;
use super::rows::TimelineKind;
use super::switchboard::{DONE, Outcome, Switchboard};
use super::ulid::{CallId, SessionId};
use crate::time::Now;

impl Switchboard {
    /// `call.update`.
    pub(super) fn call_update(
        &mut self,
        now: Now,
        session: SessionId,
        id: CallId,
        update: Update,
    ) -> Outcome {
        let (call, index) = self.seat(session, id)?;
        let may_hold = match call.phase {
            Phase::Active | Phase::Reconnecting => true,
            Phase::Initiated | Phase::Ringing | Phase::Connecting => false,
        };
        if !call.is_answered() {
            return Err(not_now("an update", call));
        }
        if update.hold.is_some() && !may_hold {
            return Err(not_now("hold", call));
        }
        let before = call.state();
        let Some(call) = self.calls.get_mut(id) else { return DONE };
        let party = &mut call.parties[index];
        let from = party.id;
        // P14 h: a set of those who hold; each takes back his own.
        let is_news = update.hold.is_some_and(|hold| hold != party.holds);
        party.holds = update.hold.unwrap_or(party.holds);
        party.muted = update.muted.unwrap_or(party.muted);
        party.video_muted = update.video_muted.unwrap_or(party.video_muted);
        party.screen = update.screen.unwrap_or(party.screen);
        let (holds, after) = (party.holds, call.state());
        for other in call.seats_but(Some(index)) {
            self.tell(now, other, Event::CallUpdate { call: id, from, update });
        }
        if is_news {
            let kind = if holds { TimelineKind::Held } else { TimelineKind::Unheld };
            self.note(now, id, kind, About::Party(from), "");
        }
        if before != after {
            self.tell_state(now, id);
        }
        DONE
    }
}
