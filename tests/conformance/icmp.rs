//! ICMP from the way to a peer (RFC 8656 §11.5): told to the client, changes nothing.

use std::net::SocketAddr;
use std::time::Duration;

use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;

use crate::support::event::{allocate, create_permission, from_peer, icmp, refresh, send};
use crate::support::expectation::{
    allocates, allocates_both, closes_socket, discards, ends, refreshes, sends_data_indication,
    sends_to_peer, succeeds, tells_icmp,
};
use crate::support::turn::Turn;
use crate::support::{CLIENT_B, PEER_A, PEER_A2, PEER_B, PEER_V6, RELAY_V4};

#[test] // RFC 8656 §11.5: 3 and 11 of ICMPv4; 1, 2 and 3 of ICMPv6
fn the_types_of_the_text_are_told_and_no_others() {
    for (peer, told) in [(PEER_A, &[3, 11][..]), (PEER_V6, &[1, 2, 3])] {
        let mut t = Turn::new();
        t.check(allocate().both_families(), allocates_both(600));
        t.permit(peer);
        for kind in 0..=255 {
            // A second for each, so that the rate is not felt.
            t.advance_without_tick(Duration::from_millis(200));
            let expected = if told.contains(&kind) {
                tells_icmp(peer, kind, 1, 0)
            } else {
                discards(Discard::UselessIcmp)
            };
            // Code 1 never carries an MTU over IPv4; type 2 always does over IPv6.
            let mtu = if peer.is_ipv6() { 0 } else { 1400 };
            t.check(icmp(peer, kind, 1, mtu), expected);
        }
        t.check(refresh().lifetime(0), {
            refreshes(0).and(ends(EndReason::Client)).and(closes_socket())
        });
        t.check_nothing_left_after_s(0);
    }
}

#[test] // RFC 8656 §18.13: error data is the MTU where the packet was too big, else zero
fn the_mtu_is_told_where_there_is_one() {
    let mut t = Turn::new();
    t.check(allocate().both_families(), allocates_both(600));
    t.check(create_permission(&[PEER_A, PEER_V6]), succeeds());
    for (peer, kind, code, mtu, data) in [
        (PEER_A, 3, 4, 1280, 1280),
        (PEER_A, 3, 3, 1280, 0),
        (PEER_A, 11, 4, 1280, 0),
        (PEER_A, 3, 4, u32::MAX, u32::MAX),
        (PEER_V6, 2, 0, 1400, 1400),
        (PEER_V6, 1, 4, 1400, 0),
        (PEER_V6, 3, 0, 1400, 0),
    ] {
        t.check(icmp(peer, kind, code, mtu), tells_icmp(peer, kind, code, data));
        t.advance_without_tick(Duration::from_secs(1));
    }
    t.check(refresh().lifetime(0), {
        refreshes(0).and(ends(EndReason::Client)).and(closes_socket())
    });
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §11.5: the inner destination needs a permission; ports are not considered
fn only_a_permitted_peer_is_told_of_at_any_port() {
    let mut t = Turn::allocated();
    t.check(icmp(PEER_A, 3, 3, 0), discards(Discard::NoPermission));
    t.permit(PEER_A);
    t.check(icmp(PEER_A2, 3, 3, 0), tells_icmp(PEER_A2, 3, 3, 0));
    // The kernel may not know the port.
    let nowhere = SocketAddr::new(PEER_A.ip(), 0);
    t.check(icmp(nowhere, 3, 1, 0), tells_icmp(nowhere, 3, 1, 0));
    t.check(icmp(PEER_B, 3, 3, 0), discards(Discard::NoPermission));
    t.advance_s(299);
    t.check(icmp(PEER_A, 3, 3, 0), tells_icmp(PEER_A, 3, 3, 0));
    t.advance_s(1);
    t.check(icmp(PEER_A, 3, 3, 0), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(300);
}

#[test] // decisions R12: at most 10 a second per allocation
fn a_client_is_told_of_ten_a_second_at_most_and_others_are_not_held_back() {
    let mut t = Turn::allocated();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.permit(PEER_A);
    t.check(create_permission(&[PEER_A]).at(CLIENT_B), succeeds().at(CLIENT_B));
    for second in 0..3 {
        let mut told = 0;
        for _ in 0..100 {
            t.advance_without_tick(Duration::from_millis(10));
            let seen = t.act(icmp(PEER_A, 3, 3, 0));
            let [seen] = &seen[..] else { panic!("{seen:?}") };
            told += u32::from(*seen == tells_icmp(PEER_A, 3, 3, 0).sorted()[0]);
        }
        assert!((5..=10).contains(&told), "{told} in second {second}");
    }
    t.check(icmp(PEER_A, 3, 3, 0), discards(Discard::IcmpPaced));
    t.check(icmp(PEER_A, 3, 3, 0).at(CLIENT_B), tells_icmp(PEER_A, 3, 3, 0).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R12, security.md K17: spoofed or real, it ends and slows nothing
fn a_flood_of_icmp_changes_nothing() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for n in 0..1000_u32 {
        let peer = if n % 2 == 0 { PEER_A } else { PEER_B };
        let _ = t.act(icmp(peer, (n % 256) as u8, (n % 16) as u8, n));
        t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
        t.check(from_peer(PEER_A, b"y"), sends_data_indication(PEER_A, b"y"));
    }
    let view = t.relay.allocations(t.now).remove(0);
    assert_eq!(view.expires_in_s, 600);
    assert_eq!((view.traffic.packets_to_peers, view.traffic.packets_to_client), (1000, 1000));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.5: no allocation, no answer
fn icmp_about_an_allocation_that_is_over_is_dropped() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.advance_s(400);
    t.permit(PEER_A);
    t.advance_without_tick(Duration::from_secs(200));
    t.check(icmp(PEER_A, 3, 3, 0), discards(Discard::NoAllocation));
    t.check_nothing_left_after_s(0);
    // Nor about a port that nobody has any more.
    use turnbell::turn::contract::Input;
    use turnbell::turn::icmp::IcmpError;
    use turnbell::turn::relayed_address::RelayPort;
    let relay = RelayPort { address: 0, number: 50_000 };
    let error = IcmpError { kind: 3, code: 3, mtu: 0 };
    t.relay.handle(t.now, Input::PeerUnreachable { relay, peer: PEER_A, error });
    assert_eq!(t.relay.poll(), None);
    assert_eq!(t.relay.counters().discarded(Discard::NoSuchRelay), 1);
}

#[test] // RFC 8656 §11.5: an own relay address is a peer like any other
fn icmp_about_an_own_relay_address_needs_a_permission_too() {
    let mut t = Turn::allocated();
    let own = SocketAddr::new(RELAY_V4, 50_001);
    t.check(icmp(own, 3, 3, 0), discards(Discard::NoPermission));
    t.permit(own);
    t.check(icmp(own, 3, 3, 0), tells_icmp(own, 3, 3, 0));
    t.check_nothing_left_after_s(600);
}
