//! What a shard is to its relay: connections, deliveries, time, and what the daemon commands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use turnbell::time::Now;
use turnbell::turn::contract::{Command, Discard, Forward, Input, Token, Wanted};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayPort};
use turnbell::turn::revocation::Revocation;
use turnbell::wire::address::Family;

use super::ledger::{Ledger, Mood};
use super::live::Opening;
use super::model::{Ending, Model, bounded};
use super::place::{self, CLIENTS, Policy, Secrets, Setting};
use super::reach;
use super::signer::{Sent, challenge};

/// A relay, and everything around it.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) mood: Mood,
    pub(super) setting: Setting,
    pub(super) relay: Relay,
    pub(super) model: Model,
    pub(super) ledger: Ledger,
    pub(super) clients: [Client; CLIENTS],
    pub(super) questions: Vec<Question>,
    /// Connections that are closed, and the relay has not heard of it.
    pub(super) late: Vec<FiveTuple>,
    /// Connections that the relay has heard the end of.
    ended: Vec<FiveTuple>,
    /// Users who were revoked, and until when.
    pub(super) revoked: BTreeMap<&'static str, i64>,
    pub(super) secrets: Secrets,
    pub(super) is_draining: bool,
    pub(super) is_stopped: bool,
    /// Allocates that wait for their answer, or will have none: their connection is gone.
    pub(super) unanswered: u64,
    /// Datagrams counted as forwarded and then, by the world, as discarded.
    pub(super) discarded_here: u64,
    /// Times the relay heard of ICMP, and times it passed it on.
    pub(super) icmp: (u64, u64),
    next_id: u64,
}

#[derive(Default)]
pub(super) struct Client {
    pub(super) connection: u64,
    pub(super) nonce: Option<Vec<u8>>,
    last: Option<Sent>,
}

pub(super) struct Question {
    pub(super) token: Token,
    pub(super) wanted: Wanted,
    pub(super) lifetime: Duration,
    pub(super) missing: Option<(Family, u16)>,
    pub(super) tuple: FiveTuple,
    pub(super) sent: Sent,
}

/// What the outputs of a step may follow from.
pub(super) enum Cause<'a> {
    Nothing,
    /// What may be answered, once.
    Asked(Asked<'a>),
    Icmp((RelayPort, SocketAddr, IcmpError)),
}

#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) tuple: FiveTuple,
    pub(super) bytes: &'a [u8],
    pub(super) sent: Option<&'a Sent>,
    /// The answer was held up by a socket that was being opened: the request was judged before.
    pub(super) has_waited: bool,
}

impl World {
    pub(crate) fn new(setting: Setting) -> Self {
        let (relay, now) = place::relay(setting);
        Self {
            now,
            mood: Mood::Opens,
            setting,
            relay,
            model: Model::new(setting),
            ledger: Ledger::new(setting.relays),
            clients: Default::default(),
            questions: Vec::new(),
            late: Vec::new(),
            ended: Vec::new(),
            revoked: BTreeMap::new(),
            secrets: Secrets::default(),
            is_draining: false,
            is_stopped: false,
            unanswered: 0,
            discarded_here: 0,
            icmp: (0, 0),
            next_id: 0,
        }
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The token of a port that was reserved and not yet asked for, if there is one.
    pub(crate) fn reservation(&self, choice: u8) -> [u8; 8] {
        self.ledger.token(choice).map_or([choice; 8], |token| token.0)
    }

    /// The client's nonce; one that has none asks for it. Empty where that is not answered: this
    /// source was told enough.
    pub(crate) fn nonce(&mut self, client: usize) -> Vec<u8> {
        let client = client % CLIENTS;
        if self.clients[client].nonce.is_none() {
            let sent = challenge(self.fresh_id());
            self.client_sends(client, &sent.bytes, Some(&sent));
        }
        self.clients[client].nonce.clone().unwrap_or_default()
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
                self.handle(input, &Cause::Asked(Asked { tuple, bytes, sent, has_waited: false }));
            }
            Forward::Discard(_) => {}
            Forward::ToPeer { relay, peer, dont_fragment, range } => {
                assert!(self.ledger.is_open(relay), "sent from a socket that is open");
                let expected = self.model.toward_peer(self.now, tuple, relay, bytes);
                assert_eq!((peer, range, dont_fragment), expected);
                assert!(reach::outside(peer, self.model.policy), "{peer} is closed to clients");
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel, dont_fragment } => {
                let expected = self.model.toward_peer(self.now, tuple, relay, bytes);
                assert_eq!((peer, range.clone(), dont_fragment), expected);
                let own = self.ledger.transport_address(relay);
                assert_eq!((from, peer), (own, self.ledger.transport_address(to)));
                assert!(reach::inside(peer));
                assert!(!else_kernel || reach::outside(peer, self.model.policy));
                if self.ledger.is_open(to) {
                    let forward =
                        self.relay.forward_relay(self.now, to, PeerAddr(from), range.clone());
                    self.deliver(to, from, forward, &bytes[range]);
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
                assert!(self.ledger.is_open(relay), "received on a socket that is open");
                assert_eq!(range.len(), data.len(), "nothing is cut off");
                self.model.toward_client(self.now, tuple, relay, peer, header, data);
            }
            forward @ (Forward::ToPeer { .. } | Forward::ToRelay { .. } | Forward::Handle) => {
                panic!("data for a client goes to it: {forward:?}")
            }
        }
    }

