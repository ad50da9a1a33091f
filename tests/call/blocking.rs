//! P31: `user.block`. Who is blocked rings nowhere, and hears what he would hear of anybody who does
//! not answer.

use turnbell::auth::identity::{TenantId, UserId};
use turnbell::call::contract::Command;
use turnbell::call::event::{Event, Reply};
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{DeviceStatus, PresenceSet, RejectScope, Request};
use turnbell::call::rows::BlockRow;
use turnbell::limits::call::{BLOCKED_RING_MAX, BLOCKED_RING_MIN, BLOCKS_PER_USER_MAX};

use super::board::{Board, Page, START_S, Who, who, who_on};
use super::setup::{accept, calls, cancel, invite, reject, ringing};

fn id(user: &str) -> UserId {
    UserId::new(user).unwrap()
}

fn block(user: &str) -> Request {
    Request::UserBlock(id(user))
}

fn unblock(user: &str) -> Request {
    Request::UserUnblock(id(user))
}

#[track_caller]
fn blocked(board: &mut Board, page: &Page) -> Vec<String> {
    let Reply::Blocked(users) = board.does(page, Request::UserBlocked) else { panic!() };
    users.iter().map(|user| user.as_str().to_owned()).collect()
}

/// Alice, and Bob on two devices.
fn three() -> (Board, Page, Page, Page) {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let (laptop, phone) = (board.page(who("bob")), board.page(who_on("bob", "phone")));
    for page in [&alice, &laptop, &phone] {
        board.events(page);
    }
    (board, alice, laptop, phone)
}

fn guest(user: &str, expires_at_unix_s: i64) -> Who {
    let mut who = who(user);
    who.identity.is_verified = false;
    who.identity.expires_at_unix_s = Some(expires_at_unix_s);
    who
}

#[test]
fn a_blocked_caller_hears_it_ring_until_nobody_answers_and_no_device_hears_anything() {
    let (mut board, alice, laptop, phone) = three();
    board.does(&laptop, block("alice"));
    let call = calls(&mut board, &alice, "bob");
    board.wait_ms(BLOCKED_RING_MIN.as_millis() as u64 - 1);
    board.hears(&alice, &[]);
    board.wait_ms((BLOCKED_RING_MAX - BLOCKED_RING_MIN).as_millis() as u64 + 1);
    board.hears(&alice, &["state ringing"]);
    // A page that comes while it rings.
    let tablet = board.page(who_on("bob", "tablet"));
    board.hears(&tablet, &["sync []"]);
    board.wait_ms(59_000);
    board.hears(&alice, &[]);
    board.wait_ms(1_000);
    board.hears(&alice, &["state ended no_answer"]);
    assert_eq!(board.outcome(), "MISSED no_answer");
    board.hears(&laptop, &[]);
    board.hears(&phone, &[]);
    board.hears(&tablet, &[]);
    assert_eq!(board.record.timeline(), ["invited", "blocked", "ringing", "ended"]);
    assert_eq!(board.may_not(&phone, accept(call)), ErrorCode::CallEnded);
    board.ends();
}

#[test]
fn who_is_not_blocked_rings_and_an_unblocked_one_rings_again() {
    let (mut board, alice, laptop, phone) = three();
    let carol = board.page(who("carol"));
    board.does(&laptop, block("alice"));
    let call = calls(&mut board, &carol, "bob");
    board.hears(&phone, &["incoming carol"]);
    board.does(&carol, cancel(call));
    board.events(&phone);
    // A block has one direction.
    let call = calls(&mut board, &laptop, "alice");
    board.hears(&alice, &["incoming bob"]);
    board.does(&laptop, cancel(call));
    board.does(&phone, unblock("alice"));
    assert!(blocked(&mut board, &laptop).is_empty());
    let call = calls(&mut board, &alice, "bob");
    board.hears(&phone, &["incoming alice"]);
    board.does(&alice, cancel(call));
    board.ends();
}

#[test]
fn a_call_that_does_not_ring_leaves_its_callee_free() {
    let (mut board, alice, laptop, phone) = three();
    let carol = board.page(who("carol"));
    board.does(&laptop, block("alice"));
    let in_vain = calls(&mut board, &alice, "bob");
    board.wait_s(1);
    let call = calls(&mut board, &carol, "bob");
    board.hears(&phone, &["incoming carol"]);
    board.does(&phone, ringing(call));
    board.does(&phone, accept(call));
    assert_eq!(board.may_not(&laptop, accept(in_vain)), ErrorCode::NotParty);
    assert_eq!(board.may_not(&laptop, reject(in_vain, RejectScope::All)), ErrorCode::NotParty);
    board.does(&alice, cancel(in_vain));
    assert_eq!(board.outcome(), "MISSED cancelled");
    board.ends();
}

#[test]
fn what_would_be_said_to_anybody_is_said_to_who_is_blocked() {
    let (mut board, alice, laptop, phone) = three();
    board.does(&laptop, block("alice"));
    let dnd = PresenceSet { status: DeviceStatus::Dnd, note: None, when_busy: None };
    board.does(&phone, Request::PresenceSet(dnd));
    assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::CalleeDnd);
    board.hears(&laptop, &[]);
    board.hears(&phone, &[]);
    let online = PresenceSet { status: DeviceStatus::Online, note: None, when_busy: None };
    board.does(&phone, Request::PresenceSet(online));
    // Every page has lost its socket: as with anybody, there is time to come back, and no more.
    board.lose(&laptop);
    board.lose(&phone);
    calls(&mut board, &alice, "bob");
    board.wait_ms(9_999);
    board.hears(&alice, &[]);
    board.wait_ms(1);
    board.hears(&alice, &["state ended callee_offline"]);
    board.wait_s(60);
    assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::CalleeOffline);
    let silent = board.record.calls.keys().all(|call| board.record.silent.contains(call));
    assert!(silent, "none of it is told to who has blocked him");
    board.ends();
}

