//! Password algorithms and attempts to bid them down (RFC 8489 §9.2.1, §9.2.4; decisions R10).

use turnbell::auth::credential::AuthFailure;
use turnbell::auth::key::PasswordAlgorithm;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{allocate, allocate_bare, channel_bind, create_permission, refresh};
use crate::support::expectation::{
    Expectation, allocates, asks_for_socket, refreshes, refuses, rejects, rejects_unknown, repeats,
    succeeds,
};
use crate::support::ledger::Mood;
use crate::support::request::{Credential, Request};
use crate::support::setup::{START_S, credential, credential_until, static_credential};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A};

const LIST: AttributeType = AttributeType::PASSWORD_ALGORITHMS;
const CHOSEN: AttributeType = AttributeType::PASSWORD_ALGORITHM;
/// As it is sent: SHA-256, then MD5.
const OFFER: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];

fn wrong() -> Expectation {
    refuses(401, AuthFailure::WrongIntegrity)
}

fn stale() -> Expectation {
    refuses(438, AuthFailure::StaleNonce)
}

/// Every way to answer the offer that is not allowed, on top of `request`.
fn tampered(request: &Request) -> Vec<Request> {
    let with = |list: &[u8], chosen: &[u8]| request.clone().raw(LIST, list).raw(CHOSEN, chosen);
    vec![
        // One without the other.
        request.clone().raw(LIST, OFFER),
        request.clone().raw(CHOSEN, &[0, 2, 0, 0]),
        request.clone().raw(CHOSEN, &[0, 1, 0, 0]),
        request.clone().raw(LIST, &[]),
        request.clone().raw(CHOSEN, &[]),
        // A list that was not offered.
        with(&[0, 1, 0, 0], &[0, 1, 0, 0]),
        with(&[0, 2, 0, 0], &[0, 2, 0, 0]),
        with(&[0, 1, 0, 0, 0, 2, 0, 0], &[0, 1, 0, 0]),
        with(&[0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0], &[0, 2, 0, 0]),
        with(&[0, 2, 0, 0, 0, 1, 0], &[0, 2, 0, 0]),
        with(&[], &[0, 1, 0, 0]),
        // The first of two lists counts.
        request.clone().raw(LIST, &[0, 1, 0, 0]).raw(LIST, OFFER).raw(CHOSEN, &[0, 1, 0, 0]),
        // An algorithm that is not in it.
        with(OFFER, &[0, 0, 0, 0]),
        with(OFFER, &[0, 3, 0, 0]),
        with(OFFER, &[0x80, 2, 0, 0]),
        with(OFFER, &[0, 2]),
        with(OFFER, &[0, 2, 0, 4, 1, 2, 3, 4]),
        with(OFFER, OFFER),
        with(OFFER, &[]),
    ]
}

