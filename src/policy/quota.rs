//! How many allocations a user, a source and everybody together may hold.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::peers::fold;
use crate::limits::{
    ALLOCATIONS_PER_SOURCE_PERCENT, ALLOCATIONS_PER_USER_DEFAULT, ALLOCATIONS_TOTAL_PERCENT,
};

/// Allocations at once; the next is 486 (user, source) or 508 (total).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Of one user: the part of USERNAME after the expiry.
    pub per_user: u32,
    /// Of one source: an IPv4 address or an IPv6 /64.
    pub per_source: u32,
    /// Of everybody.
    pub total: u32,
}

/// Counts what is held. Bounded: no count is kept at zero, so no map outgrows the total.
#[derive(Debug)]
pub struct Quota {
    limits: QuotaLimits,
    held_by_user: HashMap<Box<str>, u32>,
    held_by_source: HashMap<SourcePrefix, u32>,
    held: u32,
}

/// Which limit an allocation would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaExceeded {
    /// The user's.
    User,
    /// The source's.
    Source,
    /// The daemon's.
    Total,
}

/// What counts as one source: a whole IPv4 address, the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePrefix(IpAddr);

impl QuotaLimits {
    /// The defaults for a range of relay ports: 64 for a user, a quarter of the range for a
    /// source, nine tenths of it for all; rounded down, at least 1.
    #[must_use]
    pub fn for_range(ports: &RangeInclusive<u16>) -> Self {
        let ports = u32::try_from(ports.len()).unwrap_or(0);
        Self {
            per_user: ALLOCATIONS_PER_USER_DEFAULT,
            per_source: (ports * ALLOCATIONS_PER_SOURCE_PERCENT / 100).max(1),
            total: (ports * ALLOCATIONS_TOTAL_PERCENT / 100).max(1),
        }
    }
}

impl Quota {
    /// Starts with nothing held.
    #[must_use]
    pub fn new(limits: QuotaLimits) -> Self {
        Self { limits, held_by_user: HashMap::new(), held_by_source: HashMap::new(), held: 0 }
    }

    /// Counts one allocation, or counts nothing.
    ///
    /// # Errors
    /// The first limit it would break, in the order user, source, total.
    pub fn take(&mut self, user: &str, source: IpAddr) -> Result<(), QuotaExceeded> {
        let source = SourcePrefix::of(source);
        if self.held_by_user(user) >= self.limits.per_user {
            return Err(QuotaExceeded::User);
        }
        if self.held_by_source(source) >= self.limits.per_source {
            return Err(QuotaExceeded::Source);
        }
        if self.held >= self.limits.total {
            return Err(QuotaExceeded::Total);
        }
        self.add(user, source);
        Ok(())
    }

    fn add(&mut self, user: &str, source: SourcePrefix) {
        match self.held_by_user.get_mut(user) {
            Some(held) => *held += 1,
            None => _ = self.held_by_user.insert(user.into(), 1),
        }
        *self.held_by_source.entry(source).or_insert(0) += 1;
        self.held += 1;
    }

    /// Counts for `to` what was counted for `from`, or leaves it as it was.
    ///
    /// # Errors
    /// The first limit that `to` would break, with `from` out of the way.
    ///
    /// # Panics
    /// As [`Self::give_back`].
    pub fn hand_over(
        &mut self,
        from: (&str, IpAddr),
        to: (&str, IpAddr),
    ) -> Result<(), QuotaExceeded> {
        self.give_back(from.0, from.1);
        // What is held stays held, above limits that were lowered meanwhile, too.
        self.take(to.0, to.1).inspect_err(|_| self.add(from.0, SourcePrefix::of(from.1)))
    }

    /// Uncounts one allocation.
    ///
    /// # Panics
    /// If `user` or `source` holds none: what was never taken cannot be given back.
    pub fn give_back(&mut self, user: &str, source: IpAddr) {
        let source = SourcePrefix::of(source);
        let by_user = self.held_by_user(user);
        let by_source = self.held_by_source(source);
        assert!(by_user > 0 && by_source > 0, "an allocation is given back once, as it was taken");
        match self.held_by_user.get_mut(user) {
            Some(held) if by_user > 1 => *held -= 1,
            Some(_) | None => _ = self.held_by_user.remove(user),
        }
        match self.held_by_source.get_mut(&source) {
            Some(held) if by_source > 1 => *held -= 1,
            Some(_) | None => _ = self.held_by_source.remove(&source),
        }
        self.held -= 1;
    }

    /// Sets new limits. What is held above them stays held and only stops growing.
    pub fn set_limits(&mut self, limits: QuotaLimits) {
        self.limits = limits;
    }

    /// Limits in force.
    #[must_use]
    pub fn limits(&self) -> QuotaLimits {
        self.limits
    }

    /// Allocations of everybody.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Allocations of one user.
    #[must_use]
    pub fn held_by_user(&self, user: &str) -> u32 {
        self.held_by_user.get(user).copied().unwrap_or(0)
    }

    /// Allocations of one source.
    #[must_use]
    pub fn held_by_source(&self, source: SourcePrefix) -> u32 {
        self.held_by_source.get(&source).copied().unwrap_or(0)
    }

    /// How many users and how many sources hold something.
    #[must_use]
    pub fn holders(&self) -> (usize, usize) {
        (self.held_by_user.len(), self.held_by_source.len())
    }
}

impl std::fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(prefix) => write!(f, "{prefix}/64"),
        }
    }
}

impl SourcePrefix {
    /// The source that `ip` belongs to, v4-mapped addresses taken as IPv4.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match fold(ip) {
            IpAddr::V4(ip) => Self(ip.into()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}
