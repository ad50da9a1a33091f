//! Clients over TCP, as the relay sees them: connections have numbers, and end allocations.

use turnbell::turn::contract::{Discard, Wanted, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;
use turnbell::wire::attribute::AttributeType;

use crate::support::event::{
    Event, after_s, allocate, bytes, channel_data, create_permission, from_peer, refresh, send,
    socket_opened, stop, stream_closes,
};
use crate::support::expectation::{
    Expectation, Seen, allocates, allocates_both, allocates_family, asks_for, asks_for_socket,
    closes_socket, discards, ends, nothing, refreshes, rejects, sends_data_indication,
    sends_to_peer, sends_whole_to_peer, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::request::Request;
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_V6, PEER_A, PEER_V6};

fn closes_stream() -> Expectation {
    Expectation(vec![Seen::ClosesStream(CLIENT)])
}

/// One client over its TCP connection 1.
fn allocated() -> Turn {
    let mut t = Turn::new();
    t.check(Event::from(allocate()).over_tcp(1), allocates(600));
    t
}

#[test] // RFC 8656 §7.2, R15
fn a_closed_connection_ends_its_allocation_at_once() {
    let mut t = allocated();
    t.check(stream_closes(1), ends(EndReason::Disconnected));
    t.check(Event::from(refresh()).over_tcp(1), rejects(437));
    t.check(stream_closes(1), nothing());
    t.check_nothing_left_after_s(0);
}

#[test] // R4
fn a_late_end_of_an_old_connection_leaves_the_allocation_of_the_new_one_alone() {
    let mut t = allocated();
    t.check(stream_closes(1), ends(EndReason::Disconnected));
    // The same ports on both sides, another connection.
    t.check(Event::from(allocate()).over_tcp(2), allocates(600));
    t.check(stream_closes(1), nothing());
    t.check(Event::from(refresh()).over_tcp(1), rejects(437));
    t.check(Event::from(refresh()).over_tcp(2), refreshes(600));
    t.check(stream_closes(2), ends(EndReason::Disconnected));
    t.check_nothing_left_after_s(0);
}

#[test]
fn data_for_a_stream_names_its_connection() {
    let mut t = allocated();
    t.check(Event::from(create_permission(&[PEER_A])).over_tcp(1), succeeds());
    t.check(from_peer(PEER_A, b"x").over_tcp(1), sends_data_indication(PEER_A, b"x"));
    t.check(channel_data(0x4000, b"x").over_tcp(1), discards(Discard::NoChannel));
    t.check(channel_data(0x4000, b"x").over_tcp(2), discards(Discard::NoAllocation));
    t.check(stream_closes(1), ends(EndReason::Disconnected));
}

#[test]
fn a_connection_that_ends_while_its_socket_is_opened_leaves_nothing() {
    for result in [Ok(()), Err(Why::Ports)] {
        let mut t = Turn::new();
        t.ledger.mood = Mood::Waits;
        t.check(Event::from(allocate()).over_tcp(1), asks_for_socket(Family::V4));
        t.check(stream_closes(1), nothing());
        let closed = if result.is_ok() { vec![Seen::ClosesSocket] } else { Vec::new() };
        t.check(socket_opened(result), Expectation(closed));
        t.check_nothing_left_after_s(0);
    }
}

#[test]
fn an_allocation_that_expires_or_a_stop_closes_its_connection() {
    let mut t = allocated();
    t.check(after_s(600), ends(EndReason::Expired).and(closes_stream()));
    t.check(stream_closes(1), nothing());
    let mut t = allocated();
    t.check(stop(), ends(EndReason::Shutdown).and(closes_stream()));
    // What the client itself ends leaves the connection for the next allocation.
    let mut t = allocated();
    t.check(
        Event::from(refresh().lifetime(0)).over_tcp(1),
        refreshes(0).and(ends(EndReason::Client)),
    );
    t.check(Event::from(allocate()).over_tcp(1), allocates(600));
}

#[test]
fn bytes_that_are_no_message_close_a_stream_and_only_a_stream() {
    let no_cookie = [&[0, 1, 0, 0][..], &[0; 16]].concat();
    let mut t = Turn::new();
    t.check(bytes(&no_cookie), discards(Discard::NoCookie));
    t.check(bytes(&no_cookie).over_tcp(1), discards(Discard::NoCookie).and(closes_stream()));
    // Sound framing with an attribute that is not: the next message can still be found.
    let overrun =
        [&[0, 1, 0, 4, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12], &[0, 6, 0xFF, 0xFF]].concat();
    t.check(bytes(&overrun).over_tcp(1), discards(Discard::AttributeOverrun));
}

#[test] // RFC 8656 §13, §15: over a stream DONT-FRAGMENT counts in both families, unless it changes
fn dont_fragment_counts_for_a_stream_of_the_peers_family() {
    for (client, family, peer, is_whole) in [
        (CLIENT, Family::V4, PEER_A, true),
        (CLIENT_V6, Family::V6, PEER_V6, true),
        (CLIENT, Family::V6, PEER_V6, false),
        (CLIENT_V6, Family::V4, PEER_A, false),
    ] {
        let mut t = Turn::new();
        let by = |request: Request| Event::from(request).at(client).over_tcp(1);
        t.check(by(allocate().family(family)), allocates_family(family, 600).at(client));
        t.check(by(create_permission(&[peer])), succeeds().at(client));
        let sends = if is_whole { sends_whole_to_peer } else { sends_to_peer };
        t.check(by(send(peer, b"x").raw(AttributeType::DONT_FRAGMENT, &[])), sends(peer, b"x"));
        t.check(by(send(peer, b"x")), sends_to_peer(peer, b"x"));
        t.check(stream_closes(1).at(client), ends(EndReason::Disconnected));
        t.check_nothing_left_after_s(0);
    }
}

#[test] // R15: what is opened for a connection that closed meanwhile is closed again, all of it
fn both_sockets_of_an_abandoned_allocate_are_closed() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    let asks = asks_for(Wanted::Both { even: false });
    t.check(Event::from(allocate().both_families()).over_tcp(1), asks);
    t.check(stream_closes(1), nothing());
    t.check(socket_opened(Ok(())), closes_socket().and(closes_socket()));
    t.check_nothing_left_after_s(0);
}

#[test] // R15, RFC 8656 §8.1: the connection lives as long as one family does
fn a_dual_allocation_over_a_stream_ends_its_connection_with_its_last_family() {
    let mut t = Turn::new();
    let by = |request: Request| Event::from(request).over_tcp(1);
    t.check(by(allocate().both_families()), allocates_both(600));
    t.advance_s(500);
    t.check(by(refresh().family(Family::V4).lifetime(700)), refreshes(700));
    t.check(after_s(100), closes_socket());
    t.check(after_s(600), ends(EndReason::Expired).and(closes_stream()));
    t.check_nothing_left_after_s(0);
}
