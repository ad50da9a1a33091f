//! Permissions and CreatePermission (RFC 8656 §9 and §10).

use std::net::SocketAddr;

use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    allocate, channel_bind, create_permission, from_peer, refresh, request, send,
};
use crate::support::expectation::{
    allocates, allocates_family, discards, ends, refreshes, rejects, sends_data_indication,
    sends_to_peer, succeeds,
};
use crate::support::turn::Turn;
use crate::support::{PEER_A, PEER_A2, PEER_B, PEER_PRIVATE, PEER_V6, RELAY_V4, v4, v6};
use turnbell::wire::message::Method;

#[test] // RFC 8656 §9: a permission lasts 300 s
fn peer_datagram_is_relayed_until_its_permission_expires_and_dropped_from_then_on() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.advance_s(299);
    t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"x"));
    t.check(send(PEER_A, b"y"), sends_to_peer(PEER_A, b"y"));
    t.advance_s(1);
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(send(PEER_A, b"y"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(300);
}

#[test] // RFC 8656 §9: CreatePermission and ChannelBind refresh, in any mixture
fn a_permission_is_refreshed_by_either_request_for_another_300_s() {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t.permit(PEER_A);
    t.advance_s(299);
    t.permit(PEER_A2);
    t.advance_s(299);
    t.bind(0x4000, PEER_A);
    t.advance_s(299);
    t.check(send(PEER_A2, b"x"), sends_to_peer(PEER_A2, b"x"));
    t.permit(PEER_A);
    t.advance_s(300);
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §9: data in either direction lengthens nothing
fn relaying_does_not_refresh_a_permission() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for _ in 0..29 {
        t.advance_s(10);
        t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
        t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"x"));
    }
    t.advance_s(10);
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(310);
}

