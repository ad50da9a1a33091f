//! The operator: reloads, revokes, sets quotas, drains, while calls are on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use turnbell::policy::quota::QuotaLimits;
use turnbell::turn::contract::Command;
use turnbell::turn::drain::Alternate;
use turnbell::turn::fact::EndReason;
use turnbell::turn::revocation::Revocation;
use turnbell::wire::address::Family;

use super::ask::{Packet, Wanted};
use super::ledger::some_limits;
use super::model::{Model, Moment, left_ms};
use super::net::Happening;
use super::origin::Origin;
use super::rules::{Peers, Rules};
use super::world::World;
use crate::support::{v4, v6};

/// Something that the operator wants.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Reload(Rules),
    /// Until so many milliseconds since 1970, or until it is undone.
    Revoke(&'static str, Option<i64>),
    Restore(&'static str),
    Quotas(QuotaLimits),
    /// Families of other servers.
    Drain(Vec<Family>),
}

/// All who are clients.
pub(super) const USERS: [&str; 3] = ["user0", "user1", "user2"];

/// What a change of rules closed of one client.
type Closed = (Origin, Vec<IpAddr>, Vec<(u16, SocketAddr)>);

/// Tried right after a change of policy, at most.
const VISITS_MAX: usize = 4;

impl Model {
    /// Other rules hold (R28); which live permissions and channels end.
    fn reload(&mut self, at: Moment, rules: Rules) -> Vec<Closed> {
        let is_other_rate = rules.packets_per_s != self.rules.packets_per_s;
        self.rules = rules;
        let mut closed = Vec::new();
        for (client, allocation) in &mut self.allocations {
            if is_other_rate {
                allocation.fill_up();
            }
            if rules.is_strict {
                allocation.end_by(at.ms + left_ms(at, &allocation.made_by));
            }
            let (permissions, channels) = allocation.judge_again(at.ms, rules);
            closed.push((*client, permissions, channels));
        }
        closed
    }

    /// A user is not welcome any more; whose allocations end.
    fn revoke(&mut self, user: &str, until_unix_ms: Option<i64>) -> Vec<Origin> {
        self.revoked.insert(user.into(), until_unix_ms.unwrap_or(i64::MAX));
        let all = std::mem::take(&mut self.allocations);
        let (gone, left): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(_, a)| *a.made_by.signer.user == *user);
        self.allocations = left;
        gone.into_keys().collect()
    }

    /// A connection is gone: whether an allocation ended with it. What waits is not told.
    pub(super) fn disconnect(&mut self, client: Origin) -> bool {
        self.pending.remove(&client);
        self.allocations.remove(&client).is_some()
    }

    /// Everything ends at once.
    pub(super) fn stop(&mut self, ms: u64) {
        for allocation in self.allocations.values_mut() {
            allocation.set_end(ms, ms, None);
        }
    }
}

/// Another server for each of these families.
fn alternates(families: &[Family]) -> Arc<[Alternate]> {
    let server = |family: &Family| match family {
        Family::V4 => v4([198, 51, 100, 2], 3478),
        Family::V6 => v6([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 2], 3478),
    };
    families.iter().map(|family| Alternate { server: server(family), domain: None }).collect()
}

impl World {
    /// Something, now and then.
    pub(super) fn operator_acts(&mut self) {
        let user = *self.prng.pick(&USERS);
        let order = match self.prng.below(10) {
            0..6 => Order::Reload(self.model.rules.changed(&mut self.prng)),
            6 => {
                let until_ms = self.now().unix_ms + self.prng.within(1, 300_000) as i64;
                let until_ms = self.prng.chance(60).then_some(until_ms);
                // Most are pardoned, so that the story goes on.
                let after_ms = self.prng.within(1000, 120_000);
                self.net.plan(self.ms + after_ms, Happening::Wants(Order::Restore(user)));
                Order::Revoke(user, until_ms)
            }
            7 => Order::Restore(user),
            _ => Order::Quotas(some_limits(&mut self.prng)),
        };
        self.net.plan(self.ms, Happening::Wants(order));
        let gap_ms = self.prng.within(10_000, 300_000);
        self.net.plan(self.ms + gap_ms, Happening::OperatorActs);
    }

