//! Packets and bits a second, per allocation, per user and in total: asked on the forwarding path,
//! only where the operator set a rate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::contract::Discard;
use crate::limits::RATE_BURST_MS;
use crate::policy::fair::{FairShare, Lease, Member};
use crate::policy::rate::Meter;
use crate::time::Now;

/// Which rates there are. Each holds for the two directions apart; what counts is application
/// data, without any header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateOptions {
    /// Of one allocation.
    pub per_allocation: Rate,
    /// Of one user, all his allocations together.
    pub per_user: Rate,
    /// Of everybody, shared fairly among the users who are active.
    pub total: Rate,
}

/// Bytes and datagrams a second; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: Option<u64>,
    /// Datagrams a second.
    pub packets: Option<u64>,
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToPeers,
    ToClient,
}

/// What every live allocation of a shard and every user with one may still send.
#[derive(Debug)]
pub(super) struct Rates {
    options: RateOptions,
    /// By the allocation's slot.
    allocations: Vec<Option<OfAllocation>>,
    everybody: Everybody,
    /// Which [`Users`] the numbers in `allocations` belong to.
    generation: u64,
}

#[derive(Debug)]
struct OfAllocation {
    /// Number and name; `None` where no rate holds for more than one allocation.
    user: Option<(usize, Box<str>)>,
    meters: [Pair<Meter>; 2],
}

/// What the shards of a daemon share of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Everybody(Arc<Mutex<Users>>);

#[derive(Debug, Default)]
struct Users {
    options: RateOptions,
    /// Grows when `options` change: everybody begins anew then.
    generation: u64,
    users: Slab<OfUser>,
    user_by_name: HashMap<Box<str>, usize>,
    total: [Pair<FairShare>; 2],
}

#[derive(Debug)]
struct OfUser {
    allocations: u32,
    meters: [Pair<Meter>; 2],
    members: [Pair<Member>; 2],
}

/// One for bytes, one for datagrams.
#[derive(Debug)]
struct Pair<T> {
    bytes: Option<T>,
    packets: Option<T>,
}

impl<T> Default for Pair<T> {
    fn default() -> Self {
        Self { bytes: None, packets: None }
    }
}

impl Rates {
    /// `None` where there is no rate to hold.
    pub(super) fn new(options: RateOptions, everybody: &Everybody) -> Option<Box<Self>> {
        if options == RateOptions::default() {
            return None;
        }
        let generation = everybody.lock().begin(options);
        let everybody = everybody.clone();
        Some(Box::new(Self { options, allocations: Vec::new(), everybody, generation }))
    }

    /// An allocation of `user` lives in `slot`.
    pub(super) fn open(&mut self, slot: usize, user: &str) {
        if self.allocations.len() <= slot {
            self.allocations.resize_with(slot + 1, || None);
        }
        let rate = self.options.per_allocation;
        let user = self.options.hold_for_users().then(|| {
            let mut users = self.everybody.lock();
            // Of another generation it is nobody's number, until `take` sees that.
            (if users.generation == self.generation { users.open(user) } else { 0 }, user.into())
        });
        self.allocations[slot] = Some(OfAllocation { user, meters: [meters(rate), meters(rate)] });
    }

    /// The allocation in `slot` is gone, and with his last one all that is known of its user.
    pub(super) fn close(&mut self, slot: usize) {
        let Some(allocation) = self.allocations.get_mut(slot).and_then(Option::take) else {
            debug_assert!(false, "an allocation is opened before it is closed");
            return;
        };
        let Some((user, name)) = allocation.user else { return };
        let mut users = self.everybody.lock();
        if users.generation == self.generation {
            users.close(user, &name);
        }
    }

    /// Whether a datagram of `bytes` may be relayed; if so, it is charged to everybody concerned.
    // Kept out of the forwarding path of those who set no rate.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        now: Now,
        slot: usize,
        direction: Direction,
        bytes: usize,
    ) -> Result<(), Discard> {
        let Self { options, allocations, everybody, generation } = self;
        let mut users = options.hold_for_users().then(|| everybody.lock());
        if let Some(users) = &mut users
            && users.generation != *generation
            && users.options == *options
        {
            // Another shard had everybody begin anew, with the rates that hold here.
            *generation = users.generation;
            for (at, name) in allocations.iter_mut().flatten().filter_map(|a| a.user.as_mut()) {
                *at = users.open(name);
            }
        }
        let Some(Some(allocation)) = allocations.get_mut(slot) else {
            debug_assert!(false, "an allocation is opened before it relays");
            return Ok(());
        };
        let own = &mut allocation.meters[direction as usize];
        if !own.is_open(now) {
            return Err(Discard::OverAllocationRate);
        }
        // Where another shard goes by other rates already, this one does in a moment, too.
        if let (Some(users), Some((user, _))) = (&mut users, &allocation.user)
            && users.generation == *generation
        {
            users.take(now, *user, direction, bytes)?;
        }
        own.charge(bytes);
        Ok(())
    }
}

