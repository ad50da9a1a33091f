//! Answers to those who have proven nothing (decisions R3): budgets per source and in all, and what
//! costs none of them.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::limits::{SHIELD_BURST_S, SHIELD_PER_SOURCE_DEFAULT};
use turnbell::turn::contract::Discard;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method, TransactionId};

use crate::support::event::{Event, allocate, binding, refresh};
use crate::support::expectation::{allocates, discards, maps, refreshes, rejects};
use crate::support::request::{Credential, Request};
use crate::support::setup::credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, CLIENT_V6, v4};

/// What one source gets at once.
const BURST: u32 = SHIELD_PER_SOURCE_DEFAULT * SHIELD_BURST_S;

fn bare(method: Method) -> Request {
    Request::new(Class::Request, method)
}

fn encoded(request: &Request) -> Vec<u8> {
    request.encode(TransactionId([3; 12]), b"")
}

/// How many of `count` requests from `client` are answered.
fn answered(t: &mut Turn, client: SocketAddr, bytes: &[u8], count: u32) -> u32 {
    (0..count).map(|_| t.exchange(client, bytes).len() as u32).sum()
}

/// A relay that has answered `client`'s address with all it gets.
fn used_up(method: Method) -> Turn {
    let mut t = Turn::new();
    assert_eq!(answered(&mut t, CLIENT, &encoded(&bare(method)), BURST), BURST);
    t
}

#[test]
fn a_source_is_answered_2000_times_at_once_and_200_times_a_second_from_then_on() {
    let mut t = used_up(Method::ALLOCATE);
    t.check(bare(Method::ALLOCATE).at(CLIENT), discards(Discard::ShieldSource));
    t.advance_s(1);
    let first = encoded(&bare(Method::ALLOCATE));
    assert_eq!(answered(&mut t, CLIENT, &first, 1000), SHIELD_PER_SOURCE_DEFAULT);
}

#[test]
fn every_error_without_authentication_costs_and_so_does_every_binding() {
    let nobody = || Credential::new("1899999999:x", "guess");
    for request in [
        bare(Method::REFRESH),
        bare(Method::CONNECT),
        bare(Method::BINDING).raw(AttributeType(0x7000), &[]),
        bare(Method::CREATE_PERMISSION).raw(AttributeType::MESSAGE_INTEGRITY, &[7; 20]),
        bare(Method::ALLOCATE).signed_by(nobody()).nonce("x"),
        bare(Method::ALLOCATE).signed_by(credential("alice")).nonce("x"),
    ] {
        let mut t = used_up(Method::ALLOCATE);
        assert!(t.exchange(CLIENT, &encoded(&request)).is_empty(), "{request:?}");
    }
    let mut t = used_up(Method::BINDING);
    t.check(binding(), discards(Discard::ShieldSource));
}

#[test]
fn bindings_leave_errors_alone_and_errors_bindings() {
    used_up(Method::BINDING).check(bare(Method::ALLOCATE).at(CLIENT), rejects(401));
    used_up(Method::ALLOCATE).check(binding(), maps());
}

#[test]
fn other_sources_lose_nothing() {
    let mut t = used_up(Method::ALLOCATE);
    t.check(bare(Method::ALLOCATE).at(CLIENT_B), rejects(401).at(CLIENT_B));
    t.check(bare(Method::ALLOCATE).at(CLIENT_V6), rejects(401).at(CLIENT_V6));
    // The same address at another port is the same source.
    let neighbour = v4([203, 0, 113, 5], 40_002);
    t.check(bare(Method::ALLOCATE).at(neighbour), discards(Discard::ShieldSource));
}

