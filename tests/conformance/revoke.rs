//! Revoked users: what they have ends, and their credentials are refused however right they are.

use turnbell::auth::credential::AuthFailure;
use turnbell::limits::revocation::REVOCATIONS_MAX;
use turnbell::turn::contract::{Command, Input};
use turnbell::turn::fact::EndReason;
use turnbell::turn::revocation::Revocation;

use crate::support::event::{Event, after_s, allocate, refresh, socket_opened};
use crate::support::expectation::{
    Expectation, Seen, allocates, asks_for_socket, ends, nothing, refreshes, refuses, rejects,
};
use crate::support::ledger::Mood;
use crate::support::setup::{START_S, credential, credential_of_username, static_credential};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, v4};

fn revocation(user: &str, until_s: Option<i64>) -> Revocation {
    let until_unix_ms = until_s.map(|s| (START_S + s) * 1000);
    Revocation { user: user.into(), until_unix_ms }
}

/// Carries the command out; what ended is seen with the next event.
fn revoke(t: &mut Turn, user: &str, until_s: Option<i64>) -> Option<usize> {
    t.relay.carry_out(t.now, Command::Revoke(revocation(user, until_s)))
}

fn restore(t: &mut Turn, user: &str) {
    t.relay.handle(t.now, Input::Command(Command::Restore { user: user.into() }));
}

fn revoked() -> Expectation {
    refuses(401, AuthFailure::Revoked)
}

