//! `call.rejoin`: a new page of the same user takes his place in an answered call (P4, T22).

use super::event::{CancelReason, Event, Reply};
use super::live_call::Phase;
use super::lookup::not_now;
use super::media::{MediaStatus, PartyId};
use super::media_report::is_up;
use super::quality::Quality;
use super::record::About;
use super::refusal::Refusal;
use super::request::RejoinMedia;
use super::rows::{Row, TimelineKind};
use super::switchboard::{Asked, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::{CONNECT_TIMEOUT, ICE_RESTARTS};
use crate::time::Now;

impl Switchboard {
    /// `call.rejoin`.
    pub(super) fn call_rejoin(
        &mut self,
        now: Now,
        asked: &Asked,
        id: CallId,
        media: RejoinMedia,
    ) -> Outcome {
        let (index, before) = self.may_rejoin(asked.session, id)?;
        let left = self.calls.get(id).map(|call| call.party_row(index, Some(now.unix_ms)));
        self.take_seat(now, asked.session, id, index, media);
        // Who he is before who he was: a daemon that is killed in between finds him in the call.
        self.store_party(id, index);
        if let Some(left) = left.filter(|_| media == RejoinMedia::New) {
            self.store(Some(id), Row::Party(Box::new(left)));
        }
        let Some(call) = self.calls.get(id) else { return Ok(None) };
        let about = About::Party(call.parties[index].id);
        let how = match media {
            RejoinMedia::Up => "up",
            RejoinMedia::New => "new",
        };
        self.note(now, id, TimelineKind::Rejoined, about, how);
        if let Some(before) = before {
            let by = self.sessions.get(asked.session).map(|page| page.device.label.clone());
            let reason = CancelReason::RejoinedElsewhere;
            self.tell(now, before, Event::CallCancelled { call: id, reason, by });
        }
        let connects_again = self.advance(id, media);
        let Some(call) = self.calls.get(id) else { return Ok(None) };
        let view = Box::new(call.view(now, asked.session));
        if connects_again {
            self.timers.set(Timer::Phase(id), now.mono + CONNECT_TIMEOUT);
            self.timers.cancel(Timer::ConnectedAlone(id));
        }
        self.answer(now, asked, Ok(Reply::Rejoined(view)));
        self.tell_state(now, id);
        if media == RejoinMedia::Up {
            self.media_is_up(now, id);
        }
        Ok(None)
    }

    /// Which party the user is, and the page that has his seat, if another one has.
    ///
    /// # Errors
    /// `bad_request` before the call is answered.
    fn may_rejoin(
        &self,
        session: SessionId,
        id: CallId,
    ) -> Result<(usize, Option<SessionId>), Refusal> {
        let call = self.call_of(session, id)?;
        if !call.is_answered() {
            return Err(not_now("rejoin", call));
        }
        let index = self.user_of(session).and_then(|user| call.party_of(user));
        let index = index.ok_or_else(super::lookup::not_party)?;
        Ok((index, call.parties[index].seat.filter(|seat| *seat != session)))
    }

    fn take_seat(
        &mut self,
        now: Now,
        session: SessionId,
        id: CallId,
        index: usize,
        media: RejoinMedia,
    ) {
        let Some(page) = self.sessions.get(session) else { return };
        let (device, reports) = (page.device.clone(), page.capabilities.media_reports);
        let Some(call) = self.calls.get_mut(id) else { return };
        let still_connects = call.phase == Phase::Connecting;
        let party = &mut call.parties[index];
        party.seat = Some(session);
        party.device = Some(device);
        party.reports_media = reports;
        party.signaling_lost = false;
        match media {
            // Its next report says whether it got through.
            RejoinMedia::Up if still_connects => {}
            RejoinMedia::Up => party.media = Some(MediaStatus::Connected),
            RejoinMedia::New => {
                party.id = PartyId(call.next_party);
                call.next_party += 1;
                party.joined_at_unix_ms = Some(now.unix_ms);
                party.path = None;
                party.holds = false;
                party.muted = false;
                party.video_muted = false;
                party.screen = false;
                party.candidates = 0;
                party.offers = 0;
                party.quality = Quality::default();
                call.parties.iter_mut().for_each(|party| party.media = None);
                call.restarts_left = ICE_RESTARTS;
                call.restart_generation = None;
            }
        }
    }

    /// T22: with new media it connects again, once everybody is back.
    fn advance(&mut self, id: CallId, media: RejoinMedia) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return false };
        let is_complete = call.parties.iter().all(|party| party.seat.is_some());
        let connects_again = match media {
            RejoinMedia::New => call.restored.is_none() || is_complete,
            RejoinMedia::Up => {
                call.restored.is_some() && is_complete && !call.parties.iter().all(is_up)
            }
        };
        if connects_again {
            call.phase = Phase::Connecting;
            call.restored = None;
        }
        connects_again
    }
}
