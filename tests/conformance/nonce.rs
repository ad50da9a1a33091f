//! Nonces (RFC 8489 §9.2.4, RFC 8656 §5): how long, for whom, and replay.

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::fact::EndReason;

use crate::support::event::{allocate, bytes, refresh};
use crate::support::expectation::{
    allocates, discards, ends, refreshes, refuses, rejects, repeats,
};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B};

#[test] // RFC 8656 §5: expired at least once an hour; decisions R11: good for its whole life
fn a_nonce_is_good_for_3599_s_and_stale_from_3600_s_on() {
    let mut t = Turn::new();
    let nonce = t.ask_for_nonce(CLIENT);
    t.check(allocate().lifetime(3600).nonce(nonce.clone()), allocates(3600));
    t.advance_s(3599);
    t.check(refresh().lifetime(3600).nonce(nonce.clone()), refreshes(3600));
    t.advance_s(1);
    let stale = refuses(438, AuthFailure::StaleNonce);
    t.check(refresh().nonce(nonce), stale);
    // With the nonce of the 438 it goes on.
    t.check(refresh(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2.4: the wall clock has no say
fn a_nonce_survives_jumps_of_the_wall_clock() {
    let mut t = Turn::new();
    let nonce = t.ask_for_nonce(CLIENT);
    t.jump_unix_s(7 * 86_400);
    t.check(allocate().nonce(nonce.clone()), allocates(600));
    t.jump_unix_s(-14 * 86_400);
    t.check(refresh().nonce(nonce), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2.4; security.md B7, B8
fn a_nonce_of_another_address_or_port_or_of_nobody_is_438() {
    let mut t = Turn::new();
    let stale = || refuses(438, AuthFailure::StaleNonce);
    let mut other_port = CLIENT;
    other_port.set_port(CLIENT.port() + 1);
    for other in [CLIENT_B, other_port] {
        let nonce = t.ask_for_nonce(other);
        t.check(allocate().nonce(nonce), stale());
    }
    let own = t.ask_for_nonce(CLIENT);
    let (bare, doubled) = (own[13..].to_vec(), own.repeat(2));
    for bad in
        [&b"a".repeat(24), &b"0".repeat(28), &Vec::new(), &own[1..].to_vec(), &bare, &doubled]
    {
        t.check(allocate().nonce(bad.clone()), stale());
    }
    for at in 0..own.len() {
        let mut altered = own.clone();
        altered[at] = if altered[at] == b'f' { b'e' } else { b'f' };
        t.check(allocate().nonce(altered), stale());
    }
    t.check(allocate().nonce(own), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2, §14.10, §18.1; decisions R10
fn a_nonce_begins_with_the_cookie_and_is_text_of_fewer_than_128_characters() {
    let mut t = Turn::new();
    let nonce = t.ask_for_nonce(CLIENT);
    // 24 bits, the first for password algorithms; the second, username anonymity, stays clear.
    assert_eq!(nonce[..13], *b"obMatJos2gAAA");
    assert_eq!(nonce.len(), 28);
    let is_base64 = |c: &u8| c.is_ascii_alphanumeric() || [b'+', b'/'].contains(c);
    assert!(nonce.iter().all(is_base64), "{nonce:?}");
}

#[test] // RFC 8489 §9.2.4: the server must not choose the same nonce for two clients
fn two_clients_never_get_the_same_nonce() {
    let mut t = Turn::new();
    let mut other_port = CLIENT;
    other_port.set_port(CLIENT.port() + 1);
    let nonces = [CLIENT, CLIENT_B, other_port].map(|client| t.ask_for_nonce(client));
    assert_ne!(nonces[0], nonces[1]);
    assert_ne!(nonces[0], nonces[2]);
    assert_ne!(nonces[1], nonces[2]);
}

#[test] // security.md B7: a captured Allocate
fn a_replayed_allocate_opens_nothing_elsewhere_and_nothing_twice() {
    let mut t = Turn::new();
    let captured = t.encoded(CLIENT, allocate().id(7));
    t.check(bytes(&captured), allocates(600));
    t.check(bytes(&captured), repeats(600));
    let mut other_port = CLIENT;
    other_port.set_port(CLIENT.port() + 1);
    for thief in [CLIENT_B, other_port] {
        let answers = t.exchange(thief, &captured);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0][24..28], [0, 0, 4, 38], "438");
    }
    assert_eq!(t.relay.allocation_count(), 1);
    // After the end, the capture is good for as long as its nonce is: the owner's own address.
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.advance_s(3600);
    t.check(bytes(&captured), refuses(438, AuthFailure::StaleNonce));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §9.2.4: the challenge is never wrong about itself
fn the_nonce_of_a_438_is_valid_at_once() {
    let mut t = Turn::new();
    let request = t.encoded(CLIENT, allocate().nonce("old"));
    let [answer] = <[Vec<u8>; 1]>::try_from(t.exchange(CLIENT, &request)).unwrap();
    let message = turnbell::wire::message::Message::parse(&answer).unwrap();
    let nonce = message.attribute(turnbell::wire::attribute::AttributeType::NONCE).unwrap();
    t.check(allocate().nonce(nonce), allocates(600));
    t.check(allocate().nonce(nonce), rejects(437));
    t.check_nothing_left_after_s(600);
    t.check(bytes(b""), discards(turnbell::turn::contract::Discard::NotStun));
}
