//! What spans the shards: a real `Quota`, a small range of ports, who owns which, failing binds.

use std::collections::BTreeMap;
use std::net::IpAddr;

use turnbell::policy::quota::{Quota, QuotaExceeded, QuotaLimits, SourcePrefix};
use turnbell::turn::contract::{Opened, Wanted, Why};
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

use super::prng::Prng;

const FIRST_PORT: u16 = 50_000;
const PORTS: u16 = 7;
const RESERVED_MS: u64 = 60_000;
const LIMITS: QuotaLimits = QuotaLimits { per_user: 4, per_source: 4, total: 10 };

/// One relay socket.
#[derive(Debug, Clone)]
struct Held {
    shard: usize,
    user: Box<str>,
    source: IpAddr,
}

/// The ledger of a daemon with two shards.
#[derive(Debug)]
pub(crate) struct Ledger {
    quota: Quota,
    held: BTreeMap<RelayPort, Held>,
    /// Ports kept for tokens, until when.
    reserved: BTreeMap<ReservationToken, (RelayPort, u64)>,
    /// Allocations that count, for whom.
    counted: Vec<(Box<str>, IpAddr)>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            quota: Quota::new(LIMITS),
            held: BTreeMap::new(),
            reserved: BTreeMap::new(),
            counted: Vec::new(),
        }
    }

    pub(crate) fn open(
        &mut self,
        prng: &mut Prng,
        ms: u64,
        shard: usize,
        user: &str,
        source: IpAddr,
        wanted: Wanted,
    ) -> Result<Opened, Why> {
        self.reserved.retain(|_, (_, until)| ms < *until);
        self.quota.take(user, source).map_err(|exceeded| match exceeded {
            QuotaExceeded::User => Why::UserQuota,
            QuotaExceeded::Source => Why::SourceQuota,
            QuotaExceeded::Total => Why::TotalQuota,
        })?;
        let held = Held { shard, user: user.into(), source };
        let mut one = |family, ports| self.open_one(prng, family, ports, &held);
        let opened = |relay| Opened { relay, other: None, reserved: None };
        let result = match wanted {
            Wanted::One(family, ports) => one(family, ports).map(|relay| {
                let next = RelayPort { number: relay.number + 1, ..relay };
                let reserved =
                    (ports == Ports::EvenAndReserve).then(|| self.reserve(prng, ms, next));
                Opened { reserved, ..opened(relay) }
            }),
            Wanted::Both { even } => {
                let ports = if even { Ports::Even } else { Ports::Any };
                match (one(Family::V4, ports), one(Family::V6, ports)) {
                    (Ok(relay), other) | (other, Ok(relay)) => {
                        Ok(Opened { other: Some(other), ..opened(relay) })
                    }
                    (Err(why), Err(_)) => Err(why),
                }
            }
            Wanted::Reserved(token) => match self.reserved.remove(&token) {
                Some((port, _)) => {
                    self.held.insert(port, held);
                    Ok(opened(port))
                }
                None => Err(Why::Reservation),
            },
        };
        match result {
            Ok(_) => self.counted.push((user.into(), source)),
            Err(_) => self.quota.give_back(user, source),
        }
        result
    }

    fn reserve(&mut self, prng: &mut Prng, ms: u64, port: RelayPort) -> ReservationToken {
        let token = ReservationToken(prng.next().to_be_bytes());
        self.reserved.insert(token, (port, ms + RESERVED_MS));
        token
    }

    fn open_one(
        &mut self,
        prng: &mut Prng,
        family: Family,
        ports: Ports,
        held: &Held,
    ) -> Result<RelayPort, Why> {
        let address = u8::from(family == Family::V6);
        let taken: Vec<RelayPort> =
            self.held.keys().chain(self.reserved.values().map(|(port, _)| port)).copied().collect();
        let is_free = |number| {
            (FIRST_PORT..FIRST_PORT + PORTS).contains(&number)
                && !taken.contains(&RelayPort { address, number })
        };
        let free: Vec<RelayPort> = (FIRST_PORT..FIRST_PORT + PORTS)
            .filter(|number| is_free(*number))
            .filter(|number| ports == Ports::Any || number.is_multiple_of(2))
            .filter(|number| ports != Ports::EvenAndReserve || is_free(number + 1))
            .map(|number| RelayPort { address, number })
            .collect();
        match free.is_empty() {
            true => Err(Why::Ports),
            false if prng.chance(5) => Err(Why::Bind),
            false => {
                let port = *prng.pick(&free);
                self.held.insert(port, held.clone());
                Ok(port)
            }
        }
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
            let mut counted = self.counted.iter();
            let at = counted.position(|(who, from)| (&**who, *from) == (user, source));
            self.counted.swap_remove(at.expect("counted once, given back once"));
            self.quota.give_back(user, source);
        }
    }

    /// Whose shard owns a live relay port.
    pub(crate) fn owner(&self, port: RelayPort) -> Option<usize> {
        self.held.get(&port).map(|held| held.shard)
    }

    pub(crate) fn open_ports(&self) -> impl Iterator<Item = RelayPort> + '_ {
        self.held.keys().copied()
    }

    pub(crate) fn counted(&self) -> usize {
        self.counted.len()
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
            assert!(count <= LIMITS.per_user);
        }
        for (source, count) in by_source {
            assert_eq!(self.quota.held_by_source(source), count);
            assert!(count <= LIMITS.per_source);
        }
        assert!(self.quota.held() <= LIMITS.total);
    }
}
