//! T11, T12: one winner, and every loser is told.

use turnbell::call::event::Reply;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{Invite, Request};

use super::board::{Board, who, who_on};
use super::setup::{Call, accept, calls, candidates, hangup, offer, plain_invite, sdp};

#[test] // T11, T12
fn the_first_to_accept_wins_and_every_other_is_told() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let devices: Vec<_> = (0..10).map(|n| board.page(who_on("bob", &format!("d{n}")))).collect();
    let id = calls(&mut board, &alice, "bob");
    let Reply::Accepted(view) = board.does(&devices[4], accept(id)) else { panic!() };
    assert_eq!(view.you, Some(view.parties[1].party));
    for (n, device) in devices.iter().enumerate() {
        let told = if n == 4 { "state connecting" } else { "cancelled answered_elsewhere" };
        board.hears(device, &["sync []", "incoming alice", told]);
    }
    for device in &devices {
        assert_eq!(board.may_not(device, accept(id)), ErrorCode::AlreadyAnswered);
    }
    board.does(&devices[4], hangup(id));
    assert_eq!(board.may_not(&devices[5], accept(id)), ErrorCode::CallEnded);
    board.ends();
}

#[test] // T11
fn it_may_be_accepted_before_it_rings() {
    let mut call = Call::initiated();
    call.board.does(&call.phone, accept(call.id));
    call.board.hears(&call.alice, &["state connecting"]);
    assert_eq!(call.board.row().ring_ms, None);
    call.board.wait_s(10);
    call.board.hears(&call.alice, &[]);
    call.ends();
}

#[test]
fn a_caller_or_a_stranger_cannot_accept() {
    let mut call = Call::ringing();
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&call.alice, accept(call.id)), ErrorCode::NotParty);
    assert_eq!(call.board.may_not(&carol, accept(call.id)), ErrorCode::NotParty);
    call.ends();
}

#[test] // T11
fn what_the_caller_sent_before_the_answer_reaches_the_winner_alone_and_in_order() {
    let mut call = Call::ringing();
    let Call { board, alice, laptop, phone, id } = &mut call;
    board.does(alice, offer(*id, 1));
    for _ in 0..63 {
        board.does(alice, candidates(*id, 1, 1));
    }
    assert_eq!(board.may_not(alice, candidates(*id, 1, 1)), ErrorCode::QuotaExceeded);
    board.does(phone, accept(*id));
    let mut expected = vec!["state connecting", "offer 1"];
    expected.extend(std::iter::repeat_n("candidates 1", 63));
    board.hears(phone, &expected);
    board.hears(laptop, &["cancelled answered_elsewhere"]);
    call.ends();
}

#[test] // T11
fn an_answer_may_come_with_the_accept() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    let invite = Invite { offer: Some(sdp("v=0")), ..plain_invite("bob") };
    board.does(&alice, Request::CallInvite(Box::new(invite)));
    let id = board.row().call;
    board.events(&alice);
    board.does(&bob, Request::CallAccept { call: id, answer: Some(sdp("v=0")) });
    board.hears(&alice, &["state connecting", "answer 1"]);
    board.ends();
}

#[test]
fn an_answer_without_an_offer_is_nonsense_and_the_call_rings_on() {
    let mut call = Call::ringing();
    let accept = Request::CallAccept { call: call.id, answer: Some(sdp("v=0")) };
    assert_eq!(call.board.may_not(&call.laptop, accept), ErrorCode::BadRequest);
    assert_eq!(call.board.outcome(), "RINGING ");
    call.ends();
}

#[test]
fn a_loser_whose_socket_is_lost_hears_it_when_it_is_back() {
    let mut call = Call::ringing();
    call.board.lose(&call.phone);
    call.board.does(&call.laptop, accept(call.id));
    let phone = call.board.resume(&call.phone);
    call.board.hears(&phone, &["cancelled answered_elsewhere"]);
    call.ends();
}
