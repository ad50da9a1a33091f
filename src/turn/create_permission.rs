//! CreatePermission: lets peers talk to the client (RFC 8656 §10.2).

use super::contract::Discard;
use super::reach::address_for;
use super::relay::Relay;
use super::reply::{Reject, Request};
use crate::limits::PEERS_PER_REQUEST_MAX;
use crate::policy::peers::AllowedAddress;
use crate::time::Now;
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;

impl Relay {
    /// Installs or refreshes a permission for every address in the request, or for none.
    ///
    /// # Errors
    /// 400 without a peer or with a malformed one; 508 with more than [`PEERS_PER_REQUEST_MAX`];
    /// 443 for a peer of a family without a relayed address, 403 for one that policy refuses, 508 at
    /// the cap.
    pub(super) fn create_permission(
        &mut self,
        now: Now,
        request: &Request<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        let slot = self.own_slot(now, request)?;
        // §10.2 step 1: at least one peer, all of them well-formed, before any rule is applied.
        let transaction_id = request.message.transaction_id();
        let mut peers = Vec::new();
        for (kind, value) in request.message.attributes() {
            if kind == AttributeType::XOR_PEER_ADDRESS {
                let peer = XorAddress::decode(value, &transaction_id).ok_or(Reject::BadRequest)?;
                peers.push(peer.ip());
            }
        }
        if peers.is_empty() {
            return Err(Reject::BadRequest);
        }
        // A valid request that is too much is one of capacity.
        if peers.len() > PEERS_PER_REQUEST_MAX {
            return Err(Reject::InsufficientCapacity);
        }
        // Step 2: the family on the wire, then policy (which folds IPv4-mapped addresses first).
        let allocation = &mut self.allocations[slot];
        if peers.iter().any(|ip| allocation.live(now, Family::of(*ip)).is_none()) {
            return Err(Reject::PeerAddressFamilyMismatch);
        }
        let mut allowed: Vec<AllowedAddress> = Vec::with_capacity(peers.len());
        for ip in peers {
            let address = self.policy.permit_address(ip).map_err(|_| Reject::Forbidden)?;
            let address = address_for(&request.who, address).ok_or(Reject::Forbidden)?;
            if Family::of(address.ip()) != Family::of(ip) {
                return Err(Reject::Forbidden);
            }
            allowed.push(address);
        }
        let new = allocation.permissions.count_new(now, &allowed);
        if !allocation.permissions.have_room(now, new) {
            return Err(Reject::InsufficientCapacity);
        }
        // Over the rate there is no answer: the client's retransmission paces it. An error here
        // would end the whole TURN client of some browsers.
        if !allocation.new_peers.take(now.mono, new) {
            self.counters.discard(Discard::NewPeersPaced);
            return Ok(None);
        }
        for address in allowed {
            allocation.permissions.install(now, address);
        }
        Ok(Some(request.finish(request.success())))
    }
}
