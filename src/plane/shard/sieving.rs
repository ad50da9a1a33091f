//! The part of a shard's turn that is about flooded relay sockets, and what they throw away.

use super::Shard;
use std::os::fd::AsFd;

use super::RelaySocket;
use crate::limits::RELAY_BATCH;
use crate::time::Now;
use crate::turn::relayed_address::RelayPort;

impl Shard {
    /// A flood: many datagrams waited at once, and most of them came without permission.
    pub(super) fn sieve_if_flooded(
        &mut self,
        now: Now,
        relay: RelayPort,
        received: usize,
        unpermitted: usize,
    ) {
        if received * 2 >= RELAY_BATCH && unpermitted * 4 >= received * 3 {
            self.sieve(now, relay);
        }
    }

    /// Lets those through that were permitted meanwhile, before an answer tells the client so.
    pub(super) fn sieve_again(&mut self, now: Now) {
        let is_stale = |(port, through): (RelayPort, &[_])| {
            self.relay.permitted(now, port).iter().any(|ip| !through.contains(ip)).then_some(port)
        };
        let stale: Vec<_> = self.sieves.all().filter_map(is_stale).collect();
        for port in stale {
            self.sieve(now, port);
        }
    }

    /// Ends filters whose time is over; a flood that goes on sets them again.
    pub(super) fn end_sieves(&mut self, now: Now) {
        while let Some(port) = self.sieves.over(now) {
            match self.sockets.socket(port) {
                Some(socket) => {
                    self.sieves.take_off(port, socket);
                    self.leave_out_drops_of(port);
                }
                None => self.sieves.forget(port),
            }
        }
    }

    /// Counts what the kernel threw away at a relay socket, but not what its filter did.
    pub(super) fn count_drops_of(&mut self, relay: RelayPort) {
        if self.sieves.has(relay) {
            return self.leave_out_drops_of(relay);
        }
        if let Some(RelaySocket { socket, drops, .. }) = self.sockets.get_mut(relay) {
            drops.count(socket.as_fd(), &self.drops.relay_sockets);
        }
    }

    fn leave_out_drops_of(&mut self, relay: RelayPort) {
        if let Some(RelaySocket { socket, drops, .. }) = self.sockets.get_mut(relay) {
            drops.leave_out(socket.as_fd());
        }
    }

    fn sieve(&mut self, now: Now, relay: RelayPort) {
        let permitted = self.relay.permitted(now, relay);
        if let Some(socket) = self.sockets.socket(relay) {
            self.sieves.set(now, relay, socket, permitted);
        }
    }
}
