//! `Turn`: one relay with everything around it that a shard would be, and the one `check`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use turnbell::time::Now;
use turnbell::turn::contract::{Command, Discard, Forward, Input, Output, Why};
use turnbell::turn::fact::{EndReason, Fact, Traffic, Transport};
use turnbell::turn::five_tuple::{ConnectionNumber, FiveTuple};
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayAddresses};
use turnbell::turn::replace::Replacement;
use turnbell::wire::message::{Class, Method, TransactionId};

use super::answer::{Answer, Asked, read};
use super::books::Books;
use super::event::{Event, What, allocate, channel_bind, create_permission};
use super::expectation::{Expectation, Seen, allocates, nothing, succeeds};
use super::ledger::{Ledger, Mood, Question};
use super::request::Request;
use super::server_for;
use super::setup::{START_S, Setup};

/// How old a nonce gets before the client asks for another by itself.
const NONCE_RENEWED_AFTER: Duration = Duration::from_secs(1800);

/// A relay, a virtual clock, a ledger, and books that facts must agree with.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) relay: Relay,
    pub(crate) ledger: Ledger,
    pub(crate) now: Now,
    /// The last RESERVATION-TOKEN that a client was told.
    pub(crate) reserved: Option<[u8; 8]>,
    /// Every fact so far.
    pub(crate) facts: Vec<Fact>,
    pub(super) setup: Setup,
    pub(super) relay_addresses: RelayAddresses,
    pub(super) books: Books,
    pub(super) seen: Vec<Seen>,
    pub(super) asked: BTreeMap<[u8; 12], Asked>,
    nonce_by_client: BTreeMap<SocketAddr, (Vec<u8>, Now)>,
    next_id: u64,
}

