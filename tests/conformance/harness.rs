//! The harness itself: it fails when it should.

use turnbell::turn::contract::Discard;

use crate::support::event::{allocate, binding, create_permission, from_peer, send};
use crate::support::expectation::{
    allocates, discards, maps, nothing, rejects, sends_data_indication, sends_to_peer,
};
use crate::support::turn::Turn;
use crate::support::{CLIENT_B, PEER_A, PEER_B};

#[test]
#[should_panic(expected = "after Event")]
fn an_output_that_nobody_expected_fails() {
    Turn::new().check(binding(), nothing());
}

#[test]
#[should_panic(expected = "after Event")]
fn an_expected_output_that_does_not_come_fails() {
    Turn::new().check(from_nobody(), maps());
}

#[test]
#[should_panic(expected = "after Event")]
fn an_answer_to_another_client_fails() {
    Turn::new().check(binding(), maps().at(CLIENT_B));
}

#[test]
#[should_panic(expected = "after Event")]
fn another_error_code_fails() {
    Turn::new().check(create_permission(&[PEER_A]), rejects(438));
}

#[test]
#[should_panic(expected = "after Event")]
fn data_to_another_peer_fails() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(send(PEER_A, b"x"), sends_to_peer(PEER_B, b"x"));
}

#[test]
#[should_panic(expected = "after Event")]
fn other_data_fails() {
    let mut t = Turn::allocated();
    t.permit(PEER_A);
    t.check(from_peer(PEER_A, b"x"), sends_data_indication(PEER_A, b"y"));
}

#[test]
#[should_panic(expected = "after Event")]
fn another_reason_fails() {
    Turn::new().check(from_nobody(), discards(Discard::NoCookie));
}

#[test]
#[should_panic(expected = "a timer is left")]
fn an_allocation_that_is_left_fails() {
    Turn::allocated().check_nothing_left_after_s(599);
}

#[test]
#[should_panic(expected = "the traffic of")]
fn traffic_that_the_test_did_not_see_fails() {
    let mut t = Turn::new();
    t.check(allocate(), allocates(600));
    t.permit(PEER_A);
    let bytes = t.encoded(crate::support::CLIENT, send(PEER_A, b"unseen"));
    // Behind the books' back.
    assert!(t.exchange(crate::support::CLIENT, &bytes).is_empty());
    t.check_nothing_left_after_s(600);
}

fn from_nobody() -> crate::support::event::Event {
    crate::support::event::bytes(b"")
}
