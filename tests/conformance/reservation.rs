//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 §7.2 steps 5 and 8).

use turnbell::turn::contract::{Wanted, Why};
use turnbell::turn::fact::EndReason;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    allocate, create_permission, from_peer, refresh, send, socket_opened, stop,
};
use crate::support::expectation::{
    allocates, asks_for, begins, closes_socket, ends, nothing, refreshes, rejects, repeats,
    reserves, sends_data_indication, sends_to_peer, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::request::Request;
use crate::support::setup::credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, CLIENT_V6, PEER_A};

const PAIR: Wanted = Wanted::One(Family::V4, Ports::EvenAndReserve);

fn even_port(flags: u8) -> Request {
    allocate().raw(AttributeType::EVEN_PORT, &[flags])
}

fn with_token(token: [u8; 8]) -> Request {
    allocate().raw(AttributeType::RESERVATION_TOKEN, &token)
}

/// A client with an even port, and the token of the next one.
fn reserved() -> (Turn, [u8; 8]) {
    let mut t = Turn::new();
    t.check(even_port(0x80), asks_for(PAIR).and(begins(600)).and(reserves()));
    let token = t.reserved.unwrap();
    (t, token)
}

#[test] // RFC 8656 §7.2 step 8, §18.7: R is the highest bit, the rest is ignored
fn the_r_bit_decides_whether_the_next_port_is_reserved() {
    for flags in [0x00, 0x01, 0x40, 0x7F] {
        let mut t = Turn::new();
        t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
        let even = asks_for(Wanted::One(Family::V4, Ports::Even));
        t.check(even_port(flags), even.and(begins(600)));
        assert_eq!(t.relayed(CLIENT).port() % 2, 0);
        t.check_nothing_left_after_s(600);
    }
    for flags in [0x80, 0x81, 0xFF] {
        let mut t = Turn::new();
        t.check(even_port(flags), asks_for(PAIR).and(begins(600)).and(reserves()));
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8656 §18.7: one byte
fn an_even_port_of_another_length_is_400() {
    let mut t = Turn::new();
    for malformed in [&[][..], &[0x80, 0], &[0, 0, 0, 0]] {
        t.check(allocate().raw(AttributeType::EVEN_PORT, malformed), rejects(400));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2 step 8
fn even_port_goes_with_either_family_and_a_pair_with_one_of_them_only() {
    let even = |flags, family| even_port(flags).family(family);
    for family in [Family::V4, Family::V6] {
        let mut t = Turn::new();
        t.check(even(0, family), asks_for(Wanted::One(family, Ports::Even)).and(begins(600)));
        let pair = asks_for(Wanted::One(family, Ports::EvenAndReserve));
        let pair = pair.and(begins(600)).and(reserves()).at(CLIENT_B);
        t.check(even(0x80, family).at(CLIENT_B), pair);
        t.check_nothing_left_after_s(600);
    }
    let mut t = Turn::new();
    t.check(even_port(0x80).both_families(), rejects(400));
    let both = asks_for(Wanted::Both { even: true });
    t.check(even_port(0).both_families(), both.and(begins(600)));
    t.check(refresh().lifetime(0), {
        refreshes(0).and(ends(EndReason::Client)).and(closes_socket())
    });
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2, note at the end
fn a_retransmitted_allocate_is_told_the_same_token_again() {
    let mut t = Turn::new();
    t.check(even_port(0x80).id(1), asks_for(PAIR).and(begins(600)).and(reserves()));
    let token = t.reserved.take();
    t.check(even_port(0x80).id(1), repeats(600).and(reserves()));
    assert_eq!(t.reserved, token);
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2: the 5-tuple that redeems can be any allowed one, and so can the user
fn the_token_gives_the_next_higher_port_to_whoever_shows_it_first() {
    for (client, user) in [(CLIENT_B, "alice"), (CLIENT_B, "bob"), (CLIENT_V6, "alice")] {
        let (mut t, token) = reserved();
        let even = t.relayed(CLIENT);
        let redeem = with_token(token).signed_by(credential(user));
        let asks = asks_for(Wanted::Reserved(ReservationToken(token)));
        t.check(redeem.clone().at(client), asks.clone().and(begins(600)).at(client));
        let odd = t.relayed(client);
        assert_eq!((odd.ip(), odd.port()), (even.ip(), even.port() + 1));
        // It relays like any other.
        let permit = create_permission(&[PEER_A]).signed_by(credential(user)).at(client);
        t.check(permit, succeeds().at(client));
        t.check(send(PEER_A, b"x").at(client), sends_to_peer(PEER_A, b"x"));
        t.check(from_peer(PEER_A, b"y").at(client), sends_data_indication(PEER_A, b"y").at(client));
        // A used token is not valid any more.
        let again = with_token(token).at(crate::support::v4([203, 0, 113, 9], 1));
        let late = asks.and(rejects(508)).at(crate::support::v4([203, 0, 113, 9], 1));
        t.check(again, late);
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8656 §7.2 step 5: not valid for some reason
fn a_token_that_is_not_valid_is_508() {
    let (mut t, mut token) = reserved();
    token[0] ^= 1;
    for wrong in [token, [0; 8], [0xFF; 8]] {
        let asks = asks_for(Wanted::Reserved(ReservationToken(wrong)));
        t.check(with_token(wrong).at(CLIENT_B), asks.and(rejects(508)).at(CLIENT_B));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 step 5
fn a_token_beside_another_wish_for_a_port_or_family_is_400() {
    let (mut t, token) = reserved();
    for request in [
        with_token(token).raw(AttributeType::EVEN_PORT, &[0]),
        with_token(token).raw(AttributeType::EVEN_PORT, &[0x80]),
        with_token(token).raw(AttributeType::EVEN_PORT, &[]),
        with_token(token).family(Family::V4),
        with_token(token).family(Family::V6),
        with_token(token).both_families(),
        even_port(0).raw(AttributeType::RESERVATION_TOKEN, &token),
    ] {
        t.check(request.at(CLIENT_B), rejects(400).at(CLIENT_B));
    }
    // Nothing of that used it up.
    let asks = asks_for(Wanted::Reserved(ReservationToken(token)));
    t.check(with_token(token).at(CLIENT_B), asks.and(begins(600)).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §18.10: eight bytes
fn a_token_of_another_length_is_400() {
    let mut t = Turn::new();
    for length in [0, 1, 7, 9, 16] {
        let odd = allocate().raw(AttributeType::RESERVATION_TOKEN, &vec![1; length]);
        t.check(odd, rejects(400));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2: the checks come in the order of the text
fn a_five_tuple_in_use_and_a_bad_transport_come_before_the_token() {
    let (mut t, token) = reserved();
    t.check(with_token(token), rejects(437));
    t.check(with_token(token).family(Family::V4), rejects(437));
    let bare = crate::support::event::allocate_bare()
        .raw(AttributeType::RESERVATION_TOKEN, &token)
        .family(Family::V4);
    t.check(bare.clone().at(CLIENT_B), rejects(400).at(CLIENT_B));
    let tcp = bare.raw(AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0]);
    t.check(tcp.at(CLIENT_B), rejects(442).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §7.2 steps 8 and 10
fn without_a_pair_or_over_the_quota_nothing_is_reserved() {
    let mut t = Turn::new();
    for (why, code) in [(Why::Ports, 508), (Why::UserQuota, 486), (Why::TotalQuota, 508)] {
        t.ledger.mood = Mood::Refuses(why);
        t.check(even_port(0x80), asks_for(PAIR).and(rejects(code)));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §7.2: the answer comes when the socket is open
fn a_stop_while_a_pair_is_opened_closes_the_even_one() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    t.check(even_port(0x80), asks_for(PAIR));
    t.check(stop(), nothing());
    t.check(socket_opened(Ok(())), closes_socket().and(rejects(508)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §18.7, §18.10: they mean something in an Allocate only
fn in_other_requests_they_are_ignored() {
    let mut t = Turn::allocated();
    let odd = |request: Request| {
        request
            .raw(AttributeType::EVEN_PORT, &[0x80])
            .raw(AttributeType::RESERVATION_TOKEN, &[1; 3])
            .raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[1])
    };
    t.check(odd(refresh()), refreshes(600));
    t.check(odd(create_permission(&[PEER_A])), succeeds());
    t.check(odd(send(PEER_A, b"x")), sends_to_peer(PEER_A, b"x"));
    t.check_nothing_left_after_s(600);
}
