//! Dual allocations (RFC 8656 §7.2 steps 6 to 9, §8): one IPv4 and one IPv6 address in one.

use std::time::Duration;

use turnbell::turn::contract::{Discard, Wanted, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    after_s, allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
    socket_opened, stop,
};
use crate::support::expectation::{
    Expectation, allocates, allocates_both, allocates_family, asks_for, begins, closes_socket,
    discards, ends, lacks, nothing, refreshes, rejects, repeats, sends_channel_data,
    sends_data_indication, sends_to_peer, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, PEER_B, PEER_V6, RELAY_V4, RELAY_V6, v6};

const PEER_V6_B: std::net::SocketAddr = v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 20], 5000);

/// A client with an allocation of both families and 600 s.
fn dual() -> Turn {
    let mut t = Turn::new();
    t.check(allocate().both_families(), allocates_both(600));
    t
}

/// Both families of an allocation end at once.
fn ends_both(reason: EndReason) -> Expectation {
    ends(reason).and(closes_socket())
}

fn check_nothing_left(mut t: Turn) {
    t.check(refresh().lifetime(0), refreshes(0).and(ends_both(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 9: two XOR-RELAYED-ADDRESS attributes, one of each family
fn additional_address_family_gives_an_address_of_each_family_in_one_allocation() {
    let mut t = Turn::new();
    t.check(allocate().both_families().id(1).lifetime(900), allocates_both(900));
    assert_eq!(t.relay.allocation_count(), 1);
    assert_eq!(t.ledger.counted(), 1, "it counts as one allocation");
    assert_eq!(t.ledger.open_count(), 2);
    let view = t.relay.allocations(t.now).remove(0);
    assert_eq!(view.relayed.ip(), RELAY_V4);
    assert_eq!(view.relayed_other.map(|other| other.ip()), Some(RELAY_V6));
    // A retransmission is told both again.
    t.check(allocate().both_families().id(1).lifetime(900), repeats(900));
    t.check(after_s(900), ends_both(EndReason::Expired));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 6
fn requested_and_additional_family_in_one_request_are_400() {
    let mut t = Turn::new();
    for family in [Family::V4, Family::V6] {
        t.check(allocate().family(family).both_families(), rejects(400));
        t.check(allocate().both_families().family(family), rejects(400));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 9 and §18.11: IPv6 is the only value
fn additional_address_family_is_ipv6_and_four_bytes_or_400() {
    let mut t = Turn::new();
    for malformed in [&[1, 0, 0, 0][..], &[0, 0, 0, 0], &[3, 0, 0, 0], &[], &[2], &[2, 0, 0, 0, 0]]
    {
        let odd = allocate().raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY, malformed);
        t.check(odd, rejects(400));
    }
    // What is reserved is ignored (§18.6).
    let reserved = allocate().raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 1, 2, 3]);
    t.check(reserved, allocates_both(600));
    check_nothing_left(t);
}

#[test] // RFC 8656 §7.2 step 9: ADDRESS-ERROR-CODE 440
fn a_server_with_one_family_gives_it_and_says_440_of_the_other() {
    for (has, family, lacking) in
        [(RELAY_V4, Family::V4, Family::V6), (RELAY_V6, Family::V6, Family::V4)]
    {
        let mut t = Turn::with(|setup| setup.relay_addresses = vec![has]);
        let both = || allocate().both_families().id(1);
        t.check(both(), allocates_family(family, 600).and(lacks(lacking, 440)));
        t.check(both(), repeats(600).and(lacks(lacking, 440)));
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8656 §7.2 step 9: ADDRESS-ERROR-CODE 508, or the error 508 if there is neither
fn a_family_that_is_used_up_is_508_in_the_success_and_both_are_508() {
    for (family, lacking) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        for why in [Why::Ports, Why::Bind] {
            let mut t = Turn::new();
            t.ledger.mood = Mood::OpensOnly(family, why);
            let both = || allocate().both_families().id(1);
            let partly = begins(600).and(lacks(lacking, 508));
            t.check(both(), asks_for(Wanted::Both { even: false }).and(partly));
            t.check(both(), repeats(600).and(lacks(lacking, 508)));
            t.check_nothing_left_after_s(600);
        }
    }
    let mut t = Turn::new();
    for (why, code) in [(Why::Ports, 508), (Why::Bind, 508), (Why::UserQuota, 486)] {
        t.ledger.mood = Mood::Refuses(why);
        t.check(
            allocate().both_families(),
            asks_for(Wanted::Both { even: false }).and(rejects(code)),
        );
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 9: the answer comes when the sockets are open
fn a_stop_while_both_sockets_are_opened_closes_both() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    t.check(allocate().both_families(), asks_for(Wanted::Both { even: false }));
    t.check(stop(), nothing());
    t.check(socket_opened(Ok(())), closes_socket().and(closes_socket()).and(rejects(508)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §9 to §12: one five-tuple, both families
fn permissions_channels_and_data_of_both_families_live_in_one_allocation() {
    let mut t = dual();
    t.check(create_permission(&[PEER_A, PEER_V6]), succeeds());
    for peer in [PEER_A, PEER_V6] {
        t.check(send(peer, b"out"), sends_to_peer(peer, b"out"));
        t.check(from_peer(peer, b"in"), sends_data_indication(peer, b"in"));
    }
    for (number, peer) in [(0x4000, PEER_B), (0x4001, PEER_V6_B)] {
        t.check(send(peer, b"x"), discards(Discard::NoPermission));
        t.bind(number, peer);
        t.check(channel_data(number, b"out"), sends_to_peer(peer, b"out"));
        t.check(from_peer(peer, b"in"), sends_channel_data(number, b"in"));
    }
    t.check(channel_bind(0x4000, PEER_V6), rejects(400));
    check_nothing_left(t);
}

#[test] // security.md A2: the family on the wire must be the folded one's, in dual allocations too
fn an_ipv4_mapped_peer_is_403_though_both_families_are_there() {
    let mut t = dual();
    let mapped = v6([0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x020A], 5000);
    t.check(create_permission(&[mapped]), rejects(403));
    t.check(channel_bind(0x4000, mapped), rejects(403));
    t.permit(PEER_A);
    // Not even when the address in it is permitted over IPv4.
    t.check(send(mapped, b"x"), discards(Discard::PeerForbidden));
    check_nothing_left(t);
}

#[test] // decisions R2: two clients of one server, each over both families
fn two_dual_allocations_reach_each_other_inside_over_either_family() {
    let mut t = dual();
    t.check(allocate().both_families().at(CLIENT_B), allocates_both(600).at(CLIENT_B));
    let views = t.relay.allocations(t.now);
    let addresses = |at: usize| [views[at].relayed, views[at].relayed_other.unwrap()];
    for (ours, theirs) in addresses(0).into_iter().zip(addresses(1)) {
        t.permit(theirs);
        t.check(create_permission(&[ours]).at(CLIENT_B), succeeds().at(CLIENT_B));
        t.check(send(theirs, b"x"), sends_data_indication(ours, b"x").at(CLIENT_B));
        t.check(send(ours, b"y").at(CLIENT_B), sends_data_indication(theirs, b"y"));
    }
    for seen in t.act(after_s(600)) {
        let told = format!("{seen:?}");
        assert!(told == "ClosesSocket" || told == "Closed(Expired)", "{told}");
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §8.1: without a family a Refresh is about all of it
fn a_refresh_without_a_family_lengthens_or_ends_both() {
    let mut t = dual();
    t.advance_s(500);
    t.check(refresh().lifetime(900), refreshes(900));
    t.advance_s(899);
    t.check(create_permission(&[PEER_A, PEER_V6]), succeeds());
    t.check(after_s(1), ends_both(EndReason::Expired));
    t.check(refresh(), rejects(437));
    t.check_nothing_left_after_s(0);
    check_nothing_left(dual());
}

#[test] // RFC 8656 §8.1: with a family it is about that one
fn a_refresh_of_one_family_lets_the_other_run_out() {
    for (kept, peer, gone, gone_peer) in
        [(Family::V4, PEER_A, Family::V6, PEER_V6), (Family::V6, PEER_V6, Family::V4, PEER_A)]
    {
        let mut t = dual();
        t.advance_s(590);
        t.check(create_permission(&[PEER_A, PEER_V6]), succeeds());
        t.check(refresh().family(kept).lifetime(700), refreshes(700));
        t.advance_s(9);
        t.check(send(gone_peer, b"x"), sends_to_peer(gone_peer, b"x"));
        t.check(after_s(1), closes_socket());
        assert_eq!(t.ledger.counted(), 1, "it counts until its last family ends");
        t.check(send(gone_peer, b"x"), discards(Discard::FamilyMismatch));
        t.check(create_permission(&[gone_peer]), rejects(443));
        t.check(channel_bind(0x4000, gone_peer), rejects(443));
        t.check(refresh().family(gone), rejects(443));
        t.check(send(peer, b"x"), sends_to_peer(peer, b"x"));
        t.check(from_peer(peer, b"x"), sends_data_indication(peer, b"x"));
        assert!(t.relay.allocations(t.now)[0].relayed_other.is_none());
        t.advance_s(690 - 1);
        t.check(after_s(1), ends(EndReason::Expired));
        t.check_nothing_left_after_s(0);
    }
}

#[test] // RFC 8656 §8.1: what ended is ended, ticked or not
fn a_family_that_ran_out_is_gone_before_its_tick_and_no_refresh_brings_it_back() {
    let mut t = dual();
    t.bind(0x4001, PEER_V6);
    t.advance_s(400);
    t.check(refresh().family(Family::V4).lifetime(700), refreshes(700));
    t.bind(0x4001, PEER_V6);
    t.advance_without_tick(Duration::from_secs(200));
    t.check(channel_data(0x4001, b"x"), discards(Discard::NoChannel));
    t.check(send(PEER_V6, b"x"), discards(Discard::FamilyMismatch));
    t.check(from_peer(PEER_V6, b"x"), discards(Discard::NoAllocation));
    // The first request that comes along clears it away.
    t.check(create_permission(&[PEER_V6]), rejects(443).and(closes_socket()));
    t.check(refresh().family(Family::V6), rejects(443));
    t.check(refresh(), refreshes(600));
    t.check(send(PEER_V6, b"x"), discards(Discard::FamilyMismatch));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §8.1: deleting one family must not affect the other's permissions and channels
fn lifetime_zero_with_a_family_deletes_that_one_with_all_that_hangs_on_it() {
    for (kept, peer, gone, gone_peer) in
        [(Family::V4, PEER_A, Family::V6, PEER_V6), (Family::V6, PEER_V6, Family::V4, PEER_A)]
    {
        let mut t = dual();
        t.bind(0x4000, PEER_A);
        t.bind(0x4001, PEER_V6);
        let [kept_number, gone_number] =
            if kept == Family::V4 { [0x4000, 0x4001] } else { [0x4001, 0x4000] };
        t.check(refresh().family(gone).lifetime(0), refreshes(0).and(closes_socket()));
        t.check(refresh().family(gone).lifetime(0), rejects(443));
        t.check(send(gone_peer, b"x"), discards(Discard::FamilyMismatch));
        t.check(channel_data(gone_number, b"x"), discards(Discard::NoChannel));
        t.check(channel_data(kept_number, b"x"), sends_to_peer(peer, b"x"));
        t.check(from_peer(peer, b"x"), sends_channel_data(kept_number, b"x"));
        // The number is free again: its binding is gone and not merely over.
        let mut other_port = peer;
        other_port.set_port(6000);
        t.check(channel_bind(gone_number, other_port), succeeds());
        t.check(refresh().family(kept).lifetime(0), refreshes(0).and(ends(EndReason::Client)));
        t.check(refresh(), rejects(437));
        t.check_nothing_left_after_s(0);
    }
}

#[test] // RFC 8656 §8.2: a single allocation knows no second family
fn a_single_allocation_is_not_touched_by_a_refresh_of_the_other_family() {
    let mut t = Turn::new();
    t.check(allocate(), allocates(600));
    t.check(refresh().family(Family::V6).lifetime(0), rejects(443));
    t.check(refresh().family(Family::V4).lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 2
fn a_dual_allocation_is_one_allocation_on_its_five_tuple() {
    let mut t = dual();
    t.check(allocate().family(Family::V6), rejects(437));
    t.check(allocate().both_families(), rejects(437));
    t.check(refresh().family(Family::V4).lifetime(0), refreshes(0).and(closes_socket()));
    // Half of it is still it.
    t.check(allocate().family(Family::V4), rejects(437));
    t.advance_without_tick(Duration::from_secs(600));
    t.check(allocate().both_families(), ends(EndReason::Expired).and(allocates_both(600)));
    assert_eq!(t.relayed(CLIENT).ip(), RELAY_V4);
    check_nothing_left(t);
}
