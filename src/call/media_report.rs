//! `call.media`: when a call becomes active, loses its media, gets it back, or gives up (T16 to T18,
//! T20, T21, T23).

use std::time::Duration;

use super::event::Event;
use super::live_call::{LiveCall, Party, Phase};
use super::lookup::not_now;
use super::media::{MediaPath, MediaStatus};
use super::record::About;
use super::rows::TimelineKind;
use super::state::EndReason;
use super::switchboard::{DONE, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::{CONNECT_TIMEOUT, CONNECTED_ALONE, ICE_RESTARTS, RECONNECT_TIMEOUT};
use crate::time::Now;

impl Switchboard {
    /// `call.media`.
    pub(super) fn call_media(
        &mut self,
        now: Now,
        session: SessionId,
        id: CallId,
        status: MediaStatus,
        path: Option<MediaPath>,
    ) -> Outcome {
        let (call, index) = self.seat(session, id)?;
        if !call.is_answered() {
            return Err(not_now("a media report", call));
        }
        let Some(call) = self.calls.get_mut(id) else { return DONE };
        let party = &mut call.parties[index];
        let is_news = party.media != Some(status) || path.is_some() && party.path != path;
        party.media = Some(status);
        if status == MediaStatus::Connected {
            party.path = path.or(party.path);
        }
        let (about, path) = (About::Party(party.id), party.path);
        if index == 0 {
            call.row.path = path.or(call.row.path);
        }
        if !is_news {
            return DONE;
        }
        match status {
            MediaStatus::Connecting => {}
            MediaStatus::Connected => {
                let detail = path.map(words).unwrap_or_default();
                self.note(now, id, TimelineKind::MediaConnected, about, &detail);
                self.media_is_up(now, id);
            }
            MediaStatus::Disconnected => {
                self.note(now, id, TimelineKind::MediaDisconnected, about, "");
                self.media_is_down(now, id);
            }
            MediaStatus::Failed => {
                self.note(now, id, TimelineKind::MediaFailed, about, "");
                self.media_is_down(now, id);
                self.media_has_failed(now, id);
            }
        }
        DONE
    }

    /// T16, T21.
    pub(super) fn media_is_up(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        match call.phase {
            Phase::Initiated | Phase::Ringing | Phase::Active => {}
            Phase::Connecting if call.parties.iter().all(is_up) => self.become_active(now, id),
            Phase::Connecting if !call.parties.iter().any(is_up) => {}
            Phase::Connecting => {
                let timer = Timer::ConnectedAlone(id);
                if self.timers.at(&timer).is_none() {
                    self.timers.set(timer, now.mono + CONNECTED_ALONE);
                }
            }
            Phase::Reconnecting => self.recover_if_all_is_up(now, id),
        }
    }

    /// T21, once nobody misses anything.
    fn recover_if_all_is_up(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        // Of who never reports, nothing else is to be expected; after a restart all must be back.
        let is_fine =
            |party: &Party| is_up(party) || call.restored.is_none() && party.media.is_none();
        if call.phase == Phase::Reconnecting && call.parties.iter().all(is_fine) {
            self.become_active(now, id);
        }
    }

    /// T16: one side has had media for a while, the other says nothing.
    pub(super) fn connected_alone(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        if call.phase == Phase::Connecting && call.parties.iter().any(is_up) {
            self.become_active(now, id);
        }
    }

    /// P14 e: the first answer was passed on, and somebody does not report media.
    pub(super) fn first_answer(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let all_report = call.parties.iter().all(|party| party.reports_media);
        if call.phase == Phase::Connecting && !all_report {
            self.become_active(now, id);
        }
    }

    fn become_active(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.phase = Phase::Active;
        call.restarts_left = ICE_RESTARTS;
        call.restart_generation = None;
        call.restored = None;
        let since = call.reconnecting_since.take();
        let is_first = call.row.connected_at.is_none();
        if is_first {
            call.row.connected_at = Some(now.unix_ms);
            let setup = call.answered_at.map(|at| now.mono.saturating_duration_since(at));
            call.row.setup_ms = setup.and_then(|setup| u64::try_from(setup.as_millis()).ok());
        }
        call.active_at.get_or_insert(now.mono);
        self.timers.cancel(Timer::Phase(id));
        self.timers.cancel(Timer::ConnectedAlone(id));
        match since {
            Some(since) => {
                let gap = now.mono.saturating_duration_since(since).as_millis().to_string();
                self.note(now, id, TimelineKind::Recovered, About::Call, &gap);
            }
            None => self.note(now, id, TimelineKind::Active, About::Call, ""),
        }
        if is_first {
            self.store_call(id);
        }
        self.tell_state(now, id);
    }

    /// T20.
    fn media_is_down(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        match call.phase {
            Phase::Active => self.become_reconnecting(now, id, RECONNECT_TIMEOUT),
            Phase::Connecting if !call.parties.iter().any(is_up) => {
                self.timers.cancel(Timer::ConnectedAlone(id));
            }
            Phase::Initiated | Phase::Ringing | Phase::Connecting | Phase::Reconnecting => {}
        }
    }

    fn become_reconnecting(&mut self, now: Now, id: CallId, patience: Duration) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.phase = Phase::Reconnecting;
        call.reconnecting_since = Some(now.mono);
        self.timers.set(Timer::Phase(id), now.mono + patience);
        self.note(now, id, TimelineKind::Reconnecting, About::Call, "");
        self.tell_state(now, id);
    }

    /// T17, T18: a restart is asked for, once; then a call that connects is given up, and one that
    /// reconnects has the rest of its time.
    fn media_has_failed(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        // Both sides tell of one failure: the second is old news until there was a new offer.
        if call.restart_generation.is_some_and(|wanted| call.generation < wanted) {
            return;
        }
        match call.phase {
            Phase::Initiated | Phase::Ringing | Phase::Active => {}
            Phase::Connecting | Phase::Reconnecting if call.restarts_left > 0 => {
                self.ask_restart(now, id);
            }
            Phase::Connecting => self.give_up(now, id, EndReason::IceFailed),
            Phase::Reconnecting => {}
        }
    }

    /// P14 f: `call.restart`. A call that connects gets its time again.
    fn ask_restart(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.restarts_left = call.restarts_left.saturating_sub(1);
        let generation = call.generation.saturating_add(1);
        call.restart_generation = Some(generation);
        for party in &mut call.parties {
            party.media = party.media.filter(|media| *media == MediaStatus::Connected);
        }
        let (tenant, is_connecting) = (call.tenant.clone(), call.phase == Phase::Connecting);
        let seats = call.seats_but(None);
        if is_connecting {
            self.timers.set(Timer::Phase(id), now.mono + CONNECT_TIMEOUT);
        }
        self.note(now, id, TimelineKind::RestartAsked, About::Call, "");
        let has_turn = self.options(&tenant).turn_enabled;
        for seat in seats {
            let relay_only = has_turn;
            let event = Event::CallRestart { call: id, generation, relay_only, has_turn };
            self.tell(now, seat, event);
        }
    }

    /// The phase has lasted long enough: T15, T17, T18, T23.
    pub(super) fn phase_over(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        match call.phase {
            Phase::Initiated | Phase::Ringing => self.ring_over(now, id),
            Phase::Connecting if call.restarts_left > 0 => self.ask_restart(now, id),
            Phase::Connecting => self.give_up(now, id, EndReason::IceTimeout),
            Phase::Active => {}
            Phase::Reconnecting => {
                let was_restored = call.restored.is_some();
                let reason = if was_restored { EndReason::ServerRestart } else { EndReason::Lost };
                self.end_call(now, id, reason);
            }
        }
    }

    /// T18; a call that was active once is not failed but lost.
    fn give_up(&mut self, now: Now, id: CallId, reason: EndReason) {
        let was_active = self.calls.get(id).is_some_and(was_active);
        self.end_call(now, id, if was_active { EndReason::Lost } else { reason });
    }
}

pub(super) fn was_active(call: &LiveCall) -> bool {
    call.row.connected_at.is_some()
}

pub(super) fn is_up(party: &Party) -> bool {
    party.media == Some(MediaStatus::Connected)
}

/// `relay/srflx/udp`, local first.
fn words(path: MediaPath) -> String {
    let MediaPath { local, remote, transport } = path;
    format!("{}/{}/{}", local.code(), remote.code(), transport.code())
}
