//! Facts and views: what the record is told of an allocation and of a refusal.

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic, Transport};

use crate::support::event::{after_s, allocate, from_peer, refresh, send};
use crate::support::expectation::{
    allocates, ends, refreshes, refuses, rejects, sends_data_indication, sends_to_peer,
};
use crate::support::request::Credential;
use crate::support::setup::{START_S, credential};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, SERVER};

#[test] // contract: AllocationOpened and AllocationClosed
fn facts_of_an_allocation_name_who_where_how_long_and_how_much() {
    let mut t = Turn::new();
    t.advance_s(5);
    t.check(allocate().lifetime(1000), allocates(1000));
    let relayed = t.relayed(CLIENT);
    let username = String::from_utf8(credential("alice").username).unwrap();
    let opened = Fact::AllocationOpened {
        number: AllocationNumber(1),
        at_unix_ms: (START_S + 5) * 1000,
        user: "alice".into(),
        username: username.into(),
        client: CLIENT,
        server: SERVER,
        transport: Transport::Udp,
        relayed,
        relayed_other: None,
        lifetime_s: 1000,
    };
    assert_eq!(t.facts, [opened]);
    t.permit(PEER_A);
    t.check(send(PEER_A, b"12345"), sends_to_peer(PEER_A, b"12345"));
    t.check(send(PEER_A, b""), sends_to_peer(PEER_A, b""));
    t.check(from_peer(PEER_A, b"123"), sends_data_indication(PEER_A, b"123"));
    t.advance_s(10);
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    let closed = Fact::AllocationClosed {
        number: AllocationNumber(1),
        at_unix_ms: (START_S + 15) * 1000,
        reason: EndReason::Client,
        traffic: Traffic {
            packets_to_peers: 2,
            bytes_to_peers: 5,
            packets_to_client: 1,
            bytes_to_client: 3,
        },
    };
    assert_eq!(t.facts[1..], [closed]);
    t.check_nothing_left_after_s(0);
}

#[test] // decisions R18, R24: quotas and record go by the part after the expiry, without a session
fn the_user_of_a_fact_is_the_name_without_expiry_and_session() {
    let mut t = Turn::new();
    let session = crate::support::setup::credential_of_username("1899999999:acme~tab1");
    t.check(allocate().signed_by(session), allocates(600));
    assert!(
        matches!(&t.facts[..], [Fact::AllocationOpened { user, username, .. }]
            if &**user == "acme" && &**username == "1899999999:acme~tab1"),
        "{:?}",
        t.facts
    );
    t.check_nothing_left_after_s(600);
}

#[test] // limits.rs: text from the network is cut, and a flood is one number
fn a_refusal_names_who_claimed_what_and_how_many_were_left_out() {
    let mut t = Turn::new();
    let wrong = |name: &str| allocate().signed_by(Credential::new(name, "x"));
    let long = format!("1899999999:{}", "é".repeat(200));
    t.check(wrong(&long), refuses(401, AuthFailure::WrongIntegrity));
    let Some(Fact::AuthenticationFailed { username, client, suppressed: 0, .. }) = t.facts.pop()
    else {
        panic!("a refusal");
    };
    assert_eq!(client, CLIENT);
    // Cut in the middle of a character: the rest of it is shown as a replacement.
    assert_eq!(*username, format!("1899999999:{}\u{FFFD}", "é".repeat(58)));
    for _ in 1..100 {
        t.check(wrong("1899999999:a"), refuses(401, AuthFailure::WrongIntegrity));
    }
    for _ in 0..7 {
        t.check(wrong("1899999999:a"), rejects(401));
    }
    t.advance_s(1);
    t.check(wrong("1899999999:a"), refuses(401, AuthFailure::WrongIntegrity));
    let last = t.facts.last().unwrap();
    assert!(matches!(last, Fact::AuthenticationFailed { suppressed: 7, .. }), "{last:?}");
    t.check_nothing_left_after_s(0);
}

#[test] // contract: Relay::allocations
fn live_allocations_are_shown_oldest_first_with_what_is_left() {
    let mut t = Turn::new();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.advance_s(100);
    t.check(allocate(), allocates(600));
    t.permit(PEER_A);
    t.check(send(PEER_A, b"abc"), sends_to_peer(PEER_A, b"abc"));
    let views = t.relay.allocations(t.now);
    let shown: Vec<_> = views.iter().map(|v| (v.tuple.client, v.expires_in_s)).collect();
    assert_eq!(shown, [(CLIENT_B, 500), (CLIENT, 600)]);
    assert_eq!(views[1].traffic.bytes_to_peers, 3);
    assert_eq!(views[1].relayed, t.relayed(CLIENT));
    assert_eq!(&*views[1].user, "alice");
    t.check(after_s(500), ends(EndReason::Expired));
    assert_eq!(t.relay.allocations(t.now).len(), 1);
    t.check_nothing_left_after_s(100);
}