impl RateOptions {
    /// Whether a rate holds for more than one allocation.
    fn hold_for_users(&self) -> bool {
        (self.per_user, self.total) != (Rate::default(), Rate::default())
    }
}

impl Everybody {
    fn lock(&self) -> MutexGuard<'_, Users> {
        // Rates are no invariant: who panics between two charges leaves one of them out.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Users {
    /// Goes by these rates; other ones than before begin with full buckets for everybody.
    fn begin(&mut self, options: RateOptions) -> u64 {
        if options != self.options {
            let total = || Pair {
                bytes: options.total.bytes.map(|n| FairShare::of_bytes(Lease::of(n, 0, 1))),
                packets: options.total.packets.map(|n| FairShare::of_packets(Lease::of(n, 0, 1))),
            };
            let generation = self.generation + 1;
            let total = [total(), total()];
            *self = Self { options, generation, total, ..Self::default() };
        }
        self.generation
    }

    fn open(&mut self, user: &str) -> usize {
        let RateOptions { per_allocation: _, per_user, total } = self.options;
        let at = self.user_by_name.get(user).copied().unwrap_or_else(|| {
            let member = || Pair {
                bytes: total.bytes.map(|_| Member::default()),
                packets: total.packets.map(|_| Member::default()),
            };
            let meters = [meters(per_user), meters(per_user)];
            let at =
                self.users.insert(OfUser { allocations: 0, meters, members: [member(), member()] });
            self.user_by_name.insert(user.into(), at);
            at
        });
        self.users[at].allocations += 1;
        at
    }

    fn close(&mut self, user: usize, name: &str) {
        let Some(left) = self.users.get_mut(user) else {
            debug_assert!(false, "a user is opened before he is closed");
            return;
        };
        left.allocations -= 1;
        if left.allocations > 0 {
            return;
        }
        let left = self.users.remove(user);
        self.user_by_name.remove(name);
        for (total, members) in self.total.iter_mut().zip(&left.members) {
            for (share, member) in
                [(&mut total.bytes, &members.bytes), (&mut total.packets, &members.packets)]
            {
                if let (Some(share), Some(member)) = (share, member) {
                    share.leave(member);
                }
            }
        }
    }

    fn take(
        &mut self,
        now: Now,
        user: usize,
        direction: Direction,
        bytes: usize,
    ) -> Result<(), Discard> {
        let Some(user) = self.users.get_mut(user) else {
            debug_assert!(false, "a user is opened before he relays");
            return Ok(());
        };
        let at = direction as usize;
        let of_user = &mut user.meters[at];
        let (members, total) = (&mut user.members[at], &mut self.total[at]);
        if !of_user.is_open(now) {
            return Err(Discard::OverUserRate);
        }
        // Both are asked, so that he counts as active in both.
        let [of_bytes, of_packets] = total
            .with(members)
            .map(|pair| pair.is_none_or(|(share, member)| share.is_open(now.mono, member)));
        if !(of_bytes && of_packets) {
            return Err(Discard::OverTotalRate);
        }
        of_user.charge(bytes);
        for (pair, units) in total.with(members).into_iter().zip([bytes as u64, 1]) {
            if let Some((share, member)) = pair {
                share.charge(member, units);
            }
        }
        Ok(())
    }
}

fn meters(rate: Rate) -> Pair<Meter> {
    let meter = |per_s: u64| Meter::new(per_s, (per_s * RATE_BURST_MS / 1000).max(1));
    Pair { bytes: rate.bytes.map(meter), packets: rate.packets.map(meter) }
}

impl Pair<Meter> {
    fn is_open(&mut self, now: Now) -> bool {
        let is_open =
            |meter: &mut Option<Meter>| meter.as_mut().is_none_or(|meter| meter.is_open(now.mono));
        is_open(&mut self.bytes) && is_open(&mut self.packets)
    }

    fn charge(&mut self, bytes: usize) {
        if let Some(meter) = &mut self.bytes {
            meter.charge(bytes as u64);
        }
        if let Some(meter) = &mut self.packets {
            meter.charge(1);
        }
    }
}

impl Pair<FairShare> {
    fn with<'a>(
        &'a mut self,
        members: &'a mut Pair<Member>,
    ) -> [Option<(&'a mut FairShare, &'a mut Member)>; 2] {
        [
            self.bytes.as_mut().zip(members.bytes.as_mut()),
            self.packets.as_mut().zip(members.packets.as_mut()),
        ]
    }
}
