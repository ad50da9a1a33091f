//! Two relayed transport addresses of one daemon meet inside it (decisions R2).

use std::net::SocketAddr;

use turnbell::turn::contract::{Discard, Header};
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;

use crate::support::event::{
    allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{
    Expectation, Seen, allocates, allocates_family, discards, ends, refreshes, rejects,
    sends_channel_data, sends_data_indication, sends_to_peer, succeeds,
};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, RELAY_V4, RELAY_V6, SERVER};

/// Two clients with an allocation each.
fn two() -> (Turn, SocketAddr, SocketAddr) {
    let mut t = Turn::allocated();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    (t, a, b)
}

#[test] // decisions R2: the usual relayed call of two browsers
fn two_relayed_clients_reach_each_other_with_permissions_on_both_sides() {
    let (mut t, a, b) = two();
    t.permit(b);
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(send(b, b"hello"), sends_data_indication(a, b"hello").at(CLIENT_B));
    t.check(send(a, b"hi").at(CLIENT_B), sends_data_indication(b, b"hi"));
    t.check(send(b, b""), sends_data_indication(a, b"").at(CLIENT_B));
    t.bind(0x4000, b);
    t.check(channel_data(0x4000, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    t.check(send(a, b"y").at(CLIENT_B), sends_channel_data(0x4000, b"y"));
    t.check(channel_bind(0x4ABC, a).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(channel_data(0x4000, b"x"), sends_channel_data(0x4ABC, b"x").at(CLIENT_B));
    t.check(channel_data(0x4ABC, b"y").at(CLIENT_B), sends_channel_data(0x4000, b"y"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §9: also inside, the receiver decides whom it hears
fn without_the_receivers_permission_nothing_arrives_inside() {
    let (mut t, a, b) = two();
    t.permit(b);
    t.check(send(b, b"x"), discards(Discard::NoPermission));
    t.check(send(a, b"x").at(CLIENT_B), discards(Discard::NoPermission));
    t.check(create_permission(&[PEER_A]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(send(b, b"x"), discards(Discard::NoPermission));
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.advance_s(299);
    t.check(send(b, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    t.advance_s(1);
    t.permit(b);
    t.check(send(b, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(300);
}

#[test] // decisions R2: a port that no live allocation has
fn data_to_a_relay_port_that_nobody_holds_is_dropped_and_counted() {
    let (mut t, a, b) = two();
    t.permit(b);
    let nobody = SocketAddr::new(RELAY_V4, 65_535);
    t.check(send(nobody, b"x"), discards(Discard::NoSuchRelay));
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    let ended = refreshes(0).and(ends(EndReason::Client)).at(CLIENT_B);
    t.check(refresh().lifetime(0).at(CLIENT_B), ended);
    t.check(send(b, b"x"), discards(Discard::NoSuchRelay));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R2: an expired receiver is nobody, ticked or not
fn data_for_an_expired_allocation_is_dropped_before_its_tick() {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    t.advance_s(599);
    t.permit(b);
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.advance_without_tick(std::time::Duration::from_secs(1));
    t.check(send(b, b"x"), discards(Discard::NoAllocation));
    t.check(send(a, b"x").at(CLIENT_B), discards(Discard::NoAllocation));
    t.check(from_peer(PEER_A, b"x").at(CLIENT_B), discards(Discard::NoAllocation));
    t.check_nothing_left_after_s(3000);
}

#[test] // decisions R2: own ports that relay nothing stay closed
fn ports_outside_the_relay_range_are_403_by_bind_and_dropped_by_send() {
    let (mut t, _, b) = two();
    t.permit(b);
    for port in [1, 3478, 8080, 49_151] {
        let own = SocketAddr::new(RELAY_V4, port);
        t.check(channel_bind(0x4000, own), rejects(403));
        t.check(send(own, b"x"), discards(Discard::PeerForbidden));
    }
    // security.md A11: an Allocate of our own listener through the relay.
    let inner = t.encoded(CLIENT, allocate().unsigned());
    t.check(send(SERVER, &inner), discards(Discard::PeerForbidden));
    assert_eq!(t.relay.allocation_count(), 2);
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R2: through the kernel, our address is some other program's
fn a_datagram_from_an_own_address_through_the_kernel_is_dropped() {
    let (mut t, _, b) = two();
    t.permit(b);
    t.check(from_peer(b, b"x"), discards(Discard::OwnAddressOutside));
    let own = SocketAddr::new(RELAY_V4, 12_345);
    t.check(from_peer(own, b"x"), discards(Discard::OwnAddressOutside));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R2: `allow_private_peers` opens the way through the kernel beside it
fn an_opened_own_address_is_reached_inside_if_it_relays_and_else_through_the_kernel() {
    let opened = |setup: &mut crate::support::setup::Setup| {
        setup.policy.allow_private.push("198.51.100.1/32".parse().unwrap());
    };
    let mut t = Turn::with(opened);
    t.check(allocate(), allocates(600));
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    t.permit(b);
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(send(b, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    let program = SocketAddr::new(RELAY_V4, 60_000);
    t.check(send(program, b"x"), sends_to_peer(program, b"x"));
    t.check(from_peer(program, b"x"), sends_data_indication(program, b"x"));
    let low = SocketAddr::new(RELAY_V4, 7000);
    t.check(send(low, b"x"), sends_to_peer(low, b"x"));
    // Our listener stays closed even then.
    t.check(send(SERVER, b"x"), discards(Discard::PeerForbidden));
    t.check(channel_bind(0x4000, SERVER), rejects(403));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §9: nothing says that a client may not be its own peer
fn a_client_may_send_to_its_own_relayed_address_and_hears_itself() {
    let mut t = Turn::allocated();
    let own = t.relayed(CLIENT);
    t.permit(own);
    t.check(send(own, b"echo"), sends_data_indication(own, b"echo"));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R2 over IPv6
fn two_v6_allocations_meet_inside_too() {
    let mut t = Turn::new();
    for client in [CLIENT, CLIENT_B] {
        let request = allocate().family(Family::V6).at(client);
        t.check(request, allocates_family(Family::V6, 600).at(client));
    }
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    assert_eq!((a.ip(), b.ip()), (RELAY_V6, RELAY_V6));
    t.permit(b);
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    let arrives = Seen::ToClient(CLIENT_B, Header::DataIndication(a), b"x".to_vec());
    t.check(send(b, b"x"), Expectation(vec![arrives]));
    t.check_nothing_left_after_s(600);
}
