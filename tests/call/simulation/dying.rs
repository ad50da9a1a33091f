//! A daemon that is killed, and the one after it (P4). What must come of each call is said here by
//! P4, from the rows that were durable.

use std::collections::BTreeSet;

use turnbell::call::event::{Event, Message, Resumed};
use turnbell::call::rows::UnfinishedCall;
use turnbell::call::state::{CallStatus, EndReason};
use turnbell::call::ulid::CallId;

use super::World;

impl World {
    /// Deaths at such a moment are the ones that matter most.
    pub(super) fn is_somebody_talking(&self) -> bool {
        let record = &self.board.record;
        record.live.iter().any(|call| record.calls[call].connected_at.is_some())
    }

    /// At whatever moment this is.
    pub(super) fn daemon_dies(&mut self) {
        self.told.deaths += 1;
        // How far the record had come.
        let rows = self.prng.below(6) as usize;
        self.board.commit(rows);
        let mut seed = [0; 32];
        seed.copy_from_slice(&self.prng.bytes(32));
        let found = self.board.dies(seed);
        self.restored_at.clear();
        let rows = self.board.record.calls.values();
        let over = rows.filter(|row| row.status.is_final()).map(|row| row.call);
        self.over_before = over.collect();
        self.over_before.retain(|call| found.iter().all(|one| one.call.call != *call));
        let mut live = BTreeSet::new();
        for UnfinishedCall { call, heartbeat_at, .. } in found {
            let was_active = call.status == CallStatus::Answered && call.connected_at.is_some();
            if was_active {
                self.told.restored += 1;
                live.insert(call.call);
                // Known to be alive last by a heartbeat, or by its media.
                let alive_at = heartbeat_at.max(call.connected_at).expect("it was active");
                self.restored_at.insert(call.call, alive_at);
                continue;
            }
            self.told.closed += 1;
            let row = &self.board.record.calls[&call.call];
            let last_known = heartbeat_at.or(call.answered_at).unwrap_or(call.started_at);
            assert_eq!(
                (row.status, row.reason, row.ended_at, row.talk_ms),
                (CallStatus::Failed, Some(EndReason::ServerRestart), Some(last_known), Some(0)),
                "{row:?}"
            );
        }
        assert_eq!(self.board.record.live, live, "what was active goes on, and nothing else");
        for actor in &mut self.actors {
            actor.page = None;
            actor.is_stranded = actor.token.is_some();
        }
    }

    /// A page of before is new to this daemon, whatever it shows, and hears to what it may return.
    pub(super) fn is_welcome_anew(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let Some(page) = actor.page.clone() else { return };
        let was_stranded = std::mem::take(&mut actor.is_stranded);
        let socket = self.board.socket(&page);
        let welcome = socket.welcome.as_ref().expect("the page is in");
        if was_stranded {
            assert!(
                matches!(welcome.resumed, Resumed::UnknownToken | Resumed::New),
                "no session outlives its daemon: {:?}",
                welcome.resumed
            );
        }
        if matches!(welcome.resumed, Resumed::Yes) {
            return;
        }
        let identity = &page.who.identity;
        let is_his = |call: &&CallId| {
            let row = &self.board.record.calls[*call];
            let is_party = [&row.caller, &row.callee].contains(&&identity.user);
            row.tenant == identity.tenant && is_party && row.status == CallStatus::Answered
        };
        let may_return: BTreeSet<CallId> =
            self.board.record.live.iter().filter(is_his).copied().collect();
        let synced = socket.inbox.iter().find_map(|message| {
            let Message::Event { event, .. } = message else { return None };
            let Event::StateSync { calls } = &**event else { return None };
            Some(calls.iter().map(|call| call.call).collect())
        });
        let synced: BTreeSet<CallId> = synced.expect("a page that knows nothing is told");
        assert!(may_return.is_subset(&synced), "{may_return:?} of {synced:?}");
    }

    /// Who did not return to a restored call ended it at the moment it was last known to be alive.
    pub(super) fn check_restored(&self) {
        for (call, alive_at) in &self.restored_at {
            let row = &self.board.record.calls[call];
            if row.reason == Some(EndReason::ServerRestart) {
                assert_eq!(row.status, CallStatus::Completed, "{row:?}");
                assert_eq!(row.ended_at, Some(*alive_at), "{row:?}");
            }
        }
    }
}
