//! How many allocations a user, a source and everybody together may hold.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::peers::fold;
use crate::limits::quota::{QUOTA_NEAR_PERCENT, QUOTA_TOLD_MIN};
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
    /// Users who are near their limit, in order.
    near: BTreeSet<Box<str>>,
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
        Self {
            limits,
            held_by_user: HashMap::new(),
            held_by_source: HashMap::new(),
            held: 0,
            near: BTreeSet::new(),
        }
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
        if self.is_near(self.held_by_user(user)) {
            self.near.insert(user.into());
        }
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
        if !self.is_near(by_user - 1) {
            self.near.remove(user);
        }
    }

    /// A small limit is reached in ordinary use: nobody need hear of it.
    fn is_near(&self, held: u32) -> bool {
        self.limits.per_user >= QUOTA_TOLD_MIN && is_near(held, self.limits.per_user)
    }

    /// Users who hold [`QUOTA_NEAR_PERCENT`] of what they may, or more, with how many: the first
    /// `most` by name, and how many there are. Of a limit that was lowered he is known to be near
    /// from his next allocation on.
    #[must_use]
    pub fn near(&self, most: usize) -> (Vec<(Box<str>, u32)>, usize) {
        let held = self.near.iter().map(|user| (user, self.held_by_user(user)));
        let near: Vec<_> = held.filter(|(_, held)| self.is_near(*held)).collect();
        let named = near.iter().take(most).map(|(user, held)| ((*user).clone(), *held));
        (named.collect(), near.len())
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

/// Whether so many are near a limit.
#[must_use]
pub fn is_near(held: u32, limit: u32) -> bool {
    held > 0 && u64::from(held) * 100 >= u64::from(limit) * QUOTA_NEAR_PERCENT as u64
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
