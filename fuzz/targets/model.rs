//! What is live by the relay's own words: facts and answers. Nothing may go where it does not lead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use turnbell::limits::{
    ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX, HEADROOM_BYTES, TAILROOM_BYTES,
};
use turnbell::time::Now;
use turnbell::turn::contract::Header;
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::guard::ExpiryRule;
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relayed_address::RelayPort;
use turnbell::wire::address::{Family, XorAddress};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::{self, ChannelRange};
use turnbell::wire::data_indication;
use turnbell::wire::message::{Class, Message, Method, TransactionId};

use super::live::{Live, Opening};
use super::place::{Policy, Setting};
use super::reach;
use super::signer::Sent;

/// Live allocations and what they may do.
#[derive(Debug)]
pub(crate) struct Model {
    setting: Setting,
    pub(crate) policy: Policy,
    pub(crate) live: BTreeMap<AllocationNumber, Live>,
    /// What a client's Allocate gets with the next answer.
    pub(crate) opening: Option<Opening>,
    /// What the relay is hearing of, and may end allocations by.
    pub(crate) ending: Ending,
    /// All that was relayed.
    pub(crate) traffic: Traffic,
    /// Families that ended, and when their time was over, until the step is over.
    gone: Vec<(AllocationNumber, Family, Instant)>,
    last_number: u64,
}

/// Why allocations may end before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Nothing,
    Connection(FiveTuple),
    Revoked(&'static str),
    Stop,
}

