//! Replace: other rules while allocations are live (R28).

use std::net::{IpAddr, Ipv4Addr};

use turnbell::turn::contract::Discard;
use turnbell::turn::relay::DefaultFamily;
use turnbell::wire::address::Family;

use crate::support::event::{
    after_s, allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{
    allocates, allocates_family, discards, nothing, refreshes, rejects, sends_channel_data,
    sends_data_indication, sends_to_peer, succeeds,
};
use crate::support::setup::Setup;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, PEER_A2, PEER_B, RELAY_V4, RELAY_V6, v4};

fn deny_a(setup: &mut Setup) {
    setup.policy.deny = vec!["192.0.2.10/32".parse().unwrap()];
}

#[test] // R28
fn a_newly_denied_peer_loses_its_permission_and_its_channel_and_the_other_peer_nothing() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    t.bind(0x4001, PEER_B);
    assert_eq!(t.replace(deny_a), (1, 1));
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoChannel));
    t.check(send(PEER_A, b"x"), discards(Discard::PeerForbidden));
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(create_permission(&[PEER_A]), rejects(403));
    t.check(channel_bind(0x4000, PEER_A), rejects(403));
    t.check(channel_data(0x4001, b"y"), sends_to_peer(PEER_B, b"y"));
    t.check(from_peer(PEER_B, b"y"), sends_channel_data(0x4001, b"y"));
    t.check(refresh(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12: five minutes, also for a number whose binding was ended
fn the_number_of_a_closed_channel_stays_reserved_for_300_s() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    assert_eq!(t.replace(deny_a), (1, 1));
    t.advance_s(299);
    t.check(channel_bind(0x4000, PEER_B), rejects(400));
    t.advance_s(1);
    t.check(channel_bind(0x4000, PEER_B), succeeds());
    t.check_nothing_left_after_s(600);
}

#[test]
fn what_has_expired_is_not_counted_as_closed_and_what_is_allowed_again_must_be_asked_for_again() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.advance_s(300);
    assert_eq!(t.replace(deny_a), (0, 0));
    assert_eq!(t.replace(|setup| setup.policy.deny.clear()), (0, 0));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.permit(PEER_A);
    t.check(send(PEER_A2, b"x"), sends_to_peer(PEER_A2, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test]
fn the_same_rules_again_close_nothing_and_lengthen_nothing() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for _ in 0..50 {
        assert_eq!(t.replace(|_| {}), (0, 0));
        assert_eq!(t.replace(|s| s.policy.deny = vec!["192.0.2.99/32".parse().unwrap()]), (0, 0));
        assert_eq!(t.replace(|setup| setup.policy.deny.clear()), (0, 0));
    }
    t.advance_s(299);
    t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"x"));
    t.advance_s(1);
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(300);
}

#[test]
fn a_peer_that_may_go_on_takes_the_way_of_the_new_rules() {
    let mut t = Turn::allocated();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    // An advertised address, at a port where nobody relays: inside only, until it is opened.
    let outside = v4([198, 51, 100, 1], 50_999);
    t.bind(0x4000, outside);
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoSuchRelay));
    let open = |setup: &mut Setup| {
        setup.policy.allow_private.push("198.51.100.1/32".parse().unwrap());
    };
    assert_eq!(t.replace(open), (0, 0));
    t.check(channel_data(0x4000, b"x"), sends_to_peer(outside, b"x"));
    t.check(from_peer(outside, b"x"), sends_channel_data(0x4000, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // auth: a live allocation keeps its key
fn a_secret_that_is_gone_refuses_new_allocations_and_leaves_the_live_ones_alone() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.replace(|setup| setup.secret = "the secret of another day".to_owned());
    t.check(refresh(), refreshes(600));
    t.check(create_permission(&[PEER_B]), succeeds());
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    let refused = crate::support::expectation::refuses(
        401,
        turnbell::auth::credential::AuthFailure::WrongIntegrity,
    );
    t.check(allocate().at(CLIENT_B), refused.at(CLIENT_B));
    t.check(after_s(1), nothing());
    t.check_nothing_left_after_s(600);
}

#[test]
fn the_family_of_an_allocate_that_names_none_follows_the_new_rules() {
    let mut t = Turn::allocated();
    t.replace(|setup| setup.default_family = DefaultFamily::Fixed(Family::V6));
    let v6 = allocates_family(Family::V6, 600);
    t.check(allocate().at(CLIENT_B), v6.at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

/// The public side of the NAT in front changes from `RELAY_V4` to this one.
const MOVED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));

fn moves(setup: &mut Setup) {
    setup.relay_addresses[0] = MOVED;
    setup.former = vec![(RELAY_V4, 0)];
    setup.policy.advertised_relay = vec![MOVED, RELAY_V6, RELAY_V4];
}

#[test] // R17: address changes apply to new allocations only
fn a_new_public_address_is_told_to_new_clients_and_old_ones_keep_theirs_and_meet_them() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    assert_eq!(t.replace(moves), (0, 0));
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    assert_eq!((a.ip(), b.ip()), (RELAY_V4, MOVED));
    t.check(refresh(), refreshes(600));
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    t.permit(b);
    t.check(create_permission(&[a]).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(send(b, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    t.check(send(a, b"y").at(CLIENT_B), sends_data_indication(b, b"y"));
    t.check_nothing_left_after_s(600);
}
