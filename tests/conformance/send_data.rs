//! Send and Data indications (RFC 8656 §11).

use turnbell::turn::contract::Discard;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method};

use turnbell::wire::address::Family;

use crate::support::event::{allocate, bytes, channel_data, create_permission, from_peer, send};
use crate::support::expectation::{
    allocates_family, discards, sends_channel_data, sends_data_indication, sends_to_peer,
    sends_whole_to_peer, succeeds,
};
use crate::support::request::Request;
use crate::support::turn::Turn;
use crate::support::{
    CLIENT, CLIENT_V6, PEER_A, PEER_A2, PEER_B, PEER_PRIVATE, PEER_V6, RELAY_V4, v4,
};

#[test] // RFC 8656 §11.2: exactly the contents of DATA, whatever its length
fn the_data_of_a_send_indication_reaches_the_peer_without_padding() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for length in [0, 1, 2, 3, 4, 5, 1200, 65_000] {
        let data = vec![0x41; length];
        t.check(send(PEER_A, &data), sends_to_peer(PEER_A, &data));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.3, §11.4: also zero bytes
fn a_peers_datagram_of_any_length_becomes_a_data_indication() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for length in [0, 1, 3, 4, 1200, 65_000] {
        let data = vec![0x42; length];
        t.check(from_peer(PEER_A, &data), sends_data_indication(PEER_A, &data));
    }
    // STUN of a peer is data like any other.
    let stun = crate::support::event::unhex("000100002112a442000102030405060708090a0b");
    t.check(from_peer(PEER_A2, &stun), sends_data_indication(PEER_A2, &stun));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.2: both attributes, well-formed
fn a_send_indication_without_peer_or_data_is_discarded() {
    let malformed = || discards(Discard::MalformedSend);
    let indication = || Request::new(Class::Indication, Method::SEND);
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(indication(), malformed());
    t.check(indication().peer(PEER_A), malformed());
    t.check(indication().raw(AttributeType::DATA, b"x"), malformed());
    for value in [&[][..], &[0, 1, 2], &[0, 3, 0, 0, 1, 2, 3, 4], &[0, 1, 0, 0, 1, 2, 3]] {
        let odd = indication().raw(AttributeType::XOR_PEER_ADDRESS, value);
        t.check(odd.raw(AttributeType::DATA, b"x"), malformed());
    }
    t.check(send(PEER_A, b"x").raw(AttributeType(0x7FF0), &[]), malformed());
    t.check(send(PEER_A, b"x").raw(AttributeType(0xFFF0), &[]), sends_to_peer(PEER_A, b"x"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.2, §14: that one datagram and no other
fn a_send_indication_with_dont_fragment_must_reach_the_peer_whole() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.bind(0x4000, PEER_A);
    let whole = |data| send(PEER_A, data).raw(AttributeType::DONT_FRAGMENT, &[]);
    t.check(whole(b"x"), sends_whole_to_peer(PEER_A, b"x"));
    t.check(send(PEER_A, b"y"), sends_to_peer(PEER_A, b"y"));
    t.check(channel_data(0x4000, b"z"), sends_to_peer(PEER_A, b"z"));
    t.check(whole(b""), sends_whole_to_peer(PEER_A, b""));
    // It lets nobody through who is not permitted.
    let stranger = send(PEER_B, b"x").raw(AttributeType::DONT_FRAGMENT, &[]);
    t.check(stranger, discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §13, §14: where IPv6 is on either side, the attribute must be ignored
fn dont_fragment_is_ignored_unless_both_sides_are_ipv4() {
    let whole = |peer| send(peer, b"x").raw(AttributeType::DONT_FRAGMENT, &[]);
    for (client, family, peer) in [
        (CLIENT, Family::V6, PEER_V6),
        (CLIENT_V6, Family::V4, PEER_A),
        (CLIENT_V6, Family::V6, PEER_V6),
    ] {
        let mut t = Turn::new();
        let begins = allocates_family(family, 600).at(client);
        t.check(allocate().family(family).at(client), begins);
        t.check(create_permission(&[peer]).at(client), succeeds().at(client));
        t.check(whole(peer).at(client), sends_to_peer(peer, b"x"));
        t.check_nothing_left_after_s(600);
    }
}

#[test] // security.md A13: two peers in one Send
fn a_send_indication_with_two_peers_goes_to_the_first_only() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.permit(PEER_B);
    t.check(send(PEER_A, b"x").peer(PEER_B), sends_to_peer(PEER_A, b"x"));
    t.check(send(PEER_A, b"x").peer(PEER_PRIVATE), sends_to_peer(PEER_A, b"x"));
    t.check(send(PEER_PRIVATE, b"x").peer(PEER_A), discards(Discard::PeerForbidden));
    t.check(send(v4([192, 0, 2, 99], 1), b"x").peer(PEER_A), discards(Discard::NoPermission));
    // And of two DATA the first.
    let twice = send(PEER_A, b"first").raw(AttributeType::DATA, b"second");
    t.check(twice, sends_to_peer(PEER_A, b"first"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.2: restrictions are silent here; security.md A1, A11
fn a_send_indication_to_a_forbidden_peer_is_discarded() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    for peer in [
        PEER_PRIVATE,
        v4([127, 0, 0, 1], 80),
        v4([0, 0, 0, 0], 80),
        v4([224, 0, 0, 251], 5353),
        v4([192, 0, 2, 10], 0),
        std::net::SocketAddr::new(RELAY_V4, 3478),
        std::net::SocketAddr::new(RELAY_V4, 49_151),
    ] {
        t.check(send(peer, b"x"), discards(Discard::PeerForbidden));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §14.7: a fingerprint that is there must be right
fn a_send_indication_with_a_fingerprint_is_relayed_only_if_it_is_right() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(send(PEER_A, b"abc").fingerprint(), sends_to_peer(PEER_A, b"abc"));
    let mut wrong = t.encoded(CLIENT, send(PEER_A, b"abc").fingerprint());
    *wrong.last_mut().unwrap() ^= 1;
    t.check(bytes(&wrong), discards(Discard::MalformedSend));
    t.check_nothing_left_after_s(600);
}

#[test] // security.md C7, on the path that does not go through `handle`
fn no_prefix_of_a_send_indication_is_relayed() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    let whole = t.encoded(CLIENT, send(PEER_A, b"abcde"));
    for cut in 0..whole.len() {
        let expected = match cut {
            0 => Discard::NotStun,
            1 => Discard::NotStun,
            _ => Discard::MalformedSend,
        };
        t.check(bytes(&whole[..cut]), discards(expected));
    }
    t.check(bytes(&whole), sends_to_peer(PEER_A, b"abcde"));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §11.3: a channel is preferred over a Data indication
fn with_a_channel_a_peers_data_comes_as_channel_data() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(from_peer(PEER_A, b"1"), sends_data_indication(PEER_A, b"1"));
    t.bind(0x4000, PEER_A);
    t.check(from_peer(PEER_A, b"2"), sends_channel_data(0x4000, b"2"));
    // The channel is for a transport address, the permission for all its ports.
    t.check(from_peer(PEER_A2, b"3"), sends_data_indication(PEER_A2, b"3"));
    // A Send indication still works.
    t.check(send(PEER_A, b"4"), sends_to_peer(PEER_A, b"4"));
    t.check_nothing_left_after_s(600);
}

#[test] // security.md D3: nobody is behind port 0, on the peer's side neither
fn a_peers_datagram_from_port_0_is_dropped() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(from_peer(v4([192, 0, 2, 10], 0), b"x"), discards(Discard::BadSource));
    t.check_nothing_left_after_s(600);
}
