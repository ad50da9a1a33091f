//! T5, T7, T14, T15: ring receipts, the route timer, devices that come and go.

use std::time::Duration;

use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{Invite, RejectScope, Request};

use super::board::{Board, who, who_on};
use super::setup::{Call, accept, calls, hangup, plain_invite, reject, ringing};

#[test] // T5
fn the_first_receipt_makes_it_ring_and_further_ones_change_nothing() {
    let mut call = Call::initiated();
    call.board.does(&call.phone, ringing(call.id));
    call.board.hears(&call.alice, &["state ringing"]);
    assert_eq!(call.board.outcome(), "RINGING ");
    call.board.does(&call.phone, ringing(call.id));
    call.board.does(&call.laptop, ringing(call.id));
    call.board.hears(&call.alice, &[]);
    call.ends();
}

#[test] // T5
fn only_a_device_that_was_rung_can_say_that_it_rings() {
    let mut call = Call::initiated();
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&call.alice, ringing(call.id)), ErrorCode::NotParty);
    assert_eq!(call.board.may_not(&carol, ringing(call.id)), ErrorCode::NotParty);
    call.board.does(&call.laptop, accept(call.id));
    assert_eq!(call.board.may_not(&call.phone, ringing(call.id)), ErrorCode::AlreadyAnswered);
    assert_eq!(call.board.may_not(&call.laptop, ringing(call.id)), ErrorCode::NotParty);
    call.board.does(&call.laptop, hangup(call.id));
    assert_eq!(call.board.may_not(&call.phone, ringing(call.id)), ErrorCode::CallEnded);
    call.ends();
}

