//! Channels (RFC 8656 §12): ChannelBind and ChannelData.

use std::net::SocketAddr;

use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::Method;

use crate::support::event::{
    after_s, allocate, bytes, channel_bind, channel_data, create_permission, from_peer, hex,
    refresh, request, send,
};
use crate::support::expectation::{
    allocates, discards, ends, nothing, refreshes, rejects, sends_channel_data,
    sends_data_indication, sends_to_peer, succeeds,
};
use crate::support::turn::Turn;
use crate::support::{PEER_A, PEER_A2, PEER_B, PEER_PRIVATE, RELAY_V4, v4};

/// One allocation that outlives every channel.
fn long_allocated() -> Turn {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t
}

fn end(mut t: Turn) {
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §12.2: 0x4000 through 0x4FFF; security.md C5
fn channel_numbers_outside_the_range_are_400() {
    let mut t = Turn::allocated();
    for number in [0, 0x3FFF, 0x5000, 0x7FFE, 0xFFFF] {
        t.check(channel_bind(number, PEER_A), rejects(400));
    }
    t.check(channel_bind(0x4000, PEER_A), succeeds());
    t.check(channel_bind(0x4FFF, PEER_B), succeeds());
    t.check(channel_data(0x4FFF, b"x"), sends_to_peer(PEER_B, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12.2: both attributes
fn a_bind_without_number_or_peer_or_with_malformed_ones_is_400() {
    let number =
        |value: &[u8]| request(Method::CHANNEL_BIND).raw(AttributeType::CHANNEL_NUMBER, value);
    let mut t = Turn::allocated();
    t.check(request(Method::CHANNEL_BIND), rejects(400));
    t.check(request(Method::CHANNEL_BIND).peer(PEER_A), rejects(400));
    t.check(number(&[0x40, 0, 0, 0]), rejects(400));
    for malformed in [&[][..], &[0x40], &[0x40, 0], &[0x40, 0, 0], &[0x40, 0, 0, 0, 0]] {
        t.check(number(malformed).peer(PEER_A), rejects(400));
    }
    let family = number(&[0x40, 0, 0, 0]);
    let family = family.raw(AttributeType::XOR_PEER_ADDRESS, &[0, 3, 0, 0, 1, 2, 3, 4]);
    t.check(family, rejects(400));
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12.2: one number, one transport address; the same pair again is a refresh
fn neither_half_of_a_binding_can_be_bound_elsewhere() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    t.check(channel_bind(0x4000, PEER_B), rejects(400));
    t.check(channel_bind(0x4000, PEER_A2), rejects(400));
    t.check(channel_bind(0x4001, PEER_A), rejects(400));
    t.check(channel_bind(0x4000, PEER_A), succeeds());
    t.check(channel_bind(0x4001, PEER_A2), succeeds());
    // A failed bind installs no permission.
    t.check(send(PEER_B, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12.2: policy
fn a_bind_to_a_forbidden_peer_is_403_and_to_another_family_443() {
    let mut t = Turn::allocated();
    for peer in [
        PEER_PRIVATE,
        v4([127, 0, 0, 1], 80),
        v4([192, 0, 2, 10], 0),
        SocketAddr::new(RELAY_V4, 3478),
        SocketAddr::new(RELAY_V4, 49_151),
    ] {
        t.check(channel_bind(0x4000, peer), rejects(403));
    }
    t.check(channel_bind(0x4000, SocketAddr::new(RELAY_V4, 49_152)), succeeds());
    t.check(channel_bind(0x4001, crate::support::PEER_V6), rejects(443));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12: a binding lasts 600 s
fn a_channel_carries_data_for_600_s_both_ways() {
    let mut t = long_allocated();
    t.bind(0x4000, PEER_A);
    t.advance_s(299);
    t.permit(PEER_A);
    t.advance_s(299);
    t.permit(PEER_A);
    t.advance_s(1);
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(from_peer(PEER_A, b"y"), sends_channel_data(0x4000, b"y"));
    t.advance_s(1);
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoChannel));
    t.check(from_peer(PEER_A, b"y"), sends_data_indication(PEER_A, b"y"));
    end(t);
}

#[test] // RFC 8656 §12.2: rebinding resets the time and the permission's
fn a_rebind_lengthens_channel_and_permission() {
    let mut t = long_allocated();
    t.bind(0x4000, PEER_A);
    for _ in 0..5 {
        t.advance_s(299);
        t.bind(0x4000, PEER_A);
    }
    t.advance_s(299);
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.advance_s(1);
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoPermission));
    end(t);
}

#[test] // RFC 8656 §12: five minutes before either half is bound elsewhere
fn an_expired_binding_reserves_number_and_peer_for_each_other_for_300_s() {
    let mut t = long_allocated();
    t.bind(0x4000, PEER_A);
    t.advance_s(600);
    t.check(channel_bind(0x4000, PEER_B), rejects(400));
    t.check(channel_bind(0x4001, PEER_A), rejects(400));
    t.advance_s(299);
    t.check(channel_bind(0x4000, PEER_B), rejects(400));
    t.check(channel_bind(0x4001, PEER_A), rejects(400));
    t.advance_s(1);
    t.check(channel_bind(0x4000, PEER_B), succeeds());
    t.check(channel_bind(0x4001, PEER_A), succeeds());
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_B, b"x"));
    t.check(channel_data(0x4001, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(from_peer(PEER_A, b"x"), sends_channel_data(0x4001, b"x"));
    end(t);
}

#[test] // RFC 8656 §12: the same pair may be bound again at any time
fn the_same_pair_can_be_bound_again_while_it_is_reserved_and_afterwards() {
    for wait in [600, 601, 899, 900, 901, 1500] {
        let mut t = long_allocated();
        t.bind(0x4000, PEER_A);
        t.advance_s(wait);
        t.check(channel_data(0x4000, b"x"), discards(Discard::NoChannel));
        t.bind(0x4000, PEER_A);
        t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
        t.check(from_peer(PEER_A, b"x"), sends_channel_data(0x4000, b"x"));
        t.check(channel_bind(0x4001, PEER_A), rejects(400));
        end(t);
    }
}

#[test] // RFC 8656 §12, §8: a Refresh in between forgets no reservation
fn a_refresh_keeps_channels_and_their_reservations() {
    let mut t = long_allocated();
    t.bind(0x4000, PEER_A);
    t.advance_s(599);
    t.permit(PEER_A);
    t.check(refresh().lifetime(3600), refreshes(3600));
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.advance_s(300);
    t.check(refresh().lifetime(3600), refreshes(3600));
    t.check(channel_bind(0x4000, PEER_B), rejects(400));
    t.advance_s(1);
    t.check(refresh().lifetime(3600), refreshes(3600));
    t.check(channel_bind(0x4000, PEER_B), succeeds());
    end(t);
}

#[test] // RFC 8656 §9 and §12: a binding outlives its permission and carries nothing without it
fn channel_data_is_dropped_when_the_permission_has_expired() {
    let mut t = long_allocated();
    t.bind(0x4000, PEER_A);
    t.advance_s(299);
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.advance_s(1);
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoPermission));
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoPermission));
    // The permission alone brings both directions back: the binding still lives.
    t.permit(PEER_A2);
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(from_peer(PEER_A, b"x"), sends_channel_data(0x4000, b"x"));
    end(t);
}

