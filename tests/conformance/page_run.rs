//! The credential of a page that verifies (P8): short, few allocations, and nobody outside.

use turnbell::auth::credential::AuthFailure;
use turnbell::limits::probe::PAGE_RUN_ALLOCATIONS_MAX;
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;

use crate::support::event::{
    after_s, allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{
    allocates, discards, ends, refreshes, refuses, rejects, sends_data_indication, succeeds,
};
use crate::support::request::Credential;
use crate::support::setup::{START_S, Setup, credential_until};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_B, PEER_A, v4};

fn of_run(run: &str) -> Credential {
    credential_until(&format!("turnbell-verify.{run}"), START_S + 60)
}

#[test]
fn its_allocation_ends_with_the_credential_whatever_the_config_says() {
    let mut t = Turn::new();
    t.check(allocate().signed_by(of_run("a")), allocates(60));
    t.advance_s(59);
    t.check(refresh().signed_by(of_run("a")), refreshes(1));
    t.check(after_s(1), ends(EndReason::CredentialExpired));
    let late = allocate().signed_by(of_run("a"));
    t.check(late, refuses(401, AuthFailure::Expired { ago_s: 0 }));
    t.check_nothing_left_after_s(0);
}

#[test]
fn it_reaches_its_own_other_end_and_nobody_outside() {
    let mut t = Turn::new();
    let run = || of_run("a");
    t.check(allocate().signed_by(run()), allocates(60));
    t.check(allocate().signed_by(run()).at(CLIENT_B), allocates(60).at(CLIENT_B));
    let other = t.relayed(CLIENT_B);
    t.check(create_permission(&[PEER_A]).signed_by(run()), rejects(403));
    t.check(create_permission(&[other, PEER_A]).signed_by(run()), rejects(403));
    t.check(channel_bind(0x4000, PEER_A).signed_by(run()), rejects(403));
    t.check(create_permission(&[other]).signed_by(run()), succeeds());
    t.check(channel_bind(0x4000, other).signed_by(run()), succeeds());
    // Everybody else may name both.
    let third = v4([203, 0, 113, 9], 40_009);
    t.check(allocate().at(third), allocates(600).at(third));
    t.check(create_permission(&[PEER_A]).at(third), succeeds().at(third));
}

#[test] // P8: only relayed addresses, whatever the operator opened for others (R2)
fn an_own_address_that_the_operator_opened_is_reached_inside_only() {
    let open = |setup: &mut Setup| {
        setup.policy.allow_private.push("198.51.100.1/32".parse().unwrap());
    };
    let mut t = Turn::with(open);
    let run = || of_run("a");
    t.check(allocate().signed_by(run()), allocates(60));
    t.check(allocate().signed_by(run()).at(CLIENT_B), allocates(60).at(CLIENT_B));
    let (a, b) = (t.relayed(CLIENT), t.relayed(CLIENT_B));
    t.check(create_permission(&[b]).signed_by(run()), succeeds());
    t.check(create_permission(&[a]).signed_by(run()).at(CLIENT_B), succeeds().at(CLIENT_B));
    t.check(send(b, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    let low = v4([198, 51, 100, 1], 7000);
    t.check(send(low, b"x"), discards(Discard::PeerForbidden));
    t.check(channel_bind(0x4000, low).signed_by(run()), rejects(403));
    let program = v4([198, 51, 100, 1], 60_000);
    t.check(channel_bind(0x4001, program).signed_by(run()), succeeds());
    // New rules that say the same of this address give it no other way.
    t.replace(|setup| {
        open(setup);
        setup.policy.allow_private.push("10.0.0.0/8".parse().unwrap());
    });
    t.check(send(program, b"x"), discards(Discard::NoSuchRelay));
    t.check(channel_data(0x4001, b"x"), discards(Discard::NoSuchRelay));
    t.check(send(low, b"x"), discards(Discard::PeerForbidden));
    t.check(from_peer(program, b"x"), discards(Discard::OwnAddressOutside));
}

#[test]
fn it_holds_eight_allocations_and_another_run_eight_of_its_own() {
    let mut t = Turn::new();
    let client = |n: usize| v4([203, 0, 113, 5], 41_000 + n as u16);
    for n in 0..PAGE_RUN_ALLOCATIONS_MAX {
        t.check(allocate().signed_by(of_run("a")).at(client(n)), allocates(60).at(client(n)));
    }
    t.check(allocate().signed_by(of_run("a")), rejects(486));
    t.check(allocate().signed_by(of_run("b")), allocates(60));
    t.check(
        refresh().signed_by(of_run("a")).lifetime(0).at(client(0)),
        refreshes(0).and(ends(EndReason::Client)).at(client(0)),
    );
    t.check(allocate().signed_by(of_run("a")).at(CLIENT_B), allocates(60).at(CLIENT_B));
}
