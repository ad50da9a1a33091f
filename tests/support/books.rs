//! The test's own books: what every allocation relayed, so that facts must add up to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};

/// Client and server address: what tells five-tuples of UDP apart.
pub(crate) type Pair = (SocketAddr, SocketAddr);

/// Allocations that facts have opened and not yet closed.
#[derive(Debug, Default)]
pub(crate) struct Books {
    open: BTreeMap<AllocationNumber, Entry>,
    number_by_pair: BTreeMap<Pair, AllocationNumber>,
    last_number: u64,
    /// Other relays of the daemon take numbers, too.
    pub(crate) has_others: bool,
}

#[derive(Debug)]
struct Entry {
    pair: Pair,
    relayed: Vec<SocketAddr>,
    saw: Traffic,
}

impl Books {
    /// Enters an opening or closing; other facts are not its business.
    pub(crate) fn enter(&mut self, fact: &Fact) {
        match fact {
            Fact::AllocationOpened { number, client, server, relayed, relayed_other, .. } => {
                let is_next = number.0 == self.last_number + 1;
                let counts_up = is_next || (self.has_others && number.0 > self.last_number);
                assert!(counts_up, "numbers count up");
                self.last_number = number.0;
                let pair = (*client, *server);
                let relayed = std::iter::once(*relayed).chain(*relayed_other).collect();
                let entry = Entry { pair, relayed, saw: Traffic::default() };
                self.open.insert(*number, entry);
                let previous = self.number_by_pair.insert(pair, *number);
                assert_eq!(previous, None, "one allocation per five-tuple");
            }
            Fact::AllocationClosed { number, traffic, .. } => {
                let entry = self.open.remove(number).expect("closed once, after it was opened");
                assert_eq!(*traffic, entry.saw, "the traffic of {number:?} as the test saw it");
                self.number_by_pair.remove(&entry.pair);
            }
            Fact::AuthenticationFailed { .. } => {}
        }
    }

    /// Notes a datagram from the client to a peer.
    pub(crate) fn note_to_peer(&mut self, pair: Pair, bytes: usize) {
        let saw = &mut self.entry_mut(pair).saw;
        saw.packets_to_peers += 1;
        saw.bytes_to_peers += bytes as u64;
    }

    /// Notes a datagram from a peer to the client.
    pub(crate) fn note_to_client(&mut self, pair: Pair, bytes: usize) {
        let saw = &mut self.entry_mut(pair).saw;
        saw.packets_to_client += 1;
        saw.bytes_to_client += bytes as u64;
    }

    /// The relayed transport address of a client's allocation.
    pub(crate) fn relayed(&self, pair: Pair) -> Option<SocketAddr> {
        self.all_relayed(pair).first().copied()
    }

    /// The one that peers of the family of `like` see.
    pub(crate) fn relayed_like(&self, pair: Pair, like: SocketAddr) -> Option<SocketAddr> {
        let mut all = self.all_relayed(pair).iter();
        all.find(|relayed| relayed.is_ipv4() == like.is_ipv4()).copied()
    }

    /// All of a client's allocation, as it was opened.
    pub(crate) fn all_relayed(&self, pair: Pair) -> &[SocketAddr] {
        self.number_by_pair.get(&pair).map_or(&[], |number| &self.open[number].relayed)
    }

    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Notes what was carried of its data without the relay.
    pub(crate) fn note_carried(&mut self, pair: Pair, carried: Traffic) {
        self.entry_mut(pair).saw += carried;
    }

    fn entry_mut(&mut self, pair: Pair) -> &mut Entry {
        let number = self.number_by_pair.get(&pair).expect("data only with an allocation");
        self.open.get_mut(number).expect("both maps name the same")
    }
}

/// The reason in a closing fact.
pub(crate) fn end_reason(fact: &Fact) -> Option<EndReason> {
    match fact {
        Fact::AllocationClosed { reason, .. } => Some(*reason),
        Fact::AllocationOpened { .. } | Fact::AuthenticationFailed { .. } => None,
    }
}
