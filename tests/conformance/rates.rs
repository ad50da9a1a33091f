//! Packets and bits a second (decisions R18): what is over is discarded and counted, never an error.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::turn::contract::Discard;
use turnbell::turn::rates::{Rate, RateOptions};

use crate::support::event::{
    Event, allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{Seen, allocates, discards, refreshes, sends_to_peer, succeeds};
use crate::support::setup::credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, v4};

const NO_LIMIT: RateOptions = RateOptions {
    per_allocation: Rate { bytes: None, packets: None },
    per_user: Rate { bytes: None, packets: None },
    total: Rate { bytes: None, packets: None },
};

fn packets(per_s: u64) -> Rate {
    Rate { bytes: None, packets: Some(per_s) }
}

fn bytes(per_s: u64) -> Rate {
    Rate { bytes: Some(per_s), packets: None }
}

/// A relay with these rates, and an allocation with a permission for each client and user.
fn turn(rates: RateOptions, clients: &[(SocketAddr, &str)]) -> Turn {
    let mut t = Turn::with(|setup| setup.guard.rules.rates = rates);
    for (client, user) in clients {
        let by = credential(user);
        t.check(allocate().signed_by(by.clone()).at(*client), allocates(600).at(*client));
        t.check(create_permission(&[PEER_A]).signed_by(by).at(*client), succeeds().at(*client));
    }
    t
}

/// How many of these datagrams are relayed; the others are discarded for `reason`.
#[track_caller]
fn relayed(t: &mut Turn, datagram: impl Fn() -> Event, count: u32, reason: Discard) -> u32 {
    let mut passed = 0;
    for _ in 0..count {
        match t.act(datagram()).as_slice() {
            [Seen::ToPeer(..) | Seen::ToClient(..)] => passed += 1,
            [Seen::Discards(found)] => assert_eq!(*found, reason),
            other => panic!("{other:?}"),
        }
    }
    passed
}

fn to_peer(client: SocketAddr, size: usize) -> impl Fn() -> Event {
    move || send(PEER_A, &vec![7; size]).at(client)
}

fn ms(t: &mut Turn, ms: u64) {
    t.advance_without_tick(Duration::from_millis(ms));
}

#[test]
fn an_allocation_relays_as_many_packets_as_it_may_and_discards_the_rest() {
    let rates = RateOptions { per_allocation: packets(100), ..NO_LIMIT };
    let mut t = turn(rates, &[(CLIENT, "alice"), (CLIENT_B, "alice")]);
    let over = Discard::OverAllocationRate;
    // A quarter second's worth at once.
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 30, over), 25);
    ms(&mut t, 9);
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 1, over), 1, "9 ms are more than nothing");
    ms(&mut t, 1);
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 3, over), 0);
    ms(&mut t, 100);
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 30, over), 10);
    // The other direction and the other allocation have their own.
    assert_eq!(relayed(&mut t, || from_peer(PEER_A, b"x"), 30, over), 25);
    assert_eq!(relayed(&mut t, to_peer(CLIENT_B, 10), 30, over), 25);
    // Requests are no data.
    t.check(refresh(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn an_allocation_relays_as_many_bytes_as_it_may_whatever_the_size_of_its_datagrams() {
    for size in [100, 1000, 9000] {
        let rates = RateOptions { per_allocation: bytes(100_000), ..NO_LIMIT };
        let mut t = turn(rates, &[(CLIENT, "alice")]);
        let mut passed = 0;
        for _ in 0..4000 {
            let count = u32::try_from(200 / size).unwrap() + 1;
            passed += relayed(&mut t, to_peer(CLIENT, size), count, Discard::OverAllocationRate);
            ms(&mut t, 1);
        }
        let passed = passed as usize * size;
        let saved = 25_000 + size;
        assert!((390_000..=400_000 + saved).contains(&passed), "{passed} of {size}");
        t.check_nothing_left_after_s(600);
    }
}

#[test]
fn all_allocations_of_a_user_share_his_rate_and_no_other_users() {
    let rates = RateOptions { per_user: packets(100), ..NO_LIMIT };
    let third = v4([203, 0, 113, 7], 40_002);
    let mut t = turn(rates, &[(CLIENT, "alice"), (CLIENT_B, "alice"), (third, "bob")]);
    let over = Discard::OverUserRate;
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 20, over), 20);
    assert_eq!(relayed(&mut t, to_peer(CLIENT_B, 10), 20, over), 5);
    assert_eq!(relayed(&mut t, to_peer(third, 10), 30, over), 25);
    // Two URLs, reloaded: sessions are one user.
    t.check_nothing_left_after_s(600);
}

