//! The books of ports, reservations and quotas add up, whatever happens.

use std::time::Duration;

use super::*;

const USER: &str = "bob";
const ANY: Ports = Ports::Any;
const PAIR: Ports = Ports::EvenAndReserve;

fn source() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn ledger(ports: RangeInclusive<u16>, limits: QuotaLimits) -> Ledger {
    let addresses = ["203.0.113.7", "2001:db8::7"].map(|ip| ip.parse().unwrap());
    Ledger::new(&addresses, &ports, limits)
}

fn generous() -> QuotaLimits {
    QuotaLimits { per_user: 10_000, per_source: 10_000, total: 10_000 }
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// Draws a pair and reserves its odd half; the even one is returned.
fn reserve(ledger: &Ledger, now: Now, user: &str) -> (RelayPort, Result<ReservationToken, Why>) {
    let even = ledger.draw(now, Family::V4, PAIR).unwrap();
    let odd = RelayPort { number: even.number + 1, ..even };
    (even, ledger.reserve(now, odd, socket(), user, source()))
}

#[test]
fn ports_are_drawn_once_and_come_back() {
    let ledger = ledger(50_000..=50_009, generous());
    let now = Now::read();
    let draw = |ports| ledger.draw(now, Family::V4, ports);
    let mut drawn: Vec<_> = (0..10).map(|_| draw(ANY).unwrap()).collect();
    assert_eq!(draw(ANY), Err(Why::Ports));
    assert_eq!(ledger.port_count(), PortCount { free: 10, resting: 0, reserved: 0, used: 10 });
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 10);
    assert!(drawn.iter().all(|p| p.address == 0 && (50_000..=50_009).contains(&p.number)));
    for port in drawn {
        ledger.give_back(port);
    }
    assert_eq!(ledger.port_count(), PortCount { free: 20, resting: 0, reserved: 0, used: 0 });
    assert!(ledger.draw(now, Family::V6, ANY).unwrap().address == 1);
}

#[test]
fn a_second_address_serves_when_the_first_one_has_no_even_port_left() {
    let addresses = ["203.0.113.7", "203.0.113.8"].map(|ip| ip.parse().unwrap());
    let ledger = Ledger::new(&addresses, &(50_000..=50_002), generous());
    let drawn: Vec<_> =
        (0..4).map(|_| ledger.draw(Now::read(), Family::V4, Ports::Even).unwrap()).collect();
    assert!(drawn.iter().all(|port| port.number.is_multiple_of(2)), "{drawn:?}");
    assert_eq!(ledger.draw(Now::read(), Family::V4, Ports::Even), Err(Why::Ports));
    assert_eq!(ledger.draw(Now::read(), Family::V4, PAIR), Err(Why::Ports));
    assert!(ledger.draw(Now::read(), Family::V4, ANY).is_ok());
}

#[test]
fn a_reached_quota_says_which_and_counts_nothing() {
    for (limits, why) in [
        (QuotaLimits { per_user: 1, ..generous() }, Why::UserQuota),
        (QuotaLimits { per_source: 1, ..generous() }, Why::SourceQuota),
        (QuotaLimits { total: 1, ..generous() }, Why::TotalQuota),
    ] {
        let ledger = ledger(50_000..=50_009, limits);
        assert_eq!(ledger.count(USER, source()), Ok(()));
        assert_eq!(ledger.count(USER, source()), Err(why));
        ledger.uncount(USER, source());
        assert_eq!(ledger.count(USER, source()), Ok(()));
        assert_eq!(ledger.allocation_count(), 1);
    }
}

#[test] // R7: the busy port rests for 60 s
fn a_port_of_another_program_rests_for_60_s_and_is_drawn_again_after() {
    let ledger = ledger(50_000..=50_001, generous());
    let now = Now::read();
    let busy = ledger.draw(now, Family::V4, ANY).unwrap();
    ledger.rest(now, busy);
    let other = ledger.draw(now, Family::V4, ANY).unwrap();
    assert_ne!(busy, other);
    let later = |s| now.after(Duration::from_secs(s));
    assert_eq!(ledger.draw(later(59), Family::V4, ANY), Err(Why::Ports));
    assert_eq!(ledger.draw(later(60), Family::V4, ANY), Ok(busy));
}

#[test]
fn a_port_has_an_owner_from_own_to_give_back() {
    let ledger = ledger(50_000..=50_009, generous());
    let port = ledger.draw(Now::read(), Family::V4, ANY).unwrap();
    assert_eq!(ledger.owner(port), None);
    ledger.own(port, ShardIndex(0));
    assert_eq!(ledger.owner(port), Some(ShardIndex(0)));
    ledger.give_back(port);
    assert_eq!(ledger.owner(port), None);
    assert_eq!(ledger.owner(RelayPort { address: 9, number: 50_000 }), None);
    assert_eq!(ledger.owner(RelayPort { address: 0, number: 80 }), None);
}

