//! What must hold when a step is over, and of bytes that nobody meant.

use turnbell::turn::fact::{EndReason, Transport};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method};

use super::delivery::{Delivery, Way};
use super::origin::Origin;
use super::shards::Seen;
use super::world::World;

impl World {
    /// Bytes that nobody meant: never an answer but an error or a Binding success, no allocation,
    /// and data only where the model has a permission for it.
    pub(super) fn check_unknown(
        &mut self,
        client: Origin,
        bytes: &[u8],
        went: &Delivery,
        seen: &Seen,
    ) -> Way {
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
            (Delivery::Dropped, _) => Way::NONE,
            (Delivery::ToPeer { data, .. } | Delivery::ToClient { data, .. }, Some(number)) => {
                self.model.channel_data(self.ms, client, number, data)
            }
            (Delivery::ToPeer { peer, data, dont_fragment, .. }, None) => {
                self.model.send(self.ms, client, *peer, data, *dont_fragment)
            }
            (Delivery::ToClient { client: to, header, data }, None) => {
                // Inside: the receiver hears the sender's relayed address, which it permits.
                assert!(self.model.live(self.ms, client).is_some(), "a live sender");
                let receiver = self.model.live(self.ms, *to).expect("a live receiver");
                let ways = receiver
                    .relayed(self.ms)
                    .map(|relayed| self.model.send(self.ms, client, relayed, data, false));
                let way = ways.into_iter().find(|way| way.delivery == *went);
                way.unwrap_or_else(|| panic!("{client:?} {header:?}"))
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
        let (live, traffic) = self.shards.statistics();
        for (transport, count) in live {
            let own = self.model.allocations.keys().filter(|c| c.transport == transport);
            assert_eq!(count, own.count() as u64, "live over {transport:?}");
        }
        assert_eq!(traffic, self.shards.relayed, "what was relayed in all");
    }

    /// What ended by itself: the model agrees that its time was over.
    pub(super) fn check_closed(&mut self, seen: &Seen) {
        let early = self.forget_expired(seen);
        assert!(early.is_empty(), "{early:?} ended before its time");
        assert!(seen.answers.is_empty() && seen.opened.is_empty() && seen.opening.is_empty());
        self.check_closed_streams(seen);
    }

    /// The connection of what ended without its client's doing is closed, and no other one.
    pub(super) fn check_closed_streams(&mut self, seen: &Seen) {
        let is_over = |(client, reason): &&(Origin, EndReason)| {
            let is_ours = match reason {
                EndReason::Expired
                | EndReason::CredentialExpired
                | EndReason::Revoked
                | EndReason::Ended
                | EndReason::Shutdown => true,
                EndReason::Client | EndReason::Disconnected => false,
            };
            is_ours && client.transport != Transport::Udp
        };
        let over = seen.closed.iter().filter(is_over);
        let expected: Vec<Origin> = over.map(|(client, _)| *client).collect();
        assert_eq!(seen.closed_streams, expected, "connections that are closed");
        for client in expected {
            self.end_stream(client.connection);
        }
    }

    /// Strikes what expired off the model, and returns what the model still holds to be alive.
    pub(super) fn forget_expired(&mut self, seen: &Seen) -> Vec<(Origin, EndReason)> {
        let mut alive = Vec::new();
        for (client, why) in &seen.closed {
            match self.model.forget_expired(self.moment(), *client) {
                Some(reason) => {
                    let reason = if self.is_stopped { EndReason::Shutdown } else { reason };
                    assert_eq!(*why, reason, "why {client:?} ended");
                    let is_by_credential = reason == EndReason::CredentialExpired;
                    self.told.credential_expired += u64::from(is_by_credential);
                    self.told.expired += 1;
                }
                None => alive.push((*client, *why)),
            }
        }
        alive
    }
}
