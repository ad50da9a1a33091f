//! T10, T13, T26 and the limit: every way out of every state.

use turnbell::call::contract::Verdict;
use turnbell::call::fact::Fact;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{HangupReason, RejectReason, RejectScope, Request};

use super::board::who;
use super::setup::{Call, accept, cancel, hangup, reject};

#[test] // T10
fn the_caller_cancels_before_the_answer_and_not_after() {
    for mut call in [Call::initiated(), Call::ringing()] {
        assert_eq!(call.board.may_not(&call.laptop, cancel(call.id)), ErrorCode::NotParty);
        call.board.does(&call.alice, cancel(call.id));
        call.board.hears(&call.alice, &["state ended cancelled"]);
        call.board.hears(&call.laptop, &["cancelled caller_cancelled"]);
        call.board.hears(&call.phone, &["cancelled caller_cancelled"]);
        assert_eq!(call.board.outcome(), "MISSED cancelled");
        assert_eq!(call.board.may_not(&call.alice, cancel(call.id)), ErrorCode::CallEnded);
        call.ends();
    }
    for mut call in [Call::connecting(), Call::active(), Call::reconnecting()] {
        assert_eq!(call.board.may_not(&call.alice, cancel(call.id)), ErrorCode::AlreadyAnswered);
        call.ends();
    }
}

#[test] // T13
fn rejecting_for_all_stops_the_other_devices() {
    for (reason, word, status) in [
        (RejectReason::Declined, "declined", "REJECTED declined"),
        (RejectReason::Dnd, "dnd", "REJECTED dnd"),
        (RejectReason::Busy, "busy", "BUSY busy"),
    ] {
        for mut call in [Call::initiated(), Call::ringing()] {
            let scope = RejectScope::All;
            call.board.does(&call.laptop, Request::CallReject { call: call.id, reason, scope });
            call.board.hears(&call.laptop, &[]);
            call.board.hears(&call.phone, &["cancelled rejected_elsewhere"]);
            call.board.hears(&call.alice, &[&format!("state ended {word}")]);
            assert_eq!(call.board.outcome(), status);
            call.ends();
        }
    }
}

#[test] // T13
fn who_was_not_rung_or_came_too_late_cannot_reject() {
    let mut call = Call::ringing();
    let carol = call.board.page(who("carol"));
    for scope in [RejectScope::All, RejectScope::Device] {
        assert_eq!(call.board.may_not(&call.alice, reject(call.id, scope)), ErrorCode::NotParty);
        assert_eq!(call.board.may_not(&carol, reject(call.id, scope)), ErrorCode::NotParty);
    }
    call.board.does(&call.laptop, accept(call.id));
    let late = reject(call.id, RejectScope::All);
    assert_eq!(call.board.may_not(&call.phone, late), ErrorCode::AlreadyAnswered);
    call.ends();
}

#[test] // T26
fn hanging_up_before_the_answer_is_a_cancel_or_a_reject() {
    let mut call = Call::ringing();
    call.board.does(&call.alice, hangup(call.id));
    assert_eq!(call.board.outcome(), "MISSED cancelled");
    call.ends();
    let mut call = Call::ringing();
    call.board.does(&call.laptop, hangup(call.id));
    assert_eq!(call.board.outcome(), "REJECTED declined");
    call.board.hears(&call.phone, &["cancelled rejected_elsewhere"]);
    call.ends();
}

#[test] // T26
fn either_side_hangs_up_an_answered_call() {
    for make in [Call::connecting, Call::active, Call::reconnecting] {
        for by_caller in [true, false] {
            let mut call = make();
            call.board.wait_s(10);
            let page = if by_caller { call.alice.clone() } else { call.laptop.clone() };
            call.board.does(&page, hangup(call.id));
            call.is_over("hangup", "COMPLETED hangup");
            assert_eq!(call.board.may_not(&page, hangup(call.id)), ErrorCode::CallEnded);
            call.ends();
        }
    }
}

#[test] // T26
fn a_device_that_lost_the_race_cannot_hang_up() {
    let mut call = Call::active();
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&call.phone, hangup(call.id)), ErrorCode::NotParty);
    assert_eq!(call.board.may_not(&carol, hangup(call.id)), ErrorCode::NotParty);
    call.ends();
}

#[test] // P19
fn a_microphone_that_cannot_be_had_fails_the_call_and_the_other_side_hears_why() {
    let mut call = Call::connecting();
    let reason = HangupReason::MediaFailed;
    call.board.does(&call.laptop, Request::CallHangup { call: call.id, reason });
    call.is_over("media_failed", "FAILED media_failed");
    call.ends();
}

#[test] // T27
fn a_call_lasts_12_h_at_the_most() {
    let mut call = Call::active();
    call.board.wait_ms(12 * 3_600_000 - 1);
    assert_eq!(call.board.switchboard.call_count(), 1);
    call.board.wait_ms(1);
    assert_eq!(call.board.outcome(), "COMPLETED limit");
    call.ends();
}

#[test]
fn durations_are_the_servers() {
    let mut call = Call::initiated();
    call.board.wait_s(1);
    call.board.does(&call.laptop, super::setup::ringing(call.id));
    call.board.wait_s(4);
    call.board.does(&call.laptop, accept(call.id));
    for page in [&call.alice, &call.laptop] {
        call.board.events(page);
    }
    call.board.wait_s(2);
    call.becomes_active();
    call.board.wait_ms(73_250);
    call.board.does(&call.alice, hangup(call.id));
    let row = call.board.row();
    assert_eq!((row.ring_ms, row.setup_ms, row.talk_ms), (Some(4000), Some(2000), Some(73_250)));
    let total = row.ended_at.unwrap() - row.started_at;
    assert_eq!(total, 1000 + 4000 + 2000 + 73_250);
    let ended =
        call.board.facts.iter().any(|fact| matches!(fact, Fact::CallEnded { talk_ms: 73_250, .. }));
    assert!(ended);
    let timeline = call.board.record.timeline();
    let expected = [
        "invited",
        "delivered",
        "delivered",
        "ringing",
        "unresponsive",
        "accepted",
        "media_connected",
        "media_connected",
        "active",
        "ended",
    ];
    assert_eq!(timeline, expected);
    call.ends();
}

#[test]
fn a_broken_record_stops_no_call() {
    let mut call = Call::ringing();
    call.board.is_store_broken = true;
    call.board.does(&call.laptop, accept(call.id));
    call.board.does(&call.alice, hangup(call.id));
    assert!(call.board.facts.iter().any(|fact| matches!(fact, Fact::RowLost { .. })));
    call.ends();
}

#[test]
fn a_verdict_that_nobody_asked_for_changes_nothing() {
    use turnbell::call::contract::{Input, Ticket};
    let mut call = Call::ringing();
    let result = Ok(Verdict::Deny);
    call.board.handle(Input::Answered { ticket: Ticket(12345), result });
    call.board.handle(Input::Stored { ticket: Ticket(12345), result: Ok(()) });
    call.board.hears(&call.alice, &[]);
    call.ends();
}