impl Turn {
    /// An empty relay.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// An empty relay with other settings.
    pub(crate) fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let [one] = Self::several(change);
        one
    }

    /// Relays of one daemon, each with a world of its own.
    pub(crate) fn several<const N: usize>(change: impl FnOnce(&mut Setup)) -> [Self; N] {
        let mut setup = Setup::default();
        change(&mut setup);
        let now = Now { unix_ms: START_S * 1000, ..Now::read() };
        let relays = Relay::several(&setup.options(now), N);
        let mut all: Vec<_> = relays.into_iter().map(|r| Self::around(r, &setup, now)).collect();
        all.iter_mut().for_each(|one| one.books.has_others = N > 1);
        all.try_into().expect("as many as were asked for")
    }

    fn around(relay: Relay, setup: &Setup, now: Now) -> Self {
        let setup = setup.clone();
        Self {
            relay,
            ledger: Ledger::new(setup.relay_addresses.clone()),
            now,
            facts: Vec::new(),
            reserved: None,
            relay_addresses: RelayAddresses::new(setup.relay_addresses.clone()),
            setup,
            books: Books::default(),
            seen: Vec::new(),
            asked: BTreeMap::new(),
            nonce_by_client: BTreeMap::new(),
            next_id: 0,
        }
    }

    /// One client with an IPv4 allocation of 600 s.
    pub(crate) fn allocated() -> Self {
        let mut t = Self::new();
        t.check(allocate(), allocates(600));
        t
    }

    /// Installs a permission.
    pub(crate) fn permit(&mut self, peer: SocketAddr) {
        self.check(create_permission(&[peer]), succeeds());
    }

    /// Binds a channel.
    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr) {
        self.check(channel_bind(number, peer), succeeds());
    }

    /// Lets time go by, in which nothing ends.
    pub(crate) fn advance_s(&mut self, seconds: u64) {
        self.check(super::event::after_s(seconds), nothing());
    }

    /// Moves the clock without the ticks that would be due.
    pub(crate) fn advance_without_tick(&mut self, by: Duration) {
        self.now = self.now.after(by);
    }

    /// Moves the wall clock alone.
    pub(crate) fn jump_unix_s(&mut self, seconds: i64) {
        self.now.unix_ms += seconds * 1000;
    }

    /// The relayed transport address of a client's allocation.
    pub(crate) fn relayed(&self, client: SocketAddr) -> SocketAddr {
        self.books.relayed((client, server_for(client))).expect("the client has an allocation")
    }

    /// Everything the world sees of `event` is what is expected, and nothing else.
    #[track_caller]
    pub(crate) fn check(&mut self, event: impl Into<Event>, expected: Expectation) {
        let event = event.into();
        let told = format!("{event:?}");
        let seen = self.act(event);
        assert_eq!(Expectation(seen).sorted(), expected.sorted(), "after {told}");
    }

    /// Has the relay go on with other settings; says how many permissions and channels were closed.
    pub(crate) fn replace(&mut self, change: impl FnOnce(&mut Setup)) -> (u64, u64) {
        change(&mut self.setup);
        let options = self.setup.options(self.now);
        let replacement = Replacement {
            verifier: options.verifier,
            policy: options.policy,
            default_family: options.default_family,
            relay_addresses: options.relay_addresses,
            alternates: options.alternates,
            guard: options.guard.rules,
        };
        self.relay_addresses = replacement.relay_addresses.clone();
        let before = self.relay.counters().clone();
        self.relay.handle(self.now, Input::Command(Command::Replace(replacement)));
        assert_eq!(self.relay.poll(), None, "a change of rules is silent");
        let after = self.relay.counters();
        let permissions = after.permissions_closed - before.permissions_closed;
        (permissions, after.channels_closed - before.channels_closed)
    }

    /// A faster path carried so much of a client's data.
    pub(crate) fn note_carried(&mut self, client: SocketAddr, carried: Traffic) {
        self.books.note_carried((client, server_for(client)), carried);
    }

    /// After so many seconds every allocation has expired and nothing at all is left.
    #[track_caller]
    pub(crate) fn check_nothing_left_after_s(&mut self, seconds: u64) {
        for seen in self.act(super::event::after_s(seconds)) {
            let is_expiry = matches!(seen, Seen::ClosesSocket | Seen::Closed(EndReason::Expired));
            assert!(is_expiry, "{seen:?} while everything expires");
        }
        assert_eq!(self.relay.deadline(), None, "a timer is left");
        assert_eq!(self.relay.allocation_count(), 0, "an allocation is left");
        assert!(self.relay.is_empty(), "something is left");
        assert_eq!(self.ledger.open_count(), 0, "a relay socket is left open");
        assert_eq!(self.ledger.counted(), 0, "a quota still counts what is gone");
        assert!(self.ledger.waiting.is_empty(), "a question is left open");
        assert_eq!(self.books.open_count(), 0, "a fact is missing");
    }

    /// Does it, and says what the world saw.
    pub(crate) fn act(&mut self, event: Event) -> Vec<Seen> {
        let Event { client, server, connection, what } = event;
        let tuple = match connection {
            None => FiveTuple::udp(client, server),
            Some(number) => FiveTuple {
                transport: Transport::Tcp,
                connection: ConnectionNumber(number),
                ..FiveTuple::udp(client, server)
            },
        };
        // The client asks for its nonce first; that is no part of what is checked.
        let nonce = match &what {
            What::Message(request) if request.credential.is_some() && request.nonce.is_none() => {
                self.fresh_nonce(tuple)
            }
            What::Message(_)
            | What::Bytes(_)
            | What::FromPeer(..)
            | What::Icmp(..)
            | What::SocketOpened(_)
            | What::StreamCloses
            | What::After(_)
            | What::Stop => Vec::new(),
        };
        let before = self.relay.counters().clone();
        match what {
            What::Message(request) => {
                let bytes = self.encode(client, request, &nonce);
                self.client_sends(tuple, &bytes);
            }
            What::Bytes(bytes) => self.client_sends(tuple, &bytes),
            What::FromPeer(peer, data) => {
                let relayed =
                    self.books.relayed_like((client, server), peer).expect("an allocation");
                let port = self.relay_addresses.relay_port(relayed).expect("one of ours");
                let forward = self.relay.forward_peer(self.now, port, PeerAddr(peer), &data);
                self.carry_out(tuple, forward, &data);
            }
            What::Icmp(peer, error) => {
                let relayed =
                    self.books.relayed_like((client, server), peer).expect("an allocation");
                let relay = self.relay_addresses.relay_port(relayed).expect("one of ours");
                self.relay.handle(self.now, Input::PeerUnreachable { relay, peer, error });
            }
            What::SocketOpened(result) => {
                let question = self.ledger.waiting.remove(0);
                self.answer_question(&question, result);
            }
            What::StreamCloses => self.relay.handle(self.now, Input::StreamClosed { tuple }),
            What::After(by) => self.let_time_pass(by),
            What::Stop => self.relay.handle(self.now, Input::Command(Command::Stop)),
        }
        self.drain();
        self.see_counted(&before);
        std::mem::take(&mut self.seen)
    }

    /// What the server sends back for these bytes, unread.
    pub(crate) fn exchange(&mut self, client: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.exchange_over(FiveTuple::udp(client, server_for(client)), bytes)
    }

    /// `request` with a fresh nonce, for whatever five-tuple.
    pub(crate) fn encoded_over(&mut self, tuple: FiveTuple, request: Request) -> Vec<u8> {
        let nonce = self.challenge(tuple);
        self.encode(tuple.client, request, &nonce)
    }

    fn exchange_over(&mut self, tuple: FiveTuple, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.relay.forward_client(self.now, tuple, bytes) == Forward::Handle {
            self.relay.handle(self.now, Input::Datagram { tuple, bytes });
        }
        let mut answers = Vec::new();
        while let Some(output) = self.relay.poll() {
            if let Output::Send { tuple: to, bytes } = output {
                assert_eq!(to, tuple, "the answer goes back the way the request came");
                answers.push(bytes);
            }
        }
        answers
    }

    /// A nonce that the server made for `client` right away.
    pub(crate) fn ask_for_nonce(&mut self, client: SocketAddr) -> Vec<u8> {
        let server = server_for(client);
        self.challenge(FiveTuple::udp(client, server))
    }

    /// The bytes of a request as `client` would send it, with a fresh nonce.
    pub(crate) fn encoded(&mut self, client: SocketAddr, request: Request) -> Vec<u8> {
        let server = server_for(client);
        let nonce = self.fresh_nonce(FiveTuple::udp(client, server));
        self.encode(client, request, &nonce)
    }

    fn fresh_nonce(&mut self, tuple: FiveTuple) -> Vec<u8> {
        if let Some((nonce, since)) = self.nonce_by_client.get(&tuple.client)
            && self.now.mono.duration_since(since.mono) < NONCE_RENEWED_AFTER
        {
            return nonce.clone();
        }
        let nonce = self.challenge(tuple);
        self.nonce_by_client.insert(tuple.client, (nonce.clone(), self.now));
        nonce
    }

    fn challenge(&mut self, tuple: FiveTuple) -> Vec<u8> {
        let asked =
            Asked { client: tuple.client, request: Request::new(Class::Request, Method::REFRESH) };
        let bytes = asked.request.encode(TransactionId([0xCC; 12]), b"");
        self.relay.handle(self.now, Input::Datagram { tuple, bytes: &bytes });
        let Some(Output::Send { bytes, .. }) = self.relay.poll() else { panic!("no challenge") };
        assert_eq!(self.relay.poll(), None);
        let read = read(&asked, &self.setup.realm, TransactionId([0xCC; 12]), &bytes);
        assert_eq!(read.answer, Answer::Error(401));
        read.nonce.expect("a 401 has a nonce")
    }

    fn encode(&mut self, client: SocketAddr, request: Request, nonce: &[u8]) -> Vec<u8> {
        self.next_id += 1;
        let id = request.id.unwrap_or_else(|| {
            let mut id = [0xEE; 12];
            id[..8].copy_from_slice(&self.next_id.to_be_bytes());
            TransactionId(id)
        });
        let bytes = request.encode(id, nonce);
        self.asked.insert(id.0, Asked { client, request });
        bytes
    }

    fn client_sends(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let forward = self.relay.forward_client(self.now, tuple, bytes);
        if forward == Forward::Handle {
            self.relay.handle(self.now, Input::Datagram { tuple, bytes });
        } else {
            self.carry_out(tuple, forward, bytes);
        }
        if bytes.first().is_some_and(|first| first & 0xF0 == 0x40) {
            assert!(self.relay.poll().is_none(), "the hot path has no outputs");
        }
    }

    /// Does what a shard does with a decision; `by`: whose allocation it is about.
    fn carry_out(&mut self, by: FiveTuple, forward: Forward, buffer: &[u8]) {
        let pair = (by.client, by.server);
        match forward {
            Forward::ToPeer { relay, peer, range, dont_fragment } => {
                let from = self.books.relayed_like(pair, peer).expect("it has one of that family");
                assert_eq!(self.relay_addresses.relay_port(from), Some(relay));
                assert!(self.ledger.is_open(relay), "sent from a socket that is open");
                self.books.note_to_peer(pair, range.len());
                let whole = if dont_fragment { Seen::ToPeerWhole } else { Seen::ToPeer };
                self.seen.push(whole(peer, buffer[range].to_vec()));
            }
            Forward::ToClient { tuple, header, range } => {
                self.books.note_to_client((tuple.client, tuple.server), range.len());
                self.seen.push(Seen::ToClient(tuple.client, header, buffer[range].to_vec()));
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel, .. } => {
                let ours = self.books.relayed_like(pair, peer);
                assert_eq!(Some(from), ours, "the sender's advertised address");
                assert_eq!(self.relay_addresses.relay_port(from), Some(relay));
                assert_eq!(self.relay_addresses.relay_port(peer), Some(to));
                self.books.note_to_peer(pair, range.len());
                if self.ledger.is_open(to) {
                    let now = self.now;
                    let forward = self.relay.forward_relay(now, to, PeerAddr(from), range);
                    self.carry_out(by, forward, buffer);
                } else if else_kernel {
                    self.seen.push(Seen::ToPeer(peer, buffer[range].to_vec()));
                } else {
                    self.relay.discard(Discard::NoSuchRelay);
                }
            }
            // Seen by its counter.
            Forward::Discard(_) => {}
            Forward::Handle => panic!("only a client's STUN is handled"),
        }
    }

    fn let_time_pass(&mut self, by: Duration) {
        let end = self.now.after(by);
        while let Some(deadline) = self.relay.deadline().filter(|at| *at <= end.mono) {
            self.now = self.now.after(deadline.saturating_duration_since(self.now.mono));
            self.relay.handle(self.now, Input::Tick);
            self.drain();
            assert!(self.relay.deadline().is_none_or(|at| at > self.now.mono), "a tick too few");
        }
        self.now = self.now.after(end.mono.duration_since(self.now.mono));
    }

    fn answer_question(&mut self, question: &Question, result: Result<(), Why>) {
        let result = result.and_then(|()| self.ledger.open(question));
        let token = question.token;
        self.relay.handle(self.now, Input::RelaySocketOpened { token, result });
    }

    fn drain(&mut self) {
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => self.see_answer(tuple, &bytes),
                Output::OpenRelaySocket { token, user, source, wanted } => {
                    self.seen.push(Seen::AsksForSocket(wanted));
                    let question = Question { token, user, source, wanted };
                    match self.ledger.mood {
                        Mood::Opens | Mood::OpensOnly(..) => {
                            self.answer_question(&question, Ok(()));
                        }
                        Mood::Refuses(why) => self.answer_question(&question, Err(why)),
                        Mood::Waits => self.ledger.waiting.push(question),
                    }
                }
                Output::CloseRelaySocket { relay, user, source, is_last } => {
                    self.ledger.close(relay, &user, source, is_last);
                    self.seen.push(Seen::ClosesSocket);
                }
                Output::CloseStream { tuple } => self.seen.push(Seen::ClosesStream(tuple.client)),
                Output::Fact(fact) => {
                    self.see_fact(&fact);
                    self.facts.push(fact);
                }
            }
        }
        assert_eq!(self.books.open_count(), self.relay.allocation_count());
    }
}
