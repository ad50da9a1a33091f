//! P4: what a restart of the daemon does to calls.

use turnbell::call::contract::Command;
use turnbell::call::event::Reply;
use turnbell::call::media::MediaStatus::Connected;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::RejoinMedia::{New, Up};
use turnbell::call::rows::UnfinishedCall;

use super::board::{Board, Page, who};
use super::setup::{Call, hangup, media, rejoin};

/// Another daemon that finds what this one has written.
fn restart(call: Call) -> Call {
    let Call { board: old, alice, laptop, phone, id } = call;
    let mut board = Board::new();
    board.now = old.now;
    let row = old.record.calls[&id].clone();
    let parties = old.record.parties.values().filter(|party| party.left_at.is_none()).cloned();
    let beats = old.record.heartbeats.iter().filter(|(_, calls)| calls.contains(&id));
    let heartbeat_at = beats.map(|(at, _)| *at).max();
    let events = old.record.events.last().map_or(0, |event| event.number);
    let parties = parties.collect();
    let unfinished = UnfinishedCall { call: row, parties, heartbeat_at, events };
    board.command(Command::Restore(vec![unfinished])).unwrap();
    Call { board, alice, laptop, phone, id }
}

fn back(call: &mut Call, user: &str, how: turnbell::call::request::RejoinMedia) -> Page {
    let page = call.board.page(who(user));
    call.board.hears(&page, &["sync [reconnecting]"]);
    let Reply::Rejoined(_) = call.board.does(&page, rejoin(call.id, how)) else { panic!() };
    page
}

#[test]
fn calls_that_were_not_active_are_closed_and_who_comes_back_to_one_hears_it() {
    for make in [Call::initiated, Call::ringing, Call::connecting] {
        let mut call = restart(make());
        let back = call.board.page(who("alice"));
        assert_eq!(call.board.may_not(&back, hangup(call.id)), ErrorCode::CallEnded);
        assert_eq!(call.board.outcome(), "FAILED server_restart");
        assert_eq!(call.board.switchboard.call_count(), 0);
        call.ends();
    }
}

#[test]
fn a_live_call_is_noted_every_10_s() {
    let mut call = Call::active();
    let start = call.board.now.unix_ms;
    call.board.wait_ms(29_999);
    let beats: Vec<i64> = call.board.record.heartbeats.iter().map(|(at, _)| at - start).collect();
    assert_eq!(beats, [10_000, 20_000]);
    call.board.does(&call.alice, hangup(call.id));
    call.board.wait_s(60);
    assert_eq!(call.board.record.heartbeats.len(), 2);
    call.ends();
}

#[test]
fn an_active_call_goes_on_when_both_are_back_with_their_media() {
    let mut call = Call::active();
    call.board.wait_s(100);
    let mut call = restart(call);
    call.board.wait_s(44);
    call.alice = back(&mut call, "alice", Up);
    call.board.hears(&call.alice, &["state reconnecting without bob"]);
    call.laptop = back(&mut call, "bob", Up);
    call.board.hears(&call.laptop, &["state reconnecting", "state active"]);
    call.board.hears(&call.alice, &["state reconnecting", "state active"]);
    call.board.wait_s(10);
    call.board.does(&call.alice, hangup(call.id));
    call.is_over("hangup", "COMPLETED hangup");
    assert_eq!(call.board.row().talk_ms, Some(110_000));
    call.ends();
}

#[test]
fn a_reloaded_page_negotiates_anew_once_both_are_back() {
    let mut call = restart(Call::active());
    call.alice = back(&mut call, "alice", New);
    call.board.wait_s(30);
    call.laptop = back(&mut call, "bob", Up);
    call.board.hears(&call.laptop, &["state connecting"]);
    call.board.events(&call.alice);
    call.board.does(&call.laptop, media(call.id, Connected));
    call.board.does(&call.alice, media(call.id, Connected));
    call.board.hears(&call.alice, &["state active"]);
    call.ends();
}

#[test]
fn who_does_not_come_back_in_45_s_ends_it_at_the_last_heartbeat() {
    let mut call = Call::active();
    call.board.wait_s(25);
    let alive_at = call.board.record.heartbeats.last().unwrap().0;
    let mut call = restart(call);
    call.board.wait_s(10);
    call.alice = back(&mut call, "alice", Up);
    call.board.wait_ms(34_999);
    call.board.hears(&call.alice, &["state reconnecting without bob"]);
    call.board.wait_ms(1);
    call.board.hears(&call.alice, &["state ended server_restart without bob"]);
    assert_eq!(call.board.outcome(), "COMPLETED server_restart");
    assert!(call.board.record.heartbeats.is_empty(), "nobody knew it to be alive");
    assert_eq!(call.board.row().ended_at, Some(alive_at));
    assert_eq!(call.board.row().talk_ms, Some(20_000));
    call.ends();
}

#[test]
fn nobody_else_sees_a_restored_call() {
    let mut call = restart(Call::active());
    let carol = call.board.page(who("carol"));
    call.board.hears(&carol, &["sync []"]);
    call.ends();
}

#[test] // P4
fn a_kill_in_the_middle_of_a_rejoin_leaves_both_in_the_call() {
    for rows in 0..4 {
        let mut call = Call::active_in(Board::lazy());
        let page = call.board.page(who("alice"));
        call.board.commit(usize::MAX);
        call.board.does(&page, rejoin(call.id, New));
        call.board.commit(rows);
        call.board.dies([8; 32]);
        assert_eq!(call.board.switchboard.call_count(), 1, "{rows} rows");
        let there = call.board.record.parties.values().filter(|party| party.left_at.is_none());
        assert_eq!(there.count(), 2, "nobody stands there twice: {rows} rows");
        call.ends();
    }
}

#[test] // P4
fn a_kill_in_the_middle_of_an_end_leaves_nobody_in_the_call() {
    for rows in 0..4 {
        let mut call = Call::active_in(Board::lazy());
        call.board.commit(usize::MAX);
        call.board.does(&call.alice, hangup(call.id));
        call.board.commit(rows);
        call.board.dies([8; 32]);
        call.ends();
    }
}
