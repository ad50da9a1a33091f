//! The whole relay under strangers: any datagrams from a few five-tuples, and time that goes by.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turnbell::limits::{AMPLIFICATION_MAX, SHIELD_BURST_S, SHIELD_TOTAL_BURST_MS};
use turnbell::time::Now;
use turnbell::turn::contract::{Command, Forward, Input, Output};
use turnbell::turn::fact::Fact;
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayPort};
use turnbell::turn::revocation::Revocation;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method, message_type};

use super::place::{self, Policy, Secrets, Setting};
use super::reader::Reader;
use super::repair::repaired;
use super::signer::{append, begin, set_length};

/// Steps of one execution.
const STEPS_MAX: usize = 64;
/// Nonces that are kept of one execution.
const NONCES_MAX: usize = 64;

/// One execution: options, then steps.
pub(crate) fn run(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut stranger = Stranger::new(Setting::read(&mut reader));
    for _ in 0..STEPS_MAX {
        if reader.is_at_end() {
            break;
        }
        stranger.step(&mut reader);
    }
    assert!(stranger.relay.is_empty(), "nothing is kept for a stranger");
}

struct Stranger {
    setting: Setting,
    relay: Relay,
    started: Now,
    now: Now,
    connection: u64,
    /// Datagrams that were answered.
    accounted: u64,
    /// Times the relay heard of ICMP.
    icmp: u64,
    /// Nonces that were told, and to whom.
    nonces: Vec<(FiveTuple, Vec<u8>)>,
    /// What was sent to those who had proven nothing: answers by source and whether they were
    /// successes, bytes on the wire, the longest answer.
    answers: BTreeMap<(IpAddr, bool), u64>,
    bytes: u64,
    longest: u64,
}

impl Stranger {
    fn new(setting: Setting) -> Self {
        let (relay, now) = place::relay(setting);
        Self {
            setting,
            relay,
            started: now,
            now,
            connection: 0,
            accounted: 0,
            icmp: 0,
            nonces: Vec::new(),
            answers: BTreeMap::new(),
            bytes: 0,
            longest: 0,
        }
    }

    fn step(&mut self, reader: &mut Reader<'_>) {
        match reader.u8() {
            // Weighted: most of what comes is a datagram.
            choice @ 0..200 => {
                let tuple = self.tuple(usize::from(choice % 8));
                let bytes = reader.sized();
                match choice / 8 % 4 {
                    0 => self.datagram(tuple, &repaired(bytes)),
                    2 => {
                        let bytes = self.with_nonce(tuple, repaired(bytes));
                        self.datagram(tuple, &bytes);
                    }
                    _ => self.datagram(tuple, bytes),
                }
            }
            choice @ 200..220 => {
                let port = RelayPort { address: choice % 4, number: reader.u16() };
                let peer = PeerAddr(place::v4([192, 0, 2, reader.u8()], reader.u16()));
                let forward = self.relay.forward_peer(self.now, port, peer, reader.sized());
                assert!(matches!(forward, Forward::Discard(_)), "there is no relay: {forward:?}");
                self.drain(None);
            }
            220..232 => self.now = self.now.after(Duration::from_millis(reader.u32().into())),
            232..240 => self.now.unix_ms += i64::from(reader.u32().cast_signed()) * 1000,
            240..243 => self.input(Input::Tick),
            243..246 => {
                self.icmp += 1;
                let relay = RelayPort { address: reader.u8() % 4, number: reader.u16() };
                let peer = place::v4([192, 0, 2, reader.u8()], 5000);
                let error = IcmpError { kind: reader.u8(), code: 1, mtu: 0 };
                self.input(Input::PeerUnreachable { relay, peer, error });
            }
            choice @ 246..=252 => {
                let tuple = self.tuple(usize::from(3 + choice % 3));
                self.connection += 1;
                self.input(Input::StreamClosed { tuple });
            }
            253 => {
                let commands = [
                    Command::Stop,
                    Command::Drain(place::alternates(true)),
                    Command::Replace(place::replacement(
                        Policy::Narrow,
                        Secrets::NextOnly,
                        self.setting,
                    )),
                    Command::Revoke(Revocation { user: "alice".into(), until_unix_ms: None }),
                    Command::Restore { user: "alice".into() },
                ];
                let which = usize::from(reader.u8()) % commands.len();
                self.input(Input::Command(commands[which].clone()));
            }
            choice @ 254..=255 => {
                let source = place::v4([9, 9, 9, reader.u8()], reader.u16());
                let method = if choice == 254 { Method::BINDING } else { Method::ALLOCATE };
                let count = reader.u8() % 32;
                for id in 0..count {
                    let bytes = begin(message_type(Class::Request, method), id.into());
                    self.datagram(FiveTuple::udp(source, place::SERVER), &bytes);
                }
            }
        }
        self.check();
    }

    fn input(&mut self, input: Input<'_>) {
        self.relay.handle(self.now, input);
        self.drain(None);
    }

    /// The message with the last nonce that was told to `tuple`, if there is one.
    fn with_nonce(&self, tuple: FiveTuple, mut message: Vec<u8>) -> Vec<u8> {
        let told = self.nonces.iter().rev().find(|(to, _)| *to == tuple);
        if let Some((_, nonce)) = told.filter(|_| message.len() >= 20) {
            append(&mut message, AttributeType::NONCE, nonce);
            set_length(&mut message);
        }
        message
    }

    /// The five-tuples of [`place`], and two from which nothing may be answered.
    fn tuple(&self, index: usize) -> FiveTuple {
        match index {
            6 => FiveTuple::udp(place::v4([203, 0, 113, 5], 0), place::SERVER),
            7 => FiveTuple::udp(place::SERVER, place::SERVER),
            _ => place::tuple(index, self.connection),
        }
    }

