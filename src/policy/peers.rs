//! Which peers a client may reach, and by which way. Only this file makes an `AllowedPeer`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::ranges::{self, AddressSet};
use crate::limits::{REFLECTION_PORTS_DEFAULT, RELAY_PORTS_DEFAULT};

/// The rules about peers as one immutable snapshot; a reload makes a new one.
///
/// Asked once per CreatePermission address, per ChannelBind and per Send indication. No answer
/// depends on time or on what is allocated: a browser remembers a 403 for the life of its
/// allocation. Two are equal that judge every peer alike.
#[derive(Debug, PartialEq, Eq)]
pub struct PeerPolicy {
    advertised: AddressSet,
    own: AddressSet,
    broadcast: AddressSet,
    deny: AddressSet,
    nat64: AddressSet,
    allow: AddressSet,
    relay_ports: RangeInclusive<u16>,
    // Both ascending.
    listeners: Box<[SocketAddr]>,
    wildcard_ports: Box<[u16]>,
    // Ascending, and no two overlap.
    reflection_ports: Box<[RangeInclusive<u16>]>,
}

/// What a [`PeerPolicy`] is made from. Every address may be given v4-mapped.
#[derive(Debug, Clone)]
pub struct PeerPolicyOptions {
    /// Addresses that XOR-RELAYED-ADDRESS shows: the public side where there is NAT.
    pub advertised_relay: Vec<IpAddr>,
    /// Every other address of this machine: private side, other interfaces, external addresses
    /// that are not relayed on. Loopback is known without being listed.
    pub own: Vec<IpAddr>,
    /// Networks that our interfaces lie in; their IPv4 broadcast and network addresses are closed
    /// for good. Host bits are ignored, so an interface's `address/bits` serves.
    pub local_networks: Vec<IpNet>,
    /// Where the daemon listens. A wildcard address stands for every own address of both
    /// families; any other closes its port also on the advertised addresses (hairpin NAT).
    pub listeners: Vec<SocketAddr>,
    /// Ports that relayed transport addresses are taken from.
    pub relay_ports: RangeInclusive<u16>,
    /// Closed by the operator; wins over `allow_private`.
    pub deny: Vec<IpNet>,
    /// NAT64 prefixes that were found on the local network: what lies behind them is any IPv4
    /// address, so they are closed like a row of the table.
    pub nat64: Vec<IpNet>,
    /// Opened by the operator (`allow_private_peers`): any row of the table, own addresses too.
    pub allow_private: Vec<IpNet>,
    /// Ports outside that no data is sent to, in any order: what answers there would answer
    /// somebody who never asked. A permission carries no port, so it is none of its business.
    pub reflection_ports: Vec<RangeInclusive<u16>>,
}

/// A peer address that policy lets a permission be installed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AllowedAddress {
    ip: IpAddr,
    route: Route,
}

/// A peer transport address that policy lets data be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AllowedPeer {
    address: AllowedAddress,
    port: u16,
    route: Route,
}

/// By which way a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// A foreign address, or an own one that the operator opened: sent from the relay socket.
    Kernel,
    /// An advertised relay address: delivered to the live allocation that has this relayed
    /// transport address; without one, dropped and counted.
    InProcess,
    /// An advertised relay address that the operator also opened: delivered inside if a live
    /// allocation has it, else sent from the relay socket.
    InProcessElseKernel,
}

/// Why a peer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denied {
    /// It lies in a range that is closed by default, or for good; the range's name for people.
    Table(&'static str),
    /// It lies in a NAT64 prefix of this network.
    Nat64,
    /// It is the broadcast or network address of a network this machine lies in.
    LocalBroadcast,
    /// It is this machine, by an address that relays nothing.
    OwnAddress,
    /// It is a port the daemon itself listens on.
    OwnListener,
    /// It is an advertised relay address, but no port there can be a relayed one.
    NotARelayPort,
    /// The operator closed it.
    OperatorDeny,
    /// What listens on such a port serves attackers to hit others with.
    ReflectionPort,
    /// Nothing can be sent to port 0.
    PortZero,
}

