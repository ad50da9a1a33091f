//! The credential of a page that verifies (P8): short, few allocations, and nobody outside.

use std::net::SocketAddr;

use turnbell::auth::credential::AuthFailure;
use turnbell::limits::probe::{PAGE_RUN_ALLOCATIONS_MAX, PAGE_RUN_BYTES_MAX, PAGE_RUNS_MAX};
use turnbell::turn::contract::Discard;
use turnbell::turn::fact::EndReason;

use crate::support::event::{
    after_s, allocate, channel_bind, channel_data, create_permission, from_peer, refresh, send,
};
use crate::support::expectation::{
    allocates, discards, ends, refreshes, refuses, rejects, sends_data_indication, sends_to_peer,
    succeeds,
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

/// A datagram of this length; from one allocation of a run to another it counts at both.
const BIG: usize = 50_000;

/// Two allocations of a run that reach each other; the relayed addresses of both.
fn pair(t: &mut Turn, run: &str, clients: [SocketAddr; 2], left_s: u32) -> [SocketAddr; 2] {
    for client in clients {
        t.check(allocate().signed_by(of_run(run)).at(client), allocates(left_s).at(client));
    }
    let relayed = clients.map(|client| t.relayed(client));
    for (client, other) in [(clients[0], relayed[1]), (clients[1], relayed[0])] {
        let permit = create_permission(&[other]).signed_by(of_run(run));
        t.check(permit.at(client), succeeds().at(client));
    }
    relayed
}

#[test] // P8: 20 MB
fn all_its_allocations_relay_twenty_megabytes_together_and_not_a_byte_more() {
    let mut t = Turn::new();
    let over = || discards(Discard::OverRunBytes);
    let [a, b] = pair(&mut t, "a", [CLIENT, CLIENT_B], 60);
    let big = vec![7; BIG];
    // Both ways: what goes back counts as well.
    for _ in 0..PAGE_RUN_BYTES_MAX / (4 * BIG as u64) - 1 {
        t.check(send(b, &big), sends_data_indication(a, &big).at(CLIENT_B));
        t.check(send(a, &big).at(CLIENT_B), sends_data_indication(b, &big));
    }
    t.check(send(b, &big), sends_data_indication(a, &big).at(CLIENT_B));
    t.check(send(b, &big[1..]), sends_data_indication(a, &big[1..]).at(CLIENT_B));
    // Two bytes are left: one at each end.
    t.check(send(b, b"xyz"), over());
    t.check(send(b, b"x"), sends_data_indication(a, b"x").at(CLIENT_B));
    t.check(send(b, b"x"), over());
    t.check(send(a, b"x").at(CLIENT_B), over());
    t.check(send(b, b""), sends_data_indication(a, b"").at(CLIENT_B));

    // Neither other allocations nor the end of these make it begin again.
    let clients = [41_001, 41_002].map(|port| v4([203, 0, 113, 5], port));
    let [_, d] = pair(&mut t, "a", clients, 60);
    t.check(send(d, b"x").at(clients[0]), over());
    for client in [CLIENT, CLIENT_B, clients[0], clients[1]] {
        let close = refresh().signed_by(of_run("a")).lifetime(0).at(client);
        t.check(close, refreshes(0).and(ends(EndReason::Client)).at(client));
    }
    t.advance_s(10);
    let [_, b] = pair(&mut t, "a", [CLIENT, CLIENT_B], 50);
    t.check(send(b, b"x"), over());

    // Another run has its own, and people are not counted.
    let [c, d] = pair(&mut t, "b", clients, 50);
    t.check(send(d, b"x").at(clients[0]), sends_data_indication(c, b"x").at(clients[1]));
    let person = v4([203, 0, 113, 9], 40_009);
    t.check(allocate().at(person), allocates(600).at(person));
    t.check(create_permission(&[PEER_A]).at(person), succeeds().at(person));
    t.check(send(PEER_A, b"x").at(person), sends_to_peer(PEER_A, b"x").at(person));
}

#[test]
fn allocations_and_bytes_of_a_run_count_together_at_all_relays_of_the_daemon() {
    let [mut one, mut other] = Turn::several(|_| {});
    let client = |n: usize| v4([203, 0, 113, 5], 41_000 + n as u16);
    let [_, b] = pair(&mut one, "a", [client(1), client(2)], 60);
    let [_, d] = pair(&mut other, "a", [client(3), client(4)], 60);
    for n in 5..=PAGE_RUN_ALLOCATIONS_MAX {
        let t = if n % 2 == 0 { &mut one } else { &mut other };
        t.check(allocate().signed_by(of_run("a")).at(client(n)), allocates(60).at(client(n)));
    }
    for t in [&mut one, &mut other] {
        t.check(allocate().signed_by(of_run("a")), rejects(486));
    }
    let big = vec![7; BIG];
    for _ in 0..PAGE_RUN_BYTES_MAX / (4 * BIG as u64) {
        one.act(send(b, &big).at(client(1)));
        other.act(send(d, &big).at(client(3)));
    }
    for (t, to, client) in [(&mut one, b, client(1)), (&mut other, d, client(3))] {
        assert_eq!(t.relay.counters().discarded(Discard::OverRunBytes), 0);
        t.check(send(to, b"x").at(client), discards(Discard::OverRunBytes));
    }
}

#[test]
fn as_many_runs_as_are_counted_are_on_and_the_next_waits_until_one_is_over() {
    let mut t = Turn::new();
    let close = |t: &mut Turn, run: &str| {
        let close = refresh().signed_by(of_run(run)).lifetime(0);
        t.check(close, refreshes(0).and(ends(EndReason::Client)));
    };
    for n in 0..PAGE_RUNS_MAX {
        let run = format!("r{n}");
        t.check(allocate().signed_by(of_run(&run)), allocates(60));
        close(&mut t, &run);
    }
    t.check(allocate().signed_by(of_run("more")), rejects(486));
    t.check(allocate().signed_by(of_run("r0")), allocates(60));
    close(&mut t, "r0");
    t.advance_s(60);
    let later = credential_until("turnbell-verify.more", START_S + 120);
    t.check(allocate().signed_by(later), allocates(60));
}
