//! What must happen, from the RFC text alone: sets of allocations, permissions and bindings with
//! their expiry. Shares no code with `src/turn`; time is milliseconds since the start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use turnbell::turn::contract::{Header, Why};
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::{ChannelNumber, ChannelRange};

use super::ask::{Ask, Wanted};
use crate::support::answer::Answer;
use crate::support::{RELAY_V4, RELAY_V6};

const PERMISSION_MS: u64 = 300_000;
const CHANNEL_MS: u64 = 600_000;
const RESERVED_MS: u64 = 300_000;
const NONCE_MS: u64 = 3_600_000;
const SKEW_S: i64 = 30;

/// What the server owes for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answers(Answer),
    Silence,
    AsksForSocket(Family),
}

/// What becomes of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    ToPeer { from: SocketAddr, peer: SocketAddr, data: Vec<u8> },
    ToClient { client: SocketAddr, header: Header, data: Vec<u8> },
    Dropped,
}

/// One allocation.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub(crate) relayed: SocketAddr,
    pub(crate) expires_ms: u64,
    made_by: Rc<Ask>,
    permissions: BTreeMap<IpAddr, u64>,
    channels: BTreeMap<u16, (SocketAddr, u64)>,
    /// Thousandths of new peers that may be named, and since when.
    new_peers: (u64, u64),
}

/// Everything that lives, by client address.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) allocations: BTreeMap<SocketAddr, Allocation>,
    pending: BTreeMap<SocketAddr, Rc<Ask>>,
    nonces: BTreeMap<Vec<u8>, (SocketAddr, u64)>,
}

/// The moment of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) ms: u64,
    pub(crate) unix_s: i64,
}

impl Model {
    /// Notes a nonce that the server gave out.
    pub(crate) fn nonce_issued(&mut self, nonce: Vec<u8>, client: SocketAddr, ms: u64) {
        self.nonces.entry(nonce).or_insert((client, ms));
    }

    /// The verdict on a request, and its effects. `said_stale` is believed only in the second in
    /// which a nonce turns stale.
    pub(crate) fn ask(
        &mut self,
        at: Moment,
        client: SocketAddr,
        ask: &Rc<Ask>,
        said_stale: bool,
    ) -> Verdict {
        let error = |code| Verdict::Answers(Answer::Error(code));
        match ask.wanted {
            Wanted::Binding => return Verdict::Answers(Answer::Mapped),
            Wanted::Challenge => return error(401),
            Wanted::Allocate { .. }
            | Wanted::Refresh { .. }
            | Wanted::Permit { .. }
            | Wanted::Bind { .. } => {}
        }
        let is_expired = at.unix_s - ask.signer.expires_s > SKEW_S;
        let owns = self.live(at.ms, client).is_some_and(|a| a.is_made_by(ask));
        if !ask.signer.is_right || (is_expired && !owns) {
            return error(401);
        }
        if self.is_stale(at.ms, client, &ask.nonce).unwrap_or(said_stale) {
            return error(438);
        }
        match &ask.wanted {
            Wanted::Allocate { family, .. } => self.allocate(at.ms, client, ask, *family),
            Wanted::Refresh { lifetime_s } => self.refresh(at.ms, client, ask, *lifetime_s),
            Wanted::Permit { peers } => self.permit(at.ms, client, ask, peers, None),
            Wanted::Bind { number, peer } => {
                self.permit(at.ms, client, ask, &[*peer], Some(*number))
            }
            Wanted::Binding | Wanted::Challenge => unreachable!("answered above"),
        }
    }

    /// `None` while both are right: ages may be counted in whole seconds.
    fn is_stale(&self, ms: u64, client: SocketAddr, nonce: &[u8]) -> Option<bool> {
        match self.nonces.get(nonce) {
            Some((owner, since)) if *owner == client => match ms - since {
                age if age <= NONCE_MS - 1000 => Some(false),
                age if age >= NONCE_MS + 1000 => Some(true),
                _ => None,
            },
            Some(_) | None => Some(true),
        }
    }

    // RFC 8656 §7.2
    fn allocate(
        &mut self,
        ms: u64,
        client: SocketAddr,
        ask: &Rc<Ask>,
        family: Option<Family>,
    ) -> Verdict {
        if let Some(allocation) = self.live(ms, client) {
            if !allocation.is_made_by(ask) || allocation.made_by.id != ask.id {
                return Verdict::Answers(Answer::Error(437));
            }
            let lifetime_s = ((allocation.expires_ms - ms + 500) / 1000) as u32;
            return Verdict::Answers(Answer::Allocated { lifetime_s });
        }
        if self.pending.contains_key(&client) {
            return Verdict::Silence;
        }
        self.pending.insert(client, Rc::clone(ask));
        Verdict::AsksForSocket(family.unwrap_or(Family::V4))
    }

