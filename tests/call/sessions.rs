//! Hello, resume, expiry: sessions and the sockets under them.

use turnbell::auth::identity::{Role, TenantId};
use turnbell::call::contract::CloseCode;
use turnbell::call::event::Resumed;
use turnbell::call::options::TenantOptions;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{Frame, Request, Resume};

use super::board::{Board, Page, START_S, who, who_on};
use super::setup::{Call, mute};

fn resumed(board: &Board, page: &Page) -> Resumed {
    board.socket(page).welcome.as_ref().unwrap().resumed
}

#[test]
fn a_lost_session_goes_on_within_30_s_and_not_after() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    board.hears(&alice, &["sync []"]);
    board.lose(&alice);
    board.wait_ms(29_999);
    let alice = board.resume(&alice);
    assert_eq!(resumed(&board, &alice), Resumed::Yes);
    board.hears(&alice, &[]);
    board.lose(&alice);
    board.wait_ms(30_000);
    let alice = board.resume(&alice);
    assert_eq!(resumed(&board, &alice), Resumed::UnknownToken);
    board.hears(&alice, &["sync []"]);
    board.ends();
}

#[test]
fn a_session_in_a_call_goes_on_within_120_s() {
    let mut call = Call::active();
    call.board.lose(&call.alice);
    call.board.wait_ms(119_999);
    call.alice = call.board.resume(&call.alice);
    assert_eq!(resumed(&call.board, &call.alice), Resumed::Yes);
    call.ends();
}

#[test]
fn a_token_is_good_once_for_its_user_on_its_device() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let token = board.resume_of(&alice);
    board.lose(&alice);
    for thief in [who("bob"), who_on("alice", "phone")] {
        let page = board.connect(thief, Some(token.clone()));
        assert_eq!(resumed(&board, &page), Resumed::UnknownToken);
    }
    let mut elsewhere = who("alice");
    elsewhere.identity.tenant = TenantId::new("other").unwrap();
    let page = board.connect(elsewhere, Some(token.clone()));
    assert_eq!(resumed(&board, &page), Resumed::UnknownToken);
    let page = board.connect(who("alice"), Some(token.clone()));
    assert_eq!(resumed(&board, &page), Resumed::Yes);
    let page = board.connect(who("alice"), Some(token));
    assert_eq!(resumed(&board, &page), Resumed::UnknownToken);
    for garbage in ["", ".", "x.y", "01ARYZ6S410000000000000000.AAAA"] {
        let resume = Resume { token: garbage.into(), last_seq: 0 };
        let page = board.connect(who_on("carol", garbage), Some(resume));
        assert_eq!(resumed(&board, &page), Resumed::UnknownToken);
        board.does(&page, Request::Bye);
    }
    board.ends();
}

#[test]
fn a_newer_socket_replaces_the_old_one() {
    let mut board = Board::new();
    let old = board.page(who("alice"));
    let new = board.resume(&old);
    assert_eq!(board.socket(&old).closed, Some(CloseCode::Replaced));
    assert_eq!(resumed(&board, &new), Resumed::Yes);
    // What still comes over the old one, its end included, concerns nobody.
    board.frame(&old, Frame::Ack(1));
    board.lose(&old);
    board.does(&new, Request::Ping);
    board.ends();
}

#[test]
fn acknowledged_events_do_not_come_again() {
    let mut call = Call::active();
    let before = call.board.resume_of(&call.laptop);
    call.board.does(&call.alice, mute(call.id));
    call.board.hears(&call.laptop, &["update"]);
    // The page had dealt with it, but its socket died before it said so.
    call.board.lose(&call.laptop);
    call.laptop = call.board.connect(call.laptop.who.clone(), Some(before));
    call.board.hears(&call.laptop, &["update", "state active without bob", "state active"]);
    call.ends();
}

#[test]
fn more_than_256_missed_events_are_a_gap_that_is_told() {
    for (missed, expected) in [(255, Resumed::Yes), (256, Resumed::Gap)] {
        let mut call = Call::active();
        call.board.lose(&call.laptop);
        for n in 0..missed {
            call.board.does(&call.alice, mute(call.id));
            if n % 50 == 49 {
                call.board.wait_s(1);
            }
        }
        let laptop = call.board.resume(&call.laptop);
        assert_eq!(resumed(&call.board, &laptop), expected, "{missed}");
        if expected == Resumed::Gap {
            call.board.hears(&laptop, &["sync [active]", "state active"]);
        }
        call.board.does(&laptop, super::setup::hangup(call.id));
        call.ends();
    }
}

