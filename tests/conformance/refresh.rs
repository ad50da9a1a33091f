//! Refresh (RFC 8656 §8): lengthens an allocation or ends it.

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{after_s, allocate, channel_data, create_permission, refresh, send};
use crate::support::expectation::{
    allocates, allocates_family, discards, ends, refreshes, refuses, rejects, sends_to_peer,
    succeeds,
};
use crate::support::setup::{START_S, credential_until};
use crate::support::turn::Turn;
use crate::support::{CLIENT_B, PEER_A};

#[test] // RFC 8656 §8.2
fn the_lifetime_after_a_refresh_lies_between_the_default_and_the_maximum() {
    for (asked, granted) in
        [(1, 600), (600, 600), (601, 601), (3600, 3600), (3601, 3600), (u32::MAX, 3600)]
    {
        let mut t = Turn::allocated();
        t.advance_s(500);
        t.check(refresh().lifetime(asked), refreshes(granted));
        t.advance_s(u64::from(granted) - 1);
        t.check(after_s(1), ends(EndReason::Expired));
        t.check_nothing_left_after_s(0);
    }
    let mut t = Turn::allocated();
    t.advance_s(599);
    t.check(refresh(), refreshes(600));
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §8.2: also shorter than before
fn a_refresh_may_shorten_what_is_left() {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t.check(refresh().lifetime(700), refreshes(700));
    t.advance_s(699);
    t.check(after_s(1), ends(EndReason::Expired));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §8.2: desired lifetime zero deletes
fn lifetime_zero_ends_the_allocation_at_once_and_a_second_one_is_437() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check(refresh().lifetime(0), rejects(437));
    t.check(send(PEER_A, b"x"), discards(Discard::NoAllocation));
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoAllocation));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §8.2
fn a_family_that_is_not_the_allocations_is_443_and_changes_nothing() {
    let mut t = Turn::allocated();
    t.check(refresh().family(Family::V6), rejects(443));
    t.check(refresh().family(Family::V6).lifetime(0), rejects(443));
    let odd = refresh().raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[7, 0, 0, 0]);
    t.check(odd, rejects(443));
    t.check(refresh().raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[1]), rejects(400));
    t.check(refresh().family(Family::V4).lifetime(700), refreshes(700));
    let v6 = allocate().family(Family::V6).at(CLIENT_B);
    t.check(v6, allocates_family(Family::V6, 600).at(CLIENT_B));
    t.check(refresh().family(Family::V4).at(CLIENT_B), rejects(443).at(CLIENT_B));
    t.check(refresh().family(Family::V6).at(CLIENT_B), refreshes(600).at(CLIENT_B));
    t.check_nothing_left_after_s(700);
}

#[test] // RFC 8656 §18.2
fn a_malformed_lifetime_is_400_and_changes_nothing() {
    let mut t = Turn::allocated();
    for malformed in [&[][..], &[0, 0, 0], &[0, 0, 0, 0, 0]] {
        t.check(refresh().raw(AttributeType::LIFETIME, malformed), rejects(400));
    }
    t.check_nothing_left_after_s(600);
}

#[test] // RFC 8656 §8.2: a Refresh is about the allocation, not about what hangs on it
fn a_refresh_keeps_permissions_without_lengthening_them() {
    let mut t = Turn::new();
    t.check(allocate().lifetime(3600), allocates(3600));
    t.permit(PEER_A);
    t.advance_s(299);
    t.check(refresh().lifetime(3600), refreshes(3600));
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_A, b"x"));
    t.advance_s(1);
    t.check(send(PEER_A, b"x"), discards(Discard::NoPermission));
    t.check(refresh().lifetime(0), refreshes(0).and(ends(EndReason::Client)));
    t.check_nothing_left_after_s(0);
}

#[test] // RFC 8656 §5: the credential counts when the allocation is made; calls outlive it
fn a_credential_that_expired_after_its_allocate_still_serves_the_allocation() {
    let short = credential_until("alice", START_S + 60);
    let mut t = Turn::new();
    t.check(allocate().signed_by(short.clone()), allocates(600));
    t.advance_s(60 + 31);
    t.check(refresh().signed_by(short.clone()), refreshes(600));
    t.check(create_permission(&[PEER_A]).signed_by(short.clone()), succeeds());
    let elsewhere = allocate().signed_by(short.clone()).at(CLIENT_B);
    t.check(elsewhere, refuses(401, AuthFailure::Expired { ago_s: 31 }).at(CLIENT_B));
    t.check(
        refresh().signed_by(short.clone()).lifetime(0),
        refreshes(0).and(ends(EndReason::Client)),
    );
    t.check(refresh().signed_by(short), refuses(401, AuthFailure::Expired { ago_s: 31 }));
    t.check_nothing_left_after_s(0);
}
