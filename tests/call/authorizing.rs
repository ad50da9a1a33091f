//! `Ask`: a backend that allows, denies, or says nothing (P5).

use std::time::Duration;

use turnbell::call::contract::{AskFailed, Input, Verdict};
use turnbell::call::event::Reply;
use turnbell::call::options::{AuthorizeOptions, OnError, TenantOptions};
use turnbell::call::refusal::ErrorCode;

use super::board::{Board, Page, who};
use super::setup::{invite, ringing};

/// Alice has invited bob, and the backend was asked.
fn asked(on_error: OnError) -> (Board, Page, Page) {
    let authorize = Some(AuthorizeOptions { on_error });
    let mut board = Board::with(TenantOptions { authorize, ..Default::default() });
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.events(&bob);
    board.send(&alice, invite("bob"));
    assert!(board.socket(&alice).replies.is_empty() && board.record.calls.is_empty());
    assert_eq!(board.asks[0].1.callee.as_str(), "bob");
    (board, alice, bob)
}

fn replied(board: &Board, page: &Page) -> Result<(), ErrorCode> {
    match &board.socket(page).replies[..] {
        [(_, Ok(Reply::Invited(_)))] => Ok(()),
        [(_, Err(refusal))] => Err(refusal.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_allowed_call_rings_for_as_long_as_it_may_last() {
    let (mut board, alice, bob) = asked(OnError::Refuse);
    let result = Ok(Verdict::Allow { longest: Some(Duration::from_secs(60)) });
    board.handle(Input::Answered { ticket: board.asks[0].0, result });
    assert_eq!(replied(&board, &alice), Ok(()));
    board.hears(&bob, &["incoming alice"]);
    let id = board.row().call;
    board.does(&bob, ringing(id));
    board.does(&bob, super::setup::accept(id));
    for page in [&alice, &bob] {
        board.socket(page);
        let up = super::setup::media(id, turnbell::call::media::MediaStatus::Connected);
        board.send(page, up);
    }
    board.wait_ms(59_999);
    assert_eq!(board.outcome(), "ANSWERED ");
    board.wait_ms(1);
    assert_eq!(board.outcome(), "COMPLETED limit");
    board.ends();
}

#[test]
fn a_denied_call_is_forbidden() {
    let (mut board, alice, bob) = asked(OnError::Allow);
    board.handle(Input::Answered { ticket: board.asks[0].0, result: Ok(Verdict::Deny) });
    assert_eq!(replied(&board, &alice), Err(ErrorCode::Forbidden));
    board.hears(&bob, &[]);
    assert_eq!(board.outcome(), "FAILED forbidden");
    board.ends();
}

#[test]
fn a_backend_that_is_silent_for_2_s_or_broken_counts_as_configured() {
    for (on_error, expected) in
        [(OnError::Refuse, Err(ErrorCode::Forbidden)), (OnError::Allow, Ok(()))]
    {
        let (mut board, alice, _) = asked(on_error);
        board.wait_ms(1_999);
        assert!(board.socket(&alice).replies.is_empty());
        board.wait_ms(1);
        assert_eq!(replied(&board, &alice), expected);
        // Too late.
        board.handle(Input::Answered { ticket: board.asks[0].0, result: Ok(Verdict::Deny) });
        assert_eq!(replied(&board, &alice), expected);
        board.ends();
        let (mut board, alice, _) = asked(on_error);
        board.handle(Input::Answered { ticket: board.asks[0].0, result: Err(AskFailed) });
        assert_eq!(replied(&board, &alice), expected);
        board.ends();
    }
}

#[test]
fn what_has_changed_meanwhile_counts() {
    let (mut board, alice, bob) = asked(OnError::Allow);
    board.does(&bob, turnbell::call::request::Request::Bye);
    let result = Ok(Verdict::Allow { longest: None });
    board.handle(Input::Answered { ticket: board.asks[0].0, result });
    assert_eq!(replied(&board, &alice), Err(ErrorCode::CalleeOffline));
    board.ends();
    let (mut board, alice, bob) = asked(OnError::Allow);
    board.send(&alice, turnbell::call::request::Request::Bye);
    let result = Ok(Verdict::Allow { longest: None });
    board.handle(Input::Answered { ticket: board.asks[0].0, result });
    board.hears(&bob, &[]);
    board.ends();
}
