//! What a shard is to its relay: sockets, connections, deliveries; and what must hold after each step.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnbell::time::Now;
use turnbell::turn::contract::{Discard, Forward, Input, Output, Token, Why};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::relay::{DefaultFamily, Relay};
use turnbell::turn::relayed_address::{PeerAddr, RelayPort};
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::message::{Class, Message, Method};

use super::model::Model;
use super::place::{self, CLIENTS, RELAYS};
use super::signer::{Sent, challenge};

/// The first port of each relay address; the lowest free one is opened.
pub(crate) const FIRST_PORT: u16 = 50_000;

/// What becomes of a question for a relay socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Opens,
    Waits,
    Refuses(Why),
}

/// A relay, and everything around it.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) mood: Mood,
    relay: Relay,
    channels: ChannelRange,
    model: Model,
    clients: [Client; CLIENTS],
    /// Open relay sockets, for which user and source.
    sockets: BTreeMap<RelayPort, (Box<str>, IpAddr)>,
    questions: Vec<Question>,
    /// Connections that are closed, and the relay has not heard of it.
    late: Vec<FiveTuple>,
    /// Allocates that wait for their answer, or will have none: their connection is gone.
    unanswered: u64,
    /// Datagrams counted as forwarded and then, by the world, as discarded.
    discarded_here: u64,
    next_id: u64,
}

#[derive(Default)]
struct Client {
    connection: u64,
    nonce: Option<Vec<u8>>,
    last: Option<Sent>,
}

struct Question {
    token: Token,
    user: Box<str>,
    source: IpAddr,
    family: Family,
    tuple: FiveTuple,
    sent: Sent,
}