impl Model {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            policy: Policy::default(),
            live: BTreeMap::new(),
            opening: None,
            ending: Ending::Nothing,
            traffic: Traffic::default(),
            gone: Vec::new(),
            last_number: 0,
        }
    }

    pub(crate) fn enter(&mut self, now: Now, fact: &Fact) {
        match fact {
            Fact::AllocationOpened {
                number,
                client,
                server,
                transport,
                user,
                relayed,
                relayed_other,
                lifetime_s,
                ..
            } => {
                assert_eq!(number.0, self.last_number + 1, "numbers count up");
                self.last_number = number.0;
                let opening =
                    self.opening.take().expect("a socket was opened for a client that is there");
                let told: Vec<_> = std::iter::once(*relayed).chain(*relayed_other).collect();
                let opened: Vec<_> = opening.relayed.iter().map(|(_, address)| *address).collect();
                assert_eq!(told, opened, "what was opened");
                let tuple = opening.tuple;
                let told = (*client, *server, *transport, &**user);
                assert_eq!(told, (tuple.client, tuple.server, tuple.transport, opening.user));
                assert_eq!(*lifetime_s, whole_seconds(opening.lifetime));
                assert!(self.live.values().all(|live| live.tuple != tuple), "one on a five-tuple");
                self.live.insert(*number, Live::new(now, *number, opening));
            }
            Fact::AllocationClosed { number, traffic, reason, .. } => {
                let live = self.live.remove(number).expect("closed once, after it was opened");
                assert_eq!(*traffic, live.traffic, "traffic adds up");
                self.check_end(now, &live, *reason);
            }
            Fact::AuthenticationFailed { .. } => {}
        }
    }

    fn check_end(&self, now: Now, live: &Live, reason: EndReason) {
        let expected = match self.ending {
            Ending::Connection(ended)
                if ended == live.tuple && ended.connection == live.tuple.connection =>
            {
                EndReason::Disconnected
            }
            Ending::Revoked(user) if user == live.user => EndReason::Revoked,
            Ending::Stop => EndReason::Shutdown,
            Ending::Nothing | Ending::Connection(_) | Ending::Revoked(_) => {
                let is_over = live.until() <= now.mono;
                let is_strict = self.setting.expiry == ExpiryRule::Strict;
                let is_fit = match reason {
                    EndReason::Client => true,
                    EndReason::Expired => is_over,
                    EndReason::CredentialExpired => is_over && is_strict,
                    EndReason::Disconnected
                    | EndReason::Revoked
                    | EndReason::Ended
                    | EndReason::Shutdown => false,
                };
                assert!(is_fit, "{reason:?}, while {:?}", self.ending);
                reason
            }
        };
        assert_eq!(reason, expected, "by what ended it");
    }

    /// A relay socket is closed; its allocation may end with it.
    pub(crate) fn closed(&mut self, relay: RelayPort) {
        let mut all = self.live.values_mut();
        let Some(live) = all.find(|live| live.relayed.iter().any(|r| r.relay == relay)) else {
            return;
        };
        let [first, second] = live.relayed[..] else { return };
        let gone = if first.relay == relay { first } else { second };
        let family = Family::of(gone.address.ip());
        live.relayed.retain(|relayed| relayed.relay != relay);
        live.forget_family(family);
        self.gone.push((live.number, family, gone.until));
    }

    /// The step is over. `ended`: which family of which five-tuple its client ended.
    pub(crate) fn settle(&mut self, now: Now, ended: Option<(FiveTuple, Family)>) {
        for (number, family, until) in std::mem::take(&mut self.gone) {
            if let Some(live) = self.live.get(&number) {
                let is_asked = ended == Some((live.tuple, family));
                assert!(is_asked || until <= now.mono, "{family:?} ended before its time");
            }
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let relayed = self.live.values().flat_map(|live| &live.relayed);
        relayed.map(|relayed| relayed.until).min()
    }

    /// Peers, rates and expiry are judged by other rules.
    pub(crate) fn replace(&mut self, now: Now, policy: Policy, setting: Setting) {
        let has_other_rates = setting.rates != self.setting.rates;
        self.setting = setting;
        for live in self.live.values_mut() {
            if has_other_rates {
                live.start_rates(now);
            }
            if let Some(left) = time_left(now, setting, live.expires_at) {
                live.end_by(now.mono + left);
            }
        }
        if self.policy != policy {
            self.policy = policy;
            self.live.values_mut().for_each(|live| live.judge_again(now, policy));
        }
    }

    /// A request that was answered with success.
    pub(crate) fn succeeded(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        sent: &Sent,
        request: &Message<'_>,
        answer: &Message<'_>,
    ) {
        let told_s = answer.attribute(AttributeType::LIFETIME).map(u32_of);
        let Some(live) = self.live.values_mut().find(|live| live.tuple == tuple) else {
            assert_eq!(request.method(), Method::REFRESH, "only a Refresh leaves nothing");
            assert_eq!(told_s, Some(0));
            return;
        };
        assert!(live.until() > now.mono, "an expired allocation obeys nobody");
        assert_eq!(live.account, sent.account, "it obeys the name that made it");
        let id = request.transaction_id();
        let peer = |value: &[u8]| XorAddress::decode(value, &id).expect("an address");
        match request.method() {
            Method::ALLOCATE => check_allocated(now, live, answer),
            Method::REFRESH => {
                let family = request.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY);
                let family = family.and_then(|value| Family::from_byte(value[0]));
                let is_of =
                    |address: SocketAddr| family.is_none_or(|f| f == Family::of(address.ip()));
                if request.attribute(AttributeType::LIFETIME).map(u32_of) == Some(0) {
                    assert!(!is_of(live.relayed[0].address), "the other family lives on");
                    assert_eq!((told_s, live.relayed.len()), (Some(0), 1));
                    return;
                }
                let lifetime = granted(now, self.setting, sent, request);
                assert_eq!(told_s, Some(whole_seconds(lifetime)));
                for relayed in live.relayed.iter_mut().filter(|r| is_of(r.address)) {
                    relayed.until = now.mono + lifetime;
                }
            }
            Method::CREATE_PERMISSION => {
                for (kind, value) in request.attributes() {
                    if kind == AttributeType::XOR_PEER_ADDRESS {
                        live.permit(now, peer(value).ip());
                    }
                }
            }
            Method::CHANNEL_BIND => {
                let value = request.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
                let number = request.attribute(AttributeType::CHANNEL_NUMBER).expect("a number");
                let number = u16::from_be_bytes([number[0], number[1]]);
                let last = match self.setting.channels {
                    ChannelRange::Rfc8656 => 0x4FFF,
                    ChannelRange::Rfc5766 => 0x7FFF,
                };
                assert!((0x4000..=last).contains(&number), "{number:#x} is no channel number here");
                live.bind(now, number, peer(value));
            }
            method => panic!("{method:?} has no success"),
        }
    }

    /// What a client's bytes ask for, and whether it may: to which peer, which of the bytes, and
    /// whether they must stay whole.
    pub(crate) fn toward_peer(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        relay: RelayPort,
        bytes: &[u8],
    ) -> (SocketAddr, Range<usize>, bool) {
        let (setting, policy) = (self.setting, self.policy);
        let mut all = self.live.values_mut();
        let live = all.find(|live| live.tuple == tuple).expect("a live allocation");
        let (peer, range, must_stay_whole) =
            if channel_data::is_channel_data(bytes, setting.channels) {
                let found = channel_data::parse(bytes, setting.channels);
                let (number, range) = found.expect("ChannelData");
                let peer = live.peer(now, number.number()).expect("a live binding");
                (peer, range, false)
            } else {
                let message = Message::parse(bytes).expect("a Send indication");
                assert_eq!(message.method(), Method::SEND);
                let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
                let peer = XorAddress::decode(peer, &message.transaction_id()).expect("an address");
                let is_said = message.attribute(AttributeType::DONT_FRAGMENT).is_some();
                let is_one_family = peer.is_ipv4() == tuple.client.is_ipv4();
                let counts = is_one_family && (peer.is_ipv4() || tuple.is_stream());
                let range = message.range_of(AttributeType::DATA).expect("data");
                (peer, range, is_said && counts)
            };
        assert!(live.has(now, relay, Family::of(peer.ip())), "by its own relay, while it lives");
        assert!(live.has_permission(now, peer.ip()), "{peer} has no permission");
        assert!(reach::peer(peer, policy), "{peer} is closed to clients");
        for traffic in [&mut live.traffic, &mut self.traffic] {
            traffic.packets_to_peers += 1;
            traffic.bytes_to_peers += range.len() as u64;
        }
        live.check_rates(now, setting.rates.per_allocation, range.len());
        (peer, range, must_stay_whole)
    }

    /// Data of `peer` that goes to a client.
    pub(crate) fn toward_client(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        relay: RelayPort,
        peer: SocketAddr,
        header: Header,
        data: &[u8],
    ) {
        let (setting, policy) = (self.setting, self.policy);
        let mut all = self.live.values_mut();
        let live = all.find(|live| live.tuple == tuple).expect("a live allocation");
        assert!(live.has(now, relay, Family::of(peer.ip())), "to its own client, while it lives");
        assert!(live.has_permission(now, peer.ip()), "{peer} has no permission");
        assert!(reach::address(peer.ip(), policy), "{peer} is closed to clients");
        let bound = live.channel(now, peer);
        match header {
            Header::Channel(number) => assert_eq!(bound, Some(number.number())),
            Header::DataIndication(named) => {
                assert!(named == peer && bound.is_none(), "a binding is used where there is one");
                check_data_indication(peer, data);
            }
        }
        for traffic in [&mut live.traffic, &mut self.traffic] {
            traffic.packets_to_client += 1;
            traffic.bytes_to_client += data.len() as u64;
        }
        live.check_rates(now, setting.rates.per_allocation, data.len());
    }

    /// A client is told that a peer cannot be reached.
    pub(crate) fn told_unreachable(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        (relay, peer, error): (RelayPort, SocketAddr, IcmpError),
        bytes: &[u8],
    ) {
        let mut all = self.live.values_mut();
        let live = all.find(|live| live.tuple == tuple).expect("a live allocation");
        assert!(live.has(now, relay, Family::of(peer.ip())), "about its own relay, while it lives");
        assert!(live.has_permission(now, peer.ip()), "{peer} has no permission");
        live.icmp_told += 1;
        live.check_icmp(now);
        let message = Message::parse(bytes).expect("a message");
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        assert!(message.attribute(AttributeType::DATA).is_none());
        let named = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
        assert_eq!(XorAddress::decode(named, &message.transaction_id()), Some(peer));
        let value = message.attribute(AttributeType::ICMP).expect("what was said");
        assert_eq!(value[..4], [0, 0, error.kind, error.code]);
        let kinds: &[u8] = if peer.is_ipv4() { &[3, 11] } else { &[1, 2, 3] };
        assert!(kinds.contains(&error.kind), "no other kind is told");
    }
}