    pub(super) fn wants(&mut self, order: Order) {
        // What is over is told from what an order ends.
        self.settle();
        self.told.orders += 1;
        match order {
            Order::Reload(rules) => self.reload(rules),
            Order::Revoke(user, until_unix_ms) => self.revoke(user, until_unix_ms),
            Order::Restore(user) => {
                self.model.revoked.remove(user);
                self.order(&Command::Restore { user: user.into() }, &[]);
            }
            Order::Quotas(limits) => self.shards.ledger.set_limits(limits),
            Order::Drain(families) => {
                self.order(&Command::Drain(alternates(&families)), &[]);
                self.model.draining = Some(families);
            }
        }
    }

    fn reload(&mut self, rules: Rules) {
        let before = self.shards.closed_by_policy();
        let closed = self.model.reload(self.moment(), rules);
        let elsewhere = alternates(self.model.draining.as_deref().unwrap_or_default());
        self.order(&Command::Replace(rules.replacement(self.start, elsewhere)), &[]);
        let after = self.shards.closed_by_policy();
        let permissions = closed.iter().map(|(_, closed, _)| closed.len() as u64).sum::<u64>();
        let channels = closed.iter().map(|(.., closed)| closed.len() as u64).sum::<u64>();
        assert_eq!(after, (before.0 + permissions, before.1 + channels), "R28: what was closed");
        self.told.closed_by_policy += permissions + channels;
        self.visit_closed(&closed, rules);
    }

    /// Nothing goes through what was just closed; nor, when it is opened again, through what was
    /// not asked for again.
    fn visit_closed(&mut self, closed: &[Closed], rules: Rules) {
        let permissions = closed.iter().flat_map(|(client, ips, _)| {
            ips.iter().map(|ip| (*client, SocketAddr::new(*ip, 5000), None))
        });
        let channels = closed.iter().flat_map(|(client, _, channels)| {
            channels.iter().map(|(number, peer)| (*client, *peer, Some(*number)))
        });
        let all: Vec<_> = channels.chain(permissions).take(VISITS_MAX).collect();
        if all.is_empty() {
            return;
        }
        let open_ms = self.ms + self.prng.within(1000, 100_000);
        let again = Rules { peers: Peers::Setup, ..rules };
        self.net.plan(open_ms, Happening::Wants(Order::Reload(again)));
        for (client, peer, number) in all {
            self.visit(self.ms, client, peer, number);
            self.visit(open_ms, client, peer, number);
            let wanted = Wanted::Permit { peers: vec![peer] };
            self.net.plan(open_ms + 1, Happening::AsksAtOnce { client, wanted });
            self.visit(open_ms + 2, client, peer, number);
        }
    }

    fn visit(&mut self, at_ms: u64, client: Origin, peer: SocketAddr, number: Option<u16>) {
        let Some(live) = self.model.live(self.ms, client) else { return };
        if let Some(relayed) = live.relayed_like(self.ms, peer) {
            let data = b"visit".to_vec();
            self.net.plan(at_ms, Happening::AtRelay { relayed, peer, data });
        }
        let packet = match number {
            Some(number) => Packet::channel(client, number, b"visit".to_vec()),
            None => Packet::send(client, peer, b"visit".to_vec()),
        };
        self.net.plan(at_ms, Happening::AtServer(packet));
    }

    fn revoke(&mut self, user: &'static str, until_unix_ms: Option<i64>) {
        let gone = self.model.revoke(user, until_unix_ms);
        self.told.revoked += gone.len() as u64;
        let revocation = Revocation { user: user.into(), until_unix_ms };
        self.order(&Command::Revoke(revocation), &gone);
    }

    /// Gives every shard the order, which ends exactly these allocations.
    fn order(&mut self, command: &Command, gone: &[Origin]) {
        for shard in 0..2 {
            let now = self.now();
            let (ended, seen) = self.shards.command(&mut self.prng, now, shard, command.clone());
            let expected = gone.iter().filter(|client| client.shard() == shard);
            let expected: Vec<_> = expected.map(|client| (*client, EndReason::Revoked)).collect();
            let mut closed = seen.closed.clone();
            closed.sort_unstable_by_key(|(client, _)| *client);
            assert_eq!(closed, expected);
            assert_eq!(ended, expected.len());
            assert!(seen.answers.is_empty() && seen.opening.is_empty());
            self.check_closed_streams(&seen);
        }
    }
}