#[test] // RFC 8656 §9: only addresses are compared
fn a_permission_is_for_every_port_of_the_address_and_for_no_other_address() {
    let mut t = Turn::allocated();
    t.permit(v4([192, 0, 2, 10], 0));
    t.check(from_peer(PEER_A, b"1"), sends_data_indication(PEER_A, b"1"));
    t.check(from_peer(PEER_A2, b"2"), sends_data_indication(PEER_A2, b"2"));
    t.check(send(PEER_A2, b"3"), sends_to_peer(PEER_A2, b"3"));
    for neighbour in [v4([192, 0, 2, 9], 5000), v4([192, 0, 2, 11], 5000), PEER_B] {
        t.check(from_peer(neighbour, b"x"), discards(Discard::NoPermission));
        t.check(send(neighbour, b"x"), discards(Discard::NoPermission));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §9: permissions of one allocation are unrelated to another's
fn a_permission_is_of_one_allocation_only() {
    let b = crate::support::CLIENT_B;
    let mut t = Turn::allocated();
    t.check(allocate().at(b), allocates(600).at(b));
    t.permit(PEER_A);
    t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"x"));
    t.check(from_peer(PEER_A, b"x").at(b), discards(Discard::NoPermission));
    t.check(send(PEER_A, b"x").at(b), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2
fn a_request_without_a_peer_or_with_a_malformed_one_is_400() {
    let mut t = Turn::allocated();
    t.check(create_permission(&[]), rejects(400));
    for malformed in [
        &[][..],
        &[0, 1],
        &[0, 1, 0, 0, 1, 2, 3],
        &[0, 1, 0, 0, 1, 2, 3, 4, 5],
        &[0, 2, 0, 0, 1, 2, 3, 4],
        &[0, 3, 0, 0, 1, 2, 3, 4],
        &[0, 0, 0, 0, 1, 2, 3, 4],
    ] {
        let request = create_permission(&[PEER_A]);
        t.check(request.raw(AttributeType::XOR_PEER_ADDRESS, malformed), rejects(400));
    }
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2: several peers, all of them or none
fn one_bad_peer_among_good_ones_installs_none() {
    let mut t = Turn::allocated();
    t.check(create_permission(&[PEER_A, PEER_PRIVATE]), rejects(403));
    t.check(create_permission(&[PEER_PRIVATE, PEER_A]), rejects(403));
    t.check(create_permission(&[PEER_A, PEER_V6, PEER_B]), rejects(443));
    // Family on the wire comes before policy.
    t.check(create_permission(&[PEER_PRIVATE, PEER_V6]), rejects(443));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(create_permission(&[PEER_A, PEER_B, PEER_A]), succeeds());
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(send(PEER_B, b"x"), sends_to_peer(PEER_B, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2: a refusal leaves the other permissions and the allocation as they were
fn a_403_ends_nothing() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.advance_s(200);
    t.check(create_permission(&[PEER_A, PEER_PRIVATE]), rejects(403));
    t.advance_s(99);
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    t.advance_s(1);
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(300);
}

#[test] // security.md A1-A3: every spelling of a closed address, in the hex of the list
fn closed_addresses_are_403_by_their_bytes_on_the_wire() {
    let id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    for (family, value) in [
        (Family::V4, "000121042b12a447"),
        (Family::V4, "000121425e12a443"),
        (Family::V4, "0001214288ec0dbc"),
        (Family::V4, "000135fbc112a4b9"),
        (Family::V4, "0001211bdeed5bbd"),
        (Family::V4, "000121422112a442"),
        (Family::V6, "000221422112a442000102030405f9f877090a0a"),
        (Family::V6, "000221422112a442000102030405060708090a0b"),
        (Family::V6, "000221422112a442000102030405060708090a0a"),
        (Family::V6, "000221422112a442000102030405060777090a0a"),
        (Family::V6, "000221422112a44200010203fbfa060777090a0a"),
        (Family::V6, "000221420110db42000002030405060708090a0b"),
        (Family::V6, "00022142 21765bd9000102030405060777090a0a"),
        (Family::V6, "00022142 21765bd9000002030405060777090a0a"),
        (Family::V6, "00022142 0113a4424137e17b840565b888f6f5f5"),
        (Family::V6, "00022142 dfd2a442000102030405060708090a0a"),
        (Family::V6, "00022142df92a442000102030405060708090a0a"),
        (Family::V6, "00022142dc12aa8000010203040506070809085f"),
        (Family::V6, "00022142de10a442000102030405060708090a0a"),
    ] {
        let value = crate::support::event::unhex(value);
        let mut t = Turn::new();
        t.check(allocate().family(family), allocates_family(family, 600));
        let peer = |method| {
            let mut request = request(method).raw(AttributeType::XOR_PEER_ADDRESS, &value);
            request.id = Some(turnbell::wire::message::TransactionId(id));
            request
        };
        t.check(peer(Method::CREATE_PERMISSION), rejects(403));
        let number = AttributeType::CHANNEL_NUMBER;
        t.check(peer(Method::CHANNEL_BIND).raw(number, &[0x40, 0, 0, 0]), rejects(403));
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8656 §10.2: the family on the wire is judged first (443), then the folded address
fn a_v4_mapped_peer_is_of_the_wrong_family_on_v4_and_forbidden_on_v6() {
    let mapped = |d: u16| v6([0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x0200 + d], 5000);
    let loopback = v6([0, 0, 0, 0, 0, 0xFFFF, 0x7F00, 1], 5000);
    let mut t = Turn::allocated();
    let mut v6_only = Turn::new();
    v6_only.check(allocate().family(Family::V6), allocates_family(Family::V6, 600));
    for peer in [mapped(10), loopback] {
        t.check(create_permission(&[peer]), rejects(443));
        t.check(channel_bind(0x4000, peer), rejects(443));
        t.check(send(peer, b"x"), discards(Discard::FamilyMismatch));
        v6_only.check(create_permission(&[peer]), rejects(403));
        v6_only.check(channel_bind(0x4000, peer), rejects(403));
    }
    v6_only.check(send(mapped(10), b"x"), discards(Discard::NoPermission));
    v6_only.check(send(loopback, b"x"), discards(Discard::PeerForbidden));
    t.check_nothing_left_after_s(600);
    v6_only.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2
fn a_v6_allocation_talks_to_v6_peers_and_to_no_other() {
    let mut t = Turn::new();
    t.check(allocate().family(Family::V6), allocates_family(Family::V6, 600));
    t.check(create_permission(&[PEER_A]), rejects(443));
    t.check(channel_bind(0x4000, PEER_A), rejects(443));
    t.check(send(PEER_A, b"x"), discards(Discard::FamilyMismatch));
    t.permit(PEER_V6);
    t.check(send(PEER_V6, b"x"), sends_to_peer(PEER_V6, b"x"));
    t.check(from_peer(PEER_V6, b"x"), sends_data_indication(PEER_V6, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2: valid, but more than the server takes; limits.rs: 128 peers in one request
fn a_request_names_128_peers_at_most() {
    let mut t = Turn::allocated();
    t.check(create_permission(&peers(0, 129)), rejects(508));
    t.check(send(peers(0, 1)[0], b"x"), discards(Discard::NoPermission));
    t.check(create_permission(&peers(0, 128)), succeeds());
    t.check(send(peers(127, 1)[0], b"x"), sends_to_peer(peers(127, 1)[0], b"x"));
    // Repeats count as what they are on the wire.
    t.check(create_permission(&vec![PEER_A; 129]), rejects(508));
    // What is not valid is 400, however much of it there is; capacity comes before 443 and 403.
    let malformed = create_permission(&peers(0, 129)).raw(AttributeType::XOR_PEER_ADDRESS, &[0]);
    t.check(malformed, rejects(400));
    t.check(create_permission(&vec![PEER_V6; 129]), rejects(508));
    t.check(create_permission(&vec![PEER_V6; 128]), rejects(443));
    t.check(create_permission(&vec![PEER_PRIVATE; 129]), rejects(508));
    t.check(create_permission(&vec![PEER_PRIVATE; 128]), rejects(403));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §10.2 and limits.rs: 1,024 permissions, then 508
fn the_1025th_permission_is_508_until_others_expire() {
    let mut t = Turn::with(|setup| setup.policy.allow_private.push("10.0.0.0/8".parse().unwrap()));
    t.check(allocate().lifetime(3600), allocates(3600));
    for n in 0..8 {
        t.check(create_permission(&private_peers(n * 128, 128)), succeeds());
        t.advance_s(7);
    }
    t.advance_s(10);
    t.check(create_permission(&private_peers(1024, 1)), rejects(508));
    t.check(channel_bind(0x4000, private_peers(1024, 1)[0]), rejects(508));
    // What exists may still be refreshed, and one bad apple spoils the request.
    t.check(create_permission(&private_peers(1000, 24)), succeeds());
    t.check(create_permission(&private_peers(1000, 25)), rejects(508));
    // The first 128 are 66 s old; when they are 300 s old there is room.
    t.advance_s(300 - 66 - 1);
    t.check(create_permission(&private_peers(1024, 1)), rejects(508));
    t.advance_s(1);
    t.check(create_permission(&private_peers(1024, 128)), succeeds());
    t.check(create_permission(&private_peers(1152, 1)), rejects(508));
    t.check(send(private_peers(0, 1)[0], b"x"), discards(Discard::NoPermission));
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // decisions R13: over the rate there is no answer, and retransmission paces the client
fn new_peers_beyond_200_at_once_and_20_per_second_wait_for_a_retransmission() {
    let paced = || discards(Discard::NewPeersPaced);
    let mut t = Turn::allocated();
    t.check(create_permission(&peers(0, 100)), succeeds());
    t.check(create_permission(&peers(100, 100)), succeeds());
    let next = || create_permission(&peers(200, 1)).id(9);
    t.check(next(), paced());
    t.check(channel_bind(0x4000, peers(200, 1)[0]), paced());
    t.check(send(peers(200, 1)[0], b"x"), discards(Discard::NoPermission));
    // Refreshes of what exists are never paced.
    for _ in 0..10 {
        t.check(create_permission(&peers(0, 128)), succeeds());
        t.check(channel_bind(0x4001, peers(3, 1)[0]), succeeds());
    }
    t.advance_without_tick(std::time::Duration::from_millis(49));
    t.check(next(), paced());
    t.advance_without_tick(std::time::Duration::from_millis(1));
    t.check(next(), succeeds());
    t.check(create_permission(&peers(201, 1)), paced());
    t.advance_s(1);
    t.check(create_permission(&peers(201, 21)), paced());
    t.check(create_permission(&peers(201, 20)), succeeds());
    t.check(create_permission(&peers(221, 1)), paced());
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R13: 100 new peers at once are all permitted within 5 s
fn a_page_with_a_hundred_candidates_is_served_at_once() {
    let mut t = Turn::allocated();
    for peer in peers(0, 100) {
        t.check(create_permission(&[peer]), succeeds());
    }
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R13: a request that policy refuses costs nothing of the rate
fn refused_peers_do_not_use_up_the_rate() {
    let mut t = Turn::allocated();
    for _ in 0..300 {
        t.check(create_permission(&[peers(0, 1)[0], PEER_PRIVATE]), rejects(403));
    }
    t.check(create_permission(&peers(0, 128)), succeeds());
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R2: an own relay address may be permitted whoever holds a port there
fn the_advertised_relay_address_is_permitted_at_any_time() {
    let mut t = Turn::allocated();
    t.permit(SocketAddr::new(RELAY_V4, 1));
    t.check_nothing_left_after_s(600);
}

/// `count` peers of 192.0.2.0/24, the n-th of them first; ports are all the same.
fn peers(first: u16, count: u16) -> Vec<SocketAddr> {
    (first..first + count).map(|n| v4([192, 0, 2, n as u8], 5000)).collect()
}

/// `count` peers of 10.0.0.0/8.
fn private_peers(first: u16, count: u16) -> Vec<SocketAddr> {
    (first..first + count).map(|n| v4([10, 0, (n >> 8) as u8, n as u8], 5000)).collect()
}
