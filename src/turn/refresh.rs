//! Refresh: lengthens an allocation or ends it (RFC 8656 §8.2).

use super::allocate::{granted_lifetime, requested_address_family, requested_lifetime};
use super::allocation::whole_seconds;
use super::fact::EndReason;
use super::relay::Relay;
use super::reply::{Reject, Request};
use crate::time::Now;
use crate::wire::attribute::AttributeType;

impl Relay {
    pub(super) fn refresh(&mut self, now: Now, request: &Request<'_>) -> Result<Vec<u8>, Reject> {
        let slot = self.own_slot(now, request)?;
        let lifetime = requested_lifetime(&request.message)?;
        // §8.2: a family that is not the allocation's is 443.
        let family = match requested_address_family(&request.message) {
            Ok(None) => None,
            Ok(Some(family)) if self.allocations[slot].live(now, family).is_some() => Some(family),
            Ok(Some(_)) | Err(Reject::AddressFamilyNotSupported) => {
                return Err(Reject::PeerAddressFamilyMismatch);
            }
            Err(reject) => return Err(reject),
        };
        self.expiry.remove(self.allocations[slot].next_expiry(), slot);
        let response = request.success();
        if lifetime == Some(0) {
            // §8.1: of a dual allocation one family may be deleted; the other one lives on.
            match family {
                Some(family) if self.allocations[slot].relayed_other.is_some() => {
                    self.close_family(slot, family);
                    self.expiry.insert(self.allocations[slot].next_expiry(), slot);
                }
                Some(_) | None => self.close(now, slot, EndReason::Client),
            }
            return Ok(request.finish(response.u32(AttributeType::LIFETIME, 0)));
        }
        let lifetime = self.guard.lifetime(now, &request.who, granted_lifetime(lifetime));
        let allocation = &mut self.allocations[slot];
        allocation.live_until(now.mono + lifetime, family);
        self.expiry.insert(allocation.next_expiry(), slot);
        // A client that refreshes is a good moment to drop what it let expire.
        allocation.permissions.forget_expired(now);
        allocation.channels.forget_expired(now);
        Ok(request.finish(response.u32(AttributeType::LIFETIME, whole_seconds(lifetime))))
    }
}
