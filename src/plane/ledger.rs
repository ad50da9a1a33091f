//! What spans shards: relay ports, quotas, and who owns a live relay port.
//!
//! One mutex, touched a few times per allocation and never per packet; the owner of a port is an
//! atomic that is read per packet only for peers that are own addresses.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::limits::RELAY_PORT_REST;
use crate::policy::quota::{Quota, QuotaExceeded, QuotaLimits};
use crate::time::Now;
use crate::turn::contract::Why;
use crate::turn::relayed_address::RelayPort;
use crate::wire::address::Family;

/// Index of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardIndex(pub u8);

const NOBODY: u8 = u8::MAX;

/// Ports and quotas of the whole daemon.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    first_port: u16,
    /// By relay address, then by port from `first_port`.
    owners: Vec<Vec<AtomicU8>>,
    families: Vec<Family>,
}

#[derive(Debug)]
struct Books {
    quota: Quota,
    /// Free ports by relay address, in no order: one is drawn at random.
    free: Vec<Vec<u16>>,
    /// Ports found taken by another program, and until when they are left alone.
    resting: VecDeque<(Instant, RelayPort)>,
}

/// How many ports there are and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortCount {
    /// Can be drawn.
    pub free: usize,
    /// Held by another program when last tried.
    pub resting: usize,
    /// Of live or opening allocations.
    pub used: usize,
}

impl Ledger {
    /// `addresses`: the relay addresses in the order of their index, at most 255.
    #[must_use]
    pub fn new(addresses: &[IpAddr], ports: &RangeInclusive<u16>, limits: QuotaLimits) -> Self {
        let owners = |_: &IpAddr| ports.clone().map(|_| AtomicU8::new(NOBODY)).collect();
        Self {
            books: Mutex::new(Books {
                quota: Quota::new(limits),
                free: addresses.iter().map(|_| ports.clone().collect()).collect(),
                resting: VecDeque::new(),
            }),
            first_port: *ports.start(),
            owners: addresses.iter().map(owners).collect(),
            families: addresses.iter().map(|ip| Family::of(*ip)).collect(),
        }
    }

    /// Counts one allocation and draws a random free port of `family` for it.
    ///
    /// # Errors
    /// The quota that is reached, or `Ports`; nothing is counted then.
    pub fn take(
        &self,
        now: Now,
        user: &str,
        source: IpAddr,
        family: Family,
    ) -> Result<RelayPort, Why> {
        let mut books = self.books();
        books.quota.take(user, source).map_err(|exceeded| match exceeded {
            QuotaExceeded::User => Why::UserQuota,
            QuotaExceeded::Source => Why::SourceQuota,
            QuotaExceeded::Total => Why::TotalQuota,
        })?;
        let drawn = self.draw(&mut books, now, family);
        if drawn.is_none() {
            books.quota.give_back(user, source);
        }
        drawn.ok_or(Why::Ports)
    }

    /// Lets a port rest that another program holds, and draws another one.
    ///
    /// # Errors
    /// `Ports` if none is left; the allocation is still counted, see [`Self::forget`].
    pub fn exchange(&self, now: Now, taken: RelayPort) -> Result<RelayPort, Why> {
        let mut books = self.books();
        books.resting.push_back((now.mono + RELAY_PORT_REST, taken));
        let family = self.families[usize::from(taken.address)];
        self.draw(&mut books, now, family).ok_or(Why::Ports)
    }

    /// Takes the count of an allocation back whose socket could not be opened, and the last port
    /// that was drawn for it, if it is still held.
    pub fn forget(&self, drawn: Option<RelayPort>, user: &str, source: IpAddr) {
        let mut books = self.books();
        books.quota.give_back(user, source);
        if let Some(port) = drawn {
            books.free[usize::from(port.address)].push(port.number);
        }
    }

    /// Says who receives what is sent to `port`; its socket is open.
    pub fn own(&self, port: RelayPort, shard: ShardIndex) {
        if let Some(owner) = self.owner_cell(port) {
            owner.store(shard.0, Ordering::Release);
        }
    }

    /// The shard that has a live allocation on `port`.
    #[must_use]
    pub fn owner(&self, port: RelayPort) -> Option<ShardIndex> {
        let owner = self.owner_cell(port)?.load(Ordering::Acquire);
        (owner != NOBODY).then_some(ShardIndex(owner))
    }

    /// Gives port and count of an allocation back; its socket is closed.
    pub fn give_back(&self, port: RelayPort, user: &str, source: IpAddr) {
        if let Some(owner) = self.owner_cell(port) {
            owner.store(NOBODY, Ordering::Release);
        }
        self.forget(Some(port), user, source);
    }

    /// Sets new quotas; who holds more than them keeps it.
    pub fn set_quota(&self, limits: QuotaLimits) {
        self.books().quota.set_limits(limits);
    }

    /// What the ports are used for.
    #[must_use]
    pub fn port_count(&self) -> PortCount {
        let books = self.books();
        let free = books.free.iter().map(Vec::len).sum();
        let resting = books.resting.len();
        let all: usize = self.owners.iter().map(Vec::len).sum();
        PortCount { free, resting, used: all - free - resting }
    }

    fn draw(&self, books: &mut Books, now: Now, family: Family) -> Option<RelayPort> {
        while let Some((until, port)) = books.resting.front().copied()
            && until <= now.mono
        {
            books.resting.pop_front();
            books.free[usize::from(port.address)].push(port.number);
        }
        let of_family = |address: &usize| self.families[*address] == family;
        // Of several addresses the one with most room, so that they fill evenly.
        let address =
            (0..books.free.len()).filter(of_family).max_by_key(|a| books.free[*a].len())?;
        let ports = &mut books.free[address];
        let at = random_below(ports.len())?;
        Some(RelayPort { address: address as u8, number: ports.swap_remove(at) })
    }