#[test] // T7, P15
fn devices_that_say_nothing_for_3_s_mean_that_the_callee_is_offline() {
    let mut call = Call::initiated();
    call.board.wait_ms(2999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.board.hears(&call.alice, &["state ended callee_offline"]);
    call.board.hears(&call.laptop, &["cancelled timeout"]);
    assert_eq!(call.board.outcome(), "FAILED callee_offline");
    let unresponsive = call.board.record.timeline();
    assert_eq!(unresponsive.iter().filter(|kind| **kind == "unresponsive").count(), 2);
    call.ends();
}

#[test] // P15
fn a_device_that_says_nothing_is_unresponsive_while_another_rings() {
    let mut call = Call::initiated();
    call.board.does(&call.laptop, ringing(call.id));
    call.board.wait_s(3);
    call.board.hears(&call.alice, &["state ringing"]);
    let last = call.board.record.events.last().unwrap();
    assert_eq!((last.kind.code(), last.device.as_deref()), ("unresponsive", Some("phone")));
    // It may still be the one that is answered on.
    call.board.does(&call.phone, accept(call.id));
    call.board.hears(&call.laptop, &["cancelled answered_elsewhere"]);
    call.ends();
}

#[test] // T15
fn it_rings_for_a_minute_from_the_first_receipt() {
    let mut call = Call::initiated();
    call.board.wait_s(2);
    call.board.does(&call.laptop, ringing(call.id));
    call.board.hears(&call.alice, &["state ringing"]);
    call.board.wait_ms(59_999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.board.hears(&call.alice, &["state ended no_answer"]);
    call.board.hears(&call.laptop, &["cancelled timeout"]);
    call.board.hears(&call.phone, &["cancelled timeout"]);
    assert_eq!(call.board.outcome(), "MISSED no_answer");
    assert_eq!(call.board.row().ring_ms, Some(60_000));
    call.ends();
}

#[test] // T15
fn an_invite_rings_as_long_as_it_asks_for_within_10_s_and_180_s() {
    for (asked_s, rings_s) in [(1, 10), (10, 10), (90, 90), (180, 180), (3600, 180)] {
        let mut board = Board::new();
        let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
        let ring = Some(Duration::from_secs(asked_s));
        let invite = Invite { ring, ..plain_invite("bob") };
        board.does(&alice, Request::CallInvite(Box::new(invite)));
        let id = board.row().call;
        board.does(&bob, ringing(id));
        board.wait_ms(rings_s * 1000 - 1);
        assert_eq!(board.outcome(), "RINGING ", "{asked_s}");
        board.wait_ms(1);
        assert_eq!(board.outcome(), "MISSED no_answer", "{asked_s}");
        board.ends();
    }
}

#[test] // T14
fn a_device_that_is_silenced_is_silent_and_the_other_rings_on() {
    let mut call = Call::ringing();
    call.board.does(&call.phone, reject(call.id, RejectScope::Device));
    call.board.hears(&call.alice, &[]);
    call.board.hears(&call.laptop, &[]);
    call.board.does(&call.laptop, accept(call.id));
    call.board.hears(&call.phone, &["cancelled answered_elsewhere"]);
    call.ends();
}

#[test] // T14
fn a_silenced_device_may_still_be_the_one_that_answers() {
    let mut call = Call::ringing();
    call.board.does(&call.phone, reject(call.id, RejectScope::Device));
    call.board.does(&call.phone, accept(call.id));
    call.board.hears(&call.laptop, &["cancelled answered_elsewhere"]);
    call.ends();
}

#[test] // T13, P14 c
fn when_the_last_device_is_silenced_the_call_is_rejected() {
    for mut call in [Call::initiated(), Call::ringing()] {
        call.board.does(&call.phone, reject(call.id, RejectScope::Device));
        call.board.does(&call.laptop, reject(call.id, RejectScope::Device));
        call.board.hears(&call.alice, &["state ended declined"]);
        assert_eq!(call.board.outcome(), "REJECTED declined");
        call.ends();
    }
}

#[test] // T14
fn a_ringing_device_that_is_lost_does_not_end_the_call() {
    let mut call = Call::ringing();
    call.board.lose(&call.phone);
    call.board.wait_s(31);
    call.board.hears(&call.alice, &[]);
    call.board.does(&call.laptop, accept(call.id));
    call.ends();
}

#[test]
fn a_page_that_opens_while_it_rings_rings_too() {
    let mut call = Call::ringing();
    let tablet = call.board.page(who_on("bob", "tablet"));
    call.board.hears(&tablet, &["sync [ringing]", "incoming alice"]);
    call.board.does(&tablet, ringing(call.id));
    call.board.does(&tablet, accept(call.id));
    call.board.hears(&call.laptop, &["cancelled answered_elsewhere"]);
    call.board.hears(&call.phone, &["cancelled answered_elsewhere"]);
    call.ends();
}

#[test] // P14 b
fn a_lost_device_is_reachable_for_10_s_and_rings_when_it_comes_back() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.lose(&bob);
    let id = calls(&mut board, &alice, "bob");
    board.wait_ms(9_900);
    assert_eq!(board.outcome(), "INITIATED ");
    let bob = board.resume(&bob);
    board.hears(&bob, &["incoming alice"]);
    board.wait_s(2);
    board.does(&bob, ringing(id));
    assert_eq!(board.outcome(), "RINGING ");
    board.ends();
}

#[test] // P14 b
fn an_invite_that_ended_meanwhile_is_not_delivered() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.lose(&bob);
    calls(&mut board, &alice, "bob");
    board.wait_ms(10_000);
    assert_eq!(board.outcome(), "FAILED callee_offline");
    let bob = board.resume(&bob);
    board.hears(&bob, &[]);
    board.ends();
}

#[test] // P14 b
fn an_invite_on_its_way_to_a_dying_socket_is_void_when_the_call_is_over() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    let old = board.resume_of(&bob);
    let id = calls(&mut board, &alice, "bob");
    board.lose(&bob);
    board.does(&alice, super::setup::cancel(id));
    let bob = board.connect(bob.who.clone(), Some(old));
    board.hears(&bob, &["void", "cancelled caller_cancelled"]);
    board.ends();
}
