//! Ids, rates, strikes, queues: what one session may ask and hold.

use std::collections::BTreeSet;

use turnbell::call::contract::{CloseCode, Input};
use turnbell::call::event::Reply;
use turnbell::call::refusal::{ErrorCode, Refusal};
use turnbell::call::request::{Frame, Request, RequestId};

use super::board::{Board, who};
use super::setup::{Call, calls, invite, plain_invite};

fn named(id: &str, request: Request) -> Frame {
    Frame::Request { id: RequestId::new(id).unwrap(), ack: None, request }
}

#[test]
fn a_repeated_id_gets_the_same_reply_and_does_nothing_else() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    let frame = || named("c7", Request::CallInvite(Box::new(plain_invite("bob"))));
    board.frame(&alice, frame());
    board.frame(&alice, frame());
    let alice = board.resume(&alice);
    board.frame(&alice, frame());
    let replies = &board.socket(&alice).replies;
    assert!(matches!(&replies[..], [(_, Ok(Reply::Invited(_)))]), "{replies:?}");
    assert_eq!(board.record.calls.len(), 1);
    board.hears(&bob, &["sync []", "incoming alice"]);
    board.ends();
}

#[test]
fn another_session_may_use_the_same_id() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    for page in [&alice, &bob] {
        board.frame(page, named("1", Request::Ping));
        assert_eq!(board.socket(page).replies.len(), 1);
    }
    board.ends();
}

#[test]
fn a_hundred_requests_at_once_and_fifty_a_second() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    for _ in 0..100 {
        board.does(&alice, Request::Ping);
    }
    let refusal = board.ask(&alice, Request::Ping).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    let wait = refusal.retry_after.unwrap();
    board.wait_ms(u64::try_from(wait.as_millis()).unwrap());
    board.does(&alice, Request::Ping);
    board.ends();
}

#[test]
fn a_refusal_for_the_rate_is_not_the_reply_for_ever() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    for _ in 0..10 {
        board.may_not(&alice, invite("bob"));
    }
    board.page(who("bob"));
    let frame = || named("x", Request::CallInvite(Box::new(plain_invite("bob"))));
    board.frame(&alice, frame());
    board.wait_s(6);
    board.frame(&alice, frame());
    let replies = &board.socket(&alice).replies;
    assert!(matches!(&replies[..], [(_, Err(_)), (_, Ok(_))]), "{replies:?}");
    board.ends();
}

#[test]
fn three_strikes_within_a_minute_close_the_socket_and_two_do_not() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let burst = |board: &mut Board| (0..160).for_each(|_| drop(board.send(&alice, Request::Ping)));
    burst(&mut board);
    board.wait_s(1);
    burst(&mut board);
    board.wait_s(60);
    burst(&mut board);
    assert_eq!(board.socket(&alice).closed, None);
    board.wait_s(1);
    burst(&mut board);
    board.wait_s(1);
    burst(&mut board);
    assert_eq!(board.socket(&alice).closed, Some(CloseCode::Rate));
    board.ends();
}

#[test]
fn frames_that_make_no_sense_are_answered_and_counted() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let refusal = Refusal::new(ErrorCode::UnknownType, "nobody knows this");
    let frame = |id: Option<&str>| Frame::Unreadable {
        id: id.and_then(RequestId::new),
        refusal: refusal.clone(),
    };
    board.frame(&alice, frame(None));
    board.frame(&alice, frame(Some("a")));
    for (re, result) in &board.socket(&alice).replies {
        assert_eq!(result, &Err(refusal.clone()), "{re:?}");
    }
    assert_eq!(board.socket(&alice).replies.len(), 2);
    for _ in 0..200 {
        board.frame(&alice, frame(None));
    }
    let last = board.socket(&alice).replies.last().unwrap().1.clone().unwrap_err();
    assert_eq!(last.code, ErrorCode::RateLimited);
    board.ends();
}

#[test]
fn a_client_that_does_not_read_is_closed_and_loses_nothing_silently() {
    let mut call = Call::connecting();
    let Call { board, alice, laptop, id, .. } = &mut call;
    board.slow_down(laptop, true);
    board.does(alice, super::setup::offer(*id, 1));
    for n in 0..600 {
        if board.socket(laptop).closed.is_some() {
            break;
        }
        board.does(alice, super::setup::mute(*id));
        if n % 40 == 39 {
            board.wait_s(1);
        }
    }
    assert_eq!(board.socket(laptop).closed, Some(CloseCode::SlowConsumer));
    let laptop = board.resume(laptop);
    let resumed = board.socket(&laptop).welcome.as_ref().unwrap().resumed;
    assert_eq!(resumed, turnbell::call::event::Resumed::Gap);
    call.ends();
}

#[test]
fn only_a_few_messages_are_on_their_way_to_a_socket() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.slow_down(&bob, true);
    for _ in 0..60 {
        board.send(&bob, Request::Ping);
    }
    assert_eq!(board.socket(&bob).replies.len(), 32);
    let connection = bob.connection;
    board.handle(Input::Sent { connection, count: 2 });
    assert_eq!(board.socket(&bob).replies.len(), 34);
    // More than were under way cannot have been written.
    board.handle(Input::Sent { connection, count: usize::MAX });
    assert_eq!(board.socket(&bob).replies.len(), 60);
    calls(&mut board, &alice, "bob");
    board.ends();
}

#[test]
fn ids_are_not_used_twice() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        let refusal = board.ask(&alice, invite("bob")).unwrap_err();
        assert!(seen.insert(refusal.call.unwrap()));
        assert_eq!(refusal.call.unwrap().to_string().len(), 26);
    }
    board.ends();
}

#[test]
fn a_request_id_has_1_to_64_bytes() {
    assert_eq!(RequestId::new(""), None);
    assert!(RequestId::new(&"x".repeat(64)).is_some());
    assert_eq!(RequestId::new(&"x".repeat(65)), None);
}
