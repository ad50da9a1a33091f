//! What must happen, from the RFC text alone: sets of allocations, permissions and bindings with
//! their expiry. Shares no code with `src/turn`; time is milliseconds since the start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use turnbell::turn::contract::{Header, Wanted as Sockets, Why};
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::{ChannelNumber, ChannelRange};

use super::allocation::Allocation;
use super::ask::{Ask, Relays, Wanted};
use crate::support::answer::Answer;
use crate::support::{RELAY_V4, RELAY_V6};

pub(super) const PERMISSION_MS: u64 = 300_000;
pub(super) const CHANNEL_MS: u64 = 600_000;
pub(super) const RESERVED_MS: u64 = 300_000;
const NONCE_MS: u64 = 3_600_000;
const SKEW_S: i64 = 30;

/// What the server owes for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answers(Answer),
    Silence,
    AsksForSocket(Sockets),
}

/// What becomes of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    ToPeer { from: SocketAddr, peer: SocketAddr, data: Vec<u8>, dont_fragment: bool },
    ToClient { client: SocketAddr, header: Header, data: Vec<u8> },
    Dropped,
}

/// Everything that lives, by client address.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) allocations: BTreeMap<SocketAddr, Allocation>,
    /// What tokens were told to stand for, and were not redeemed.
    pub(crate) reserved: BTreeMap<[u8; 8], SocketAddr>,
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
            Wanted::Allocate { relays, .. } => self.allocate(at.ms, client, ask, *relays),
            Wanted::Refresh { lifetime_s, family } => {
                self.refresh(at.ms, client, ask, *lifetime_s, *family)
            }
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
    fn allocate(&mut self, ms: u64, client: SocketAddr, ask: &Rc<Ask>, relays: Relays) -> Verdict {
        if let Some(allocation) = self.live_mut(ms, client) {
            if !allocation.is_made_by(ask) || allocation.made_by.id != ask.id {
                return Verdict::Answers(Answer::Error(437));
            }
            let lifetime_s = ((allocation.ends_ms() - ms + 500) / 1000) as u32;
            return Verdict::Answers(Answer::Allocated { lifetime_s });
        }
        if self.pending.contains_key(&client) {
            return Verdict::Silence;
        }
        if matches!(relays, Relays::TokenAndEven(_)) {
            return Verdict::Answers(Answer::Error(400));
        }
        self.pending.insert(client, Rc::clone(ask));
        Verdict::AsksForSocket(match relays {
            Relays::Any => Sockets::One(Family::V4, Ports::Any),
            Relays::One(family) => Sockets::One(family, Ports::Any),
            Relays::Both => Sockets::Both { even: false },
            Relays::BothEven => Sockets::Both { even: true },
            Relays::Even { reserve: false } => Sockets::One(Family::V4, Ports::Even),
            Relays::Even { reserve: true } => Sockets::One(Family::V4, Ports::EvenAndReserve),
            Relays::Token(token) | Relays::TokenAndEven(token) => {
                Sockets::Reserved(ReservationToken(token))
            }
        })
    }

    /// The world answered the question that is open for `client`.
    pub(crate) fn socket_opened(
        &mut self,
        ms: u64,
        client: SocketAddr,
        result: Result<Vec<SocketAddr>, Why>,
        reserved: Option<[u8; 8]>,
        is_stopped: bool,
    ) -> Verdict {
        let ask = self.pending.remove(&client).expect("a question is open");
        let relayed = match result {
            Err(Why::UserQuota | Why::SourceQuota) => {
                return Verdict::Answers(Answer::Error(486));
            }
            Err(Why::TotalQuota | Why::Reservation | Why::Ports | Why::Bind | Why::Memory) => {
                return Verdict::Answers(Answer::Error(508));
            }
            Ok(_) if is_stopped => return Verdict::Answers(Answer::Error(508)),
            Ok(relayed) => relayed,
        };
        let Wanted::Allocate { lifetime_s, relays } = ask.wanted else {
            unreachable!("an Allocate")
        };
        let lifetime_s = granted(lifetime_s);
        let until_ms = ms + u64::from(lifetime_s) * 1000;
        let first = relayed[0];
        let lacks = matches!(relays, Relays::Both | Relays::BothEven) && relayed.len() == 1;
        let mut allocation = Allocation::new(ms, relayed, until_ms, ask);
        allocation.reserved = reserved;
        allocation.address_error = lacks.then(|| (Family::of(first.ip()).other(), 508));
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
        family: Option<Family>,
    ) -> Verdict {
        let allocation = match self.own(ms, client, ask) {
            Ok(allocation) => allocation,
            Err(code) => return Verdict::Answers(Answer::Error(code)),
        };
        let mut live = allocation.relayed(ms);
        if family.is_some_and(|family| !live.any(|relayed| Family::of(relayed.ip()) == family)) {
            return Verdict::Answers(Answer::Error(443));
        }
        drop(live);
        if lifetime_s == Some(0) {
            // Its facts are compared before it is forgotten; see `closed`.
            allocation.set_end(ms, ms, family);
            return Verdict::Answers(Answer::Refreshed { lifetime_s: 0 });
        }
        let lifetime_s = granted(lifetime_s);
        allocation.set_end(ms, ms + u64::from(lifetime_s) * 1000, family);
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
        if peers.iter().any(|peer| allocation.relayed_like(ms, *peer).is_none()) {
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
            allocation.permit(ms, *peer);
        }
        if let Some(number) = number {
            allocation.bind(ms, number, peers[0]);
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
        dont_fragment: bool,
    ) -> Delivery {
        let Some(sender) = self.live(ms, client) else { return Delivery::Dropped };
        let Some(from) = sender.relayed_like(ms, peer) else { return Delivery::Dropped };
        if !is_allowed_peer(peer) || !sender.permits(ms, peer.ip()) {
            return Delivery::Dropped;
        }
        if is_relay_address(peer.ip()) {
            return self.arrive(ms, peer, from, data);
        }
        // §14: clients of the simulation come over IPv4.
        let dont_fragment = dont_fragment && peer.is_ipv4();
        Delivery::ToPeer { from, peer, data: data.to_vec(), dont_fragment }
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
            Some(peer) => self.send(ms, client, peer, data, false),
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
        let has = |a: &Allocation| a.relayed(ms).any(|address| address == relayed);
        let found = self.allocations.iter().find(|(_, a)| has(a));
        let Some((client, receiver)) = found else { return Delivery::Dropped };
        let is_family = peer.is_ipv4() == relayed.is_ipv4();
        if !is_family || !receiver.permits(ms, peer.ip()) {
            return Delivery::Dropped;
        }
        let header = match receiver.number_of(ms, peer) {
            Some(number) => Header::Channel(
                ChannelNumber::new(number, ChannelRange::Rfc8656).expect("bound, so in range"),
            ),
            None => Header::DataIndication(peer),
        };
        Delivery::ToClient { client: *client, header, data: data.to_vec() }
    }

    /// Who is told of ICMP about a datagram from `relayed` to `peer` (§11.5).
    pub(crate) fn icmp(
        &mut self,
        ms: u64,
        relayed: SocketAddr,
        peer: SocketAddr,
        kind: u8,
    ) -> Option<SocketAddr> {
        let is_told =
            if peer.is_ipv4() { [3, 11].contains(&kind) } else { (1..=3).contains(&kind) };
        let has = |a: &Allocation| a.relayed_like(ms, peer) == Some(relayed);
        let (client, allocation) = self.allocations.iter_mut().find(|(_, a)| has(a))?;
        let is_told = is_told && allocation.permits(ms, peer.ip()) && allocation.pay_for_icmp(ms);
        is_told.then_some(*client)
    }

    /// The live allocation of a client.
    pub(crate) fn live(&self, ms: u64, client: SocketAddr) -> Option<&Allocation> {
        self.allocations.get(&client).filter(|a| a.is_live(ms))
    }

    /// Forgets the allocation of a client, if its time is over.
    pub(crate) fn forget_expired(&mut self, ms: u64, client: SocketAddr) -> bool {
        let is_over = self.allocations.get(&client).is_some_and(|a| !a.is_live(ms));
        is_over && self.allocations.remove(&client).is_some()
    }

    /// Every live relayed transport address.
    pub(crate) fn relayed(&self, ms: u64) -> BTreeSet<SocketAddr> {
        self.allocations.values().flat_map(|a| a.relayed(ms)).collect()
    }

    /// The Allocate that waits for its socket.
    pub(crate) fn pending(&self, client: SocketAddr) -> Option<&Rc<Ask>> {
        self.pending.get(&client)
    }

    /// Everything ends at once.
    pub(crate) fn stop(&mut self, ms: u64) {
        for allocation in self.allocations.values_mut() {
            allocation.set_end(ms, ms, None);
        }
    }

    /// The same, without what ended of it.
    fn live_mut(&mut self, ms: u64, client: SocketAddr) -> Option<&mut Allocation> {
        let live = self.allocations.get_mut(&client).filter(|a| a.is_live(ms))?;
        live.forget_ended(ms);
        Some(live)
    }

    fn own(&mut self, ms: u64, client: SocketAddr, ask: &Ask) -> Result<&mut Allocation, u16> {
        let live = self.live_mut(ms, client).ok_or(437_u16)?;
        if live.is_made_by(ask) { Ok(live) } else { Err(441) }
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