#[test]
fn calls_in_vain_count_for_who_is_blocked_as_for_all() {
    let (mut board, alice, laptop, _) = three();
    board.does(&laptop, block("alice"));
    for _ in 0..3 {
        let call = calls(&mut board, &alice, "bob");
        board.wait_s(1);
        board.does(&alice, cancel(call));
    }
    let refusal = board.ask(&alice, invite("bob")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert!(refusal.retry_after.is_some());
    board.ends();
}

#[test]
fn a_block_stops_what_rings_and_the_caller_hears_it_ring_on() {
    let (mut board, alice, laptop, phone) = three();
    let call = calls(&mut board, &alice, "bob");
    board.does(&laptop, ringing(call));
    board.hears(&alice, &["state ringing"]);
    board.events(&laptop);
    board.events(&phone);
    board.does(&laptop, block("alice"));
    board.hears(&laptop, &["cancelled rejected_elsewhere"]);
    board.hears(&phone, &["cancelled rejected_elsewhere"]);
    board.wait_s(59);
    board.hears(&alice, &[]);
    board.wait_s(1);
    board.hears(&alice, &["state ended no_answer"]);
    // One that had not said that it rings.
    let call = {
        board.does(&laptop, unblock("alice"));
        calls(&mut board, &alice, "bob")
    };
    board.does(&phone, block("alice"));
    board.wait_s(1);
    board.hears(&alice, &["state ringing"]);
    board.does(&alice, cancel(call));
    board.ends();
}

#[test]
fn a_block_ends_no_call_that_is_going_on() {
    let (mut board, alice, laptop, _) = three();
    let call = calls(&mut board, &alice, "bob");
    board.does(&laptop, accept(call));
    board.events(&alice);
    board.does(&laptop, block("alice"));
    board.hears(&alice, &[]);
    assert_eq!(board.switchboard.call_count(), 1);
    board.ends();
}

#[test]
fn it_is_answered_when_it_is_durable_and_what_is_not_has_not_happened() {
    let (mut board, alice, laptop, phone) = three();
    board.is_store_broken = true;
    assert_eq!(board.may_not(&laptop, block("alice")), ErrorCode::StoreUnavailable);
    assert!(blocked(&mut board, &laptop).is_empty());
    board.is_store_broken = false;
    board.does(&laptop, block("alice"));
    board.does(&phone, block("alice"));
    let pair = (TenantId::default_tenant(), id("bob"), id("alice"));
    assert!(board.record.blocks.contains_key(&pair));
    board.is_store_broken = true;
    assert_eq!(board.may_not(&laptop, unblock("alice")), ErrorCode::StoreUnavailable);
    assert_eq!(blocked(&mut board, &laptop), ["alice"]);
    // What changes nothing needs no record.
    board.does(&laptop, unblock("nobody"));
    board.does(&laptop, block("alice"));
    board.is_store_broken = false;
    board.does(&laptop, unblock("alice"));
    assert!(board.record.blocks.is_empty());
    assert_eq!(board.may_not(&alice, block("alice")), ErrorCode::BadRequest);
    board.ends();
}

#[test]
fn the_last_block_that_fits_is_taken_and_the_next_is_refused() {
    let (mut board, _, laptop, _) = three();
    for n in 0..BLOCKS_PER_USER_MAX {
        board.does(&laptop, block(&format!("u{n}")));
        board.wait_ms(20);
    }
    assert_eq!(board.may_not(&laptop, block("one more")), ErrorCode::QuotaExceeded);
    board.does(&laptop, block("u0"));
    board.does(&laptop, unblock("u0"));
    board.does(&laptop, block("one more"));
    assert_eq!(blocked(&mut board, &laptop).len(), BLOCKS_PER_USER_MAX);
    board.ends();
}

#[test]
fn blocks_of_the_record_hold_in_their_tenant_from_the_first_connection_on() {
    let mut board = Board::new();
    let row = |tenant: &str, until| BlockRow {
        tenant: TenantId::new(tenant).unwrap(),
        user: id("bob"),
        blocked: id("alice"),
        at: 1,
        until,
    };
    board.command(Command::LoadBlocks(vec![row("other", None)])).unwrap();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.events(&bob);
    let call = calls(&mut board, &alice, "bob");
    board.hears(&bob, &["incoming alice"]);
    board.does(&alice, cancel(call));
    board.events(&bob);
    board.command(Command::LoadBlocks(vec![row("default", None)])).unwrap();
    let call = calls(&mut board, &alice, "bob");
    board.hears(&bob, &[]);
    board.does(&alice, cancel(call));
    board.ends();
}

#[test]
fn a_guest_blocks_until_his_token_ends() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let bob = board.page(guest("bob", START_S + 100));
    board.does(&bob, block("alice"));
    board.wait_s(99);
    assert_eq!(blocked(&mut board, &bob), ["alice"]);
    let newer = guest("bob", START_S + 9_000);
    board.does(&bob, Request::AuthRefresh(Box::new(newer.identity)));
    board.wait_s(1);
    assert!(blocked(&mut board, &bob).is_empty());
    board.events(&bob);
    calls(&mut board, &alice, "bob");
    let heard = board.events(&bob);
    assert!(heard.iter().any(|event| matches!(**event, Event::CallIncoming(_))), "{heard:?}");
    board.ends();
}