impl PeerPolicy {
    /// Takes the rules as they are; ranges and counts were checked with the config.
    #[must_use]
    pub fn new(options: PeerPolicyOptions) -> Self {
        let PeerPolicyOptions {
            advertised_relay,
            own,
            local_networks,
            listeners,
            relay_ports,
            deny,
            nat64,
            allow_private,
            reflection_ports,
        } = options;
        let (wildcard, specific): (Vec<SocketAddr>, Vec<SocketAddr>) =
            listeners.into_iter().map(fold_port).partition(|at| at.ip().is_unspecified());
        let own = own.into_iter().chain(specific.iter().map(SocketAddr::ip)).map(IpNet::from);
        let hairpin = specific
            .iter()
            .flat_map(|at| advertised_relay.iter().map(|ip| SocketAddr::new(fold(*ip), at.port())));
        let mut closed: Vec<SocketAddr> = specific.iter().copied().chain(hairpin).collect();
        closed.sort_unstable();
        closed.dedup();
        let mut wildcard_ports: Vec<u16> = wildcard.iter().map(SocketAddr::port).collect();
        wildcard_ports.sort_unstable();
        wildcard_ports.dedup();
        Self {
            own: AddressSet::new(own.chain(ranges::loopback())),
            advertised: AddressSet::new(advertised_relay.into_iter().map(IpNet::from)),
            broadcast: AddressSet::new(local_networks.into_iter().flat_map(broadcast_of)),
            deny: AddressSet::new(deny),
            nat64: AddressSet::new(nat64),
            allow: AddressSet::new(allow_private),
            relay_ports,
            listeners: closed.into(),
            wildcard_ports: wildcard_ports.into(),
            reflection_ports: merged(reflection_ports),
        }
    }

    /// Judges an address for a permission: CreatePermission carries no port.
    ///
    /// # Errors
    /// The first rule that refuses it; the client hears 403.
    pub fn permit_address(&self, ip: IpAddr) -> Result<AllowedAddress, Denied> {
        let ip = fold(ip);
        // Above every setting: unspecified, multicast, reserved, broadcast.
        if let Some(row) = ranges::never(ip) {
            return Err(Denied::Table(row));
        }
        // Own-address rule: for an advertised relay address it succeeds, whoever holds a port
        // there; the operator may open the way through the kernel beside it.
        let denied = self.deny.contains(ip);
        if self.advertised.contains(ip) {
            let opened = !denied && self.allow.contains(ip);
            let route = if opened { Route::InProcessElseKernel } else { Route::InProcess };
            return Ok(AllowedAddress { ip, route });
        }
        if self.broadcast.contains(ip) {
            return Err(Denied::LocalBroadcast);
        }
        if denied {
            return Err(Denied::OperatorDeny);
        }
        if !self.allow.contains(ip) {
            if let Some(row) = ranges::closed(ip) {
                return Err(Denied::Table(row));
            }
            if self.nat64.contains(ip) {
                return Err(Denied::Nat64);
            }
            // Own-address rule, second half: closed where the table would let it pass.
            if self.own.contains(ip) {
                return Err(Denied::OwnAddress);
            }
        }
        Ok(AllowedAddress { ip, route: Route::Kernel })
    }

    /// Judges a transport address for ChannelBind and Send.
    ///
    /// # Errors
    /// The first rule that refuses it: ChannelBind answers 403, Send is discarded.
    pub fn permit_peer(&self, peer: SocketAddr) -> Result<AllowedPeer, Denied> {
        let address = self.permit_address(peer.ip())?;
        let port = peer.port();
        if port == 0 {
            return Err(Denied::PortZero);
        }
        if self.is_listener(address, port) {
            return Err(Denied::OwnListener);
        }
        let route = match address.route {
            Route::Kernel => Route::Kernel,
            Route::InProcess if self.relay_ports.contains(&port) => Route::InProcess,
            Route::InProcess => return Err(Denied::NotARelayPort),
            Route::InProcessElseKernel if self.relay_ports.contains(&port) => {
                Route::InProcessElseKernel
            }
            Route::InProcessElseKernel => Route::Kernel,
        };
        // A live relayed address of ours reflects nothing, whatever its port.
        let route = match route {
            Route::Kernel if self.is_reflection_port(port) => return Err(Denied::ReflectionPort),
            Route::InProcessElseKernel if self.is_reflection_port(port) => Route::InProcess,
            Route::Kernel | Route::InProcess | Route::InProcessElseKernel => route,
        };
        Ok(AllowedPeer { address, port, route })
    }

