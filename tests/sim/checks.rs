//! What must hold after a step: the answer is the model's, unknown bytes achieve nothing, books agree.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;

use turnbell::turn::fact::EndReason;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method};

use super::ask::{Ask, Relays, Wanted};
use super::model::{Delivery, Verdict};
use super::net::Happening;
use super::shards::Seen;
use super::world::World;
use crate::support::answer::{Answer, Read};

impl World {
    pub(super) fn check_answer(&mut self, client: SocketAddr, ask: &Rc<Ask>, seen: &Seen) {
        assert!(seen.answers.len() <= 1 && seen.opened.is_empty());
        let heard = seen.answers.first().map(|(to, bytes)| {
            assert_eq!(*to, client, "the answer goes to who asked");
            self.read(client, ask, bytes)
        });
        let said_stale = heard.as_ref().is_some_and(|read| read.answer == Answer::Error(438));
        let moment = self.moment();
        let verdict = self.model.ask(moment, client, ask, said_stale);
        match (&verdict, &heard) {
            (Verdict::Answers(expected), Some(read)) => {
                assert_eq!(read.answer, *expected, "{client}: {:?}", ask.wanted);
                self.check_addresses(client, read);
            }
            (Verdict::Silence, None) => self.told.silences += 1,
            (Verdict::AsksForSocket(_), None) => {}
            (Verdict::Answers(_) | Verdict::Silence | Verdict::AsksForSocket(_), _) => {
                panic!("{client}: {:?}: {verdict:?}, but {heard:?}", ask.wanted);
            }
        }
        let asks = matches!(verdict, Verdict::AsksForSocket(_));
        assert_eq!(seen.sockets_asked, usize::from(asks));
        if let Some(read) = heard {
            self.probe(client, &ask.wanted, &read.answer);
            self.tell(client, ask.id, read);
        }
    }

    /// An Allocate success names what is there, and why something is not.
    pub(super) fn check_addresses(&self, client: SocketAddr, read: &Read) {
        if matches!(read.answer, Answer::Allocated { .. }) {
            let live = self.model.live(self.ms, client).expect("an allocation");
            let told: BTreeSet<SocketAddr> = read.relayed.iter().copied().collect();
            assert_eq!(told, live.relayed(self.ms).collect());
            assert_eq!(read.address_error, live.address_error);
            assert_eq!(read.reserved, live.reserved);
        }
    }

    /// An even port where one was asked for, and its neighbour for the token.
    pub(super) fn check_ports(&mut self, wanted: &Wanted, read: &Read) {
        let Wanted::Allocate { relays, .. } = wanted else { return };
        if !matches!(read.answer, Answer::Allocated { .. }) {
            return;
        }
        match relays {
            Relays::Even { .. } | Relays::BothEven => {
                assert!(read.relayed.iter().all(|relayed| relayed.port().is_multiple_of(2)));
                if let Some(token) = read.reserved {
                    self.tokens.push(token);
                    let odd = SocketAddr::new(read.relayed[0].ip(), read.relayed[0].port() + 1);
                    self.model.reserved.insert(token, odd);
                    self.told.reserved += 1;
                    self.plan_redeeming(token);
                }
            }
            Relays::Token(token) => {
                // Once, and what was promised.
                assert_eq!(read.relayed, [self.model.reserved.remove(token).expect("reserved")]);
                self.told.redeemed += 1;
            }
            Relays::Any | Relays::One(_) | Relays::Both | Relays::TokenAndEven(_) => {}
        }
    }

    /// ICMP changes nothing, and is told to who permits the peer.
    pub(super) fn icmp_comes(&mut self, relayed: SocketAddr, peer: SocketAddr, kind: u8) {
        let expected = self.model.icmp(self.ms, relayed, peer, kind);
        let now = self.now();
        let seen = self.shards.icmp(&mut self.prng, now, (relayed, peer), kind);
        let expected: Vec<_> = expected.map(|client| (client, peer, kind)).into_iter().collect();
        assert_eq!(seen.told_icmp, expected, "ICMP {kind} about {peer} at {relayed}");
        assert!(seen.answers.is_empty() && seen.closed.is_empty() && seen.opening.is_empty());
        self.told.icmp += expected.len() as u64;
    }

