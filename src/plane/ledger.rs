//! What spans shards: relay ports, reservations, quotas, and who owns a live relay port.
//!
//! One mutex, touched a few times per allocation and never per packet; the owner of a port is an
//! atomic that is read per packet only for peers that are own addresses.

use std::collections::VecDeque;
use std::net::{IpAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::port_pool::PortPool;
use crate::limits::{RELAY_PORT_REST, RESERVATION_LIFETIME, RESERVATIONS_MAX};
use crate::policy::quota::{Quota, QuotaExceeded, QuotaLimits, is_near};
use crate::time::Now;
use crate::turn::contract::Why;
use crate::turn::relayed_address::RelayPort;
use crate::turn::reservation::{Ports, ReservationToken};
use crate::wire::address::Family;

/// Index of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShardIndex(pub u8);

const NOBODY: u8 = u8::MAX;

/// Ports, reservations and quotas of the whole daemon.
///
/// A drawn port is used until it is given back, rests or is reserved; nothing else happens to it.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    is_short_of_memory: AtomicBool,
    /// How many reservations there are, so that nobody locks the books to find none.
    reserved: AtomicUsize,
    first_port: u16,
    /// By relay address, then by port from `first_port`.
    owners: Vec<Vec<AtomicU8>>,
    families: Vec<Family>,
}

#[derive(Debug)]
struct Books {
    quota: Quota,
    /// No more allocations than these: as many as there were when memory became short.
    held_max: Option<u32>,
    /// Free ports by relay address.
    pools: Vec<PortPool>,
    used: usize,
    /// Ports found taken by another program, and until when they are left alone.
    resting: VecDeque<(Instant, RelayPort)>,
    /// Oldest first: all live equally long.
    reservations: VecDeque<Reservation>,
}

/// A bound socket that waits for whoever shows the token. It counts as an allocation of the user
/// who made it, so that quotas bound it.
#[derive(Debug)]
struct Reservation {
    token: ReservationToken,
    port: RelayPort,
    socket: UdpSocket,
    user: Box<str>,
    source: IpAddr,
    expires_at: Instant,
}

impl Reservation {
    fn is_expired(&self, now: Now) -> bool {
        self.expires_at <= now.mono
    }
}

/// Who is near his quota of allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearQuota {
    /// Some of the users, by name, with what they hold.
    pub users: Vec<(Box<str>, u32)>,
    /// How many users there are.
    pub users_count: usize,
    /// What all hold together, if that is near.
    pub total: Option<u32>,
    /// What may be held.
    pub limits: QuotaLimits,
}