    fn is_reflection_port(&self, port: u16) -> bool {
        let at = self.reflection_ports.partition_point(|range| *range.end() < port);
        self.reflection_ports.get(at).is_some_and(|range| range.contains(&port))
    }

    fn is_listener(&self, address: AllowedAddress, port: u16) -> bool {
        let everywhere = self.wildcard_ports.binary_search(&port).is_ok()
            && (address.route != Route::Kernel || self.own.contains(address.ip));
        everywhere || self.listeners.binary_search(&SocketAddr::new(address.ip, port)).is_ok()
    }
}

impl Default for PeerPolicyOptions {
    /// No own address, no listener, nothing opened; the default relay range and reflection ports.
    fn default() -> Self {
        Self {
            advertised_relay: Vec::new(),
            own: Vec::new(),
            local_networks: Vec::new(),
            listeners: Vec::new(),
            relay_ports: RELAY_PORTS_DEFAULT,
            deny: Vec::new(),
            nat64: Vec::new(),
            allow_private: Vec::new(),
            reflection_ports: REFLECTION_PORTS_DEFAULT.to_vec(),
        }
    }
}

impl AllowedAddress {
    /// The address, never v4-mapped: its family may differ from the one that was asked about.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The widest way by which some port of it may be reached.
    #[must_use]
    pub fn route(self) -> Route {
        self.route
    }

    /// The same, reached inside the process or not at all; `None` if that is no way to it.
    #[must_use]
    pub fn inside_only(self) -> Option<Self> {
        self.route.inside_only().map(|route| Self { route, ..self })
    }
}

impl Route {
    fn inside_only(self) -> Option<Self> {
        match self {
            Self::InProcess | Self::InProcessElseKernel => Some(Self::InProcess),
            Self::Kernel => None,
        }
    }
}

impl AllowedPeer {
    /// The transport address, never v4-mapped: its family may differ from the one asked about.
    #[must_use]
    pub fn addr(self) -> SocketAddr {
        SocketAddr::new(self.address.ip, self.port)
    }

    /// Its address, never v4-mapped.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.address.ip
    }

    /// The permission that goes with a channel to it (RFC 8656 §12).
    #[must_use]
    pub fn address(self) -> AllowedAddress {
        self.address
    }

    /// The way by which it is reached.
    #[must_use]
    pub fn route(self) -> Route {
        self.route
    }

    /// The same, reached inside the process or not at all; `None` if that is no way to it.
    #[must_use]
    pub fn inside_only(self) -> Option<Self> {
        let address = self.address.inside_only()?;
        self.route.inside_only().map(|route| Self { address, route, ..self })
    }
}

impl Denied {
    /// A short phrase for counters and people.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Table(row) => row,
            Self::Nat64 => "discovered NAT64",
            Self::LocalBroadcast => "local broadcast",
            Self::OwnAddress => "own address",
            Self::OwnListener => "own listener",
            Self::NotARelayPort => "not a relay port",
            Self::ReflectionPort => "reflection port",
            Self::OperatorDeny => "closed by the operator",
            Self::PortZero => "port zero",
        }
    }
}

/// Turns `::ffff:a.b.c.d` into `a.b.c.d`; comes before every decision about an address.
#[must_use]
pub fn fold(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn fold_port(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(fold(at.ip()), at.port())
}

fn merged(mut ranges: Vec<RangeInclusive<u16>>) -> Box<[RangeInclusive<u16>]> {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u16>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match merged.last_mut() {
            Some(last) if range.start() <= last.end() => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            Some(_) | None => merged.push(range),
        }
    }
    merged.into()
}

// A network of one or two addresses has neither (RFC 3021).
fn broadcast_of(net: IpNet) -> Vec<IpNet> {
    match net {
        IpNet::V4(net) if net.prefix_len() <= 30 => {
            [net.network(), net.broadcast()].map(|ip| IpNet::from(IpAddr::V4(ip))).into()
        }
        IpNet::V4(_) | IpNet::V6(_) => Vec::new(),
    }
}
