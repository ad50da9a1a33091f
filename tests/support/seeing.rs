//! What the harness sees: answers, facts, counters, each held against the books.

use turnbell::turn::contract::Discard;
use turnbell::turn::counters::Counters;
use turnbell::turn::fact::Fact;
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::wire::message::{Class, Message};

use super::answer::{Answer, Asked, read, read_icmp};
use super::books::end_reason;
use super::expectation::Seen;
use super::request::Request;
use super::turn::Turn;

impl Turn {
    pub(super) fn see_answer(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("an answer is a STUN message");
        if message.class() == Class::Indication {
            let (peer, icmp) = read_icmp(&message);
            return self.seen.push(Seen::Icmp(tuple.client, peer, icmp));
        }
        let id = message.transaction_id();
        let Some(asked) = self.asked.get(&id.0) else {
            // To raw bytes of a test that reads the answer's code alone.
            let asked = Asked { client: tuple.client, request: Request::stand_in(bytes) };
            let read = read(&asked, &self.setup.realm, id, bytes);
            return self.seen.push(Seen::Answer(tuple.client, read.answer));
        };
        assert_eq!(tuple.client, asked.client, "the answer goes to who asked");
        let read = read(asked, &self.setup.realm, id, bytes);
        if !read.relayed.is_empty() {
            let told = self.books.all_relayed((tuple.client, tuple.server));
            assert!(read.relayed.iter().all(|relayed| told.contains(relayed)));
        }
        if let Some(token) = read.reserved {
            self.reserved = Some(token);
            self.seen.push(Seen::Reserved);
        }
        if let Some((family, code)) = read.address_error {
            self.seen.push(Seen::AddressError(family, code));
        }
        self.seen.push(Seen::Answer(tuple.client, read.answer));
    }

    pub(super) fn see_fact(&mut self, fact: &Fact) {
        self.books.enter(fact);
        match fact {
            Fact::AllocationOpened { relayed, relayed_other, .. } => {
                for relayed in std::iter::once(*relayed).chain(*relayed_other) {
                    let port = self.relay_addresses.relay_port(relayed).expect("one of ours");
                    assert!(self.ledger.is_open(port), "an allocation has an open socket");
                }
                self.seen.push(Seen::Opened);
            }
            Fact::AllocationClosed { .. } => {
                self.seen.extend(end_reason(fact).map(Seen::Closed));
            }
            Fact::AuthenticationFailed { cause, .. } => {
                self.seen.push(Seen::AuthenticationFailed(*cause));
            }
        }
    }

    /// Adds what was only counted, and checks that errors are counted by code.
    pub(super) fn see_counted(&mut self, before: &Counters) {
        let after = self.relay.counters();
        for reason in Discard::ALL {
            for _ in before.discarded(*reason)..after.discarded(*reason) {
                self.seen.push(Seen::Discards(*reason));
            }
        }
        for ((code, before), (_, after)) in before.rejected().zip(after.rejected()) {
            let is_code = |seen: &&Seen| {
                matches!(seen, Seen::Answer(_, Answer::Error(seen)) if *seen == code)
                    || matches!(seen, Seen::Answer(_, Answer::Unknown(_)) if code == 420)
            };
            let answered = self.seen.iter().filter(is_code).count() as u64;
            assert_eq!(after - before, answered, "errors {code} are counted");
        }
    }
}