    pub(crate) fn icmp(&mut self, relay: RelayPort, peer: SocketAddr, error: IcmpError) {
        self.icmp.0 += 1;
        let input = Input::PeerUnreachable { relay, peer, error };
        self.handle(input, &Cause::Icmp((relay, peer, error)));
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
        self.handle(Input::Tick, &Cause::Nothing);
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
        self.ended.push(tuple);
        self.end_by(Ending::Connection(tuple), Input::StreamClosed { tuple });
    }

    /// One mutation that may end allocations before their time.
    fn end_by(&mut self, ending: Ending, input: Input<'_>) {
        self.model.ending = ending;
        self.relay.handle(self.now, input);
        self.drain(&Cause::Nothing);
        self.model.ending = Ending::Nothing;
        self.answer_if_willing();
    }

    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.end_by(Ending::Stop, Input::Command(Command::Stop));
        assert!(self.model.live.is_empty(), "nothing lives on");
    }

    /// `for_s`: `None` for good.
    pub(crate) fn revoke(&mut self, user: &'static str, for_s: Option<i64>) {
        let until_unix_ms = for_s.map(|seconds| self.now.unix_ms + seconds * 1000);
        self.revoked.insert(user, until_unix_ms.unwrap_or(i64::MAX));
        let revocation = Revocation { user: user.into(), until_unix_ms };
        self.end_by(Ending::Revoked(user), Input::Command(Command::Revoke(revocation)));
        assert!(self.model.live.values().all(|live| live.user != user), "nothing of his lives on");
    }

    pub(crate) fn restore(&mut self, user: &'static str) {
        self.revoked.remove(user);
        self.handle(Input::Command(Command::Restore { user: user.into() }), &Cause::Nothing);
    }

    pub(crate) fn start_drain(&mut self, has_alternates: bool) {
        self.is_draining = true;
        let command = Command::Drain(place::alternates(has_alternates));
        self.handle(Input::Command(command), &Cause::Nothing);
    }

    /// `setting`: of which the relay addresses and the channels stay what they were.
    pub(crate) fn reload(&mut self, policy: Policy, secrets: Secrets, setting: Setting) {
        let Setting { channels, relays, .. } = self.setting;
        self.setting = Setting { channels, relays, ..setting };
        self.secrets = secrets;
        self.model.replace(self.now, policy, self.setting);
        let command = Command::Replace(place::replacement(policy, secrets, self.setting));
        self.handle(Input::Command(command), &Cause::Nothing);
    }

    /// Answers up to `count` questions that wait.
    pub(crate) fn answer_questions(&mut self, count: usize) {
        for _ in 0..count.min(self.questions.len()) {
            let question = self.questions.remove(0);
            self.answer(question);
        }
    }

    /// One mutation, drained, and what follows from it.
    pub(super) fn handle(&mut self, input: Input<'_>, cause: &Cause<'_>) {
        self.relay.handle(self.now, input);
        self.drain(cause);
        self.answer_if_willing();
    }

    fn answer_if_willing(&mut self) {
        if self.mood != Mood::Waits {
            self.answer_questions(usize::MAX);
        }
    }

    fn answer(&mut self, question: Question) {
        let Question { token, wanted, lifetime, missing, tuple, sent } = question;
        let (user, source) = (sent.user, tuple.client.ip());
        let result = self.ledger.open(self.now, self.mood, user.into(), source, wanted);
        // Whoever waits for it over a connection that is gone has no use for it.
        let lifetime = bounded(self.now, self.setting, sent.expires_at, lifetime);
        let is_revoked = self.revoked.get(sent.user).is_some_and(|end| *end > self.now.unix_ms);
        let is_useful = !self.ended.contains(&tuple) && !is_revoked && !lifetime.is_zero();
        self.model.opening = result.ok().filter(|_| is_useful).map(|opened| {
            let other = opened.other.and_then(Result::ok);
            let relayed = std::iter::once(opened.relay).chain(other);
            let relayed: Vec<_> =
                relayed.map(|relay| (relay, self.ledger.transport_address(relay))).collect();
            let is_half = matches!(opened.other, Some(Err(_)));
            let other_family = Family::of(relayed[0].1.ip()).other();
            Opening {
                tuple,
                account: sent.account,
                user,
                expires_at: sent.expires_at,
                lifetime,
                relayed,
                reserved: opened.reserved,
                missing: missing.or_else(|| is_half.then_some((other_family, 508))),
            }
        });
        self.relay.handle(self.now, Input::RelaySocketOpened { token, result });
        let asked = Asked { tuple, bytes: &sent.bytes, sent: Some(&sent), has_waited: true };
        if self.drain(&Cause::Asked(asked)) {
            self.unanswered -= 1;
        }
        self.model.opening = None;
    }

    pub(super) fn tuple(&self, client: usize) -> FiveTuple {
        let client = client % CLIENTS;
        place::tuple(client, self.clients[client].connection)
    }

    /// The client behind this connection makes a new one, from the same port.
    pub(super) fn reconnects(&mut self, tuple: FiveTuple) {
        for index in 0..CLIENTS {
            if self.tuple(index) == tuple {
                self.clients[index].connection += 1;
            }
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
        assert_eq!((self.ledger.held(), self.model.live.len()), ((0, 0), 0));
    }
}
