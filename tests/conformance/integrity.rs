//! Both message integrities guard what precedes them; what follows is not read (RFC 8489 §9, §14.5,
//! §14.6), except that the stronger one may follow the other and then counts.

use turnbell::auth::credential::AuthFailure;
use turnbell::auth::key::PasswordAlgorithm;
use turnbell::turn::contract::Discard;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    allocate, allocate_bare, channel_bind, channel_data, create_permission, refresh, send,
};
use crate::support::expectation::{
    allocates, discards, refreshes, refuses, rejects, sends_to_peer, succeeds,
};
use crate::support::setup::static_credential;
use crate::support::turn::Turn;
use crate::support::{CLIENT, PEER_A, PEER_B, PEER_PRIVATE};

#[test] // RFC 8489 §14.5; security.md B3
fn attributes_behind_integrity_are_ignored_with_and_without_fingerprint() {
    let zero = [0, 0, 0, 0];
    let mut t = Turn::allocated();
    for seal in [false, true] {
        let seal = |request: crate::support::request::Request| {
            if seal { request.fingerprint() } else { request }
        };
        t.check(seal(create_permission(&[PEER_A]).peer_after_integrity(PEER_B)), succeeds());
        t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
        t.check(send(PEER_B, b"x"), discards(Discard::NoPermission));
        let refused = create_permission(&[PEER_A]).peer_after_integrity(PEER_PRIVATE);
        t.check(seal(refused), succeeds());
        t.check(seal(create_permission(&[]).peer_after_integrity(PEER_A)), rejects(400));
        let ending = refresh().raw_after_integrity(AttributeType::LIFETIME, &zero);
        t.check(seal(ending), refreshes(600));
        let unknown = refresh().raw_after_integrity(AttributeType(0x7FF0), &zero);
        t.check(seal(unknown), refreshes(600));
        let second = refresh().raw_after_integrity(AttributeType::MESSAGE_INTEGRITY, &[9; 20]);
        t.check(seal(second), refreshes(600));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9: behind MESSAGE-INTEGRITY-SHA256 only FINGERPRINT counts
fn attributes_behind_the_stronger_integrity_are_ignored_too() {
    let zero = [0, 0, 0, 0];
    let mut t = Turn::allocated();
    for request in [
        refresh().by_sha256().raw_after_integrity(AttributeType::LIFETIME, &zero),
        refresh().by_sha256().raw_after_integrity(AttributeType(0x7FF0), &zero),
        refresh().by_sha256().raw_after_integrity(AttributeType::MESSAGE_INTEGRITY, &[9; 20]),
        refresh()
            .by_sha256()
            .raw_after_integrity(AttributeType::MESSAGE_INTEGRITY_SHA256, &[9; 32]),
        refresh().both_integrities().raw_after_integrity(AttributeType::LIFETIME, &zero),
    ] {
        t.check(request.clone(), refreshes(600));
        t.check(request.fingerprint(), refreshes(600));
    }
    let late = create_permission(&[PEER_A]).by_sha256().peer_after_integrity(PEER_B);
    t.check(late, succeeds());
    t.check(send(PEER_B, b"x"), discards(Discard::NoPermission));
    // Both attributes behind it are none at all: the key is by MD5, as it was derived.
    let late = refresh()
        .sha256()
        .raw_after_integrity(AttributeType::PASSWORD_ALGORITHM, &[0, 2, 0, 0])
        .raw_after_integrity(AttributeType::PASSWORD_ALGORITHMS, &[0, 2, 0, 0]);
    t.check(late, refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2.4: "if the MESSAGE-INTEGRITY-SHA256 attribute is present", it decides
fn of_two_integrities_the_stronger_one_decides() {
    let mut t = Turn::allocated();
    t.check(refresh().both_integrities(), refreshes(600));
    // The harness garbles the weaker one.
    t.check(refresh().both_integrities().with_garbled_integrity(), refreshes(600));
    let forged = refresh().raw_after_integrity(AttributeType::MESSAGE_INTEGRITY_SHA256, &[9; 32]);
    t.check(forged.clone(), refuses(401, AuthFailure::WrongIntegrity));
    t.check(forged.fingerprint(), refuses(401, AuthFailure::WrongIntegrity));
    let garbled = refresh().by_sha256().with_garbled_integrity();
    t.check(garbled, refuses(401, AuthFailure::WrongIntegrity));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §14.6: the full 32 bytes unless the usage allows less, and TURN does not
fn a_cut_sha256_integrity_is_refused_whatever_its_length() {
    let mut t = Turn::allocated();
    for bytes in 0..=36 {
        // So that every failure becomes a fact.
        t.advance_s(1);
        let good = bytes == 32;
        let expected =
            || if good { refreshes(600) } else { refuses(401, AuthFailure::WrongIntegrity) };
        t.check(refresh().sha256_cut_to(bytes), expected());
        let by_sha256 = refresh().by(PasswordAlgorithm::Sha256).sha256_cut_to(bytes);
        t.check(by_sha256.fingerprint(), expected());
        let garbled = refresh().sha256_cut_to(bytes).with_garbled_integrity();
        t.check(garbled, refuses(401, AuthFailure::WrongIntegrity));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §14.5: also what makes an Allocate complete must come before
fn what_a_request_needs_must_stand_before_integrity() {
    let mut t = Turn::new();
    let udp = [17, 0, 0, 0];
    let late = allocate_bare().raw_after_integrity(AttributeType::REQUESTED_TRANSPORT, &udp);
    t.check(late, rejects(400));
    let nonce = allocate()
        .without(AttributeType::NONCE)
        .raw_after_integrity(AttributeType::NONCE, b"00000000000000000000");
    t.check(nonce, rejects(400));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §14.5: any bit before it counts, the header included
fn every_flipped_bit_of_a_signed_request_is_refused_or_silent() {
    let mut t = Turn::allocated();
    let good = t.encoded(CLIENT, create_permission(&[PEER_B]).signed_by(static_credential()));
    // The static account is not the owner: even untouched this installs nothing (441).
    let answers = t.exchange(CLIENT, &good);
    assert_eq!(answers[0][24..28], [0, 0, 4, 41]);
    for good in [create_permission(&[PEER_A]), create_permission(&[PEER_A]).by_sha256()] {
        let good = t.encoded(CLIENT, good);
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for answer in t.exchange(CLIENT, &flipped) {
                let is_error = answer[0] == 0x01 && answer[1] & 0x10 != 0;
                assert!(is_error, "bit {bit} of byte {} passed", bit / 8);
            }
            assert_eq!(t.relay.allocation_count(), 1);
        }
    }
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §14: the first of several counts
fn of_duplicate_attributes_the_first_wins() {
    let mut t = Turn::new();
    t.check(allocate().lifetime(700).lifetime(1400), allocates(700));
    let peers = channel_bind(0x4000, PEER_A).peer(PEER_PRIVATE);
    t.check(peers, succeeds());
    t.check(channel_data(0x4000, b"x"), sends_to_peer(PEER_A, b"x"));
    let numbers = channel_bind(0x4001, PEER_B).raw(AttributeType::CHANNEL_NUMBER, &[0x50, 0, 0, 0]);
    t.check(numbers, succeeds());
    t.check(channel_data(0x4001, b"x"), sends_to_peer(PEER_B, b"x"));
    t.check(refresh().lifetime(800).lifetime(0), refreshes(800));
    // USERNAME twice: the first is not the user that the key belongs to.
    let twice = refresh().raw(AttributeType::USERNAME, b"1899999999:eve");
    t.check(twice, refuses(401, AuthFailure::WrongIntegrity));
    t.check_nothing_left_after_s(800);
}

#[test] // RFC 8489 §14.5: integrity of any other length than 20 is none
fn an_integrity_of_the_wrong_length_is_refused() {
    let mut t = Turn::new();
    for length in [0, 1, 19, 21, 32] {
        let request = allocate()
            .unsigned()
            .raw(AttributeType::USERNAME, b"1899999999:alice")
            .raw(AttributeType::REALM, b"turnbell")
            .raw(AttributeType::NONCE, &[b'0'; 28])
            .raw(AttributeType::MESSAGE_INTEGRITY, &vec![0; length]);
        t.check(request, refuses(401, AuthFailure::WrongIntegrity));
    }
    t.check_nothing_left_after_s(0);
}
