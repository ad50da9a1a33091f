//! T22: a new page of the same user in the same call.

use turnbell::call::event::Reply;
use turnbell::call::media::MediaStatus::Connected;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::RejoinMedia::{New, Up};

use super::board::who;
use super::setup::{Call, hangup, media, offer, rejoin};

#[test] // T22
fn a_reloaded_page_comes_back_into_the_same_call() {
    for make in [Call::connecting, Call::active, Call::reconnecting] {
        let mut call = make();
        call.board.lose(&call.alice);
        call.board.events(&call.laptop);
        let alice = call.board.page(who("alice"));
        let Reply::Rejoined(view) = call.board.does(&alice, rejoin(call.id, New)) else { panic!() };
        assert_eq!(view.parties[0].party.0, 3, "a new party");
        assert_eq!(view.you, Some(view.parties[0].party));
        call.board.hears(&call.laptop, &["state connecting"]);
        call.board.events(&alice);
        call.alice = alice;
        call.board.does(&call.laptop, offer(call.id, 1));
        call.board.hears(&call.alice, &["offer 1"]);
        call.becomes_active();
        call.board.does(&call.alice, hangup(call.id));
        assert_eq!(call.board.outcome(), "COMPLETED hangup");
        assert_eq!(call.board.record.parties.len(), 3);
        call.ends();
    }
}

#[test] // T22
fn a_rejoined_call_that_does_not_connect_is_lost_not_failed() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    let alice = call.board.page(who("alice"));
    call.board.does(&alice, rejoin(call.id, New));
    call.board.wait_s(40);
    assert_eq!(call.board.outcome(), "COMPLETED lost");
    call.ends();
}

#[test]
fn a_page_whose_session_was_lost_takes_its_call_up_without_negotiating() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.events(&call.laptop);
    let alice = call.board.page(who("alice"));
    let Reply::Rejoined(view) = call.board.does(&alice, rejoin(call.id, Up)) else { panic!() };
    assert_eq!(view.parties[0].party.0, 1, "the same party");
    call.board.hears(&call.laptop, &["state active"]);
    call.board.hears(&alice, &["sync [active]", "state active"]);
    // The old page has no part in it any more, not even when it comes back.
    let old = call.board.resume(&call.alice);
    assert_eq!(call.board.may_not(&old, hangup(call.id)), ErrorCode::NotParty);
    call.ends();
}

#[test]
fn a_page_is_told_that_another_one_took_its_place() {
    let mut call = Call::active();
    call.board.does(&call.phone, rejoin(call.id, New));
    call.board.hears(&call.laptop, &["cancelled rejoined_elsewhere"]);
    call.board.hears(&call.phone, &["state connecting"]);
    let stale = media(call.id, Connected);
    assert_eq!(call.board.may_not(&call.laptop, stale), ErrorCode::NotParty);
    call.ends();
}

#[test]
fn nobody_rejoins_a_call_that_rings_is_over_or_is_not_his() {
    let mut call = Call::ringing();
    assert_eq!(call.board.may_not(&call.alice, rejoin(call.id, New)), ErrorCode::BadRequest);
    assert_eq!(call.board.may_not(&call.laptop, rejoin(call.id, New)), ErrorCode::BadRequest);
    call.ends();
    let mut call = Call::active();
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&carol, rejoin(call.id, New)), ErrorCode::NotParty);
    call.board.does(&call.alice, hangup(call.id));
    assert_eq!(call.board.may_not(&call.phone, rejoin(call.id, New)), ErrorCode::CallEnded);
    call.ends();
}