#[test] // RFC 8489 §9.2.4, end: the harness checks key and kind of every answer's integrity
fn each_algorithm_goes_with_each_integrity_and_answers_are_signed_by_the_one_that_is_due() {
    for algorithm in PasswordAlgorithm::OFFERED {
        let mut t = Turn::new();
        let by = |request: Request| request.by(algorithm);
        t.check(by(allocate()).sha256().id(9), allocates(600));
        t.check(by(allocate()).sha256().id(9), repeats(600));
        t.check(by(allocate()).sha256(), rejects(437));
        t.check(by(create_permission(&[PEER_A])), succeeds());
        t.check(by(channel_bind(0x4000, PEER_A)).both_integrities(), succeeds());
        t.check(by(refresh()).sha256().fingerprint(), refreshes(600));
        t.check(by(refresh()).nonce("old").sha256(), stale());
        t.check(by(refresh()).sha256().signed_by(static_credential()), rejects(441));
        let odd = by(refresh()).sha256().raw(AttributeType(0x7FF0), &[]);
        t.check(odd, rejects_unknown(&[0x7FF0]));
        t.check_nothing_left_after_s(600);

        let mut t = Turn::new();
        t.ledger.mood = Mood::Refuses(turnbell::turn::contract::Why::UserQuota);
        let asks = asks_for_socket(turnbell::wire::address::Family::V4);
        t.check(by(allocate()).sha256().fingerprint(), asks.and(rejects(486)));
        t.check_nothing_left_after_s(0);
    }
    // Named by nobody, so MD5, and MESSAGE-INTEGRITY in the answer to either kind.
    let mut t = Turn::new();
    t.check(allocate().sha256(), allocates(600));
    t.check(refresh().both_integrities(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §18.5.1: the key is made by the algorithm that is named
fn a_key_by_another_algorithm_than_the_named_one_is_401() {
    let mut t = Turn::new();
    let [sha256, md5] = PasswordAlgorithm::OFFERED;
    for request in [allocate(), allocate().sha256(), allocate().signed_by(static_credential())] {
        t.check(request.clone().with_key_by(sha256), wrong());
        t.check(request.clone().by(sha256).with_key_by(md5), wrong());
        t.check(request.by(md5).with_key_by(sha256), wrong());
    }
    t.check_nothing_left_after_s(0);
    // Nor does the key of a live allocation fit under another algorithm's name.
    for made_by in [sha256, md5] {
        let mut t = Turn::new();
        t.check(allocate().by(made_by).sha256(), allocates(600));
        for named in [sha256, md5].into_iter().filter(|named| *named != made_by) {
            t.check(refresh().by(named).with_key_by(made_by).sha256(), wrong());
            t.check(refresh().by(named).sha256(), refreshes(600));
        }
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8489 §9.2.4: both or neither, the list as it was sent, the algorithm from it
fn a_single_a_changed_and_a_foreign_algorithm_are_400_and_unsigned() {
    let mut t = Turn::allocated();
    for request in [refresh(), refresh().sha256(), refresh().fingerprint()] {
        for request in tampered(&request) {
            t.check(request, rejects(400));
        }
    }
    for request in tampered(&allocate()) {
        t.check(request.at(CLIENT_B), rejects(400).at(CLIENT_B));
    }
    // The first of two algorithms counts.
    t.check(refresh().by_sha256().raw(CHOSEN, &[0, 1, 0, 0]), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2.1: somebody on the path rewrote the challenge to take the algorithms away
fn a_nonce_whose_security_bits_were_altered_is_438_to_who_knows_the_password() {
    let mut t = Turn::new();
    let nonce = t.ask_for_nonce(CLIENT);
    let with_bits = |bits: &[u8; 4]| [&nonce[..9], bits, &nonce[13..]].concat();
    // Password algorithms cleared; all bits cleared; only anonymity; the whole cookie cut off.
    let cleared =
        [with_bits(b"AAAA"), with_bits(b"QAAA"), with_bits(b"gAA="), nonce[13..].to_vec()];
    for nonce in cleared {
        t.check(allocate().nonce(nonce.clone()), stale());
        t.check(allocate().by_sha256().nonce(nonce.clone()), stale());
        // No offer in this nonce, so the two attributes are not held against one.
        t.check(allocate().raw(LIST, OFFER).nonce(nonce.clone()), stale());
        t.check(allocate().raw(CHOSEN, &[0, 7, 0, 0]).nonce(nonce.clone()), stale());
        t.check(allocate().with_garbled_integrity().nonce(nonce.clone()), wrong());
    }
    // Bits added: there is an offer in it still.
    for nonce in [with_bits(b"wAAA"), with_bits(b"////"), with_bits(b"gAAB")] {
        t.check(allocate().nonce(nonce.clone()), stale());
        t.check(allocate().by_sha256().nonce(nonce.clone()), stale());
        t.check(allocate().raw(LIST, OFFER).nonce(nonce.clone()), rejects(400));
        t.check(allocate().by_sha256().with_garbled_integrity().nonce(nonce), wrong());
    }
    t.check(allocate().by_sha256().nonce(nonce), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §9.2.4: "performs the checks listed below in the order specified"
fn of_several_faults_the_first_in_the_order_of_the_rfc_is_answered() {
    let mut t = Turn::new();
    let nobody = || Credential::new("nobody", "x");
    // An offer, but not a nonce of ours.
    let old = || b"obMatJos2gAAAold".to_vec();
    let odd = || allocate_bare().raw(AttributeType(0x7FF0), &[]).raw(CHOSEN, &[0, 3, 0, 0]);
    // 1: no integrity, and everything else wrong as well.
    t.check(odd().unsigned().raw(AttributeType::NONCE, &old()), rejects(401));
    // 2: a part missing, before algorithms, name and nonce.
    for missing in [AttributeType::USERNAME, AttributeType::REALM] {
        t.check(odd().signed_by(nobody()).nonce(old()).without(missing), rejects(400));
    }
    // 3: algorithms, before name, integrity and nonce; no failure is written down.
    t.check(odd().signed_by(nobody()).nonce(old()), rejects(400));
    t.check(odd().with_garbled_integrity().nonce(old()), rejects(400));
    t.check(odd().nonce(old()), rejects(400));
    // 4 and 5: name and integrity, before the nonce.
    let odd = || allocate_bare().raw(AttributeType(0x7FF0), &[]).by_sha256();
    let unknown = odd().signed_by(nobody()).nonce(old());
    t.check(unknown, refuses(401, AuthFailure::NoSuchUser));
    t.check(odd().with_garbled_integrity().nonce(old()), wrong());
    let expired = odd().signed_by(credential_until("alice", START_S - 31)).nonce(old());
    t.check(expired, refuses(401, AuthFailure::Expired { ago_s: 31 }));
    // 6: the nonce, before what the request asks for.
    t.check(odd().nonce(old()), stale());
    t.check(odd(), rejects_unknown(&[0x7FF0]));
    t.check(allocate_bare().by_sha256(), rejects(400));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §5: the same username, whichever form proves it
fn an_allocation_made_in_one_form_is_used_in_the_other_even_after_its_credential_expired() {
    let brief = || credential_until("alice", START_S + 100);
    let plain = |request: Request| request.signed_by(brief());
    let strong = |request: Request| request.signed_by(brief()).by_sha256();
    let forms: [&dyn Fn(Request) -> Request; 2] = [&plain, &strong];
    for (first, second) in [(0, 1), (1, 0), (0, 0), (1, 1)].map(|(a, b)| (forms[a], forms[b])) {
        let mut t = Turn::new();
        t.check(first(allocate()), allocates(600));
        t.check(second(refresh()), refreshes(600));
        t.advance_s(400);
        t.check(second(create_permission(&[PEER_A])), succeeds());
        t.check(second(refresh()), refreshes(600));
        t.check(first(refresh()), refreshes(600));
        t.check(second(refresh()).with_garbled_integrity(), wrong());
        // It opens nothing new: there expiry counts.
        let late = refuses(401, AuthFailure::Expired { ago_s: 300 });
        t.check(second(allocate()).at(CLIENT_B), late.at(CLIENT_B));
        // Another user stays another user.
        let bob = || refresh().signed_by(credential("bob"));
        t.check(bob(), rejects(441));
        t.check(bob().by_sha256(), rejects(441));
        t.check_nothing_left_after_s(600);
    }
}