    /// Somebody without an allocation hears of a token, and shows it in time or a little later.
    fn plan_redeeming(&mut self, token: [u8; 8]) {
        let idle: Vec<SocketAddr> =
            self.clients.iter().filter(|c| c.relayed.is_empty()).map(|c| c.address).collect();
        // Two may try; one of them is late.
        for _ in 0..self.prng.within(1, 2).min(idle.len() as u64) {
            let client = *self.prng.pick(&idle);
            let wanted = Wanted::Allocate { lifetime_s: None, relays: Relays::Token(token) };
            let after_ms = *self.prng.pick(&[0, 1, 1000, 20_000, 59_000, 59_999, 60_000]);
            self.net.plan(self.ms + after_ms, Happening::AsksAtOnce { client, wanted });
        }
    }

    /// Bytes that nobody meant: never an answer but an error or a Binding success, no allocation,
    /// and data only where the model has a permission for it.
    pub(super) fn check_unknown(
        &mut self,
        client: SocketAddr,
        bytes: &[u8],
        went: &Delivery,
        seen: &Seen,
    ) {
        assert!(seen.answers.len() <= 1 && seen.opened.is_empty() && seen.sockets_asked == 0);
        for (to, answer) in &seen.answers {
            assert_eq!(*to, client);
            let message = Message::parse(answer).expect("an answer is a STUN message");
            let is_binding = message.method() == Method::BINDING;
            assert!(message.class() == Class::ErrorResponse || is_binding, "{message:?}");
            if let Some(nonce) = message.attribute(AttributeType::NONCE) {
                self.model.nonce_issued(nonce.to_vec(), client, self.ms);
            }
            self.told.unknown_answered += 1;
        }
        let number = match bytes {
            [n0 @ 0x40..=0x4F, n1, ..] => Some(u16::from_be_bytes([*n0, *n1])),
            _ => None,
        };
        match (went, number) {
            (Delivery::Dropped, _) => {}
            (Delivery::ToPeer { data, .. } | Delivery::ToClient { data, .. }, Some(number)) => {
                let expected = self.model.channel_data(self.ms, client, number, data);
                assert_eq!(*went, expected);
            }
            (Delivery::ToPeer { peer, data, dont_fragment, .. }, None) => {
                let expected = self.model.send(self.ms, client, *peer, data, *dont_fragment);
                assert_eq!(*went, expected);
            }
            (Delivery::ToClient { client: to, header, data }, None) => {
                // Inside: the receiver hears the sender's relayed address, which it permits.
                assert!(self.model.live(self.ms, client).is_some(), "a live sender");
                let receiver = self.model.live(self.ms, *to).expect("a live receiver");
                let mut ways = receiver.relayed(self.ms);
                let is_way =
                    |relayed| *went == self.model.send(self.ms, client, relayed, data, false);
                assert!(ways.any(is_way), "{client} {header:?}");
            }
        }
    }

    /// Ticks what is due; then nothing is, and all books agree.
    pub(super) fn settle(&mut self) {
        let now = self.now();
        for shard in 0..2 {
            if self.shards.deadline(shard).is_some_and(|due| due <= now.mono) {
                let seen = self.shards.tick(&mut self.prng, now, shard);
                self.check_closed(&seen);
            }
            let deadline = self.shards.deadline(shard);
            assert!(deadline.is_none_or(|due| due > now.mono), "a deadline in the past");
        }
        self.shards.check(&self.model.relayed(self.ms));
        let live = self.model.allocations.values().filter(|a| a.is_live(self.ms)).count();
        assert_eq!(live, self.model.allocations.len(), "the model's allocations are all alive");
    }

    /// What ended by itself: the model agrees that its time was over.
    pub(super) fn check_closed(&mut self, seen: &Seen) {
        let early = self.forget_expired(seen);
        assert!(early.is_empty(), "{early:?} ended before its time");
        assert!(seen.answers.is_empty() && seen.opened.is_empty() && seen.opening.is_empty());
    }

    /// Strikes what expired off the model, and returns what the model still holds to be alive.
    pub(super) fn forget_expired(&mut self, seen: &Seen) -> Vec<(SocketAddr, EndReason)> {
        let reason = if self.is_stopped { EndReason::Shutdown } else { EndReason::Expired };
        let mut alive = Vec::new();
        for (client, why) in &seen.closed {
            if self.model.forget_expired(self.ms, *client) {
                assert_eq!(*why, reason);
                self.told.expired += 1;
            } else {
                alive.push((*client, *why));
            }
        }
        alive
    }
}