/// The lifetime that a request gets.
pub(crate) fn granted(now: Now, setting: Setting, sent: &Sent, request: &Message<'_>) -> Duration {
    bounded(now, setting, sent.expires_at, asked(request))
}

/// What a request is granted before its credential is looked at.
pub(crate) fn asked(request: &Message<'_>) -> Duration {
    let asked_s = request.attribute(AttributeType::LIFETIME).map_or(0, u32_of);
    let asked = Duration::from_secs(asked_s.into());
    asked.clamp(ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX)
}

/// As much of it as the credential lasts, by the rules of this moment.
pub(crate) fn bounded(
    now: Now,
    setting: Setting,
    expires_at: Option<i64>,
    lifetime: Duration,
) -> Duration {
    time_left(now, setting, expires_at).map_or(lifetime, |left| lifetime.min(left))
}

/// How long anything of a credential may live; `None`: as long as it is refreshed.
fn time_left(now: Now, setting: Setting, expires_at: Option<i64>) -> Option<Duration> {
    match setting.expiry {
        ExpiryRule::Allocate => None,
        ExpiryRule::Strict => expires_at.map(|at| {
            let left_ms = (at * 1000).saturating_sub(now.unix_ms).max(0);
            Duration::from_millis(left_ms.cast_unsigned())
        }),
    }
}

