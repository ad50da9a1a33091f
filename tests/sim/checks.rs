//! What must hold after a step: the answer is the model's, unknown bytes achieve nothing, books agree.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;

use super::ask::{Ask, Relays, Wanted};
use super::model::Verdict;
use super::net::Happening;
use super::origin::Origin;
use super::shards::Seen;
use super::world::World;
use crate::support::answer::{Answer, Read};

impl World {
    pub(super) fn check_answer(&mut self, client: Origin, ask: &Rc<Ask>, seen: &Seen) {
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
                assert_eq!(read.answer, *expected, "{client:?}: {:?}", ask.wanted);
                self.check_addresses(client, read);
            }
            (Verdict::Silence, None) => self.told.silences += 1,
            // R3: a budget for those who have not shown that they are where they say they are.
            (Verdict::Answers(Answer::Mapped | Answer::Error(401 | 438)), None)
                if seen.cuts == 1 && !self.model.is_proof(self.ms, client, &ask.nonce) =>
            {
                self.told.cuts += 1;
            }
            (Verdict::AsksForSocket(_), None) => {}
            (Verdict::Answers(_) | Verdict::Silence | Verdict::AsksForSocket(_), _) => {
                panic!("{client:?}: {:?}: {verdict:?}, but {heard:?}", ask.wanted);
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
    pub(super) fn check_addresses(&self, client: Origin, read: &Read) {
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
        let idle: Vec<Origin> =
            self.clients.iter().filter(|c| c.relayed.is_empty()).map(|c| c.origin).collect();
        // Two may try; one of them is late.
        for _ in 0..self.prng.within(1, 2).min(idle.len() as u64) {
            let client = *self.prng.pick(&idle);
            let wanted = Wanted::Allocate { lifetime_s: None, relays: Relays::Token(token) };
            let after_ms = *self.prng.pick(&[0, 1, 1000, 20_000, 59_000, 59_999, 60_000]);
            self.net.plan(self.ms + after_ms, Happening::AsksAtOnce { client, wanted });
        }
    }
}
