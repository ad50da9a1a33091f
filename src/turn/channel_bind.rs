//! ChannelBind: a number for a peer, and the permission that goes with it (RFC 8656 §12.2).

use super::channel_binding::BindError;
use super::contract::Discard;
use super::reach::peer_for;
use super::relay::Relay;
use super::reply::{Reject, Request};
use crate::time::Now;
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;
use crate::wire::channel_data::ChannelNumber;

impl Relay {
    pub(super) fn channel_bind(
        &mut self,
        now: Now,
        request: &Request<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let slot = self.own_slot(now, request)?;
        // §12.2: both attributes, and a number in range.
        let number = match request.message.attribute(AttributeType::CHANNEL_NUMBER) {
            Some([n0, n1, _, _]) => {
                ChannelNumber::new(u16::from_be_bytes([*n0, *n1]), self.channel_range)
            }
            Some(_) | None => None,
        }
        .ok_or(Reject::BadRequest)?;
        let peer = request
            .message
            .attribute(AttributeType::XOR_PEER_ADDRESS)
            .and_then(|value| XorAddress::decode(value, &request.message.transaction_id()))
            .ok_or(Reject::BadRequest)?;
        let allocation = &mut self.allocations[slot];
        let family = Family::of(peer.ip());
        if allocation.live(now, family).is_none() {
            return Err(Reject::PeerAddressFamilyMismatch);
        }
        let peer = self.policy.permit_peer(peer).map_err(|_| Reject::Forbidden)?;
        let peer = peer_for(&request.who, peer).ok_or(Reject::Forbidden)?;
        if Family::of(peer.ip()) != family {
            return Err(Reject::Forbidden);
        }
        // Neither half may belong to another binding, expired less than five minutes ago included.
        allocation.channels.check(now, number, peer.addr()).map_err(|error| match error {
            BindError::Mismatch => Reject::BadRequest,
            BindError::Full => Reject::InsufficientCapacity,
        })?;
        let new = allocation.permissions.count_new(now, &[peer.address()]);
        if !allocation.permissions.have_room(now, new) {
            return Err(Reject::InsufficientCapacity);
        }
        if !allocation.new_peers.take(now.mono, new) {
            self.counters.discard(Discard::NewPeersPaced);
            return Ok(None);
        }
        allocation.permissions.install(now, peer.address());
        allocation.channels.bind(now, number, peer);
        Ok(Some(request.finish(request.success())))
    }
}
