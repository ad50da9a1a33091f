//! Stopping: every allocation ends with its reason, and no new one begins.

use turnbell::turn::contract::{Discard, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::address::Family;

use crate::support::event::{
    after_s, allocate, binding, channel_data, refresh, send, socket_opened, stop,
};
use crate::support::expectation::{
    Expectation, Seen, allocates, asks_for_socket, discards, ends, maps, nothing, rejects,
    sends_to_peer,
};
use crate::support::ledger::Mood;
use crate::support::turn::Turn;
use crate::support::{CLIENT_B, PEER_A};

#[test] // contract: Command::Stop
fn a_stop_ends_every_allocation_once_and_refuses_new_ones() {
    let mut t = Turn::allocated();
    t.check(allocate().at(CLIENT_B), allocates(600).at(CLIENT_B));
    t.permit(PEER_A);
    t.check(send(PEER_A, b"four"), sends_to_peer(PEER_A, b"four"));
    t.check(stop(), ends(EndReason::Shutdown).and(ends(EndReason::Shutdown)));
    t.check(stop(), nothing());
    t.check(allocate(), rejects(508));
    t.check(refresh(), rejects(437));
    t.check(send(PEER_A, b"x"), discards(Discard::NoAllocation));
    t.check(channel_data(0x4000, b"x"), discards(Discard::NoAllocation));
    t.check(binding(), maps());
    t.check(after_s(3600), nothing());
    t.check_nothing_left_after_s(0);
}

#[test] // contract: a question that is open when the daemon stops
fn a_socket_that_opens_after_the_stop_is_closed_again_and_the_client_hears_508() {
    let mut t = Turn::new();
    t.ledger.mood = Mood::Waits;
    t.check(allocate(), asks_for_socket(Family::V4));
    t.check(allocate().at(CLIENT_B), asks_for_socket(Family::V4));
    t.check(stop(), nothing());
    let closed = Expectation(vec![Seen::ClosesSocket]);
    t.check(socket_opened(Ok(())), closed.and(rejects(508)));
    t.check(socket_opened(Err(Why::UserQuota)), rejects(486).at(CLIENT_B));
    t.check_nothing_left_after_s(0);
}
