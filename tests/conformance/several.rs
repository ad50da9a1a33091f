//! Several relays of one daemon (R1): budgets hold for all of them together, and numbers count up.

use std::time::Duration;

use turnbell::limits::{SHIELD_BURST_S, SHIELD_PER_SOURCE_DEFAULT};
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::Fact;
use turnbell::turn::rates::{Rate, RateOptions};

use crate::support::event::{allocate, create_permission, refresh, send};
use crate::support::expectation::{Seen, allocates, succeeds};
use crate::support::request::Request;
use crate::support::setup::credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, PEER_A};
use turnbell::wire::message::{Class, Method, TransactionId};

fn packets(per_s: u64) -> Rate {
    Rate { bytes: None, packets: Some(per_s) }
}

fn of_users(per_s: u64) -> RateOptions {
    RateOptions { per_user: packets(per_s), ..RateOptions::default() }
}

fn of_all(per_s: u64) -> RateOptions {
    RateOptions { total: packets(per_s), ..RateOptions::default() }
}

/// Alice has an allocation with a permission at each.
fn two(rates: RateOptions) -> [Turn; 2] {
    let mut both = Turn::several(|setup| setup.guard.rules.rates = rates);
    both.iter_mut().for_each(settle);
    both
}

fn settle(t: &mut Turn) {
    t.check(allocate().signed_by(credential("alice")), allocates(600));
    t.check(create_permission(&[PEER_A]).signed_by(credential("alice")), succeeds());
}

/// How many of so many datagrams are relayed.
fn relayed(t: &mut Turn, count: u32) -> u32 {
    let mut one = || t.act(send(PEER_A, b"x").into());
    (0..count).map(|_| u32::from(matches!(one()[..], [Seen::ToPeer(..)]))).sum()
}

fn set(t: &mut Turn, rates: RateOptions) {
    t.replace(|setup| setup.guard.rules.rates = rates);
}

#[test]
fn a_users_rate_and_everybodys_hold_for_all_relays_together() {
    for rates in [of_users(100), of_all(100)] {
        let [mut a, mut b] = two(rates);
        let at_once = relayed(&mut a, 20) + relayed(&mut b, 200);
        let [mut alone, _] = two(rates);
        assert_eq!(at_once, relayed(&mut alone, 220));
        for t in [&mut a, &mut b] {
            t.advance_without_tick(Duration::from_secs(10));
        }
        assert!(relayed(&mut b, 5) + relayed(&mut a, 5) == 10);
        a.check_nothing_left_after_s(600);
        // His other allocation keeps what he used up.
        assert!(relayed(&mut b, 200) < 200);
    }
}

#[test]
fn other_rates_hold_for_all_as_soon_as_the_last_relay_goes_by_them() {
    let [mut a, mut b] = two(of_users(100));
    assert_eq!(relayed(&mut a, 30), 25);
    set(&mut a, of_users(200));
    // Meanwhile the one that does not know yet holds nobody back.
    assert_eq!(relayed(&mut b, 60), 60);
    set(&mut b, of_users(200));
    assert_eq!(relayed(&mut a, 20) + relayed(&mut b, 80), 50);

    // There and back, while the other one sees but the end of it.
    set(&mut a, of_users(100));
    set(&mut a, of_users(200));
    assert_eq!(relayed(&mut b, 20) + relayed(&mut a, 80), 50);
    b.check(refresh().signed_by(credential("alice")), crate::support::expectation::refreshes(600));
    set(&mut b, RateOptions::default());
    assert_eq!(relayed(&mut b, 100), 100);
    a.check_nothing_left_after_s(600);
}

#[test]
fn a_source_is_answered_no_more_often_because_there_are_several() {
    let burst = SHIELD_PER_SOURCE_DEFAULT * SHIELD_BURST_S;
    let bytes = Request::new(Class::Request, Method::ALLOCATE).encode(TransactionId([3; 12]), b"");
    let [mut a, mut b, mut c] = Turn::several(|_| {});
    let mut answered = 0;
    for _ in 0..burst {
        for t in [&mut a, &mut b, &mut c] {
            answered += t.exchange(CLIENT, &bytes).len();
        }
    }
    assert_eq!(answered, burst as usize);
    assert_eq!(
        c.relay.counters().discarded(Discard::ShieldSource),
        u64::from(burst * 2).div_ceil(3)
    );
}

#[test]
fn numbers_of_allocations_count_up_over_all_relays() {
    let mut all: [Turn; 3] = Turn::several(|_| {});
    let mut numbers = Vec::new();
    for t in &mut all {
        for _ in 0..3 {
            settle(t);
            t.check_nothing_left_after_s(600);
        }
        let opened = t.facts.iter().filter_map(|fact| match fact {
            Fact::AllocationOpened { number, .. } => Some(*number),
            Fact::AllocationClosed { .. } | Fact::AuthenticationFailed { .. } => None,
        });
        numbers.extend(opened);
    }
    let expected: Vec<u64> = (1..=9).collect();
    assert_eq!(numbers.iter().map(|number| number.0).collect::<Vec<_>>(), expected);
}
