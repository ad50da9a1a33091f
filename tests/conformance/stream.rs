//! Clients over TCP, as the relay sees them: connections have numbers, and end allocations.

use turnbell::turn::contract::{Discard, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;

use crate::support::event::{
    Event, after_s, allocate, bytes, channel_data, create_permission, from_peer, refresh,
    socket_opened, stop, stream_closes,
};
use crate::support::expectation::{
    Expectation, Seen, allocates, asks_for_socket, discards, ends, nothing, refreshes, rejects,
    sends_data_indication, succeeds,
};
use crate::support::ledger::Mood;
use crate::support::turn::Turn;
use crate::support::{CLIENT, PEER_A};

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