#[test]
fn what_everybody_may_relay_is_shared_fairly() {
    let rates = RateOptions { total: bytes(1_000_000), ..NO_LIMIT };
    let third = v4([203, 0, 113, 7], 40_002);
    let mut t = turn(rates, &[(CLIENT, "alice"), (CLIENT_B, "bob"), (third, "carol")]);
    let over = Discard::OverTotalRate;
    let mut got = [0_u32; 3];
    for _ in 0..4000 {
        // 10 MB/s, 1 MB/s and 200 kB/s of 333 kB/s each.
        for (at, (client, count)) in [(CLIENT, 10), (CLIENT_B, 1), (third, 1)].iter().enumerate() {
            let size = if *client == third { 200 } else { 1000 };
            got[at] += relayed(&mut t, to_peer(*client, size), *count, over) * size as u32;
        }
        ms(&mut t, 1);
    }
    assert!(got[2] >= 800_000 * 99 / 100, "{got:?}");
    assert!(got[0] >= 1_333_333 * 8 / 10 && got[1] >= 1_333_333 * 8 / 10, "{got:?}");
    let all: u32 = got.iter().sum();
    assert!((3_900_000..=4_450_000).contains(&all), "{got:?}");
    t.check_nothing_left_after_s(600);
}

#[test]
fn who_is_alone_has_everything_again_when_the_others_left() {
    let rates = RateOptions { total: packets(1000), ..NO_LIMIT };
    let mut t = turn(rates, &[(CLIENT, "alice"), (CLIENT_B, "bob")]);
    let over = Discard::OverTotalRate;
    for client in [CLIENT, CLIENT_B] {
        relayed(&mut t, to_peer(client, 10), 1000, over);
    }
    let gone = refresh().lifetime(0).signed_by(credential("bob")).at(CLIENT_B);
    assert_eq!(t.act(gone).len(), 3);
    let mut passed = 0;
    for _ in 0..1000 {
        ms(&mut t, 1);
        passed += relayed(&mut t, to_peer(CLIENT, 10), 2, over);
    }
    assert!((950..=1100).contains(&passed), "{passed}");
    t.check_nothing_left_after_s(600);
}

#[test]
fn without_rates_nothing_is_discarded() {
    let mut t = turn(NO_LIMIT, &[(CLIENT, "alice")]);
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 1400), 2000, Discard::OverTotalRate), 2000);
    t.check_nothing_left_after_s(600);
}

#[test]
fn rates_that_are_set_raised_or_lifted_hold_at_once_for_live_allocations() {
    let mut t = turn(NO_LIMIT, &[(CLIENT, "alice"), (CLIENT_B, "bob")]);
    let over = Discard::OverAllocationRate;
    for (per_s, passes) in [(Some(100), 25), (Some(400), 100), (None, 200)] {
        let per_allocation = Rate { bytes: None, packets: per_s };
        t.replace(|setup| setup.guard.rules.rates = RateOptions { per_allocation, ..NO_LIMIT });
        for client in [CLIENT, CLIENT_B] {
            assert_eq!(relayed(&mut t, to_peer(client, 10), 200, over), passes, "{per_s:?}");
        }
    }
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_reload_that_leaves_the_rates_alone_fills_no_bucket() {
    let rates = RateOptions { per_allocation: packets(100), ..NO_LIMIT };
    let mut t = turn(rates, &[(CLIENT, "alice")]);
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 30, Discard::OverAllocationRate), 25);
    t.replace(|_| {});
    assert_eq!(relayed(&mut t, to_peer(CLIENT, 10), 5, Discard::OverAllocationRate), 0);
    t.check_nothing_left_after_s(600);
}

#[test]
fn what_is_not_relayed_for_want_of_a_permission_uses_up_no_rate() {
    let rates = RateOptions { per_allocation: packets(1), ..NO_LIMIT };
    let mut t = turn(rates, &[(CLIENT, "alice")]);
    t.check(channel_bind(0x4000, PEER_A), succeeds());
    t.advance_s(300);
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoPermission));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(create_permission(&[PEER_A]), succeeds());
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(channel_data(0x4000, b"x"), discards(Discard::OverAllocationRate));
    t.check_nothing_left_after_s(300);
}
