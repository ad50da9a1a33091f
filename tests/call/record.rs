//! The record of a board: what the switchboard handed in, as the store would hold it.

use std::collections::{BTreeMap, BTreeSet};

use turnbell::auth::identity::{TenantId, UserId};
use turnbell::call::media::PartyId;
use turnbell::call::rows::{
    BlockRow, CallRow, EventRow, PartyRow, QualityRow, Row, TimelineKind, UnfinishedCall,
};
use turnbell::call::state::CallStatus;
use turnbell::call::ulid::CallId;

/// What the record would hold.
#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) calls: BTreeMap<CallId, CallRow>,
    pub(crate) last: Option<CallId>,
    /// Those without a final row.
    pub(crate) live: BTreeSet<CallId>,
    pub(crate) parties: BTreeMap<(CallId, PartyId), PartyRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) quality: Vec<QualityRow>,
    pub(crate) heartbeats: Vec<(i64, Vec<CallId>)>,
    pub(crate) feedback: usize,
    /// By tenant, who has blocked, whom.
    pub(crate) blocks: BTreeMap<(TenantId, UserId, UserId), BlockRow>,
    /// Calls of somebody who is blocked.
    pub(crate) silent: BTreeSet<CallId>,
}

impl Record {
    pub(crate) fn take(&mut self, row: Row) {
        match row {
            Row::Call(row) => {
                let before = self.calls.get(&row.call).map(|row| row.status);
                let was_final = before.is_some_and(CallStatus::is_final);
                assert!(!was_final, "one final row: {before:?}, then {:?}", row.status);
                assert_eq!(row.reason.is_some(), row.status.is_final());
                self.last = Some(row.call);
                match row.status.is_final() {
                    true => self.live.remove(&row.call),
                    false => self.live.insert(row.call),
                };
                // As the store does it: a call that is over has nobody in it.
                let parties = (row.call, PartyId(0))..=(row.call, PartyId(u32::MAX));
                for (_, party) in self.parties.range_mut(parties) {
                    party.left_at = party.left_at.or(row.ended_at);
                }
                self.calls.insert(row.call, *row);
            }
            Row::Party(row) => {
                let has_left = row.left_at.is_some();
                let before = self.parties.insert((row.call, row.party), *row);
                let was_there = before.is_none_or(|row| row.left_at.is_none());
                assert!(was_there || has_left, "who left has left");
            }
            Row::Event(row) => {
                if row.kind == TimelineKind::Blocked {
                    self.silent.insert(row.call);
                }
                self.events.push(*row);
            }
            Row::Block(row) => {
                let key = (row.tenant.clone(), row.user.clone(), row.blocked.clone());
                self.blocks.insert(key, *row);
            }
            Row::Unblock(row) => {
                self.blocks.remove(&(row.tenant, row.user, row.blocked));
            }
            Row::Quality(row) => self.quality.push(*row),
            Row::Feedback(_) => self.feedback += 1,
            Row::Heartbeat { at_unix_ms, calls } => self.heartbeats.push((at_unix_ms, calls)),
        }
    }

    /// Calls without an end, as the store reads them at start: newest first, with who has not left.
    pub(crate) fn unfinished(&self) -> Vec<UnfinishedCall> {
        let whole = |id: &CallId| {
            let parties = self.parties.range((*id, PartyId(0))..=(*id, PartyId(u32::MAX)));
            let beats = self.heartbeats.iter().rev().find(|(_, calls)| calls.contains(id));
            let events = self.events.iter().filter(|event| event.call == *id);
            UnfinishedCall {
                call: self.calls[id].clone(),
                parties: parties
                    .map(|(_, party)| party.clone())
                    .filter(|party| party.left_at.is_none())
                    .collect(),
                heartbeat_at: beats.map(|(at, _)| *at),
                events: events.map(|event| event.number).max().unwrap_or(0),
            }
        };
        self.live.iter().rev().map(whole).collect()
    }

    /// The timeline in words.
    pub(crate) fn timeline(&self) -> Vec<&'static str> {
        self.events.iter().map(|event| event.kind.code()).collect()
    }
}