    /// The world answered the question that is open for `client`.
    pub(crate) fn socket_opened(
        &mut self,
        ms: u64,
        client: SocketAddr,
        result: Result<SocketAddr, Why>,
        is_stopped: bool,
    ) -> Verdict {
        let ask = self.pending.remove(&client).expect("a question is open");
        let relayed = match result {
            Err(Why::UserQuota | Why::SourceQuota) => {
                return Verdict::Answers(Answer::Error(486));
            }
            Err(Why::TotalQuota | Why::Ports | Why::Bind) => {
                return Verdict::Answers(Answer::Error(508));
            }
            Ok(_) if is_stopped => return Verdict::Answers(Answer::Error(508)),
            Ok(relayed) => relayed,
        };
        let Wanted::Allocate { lifetime_s, .. } = ask.wanted else { unreachable!("an Allocate") };
        let lifetime_s = granted(lifetime_s);
        let allocation = Allocation {
            relayed,
            expires_ms: ms + u64::from(lifetime_s) * 1000,
            made_by: ask,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            new_peers: (200_000, ms),
        };
        let previous = self.allocations.insert(client, allocation);
        assert!(previous.is_none(), "the one before was closed first");
        Verdict::Answers(Answer::Allocated { lifetime_s })
    }

    // RFC 8656 §8.2
    fn refresh(
        &mut self,
        ms: u64,
        client: SocketAddr,
        ask: &Ask,
        lifetime_s: Option<u32>,
    ) -> Verdict {
        let allocation = match self.own(ms, client, ask) {
            Ok(allocation) => allocation,
            Err(code) => return Verdict::Answers(Answer::Error(code)),
        };
        if lifetime_s == Some(0) {
            // Its facts are compared before it is forgotten; see `closed`.
            allocation.expires_ms = ms;
            return Verdict::Answers(Answer::Refreshed { lifetime_s: 0 });
        }
        let lifetime_s = granted(lifetime_s);
        allocation.expires_ms = ms + u64::from(lifetime_s) * 1000;
        Verdict::Answers(Answer::Refreshed { lifetime_s })
    }

    // RFC 8656 §10.2; with a number §12.2.
    fn permit(
        &mut self,
        ms: u64,
        client: SocketAddr,
        ask: &Ask,
        peers: &[SocketAddr],
        number: Option<u16>,
    ) -> Verdict {
        let error = |code| Verdict::Answers(Answer::Error(code));
        let allocation = match self.own(ms, client, ask) {
            Ok(allocation) => allocation,
            Err(code) => return error(code),
        };
        if number.is_some_and(|number| !(0x4000..=0x4FFF).contains(&number)) {
            return error(400);
        }
        if peers.iter().any(|peer| peer.is_ipv4() != allocation.relayed.is_ipv4()) {
            return error(443);
        }
        let is_allowed = |peer: &SocketAddr| match number {
            Some(_) => is_allowed_peer(*peer),
            None => is_allowed_address(peer.ip()),
        };
        if !peers.iter().all(is_allowed) {
            return error(403);
        }
        if number.is_some_and(|number| !allocation.can_bind(ms, number, peers[0])) {
            return error(400);
        }
        let new: BTreeSet<IpAddr> =
            peers.iter().map(SocketAddr::ip).filter(|ip| !allocation.permits(ms, *ip)).collect();
        if !allocation.pay_for(ms, new.len() as u64) {
            return Verdict::Silence;
        }
        for peer in peers {
            allocation.permissions.insert(peer.ip(), ms + PERMISSION_MS);
        }
        assert!(allocation.permissions.len() < 1024, "the simulation stays below the cap");
        if let Some(number) = number {
            allocation.channels.retain(|other, (peer, _)| *other == number || *peer != peers[0]);
            allocation.channels.insert(number, (peers[0], ms + CHANNEL_MS));
        }
        Verdict::Answers(Answer::Done)
    }

