//! Channel bindings of one allocation: a number in place of a peer's transport address (RFC 8656 §12).

use std::net::SocketAddr;
use std::time::Instant;

use super::lean;
use crate::limits::{CHANNEL_LIFETIME, CHANNEL_RESERVED, CHANNELS_PER_ALLOCATION_MAX};
use crate::policy::peers::AllowedPeer;
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::channel_data::ChannelNumber;

/// A binding; live until it expires, then reserved for the same pair for five minutes.
#[derive(Debug, Clone, Copy)]
struct ChannelBinding {
    number: ChannelNumber,
    peer: AllowedPeer,
    expires_at: Instant,
}

impl ChannelBinding {
    fn is_expired(&self, now: Now) -> bool {
        self.expires_at <= now.mono
    }

    // §12: a client must wait five minutes before it reuses either half. Holding both halves back
    // that long keeps a late ChannelData from reaching the wrong peer.
    fn is_forgotten(&self, now: Now) -> bool {
        self.expires_at + CHANNEL_RESERVED <= now.mono
    }
}

/// Why a binding cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindError {
    /// The number belongs to another peer, or the peer has another number (400).
    Mismatch,
    /// No room for one more (508).
    Full,
}

/// The bindings, found by number and by peer with binary searches, at most 1,024.
#[derive(Debug, Default)]
pub struct ChannelBindings {
    by_number: Vec<ChannelBinding>,
    number_by_peer: Vec<(SocketAddr, ChannelNumber)>,
}

impl ChannelBindings {
    /// The peer that `number` is bound to, if the binding is live.
    #[must_use]
    pub fn peer(&self, now: Now, number: ChannelNumber) -> Option<AllowedPeer> {
        let at = self.position(number).ok()?;
        Some(&self.by_number[at]).filter(|b| !b.is_expired(now)).map(|b| b.peer)
    }

    /// The number under which datagrams of `peer` go to the client, if a binding is live.
    #[must_use]
    pub fn number(&self, now: Now, peer: SocketAddr) -> Option<ChannelNumber> {
        let at = self.position_of_peer(peer).ok()?;
        let number = self.number_by_peer[at].1;
        self.peer(now, number).map(|_| number)
    }

    /// The live bindings, and until when each lives.
    pub(super) fn live(
        &self,
        now: Now,
    ) -> impl Iterator<Item = (ChannelNumber, AllowedPeer, Instant)> {
        let live = self.by_number.iter().filter(move |binding| !binding.is_expired(now));
        live.map(|binding| (binding.number, binding.peer, binding.expires_at))
    }

    /// Says what [`Self::bind`] would: nothing, or the error.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn check(
        &mut self,
        now: Now,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<(), BindError> {
        let bound_to = self.position(number).ok().map(|at| self.by_number[at]);
        let bound_as = self.position_of_peer(peer).ok().map(|at| self.number_by_peer[at].1);
        if bound_to.is_some_and(|b| b.peer.addr() == peer) {
            return Ok(());
        }
        let other_number = bound_as
            .and_then(|other| self.position(other).ok())
            .is_some_and(|at| !self.by_number[at].is_forgotten(now));
        if other_number || bound_to.is_some_and(|b| !b.is_forgotten(now)) {
            return Err(BindError::Mismatch);
        }
        // Cold path, and it also clears what would otherwise keep a half of the new pair.
        self.forget_expired(now);
        if self.by_number.len() >= CHANNELS_PER_ALLOCATION_MAX {
            return Err(BindError::Full);
        }
        Ok(())
    }

    /// Binds, or resets the time of the same pair to [`CHANNEL_LIFETIME`]; after [`Self::check`].
    pub fn bind(&mut self, now: Now, number: ChannelNumber, peer: AllowedPeer) {
        let binding = ChannelBinding { number, peer, expires_at: now.mono + CHANNEL_LIFETIME };
        match self.position(number) {
            Ok(at) => self.by_number[at] = binding,
            Err(at) => lean::insert(&mut self.by_number, at, binding),
        }
        if let Err(at) = self.position_of_peer(peer.addr()) {
            lean::insert(&mut self.number_by_peer, at, (peer.addr(), number));
        }
        debug_assert_eq!(self.by_number.len(), self.number_by_peer.len());
    }

    /// Judges every binding again: what is refused expires at once, so that its number stays
    /// reserved, and what may go on takes its new way. Says how many live ones ended.
    pub fn judge_again(
        &mut self,
        now: Now,
        judge: impl Fn(SocketAddr) -> Option<AllowedPeer>,
    ) -> u64 {
        let mut closed = 0;
        for binding in self.by_number.iter_mut().filter(|binding| !binding.is_expired(now)) {
            match judge(binding.peer.addr()) {
                Some(peer) => binding.peer = peer,
                None => {
                    binding.expires_at = now.mono;
                    closed += 1;
                }
            }
        }
        closed
    }

    /// Forgets bindings whose reservation is over as well.
    pub fn forget_expired(&mut self, now: Now) {
        self.retain(|binding| !binding.is_forgotten(now));
    }

    /// Forgets every binding to a peer of one family, reservations as well.
    pub fn forget_family(&mut self, family: Family) {
        self.retain(|binding| Family::of(binding.peer.ip()) != family);
    }

    fn retain(&mut self, keep: impl Fn(&ChannelBinding) -> bool) {
        let Self { by_number, number_by_peer } = self;
        by_number.retain(keep);
        number_by_peer
            .retain(|(_, number)| by_number.binary_search_by(|b| b.number.cmp(number)).is_ok());
    }

    fn position(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.by_number.binary_search_by(|binding| binding.number.cmp(&number))
    }

    fn position_of_peer(&self, peer: SocketAddr) -> Result<usize, usize> {
        self.number_by_peer.binary_search_by(|(bound, _)| bound.cmp(&peer))
    }
}
