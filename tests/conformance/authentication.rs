//! The long-term credential mechanism (RFC 8489 §9.2.4): the checks, their order, their answers.

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::fact::EndReason;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method};

use crate::support::event::{
    after_s, allocate, allocate_bare, binding, channel_bind, create_permission, refresh, request,
};
use crate::support::expectation::{
    Expectation, allocates, asks_for_socket, ends, maps, refreshes, refuses, rejects,
    rejects_unknown, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::request::{Credential, Request};
use crate::support::setup::{
    LATE_S, START_S, credential, credential_of_username, credential_until, static_credential,
};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A};

const TURN_METHODS: [Method; 6] = [
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
];

#[test] // RFC 8489 §9.2.4: no MESSAGE-INTEGRITY
fn every_turn_request_without_integrity_is_challenged_with_realm_and_nonce() {
    let mut t = Turn::new();
    for method in TURN_METHODS {
        t.check(request(method).unsigned(), rejects(401));
        t.check(request(method).unsigned().fingerprint(), rejects(401));
        // USERNAME, REALM and NONCE alone prove nothing.
        let half = request(method)
            .unsigned()
            .raw(AttributeType::USERNAME, b"1899999999:alice")
            .raw(AttributeType::REALM, b"turnbell")
            .raw(AttributeType::NONCE, b"x");
        t.check(half, rejects(401));
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §9.2.4: integrity, but a part of what it needs is missing
fn integrity_without_username_realm_or_nonce_is_400_and_unsigned() {
    let mut t = Turn::new();
    for method in TURN_METHODS {
        for missing in [AttributeType::USERNAME, AttributeType::REALM, AttributeType::NONCE] {
            t.check(request(method).without(missing), rejects(400));
            t.check(request(method).by_sha256().without(missing), rejects(400));
        }
    }
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §9.2.4: name, then integrity, then nonce
fn every_failure_is_401_to_the_client_and_the_true_cause_in_the_record() {
    let with = |c: Credential| allocate().signed_by(c);
    let expired = || credential_until("alice", START_S - 31);
    let mut t = Turn::new();
    t.check(with(Credential::new("nobody", "x")), refuses(401, AuthFailure::NoSuchUser));
    t.check(
        with(Credential::new("1899999999:alice", "guess")),
        refuses(401, AuthFailure::WrongIntegrity),
    );
    t.check(with(expired()), refuses(401, AuthFailure::Expired { ago_s: 31 }));
    t.check(
        with(credential("alice").in_realm("elsewhere")),
        refuses(401, AuthFailure::UnknownRealm),
    );
    t.check(with(Credential::new("static", "x")), refuses(401, AuthFailure::WrongIntegrity));
    t.check(allocate().with_garbled_integrity(), refuses(401, AuthFailure::WrongIntegrity));
    // A wrong password with a wrong nonce: the password is what is said.
    let both = with(Credential::new("1899999999:alice", "guess")).nonce("a".repeat(28));
    t.check(both, refuses(401, AuthFailure::WrongIntegrity));
    let stale = allocate().nonce("a".repeat(28));
    t.check(stale, refuses(438, AuthFailure::StaleNonce));
    t.check_nothing_left_after_s(0);
}

#[test] // decisions R24: 30 s of skew are forgiven
fn a_credential_is_good_until_30_s_after_its_expiry() {
    for (ago_s, good) in [(-60, true), (0, true), (30, true), (31, false), (3600, false)] {
        let mut t = Turn::new();
        let request = allocate().signed_by(credential_until("alice", START_S - ago_s));
        let expected =
            if good { allocates(600) } else { refuses(401, AuthFailure::Expired { ago_s }) };
        t.check(request, expected);
        t.check_nothing_left_after_s(600);
    }
}

#[test] // RFC 8489 §9.2.4: static accounts beside time-limited ones
fn a_static_account_and_every_active_secret_are_accepted() {
    let mut t = Turn::new();
    t.check(allocate().signed_by(static_credential()), allocates(600));
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §5, and lifetimes are counted on the clock that never jumps
fn a_jump_of_the_wall_clock_touches_credentials_and_nothing_else() {
    let day = 86_400;
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.jump_unix_s(20 * day);
    t.check(create_permission(&[PEER_A]), succeeds());
    let late = allocate().at(CLIENT_B);
    let ago_s = 10 * day;
    t.check(late, refuses(401, AuthFailure::Expired { ago_s }).at(CLIENT_B));
    t.jump_unix_s(-40 * day);
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.advance_s(599);
    let both = ends(EndReason::Expired).and(ends(EndReason::Expired));
    t.check(after_s(1), both);
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §6.3: authentication, then unknown attributes, then the rest
fn authentication_comes_before_unknown_attributes_and_both_before_everything_else() {
    let unknown = AttributeType(0x7FF0);
    let odd = || allocate_bare().raw(unknown, &[1, 2, 3, 4]);
    let mut t = Turn::new();
    t.check(odd().unsigned(), rejects(401));
    t.check(allocate_bare().unsigned(), rejects(401));
    t.check(odd().without(AttributeType::NONCE), rejects(400));
    t.check(odd().with_garbled_integrity(), refuses(401, AuthFailure::WrongIntegrity));
    t.check(odd().nonce("stale"), refuses(438, AuthFailure::StaleNonce));
    t.check(odd(), rejects_unknown(&[0x7FF0]));
    t.check(refresh().raw(unknown, &[]), rejects_unknown(&[0x7FF0]));
    t.check(allocate_bare(), rejects(400));
    t.check(refresh(), rejects(437));
    t.check(request(Method::CONNECT).raw(unknown, &[]), rejects_unknown(&[0x7FF0]));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §9.2.4, end; §14.7: signed answers, FINGERPRINT where the request had one
fn answers_to_authenticated_requests_are_signed_and_mirror_the_fingerprint() {
    // The harness checks both on every answer; here is one of each kind with FINGERPRINT.
    let mut t = Turn::new();
    t.check(allocate_bare().fingerprint(), rejects(400));
    t.check(allocate().fingerprint().id(1), allocates(600));
    t.check(allocate().fingerprint(), rejects(437));
    t.check(create_permission(&[PEER_A]).fingerprint(), succeeds());
    t.check(channel_bind(0x4000, PEER_A).fingerprint(), succeeds());
    t.check(refresh().fingerprint(), refreshes(600));
    t.check(refresh().nonce("old").fingerprint(), refuses(438, AuthFailure::StaleNonce));
    t.check(binding().fingerprint(), maps());
    t.check(refresh().signed_by(credential("bob")).fingerprint(), rejects(441));
    t.check_nothing_left_after_s(600);

    let mut t = Turn::new();
    t.ledger.mood = Mood::Refuses(turnbell::turn::contract::Why::Ports);
    let asks = asks_for_socket(turnbell::wire::address::Family::V4);
    t.check(allocate().fingerprint(), asks.and(rejects(508)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §5: security.md B5
fn a_request_by_another_valid_user_is_441_and_changes_nothing() {
    let bob = || credential("bob");
    let mut t = Turn::allocated();
    t.check(refresh().lifetime(0).signed_by(bob()), rejects(441));
    t.check(create_permission(&[PEER_A]).signed_by(bob()), rejects(441));
    t.check(channel_bind(0x4000, PEER_A).signed_by(bob()), rejects(441));
    // The same user by a later credential is another username, too.
    let later = credential_until("alice", START_S + 86_400);
    t.check(refresh().signed_by(later), rejects(441));
    // A wrong password stays 401, also for the owner's name.
    let wrong = Credential::new(credential("alice").username, "guess");
    t.check(refresh().signed_by(wrong), refuses(401, AuthFailure::WrongIntegrity));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §5: who is wrong twice hears of the allocation first
fn without_an_allocation_a_request_is_437_whoever_asks() {
    let mut t = Turn::new();
    for request in [refresh(), create_permission(&[PEER_A]), channel_bind(0x4000, PEER_A)] {
        t.check(request.clone(), rejects(437));
        t.check(request.signed_by(credential("bob")), rejects(437));
    }
    t.check(create_permission(&[]), rejects(437));
    t.check_nothing_left_after_s(0);
}

#[test] // security.md B9: nobody learns from the answer which part was wrong
fn refusals_for_different_causes_are_the_same_bytes_except_for_nothing() {
    let mut t = Turn::with(|setup| setup.issued.push(("known", LATE_S)));
    let nonce = t.ask_for_nonce(CLIENT);
    let causes = [
        allocate().signed_by(Credential::new("1899999999:nobody", "x")),
        allocate().signed_by(Credential::new("nobody", "x")),
        allocate().signed_by(Credential::new("static", "x")),
        allocate().signed_by(Credential::new(credential("alice").username, "x")),
        allocate().signed_by(credential_until("alice", START_S - 3600)),
        allocate().signed_by(credential("alice").in_realm("other")),
        allocate().with_garbled_integrity(),
        allocate().by_sha256().with_garbled_integrity(),
        allocate().signed_by(Credential::new("nobody", "x")).by_sha256(),
        allocate().signed_by(Credential::new("static", "x")).hashed(),
        allocate().signed_by(Credential::new("1899999999:nobody", "x")).hashed().by_sha256(),
        allocate().signed_by(credential("known")).hashed().with_garbled_integrity(),
        allocate().without(AttributeType::USERNAME).raw(AttributeType::USERHASH, &[]),
        allocate().unsigned(),
        allocate_bare().unsigned(),
    ];
    let answers: Vec<Vec<u8>> = causes
        .into_iter()
        .map(|request| {
            let bytes = t.encoded(CLIENT, request.id(5).nonce(nonce.clone()));
            let [answer] = <[Vec<u8>; 1]>::try_from(t.exchange(CLIENT, &bytes)).unwrap();
            answer
        })
        .collect();
    assert_eq!(answers[0][24..28], [0, 0, 4, 1]);
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
}

#[test] // security.md B10: usernames that somebody signed with the secret all the same
fn odd_usernames_are_refused_and_never_a_panic() {
    let mut t = Turn::new();
    let long = format!("1899999999:{}", "x".repeat(1024));
    for username in [
        &b"9999999999999999999999:a"[..],
        b"-1:a",
        b"0x7fffffff:a",
        b" 1899999999:a",
        b"1899999999",
        b":a",
        b"+1e9:a",
        b"",
        b"1899999999:\xFF\xFE",
        long.as_bytes(),
    ] {
        let signed = std::str::from_utf8(username).map(credential_of_username);
        let signed = signed.unwrap_or_else(|_| Credential::new(username, "x"));
        let seen = t.act(allocate().signed_by(signed).into());
        let code = crate::support::expectation::Seen::Answer(
            CLIENT,
            crate::support::answer::Answer::Error(401),
        );
        assert!(seen.contains(&code), "{username:?}: {seen:?}");
        assert_eq!(seen.len(), 2, "an answer and a fact: {seen:?}");
    }
    t.check_nothing_left_after_s(0);
}

#[test] // decisions R24: what stands after the first colon is opaque when verifying
fn whatever_the_holder_of_the_secret_signed_behind_the_colon_is_a_user() {
    for username in ["1899999999:", "1899999999:a:b", "1899999999:a\0b", "1899999999:Ünï/x"] {
        let mut t = Turn::new();
        t.check(allocate().signed_by(credential_of_username(username)), allocates(600));
        t.check_nothing_left_after_s(600);
        let unsigned = allocate().signed_by(Credential::new(username, "guess"));
        t.check(unsigned, refuses(401, AuthFailure::WrongIntegrity));
        t.check_nothing_left_after_s(0);
    }
}

#[test] // RFC 8489 §14.3: at most 508 bytes
fn a_username_of_508_bytes_is_looked_at_and_one_more_is_refused() {
    let signed = |bytes: usize| {
        let expiry = "1899999999:";
        credential_of_username(&format!("{expiry}{}", "u".repeat(bytes - expiry.len())))
    };
    let mut t = Turn::new();
    t.check(allocate().signed_by(signed(508)), allocates(600));
    let long = allocate().signed_by(signed(509)).at(CLIENT_B);
    t.check(long, refuses(401, AuthFailure::NoSuchUser).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // limits.rs: 10 failures a second become facts, after 100 at once; the rest is counted
fn a_flood_of_failures_is_answered_but_not_written_down_one_by_one() {
    let mut t = Turn::new();
    let wrong = || allocate().signed_by(Credential::new("1899999999:a", "x"));
    for _ in 0..100 {
        t.check(wrong(), refuses(401, AuthFailure::WrongIntegrity));
    }
    for _ in 0..50 {
        t.check(wrong(), rejects(401));
    }
    t.advance_s(1);
    for _ in 0..10 {
        t.check(wrong(), refuses(401, AuthFailure::WrongIntegrity));
    }
    t.check(wrong(), rejects(401));
    assert_eq!(t.relay.counters().auth_failures().map(|(_, count)| count).sum::<u64>(), 161);
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §6.3.1.1: Binding needs no authentication and gets none
fn a_binding_is_answered_without_and_despite_credentials() {
    let mut t = Turn::new();
    let method = || Request::new(Class::Request, Method::BINDING);
    t.check(method(), maps());
    t.check(method().signed_by(Credential::new("x", "y")), maps());
    t.check(method().at(CLIENT_B), maps().at(CLIENT_B));
    let v6 = crate::support::CLIENT_V6;
    t.check(method().at(v6), maps().at(v6));
    t.check(method().raw(AttributeType(0x0003), &[0; 4]), rejects_unknown(&[3]));
    t.check(method().raw(AttributeType(0x0003), &[]).fingerprint(), rejects_unknown(&[3]));
    t.check(method().raw(AttributeType(0x8000), &[0; 4]), maps());
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 6062 is not offered: security.md A8
fn connect_and_connection_bind_are_400() {
    let mut t = Turn::allocated();
    for method in [Method::CONNECT, Method::CONNECTION_BIND] {
        t.check(request(method).peer(PEER_A), rejects(400));
    }
    let nothing: Expectation = crate::support::expectation::nothing();
    t.check(after_s(1), nothing);
    t.check_nothing_left_after_s(599);
}