#[test]
fn all_of_a_users_allocations_end_and_nobody_elses() {
    let mut t = Turn::new();
    let third = v4([203, 0, 113, 7], 40_002);
    let session = credential_of_username("1899999999:alice~phone");
    t.check(allocate(), allocates(600));
    t.check(allocate().signed_by(session).at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.check(allocate().signed_by(credential("bob")).at(third), allocates(600).at(third));
    assert_eq!(revoke(&mut t, "alice", Some(3600)), Some(2));
    t.check(after_s(0), ends(EndReason::Revoked).and(ends(EndReason::Revoked)));
    t.check(refresh().signed_by(credential("bob")).at(third), refreshes(600).at(third));
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_name_without_a_tenant_is_the_one_of_default_too_and_of_no_other() {
    let mut t = Turn::new();
    let third = v4([203, 0, 113, 7], 40_002);
    let ours = || credential_of_username("1899999999:default/Zo%C3%AB~phone");
    let theirs = || credential_of_username("1899999999:acme/Zo%C3%AB~phone");
    let plain = || credential_of_username("1899999999:Zoë");
    t.check(allocate().signed_by(ours()), allocates(600));
    t.check(allocate().signed_by(plain()).at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.check(allocate().signed_by(theirs()).at(third), allocates(600).at(third));
    assert_eq!(revoke(&mut t, "Zoë", None), Some(2));
    t.check(after_s(0), ends(EndReason::Revoked).and(ends(EndReason::Revoked)));
    t.check(allocate().signed_by(ours()), revoked());
    t.check(allocate().signed_by(plain()).at(CLIENT_B), revoked().at(CLIENT_B));
    t.check(refresh().signed_by(theirs()).at(third), refreshes(600).at(third));
    // With its tenant it is one user's.
    restore(&mut t, "Zoë");
    assert_eq!(revoke(&mut t, "default/Zo%C3%AB", None), Some(0));
    t.check(allocate().signed_by(ours()), revoked());
    t.check(allocate().signed_by(plain()).at(CLIENT_B), allocates(600).at(CLIENT_B));
}

#[test]
fn a_revoked_users_connection_is_closed() {
    let mut t = Turn::new();
    t.check(Event::from(allocate()).over_tcp(1), allocates(600));
    assert_eq!(revoke(&mut t, "alice", Some(3600)), Some(1));
    let closes = Expectation(vec![Seen::ClosesStream(CLIENT)]);
    t.check(after_s(0), ends(EndReason::Revoked).and(closes));
    t.check_nothing_left_after_s(0);
}

#[test]
fn his_credentials_are_refused_until_the_revocation_ends() {
    let mut t = Turn::allocated();
    assert_eq!(revoke(&mut t, "alice", Some(3600)), Some(1));
    t.check(after_s(0), ends(EndReason::Revoked));
    t.check(refresh(), revoked());
    t.check(allocate(), revoked());
    t.advance_s(3599);
    t.check(allocate(), revoked());
    t.advance_s(1);
    t.check(allocate(), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn a_wrong_password_is_a_wrong_password_revoked_or_not() {
    let mut t = Turn::new();
    assert_eq!(revoke(&mut t, "alice", None), Some(0));
    let wrong = crate::support::request::Credential::new("1899999999:alice", "guess");
    t.check(allocate().signed_by(wrong), refuses(401, AuthFailure::WrongIntegrity));
    t.check_nothing_left_after_s(0);
}

#[test]
fn a_static_account_is_refused_until_it_is_let_in_again() {
    let mut t = Turn::new();
    assert_eq!(revoke(&mut t, "static", None), Some(0));
    t.advance_s(400 * 86_400);
    t.check(allocate().signed_by(static_credential()), revoked());
    restore(&mut t, "static");
    t.check(allocate().signed_by(static_credential()), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn who_was_revoked_before_the_start_is_revoked_after_it() {
    let mut t = Turn::with(|setup| setup.guard.revoked = vec![revocation("alice", Some(60))]);
    t.check(allocate(), revoked());
    t.check(allocate().signed_by(credential("bob")), allocates(600));
    t.check_nothing_left_after_s(600);
}

#[test]
fn an_allocate_that_waits_for_its_socket_while_its_user_is_revoked_gets_none() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    t.check(allocate(), asks_for_socket(turnbell::wire::address::Family::V4));
    assert_eq!(revoke(&mut t, "alice", Some(60)), Some(0));
    t.check(socket_opened(Ok(())), rejects(508).and(Expectation(vec![Seen::ClosesSocket])));
    t.check_nothing_left_after_s(0);
}

#[test]
fn one_revocation_too_many_does_nothing_and_says_so() {
    let many = |n: usize| revocation(&format!("u{n}"), Some(60));
    let mut t = Turn::with(|setup| setup.guard.revoked = (1..REVOCATIONS_MAX).map(many).collect());
    t.check(allocate(), allocates(600));
    assert_eq!(revoke(&mut t, "last", Some(3600)), Some(0));
    assert_eq!(revoke(&mut t, "alice", Some(3600)), None);
    t.check(refresh(), refreshes(600));
    // One who is revoked already can be revoked for longer.
    assert_eq!(revoke(&mut t, "u1", Some(120)), Some(0));
    // And those whose time is over make room.
    t.advance_s(60);
    assert_eq!(revoke(&mut t, "alice", Some(3600)), Some(1));
    t.check(after_s(0), ends(EndReason::Revoked));
    t.check(allocate().signed_by(credential("u1")).at(CLIENT), revoked());
    t.check(after_s(0), nothing());
    t.check_nothing_left_after_s(0);
}

/// Carries the command out; what ended is seen with the next event.
fn end(t: &mut Turn, user: &str, session: Option<&str>) -> Option<usize> {
    let (user, session) = (user.into(), session.map(Into::into));
    t.relay.carry_out(t.now, Command::End { user, session })
}

#[test]
fn what_one_session_of_a_user_made_ends_and_his_credentials_stay_good() {
    let mut t = Turn::new();
    let third = v4([203, 0, 113, 7], 40_002);
    let of = |name: &str| credential_of_username(&format!("1899999999:{name}"));
    t.check(allocate().signed_by(of("acme/alice~01A")), allocates(600));
    t.check(allocate().signed_by(of("acme/alice~01B")).at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.check(allocate().signed_by(of("acme/bob~01A")).at(third), allocates(600).at(third));
    assert_eq!(end(&mut t, "acme/alice", Some("1A")), Some(0), "a session is a whole name");
    assert_eq!(end(&mut t, "acme/alice", Some("01A")), Some(1));
    t.check(after_s(0), ends(EndReason::Ended));
    t.check(allocate().signed_by(of("acme/alice~01A")), allocates(600));
    assert_eq!(end(&mut t, "acme/alice", None), Some(2));
    t.check(after_s(0), ends(EndReason::Ended).and(ends(EndReason::Ended)));
    t.check(refresh().signed_by(of("acme/bob~01A")).at(third), refreshes(600).at(third));
    t.check_nothing_left_after_s(600);
}

#[test]
fn an_end_leaves_a_revocation_as_it_is() {
    let mut t = Turn::new();
    revoke(&mut t, "alice", None);
    assert_eq!(end(&mut t, "alice", None), Some(0));
    t.check(allocate().signed_by(credential("alice")), revoked());
}
