//! Refresh: lengthens an allocation or ends it (RFC 8656 §8.2).

use super::allocate::{granted_lifetime, requested_address_family, requested_lifetime};
use super::fact::EndReason;
use super::relay::Relay;
use super::reply::{Reject, Request};
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::attribute::AttributeType;

impl Relay {
    pub(super) fn refresh(&mut self, now: Now, request: &Request<'_>) -> Result<Vec<u8>, Reject> {
        let slot = self.own_slot(now, request)?;
        let lifetime = requested_lifetime(&request.message)?;
        let allocation = &mut self.allocations[slot];
        // §8.2: a family that is not the allocation's is 443.
        match requested_address_family(&request.message) {
            Ok(None) => {}
            Ok(Some(family)) if family == Family::of(allocation.relayed.ip()) => {}
            Ok(Some(_)) | Err(Reject::AddressFamilyNotSupported) => {
                return Err(Reject::PeerAddressFamilyMismatch);
            }
            Err(reject) => return Err(reject),
        }
        let response = request.success();
        self.expiry.remove(allocation.expires_at, slot);
        if lifetime == Some(0) {
            self.close(now, slot, EndReason::Client);
            return Ok(request.finish(response.u32(AttributeType::LIFETIME, 0)));
        }
        let lifetime = self.guard.lifetime(now, &request.who, granted_lifetime(lifetime));
        allocation.expires_at = now.mono + lifetime;
        self.expiry.insert(allocation.expires_at, slot);
        // A client that refreshes is a good moment to drop what it let expire.
        allocation.permissions.forget_expired(now);
        allocation.channels.forget_expired(now);
        let left_s = allocation.time_to_expiry_s(now);
        Ok(request.finish(response.u32(AttributeType::LIFETIME, left_s)))
    }
}