#[test]
fn a_token_that_expires_is_announced_refreshed_or_the_end() {
    let mut board = Board::new();
    let mut brief = who("alice");
    brief.identity.expires_at_unix_s = Some(START_S + 100);
    let alice = board.page(brief.clone());
    board.hears(&alice, &["sync []"]);
    board.wait_ms(39_999);
    board.hears(&alice, &[]);
    board.wait_ms(1);
    board.hears(&alice, &["auth expiring"]);
    let mut newer = brief.identity.clone();
    newer.expires_at_unix_s = Some(START_S + 200);
    board.does(&alice, Request::AuthRefresh(Box::new(newer)));
    board.wait_ms(159_999);
    assert_eq!(board.socket(&alice).closed, None);
    board.wait_ms(1);
    assert_eq!(board.socket(&alice).closed, Some(CloseCode::TokenExpired));
    let late = board.connect(brief, None);
    assert_eq!(board.socket(&late).closed, Some(CloseCode::TokenExpired));
    board.ends();
}

#[test]
fn a_refresh_with_somebody_elses_or_an_expired_token_is_refused() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let other = Box::new(who("bob").identity);
    assert_eq!(board.may_not(&alice, Request::AuthRefresh(other)), ErrorCode::Forbidden);
    let mut old = who("alice").identity;
    old.expires_at_unix_s = Some(START_S);
    let old = Box::new(old);
    assert_eq!(board.may_not(&alice, Request::AuthRefresh(old)), ErrorCode::TokenExpired);
    board.ends();
}

#[test]
fn who_does_not_belong_here_is_closed() {
    let suspended = TenantOptions { is_suspended: true, ..Default::default() };
    let mut board = Board::with(suspended);
    let page = board.connect(who("alice"), None);
    assert_eq!(board.socket(&page).closed, Some(CloseCode::Tenant));
    let mut unknown = who("alice");
    unknown.identity.tenant = TenantId::new("nowhere").unwrap();
    let page = board.connect(unknown, None);
    assert_eq!(board.socket(&page).closed, Some(CloseCode::Tenant));
    let mut service = who("backend");
    service.identity.tenant = TenantId::new("other").unwrap();
    service.identity.role = Role::Service;
    let page = board.connect(service, None);
    assert_eq!(board.socket(&page).closed, Some(CloseCode::Auth));
    board.ends();
}

#[test]
fn ten_sessions_of_a_user_and_the_eleventh_takes_the_place_of_a_lost_one() {
    let mut board = Board::new();
    let pages: Vec<Page> = (0..10).map(|_| board.page(who("alice"))).collect();
    let eleventh = board.connect(who("alice"), None);
    assert_eq!(board.socket(&eleventh).closed, Some(CloseCode::Rate));
    let refusal = board.socket(&eleventh).replies[0].1.clone().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::QuotaExceeded);
    board.page(who("bob"));
    board.lose(&pages[3]);
    board.page(who("alice"));
    assert_eq!(board.switchboard.session_count(), 11);
    board.ends();
}

#[test]
fn a_tenant_has_as_many_sessions_as_it_may() {
    let mut board = Board::with(TenantOptions { sessions_max: 2, ..Default::default() });
    board.page(who("alice"));
    let bob = board.page(who("bob"));
    let carol = board.connect(who("carol"), None);
    assert_eq!(board.socket(&carol).closed, Some(CloseCode::Rate));
    board.does(&bob, Request::Bye);
    board.page(who("carol"));
    board.ends();
}

#[test]
fn fresh_ice_configs_come_before_the_old_ones_expire() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    board.hears(&alice, &["sync []"]);
    board.wait_ms(2_879_999);
    board.hears(&alice, &[]);
    board.wait_ms(1);
    board.hears(&alice, &["ice turn=true"]);
    board.wait_s(2880);
    board.hears(&alice, &["ice turn=true"]);
    board.ends();
}

#[test]
fn configs_that_never_last_do_not_stop_the_clock() {
    let ice_refresh = std::time::Duration::ZERO;
    let mut board = Board::with(TenantOptions { ice_refresh, ..Default::default() });
    let alice = board.page(who("alice"));
    board.wait_s(3);
    board.hears(&alice, &["sync []", "ice turn=true", "ice turn=true", "ice turn=true"]);
    board.ends();
}

#[test]
fn bye_leaves_nothing_to_resume() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    board.does(&alice, Request::Bye);
    assert_eq!(board.socket(&alice).closed, Some(CloseCode::Bye));
    let alice = board.resume(&alice);
    assert_eq!(resumed(&board, &alice), Resumed::UnknownToken);
    board.ends();
}
