//! Flows that a faster path below the sockets may carry: named while they may pass, counted when told.

use turnbell::turn::fact::{EndReason, Fact, Traffic};
use turnbell::turn::flows::Flow;
use turnbell::turn::rates::{Rate, RateOptions};
use turnbell::wire::channel_data::ChannelNumber;

use crate::support::event::{after_s, allocate, channel_bind, create_permission, refresh};
use crate::support::expectation::{allocates, ends, nothing, refreshes, succeeds};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, PEER_B};

fn bound() -> Turn {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t.bind(0x4000, PEER_A);
    t
}

fn flows(t: &Turn) -> Vec<Flow> {
    t.relay.flows(t.now)
}

/// Whole seconds that each may still pass.
fn lasting_s(t: &Turn) -> Vec<(u16, u64)> {
    let left = |flow: &Flow| flow.expires_at.saturating_duration_since(t.now.mono).as_secs();
    flows(t).iter().map(|flow| (flow.channel.number(), left(flow))).collect()
}

#[test]
fn a_bound_channel_is_a_flow_until_the_first_of_what_it_needs_ends() {
    let mut t = bound();
    let [flow] = flows(&t)[..] else { panic!("one flow") };
    assert_eq!((flow.tuple.client, flow.peer), (CLIENT, PEER_A));
    assert_eq!(flow.channel, ChannelNumber::new(0x4000, t.relay.channel_range()).unwrap());
    assert_eq!(t.relayed(CLIENT).port(), flow.relay.number);
    assert_eq!(lasting_s(&t), [(0x4000, 300)]);
    t.bind(0x4001, PEER_B);
    t.advance_s(299);
    t.check(create_permission(&[PEER_B]), succeeds());
    assert_eq!(lasting_s(&t), [(0x4000, 1), (0x4001, 300)]);
    t.advance_s(1);
    assert_eq!(lasting_s(&t), [(0x4001, 299)], "the channel lives, the permission does not");
    t.check(create_permission(&[PEER_A]), succeeds());
    t.advance_s(200);
    assert_eq!(lasting_s(&t), [(0x4000, 100), (0x4001, 99)], "the channels end now");
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    assert_eq!(flows(&t), []);
}

#[test]
fn what_stays_inside_what_is_refused_and_what_has_a_rate_is_no_flow() {
    let mut t = bound();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.bind(0x4001, t.relayed(CLIENT_B));
    assert_eq!(lasting_s(&t), [(0x4000, 300)]);
    t.replace(|setup| setup.policy.deny.push("192.0.2.0/24".parse().unwrap()));
    assert_eq!(flows(&t), []);

    let rates = RateOptions {
        per_allocation: Rate { bytes: None, packets: Some(9) },
        ..RateOptions::default()
    };
    let mut t = bound();
    t.replace(|setup| setup.guard.rules.rates = rates);
    assert_eq!(flows(&t), []);
}

#[test]
fn what_was_carried_is_in_counters_and_in_the_last_fact() {
    let mut t = bound();
    let [flow] = flows(&t)[..] else { panic!("one flow") };
    let carried = Traffic {
        packets_to_peers: 3,
        bytes_to_peers: 480,
        packets_to_client: 2,
        bytes_to_client: 2400,
    };
    assert!(t.relay.carried(&flow, carried));
    t.note_carried(CLIENT, carried);
    assert_eq!(t.relay.statistics().traffic, carried);
    assert_eq!(t.relay.counters().forwarded_to_peers, 3);
    assert_eq!(t.relay.counters().forwarded_to_clients, 2);
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    let Some(Fact::AllocationClosed { traffic, .. }) = t.facts.last() else { panic!() };
    assert_eq!(*traffic, carried);
    assert!(!t.relay.carried(&flow, carried), "nobody is left");
    t.check(after_s(1), nothing());
    t.check(allocate(), allocates(600));
    assert!(!t.relay.carried(&flow, carried), "another allocation on the same five-tuple");
    t.check(channel_bind(0x4000, PEER_A), succeeds());
    let [again] = flows(&t)[..] else { panic!("one flow") };
    assert_ne!(again.allocation, flow.allocation);
}
