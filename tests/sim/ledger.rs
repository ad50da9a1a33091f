//! What spans the shards: a real `Quota`, a small range of ports, who owns which, failing binds.
//!
//! It does what `plane/ledger.rs` and `plane/relay_sockets.rs` do, without sockets and with the
//! choices of the seed; `the_ledger_of_the_simulation_is_the_real_one` holds the two together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use turnbell::policy::quota::{Quota, QuotaExceeded, QuotaLimits, SourcePrefix};
use turnbell::turn::contract::{Opened, Wanted, Why};
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

use super::prng::Prng;

const FIRST_PORT: u16 = 50_000;
const RESERVED_MS: u64 = 60_000;

/// One relay socket.
#[derive(Debug, Clone)]
struct Held {
    shard: usize,
    user: Box<str>,
    source: IpAddr,
}

/// A port kept for whoever shows the token; counts as an allocation of who made it.
#[derive(Debug, Clone)]
struct Reserved {
    port: RelayPort,
    user: Box<str>,
    source: IpAddr,
    until_ms: u64,
}

/// The ledger of a daemon with two shards.
#[derive(Debug)]
pub(crate) struct Ledger {
    quota: Quota,
    limits: QuotaLimits,
    ports: u16,
    held: BTreeMap<RelayPort, Held>,
    reserved: BTreeMap<ReservationToken, Reserved>,
    /// Allocations that count, for whom.
    counted: Vec<(Box<str>, IpAddr)>,
    /// How often nothing was opened, by the reason.
    pub(crate) refused: BTreeMap<&'static str, u64>,
}

/// How ports and tokens are come by.
pub(crate) trait Draws {
    /// One of these, if it can be bound; they are not empty.
    fn port(&mut self, free: &[RelayPort]) -> Result<RelayPort, Why>;
    fn token(&mut self) -> ReservationToken;
}

impl Draws for Prng {
    fn port(&mut self, free: &[RelayPort]) -> Result<RelayPort, Why> {
        if self.chance(5) { Err(Why::Bind) } else { Ok(*self.pick(free)) }
    }

    fn token(&mut self) -> ReservationToken {
        ReservationToken(self.next().to_be_bytes())
    }
}

/// Quotas so small that they are felt, each in its turn.
pub(crate) fn some_limits(prng: &mut Prng) -> QuotaLimits {
    let mut limits = QuotaLimits { per_user: 10, per_source: 10, total: 25 };
    match prng.below(4) {
        0 => limits.per_user = prng.within(1, 4) as u32,
        1 => limits.per_source = prng.within(1, 3) as u32,
        2 => limits.total = prng.within(2, 9) as u32,
        _ => {}
    }
    limits
}

impl Ledger {
    pub(crate) fn new(prng: &mut Prng) -> Self {
        let limits = some_limits(prng);
        Self::with(limits, prng.within(5, 16) as u16)
    }