/// How many ports there are and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortCount {
    /// Can be drawn.
    pub free: usize,
    /// Held by another program when last tried.
    pub resting: usize,
    /// Bound and kept for a token.
    pub reserved: usize,
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
                held_max: None,
                pools: addresses.iter().map(|_| PortPool::new(ports)).collect(),
                used: 0,
                resting: VecDeque::new(),
                reservations: VecDeque::new(),
            }),
            is_short_of_memory: AtomicBool::new(false),
            reserved: AtomicUsize::new(0),
            first_port: *ports.start(),
            owners: addresses.iter().map(owners).collect(),
            families: addresses.iter().map(|ip| Family::of(*ip)).collect(),
        }
    }

    /// Counts one allocation, whatever the number of its ports.
    ///
    /// # Errors
    /// The quota that is reached; nothing is counted then.
    pub fn count(&self, user: &str, source: IpAddr) -> Result<(), Why> {
        self.books().count(user, source)
    }

    /// Takes the count of one allocation back.
    pub fn uncount(&self, user: &str, source: IpAddr) {
        self.books().quota.give_back(user, source);
    }

    /// Draws a random free port of `family`; for [`Ports::EvenAndReserve`] the next higher one on
    /// the same address is drawn with it.
    ///
    /// # Errors
    /// `Ports` if there is none.
    pub fn draw(&self, now: Now, family: Family, ports: Ports) -> Result<RelayPort, Why> {
        self.tend(now);
        let mut books = self.books();
        books.wake(now);
        // Of several addresses the one with most room first, so that they fill evenly.
        let mut addresses: Vec<usize> =
            (0..self.families.len()).filter(|at| self.families[*at] == family).collect();
        addresses.sort_by_key(|at| std::cmp::Reverse(books.pools[*at].len()));
        let drawn = addresses.into_iter().find_map(|address| {
            let number = books.pools[address].draw(ports)?;
            Some(RelayPort { address: address as u8, number })
        });
        books.used += match (drawn, ports) {
            (None, _) => 0,
            (Some(_), Ports::Any | Ports::Even) => 1,
            (Some(_), Ports::EvenAndReserve) => 2,
        };
        drawn.ok_or(Why::Ports)
    }

    /// Lets a drawn port rest that another program holds.
    pub fn rest(&self, now: Now, taken: RelayPort) {
        let mut books = self.books();
        books.used -= 1;
        books.resting.push_back((now.mono + RELAY_PORT_REST, taken));
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

    /// Gives a drawn port back; its socket is closed.
    pub fn give_back(&self, port: RelayPort) {
        if let Some(owner) = self.owner_cell(port) {
            owner.store(NOBODY, Ordering::Release);
        }
        let mut books = self.books();
        books.used -= 1;
        books.pools[usize::from(port.address)].put(port.number);
    }

    /// Keeps a drawn port and its socket for [`RESERVATION_LIFETIME`]; counts as an allocation of
    /// `user` until then.
    ///
    /// # Errors
    /// The quota that is reached, or `Ports` at [`RESERVATIONS_MAX`] or without random numbers; the
    /// port is given back then.
    pub fn reserve(
        &self,
        now: Now,
        port: RelayPort,
        socket: UdpSocket,
        user: &str,
        source: IpAddr,
    ) -> Result<ReservationToken, Why> {
        let mut books = self.books();
        let reserved = books.token().and_then(|token| {
            books.count(user, source)?;
            Ok(token)
        });
        books.used -= 1;
        let token = match reserved {
            Ok(token) => token,
            Err(why) => {
                drop(socket);
                books.pools[usize::from(port.address)].put(port.number);
                return Err(why);
            }
        };
        let expires_at = now.mono + RESERVATION_LIFETIME;
        let user = user.into();
        books.reservations.push_back(Reservation { token, port, socket, user, source, expires_at });
        self.reserved.store(books.reservations.len(), Ordering::Release);
        Ok(token)
    }

    /// Hands a reserved port and its socket to whoever shows the token, and counts it as an
    /// allocation of `user`; a token serves once.
    ///
    /// # Errors
    /// `Reservation` if the token is unknown, used or expired; else the quota that is reached, and
    /// the reservation stays.
    pub fn redeem(
        &self,
        now: Now,
        token: ReservationToken,
        user: &str,
        source: IpAddr,
    ) -> Result<(RelayPort, UdpSocket), Why> {
        self.tend(now);
        let mut books = self.books();
        let at = books.reservations.iter().position(|kept| kept.token == token);
        let kept = at.and_then(|at| books.reservations.remove(at)).ok_or(Why::Reservation)?;
        let from = (&*kept.user, kept.source);
        if let Err(exceeded) = books.quota.hand_over(from, (user, source)) {
            let place = at.unwrap_or(0);
            books.reservations.insert(place, kept);
            return Err(why(exceeded));
        }
        books.used += 1;
        self.reserved.store(books.reservations.len(), Ordering::Release);
        Ok((kept.port, kept.socket))
    }

    /// Ends reservations whose time is over; costs nothing where there are none.
    pub fn tend(&self, now: Now) {
        if self.reserved.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut books = self.books();
        while let Some(over) = books.reservations.pop_front_if(|kept| kept.is_expired(now)) {
            books.quota.give_back(&over.user, over.source);
            drop(over.socket);
            books.pools[usize::from(over.port.address)].put(over.port.number);
        }
        self.reserved.store(books.reservations.len(), Ordering::Release);
    }

    /// Sets new quotas; who holds more than them keeps it.
    pub fn set_quota(&self, limits: QuotaLimits) {
        self.books().quota.set_limits(limits);
    }

    /// The quotas in force.
    #[must_use]
    pub fn quota(&self) -> QuotaLimits {
        self.books().quota.limits()
    }

    /// While memory is short there are no more allocations than when it became so. What ends makes
    /// room: the memory it had is used again, even where the kernel did not get it back.
    pub fn set_short_of_memory(&self, is_short: bool) {
        let mut books = self.books();
        let held = books.quota.held();
        books.held_max = is_short.then_some(books.held_max.unwrap_or(held));
        self.is_short_of_memory.store(is_short, Ordering::Relaxed);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        self.is_short_of_memory.load(Ordering::Relaxed)
    }

    /// What the ports are used for.
    #[must_use]
    pub fn port_count(&self) -> PortCount {
        let books = self.books();
        PortCount {
            free: books.pools.iter().map(PortPool::len).sum(),
            resting: books.resting.len(),
            reserved: books.reservations.len(),
            used: books.used,
        }
    }

    /// Allocations that count against the quotas, reservations left out.
    #[must_use]
    pub fn allocation_count(&self) -> u64 {
        let books = self.books();
        u64::from(books.quota.held()) - books.reservations.len() as u64
    }

    /// Who is near his quota of allocations, and whether all together are.
    #[must_use]
    pub fn near_quota(&self, most: usize) -> NearQuota {
        let books = self.books();
        let limits = books.quota.limits();
        let (users, users_count) = books.quota.near(most);
        let total = Some(books.quota.held()).filter(|held| is_near(*held, limits.total));
        NearQuota { users, users_count, total, limits }
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

impl Books {
    fn count(&mut self, user: &str, source: IpAddr) -> Result<(), Why> {
        if self.held_max.is_some_and(|most| self.quota.held() >= most) {
            return Err(Why::Memory);
        }
        self.quota.take(user, source).map_err(why)
    }

    /// Makes ports free again that have rested.
    fn wake(&mut self, now: Now) {
        while let Some((_, port)) = self.resting.pop_front_if(|(until, _)| *until <= now.mono) {
            self.pools[usize::from(port.address)].put(port.number);
        }
    }

    /// A new random token, if there is room for it.
    fn token(&self) -> Result<ReservationToken, Why> {
        let mut token = [0; 8];
        let is_random = getrandom::fill(&mut token).is_ok();
        let token = ReservationToken(token);
        let is_new = self.reservations.iter().all(|kept| kept.token != token);
        let is_room = self.reservations.len() < RESERVATIONS_MAX;
        (is_random && is_new && is_room).then_some(token).ok_or(Why::Ports)
    }
}

fn why(exceeded: QuotaExceeded) -> Why {
    match exceeded {
        QuotaExceeded::User => Why::UserQuota,
        QuotaExceeded::Source => Why::SourceQuota,
        QuotaExceeded::Total => Why::TotalQuota,
    }
}

#[cfg(test)]
mod tests;