    fn owner_cell(&self, port: RelayPort) -> Option<&AtomicU8> {
        let offset = port.number.checked_sub(self.first_port)?;
        self.owners.get(usize::from(port.address))?.get(usize::from(offset))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic while the books were open ends the process; whoever still runs may read them.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number below `bound` from the operating system's generator: relay ports must not be guessable
/// (RFC 8656 §7.2). `None` if there is nothing to choose from.
fn random_below(bound: usize) -> Option<usize> {
    let bound = u64::try_from(bound).ok().filter(|bound| *bound > 0)?;
    // 32 random bits scaled down to at most 16: the bias is under one in 65,536.
    let random = u64::from(getrandom::u32().ok()?);
    usize::try_from((random * bound) >> 32).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const USER: &str = "bob";

    fn source() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn ledger(ports: RangeInclusive<u16>, limits: QuotaLimits) -> Ledger {
        let addresses = ["203.0.113.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
        Ledger::new(&addresses, &ports, limits)
    }

    fn generous() -> QuotaLimits {
        QuotaLimits { per_user: 1000, per_source: 1000, total: 1000 }
    }

    #[test]
    fn ports_are_drawn_once_and_come_back() {
        let ledger = ledger(50_000..=50_009, generous());
        let now = Now::read();
        let take = || ledger.take(now, USER, source(), Family::V4);
        let mut drawn: Vec<_> = (0..10).map(|_| take().unwrap()).collect();
        assert_eq!(take(), Err(Why::Ports));
        assert_eq!(ledger.port_count(), PortCount { free: 10, resting: 0, used: 10 });
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 10);
        assert!(drawn.iter().all(|p| p.address == 0 && (50_000..=50_009).contains(&p.number)));
        for port in drawn {
            ledger.give_back(port, USER, source());
        }
        assert_eq!(ledger.port_count(), PortCount { free: 20, resting: 0, used: 0 });
        assert!(ledger.take(now, USER, source(), Family::V6).unwrap().address == 1);
    }

    #[test]
    fn a_reached_quota_says_which_and_takes_no_port() {
        let now = Now::read();
        for (limits, why) in [
            (QuotaLimits { per_user: 1, ..generous() }, Why::UserQuota),
            (QuotaLimits { per_source: 1, ..generous() }, Why::SourceQuota),
            (QuotaLimits { total: 1, ..generous() }, Why::TotalQuota),
        ] {
            let ledger = ledger(50_000..=50_009, limits);
            let port = ledger.take(now, USER, source(), Family::V4).unwrap();
            assert_eq!(ledger.take(now, USER, source(), Family::V4), Err(why));
            assert_eq!(ledger.port_count().used, 1);
            ledger.give_back(port, USER, source());
            assert!(ledger.take(now, USER, source(), Family::V4).is_ok());
        }
    }

    #[test]
    fn running_out_of_ports_counts_nothing_against_the_user() {
        let ledger = ledger(50_000..=50_000, QuotaLimits { per_user: 2, ..generous() });
        let now = Now::read();
        let port = ledger.take(now, USER, source(), Family::V4).unwrap();
        for _ in 0..5 {
            assert_eq!(ledger.take(now, USER, source(), Family::V4), Err(Why::Ports));
        }
        ledger.give_back(port, USER, source());
        assert!(ledger.take(now, USER, source(), Family::V4).is_ok());
    }

    #[test] // R7: the busy port rests for 60 s
    fn a_port_of_another_program_rests_for_60_s_and_is_drawn_again_after() {
        let ledger = ledger(50_000..=50_001, generous());
        let now = Now::read();
        let busy = ledger.take(now, USER, source(), Family::V4).unwrap();
        let other = ledger.exchange(now, busy).unwrap();
        assert_ne!(busy, other);
        let later = |s| now.after(Duration::from_secs(s));
        assert_eq!(ledger.take(later(59), "a", source(), Family::V4), Err(Why::Ports));
        assert_eq!(ledger.take(later(60), "a", source(), Family::V4), Ok(busy));
    }

    #[test]
    fn a_port_has_an_owner_from_own_to_give_back() {
        let ledger = ledger(50_000..=50_009, generous());
        let port = ledger.take(Now::read(), USER, source(), Family::V4).unwrap();
        assert_eq!(ledger.owner(port), None);
        ledger.own(port, ShardIndex(0));
        assert_eq!(ledger.owner(port), Some(ShardIndex(0)));
        ledger.give_back(port, USER, source());
        assert_eq!(ledger.owner(port), None);
        assert_eq!(ledger.owner(RelayPort { address: 9, number: 50_000 }), None);
        assert_eq!(ledger.owner(RelayPort { address: 0, number: 80 }), None);
    }

    #[test] // security.md B1: relay ports must not be predictable
    fn drawn_ports_are_spread_evenly() {
        let ledger = ledger(50_000..=50_015, generous());
        let mut hits = [0_u32; 16];
        for _ in 0..16_000 {
            let port = ledger.take(Now::read(), USER, source(), Family::V4).unwrap();
            hits[usize::from(port.number - 50_000)] += 1;
            ledger.give_back(port, USER, source());
        }
        // Chi-square with 15 degrees of freedom: over 60 happens once in some 10^7 runs.
        let chi: f64 = hits.iter().map(|h| (f64::from(*h) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 60.0, "{chi} {hits:?}");
    }
}
