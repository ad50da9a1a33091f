//! Permissions of one allocation: which peer addresses may talk to the client (RFC 8656 §9).

use std::net::IpAddr;
use std::time::Instant;

use super::lean;
use crate::limits::{PERMISSION_LIFETIME, PERMISSIONS_PER_ALLOCATION_MAX};
use crate::policy::peers::{AllowedAddress, AllowedPeer, Route};
use crate::time::Now;
use crate::wire::address::Family;

/// A live or expired permission; only policy can make the address in it.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    address: AllowedAddress,
    expires_at: Instant,
}

impl Permission {
    /// Ways in which datagrams of this peer address may travel.
    #[must_use]
    pub fn route(&self) -> Route {
        self.address.route()
    }

    /// A peer of this address, by the ways this permission has; `None` if none is left.
    #[must_use]
    pub fn narrow(&self, peer: AllowedPeer) -> Option<AllowedPeer> {
        match self.route() {
            Route::InProcess => peer.inside_only(),
            Route::Kernel | Route::InProcessElseKernel => Some(peer),
        }
    }

    /// When it ends unless it is refreshed.
    pub(super) fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// The one expiry rule: at its last instant it is gone.
    #[must_use]
    pub fn is_expired(&self, now: Now) -> bool {
        self.expires_at <= now.mono
    }
}

/// The permissions, ordered by address: found by binary search, at most 1,024.
#[derive(Debug, Default)]
pub struct Permissions {
    by_address: Vec<Permission>,
}

impl Permissions {
    /// The live permission for this peer address. Ports are not considered (§9).
    #[must_use]
    pub fn live(&self, now: Now, ip: IpAddr) -> Option<&Permission> {
        let at = self.position(ip).ok()?;
        Some(&self.by_address[at]).filter(|permission| !permission.is_expired(now))
    }

    /// The addresses that have one.
    pub(super) fn live_addresses(&self, now: Now) -> impl Iterator<Item = IpAddr> {
        let live = self.by_address.iter().filter(move |permission| !permission.is_expired(now));
        live.map(|permission| permission.address.ip())
    }

    /// How many of `addresses` have no live permission; repeats are counted once.
    #[must_use]
    pub fn count_new(&self, now: Now, addresses: &[AllowedAddress]) -> u32 {
        let is_new = |at: usize, ip: IpAddr| {
            self.live(now, ip).is_none() && !addresses[..at].iter().any(|a| a.ip() == ip)
        };
        addresses.iter().enumerate().filter(|(at, a)| is_new(*at, a.ip())).count() as u32
    }

    /// Whether `new` more addresses fit. Drops expired ones if that is what it takes.
    #[must_use]
    pub fn have_room(&mut self, now: Now, new: u32) -> bool {
        if self.by_address.len() + new as usize > PERMISSIONS_PER_ALLOCATION_MAX {
            self.by_address.retain(|permission| !permission.is_expired(now));
        }
        self.by_address.len() + new as usize <= PERMISSIONS_PER_ALLOCATION_MAX
    }

    /// Installs a permission or resets its time to [`PERMISSION_LIFETIME`]; ask
    /// [`Self::have_room`] first.
    pub fn install(&mut self, now: Now, address: AllowedAddress) {
        let permission = Permission { address, expires_at: now.mono + PERMISSION_LIFETIME };
        match self.position(address.ip()) {
            Ok(at) => self.by_address[at] = permission,
            Err(at) => lean::insert(&mut self.by_address, at, permission),
        }
        debug_assert!(self.by_address.len() <= PERMISSIONS_PER_ALLOCATION_MAX);
    }

    /// Judges every permission again: what is refused goes, what may go on takes its new way.
    /// Says how many live ones went.
    pub fn judge_again(
        &mut self,
        now: Now,
        judge: impl Fn(IpAddr) -> Option<AllowedAddress>,
    ) -> u64 {
        let mut closed = 0;
        self.by_address.retain_mut(|permission| match judge(permission.address.ip()) {
            Some(address) => {
                permission.address = address;
                true
            }
            None => {
                closed += u64::from(!permission.is_expired(now));
                false
            }
        });
        closed
    }

    /// Forgets what has expired.
    pub fn forget_expired(&mut self, now: Now) {
        self.by_address.retain(|permission| !permission.is_expired(now));
    }

    /// Forgets every peer of one family.
    pub fn forget_family(&mut self, family: Family) {
        self.by_address.retain(|permission| Family::of(permission.address.ip()) != family);
    }

    fn position(&self, ip: IpAddr) -> Result<usize, usize> {
        self.by_address.binary_search_by(|permission| permission.address.ip().cmp(&ip))
    }
}