#[test] // RFC 8656 §12.2 and §9: the permission is for the address, not for the port
fn a_bind_permits_every_port_of_the_peer() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    t.check(from_peer(PEER_A2, b"x"), sends_data_indication(PEER_A2, b"x"));
    t.check(send(PEER_A2, b"x"), sends_to_peer(PEER_A2, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12.6: only what the length says is relayed
fn padding_behind_channel_data_is_not_relayed_and_zero_bytes_are() {
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    t.check(hex("4000 0003 414243 00"), sends_to_peer(PEER_A, b"ABC"));
    t.check(hex("4000 0003 414243"), sends_to_peer(PEER_A, b"ABC"));
    t.check(hex("4000 0001 41 ffffffffffffff"), sends_to_peer(PEER_A, b"A"));
    t.check(hex("4000 0000"), sends_to_peer(PEER_A, b""));
    t.check(hex("4000 0000 00000000"), sends_to_peer(PEER_A, b""));
    t.check(from_peer(PEER_A, b""), sends_channel_data(0x4000, b""));
    t.check(from_peer(PEER_A, b"abcde"), sends_channel_data(0x4000, b"abcde"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12.6: shorter than it claims; security.md C4
fn truncated_channel_data_and_numbers_out_of_range_are_dropped() {
    let malformed = || discards(Discard::MalformedChannelData);
    let mut t = Turn::allocated();
    t.bind(0x4000, PEER_A);
    t.check(hex("4000 ffff 41414141"), malformed());
    t.check(hex("4000 0005 41414141"), malformed());
    t.check(hex("4000 0001"), malformed());
    for short in ["40", "4000", "4000 00"] {
        t.check(hex(short), malformed());
    }
    t.check(hex("4001 0001 41"), discards(Discard::NoChannel));
    t.check(hex("4fff 0001 41"), discards(Discard::NoChannel));
    t.check(hex("5000 0004 aaaaaaaa"), discards(Discard::NotStun));
    t.check(hex("ffff 0000"), discards(Discard::NotStun));
    t.check(hex("3fff 0000"), discards(Discard::NotStun));
    t.check(bytes(&[0x40; 3]), malformed());
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §12: numbers and peers of one allocation say nothing about another's
fn two_allocations_may_use_the_same_number_for_different_peers() {
    let b = crate::support::CLIENT_B;
    let mut t = Turn::allocated();
    t.check(allocate().at(b), allocates(600).at(b));
    t.bind(0x4000, PEER_A);
    t.check(channel_bind(0x4000, PEER_B).at(b), succeeds().at(b));
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    t.check(channel_data(0x4000, b"x").at(b), sends_to_peer(PEER_B, b"x"));
    t.check(from_peer(PEER_B, b"x").at(b), sends_channel_data(0x4000, b"x").at(b));
    t.check(from_peer(PEER_B, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // limits.rs: 1,024 channels, then 508; reserved ones count
fn the_1025th_channel_is_508_until_a_reservation_is_over() {
    let mut t = long_allocated();
    let peer = |n: u16| v4([192, 0, 2, (n % 200) as u8], 10_000 + n);
    for n in 0..1024 {
        t.check(channel_bind(0x4000 + n, peer(n)), succeeds());
    }
    t.check(channel_bind(0x4400, peer(1024)), rejects(508));
    t.check(channel_bind(0x4000, peer(0)), succeeds());
    t.check(after_s(899), nothing());
    t.check(channel_bind(0x4400, peer(1024)), rejects(508));
    t.check(channel_bind(0x43FF, peer(1023)), succeeds());
    t.check(after_s(1), nothing());
    t.check(channel_bind(0x4400, peer(1024)), succeeds());
    t.check(channel_data(0x43FF, b"x"), sends_to_peer(peer(1023), b"x"));
    t.check(create_permission(&[PEER_A]), succeeds());
    end(t);
}
