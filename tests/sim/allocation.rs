//! One allocation as the model knows it: relayed transport addresses, permissions, channels.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use turnbell::wire::address::Family;

use super::ask::Ask;
use super::model::{CHANNEL_MS, PERMISSION_MS, RESERVED_MS};
use super::rules::Rules;

/// More than any rate saves up.
const FULL: [(i64, u64); 2] = [(i64::MAX / 2, 0); 2];

/// One allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    /// One, or one of each family, and when each ends.
    relayed: Vec<(SocketAddr, u64)>,
    pub(crate) made_by: Rc<Ask>,
    /// What the client was told about the other family.
    pub(crate) address_error: Option<(Family, u16)>,
    /// The token it was told.
    pub(crate) reserved: Option<[u8; 8]>,
    permissions: BTreeMap<IpAddr, u64>,
    channels: BTreeMap<u16, (SocketAddr, u64)>,
    /// Thousandths of new peers that may be named, and since when.
    new_peers: (u64, u64),
    /// Thousandths of ICMP that may be told, and since when.
    icmp: (u64, u64),
    /// Thousandths of datagrams that may be relayed each way, and since when.
    datagrams: [(i64, u64); 2],
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToPeers,
    ToClient,
}

impl Allocation {
    pub(crate) fn new(ms: u64, relayed: Vec<SocketAddr>, until_ms: u64, made_by: Rc<Ask>) -> Self {
        Self {
            relayed: relayed.into_iter().map(|address| (address, until_ms)).collect(),
            made_by,
            address_error: None,
            reserved: None,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            new_peers: (200_000, ms),
            icmp: (5000, ms),
            datagrams: FULL,
        }
    }

    pub(crate) fn is_live(&self, ms: u64) -> bool {
        ms < self.ends_ms()
    }

    /// When the last family ends.
    pub(crate) fn ends_ms(&self) -> u64 {
        self.relayed.iter().map(|(_, until)| *until).max().unwrap_or(0)
    }

    /// Its live relayed transport addresses.
    pub(crate) fn relayed(&self, ms: u64) -> impl Iterator<Item = SocketAddr> + '_ {
        self.relayed.iter().filter(move |(_, until)| ms < *until).map(|(address, _)| *address)
    }

    /// Sets the end of all that would live longer.
    pub(crate) fn end_by(&mut self, end_ms: u64) {
        for (_, until) in &mut self.relayed {
            *until = end_ms.min(*until);
        }
    }

    /// The one that peers of the family of `peer` see.
    pub(crate) fn relayed_like(&self, ms: u64, peer: SocketAddr) -> Option<SocketAddr> {
        self.relayed(ms).find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    /// Sets the end of one family, or of what lives of both.
    pub(crate) fn set_end(&mut self, now_ms: u64, until_ms: u64, family: Option<Family>) {
        for (address, until) in &mut self.relayed {
            if now_ms < *until && family.is_none_or(|family| family == Family::of(address.ip())) {
                *until = until_ms;
            }
        }
        self.forget_ended(now_ms);
    }

    /// §8.1: a family that ended takes its permissions and channels along.
    pub(crate) fn forget_ended(&mut self, ms: u64) {
        if self.is_live(ms) {
            self.relayed.retain(|(_, until)| ms < *until);
            let relayed = &self.relayed;
            let has = |is_v4| relayed.iter().any(|(address, _)| address.is_ipv4() == is_v4);
            self.permissions.retain(|ip, _| has(ip.is_ipv4()));
            self.channels.retain(|_, (peer, _)| has(peer.is_ipv4()));
        }
    }

    pub(crate) fn permits(&self, ms: u64, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|until| ms < *until)
    }

    pub(crate) fn permit(&mut self, ms: u64, peer: SocketAddr) {
        self.permissions.insert(peer.ip(), ms + PERMISSION_MS);
        assert!(self.permissions.len() < 1024, "the simulation stays below the cap");
    }

    /// R28: what the rules refuse is closed, and a channel's halves stay tied to each other. Which
    /// live permissions and channels that ends.
    pub(crate) fn judge_again(
        &mut self,
        ms: u64,
        rules: Rules,
    ) -> (Vec<IpAddr>, Vec<(u16, SocketAddr)>) {
        let is_closed = |ip: &IpAddr| !rules.allows_address(*ip);
        let live = self.permissions.iter().filter(|(_, until)| ms < **until);
        let permissions = live.map(|(ip, _)| *ip).filter(is_closed).collect();
        self.permissions.retain(|ip, _| rules.allows_address(*ip));
        let mut channels = Vec::new();
        for (number, (peer, until)) in &mut self.channels {
            if ms < *until && !rules.allows_peer(*peer) {
                *until = ms;
                channels.push((*number, *peer));
            }
        }
        (permissions, channels)
    }

    pub(crate) fn is_made_by(&self, ask: &Ask) -> bool {
        self.made_by.signer.credential.username == ask.signer.credential.username
    }

    pub(crate) fn peer_of(&self, ms: u64, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, until)| ms < *until).map(|(peer, _)| *peer)
    }

    /// The channel of a peer.
    pub(crate) fn number_of(&self, ms: u64, peer: SocketAddr) -> Option<u16> {
        let mut channels = self.channels.iter();
        channels.find(|(_, (bound, until))| *bound == peer && ms < *until).map(|(n, _)| *n)
    }

    pub(crate) fn bind(&mut self, ms: u64, number: u16, peer: SocketAddr) {
        self.channels.retain(|other, (bound, _)| *other == number || *bound != peer);
        self.channels.insert(number, (peer, ms + CHANNEL_MS));
    }

    // §12: neither half belongs to another binding, nor did less than five minutes ago.
    pub(crate) fn can_bind(&self, ms: u64, number: u16, peer: SocketAddr) -> bool {
        self.channels.iter().all(|(other, (bound, until))| {
            let is_half = (*other == number) != (*bound == peer);
            !is_half || until + RESERVED_MS <= ms
        })
    }

    // 20 a second, 200 at once.
    pub(crate) fn pay_for(&mut self, ms: u64, new: u64) -> bool {
        pay(&mut self.new_peers, ms, 20, 200_000, new * 1000)
    }

    // What finds anything left passes, on credit where it must be; a quarter of a second is saved
    // up, and one datagram at least.
    pub(crate) fn pay_for_datagram(
        &mut self,
        ms: u64,
        direction: Direction,
        per_s: Option<u64>,
    ) -> bool {
        let Some(per_s) = per_s else { return true };
        let (level, since) = self.datagrams[direction as usize];
        let most = (per_s as i64 * 250 / 1000).max(1) * 1000;
        let level = level.saturating_add(((ms - since) * per_s) as i64).min(most);
        let is_open = level > 0;
        let left = if is_open { level - 1000 } else { level };
        self.datagrams[direction as usize] = (left, ms);
        is_open
    }

    /// Another rate begins with all that can be saved up.
    pub(crate) fn fill_up(&mut self) {
        self.datagrams = FULL;
    }

    // 5 a second, 5 at once.
    pub(crate) fn pay_for_icmp(&mut self, ms: u64) -> bool {
        pay(&mut self.icmp, ms, 5, 5000, 1000)
    }
}

/// Takes `price` thousandths out of what grows by `per_s` a second up to `most`.
fn pay(purse: &mut (u64, u64), ms: u64, per_s: u64, most: u64, price: u64) -> bool {
    let (level, since) = *purse;
    let level = (level + (ms - since) * per_s).min(most);
    let left = level.checked_sub(price);
    *purse = (left.unwrap_or(level), ms);
    left.is_some()
}
