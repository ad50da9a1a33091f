//! What the server makes of a message, and what the model says to it.

use turnbell::turn::contract::{Header, Opened, Token, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::message::TransactionId;

use super::ask::{Ask, Intent, Packet, Wanted};
use super::delivery::{Delivery, Way};
use super::model::Verdict;
use super::net::Happening;
use super::operator::{Order, USERS};
use super::origin::Origin;
use super::shards::Seen;
use super::world::World;
use crate::support::answer::{Answer, Asked, Read, read};
use crate::support::setup::REALM;

impl World {
    /// The nonce that the server gives this client right away, unless it has answered too often.
    pub(super) fn challenge(&mut self, client: Origin) -> Option<Vec<u8>> {
        let ask = self.clients[0].ask_with(&mut self.prng, Wanted::Challenge, Vec::new());
        let now = self.now();
        let (_, seen) = self.shards.client_sent(&mut self.prng, now, client, &ask.bytes());
        if seen.answers.is_empty() {
            assert!(seen.cuts == 1 && !client.is_stream(), "no answer: {seen:?}");
            self.told.cuts += 1;
            return None;
        }
        let [(_, bytes)] = &seen.answers[..] else { panic!("one answer: {seen:?}") };
        let read = self.read(client, &ask, bytes);
        Some(read.nonce.expect("a 401 has a nonce"))
    }

    pub(super) fn asks_at_once(&mut self, client: Origin, wanted: Wanted) {
        if !self.can_ask(client) || !self.clients.iter().any(|c| c.origin == client) {
            return;
        }
        let Some(nonce) = self.challenge(client) else { return };
        let asking = self.clients.iter().find(|c| c.origin == client).expect("looked for above");
        let ask = asking.ask_with(&mut self.prng, wanted, nonce);
        self.at_server(&Packet::ask(client, &ask));
    }

    /// Nobody asks over a connection that is not open.
    pub(super) fn can_ask(&self, client: Origin) -> bool {
        !client.is_stream() || self.streams.is_open(client)
    }

    pub(super) fn at_server(&mut self, packet: &Packet) {
        let Packet { client, bytes, intent } = packet;
        let now = self.now();
        let (delivery, seen) = self.shards.client_sent(&mut self.prng, now, *client, bytes);
        // Only who ends something by itself lets go of its connection.
        assert!(seen.closed_streams.is_empty(), "{seen:?}");
        // Before the model takes the step: what had expired and was noticed only by it.
        let closed_late = self.forget_expired(&seen);
        let expected = match intent {
            Intent::Ask(ask) => {
                assert_eq!(delivery, Delivery::Dropped);
                self.check_answer(*client, ask, &seen);
                Delivery::Dropped
            }
            Intent::Send { peer, data, dont_fragment } => {
                let way = self.model.send(self.ms, *client, *peer, data, *dont_fragment);
                self.told.dropped += u64::from(way.delivery == Delivery::Dropped);
                self.pay(way)
            }
            Intent::Channel { number, data } => {
                let way = self.model.channel_data(self.ms, *client, *number, data);
                self.pay(way)
            }
            Intent::Garbage => unreachable!("it makes no message"),
            Intent::Unknown => {
                let way = self.check_unknown(*client, bytes, &delivery, &seen);
                self.pay(way)
            }
        };
        assert_eq!(delivery, expected, "{packet:?}");
        self.delivered(delivery);
        for (client, reason) in closed_late {
            assert_eq!(reason, EndReason::Client);
            let is_over = self.model.forget_expired(self.moment(), client).is_some();
            assert!(is_over, "{client:?} ended before its time");
            self.told.ended_by_client += 1;
        }
        self.plan_openings(*client, &seen);
    }

    pub(super) fn socket_opened(
        &mut self,
        shard: usize,
        token: Token,
        result: Result<Opened, Why>,
    ) {
        let now = self.now();
        let (client, seen) = self.shards.socket_opened(&mut self.prng, now, shard, token, result);
        // What was over made room; the connection serves the next one.
        let closed = self.forget_expired(&seen);
        assert!(closed.is_empty() && seen.closed_streams.is_empty(), "{seen:?}");
        let ask = self.model.pending(client).cloned();
        let reserved = result.ok().and_then(|opened| opened.reserved).map(|token| token.0);
        let relayed = result.map(|opened| {
            let ports = std::iter::once(opened.relay).chain(opened.other.and_then(Result::ok));
            ports.map(|port| self.shards.transport_address(port)).collect()
        });
        self.told.refused_by_ledger += u64::from(relayed.is_err());
        let at = self.moment();
        let verdict = self.model.socket_opened(at, client, relayed, reserved, self.is_stopped);
        let Some(ask) = ask else {
            assert_eq!(verdict, Verdict::Silence);
            return seen.check_nothing_else();
        };
        let [(to, bytes)] = &seen.answers[..] else { panic!("one answer: {seen:?}") };
        assert_eq!(*to, client);
        let read = self.read(client, &ask, bytes);
        assert_eq!(Verdict::Answers(read.answer.clone()), verdict);
        self.check_addresses(client, &read);
        let live = self.model.live(self.ms, client).map(|a| a.relayed(self.ms).collect());
        let opened: Vec<_> = live.map(|relayed| (client, relayed)).into_iter().collect();
        assert_eq!(seen.opened, opened);
        self.told.dual += u64::from(read.relayed.len() == 2);
        self.check_ports(&ask.wanted, &read);
        self.told.allocations += opened.len() as u64;
        self.probe(client, &ask.wanted, &read.answer);
        self.tell(client, ask.id, read);
    }

    pub(super) fn read(&mut self, client: Origin, ask: &Ask, bytes: &[u8]) -> Read {
        let asked = Asked { client: client.address, request: ask.request.clone() };
        let read = read(&asked, REALM, ask.id, bytes);
        if let Some(nonce) = &read.nonce {
            self.model.nonce_issued(nonce.clone(), client, self.ms);
        }
        read
    }

    pub(super) fn tell(&mut self, client: Origin, id: TransactionId, read: Read) {
        match read.answer {
            Answer::Error(code) => {
                self.told.errors += 1;
                *self.told.errors_by_code.entry(code).or_default() += 1;
            }
            Answer::Unknown(_) => self.told.errors += 1,
            Answer::Mapped | Answer::Allocated { .. } | Answer::Refreshed { .. } | Answer::Done => {
                self.told.successes += 1
            }
        }
        let heard = Happening::AtClient { client, id, read };
        if client.is_stream() {
            let at_ms = self.net.arrives_ms(&mut self.prng, self.ms);
            self.net.plan(at_ms, heard);
        } else {
            self.net.send(&mut self.prng, self.ms, &heard);
        }
    }

    /// What becomes of data, when everybody has paid for it who can.
    pub(super) fn pay(&mut self, way: Way) -> Delivery {
        let would_go = way.delivery != Delivery::Dropped;
        let delivery = self.model.pay(self.ms, way);
        self.told.over_rate += u64::from(would_go && delivery == Delivery::Dropped);
        delivery
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Dropped => {}
            Delivery::ToPeer { from, peer, data, dont_fragment } => {
                self.told.to_peers += 1;
                self.told.whole += u64::from(dont_fragment);
                let arrives = Happening::AtPeer { from, peer, data };
                self.net.send(&mut self.prng, self.ms, &arrives);
            }
            Delivery::ToClient { client, header, data } => {
                self.told.to_clients += 1;
                let is_channel = matches!(header, Header::Channel(_));
                self.told.on_channels += u64::from(is_channel);
                let receiver = self.model.live(self.ms, client).expect("only to the living");
                let peer = match header {
                    Header::Channel(number) => receiver.peer_of(self.ms, number.number()),
                    Header::DataIndication(peer) => Some(peer),
                };
                let peer = peer.expect("a live binding");
                let relayed = receiver.relayed_like(self.ms, peer).expect("of its family");
                self.told.inside += u64::from(peer.ip() == relayed.ip());
                self.shards.note_to_client(relayed, data.len());
            }
        }
    }

    fn plan_openings(&mut self, client: Origin, seen: &Seen) {
        for (shard, token, result) in &seen.opening {
            let (shard, token, result) = (*shard, *token, *result);
            let delay_ms = if self.prng.chance(60) { 0 } else { self.prng.within(1, 2000) };
            let opened = Happening::SocketOpened { shard, token, result };
            self.net.plan(self.ms + delay_ms, opened);
            // Some are not welcome any more when it comes.
            if delay_ms > 0 && self.prng.chance(5) {
                let user = self.model.pending(client).map(|ask| ask.signer.user.clone());
                let user = USERS.into_iter().find(|name| user.as_deref() == Some(name));
                let revoke = Order::Revoke(user.expect("one of ours asks"), None);
                let at_ms = self.ms + self.prng.below(delay_ms);
                self.net.plan(at_ms, Happening::Wants(revoke));
                let restore = Order::Restore(user.expect("one of ours asks"));
                let at_ms = self.ms + delay_ms + self.prng.below(2);
                self.net.plan(at_ms, Happening::Wants(restore));
            }
            // Some do not wait for it.
            if client.is_stream() && delay_ms > 0 && self.prng.chance(15) {
                let left = Happening::HungUp(client.connection);
                self.net.plan(self.ms + self.prng.below(delay_ms), left);
            }
        }
    }
}
