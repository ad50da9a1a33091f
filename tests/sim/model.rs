//! What must happen, from the RFC text alone: sets of allocations, permissions and bindings with
//! their expiry. Shares no code with `src/turn`; time is milliseconds since the start.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use turnbell::turn::contract::{Wanted as Sockets, Why};
use turnbell::turn::fact::{EndReason, Transport};
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

use super::allocation::Allocation;
use super::ask::{Ask, Relays, Wanted};
use super::origin::Origin;
use super::rules::Rules;
use crate::support::answer::Answer;

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

/// Everything that lives, by where its client speaks from.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) rules: Rules,
    pub(crate) allocations: BTreeMap<Origin, Allocation>,
    /// What tokens were told to stand for, and were not redeemed.
    pub(crate) reserved: BTreeMap<[u8; 8], SocketAddr>,
    pub(super) pending: BTreeMap<Origin, Pending>,
    /// For whom, which a nonce does not say by connection, and since when.
    nonces: BTreeMap<Vec<u8>, (Transport, SocketAddr, u64)>,
    /// Users, and until when in milliseconds since 1970.
    pub(super) revoked: BTreeMap<Box<str>, i64>,
    /// Families of other servers, while no new allocation is made.
    pub(super) draining: Option<Vec<Family>>,
}

/// An Allocate that waits for its socket.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ask: Rc<Ask>,
    lifetime_ms: u64,
}

/// The moment of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) ms: u64,
    pub(crate) unix_ms: i64,
}

impl Moment {
    pub(super) fn unix_s(self) -> i64 {
        self.unix_ms.div_euclid(1000)
    }
}