#[test]
fn a_nonce_made_for_this_address_and_port_costs_nothing() {
    let mut t = Turn::new();
    let nonce = t.ask_for_nonce(CLIENT);
    let first = encoded(&bare(Method::ALLOCATE));
    assert_eq!(answered(&mut t, CLIENT, &first, BURST), BURST - 1);
    assert_eq!(t.exchange(CLIENT, &first).len(), 0);
    // Not even a wrong password is cut, and the right one works as ever.
    let wrong = bare(Method::ALLOCATE).signed_by(Credential::new("1899999999:x", "guess"));
    let wrong = encoded(&wrong.nonce(nonce.clone()));
    assert_eq!(answered(&mut t, CLIENT, &wrong, BURST), BURST);
    t.check(allocate().nonce(nonce.clone()), allocates(600));
    t.check(refresh().nonce(nonce.clone()), refreshes(600));
    // Of another port it proves nothing.
    let neighbour = v4([203, 0, 113, 5], 40_002);
    assert!(t.exchange(neighbour, &wrong).is_empty());
    // An old one does not either.
    t.advance_without_tick(Duration::from_secs(3600));
    let old = encoded(&bare(Method::ALLOCATE).raw(AttributeType::NONCE, &nonce));
    assert_eq!(answered(&mut t, CLIENT, &old, BURST + 1), BURST);
}

#[test]
fn three_hundred_clients_behind_one_address_with_four_allocations_each_lose_nothing() {
    let mut t = Turn::new();
    let first = encoded(&bare(Method::ALLOCATE));
    for round in 0..4 {
        for client in 0..300 {
            let client = v4([203, 0, 113, 99], 10_000 + round * 1000 + client);
            assert_eq!(t.exchange(client, &encoded(&bare(Method::BINDING))).len(), 1);
            assert_eq!(t.exchange(client, &first).len(), 1);
            t.check(allocate().at(client), allocates(600).at(client));
        }
        t.advance_without_tick(Duration::from_secs(1));
    }
}

#[test]
fn a_flood_from_100_000_addresses_is_held_to_the_total_and_nonces_still_get_in() {
    let mut t = Turn::new();
    let clients: Vec<SocketAddr> = (0..100).map(|n| v4([203, 0, 113, 7], 20_000 + n)).collect();
    let nonces: Vec<Vec<u8>> = clients.iter().map(|client| t.ask_for_nonce(*client)).collect();
    let first = encoded(&bare(Method::ALLOCATE));
    let mut bits = 0;
    // 100,000 a second for 2 seconds.
    for ms in 0..2000_u32 {
        for n in 0..100 {
            let [_, b, c, d] = ((ms * 100 + n) % 100_000).to_be_bytes();
            for answer in t.exchange(v4([11, b, c, d], 5000), &first) {
                bits += (answer.len() as u64 + 28) * 8;
            }
        }
        if ms % 20 == 19 {
            let at = (ms / 20) as usize;
            let (client, nonce) = (clients[at], nonces[at].clone());
            t.check(allocate().nonce(nonce).at(client), allocates(600).at(client));
        }
        t.advance_without_tick(Duration::from_millis(1));
    }
    // 20 Mbit/s, and half a second's worth at once.
    assert!((40_000_000..=50_000_000).contains(&bits), "{bits}");
    let total = t.relay.counters().discarded(Discard::ShieldTotal);
    assert!(total > 100_000, "{total}");
}

#[test]
fn a_stream_proves_its_way_back_and_costs_nothing() {
    let mut t = used_up(Method::ALLOCATE);
    for _ in 0..10 {
        t.check(Event::from(bare(Method::ALLOCATE)).over_tcp(1), rejects(401));
    }
}

#[test]
fn other_budgets_hold_at_once_and_what_was_used_up_stays_so() {
    let first = encoded(&bare(Method::ALLOCATE));
    let mut t = used_up(Method::ALLOCATE);
    t.replace(|setup| setup.guard.rules.shield.answers_per_source = 2 * SHIELD_PER_SOURCE_DEFAULT);
    assert_eq!(answered(&mut t, CLIENT, &first, 1), 0);
    t.advance_without_tick(Duration::from_millis(10));
    // Twice as many come with each second.
    assert_eq!(answered(&mut t, CLIENT, &first, 10), 4);
    // Room for less than one answer: one is paid by the kind itself, one by the other kind.
    t.replace(|setup| setup.guard.rules.shield.bits_total = 16 * 200);
    t.advance_without_tick(Duration::from_secs(1));
    assert_eq!(answered(&mut t, CLIENT_B, &first, 10), 2);
}
