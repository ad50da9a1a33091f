//! USERHASH (RFC 8489 §14.4; decisions R10): whose hash is recognised, and who that is then.

use turnbell::auth::credential::AuthFailure;
use turnbell::auth::user_hash::UserHash;
use turnbell::turn::contract::{Input, Output};
use turnbell::turn::fact::Fact;
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{allocate, create_permission, refresh};
use crate::support::expectation::{allocates, refreshes, refuses, rejects, succeeds};
use crate::support::request::{Credential, Request};
use crate::support::setup::{LATE_S, START_S, credential, credential_until, static_credential};
use crate::support::turn::{Turn, server_for};
use crate::support::{CLIENT, CLIENT_B, PEER_A};

const USERNAME: AttributeType = AttributeType::USERNAME;
const USERHASH: AttributeType = AttributeType::USERHASH;

/// A relay whose daemon issued credentials for alice and bob.
fn turn() -> Turn {
    Turn::with(|setup| setup.issued = vec![("alice", LATE_S), ("bob", LATE_S)])
}

/// The facts of one request.
fn facts(t: &mut Turn, request: Request) -> Vec<Fact> {
    let bytes = t.encoded(CLIENT, request);
    let tuple = FiveTuple::udp(CLIENT, server_for(CLIENT));
    t.relay.handle(t.now, Input::Datagram { tuple, bytes: &bytes });
    let mut facts = Vec::new();
    while let Some(output) = t.relay.poll() {
        if let Output::Fact(fact) = output {
            facts.push(fact);
        }
    }
    facts
}

#[test] // RFC 8489 §14.4
fn a_hash_of_an_issued_credential_and_of_a_static_account_is_as_good_as_the_name() {
    let mut t = turn();
    t.check(allocate().hashed().by_sha256(), allocates(600));
    t.check(create_permission(&[PEER_A]).hashed().by_sha256(), succeeds());
    t.check(refresh().hashed(), refreshes(600));
    t.check(refresh().hashed().with_garbled_integrity(), refuses(401, AuthFailure::WrongIntegrity));
    let account = allocate().signed_by(static_credential()).hashed().by_sha256();
    t.check(account.at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R10: a hash cannot be turned round
fn a_hash_of_a_credential_that_another_backend_issued_is_401() {
    let mut t = turn();
    let carol = || allocate().signed_by(credential("carol"));
    t.check(carol().hashed(), refuses(401, AuthFailure::NoSuchUser));
    t.check(carol().hashed().by_sha256(), refuses(401, AuthFailure::NoSuchUser));
    // Not even the same user with another expiry.
    let other = allocate().signed_by(credential_until("alice", LATE_S + 1));
    t.check(other.hashed(), refuses(401, AuthFailure::NoSuchUser));
    let elsewhere = allocate().signed_by(credential("alice").in_realm("elsewhere"));
    t.check(elsewhere.hashed(), refuses(401, AuthFailure::UnknownRealm));
    // By name she is welcome; and once she is in, she is recognised by her allocation.
    t.check(carol(), allocates(600));
    t.check(refresh().signed_by(credential("carol")).hashed().by_sha256(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8489 §14.4: 32 bytes
fn a_hash_of_another_length_or_of_nobody_is_401() {
    let mut t = turn();
    let hash = UserHash::of(&credential("alice").username, b"turnbell");
    let longer = [&hash.as_bytes()[..], &[0; 4]].concat();
    for bad in [&[][..], &hash.as_bytes()[..31], &longer, &[0; 32], &[0xFF; 600]] {
        let request = allocate().without(USERNAME).raw(USERHASH, bad);
        t.check(request.clone(), refuses(401, AuthFailure::NoSuchUser));
        t.check(request.by_sha256(), refuses(401, AuthFailure::NoSuchUser));
    }
    // What stands in for a name that is not known is no name either.
    let nobody = Credential::new(&b"\0 nobody has this name"[..], "");
    t.check(allocate().signed_by(nobody.clone()), refuses(401, AuthFailure::NoSuchUser));
    t.check(allocate().signed_by(nobody).hashed(), refuses(401, AuthFailure::NoSuchUser));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8489 §9.2.4: "either the USERNAME or USERHASH"
fn beside_a_name_a_hash_is_not_looked_at() {
    let mut t = turn();
    t.check(allocate().raw(USERHASH, &[7; 32]), allocates(600));
    let bob = UserHash::of(&credential("bob").username, b"turnbell");
    t.check(refresh().raw(USERHASH, bob.as_bytes()).by_sha256(), refreshes(600));
    t.check(refresh().without(USERNAME), rejects(400));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §5: the owner is a name, however it is said
fn the_hash_of_another_user_is_441_and_the_name_behind_the_own_one_is_not() {
    let mut t = turn();
    t.check(allocate().hashed(), allocates(600));
    t.check(refresh(), refreshes(600));
    let bob = || refresh().lifetime(0).signed_by(credential("bob")).hashed();
    t.check(bob(), rejects(441));
    t.check(bob().by_sha256(), rejects(441));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R24: expiry is judged for the name behind the hash
fn the_hash_of_an_expired_credential_refreshes_what_it_made_and_opens_nothing_new() {
    let until = START_S + 100;
    let brief = |request: Request| request.signed_by(credential_until("alice", until)).hashed();
    let mut t = Turn::with(|setup| setup.issued.push(("alice", until)));
    t.check(brief(allocate()).by_sha256(), allocates(600));
    t.advance_s(131);
    t.check(brief(refresh()), refreshes(600));
    let late = refuses(401, AuthFailure::Expired { ago_s: 31 });
    t.check(brief(allocate()).at(CLIENT_B), late.at(CLIENT_B));
    t.check_nothing_left_after_s(600);
}

#[test] // decisions R10: the record speaks of names
fn facts_carry_the_name_behind_a_hash_and_the_hash_where_there_is_none() {
    let mut t = turn();
    let name = |facts: &[Fact]| match facts {
        [Fact::AuthenticationFailed { username, .. }] => username.to_string(),
        other => panic!("{other:?}"),
    };
    let garbled = facts(&mut t, allocate().hashed().with_garbled_integrity());
    assert_eq!(name(&garbled), format!("{LATE_S}:alice"));
    let stranger = allocate().without(USERNAME).raw(USERHASH, &[0xAB; 32]);
    assert_eq!(name(&facts(&mut t, stranger)), format!("userhash {}", "ab".repeat(32)));
    let long = allocate().without(USERNAME).raw(USERHASH, &[0xAB; 600]);
    assert_eq!(name(&facts(&mut t, long)), format!("userhash {}", "ab".repeat(32)));

    t.check(allocate().hashed(), allocates(600));
    assert_eq!(&*t.relay.allocations(t.now)[0].user, "alice");
    t.check_nothing_left_after_s(600);
}