impl Model {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            allocations: BTreeMap::new(),
            reserved: BTreeMap::new(),
            pending: BTreeMap::new(),
            nonces: BTreeMap::new(),
            revoked: BTreeMap::new(),
            draining: None,
        }
    }

    /// Notes a nonce that the server gave out.
    pub(crate) fn nonce_issued(&mut self, nonce: Vec<u8>, client: Origin, ms: u64) {
        self.nonces.entry(nonce).or_insert((client.transport, client.address, ms));
    }

    /// The verdict on a request, and its effects. `said_stale` is believed only in the second in
    /// which a nonce turns stale.
    pub(crate) fn ask(
        &mut self,
        at: Moment,
        client: Origin,
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
        if !self.is_welcome(at, client, ask) {
            return error(401);
        }
        if self.is_stale(at.ms, client, &ask.nonce).unwrap_or(said_stale) {
            return error(438);
        }
        match &ask.wanted {
            Wanted::Allocate { lifetime_s, relays } => {
                self.allocate(at, client, ask, *lifetime_s, *relays)
            }
            Wanted::Refresh { lifetime_s, family } => {
                self.refresh(at, client, ask, *lifetime_s, *family)
            }
            Wanted::Permit { peers } => self.permit(at.ms, client, ask, peers, None),
            Wanted::Bind { number, peer } => {
                self.permit(at.ms, client, ask, &[*peer], Some(*number))
            }
            Wanted::Binding | Wanted::Challenge => unreachable!("answered above"),
        }
    }

    /// A right password by a secret in force, or by the key of the live allocation; not revoked,
    /// and in time: strictly, or with a little skew and only to begin with.
    fn is_welcome(&self, at: Moment, client: Origin, ask: &Ask) -> bool {
        let signer = &ask.signer;
        let own = self.live(at.ms, client).filter(|a| a.is_made_by(ask));
        let has_key = own.is_some_and(|a| a.made_by.is_sha256_key == ask.is_sha256_key);
        let late_s = at.unix_s() - signer.expires_s;
        signer.is_right
            && (self.rules.knows_secret || has_key)
            && !self.is_revoked(at, &signer.user)
            && (own.is_some() || late_s <= SKEW_S)
            && (!self.rules.is_strict || late_s < 0)
    }

    pub(super) fn is_revoked(&self, at: Moment, user: &str) -> bool {
        self.revoked.get(user).is_some_and(|until| at.unix_ms < *until)
    }

    /// Whether a nonce shows that its bearer hears what is sent to `client`.
    pub(crate) fn is_proof(&self, ms: u64, client: Origin, nonce: &[u8]) -> bool {
        client.is_stream() || self.is_stale(ms, client, nonce) == Some(false)
    }

    /// `None` while both are right: ages may be counted in whole seconds.
    fn is_stale(&self, ms: u64, client: Origin, nonce: &[u8]) -> Option<bool> {
        let to = (client.transport, client.address);
        match self.nonces.get(nonce) {
            Some((way, owner, since)) if (*way, *owner) == to => match ms - since {
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
        at: Moment,
        client: Origin,
        ask: &Rc<Ask>,
        lifetime_s: Option<u32>,
        relays: Relays,
    ) -> Verdict {
        if let Some(allocation) = self.live_mut(at.ms, client) {
            if !allocation.is_made_by(ask) || allocation.made_by.id != ask.id {
                return Verdict::Answers(Answer::Error(437));
            }
            let lifetime_s = whole_s(allocation.ends_ms() - at.ms);
            return Verdict::Answers(Answer::Allocated { lifetime_s });
        }
        if self.pending.contains_key(&client) {
            return Verdict::Silence;
        }
        if matches!(relays, Relays::TokenAndEven(_)) {
            return Verdict::Answers(Answer::Error(400));
        }
        if self.draining.is_some() {
            return Verdict::Answers(self.no_room(client));
        }
        let lifetime_ms = granted_ms(lifetime_s);
        self.pending.insert(client, Pending { ask: Rc::clone(ask), lifetime_ms });
        let family = self.rules.family_for(client.address);
        Verdict::AsksForSocket(match relays {
            Relays::Any => Sockets::One(family, Ports::Any),
            Relays::One(family) => Sockets::One(family, Ports::Any),
            Relays::Both => Sockets::Both { even: false },
            Relays::BothEven => Sockets::Both { even: true },
            Relays::Even { reserve: false } => Sockets::One(family, Ports::Even),
            Relays::Even { reserve: true } => Sockets::One(family, Ports::EvenAndReserve),
            Relays::Token(token) | Relays::TokenAndEven(token) => {
                Sockets::Reserved(ReservationToken(token))
            }
        })
    }

    /// Other servers are known while the operator drains (R25).
    fn no_room(&self, client: Origin) -> Answer {
        let family = Family::of(client.address.ip());
        let is_elsewhere = self.draining.as_ref().is_some_and(|all| all.contains(&family));
        Answer::Error(if is_elsewhere { 300 } else { 508 })
    }

    /// The world answered the question that is open for `client`; silence if nobody is to hear it.
    pub(crate) fn socket_opened(
        &mut self,
        at: Moment,
        client: Origin,
        result: Result<Vec<SocketAddr>, Why>,
        reserved: Option<[u8; 8]>,
        is_stopped: bool,
    ) -> Verdict {
        let error = |code| Verdict::Answers(Answer::Error(code));
        let Some(Pending { ask, lifetime_ms }) = self.pending.remove(&client) else {
            return Verdict::Silence;
        };
        let relayed = match result {
            Err(Why::UserQuota | Why::SourceQuota) => return error(486),
            Err(Why::Reservation) => return error(508),
            Err(_) if matches!(ask.wanted, Wanted::Allocate { relays: Relays::Token(_), .. }) => {
                return error(508);
            }
            Err(Why::TotalQuota | Why::Ports | Why::Bind | Why::Memory) => {
                return Verdict::Answers(self.no_room(client));
            }
            Ok(relayed) => relayed,
        };
        let lifetime_ms = self.bounded_ms(at, &ask, lifetime_ms);
        if is_stopped || self.is_revoked(at, &ask.signer.user) || lifetime_ms == 0 {
            return error(508);
        }
        let Wanted::Allocate { relays, .. } = ask.wanted else { unreachable!("an Allocate") };
        let first = relayed[0];
        let lacks = matches!(relays, Relays::Both | Relays::BothEven) && relayed.len() == 1;
        let mut allocation = Allocation::new(at.ms, relayed, at.ms + lifetime_ms, ask);
        allocation.reserved = reserved;
        allocation.address_error = lacks.then(|| (Family::of(first.ip()).other(), 508));
        let previous = self.allocations.insert(client, allocation);
        assert!(previous.is_none(), "the one before was closed first");
        Verdict::Answers(Answer::Allocated { lifetime_s: whole_s(lifetime_ms) })
    }

    // RFC 8656 §8.2
    fn refresh(
        &mut self,
        at: Moment,
        client: Origin,
        ask: &Ask,
        lifetime_s: Option<u32>,
        family: Option<Family>,
    ) -> Verdict {
        let lifetime_ms = self.bounded_ms(at, ask, granted_ms(lifetime_s));
        let allocation = match self.own(at.ms, client, ask) {
            Ok(allocation) => allocation,
            Err(code) => return Verdict::Answers(Answer::Error(code)),
        };
        let mut live = allocation.relayed(at.ms);
        if family.is_some_and(|family| !live.any(|relayed| Family::of(relayed.ip()) == family)) {
            return Verdict::Answers(Answer::Error(443));
        }
        drop(live);
        if lifetime_s == Some(0) {
            // Its facts are compared before it is forgotten; see `closed`.
            allocation.set_end(at.ms, at.ms, family);
            return Verdict::Answers(Answer::Refreshed { lifetime_s: 0 });
        }
        allocation.set_end(at.ms, at.ms + lifetime_ms, family);
        Verdict::Answers(Answer::Refreshed { lifetime_s: whole_s(lifetime_ms) })
    }

    /// How long a strict credential lets something live.
    fn bounded_ms(&self, at: Moment, ask: &Ask, lifetime_ms: u64) -> u64 {
        if self.rules.is_strict { lifetime_ms.min(left_ms(at, ask)) } else { lifetime_ms }
    }

    // RFC 8656 §10.2; with a number §12.2.
    fn permit(
        &mut self,
        ms: u64,
        client: Origin,
        ask: &Ask,
        peers: &[SocketAddr],
        number: Option<u16>,
    ) -> Verdict {
        let error = |code| Verdict::Answers(Answer::Error(code));
        let rules = self.rules;
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
            Some(_) => rules.allows_peer(*peer),
            None => rules.allows_address(peer.ip()),
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

    /// The live allocation of a client.
    pub(crate) fn live(&self, ms: u64, client: Origin) -> Option<&Allocation> {
        self.allocations.get(&client).filter(|a| a.is_live(ms))
    }

    /// Forgets the allocation of a client, if its time is over, and says why that was.
    pub(crate) fn forget_expired(&mut self, at: Moment, client: Origin) -> Option<EndReason> {
        self.allocations.get(&client).filter(|a| !a.is_live(at.ms))?;
        let gone = self.allocations.remove(&client)?;
        let is_over = gone.made_by.signer.expires_s <= at.unix_s();
        let is_by_credential = self.rules.is_strict && is_over;
        Some(if is_by_credential { EndReason::CredentialExpired } else { EndReason::Expired })
    }

    /// Every live relayed transport address.
    pub(crate) fn relayed(&self, ms: u64) -> BTreeSet<SocketAddr> {
        self.allocations.values().flat_map(|a| a.relayed(ms)).collect()
    }

    /// The Allocate that waits for its socket.
    pub(crate) fn pending(&self, client: Origin) -> Option<&Rc<Ask>> {
        self.pending.get(&client).map(|pending| &pending.ask)
    }

    /// The same, without what ended of it.
    fn live_mut(&mut self, ms: u64, client: Origin) -> Option<&mut Allocation> {
        let live = self.allocations.get_mut(&client).filter(|a| a.is_live(ms))?;
        live.forget_ended(ms);
        Some(live)
    }

    fn own(&mut self, ms: u64, client: Origin, ask: &Ask) -> Result<&mut Allocation, u16> {
        let live = self.live_mut(ms, client).ok_or(437_u16)?;
        if live.is_made_by(ask) { Ok(live) } else { Err(441) }
    }
}

fn granted_ms(lifetime_s: Option<u32>) -> u64 {
    u64::from(lifetime_s.unwrap_or(0).clamp(600, 3600)) * 1000
}

/// What is left of a credential.
pub(super) fn left_ms(at: Moment, ask: &Ask) -> u64 {
    ask.signer.expires_s.saturating_mul(1000).saturating_sub(at.unix_ms).max(0) as u64
}

fn whole_s(ms: u64) -> u32 {
    ((ms + 500) / 1000) as u32
}