/// An Allocate success says what the client has, the first time and again.
fn check_allocated(now: Now, live: &Live, answer: &Message<'_>) {
    let id = answer.transaction_id();
    let relayed =
        answer.attributes().filter(|(kind, _)| *kind == AttributeType::XOR_RELAYED_ADDRESS);
    let relayed: Vec<_> = relayed.map(|(_, value)| XorAddress::decode(value, &id)).collect();
    let known: Vec<_> = live.relayed.iter().map(|relayed| Some(relayed.address)).collect();
    assert_eq!(relayed, known);
    let mapped = answer.attribute(AttributeType::XOR_MAPPED_ADDRESS);
    let mapped = mapped.and_then(|value| XorAddress::decode(value, &id));
    assert_eq!(mapped, Some(live.tuple.client));
    let told_s = answer.attribute(AttributeType::LIFETIME).map(u32_of);
    assert_eq!(told_s, Some(whole_seconds(live.until() - now.mono)));
    let token = answer.attribute(AttributeType::RESERVATION_TOKEN);
    assert_eq!(token, live.reserved.as_ref().map(|token| &token.0[..]));
    let missing = answer.attribute(AttributeType::ADDRESS_ERROR_CODE).map(|value| {
        let family = Family::from_byte(value[0]).expect("a family");
        (family, u16::from(value[2]) * 100 + u16::from(value[3]))
    });
    assert_eq!(missing, live.missing);
}

/// The header that is written around the data makes a message that names the peer.
fn check_data_indication(peer: SocketAddr, data: &[u8]) {
    let mut buffer = vec![0xAA; HEADROOM_BYTES + data.len() + TAILROOM_BYTES];
    let at = HEADROOM_BYTES..HEADROOM_BYTES + data.len();
    buffer[at.clone()].copy_from_slice(data);
    let id = TransactionId([7; 12]);
    let range = data_indication::write(&mut buffer, at, peer, id).expect("there is room");
    let message = Message::parse(&buffer[range]).expect("a message");
    assert_eq!(message.attribute(AttributeType::DATA), Some(data));
    let named = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
    assert_eq!(XorAddress::decode(named, &id), Some(peer));
}

fn u32_of(value: &[u8]) -> u32 {
    u32::from_be_bytes(value.try_into().expect("four bytes"))
}

/// To the nearest.
fn whole_seconds(time: Duration) -> u32 {
    ((time.as_millis() + 500) / 1000) as u32
}