impl World {
    pub(crate) fn new(default_family: DefaultFamily, channels: ChannelRange) -> Self {
        let (relay, now) = place::relay(default_family, channels);
        Self {
            now,
            mood: Mood::Opens,
            relay,
            channels,
            model: Model::default(),
            clients: Default::default(),
            sockets: BTreeMap::new(),
            questions: Vec::new(),
            late: Vec::new(),
            unanswered: 0,
            discarded_here: 0,
            next_id: 0,
        }
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The client's nonce; one that has none asks for it.
    pub(crate) fn nonce(&mut self, client: usize) -> Vec<u8> {
        let client = client % CLIENTS;
        if self.clients[client].nonce.is_none() {
            let sent = challenge(self.fresh_id());
            self.client_sends(client, &sent.bytes, Some(&sent));
        }
        self.clients[client].nonce.clone().expect("a 401 has a nonce")
    }

    pub(crate) fn client_asks(&mut self, client: usize, sent: Sent) {
        self.client_sends(client, &sent.bytes, Some(&sent));
        self.clients[client % CLIENTS].last = Some(sent);
    }

    pub(crate) fn retransmit(&mut self, client: usize) {
        if let Some(sent) = self.clients[client % CLIENTS].last.clone() {
            self.client_sends(client, &sent.bytes, Some(&sent));
        }
    }

    /// `sent`: how the bytes were signed, if at all.
    pub(crate) fn client_sends(&mut self, client: usize, bytes: &[u8], sent: Option<&Sent>) {
        let tuple = self.tuple(client);
        match self.relay.forward_client(self.now, tuple, bytes) {
            Forward::Handle => {
                let input = Input::Datagram { tuple, bytes };
                self.handle(input, Some(&Asked { tuple, bytes, sent }));
            }
            Forward::Discard(_) => {}
            Forward::ToPeer { relay, peer, range } => {
                assert!(self.sockets.contains_key(&relay), "sent from a socket that is open");
                let expected = self.model.toward_peer(self.now, tuple, relay, bytes, self.channels);
                assert_eq!((peer, range), expected);
                assert!(is_reachable(peer), "{peer} is closed to clients");
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel } => {
                let expected = self.model.toward_peer(self.now, tuple, relay, bytes, self.channels);
                assert_eq!((peer, range.clone()), expected);
                assert_eq!((from, peer), (transport_address(relay), transport_address(to)));
                if self.sockets.contains_key(&to) {
                    let from = PeerAddr(from);
                    let forward = self.relay.forward_relay(self.now, to, from, range.clone());
                    self.deliver(to, from.0, forward, &bytes[range]);
                } else if !else_kernel {
                    self.relay.discard(Discard::NoSuchRelay);
                    self.discarded_here += 1;
                }
            }
            forward @ Forward::ToClient { .. } => panic!("back where it came from: {forward:?}"),
        }
        assert_eq!(self.relay.poll(), None, "only `handle` has outputs");
    }

    pub(crate) fn peer_sends(&mut self, relay: RelayPort, peer: SocketAddr, data: &[u8]) {
        let forward = self.relay.forward_peer(self.now, relay, PeerAddr(peer), data);
        self.deliver(relay, peer, forward, data);
    }

    fn deliver(&mut self, relay: RelayPort, peer: SocketAddr, forward: Forward, data: &[u8]) {
        match forward {
            Forward::Discard(_) => {}
            Forward::ToClient { tuple, header, range } => {
                assert!(self.sockets.contains_key(&relay), "received on a socket that is open");
                assert_eq!(range.len(), data.len(), "nothing is cut off");
                self.model.toward_client(self.now, tuple, relay, peer, header, data);
            }
            forward @ (Forward::ToPeer { .. } | Forward::ToRelay { .. } | Forward::Handle) => {
                panic!("data for a client goes to it: {forward:?}")
            }
        }
    }

    /// Lets time go by; without ticks, what is due then is late.
    pub(crate) fn advance(&mut self, by: Duration, with_ticks: bool) {
        let end = self.now.after(by);
        while let Some(deadline) = self.relay.deadline().filter(|at| with_ticks && *at <= end.mono)
        {
            self.now = self.now.after(deadline.saturating_duration_since(self.now.mono));
            self.tick();
        }
        self.now = self.now.after(end.mono.saturating_duration_since(self.now.mono));
    }

    pub(crate) fn tick(&mut self) {
        self.handle(Input::Tick, None);
        let deadline = self.relay.deadline();
        assert!(deadline.is_none_or(|at| at > self.now.mono), "a deadline in the past");
    }

    /// The client's connection ends, and the relay hears of it at once.
    pub(crate) fn stream_closes(&mut self, client: usize) {
        let tuple = self.tuple(client);
        if tuple.is_stream() {
            self.reconnects(tuple);
            self.relay_hears_of_end(tuple);
        }
    }

    /// The relay hears that one of the connections is gone that it wanted closed.
    pub(crate) fn late_close(&mut self, which: usize) {
        if !self.late.is_empty() {
            let tuple = self.late.swap_remove(which % self.late.len());
            self.relay_hears_of_end(tuple);
        }
    }

    fn relay_hears_of_end(&mut self, tuple: FiveTuple) {
        self.model.ended = Some(tuple);
        self.handle(Input::StreamClosed { tuple }, None);
        self.model.ended = None;
    }

    /// Answers up to `count` questions that wait.
    pub(crate) fn answer_questions(&mut self, count: usize) {
        for _ in 0..count.min(self.questions.len()) {
            let question = self.questions.remove(0);
            self.answer(question);
        }
    }

    /// One mutation, drained, and what follows from it. `asked`: what may be answered, once.
    pub(crate) fn handle(&mut self, input: Input<'_>, asked: Option<&Asked<'_>>) {
        self.relay.handle(self.now, input);
        self.drain(asked);
        if self.mood != Mood::Waits {
            self.answer_questions(usize::MAX);
        }
    }

    fn answer(&mut self, question: Question) {
        let Question { token, user, source, family, tuple, sent } = question;
        let result = match self.mood {
            Mood::Refuses(why) => Err(why),
            Mood::Opens | Mood::Waits => Ok(self.open(family, user, source)),
        };
        self.model.opening = result.ok().map(|relay| (relay, tuple));
        self.relay.handle(self.now, Input::RelaySocketOpened { token, result });
        let asked = Asked { tuple, bytes: &sent.bytes, sent: Some(&sent) };
        if self.drain(Some(&asked)) {
            self.unanswered -= 1;
        }
    }

    fn open(&mut self, family: Family, user: Box<str>, source: IpAddr) -> RelayPort {
        let address = RELAYS.iter().rposition(|ip| Family::of(*ip) == family).expect("has one");
        // Both relay addresses of IPv4 take turns.
        let address =
            if family == Family::V4 && self.next_id.is_multiple_of(2) { 0 } else { address };
        let port = |number| RelayPort { address: address as u8, number };
        let relay = (FIRST_PORT..=u16::MAX).map(port).find(|port| !self.sockets.contains_key(port));
        let relay = relay.expect("a free port");
        self.sockets.insert(relay, (user, source));
        relay
    }

    /// Whether there was an answer.
    fn drain(&mut self, asked: Option<&Asked<'_>>) -> bool {
        let mut has_answered = false;
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    let asked = asked.expect("an answer to a question");
                    assert!(!has_answered && tuple == asked.tuple, "one answer, the way it came");
                    has_answered = true;
                    self.hear(asked, &bytes);
                }
                Output::OpenRelaySocket { token, user, source, family } => {
                    let Asked { tuple, sent, .. } = asked.expect("a client asked for it");
                    let sent = sent.expect("nobody guesses a password").clone();
                    assert!(!sent.must_fail && source == tuple.client.ip());
                    self.unanswered += 1;
                    let tuple = *tuple;
                    self.questions.push(Question { token, user, source, family, tuple, sent });
                }
                Output::CloseRelaySocket { relay, user, source } => {
                    let held = self.sockets.remove(&relay).expect("closed once, after opening");
                    assert_eq!(held, (user, source), "quota goes back to whom it was taken from");
                }
                Output::CloseStream { tuple } => {
                    assert!(tuple.is_stream());
                    self.reconnects(tuple);
                    self.late.push(tuple);
                }
                Output::Fact(fact) => self.model.enter(self.now, &fact),
            }
        }
        has_answered
    }

    fn hear(&mut self, asked: &Asked<'_>, answer: &[u8]) {
        let question = Message::parse(asked.bytes).expect("only messages are answered");
        let answer = Message::parse(answer).expect("an answer is a message");
        assert_eq!(question.class(), Class::Request, "only requests are answered");
        assert_eq!(answer.method(), question.method());
        assert_eq!(answer.transaction_id(), question.transaction_id());
        assert_eq!(answer.has_fingerprint(), question.has_fingerprint());
        match answer.class() {
            Class::SuccessResponse if question.method() == Method::BINDING => {}
            Class::SuccessResponse => {
                let sent = asked.sent.expect("nobody guesses a password");
                assert!(!sent.must_fail, "what was altered is not obeyed");
                assert!(answer.integrity_matches(sent.key.as_bytes()), "signed by the user's key");
                self.model.succeeded(self.now, asked.tuple, &question, &answer);
            }
            Class::ErrorResponse => {
                let key = asked.sent.map(|sent| sent.key.as_bytes());
                assert!(
                    !answer.has_integrity() || key.is_some_and(|key| answer.integrity_matches(key)),
                    "signed by the user's key, if at all"
                );
            }
            Class::Request | Class::Indication => panic!("that is no answer"),
        }
        if let Some(nonce) = answer.attribute(AttributeType::NONCE) {
            for index in 0..CLIENTS {
                if self.tuple(index) == asked.tuple {
                    self.clients[index].nonce = Some(nonce.to_vec());
                }
            }
        }
    }

    fn tuple(&self, client: usize) -> FiveTuple {
        let client = client % CLIENTS;
        place::tuple(client, self.clients[client].connection)
    }

    /// The client behind this connection makes a new one, from the same port.
    fn reconnects(&mut self, tuple: FiveTuple) {
        for index in 0..CLIENTS {
            if self.tuple(index) == tuple {
                self.clients[index].connection += 1;
            }
        }
    }

    pub(crate) fn check(&self) {
        let live = self.relay.allocation_count();
        assert_eq!(self.sockets.len(), live, "sockets opened are closed or of live allocations");
        assert_eq!(self.model.live.len(), live, "facts add up to what is live");
        assert_eq!(self.relay.deadline(), self.model.next_expiry(), "the earliest end");
        let counters = self.relay.counters();
        let came = counters.datagrams_from_clients + counters.datagrams_from_peers;
        let forwarded = counters.forwarded_to_peers + counters.forwarded_to_clients;
        let answered = counters.bindings + counters.successes;
        let refused = counters.rejected().map(|(_, count)| count).sum::<u64>();
        let discarded = counters.discarded_total() - self.discarded_here;
        let accounted = forwarded + answered + refused + discarded + self.unanswered;
        assert_eq!(came, accounted, "every datagram is counted once");
        for view in self.relay.allocations(self.now) {
            let known = self.model.live.values().find(|live| live.number == view.number);
            let known = known.expect("what is live was opened");
            assert_eq!((view.traffic, view.tuple), (known.traffic, known.tuple));
        }
    }

    /// Everything ends: late answers come, and then time goes by.
    pub(crate) fn finish(&mut self) {
        self.answer_questions(usize::MAX);
        while !self.late.is_empty() {
            self.late_close(0);
        }
        self.check();
        self.advance(Duration::from_secs(7200), true);
        self.check();
        // Streams whose allocation expired are closed in turn.
        while !self.late.is_empty() {
            self.late_close(0);
        }
        assert!(self.relay.is_empty(), "something is left");
        assert_eq!(self.relay.deadline(), None, "a timer is left");
        assert!(self.sockets.is_empty() && self.model.live.is_empty());
    }
}

/// What may be answered.
pub(crate) struct Asked<'a> {
    tuple: FiveTuple,
    bytes: &'a [u8],
    sent: Option<&'a Sent>,
}

pub(crate) fn transport_address(relay: RelayPort) -> SocketAddr {
    SocketAddr::new(RELAYS[usize::from(relay.address)], relay.number)
}

/// The policy of [`place`], said in another way: what is closed by default stays closed, unless it
/// was opened.
fn is_reachable(peer: SocketAddr) -> bool {
    let (is_opened, is_closed) = match peer.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            let is_opened = [a, b, c] == [192, 0, 2] || [a, b, c, d] == [198, 51, 100, 2];
            let is_local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
            (is_opened, is_local || ip.is_documentation() || a == 0 || a >= 224)
        }
        IpAddr::V6(ip) => {
            let is_local = ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local();
            let is_documentation = ip.segments()[..2] == [0x2001, 0xdb8];
            let is_mapped = ip.to_ipv4().is_some();
            let is_opened = ip.segments()[..3] == [0x2001, 0xdb8, 2];
            (is_opened, is_local || is_documentation || is_mapped || ip.is_multicast())
        }
    };
    peer.port() != 0 && (is_opened || !is_closed)
}