    pub(crate) fn with(limits: QuotaLimits, ports: u16) -> Self {
        Self {
            quota: Quota::new(limits),
            limits,
            ports,
            held: BTreeMap::new(),
            reserved: BTreeMap::new(),
            counted: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    pub(crate) fn set_limits(&mut self, limits: QuotaLimits) {
        self.limits = limits;
        self.quota.set_limits(limits);
    }

    /// Ends reservations whose time is over.
    pub(crate) fn tend(&mut self, ms: u64) {
        let over = self.reserved.extract_if(.., |_, kept| kept.until_ms <= ms);
        for (_, kept) in over.collect::<Vec<_>>() {
            self.uncount(&kept.user, kept.source);
        }
    }

    pub(crate) fn open(
        &mut self,
        draws: &mut impl Draws,
        ms: u64,
        shard: usize,
        user: &str,
        source: IpAddr,
        wanted: Wanted,
    ) -> Result<Opened, Why> {
        self.tend(ms);
        let held = Held { shard, user: user.into(), source };
        let result = match wanted {
            Wanted::One(..) | Wanted::Both { .. } => self.count(user, source).and_then(|()| {
                let result = self.open_new(draws, ms, wanted, &held);
                result.inspect_err(|_| self.uncount(user, source))
            }),
            Wanted::Reserved(token) => self.redeem(token, &held),
        };
        if let Err(why) = result {
            let why = match why {
                Why::UserQuota => "user",
                Why::SourceQuota => "source",
                Why::TotalQuota => "total",
                Why::Reservation => "reservation",
                Why::Ports => "ports",
                Why::Bind => "bind",
                Why::Memory => "memory",
            };
            *self.refused.entry(why).or_default() += 1;
        }
        result
    }

    fn open_new(
        &mut self,
        draws: &mut impl Draws,
        ms: u64,
        wanted: Wanted,
        held: &Held,
    ) -> Result<Opened, Why> {
        let opened = |relay| Opened { relay, other: None, reserved: None };
        match wanted {
            Wanted::One(family, ports) => {
                let relay = self.open_one(draws, family, ports, held)?;
                if ports != Ports::EvenAndReserve {
                    return Ok(opened(relay));
                }
                let next = RelayPort { number: relay.number + 1, ..relay };
                let reserved = self.reserve(draws, ms, next, held);
                let reserved = reserved.inspect_err(|_| drop(self.held.remove(&relay)))?;
                Ok(Opened { reserved: Some(reserved), ..opened(relay) })
            }
            Wanted::Both { even } => {
                let ports = if even { Ports::Even } else { Ports::Any };
                let v4 = self.open_one(draws, Family::V4, ports, held);
                match (v4, self.open_one(draws, Family::V6, ports, held)) {
                    (Ok(relay), other) | (other, Ok(relay)) => {
                        Ok(Opened { other: Some(other), ..opened(relay) })
                    }
                    (Err(why), Err(_)) => Err(why),
                }
            }
            Wanted::Reserved(_) => unreachable!("redeemed"),
        }
    }

    /// It counts for who shows the token, and no more for who made it.
    fn redeem(&mut self, token: ReservationToken, held: &Held) -> Result<Opened, Why> {
        let kept = self.reserved.remove(&token).ok_or(Why::Reservation)?;
        self.strike(&kept.user, kept.source);
        let expected = self.judge(&held.user, held.source);
        let taken = self
            .quota
            .hand_over((&kept.user, kept.source), (&held.user, held.source))
            .map_err(why_of);
        assert_eq!(taken, expected);
        if let Err(why) = taken {
            self.counted.push((kept.user.clone(), kept.source));
            self.reserved.insert(token, kept);
            return Err(why);
        }
        self.counted.push((held.user.clone(), held.source));
        self.held.insert(kept.port, held.clone());
        Ok(Opened { relay: kept.port, other: None, reserved: None })
    }

    fn reserve(
        &mut self,
        draws: &mut impl Draws,
        ms: u64,
        port: RelayPort,
        held: &Held,
    ) -> Result<ReservationToken, Why> {
        let Held { user, source, .. } = held.clone();
        self.count(&user, source)?;
        let token = draws.token();
        self.reserved.insert(token, Reserved { port, user, source, until_ms: ms + RESERVED_MS });
        Ok(token)
    }

    /// Counts one, if the limits allow it.
    fn count(&mut self, user: &str, source: IpAddr) -> Result<(), Why> {
        let expected = self.judge(user, source);
        let taken = self.quota.take(user, source).map_err(why_of);
        assert_eq!(taken, expected);
        self.counted.extend(taken.ok().map(|()| (user.into(), source)));
        taken
    }

    /// What the limits say of one more, counted by hand.
    fn judge(&self, user: &str, source: IpAddr) -> Result<(), Why> {
        let of_user = self.counted.iter().filter(|(who, _)| **who == *user).count();
        let prefix = SourcePrefix::of(source);
        let is_same = |(_, from): &&(Box<str>, IpAddr)| SourcePrefix::of(*from) == prefix;
        let of_source = self.counted.iter().filter(is_same).count();
        if of_user >= self.limits.per_user as usize {
            Err(Why::UserQuota)
        } else if of_source >= self.limits.per_source as usize {
            Err(Why::SourceQuota)
        } else if self.counted.len() >= self.limits.total as usize {
            Err(Why::TotalQuota)
        } else {
            Ok(())
        }
    }

    fn uncount(&mut self, user: &str, source: IpAddr) {
        self.strike(user, source);
        self.quota.give_back(user, source);
    }

    fn strike(&mut self, user: &str, source: IpAddr) {
        let mut counted = self.counted.iter();
        let at = counted.position(|(who, from)| (&**who, *from) == (user, source));
        self.counted.swap_remove(at.expect("counted once, given back once"));
    }

    fn open_one(
        &mut self,
        draws: &mut impl Draws,
        family: Family,
        ports: Ports,
        held: &Held,
    ) -> Result<RelayPort, Why> {
        let address = u8::from(family == Family::V6);
        let taken: Vec<RelayPort> = self
            .held
            .keys()
            .chain(self.reserved.values().map(|kept| &kept.port))
            .copied()
            .collect();
        let range = FIRST_PORT..FIRST_PORT + self.ports;
        let is_free =
            |number| range.contains(&number) && !taken.contains(&RelayPort { address, number });
        let free: Vec<RelayPort> = range
            .clone()
            .filter(|number| is_free(*number))
            .filter(|number| ports == Ports::Any || number.is_multiple_of(2))
            .filter(|number| ports != Ports::EvenAndReserve || is_free(number + 1))
            .map(|number| RelayPort { address, number })
            .collect();
        if free.is_empty() {
            return Err(Why::Ports);
        }
        let port = draws.port(&free)?;
        assert!(free.contains(&port), "{port:?} is not free");
        self.held.insert(port, held.clone());
        Ok(port)
    }

    pub(crate) fn close(
        &mut self,
        shard: usize,
        port: RelayPort,
        user: &str,
        source: IpAddr,
        is_last: bool,
    ) {
        let held = self.held.remove(&port).expect("a socket is closed once, after it was opened");
        assert_eq!((held.shard, &*held.user, held.source), (shard, user, source));
        if is_last {
            self.uncount(user, source);
        }
    }

    /// Whose shard owns a live relay port.
    pub(crate) fn owner(&self, port: RelayPort) -> Option<usize> {
        self.held.get(&port).map(|held| held.shard)
    }

    pub(crate) fn open_ports(&self) -> impl Iterator<Item = RelayPort> + '_ {
        self.held.keys().copied()
    }

    /// Allocations that count, reservations left out.
    pub(crate) fn counted(&self) -> usize {
        self.counted.len() - self.reserved.len()
    }

    /// What is counted is what is held, by user, by source and in total.
    pub(crate) fn check(&self) {
        assert_eq!(self.quota.held() as usize, self.counted.len());
        let mut by_user: BTreeMap<&str, u32> = BTreeMap::new();
        let mut by_source: BTreeMap<SourcePrefix, u32> = BTreeMap::new();
        for (user, source) in &self.counted {
            *by_user.entry(user).or_default() += 1;
            *by_source.entry(SourcePrefix::of(*source)).or_default() += 1;
        }
        assert_eq!(self.quota.holders(), (by_user.len(), by_source.len()));
        for (user, count) in by_user {
            assert_eq!(self.quota.held_by_user(user), count);
        }
        for (source, count) in by_source {
            assert_eq!(self.quota.held_by_source(source), count);
        }
    }
}

fn why_of(exceeded: QuotaExceeded) -> Why {
    match exceeded {
        QuotaExceeded::User => Why::UserQuota,
        QuotaExceeded::Source => Why::SourceQuota,
        QuotaExceeded::Total => Why::TotalQuota,
    }
}
