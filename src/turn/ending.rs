//! How an allocation ends, or one family of it: by its client, its time, its connection, the daemon.

use std::net::IpAddr;

use super::contract::Output;
use super::fact::{EndReason, Fact};
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::relayed_address::Relayed;
use super::watch::What;
use crate::time::Now;
use crate::wire::address::Family;

impl Relay {
    /// Removes an allocation whose note in `expiry` is already gone.
    pub(super) fn close(&mut self, now: Now, slot: usize, reason: EndReason) {
        let allocation = self.allocations.remove(slot);
        self.slot_by_tuple.remove(allocation.tuple, slot);
        self.guard.closed(slot);
        self.counters.traffic_of_ended += allocation.traffic;
        let what = What::Ended { reason, traffic: allocation.traffic };
        self.note_of(now, allocation.tuple, Some(allocation.username.as_bytes()), what);
        let (user, source) = (allocation.who.user, allocation.tuple.client.ip());
        if let Some(other) = allocation.relayed_other {
            self.close_relayed(other, user.clone(), source, false);
        }
        self.close_relayed(allocation.relayed, user, source, true);
        self.outputs.push_back(Output::Fact(Fact::AllocationClosed {
            number: allocation.number,
            at_unix_ms: now.unix_ms,
            reason,
            traffic: allocation.traffic,
        }));
    }

    /// The time of a relayed transport address is over, which takes its allocation along unless
    /// there is one of the other family.
    pub(super) fn expire(&mut self, now: Now, slot: usize) {
        let allocation = &mut self.allocations[slot];
        if allocation.is_expired(now) {
            let (reason, tuple) = (self.guard.end_reason(now, &allocation.who), allocation.tuple);
            self.close(now, slot, reason);
            return self.close_stream(tuple);
        }
        let first = allocation.relayed;
        let family = if first.is_expired(now) { first.family() } else { first.family().other() };
        self.close_family(slot, family);
        self.expiry.insert(self.allocations[slot].next_expiry(), slot);
    }

    /// Ends one family of a dual allocation (§8.1).
    pub(super) fn close_family(&mut self, slot: usize, family: Family) {
        let allocation = &mut self.allocations[slot];
        let Some(gone) = allocation.take_family(family) else { return };
        let (user, source) = (allocation.who.user.clone(), allocation.tuple.client.ip());
        self.close_relayed(gone, user, source, false);
    }

    fn close_relayed(&mut self, gone: Relayed, user: Box<str>, source: IpAddr, is_last: bool) {
        self.slot_by_relay.remove(&gone.port);
        let relay = gone.port;
        self.outputs.push_back(Output::CloseRelaySocket { relay, user, source, is_last });
    }

    pub(super) fn stop(&mut self, now: Now) {
        self.is_stopping = true;
        let slots: Vec<usize> = self.allocations.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.expiry.remove(self.allocations[slot].next_expiry(), slot);
            let tuple = self.allocations[slot].tuple;
            self.close(now, slot, EndReason::Shutdown);
            self.close_stream(tuple);
        }
    }

    pub(super) fn stream_closed(&mut self, now: Now, tuple: FiveTuple) {
        debug_assert!(tuple.is_stream());
        self.abandon_pending(tuple);
        if let Some(slot) = self.slot_by_tuple.get(&self.allocations, tuple) {
            self.expiry.remove(self.allocations[slot].next_expiry(), slot);
            self.close(now, slot, EndReason::Disconnected);
        }
    }

    pub(super) fn close_stream(&mut self, tuple: FiveTuple) {
        if tuple.is_stream() {
            self.outputs.push_back(Output::CloseStream { tuple });
        }
    }
}
