//! The whole relay under strangers: any datagrams from a few five-tuples, and time that goes by.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::limits::AMPLIFICATION_MAX;
use turnbell::time::Now;
use turnbell::turn::contract::{Command, Forward, Input, Output};
use turnbell::turn::fact::Fact;
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::relay::{DefaultFamily, Relay};
use turnbell::turn::relayed_address::{PeerAddr, RelayPort};
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::message::{Class, Message};

use super::place;
use super::reader::Reader;
use super::repair::repaired;

/// Steps of one execution.
const STEPS_MAX: usize = 64;

/// One execution: options, then steps.
pub(crate) fn run(data: &[u8]) {
    let mut reader = Reader::new(data);
    let families =
        [DefaultFamily::Fixed(Family::V4), DefaultFamily::Fixed(Family::V6), DefaultFamily::Client];
    let channels = reader.pick(&[ChannelRange::Rfc8656, ChannelRange::Rfc5766]);
    let family = reader.pick(&families);
    let (relay, now) = place::relay(family, channels);
    let mut stranger = Stranger { relay, now, connection: 0, accounted: 0 };
    for _ in 0..STEPS_MAX {
        if reader.is_at_end() {
            break;
        }
        stranger.step(&mut reader);
    }
    assert!(stranger.relay.is_empty(), "nothing is kept for a stranger");
}

struct Stranger {
    relay: Relay,
    now: Now,
    connection: u64,
    /// Datagrams that were answered.
    accounted: u64,
}

impl Stranger {
    fn step(&mut self, reader: &mut Reader<'_>) {
        match reader.u8() {
            // Weighted: most of what comes is a datagram.
            choice @ 0..200 => {
                let tuple = self.tuple(usize::from(choice % 8));
                let bytes = reader.sized();
                if choice % 16 < 8 {
                    self.datagram(tuple, &repaired(bytes));
                } else {
                    self.datagram(tuple, bytes);
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
            240..246 => {
                self.relay.handle(self.now, Input::Tick);
                self.drain(None);
            }
            choice @ 246..=252 => {
                let tuple = self.tuple(usize::from(3 + choice % 3));
                self.relay.handle(self.now, Input::StreamClosed { tuple });
                self.connection += 1;
                self.drain(None);
            }
            253..=255 => {
                self.relay.handle(self.now, Input::Command(Command::Stop));
                self.drain(None);
            }
        }
        self.check();
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

    fn check(&self) {
        assert!(self.relay.is_empty(), "nothing is kept for a stranger");
        assert_eq!(self.relay.deadline(), None, "so nothing can expire");
        assert_eq!(self.relay.allocation_count(), 0);
        let counters = self.relay.counters();
        let came = counters.datagrams_from_clients + counters.datagrams_from_peers;
        let answered = counters.bindings + counters.rejected().map(|(_, count)| count).sum::<u64>();
        assert_eq!(answered, self.accounted, "what is counted as answered was answered");
        assert_eq!(came, answered + counters.discarded_total(), "every datagram is counted once");
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
    let most = AMPLIFICATION_MAX * on_the_wire(tuple.client, request_bytes);
    assert!(on_the_wire(tuple.client, answer_bytes) <= most, "amplification");
}

/// Bytes with IP and UDP headers.
fn on_the_wire(client: SocketAddr, bytes: &[u8]) -> usize {
    bytes.len() + if client.is_ipv4() { 28 } else { 48 }
}