#[test] // RFC 8656 §7.2: at least 30 s
fn a_token_is_good_for_60_s_and_no_longer() {
    let ledger = ledger(50_000..=50_001, generous());
    let now = Now::read();
    let later = |s| now.after(Duration::from_secs(s));
    for (at_s, is_good) in [(59, true), (60, false)] {
        let (even, token) = reserve(&ledger, now, USER);
        let redeemed = ledger.redeem(later(at_s), token.unwrap(), "ann", source());
        assert_eq!(redeemed.is_ok(), is_good);
        match redeemed {
            Ok((odd, _)) => {
                assert_eq!((odd.address, odd.number), (even.address, even.number + 1));
                ledger.give_back(odd);
                ledger.uncount("ann", source());
            }
            Err(why) => assert_eq!(why, Why::Reservation),
        }
        ledger.give_back(even);
        assert_eq!(ledger.port_count().free, 4);
        assert_eq!(ledger.allocation_count(), 0);
    }
}

#[test]
fn a_reservation_ends_by_itself_even_if_nobody_asks_for_a_port() {
    let ledger = ledger(50_000..=50_001, generous());
    let now = Now::read();
    let (even, token) = reserve(&ledger, now, USER);
    ledger.give_back(even);
    ledger.tend(now.after(Duration::from_secs(59)));
    assert_eq!(ledger.port_count(), PortCount { free: 3, resting: 0, reserved: 1, used: 0 });
    ledger.tend(now.after(Duration::from_secs(60)));
    assert_eq!(ledger.port_count(), PortCount { free: 4, resting: 0, reserved: 0, used: 0 });
    let late = ledger.redeem(now, token.unwrap(), USER, source());
    assert_eq!(late.map(|_| ()), Err(Why::Reservation));
}

#[test]
fn an_unknown_token_is_refused_and_counts_nothing() {
    let ledger = ledger(50_000..=50_009, generous());
    let now = Now::read();
    let (_, token) = reserve(&ledger, now, USER);
    let mut other = token.unwrap();
    other.0[7] ^= 1;
    assert_eq!(ledger.redeem(now, other, USER, source()).map(|_| ()), Err(Why::Reservation));
    assert_eq!(ledger.port_count().reserved, 1);
    assert_eq!(ledger.allocation_count(), 0);
}

#[test] // RFC 8656 §7.2: server-wide; who redeems it pays for it
fn a_reservation_counts_for_its_maker_and_then_for_who_redeems_it() {
    let ledger = ledger(50_000..=50_009, QuotaLimits { per_user: 1, ..generous() });
    let now = Now::read();
    let (_, token) = reserve(&ledger, now, USER);
    let token = token.unwrap();
    assert_eq!(ledger.count(USER, source()), Err(Why::UserQuota));
    let (_, second) = reserve(&ledger, now, USER);
    assert_eq!(second, Err(Why::UserQuota));
    // Somebody at his quota does not get it, and it stays.
    ledger.count("ann", source()).unwrap();
    assert_eq!(ledger.redeem(now, token, "ann", source()).map(|_| ()), Err(Why::UserQuota));
    assert_eq!(ledger.port_count().reserved, 1);
    ledger.uncount("ann", source());
    assert!(ledger.redeem(now, token, "ann", source()).is_ok());
    assert_eq!(ledger.count("ann", source()), Err(Why::UserQuota));
    assert_eq!(ledger.count(USER, source()), Ok(()), "the maker's count is free again");
    // Its maker may redeem one at his quota: it is what fills the quota.
    ledger.uncount(USER, source());
    let (_, token) = reserve(&ledger, now, USER);
    assert!(ledger.redeem(now, token.unwrap(), USER, source()).is_ok());
}

#[test]
fn reservations_are_bounded() {
    let ledger = ledger(50_000..=53_999, generous());
    let now = Now::read();
    let (even, token) = reserve(&ledger, now, USER);
    // The bound is on open sockets; clones of one do for counting.
    let one = socket();
    for _ in 1..RESERVATIONS_MAX {
        let port = ledger.draw(now, Family::V4, ANY).unwrap();
        ledger.reserve(now, port, one.try_clone().unwrap(), USER, source()).unwrap();
    }
    let used = ledger.port_count().used;
    let port = ledger.draw(now, Family::V4, ANY).unwrap();
    let over = ledger.reserve(now, port, one.try_clone().unwrap(), USER, source());
    assert_eq!(over, Err(Why::Ports));
    assert_eq!(ledger.port_count().used, used, "its port went back");
    assert!(ledger.redeem(now, token.unwrap(), USER, source()).is_ok());
    ledger.give_back(even);
    let port = ledger.draw(now, Family::V4, ANY).unwrap();
    assert!(ledger.reserve(now, port, one, USER, source()).is_ok());
}

