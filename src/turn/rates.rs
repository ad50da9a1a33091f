//! Packets and bits a second, per allocation, per user and in total: asked on the forwarding path,
//! only where the operator set a rate.

use std::collections::HashMap;

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

/// What every live allocation and every user with one may still send.
#[derive(Debug)]
pub(super) struct Rates {
    options: RateOptions,
    /// By the allocation's slot.
    allocations: Vec<Option<OfAllocation>>,
    users: Slab<OfUser>,
    user_by_name: HashMap<Box<str>, usize>,
    total: [Pair<FairShare>; 2],
}

#[derive(Debug)]
struct OfAllocation {
    user: usize,
    meters: [Pair<Meter>; 2],
}

#[derive(Debug)]
struct OfUser {
    allocations: u32,
    meters: [Pair<Meter>; 2],
    members: [Pair<Member>; 2],
}

/// One for bytes, one for datagrams.
#[derive(Debug, Default)]
struct Pair<T> {
    bytes: Option<T>,
    packets: Option<T>,
}

impl Rates {
    /// `None` where there is no rate to hold.
    pub(super) fn new(options: RateOptions) -> Option<Box<Self>> {
        if options == RateOptions::default() {
            return None;
        }
        let total = || Pair {
            bytes: options.total.bytes.map(|n| FairShare::of_bytes(Lease::of(n, 0, 1))),
            packets: options.total.packets.map(|n| FairShare::of_packets(Lease::of(n, 0, 1))),
        };
        Some(Box::new(Self {
            options,
            allocations: Vec::new(),
            users: Slab::new(),
            user_by_name: HashMap::new(),
            total: [total(), total()],
        }))
    }

    /// An allocation of `user` lives in `slot`.
    pub(super) fn open(&mut self, slot: usize, user: &str) {
        let RateOptions { per_allocation, per_user, total } = self.options;
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
        if self.allocations.len() <= slot {
            self.allocations.resize_with(slot + 1, || None);
        }
        let meters = [meters(per_allocation), meters(per_allocation)];
        self.allocations[slot] = Some(OfAllocation { user: at, meters });
    }

    /// The allocation in `slot` of `user` is gone, and with his last one all that is known of him.
    pub(super) fn close(&mut self, slot: usize, user: &str) {
        let Some(allocation) = self.allocations.get_mut(slot).and_then(Option::take) else {
            debug_assert!(false, "an allocation is opened before it is closed");
            return;
        };
        let left = &mut self.users[allocation.user];
        left.allocations -= 1;
        if left.allocations > 0 {
            return;
        }
        let left = self.users.remove(allocation.user);
        self.user_by_name.remove(user);
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
        let Some(Some(allocation)) = self.allocations.get_mut(slot) else {
            debug_assert!(false, "an allocation is opened before it relays");
            return Ok(());
        };
        let user = &mut self.users[allocation.user];
        let at = direction as usize;
        let (own, of_user) = (&mut allocation.meters[at], &mut user.meters[at]);
        let (members, total) = (&mut user.members[at], &mut self.total[at]);
        if !own.is_open(now) {
            return Err(Discard::OverAllocationRate);
        }
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
        own.charge(bytes);
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