    fn datagram(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        match self.relay.forward_client(self.now, tuple, bytes) {
            Forward::Handle => {
                assert!(tuple.client.port() != 0 && tuple.client != tuple.server);
                self.relay.handle(self.now, Input::Datagram { tuple, bytes });
                self.drain(Some((tuple, bytes)));
            }
            Forward::Discard(_) => self.drain(None),
            forward @ (Forward::ToPeer { .. }
            | Forward::ToClient { .. }
            | Forward::ToRelay { .. }) => panic!("a stranger's data goes nowhere: {forward:?}"),
        }
    }

    /// `asked`: what may be answered, once.
    fn drain(&mut self, mut asked: Option<(FiveTuple, &[u8])>) {
        while let Some(output) = self.relay.poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    let (to, request) = asked.take().expect("one answer to one message");
                    assert_eq!(to, tuple, "it goes back the way the request came");
                    check_answer(tuple, request, &bytes);
                    self.accounted += 1;
                    self.charge(tuple, request, &bytes);
                }
                Output::CloseStream { tuple } => {
                    assert!(tuple.is_stream() && asked.is_some_and(|(from, _)| from == tuple));
                }
                Output::Fact(Fact::AuthenticationFailed { .. }) => assert!(asked.is_some()),
                output @ (Output::OpenRelaySocket { .. }
                | Output::CloseRelaySocket { .. }
                | Output::Fact(_)) => panic!("a stranger gets nothing: {output:?}"),
            }
        }
    }

    /// Notes what an answer cost, unless its request proved a way back.
    fn charge(&mut self, tuple: FiveTuple, request: &[u8], answer: &[u8]) {
        let bytes = on_the_wire(tuple.client, answer) as u64;
        let request = Message::parse(request).expect("only messages are answered");
        let answer = Message::parse(answer).expect("an answer is a message");
        let nonce = request.attribute(AttributeType::NONCE);
        let is_told = |nonce| self.nonces.iter().any(|(to, told)| *to == tuple && told == nonce);
        if !tuple.is_stream() && !nonce.is_some_and(is_told) {
            let is_success = answer.class() == Class::SuccessResponse;
            let source = match tuple.client.ip() {
                ip @ IpAddr::V4(_) => ip,
                IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
            };
            *self.answers.entry((source, is_success)).or_default() += 1;
            self.bytes += bytes;
            self.longest = self.longest.max(bytes);
        }
        if let Some(nonce) = answer.attribute(AttributeType::NONCE)
            && self.nonces.len() < NONCES_MAX
        {
            self.nonces.push((tuple, nonce.to_vec()));
        }
    }

    /// Over the whole time nobody gets more than the budgets.
    fn check_budgets(&self) {
        let ms = self.now.mono.saturating_duration_since(self.started.mono).as_millis() as u64 + 1;
        let per_s = u64::from(self.setting.shield.answers_per_source);
        let most = per_s * u64::from(SHIELD_BURST_S) + per_s * ms / 1000 + 1;
        for ((source, _), answers) in &self.answers {
            assert!(*answers <= most, "{answers} answers to {source}");
        }
        // Half each for successes and errors, the last of them on credit.
        let half_per_s = self.setting.shield.bits_total / 16;
        let half = half_per_s * SHIELD_TOTAL_BURST_MS / 1000 + half_per_s * ms / 1000 + 1;
        assert!(self.bytes <= 2 * (half + self.longest), "{} bytes in {ms} ms", self.bytes);
    }

    fn check(&self) {
        assert!(self.relay.is_empty(), "nothing is kept for a stranger");
        assert_eq!(self.relay.deadline(), None, "so nothing can expire");
        assert_eq!(self.relay.allocation_count(), 0);
        let counters = self.relay.counters();
        let came = counters.datagrams_from_clients + counters.datagrams_from_peers;
        let answered = counters.bindings + counters.rejected().map(|(_, count)| count).sum::<u64>();
        assert_eq!(answered, self.accounted, "what is counted as answered was answered");
        let accounted = answered + counters.discarded_total();
        assert_eq!(came + self.icmp, accounted, "every datagram is counted once");
        self.check_budgets();
        assert_eq!(counters.successes + counters.forwarded_to_peers, 0);
    }
}

fn check_answer(tuple: FiveTuple, request: &[u8], answer: &[u8]) {
    let request_bytes = request;
    let request = Message::parse(request).expect("only messages are answered");
    let answer_bytes = answer;
    let answer = Message::parse(answer).expect("an answer is a message");
    assert_eq!(request.class(), Class::Request, "only requests are answered");
    assert!(matches!(answer.class(), Class::SuccessResponse | Class::ErrorResponse));
    assert_eq!(answer.method(), request.method());
    assert_eq!(answer.transaction_id(), request.transaction_id());
    assert_eq!(answer.has_fingerprint(), request.has_fingerprint());
    assert!(!answer.has_integrity(), "there is no key to sign with");
    if answer.class() == Class::SuccessResponse {
        assert_eq!(answer.method(), Method::BINDING, "all else takes a password");
        let mapped = answer.attribute(AttributeType::XOR_MAPPED_ADDRESS).expect("an address");
        assert_eq!(XorAddress::decode(mapped, &answer.transaction_id()), Some(tuple.client));
    }
    let most = AMPLIFICATION_MAX * on_the_wire(tuple.client, request_bytes);
    assert!(on_the_wire(tuple.client, answer_bytes) <= most, "amplification");
}

/// Bytes with IP and UDP headers.
fn on_the_wire(client: SocketAddr, bytes: &[u8]) -> usize {
    bytes.len() + if client.is_ipv4() { 28 } else { 48 }
}