#[test] // security.md D4: a leaked odd port made every later Allocate 508
fn a_hundred_thousand_allocations_of_every_kind_leak_no_port() {
    let ports = 50_000..=50_063;
    let ledger = ledger(ports.clone(), generous());
    let all = 2 * ports.len();
    let mut now = Now::read();
    let mut held: Vec<RelayPort> = Vec::new();
    let mut tokens: Vec<ReservationToken> = Vec::new();
    // A small generator of its own: the order is the same in every run, the ports are not.
    let mut state = 7_u64;
    let mut below = |end: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let one = socket();
    for _ in 0..100_000 {
        let family = if below(4) == 0 { Family::V6 } else { Family::V4 };
        match below(8) {
            0 => held.extend(ledger.draw(now, family, ANY)),
            1 => held.extend(ledger.draw(now, family, Ports::Even)),
            2 => {
                if let Ok(even) = ledger.draw(now, family, PAIR) {
                    let odd = RelayPort { number: even.number + 1, ..even };
                    let socket = one.try_clone().unwrap();
                    tokens.extend(ledger.reserve(now, odd, socket, USER, source()));
                    held.push(even);
                }
            }
            3 if !tokens.is_empty() => {
                let token = tokens.swap_remove(below(tokens.len() as u64) as usize);
                held.extend(ledger.redeem(now, token, USER, source()).map(|(port, _)| port));
            }
            4 if !held.is_empty() => {
                let port = held.swap_remove(below(held.len() as u64) as usize);
                ledger.rest(now, port);
            }
            5 => now = now.after(Duration::from_secs(below(3))),
            _ if !held.is_empty() => {
                let port = held.swap_remove(below(held.len() as u64) as usize);
                ledger.give_back(port);
            }
            _ => {}
        }
        let PortCount { free, resting, reserved, used } = ledger.port_count();
        assert_eq!(used, held.len());
        assert_eq!(free + resting + reserved + used, all);
    }
    for port in held {
        ledger.give_back(port);
    }
    // An hour later everything has rested and expired: the whole range can be drawn.
    now = now.after(Duration::from_secs(3600));
    for family in [Family::V4, Family::V6] {
        let mut drawn: Vec<_> =
            std::iter::from_fn(|| ledger.draw(now, family, ANY).ok()).map(|p| p.number).collect();
        drawn.sort_unstable();
        assert_eq!(drawn, ports.clone().collect::<Vec<u16>>());
    }
}

#[test]
fn a_reservation_above_a_lowered_quota_survives_who_may_not_redeem_it() {
    let ledger = ledger(50_000..=50_009, generous());
    let now = Now::read();
    let (one, token) = reserve(&ledger, now, USER);
    let (other, _) = reserve(&ledger, now, USER);
    ledger.count("alice", source()).unwrap();
    ledger.set_quota(QuotaLimits { per_user: 1, ..generous() });
    let token = token.unwrap();
    let refused = ledger.redeem(now, token, "alice", source());
    assert_eq!(refused.map(|_| ()), Err(Why::UserQuota));
    assert_eq!(ledger.port_count(), PortCount { free: 16, resting: 0, reserved: 2, used: 2 });
    assert_eq!(ledger.allocation_count(), 1);
    // It still counts, and is given back once.
    ledger.uncount("alice", source());
    for even in [one, other] {
        ledger.give_back(even);
    }
    ledger.tend(now.after(Duration::from_secs(60)));
    assert_eq!(ledger.port_count(), PortCount { free: 20, resting: 0, reserved: 0, used: 0 });
    assert_eq!(ledger.allocation_count(), 0);
}

#[test]
fn while_memory_is_short_allocations_become_no_more_than_they_were_and_what_ends_makes_room() {
    let ledger = ledger(50_000..=50_009, generous());
    let now = Now::read();
    let count = || ledger.count(USER, source());
    for _ in 0..3 {
        count().unwrap();
    }
    ledger.set_short_of_memory(true);
    assert!(ledger.is_short_of_memory());
    assert_eq!(count(), Err(Why::Memory));
    ledger.uncount(USER, source());
    // Said again, it is still as many as at first.
    ledger.set_short_of_memory(true);
    count().unwrap();
    assert_eq!(count(), Err(Why::Memory));
    assert_eq!(reserve(&ledger, now, USER).1, Err(Why::Memory));
    ledger.set_short_of_memory(false);
    assert!(!ledger.is_short_of_memory());
    count().unwrap();
    assert_eq!(ledger.allocation_count(), 4);
}
