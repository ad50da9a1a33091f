//! One allocation as its client was told of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turnbell::limits::{
    CHANNEL_LIFETIME, CHANNEL_RESERVED, ICMP_BURST, ICMP_PER_S, PERMISSION_LIFETIME, RATE_BURST_MS,
};
use turnbell::time::Now;
use turnbell::turn::fact::{AllocationNumber, Traffic};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::rates::Rate;
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::ReservationToken;
use turnbell::wire::address::Family;

use super::place::Policy;
use super::reach;

/// A live allocation.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) number: AllocationNumber,
    pub(crate) tuple: FiveTuple,
    /// Which account made it, and whose it is.
    pub(crate) account: usize,
    pub(crate) user: &'static str,
    pub(crate) traffic: Traffic,
    /// One, or one of each family.
    pub(crate) relayed: Vec<Relayed>,
    pub(crate) reserved: Option<ReservationToken>,
    /// The family that could not be had, and the code that says why.
    pub(crate) missing: Option<(Family, u16)>,
    /// Unix seconds, of the credential that made it.
    pub(crate) expires_at: Option<i64>,
    opened_at: Instant,
    pub(crate) icmp_told: u64,
    /// Since when its rates are held, what it had relayed before, and the longest datagram since.
    rated: (Instant, Traffic, u64),
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

/// A relayed transport address, and when its time is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relayed {
    pub(crate) relay: RelayPort,
    pub(crate) address: SocketAddr,
    pub(crate) until: Instant,
}

/// A socket that was opened for a client's Allocate, before the relay knows.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) tuple: FiveTuple,
    pub(crate) account: usize,
    pub(crate) user: &'static str,
    pub(crate) expires_at: Option<i64>,
    pub(crate) lifetime: Duration,
    pub(crate) relayed: Vec<(RelayPort, SocketAddr)>,
    pub(crate) reserved: Option<ReservationToken>,
    pub(crate) missing: Option<(Family, u16)>,
}

impl Live {
    pub(crate) fn new(now: Now, number: AllocationNumber, opening: Opening) -> Self {
        let Opening { tuple, account, user, expires_at, lifetime, relayed, reserved, missing } =
            opening;
        let until = now.mono + lifetime;
        let relayed = relayed.into_iter();
        Self {
            number,
            tuple,
            account,
            user,
            traffic: Traffic::default(),
            relayed: relayed.map(|(relay, address)| Relayed { relay, address, until }).collect(),
            reserved,
            missing,
            expires_at,
            opened_at: now.mono,
            icmp_told: 0,
            rated: (now.mono, Traffic::default(), 0),
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
        }
    }

    /// When the last of its relayed transport addresses ends.
    pub(crate) fn until(&self) -> Instant {
        self.relayed.iter().map(|relayed| relayed.until).max().expect("one at least")
    }

    /// Whether `relay` is what peers of this family see, and its time is not over.
    pub(crate) fn has(&self, now: Now, relay: RelayPort, family: Family) -> bool {
        self.relayed.iter().any(|relayed| {
            relayed.relay == relay
                && Family::of(relayed.address.ip()) == family
                && relayed.until > now.mono
        })
    }

    pub(crate) fn has_permission(&self, now: Now, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|until| *until > now.mono)
    }

    /// The peer of a channel, while it may be used.
    pub(crate) fn peer(&self, now: Now, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, until)| *until > now.mono).map(|(peer, _)| *peer)
    }

    /// The channel of a peer, while it may be used.
    pub(crate) fn channel(&self, now: Now, peer: SocketAddr) -> Option<u16> {
        let mut channels = self.channels.iter();
        channels.find(|(_, (at, until))| *at == peer && *until > now.mono).map(|(n, _)| *n)
    }

    pub(crate) fn permit(&mut self, now: Now, ip: IpAddr) {
        self.permissions.insert(ip, now.mono + PERMISSION_LIFETIME);
    }

    pub(crate) fn bind(&mut self, now: Now, number: u16, peer: SocketAddr) {
        self.channels.retain(|other, (bound, until)| {
            let is_same = *other == number && *bound == peer;
            let is_over = *until + CHANNEL_RESERVED <= now.mono;
            assert!(
                is_same || is_over || (*other != number && *bound != peer),
                "neither half of {number:#x}, {peer} belongs to another binding"
            );
            !is_over
        });
        self.channels.insert(number, (peer, now.mono + CHANNEL_LIFETIME));
        self.permit(now, peer.ip());
    }

    /// RFC 8656 §8.1: permissions and channels go with their family.
    pub(crate) fn forget_family(&mut self, family: Family) {
        self.permissions.retain(|ip, _| Family::of(*ip) != family);
        self.channels.retain(|_, (peer, _)| Family::of(peer.ip()) != family);
    }

    /// What is refused from here on ends; a channel's two halves stay reserved for each other.
    pub(crate) fn judge_again(&mut self, now: Now, policy: Policy) {
        self.permissions.retain(|ip, _| reach::address(*ip, policy));
        for (peer, until) in self.channels.values_mut() {
            if !reach::peer(*peer, policy) {
                *until = now.mono.min(*until);
            }
        }
    }

    /// Other rates begin with full buckets.
    pub(crate) fn start_rates(&mut self, now: Now) {
        self.rated = (now.mono, self.traffic, 0);
    }

    /// Nothing of it lives longer.
    pub(crate) fn end_by(&mut self, at: Instant) {
        for relayed in &mut self.relayed {
            relayed.until = relayed.until.min(at);
        }
    }

    /// Over the whole time nothing exceeds its rates.
    pub(crate) fn check_rates(&mut self, now: Now, rate: Rate, bytes: usize) {
        let (since, before, longest) = &mut self.rated;
        *longest = (*longest).max(bytes as u64);
        let lived = now.mono.saturating_duration_since(*since);
        let traffic = self.traffic;
        if let Some(per_s) = rate.packets {
            let most = allowance(per_s, lived) + 1;
            let to_peers = traffic.packets_to_peers - before.packets_to_peers;
            let to_client = traffic.packets_to_client - before.packets_to_client;
            assert!(to_peers.max(to_client) <= most, "more than {most} datagrams");
        }
        if let Some(per_s) = rate.bytes {
            // Whoever finds the meter above zero passes with all it has.
            let most = allowance(per_s, lived) + *longest;
            let to_peers = traffic.bytes_to_peers - before.bytes_to_peers;
            let to_client = traffic.bytes_to_client - before.bytes_to_client;
            assert!(to_peers.max(to_client) <= most, "more than {most} bytes");
        }
    }

    pub(crate) fn check_icmp(&self, now: Now) {
        let lived = now.mono.saturating_duration_since(self.opened_at).as_secs() + 1;
        let most = u64::from(ICMP_BURST) + lived * u64::from(ICMP_PER_S);
        assert!(self.icmp_told <= most, "ICMP is paced");
    }
}

/// What a meter lets through at the most.
fn allowance(per_s: u64, lived: Duration) -> u64 {
    (per_s * RATE_BURST_MS / 1000).max(1) + per_s * (lived.as_millis() as u64 + 1) / 1000
}
