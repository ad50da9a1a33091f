//! What a credential's expiry ends: new allocations, or with `strict` the old ones, too.

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;
use turnbell::turn::guard::ExpiryRule;
use turnbell::wire::address::Family;

use crate::support::event::{
    after_s, allocate, create_permission, from_peer, refresh, socket_opened,
};
use crate::support::expectation::{
    Expectation, Seen, allocates, asks_for_socket, begins, discards, ends, refreshes, refuses,
    rejects, sends_data_indication, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::request::Credential;
use crate::support::setup::{START_S, credential_until, static_credential};
use crate::support::turn::Turn;
use crate::support::{CLIENT_B, PEER_A};

fn turn(rule: ExpiryRule) -> Turn {
    Turn::with(|setup| setup.guard.rules.expiry = rule)
}

fn until(seconds: i64) -> Credential {
    credential_until("alice", START_S + seconds)
}

#[test]
fn an_allocation_outlives_its_credential_unless_the_rule_is_strict() {
    let mut t = turn(ExpiryRule::Allocate);
    t.check(allocate().signed_by(until(60)), allocates(600));
    t.advance_s(599);
    t.check(refresh().signed_by(until(60)), refreshes(600));
    t.check(
        allocate().signed_by(until(60)).at(CLIENT_B),
        refuses(401, AuthFailure::Expired { ago_s: 539 }).at(CLIENT_B),
    );
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_strict_allocation_lives_until_its_credential_expires_and_ends_then() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(until(60)), allocates(60));
    t.check(create_permission(&[PEER_A]).signed_by(until(60)), succeeds());
    t.advance_s(59);
    t.check(refresh().signed_by(until(60)), refreshes(1));
    t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"x"));
    t.check(after_s(1), ends(EndReason::CredentialExpired));
    t.check(refresh().signed_by(until(60)), refuses(401, AuthFailure::Expired { ago_s: 0 }));
    t.check(allocate().signed_by(until(60)), refuses(401, AuthFailure::Expired { ago_s: 0 }));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_strict_allocation_carries_nothing_after_its_credentials_end_though_the_tick_is_late() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(until(60)), allocates(60));
    t.check(create_permission(&[PEER_A]).signed_by(until(60)), succeeds());
    t.advance_without_tick(std::time::Duration::from_secs(60));
    t.check(from_peer(PEER_A, b"x"), discards(Discard::NoAllocation));
    t.check(after_s(0), ends(EndReason::CredentialExpired));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_strict_allocation_whose_client_left_earlier_just_expires() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(until(601)), allocates(600));
    t.check(after_s(600), ends(EndReason::Expired));
    t.check(allocate().signed_by(until(601)), allocates(1));
    t.check(refresh().lifetime(0).signed_by(until(601)), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_clock_that_jumps_over_the_expiry_ends_a_strict_allocations_refreshes() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(until(300)), allocates(300));
    t.jump_unix_s(400);
    t.check(refresh().signed_by(until(300)), refuses(401, AuthFailure::Expired { ago_s: 100 }));
    t.check(after_s(300), ends(EndReason::CredentialExpired));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_static_account_never_expires_strictly_or_not() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(static_credential()), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_rule_that_becomes_strict_ends_what_is_live_at_its_credentials_end_and_the_other_way_round() {
    let mut t = turn(ExpiryRule::Allocate);
    t.check(allocate().signed_by(until(60)), allocates(600));
    t.check(allocate().signed_by(static_credential()).at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.replace(|setup| setup.guard.rules.expiry = ExpiryRule::Strict);
    t.advance_s(59);
    t.check(refresh().signed_by(until(60)), refreshes(1));
    t.check(after_s(1), ends(EndReason::CredentialExpired));
    t.check(allocate().signed_by(until(100)), allocates(40));
    t.replace(|setup| setup.guard.rules.expiry = ExpiryRule::Allocate);
    t.check(refresh().signed_by(until(100)), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_rule_that_becomes_strict_ends_at_once_what_outlived_its_credential() {
    let mut t = turn(ExpiryRule::Allocate);
    t.check(allocate().signed_by(until(60)), allocates(600));
    t.advance_s(100);
    t.replace(|setup| setup.guard.rules.expiry = ExpiryRule::Strict);
    t.check(after_s(0), ends(EndReason::CredentialExpired));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_strict_allocation_whose_socket_took_its_time_ends_at_its_credentials_end_all_the_same() {
    let mut t = turn(ExpiryRule::Strict);
    t.ledger.mood = Mood::Waits;
    t.check(allocate().signed_by(until(60)), asks_for_socket(Family::V4));
    t.check(allocate().signed_by(until(30)).at(CLIENT_B), asks_for_socket(Family::V4));
    t.advance_s(30);
    t.check(socket_opened(Ok(())), begins(30));
    let closed = Expectation(vec![Seen::ClosesSocket]);
    t.check(socket_opened(Ok(())), closed.and(rejects(508)).at(CLIENT_B));
    t.check(after_s(30), ends(EndReason::CredentialExpired));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_strict_allocation_that_makes_room_before_its_tick_says_that_its_credential_expired() {
    let mut t = turn(ExpiryRule::Strict);
    t.check(allocate().signed_by(until(60)), allocates(60));
    t.advance_without_tick(std::time::Duration::from_secs(60));
    let replaced = ends(EndReason::CredentialExpired).and(allocates(40));
    t.check(allocate().signed_by(until(100)), replaced);
    t.check(after_s(40), ends(EndReason::CredentialExpired));
    t.check_nothing_left_after_s(0);
}
