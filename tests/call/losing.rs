//! T10, T20b, P14 d and g: sockets that are lost, at each state of a call.

use turnbell::call::media::MediaStatus::{Connected, Disconnected};
use turnbell::call::request::Request;

use super::setup::{Call, accept, hangup, media};

#[test] // T10, P14 d
fn a_lost_caller_has_10_s_to_come_back() {
    for make in [Call::ringing, Call::initiated] {
        let mut call = make();
        call.board.does(&call.laptop, super::setup::ringing(call.id));
        call.board.lose(&call.alice);
        call.board.wait_ms(9_999);
        call.board.hears(&call.laptop, &[]);
        call.board.wait_ms(1);
        call.board.hears(&call.laptop, &["cancelled caller_cancelled"]);
        assert_eq!(call.board.outcome(), "MISSED cancelled");
        call.ends();
    }
}

#[test] // T10
fn a_caller_who_comes_back_in_time_calls_on() {
    let mut call = Call::ringing();
    call.board.lose(&call.alice);
    call.board.wait_ms(9_999);
    call.alice = call.board.resume(&call.alice);
    call.board.wait_s(20);
    call.board.does(&call.laptop, accept(call.id));
    call.board.hears(&call.alice, &["state connecting"]);
    call.ends();
}

#[test]
fn a_call_may_be_answered_while_its_caller_is_lost() {
    let mut call = Call::ringing();
    call.board.lose(&call.alice);
    call.board.does(&call.laptop, accept(call.id));
    call.board.hears(&call.laptop, &["state connecting", "state connecting without alice"]);
    call.board.wait_s(11);
    call.alice = call.board.resume(&call.alice);
    call.board.hears(
        &call.alice,
        &["state connecting", "state connecting without alice", "state connecting"],
    );
    call.board.hears(&call.laptop, &["state connecting"]);
    call.becomes_active();
    call.ends();
}

#[test] // T20b
fn a_lost_socket_does_not_cut_the_media() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.hears(&call.laptop, &["state active without alice"]);
    call.board.wait_ms(119_999);
    call.alice = call.board.resume(&call.alice);
    call.board.hears(&call.laptop, &["state active"]);
    call.board.hears(&call.alice, &["state active without alice", "state active"]);
    call.board.does(&call.alice, hangup(call.id));
    call.is_over("hangup", "COMPLETED hangup");
    call.ends();
}

#[test] // P14 g
fn after_120_s_the_call_lives_while_the_other_side_has_media() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.events(&call.laptop);
    call.board.wait_s(600);
    call.board.hears(&call.laptop, &[]);
    assert_eq!(call.board.switchboard.call_count(), 1);
    call.board.does(&call.laptop, media(call.id, Disconnected));
    call.board.hears(&call.laptop, &["state reconnecting without alice"]);
    call.board.wait_s(30);
    call.board.hears(&call.laptop, &["state ended lost without alice"]);
    assert_eq!(call.board.outcome(), "COMPLETED lost");
    call.ends();
}

#[test] // P14 g
fn after_120_s_without_anybody_it_is_over() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.lose(&call.laptop);
    call.board.wait_ms(119_999);
    assert_eq!(call.board.switchboard.call_count(), 1);
    call.board.wait_ms(1);
    assert_eq!(call.board.outcome(), "COMPLETED lost");
    call.ends();
}

#[test]
fn media_and_socket_may_be_lost_together_and_come_back_together() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.does(&call.laptop, media(call.id, Disconnected));
    call.board.wait_s(20);
    call.alice = call.board.resume(&call.alice);
    call.board.does(&call.laptop, media(call.id, Connected));
    call.board.hears(
        &call.laptop,
        &[
            "state active without alice",
            "state reconnecting without alice",
            "state reconnecting",
            "state active",
        ],
    );
    call.ends();
}

#[test]
fn a_lost_party_that_comes_back_hears_that_the_other_hung_up() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.does(&call.laptop, hangup(call.id));
    call.alice = call.board.resume(&call.alice);
    call.board
        .hears(&call.alice, &["state active without alice", "state ended hangup without alice"]);
    call.ends();
}

#[test]
fn bye_is_a_hangup() {
    let mut call = Call::active();
    call.board.does(&call.alice, Request::Bye);
    call.board.hears(&call.laptop, &["state ended hangup"]);
    assert_eq!(call.board.outcome(), "COMPLETED hangup");
    call.ends();
    let mut call = Call::ringing();
    call.board.does(&call.alice, Request::Bye);
    assert_eq!(call.board.outcome(), "MISSED cancelled");
    call.ends();
    let mut call = Call::ringing();
    call.board.does(&call.laptop, Request::Bye);
    call.board.does(&call.phone, accept(call.id));
    call.ends();
}
