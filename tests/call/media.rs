//! T16 to T21, T23: becoming active, hold, losing media and getting it back.

use turnbell::call::media::MediaStatus::{Connected, Connecting, Disconnected, Failed};
use turnbell::call::options::TenantOptions;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{Capabilities, Request};

use super::board::{Board, who};
use super::setup::{Call, accept, answer, calls, hangup, hold, media, mute, offer, relayed};

#[test] // T16
fn a_call_is_active_when_both_have_media() {
    let mut call = Call::connecting();
    call.board.does(&call.alice, media(call.id, Connecting));
    call.board.does(&call.alice, media(call.id, Connected));
    call.board.hears(&call.alice, &[]);
    let path = Some(relayed());
    let (id, status) = (call.id, Connected);
    call.board.does(&call.laptop, Request::CallMedia { call: id, status, path });
    call.board.hears(&call.alice, &["state active"]);
    let party = call.board.record.parties.values().find(|party| party.path.is_some());
    assert!(party.is_none(), "the path is stored with the party's last row");
    call.board.does(&call.alice, hangup(id));
    assert!(call.board.record.parties.values().any(|party| party.path == path));
    call.ends();
}

#[test] // T16
fn one_side_with_media_for_3_s_is_enough() {
    let mut call = Call::connecting();
    call.board.does(&call.laptop, media(call.id, Connected));
    call.board.wait_ms(2999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.board.hears(&call.alice, &["state active"]);
    call.ends();
}

#[test] // T16
fn a_second_report_of_the_same_side_does_not_begin_the_3_s_anew() {
    let mut call = Call::connecting();
    call.board.does(&call.laptop, media(call.id, Connected));
    call.board.wait_s(2);
    let (id, path) = (call.id, Some(relayed()));
    call.board.does(&call.laptop, Request::CallMedia { call: id, status: Connected, path });
    call.board.wait_s(1);
    call.board.hears(&call.alice, &["state active"]);
    call.ends();
}

#[test] // T16
fn one_side_that_loses_it_within_3_s_is_not() {
    let mut call = Call::connecting();
    call.board.does(&call.laptop, media(call.id, Connected));
    call.board.wait_s(2);
    call.board.does(&call.laptop, media(call.id, Disconnected));
    call.board.wait_s(5);
    call.board.hears(&call.alice, &[]);
    call.ends();
}

#[test] // P14 e
fn without_media_reports_the_first_answer_makes_it_active() {
    let mut board = Board::new();
    let mut plain = who("bob");
    plain.capabilities = Capabilities::default();
    let (alice, bob) = (board.page(who("alice")), board.page(plain));
    let id = calls(&mut board, &alice, "bob");
    board.does(&bob, accept(id));
    board.events(&alice);
    board.does(&alice, offer(id, 1));
    board.hears(&alice, &[]);
    board.does(&bob, answer(id, 1));
    board.hears(&alice, &["answer 1", "state active"]);
    board.ends();
}

#[test]
fn media_before_the_answer_and_of_others_is_refused() {
    let mut call = Call::ringing();
    assert_eq!(call.board.may_not(&call.alice, media(call.id, Connected)), ErrorCode::BadRequest);
    assert_eq!(call.board.may_not(&call.laptop, media(call.id, Connected)), ErrorCode::NotParty);
    call.ends();
    let mut call = Call::active();
    assert_eq!(call.board.may_not(&call.phone, media(call.id, Failed)), ErrorCode::NotParty);
    call.ends();
}

#[test] // T17, T18, P14 f
fn no_media_in_20_s_is_one_restart_and_then_the_end() {
    let mut call = Call::connecting();
    call.board.wait_ms(19_999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.board.hears(&call.alice, &["restart 1 relay=true"]);
    call.board.hears(&call.laptop, &["restart 1 relay=true"]);
    call.board.wait_ms(19_999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.is_over("ice_timeout", "FAILED ice_timeout");
    call.ends();
}

#[test] // T17, T18
fn a_failure_that_both_report_is_one_failure() {
    let mut call = Call::connecting();
    let Call { board, alice, laptop, id, .. } = &mut call;
    board.does(alice, offer(*id, 1));
    board.does(laptop, answer(*id, 1));
    board.events(alice);
    board.events(laptop);
    board.does(alice, media(*id, Failed));
    board.hears(alice, &["restart 2 relay=true"]);
    board.does(laptop, media(*id, Failed));
    board.hears(alice, &[]);
    board.hears(laptop, &["restart 2 relay=true"]);
    board.does(alice, offer(*id, 2));
    board.hears(laptop, &["offer 2"]);
    board.does(laptop, media(*id, Connecting));
    board.does(laptop, media(*id, Failed));
    call.is_over("ice_failed", "FAILED ice_failed");
    call.ends();
}

#[test] // T17
fn without_turn_a_restart_is_not_asked_to_use_it() {
    let mut board = Board::with(TenantOptions { turn_enabled: false, ..Default::default() });
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    assert!(!board.socket(&alice).welcome.as_ref().unwrap().has_turn);
    let id = calls(&mut board, &alice, "bob");
    board.does(&bob, accept(id));
    board.events(&alice);
    board.does(&alice, media(id, Failed));
    board.hears(&alice, &["restart 1 relay=false"]);
    board.ends();
}

#[test] // T19, P14 h
fn a_call_is_held_until_all_who_hold_it_take_it_back() {
    let mut call = Call::active();
    let Call { board, alice, laptop, id, .. } = &mut call;
    board.does(alice, hold(*id, true));
    board.hears(alice, &["state held"]);
    board.hears(laptop, &["update", "state held"]);
    board.does(laptop, hold(*id, true));
    board.does(alice, hold(*id, false));
    board.hears(alice, &["update"]);
    board.hears(laptop, &["update"]);
    board.does(laptop, hold(*id, false));
    board.hears(alice, &["update", "state active"]);
    board.hears(laptop, &["state active"]);
    call.ends();
}

#[test] // T19
fn hold_is_refused_before_media_and_to_strangers() {
    let mut call = Call::ringing();
    assert_eq!(call.board.may_not(&call.alice, hold(call.id, true)), ErrorCode::BadRequest);
    call.ends();
    let mut call = Call::connecting();
    assert_eq!(call.board.may_not(&call.alice, hold(call.id, true)), ErrorCode::BadRequest);
    call.board.does(&call.alice, mute(call.id));
    call.board.hears(&call.laptop, &["update"]);
    assert_eq!(call.board.may_not(&call.phone, mute(call.id)), ErrorCode::NotParty);
    call.ends();
}

#[test] // T20, T21
fn lost_media_that_comes_back_within_30_s_is_a_gap() {
    for is_held in [false, true] {
        let mut call = Call::active();
        let Call { board, alice, laptop, id, .. } = &mut call;
        if is_held {
            board.does(laptop, hold(*id, true));
        }
        board.events(alice);
        board.events(laptop);
        board.does(alice, media(*id, Disconnected));
        board.hears(alice, &["state reconnecting"]);
        board.hears(laptop, &["state reconnecting"]);
        board.does(laptop, media(*id, Disconnected));
        board.wait_ms(29_999);
        board.does(alice, media(*id, Connected));
        board.hears(alice, &[]);
        board.does(laptop, media(*id, Connected));
        let state = if is_held { "state held" } else { "state active" };
        board.hears(alice, &[state]);
        let gap = board.record.events.iter().find(|event| event.kind.code() == "recovered");
        assert_eq!(gap.unwrap().detail.as_deref(), Some("29999"));
        call.ends();
    }
}

#[test] // T23
fn lost_media_that_does_not_come_back_ends_the_call_after_30_s() {
    let mut call = Call::reconnecting();
    call.board.wait_ms(29_999);
    call.board.hears(&call.alice, &[]);
    call.board.wait_ms(1);
    call.is_over("lost", "COMPLETED lost");
    call.ends();
}

#[test]
fn ice_that_gives_up_during_a_call_is_restarted_once() {
    let mut call = Call::reconnecting();
    let Call { board, alice, laptop, id, .. } = &mut call;
    board.does(alice, media(*id, Failed));
    board.hears(alice, &["restart 1 relay=true"]);
    board.hears(laptop, &["restart 1 relay=true"]);
    board.does(alice, offer(*id, 1));
    board.does(alice, media(*id, Connecting));
    board.does(alice, media(*id, Failed));
    board.hears(alice, &[]);
    board.hears(laptop, &["offer 1"]);
    board.does(alice, media(*id, Connected));
    board.hears(alice, &["state active"]);
    // The next loss has its own restart.
    board.does(alice, media(*id, Failed));
    board.hears(alice, &["state reconnecting", "restart 2 relay=true"]);
    call.ends();
}
