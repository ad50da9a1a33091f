//! Allocate (RFC 8656 §7): which requests make an allocation, of what lifetime and family.

use std::time::Duration;

use turnbell::turn::contract::{Discard, Why};
use turnbell::turn::fact::EndReason;
use turnbell::turn::relay::DefaultFamily;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    Event, after_s, allocate, allocate_bare, bytes, channel_bind, channel_data, from_peer, refresh,
    send, socket_opened,
};
use crate::support::expectation::{
    allocates, allocates_family, asks_for_socket, begins, discards, ends, nothing, refreshes,
    rejects, rejects_unknown, repeats, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::setup::credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, CLIENT_V6, PEER_A, PEER_B, RELAY_V4, RELAY_V6, v4};

#[test] // RFC 8656 §7.2: what is asked for, between the default of 600 s and the maximum of 3600 s
fn the_lifetime_granted_lies_between_the_default_and_the_maximum() {
    for (asked, granted) in [
        (0, 600),
        (1, 600),
        (599, 600),
        (600, 600),
        (601, 601),
        (3599, 3599),
        (3600, 3600),
        (3601, 3600),
        (u32::MAX, 3600),
    ] {
        let mut t = Turn::new();
        t.check(allocate().lifetime(asked), allocates(granted));
        t.advance_s(u64::from(granted) - 1);
        t.check(after_s(1), ends(EndReason::Expired));
        t.check_nothing_left_after_s(0);
    }
    let mut t = Turn::new();
    t.check(allocate(), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2: an allocation whose time is over is gone, ticked or not
fn an_expired_allocation_makes_room_for_a_new_one_before_its_tick() {
    let mut t = Turn::allocated();
    t.advance_without_tick(Duration::from_secs(600));
    t.check(refresh(), rejects(437));
    t.check(allocate(), ends(EndReason::Expired).and(allocates(600)));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 step 2
fn a_second_allocate_on_the_same_five_tuple_is_437_whoever_asks() {
    let mut t = Turn::allocated();
    t.check(allocate(), rejects(437));
    t.check(allocate().signed_by(credential("bob")), rejects(437));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2, note at the end; RFC 8489 §6.3.1
fn a_retransmitted_allocate_gets_its_answer_again_and_no_second_allocation() {
    let mut t = Turn::new();
    t.check(allocate().id(1).lifetime(1000), allocates(1000));
    let relayed = t.relayed(CLIENT);
    t.check(allocate().id(1).lifetime(1000), repeats(1000));
    t.advance_s(39);
    t.check(allocate().id(1).lifetime(1000), repeats(961));
    assert_eq!(t.relayed(CLIENT), relayed);
    // The same transaction id by another user is no retransmission.
    t.check(allocate().id(1).signed_by(credential("bob")), rejects(437));
    t.check(allocate().id(2), rejects(437));
    // Nor does a retransmission lengthen anything.
    t.check_nothing_left_after_s(961);
}

#[test] // RFC 8656 §7.2: the answer comes when the socket is open, once
fn while_the_socket_is_being_opened_a_second_allocate_opens_no_second_one() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    t.check(allocate().id(1), asks_for_socket(Family::V4));
    t.check(allocate().id(1), discards(Discard::AllocationInProgress));
    t.check(allocate().id(2), discards(Discard::AllocationInProgress));
    t.check(refresh(), rejects(437));
    t.check(socket_opened(Ok(())), begins(600));
    t.check(allocate().id(1), repeats(600));
    t.check(allocate().id(2), rejects(437));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 step 3
fn requested_transport_is_required_well_formed_and_udp() {
    let mut t = Turn::new();
    let with = |value: &[u8]| allocate_bare().raw(AttributeType::REQUESTED_TRANSPORT, value);
    t.check(allocate_bare(), rejects(400));
    for malformed in [&[][..], &[17], &[17, 0, 0], &[17, 0, 0, 0, 0]] {
        t.check(with(malformed), rejects(400));
    }
    for protocol in [0, 1, 6, 16, 18, 132, 255] {
        t.check(with(&[protocol, 0, 0, 0]), rejects(442));
    }
    // RFFU is ignored on reception (§18.8).
    t.check(with(&[17, 1, 2, 3]), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2: the checks come in the order of the text
fn the_first_rule_that_is_broken_names_the_error() {
    let tcp = || allocate_bare().raw(AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0]);
    let mut t = Turn::with(|setup| setup.relay_addresses = vec![RELAY_V4]);
    t.check(tcp().family(Family::V6), rejects(442));
    t.check(allocate().family(Family::V6), rejects(440));
    t.check(allocate_bare().family(Family::V6), rejects(400));
    t.check(allocate(), allocates(600));
    t.check(tcp(), rejects(437));
    t.check(allocate_bare().family(Family::V6), rejects(437));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 and §18.2
fn a_lifetime_that_is_not_four_bytes_is_400() {
    let mut t = Turn::new();
    for malformed in [&[][..], &[0, 0, 2], &[0, 0, 0, 2, 88]] {
        t.check(allocate().raw(AttributeType::LIFETIME, malformed), rejects(400));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 7
fn the_requested_family_is_given_or_440() {
    let mut t = Turn::new();
    t.check(allocate().family(Family::V6), allocates_family(Family::V6, 600));
    t.check(allocate().family(Family::V4).at(CLIENT_B), allocates(600).at(CLIENT_B));
    for (byte, code) in [(0, 440), (3, 440), (255, 440)] {
        let odd = allocate().raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[byte, 0, 0, 0]);
        t.check(odd.at(CLIENT_V6), rejects(code).at(CLIENT_V6));
    }
    let short = allocate().raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[1]);
    t.check(short.at(CLIENT_V6), rejects(400).at(CLIENT_V6));
    t.check_nothing_left_after_s(600);

    let mut only_v6 = Turn::with(|setup| setup.relay_addresses = vec![RELAY_V6]);
    only_v6.check(allocate().family(Family::V4), rejects(440));
    only_v6.check(allocate().family(Family::V6), allocates_family(Family::V6, 600));
    only_v6.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 step 7: IPv4 where nothing is asked; where there is none, what there is
fn without_a_requested_family_the_configured_default_counts() {
    let client = DefaultFamily::Client;
    let fixed = DefaultFamily::Fixed;
    let both = vec![RELAY_V4, RELAY_V6];
    for (default, addresses, from, family) in [
        (fixed(Family::V4), both.clone(), CLIENT, Family::V4),
        (fixed(Family::V4), both.clone(), CLIENT_V6, Family::V4),
        (fixed(Family::V6), both.clone(), CLIENT, Family::V6),
        (client, both.clone(), CLIENT, Family::V4),
        (client, both, CLIENT_V6, Family::V6),
        (fixed(Family::V4), vec![RELAY_V6], CLIENT, Family::V6),
        (fixed(Family::V6), vec![RELAY_V4], CLIENT, Family::V4),
        (client, vec![RELAY_V4], CLIENT_V6, Family::V4),
    ] {
        let mut t = Turn::with(|setup| {
            setup.default_family = default;
            setup.relay_addresses = addresses;
        });
        t.check(allocate().at(from), allocates_family(family, 600).at(from));
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8656 §7.2 step 4: it is supported, and that is all an Allocate asks
fn dont_fragment_is_understood_in_an_allocate_and_unknown_attributes_are_420() {
    let mut t = Turn::new();
    let dont_fragment = || allocate().raw(AttributeType::DONT_FRAGMENT, &[]);
    let unknown = dont_fragment()
        .raw(AttributeType(0x7FF1), &[0])
        .raw(AttributeType(0x7FF1), &[0])
        .raw(AttributeType(0x7FF0), &[1, 2, 3, 4]);
    t.check(unknown, rejects_unknown(&[0x7FF1, 0x7FF0]));
    t.check(dont_fragment(), allocates(600));
    let optional = allocate()
        .raw(AttributeType::SOFTWARE, b"a client")
        .raw(AttributeType(0xFFF0), &[1, 2, 3])
        .at(CLIENT_B);
    t.check(optional, allocates(600).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 steps 8 and 10
fn quotas_are_486_and_everything_used_up_is_508() {
    let mut t = Turn::new();
    for (why, code) in [
        (Why::UserQuota, 486),
        (Why::SourceQuota, 486),
        (Why::TotalQuota, 508),
        (Why::Reservation, 508),
        (Why::Ports, 508),
        (Why::Bind, 508),
    ] {
        t.ledger.mood = Mood::Refuses(why);
        t.check(allocate(), asks_for_socket(Family::V4).and(rejects(code)));
        t.check_nothing_left_after_s(0);
    }
    // A refusal is no state: the next one may succeed on the same five-tuple.
    t.ledger.mood = Mood::Opens;
    t.check(allocate(), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // limits.rs: 1,024 sockets are being opened at the most
fn the_1025th_allocate_that_waits_for_its_socket_is_508() {
    let client = |n: u16| v4([203, 0, 113, 7], 10_000 + n);
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    for n in 0..1024 {
        t.check(allocate().at(client(n)), asks_for_socket(Family::V4));
    }
    t.check(allocate().at(client(1024)), rejects(508).at(client(1024)));
    t.check(socket_opened(Err(Why::Bind)), rejects(508).at(client(0)));
    t.check(allocate().at(client(1024)), asks_for_socket(Family::V4));
    for n in 1..=1024 {
        t.check(socket_opened(Err(Why::Ports)), rejects(508).at(client(n)));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2: permissions and channels are empty at first
fn a_new_allocation_relays_nothing() {
    let mut t = Turn::allocated();
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoChannel));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §9: an allocation takes its permissions and channels with it
fn a_later_allocation_on_the_five_tuple_inherits_nothing() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.bind(0x4000, PEER_A);
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check(allocate(), allocates(600));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(channel_data(0x4000, b""), discards(Discard::NoChannel));
    t.check(channel_bind(0x4000, PEER_B), succeeds());
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §6: the five-tuple has five parts
fn client_port_and_server_address_tell_allocations_apart() {
    let mut t = Turn::allocated();
    let mut other_port = CLIENT;
    other_port.set_port(40_002);
    t.check(allocate().at(other_port), allocates(600).at(other_port));
    let second = v4([198, 51, 100, 2], 3478);
    t.check(Event::from(allocate()).to(second), allocates(600));
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check(refresh().lifetime(0).at(other_port), {
        refreshes(0).and(ends(EndReason::Client)).at(other_port)
    });
    let last = Event::from(refresh().lifetime(0)).to(second);
    t.check(last, refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2: a bare request is challenged, and nothing is kept
fn a_hundred_thousand_unauthenticated_requests_leave_nothing_behind() {
    // Every one is looked at; the shield would stop at 20 Mbit/s.
    let mut t = Turn::with(|setup| setup.guard.rules.shield.bits_total = 10_000_000_000);
    let unsigned = t.encoded(CLIENT, allocate().unsigned());
    let garbled = t.encoded(CLIENT, allocate().with_garbled_integrity());
    for n in 0..100_000_u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let client = v4([11, b, c, d], 1024 + (n % 60_000) as u16);
        // Integrity is what costs time here; every tenth has one.
        let request = if n % 10 == 0 { &garbled } else { &unsigned };
        let answers = t.exchange(client, request);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0][24..28], [0, 0, 4, 1], "401");
        assert!(t.relay.is_empty());
    }
    t.check_nothing_left_after_s(0);
    t.check(bytes(&[]), discards(Discard::NotStun));
    t.check(after_s(0), nothing());
}