    /// What becomes of data that a client sends to a peer.
    pub(crate) fn send(
        &self,
        ms: u64,
        client: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Delivery {
        let Some(sender) = self.live(ms, client) else { return Delivery::Dropped };
        let is_family = peer.is_ipv4() == sender.relayed.is_ipv4();
        if !is_family || !is_allowed_peer(peer) || !sender.permits(ms, peer.ip()) {
            return Delivery::Dropped;
        }
        if is_relay_address(peer.ip()) {
            return self.arrive(ms, peer, sender.relayed, data);
        }
        Delivery::ToPeer { from: sender.relayed, peer, data: data.to_vec() }
    }

    /// What becomes of ChannelData.
    pub(crate) fn channel_data(
        &self,
        ms: u64,
        client: SocketAddr,
        number: u16,
        data: &[u8],
    ) -> Delivery {
        match self.live(ms, client).and_then(|a| a.peer_of(ms, number)) {
            Some(peer) => self.send(ms, client, peer, data),
            None => Delivery::Dropped,
        }
    }

    /// What becomes of a datagram that `peer` sent to a relayed transport address.
    pub(crate) fn arrive(
        &self,
        ms: u64,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Delivery {
        let found = self.allocations.iter().find(|(_, a)| a.relayed == relayed && a.is_live(ms));
        let Some((client, receiver)) = found else { return Delivery::Dropped };
        if !receiver.permits(ms, peer.ip()) {
            return Delivery::Dropped;
        }
        let number = receiver.channels.iter().find(|(_, (p, until))| *p == peer && ms < *until);
        let header = match number {
            Some((number, _)) => Header::Channel(
                ChannelNumber::new(*number, ChannelRange::Rfc8656).expect("bound, so in range"),
            ),
            None => Header::DataIndication(peer),
        };
        Delivery::ToClient { client: *client, header, data: data.to_vec() }
    }

    /// The live allocation of a client.
    pub(crate) fn live(&self, ms: u64, client: SocketAddr) -> Option<&Allocation> {
        self.allocations.get(&client).filter(|a| a.is_live(ms))
    }

    /// Forgets the allocation behind a relayed transport address, if its time is over.
    pub(crate) fn forget_expired(&mut self, ms: u64, relayed: SocketAddr) -> bool {
        let is_over = |a: &Allocation| a.relayed == relayed && !a.is_live(ms);
        let client = self.allocations.iter().find(|(_, a)| is_over(a)).map(|(client, _)| *client);
        client.is_some_and(|client| self.allocations.remove(&client).is_some())
    }

    /// The Allocate that waits for its socket.
    pub(crate) fn pending(&self, client: SocketAddr) -> Option<&Rc<Ask>> {
        self.pending.get(&client)
    }

    /// Everything ends at once.
    pub(crate) fn stop(&mut self, ms: u64) {
        for allocation in self.allocations.values_mut() {
            allocation.expires_ms = allocation.expires_ms.min(ms);
        }
    }

    fn own(&mut self, ms: u64, client: SocketAddr, ask: &Ask) -> Result<&mut Allocation, u16> {
        let live = self.allocations.get_mut(&client).filter(|a| a.is_live(ms)).ok_or(437_u16)?;
        if live.is_made_by(ask) { Ok(live) } else { Err(441) }
    }
}

impl Allocation {
    pub(crate) fn is_live(&self, ms: u64) -> bool {
        ms < self.expires_ms
    }

    pub(crate) fn permits(&self, ms: u64, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|until| ms < *until)
    }

    fn is_made_by(&self, ask: &Ask) -> bool {
        self.made_by.signer.credential.username == ask.signer.credential.username
    }

    fn peer_of(&self, ms: u64, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, until)| ms < *until).map(|(peer, _)| *peer)
    }

    // §12: neither half belongs to another binding, nor did less than five minutes ago.
    fn can_bind(&self, ms: u64, number: u16, peer: SocketAddr) -> bool {
        self.channels.iter().all(|(other, (bound, until))| {
            let is_half = (*other == number) != (*bound == peer);
            !is_half || until + RESERVED_MS <= ms
        })
    }

    // 20 a second, 200 at once.
    fn pay_for(&mut self, ms: u64, new: u64) -> bool {
        let (level, since) = self.new_peers;
        let level = (level + (ms - since) * 20).min(200_000);
        let left = level.checked_sub(new * 1000);
        self.new_peers = (left.unwrap_or(level), ms);
        left.is_some()
    }
}

fn granted(lifetime_s: Option<u32>) -> u32 {
    lifetime_s.unwrap_or(0).clamp(600, 3600)
}

fn is_relay_address(ip: IpAddr) -> bool {
    ip == RELAY_V4 || ip == RELAY_V6
}

/// The policy of the setup: two opened networks, and the relay addresses.
fn is_allowed_address(ip: IpAddr) -> bool {
    let is_opened = match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [192, 0, 2],
        IpAddr::V6(ip) => ip.segments()[..3] == [0x2001, 0xdb8, 2],
    };
    is_opened || is_relay_address(ip)
}

fn is_allowed_peer(peer: SocketAddr) -> bool {
    let is_port =
        if is_relay_address(peer.ip()) { peer.port() >= 49_152 } else { peer.port() != 0 };
    is_port && is_allowed_address(peer.ip())
}
