//! T1 to T4, T7 at once: what an invite needs, and what it leaves when it comes to nothing.

use std::time::Duration;

use turnbell::auth::identity::Role;
use turnbell::call::event::Reply;
use turnbell::call::media::{Media, MediaStatus};
use turnbell::call::options::TenantOptions;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{DeviceStatus, Invite, PresenceSet, Request, WhenBusy};

use super::board::{Board, Who, who, who_on};
use super::setup::{
    Call, accept, answer, calls, cancel, candidates, invite, media, plain_invite, ringing, sdp,
};

fn set(status: DeviceStatus, when_busy: Option<WhenBusy>) -> Request {
    Request::PresenceSet(PresenceSet { status, note: None, when_busy })
}

#[test] // T1
fn an_invite_rings_on_all_devices_and_stands_in_the_record() {
    let mut call = Call::initiated();
    let row = call.board.row();
    assert_eq!(
        (row.status.code(), &*row.from_display, &*row.from_number),
        ("INITIATED", "ALICE", "WebRTC")
    );
    assert_eq!(call.board.record.parties.len(), 2);
    call.board.does(&call.alice, cancel(call.id));
    call.ends();
}

#[test] // T2
fn without_voice_an_invite_is_refused_and_recorded() {
    let mut board = Board::with(TenantOptions { voice_enabled: false, ..Default::default() });
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    let refusal = board.ask(&alice, invite("bob")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::FeatureDisabled);
    assert_eq!(refusal.call, Some(board.row().call));
    assert_eq!(board.outcome(), "FAILED feature_disabled");
    board.hears(&bob, &["sync []"]);
    board.ends();
}

#[test] // T2
fn a_tenant_has_as_many_calls_as_it_may_and_not_one_more() {
    let mut board = Board::with(TenantOptions { calls_max: 1, ..Default::default() });
    let pages = ["alice", "bob", "carol", "dave"].map(|name| board.page(who(name)));
    let id = calls(&mut board, &pages[0], "bob");
    assert_eq!(board.may_not(&pages[2], invite("dave")), ErrorCode::QuotaExceeded);
    assert_eq!(board.outcome(), "FAILED quota");
    board.does(&pages[0], cancel(id));
    calls(&mut board, &pages[2], "dave");
    board.ends();
}

#[test] // P31
fn roles_call_whom_the_tenant_lets_them() {
    let allow = Some(vec![(Role::PortalCustomer, Role::Agent)]);
    let mut board = Board::with(TenantOptions { allow, ..Default::default() });
    let mut is = |name: &str, role| {
        let mut who = who(name);
        who.identity.role = role;
        board.page(who)
    };
    let customer = is("customer", Role::PortalCustomer);
    is("agent", Role::Agent);
    is("member", Role::Member);
    assert_eq!(board.may_not(&customer, invite("member")), ErrorCode::Forbidden);
    assert_eq!(board.outcome(), "FAILED forbidden");
    calls(&mut board, &customer, "agent");
    board.ends();
}

#[test]
fn nobody_calls_himself_or_calls_with_nothing() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    board.page(who_on("alice", "phone"));
    board.page(who("bob"));
    assert_eq!(board.may_not(&alice, invite("alice")), ErrorCode::BadRequest);
    let nothing = Invite { media: Media::default(), ..plain_invite("bob") };
    assert_eq!(
        board.may_not(&alice, Request::CallInvite(Box::new(nothing))),
        ErrorCode::BadRequest
    );
    assert!(board.record.calls.is_empty(), "nonsense leaves no row");
    board.ends();
}

#[test]
fn an_invite_is_as_large_as_allowed_and_no_larger() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    board.page(who("bob"));
    let text = |bytes: usize| "x".repeat(bytes);
    let of = |offer: usize, display: usize, metadata: usize| {
        Request::CallInvite(Box::new(Invite {
            offer: Some(sdp(&text(offer))),
            display: Some(text(display).into()),
            metadata: Some(text(metadata).into()),
            ..plain_invite("bob")
        }))
    };
    for (offer, display, metadata) in [(49_153, 1, 1), (1, 1025, 1), (1, 1, 4097)] {
        assert_eq!(board.may_not(&alice, of(offer, display, metadata)), ErrorCode::TooLarge);
    }
    board.does(&alice, of(49_152, 1024, 4096));
    board.ends();
}

#[test] // T7
fn a_user_without_a_device_is_offline_at_once() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let refusal = board.ask(&alice, invite("bob")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::CalleeOffline);
    assert!(refusal.call.is_some());
    assert_eq!(board.outcome(), "FAILED callee_offline");
    board.ends();
}

#[test] // T3
fn who_is_in_a_call_is_busy_and_hears_who_called() {
    let mut call = Call::active();
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&carol, invite("bob")), ErrorCode::CalleeBusy);
    assert_eq!(call.board.outcome(), "BUSY busy");
    call.board.hears(&call.laptop, &["missed carol busy"]);
    call.board.hears(&call.phone, &["missed carol busy"]);
    call.ends();
}

#[test] // T3
fn who_lets_others_wait_is_rung_although_he_talks() {
    let mut call = Call::active();
    let carol = call.board.page(who("carol"));
    call.board.does(&call.laptop, set(DeviceStatus::Online, Some(WhenBusy::Wait)));
    let second = calls(&mut call.board, &carol, "bob");
    call.board.hears(&call.laptop, &["incoming carol waiting"]);
    call.board.does(&call.laptop, ringing(second));
    call.board.does(&call.laptop, accept(second));
    assert_eq!(call.board.switchboard.call_count(), 2);
    call.ends();
}

#[test] // T3
fn one_device_in_dnd_keeps_all_silent() {
    let mut call = Call::initiated();
    call.board.does(&call.alice, cancel(call.id));
    call.board.does(&call.phone, set(DeviceStatus::Dnd, None));
    call.board.hears(&call.laptop, &["cancelled caller_cancelled"]);
    call.board.wait_s(1);
    assert_eq!(call.board.may_not(&call.alice, invite("bob")), ErrorCode::CalleeDnd);
    assert_eq!(call.board.outcome(), "REJECTED dnd");
    call.board.hears(&call.laptop, &["missed alice dnd"]);
    call.board.does(&call.phone, set(DeviceStatus::Offline, None));
    calls(&mut call.board, &call.alice, "bob");
    call.ends();
}

#[test] // T4
fn when_both_call_each_other_the_earlier_call_is_accepted() {
    let mut call = Call::initiated();
    let Call { board, alice, laptop, phone, id } = &mut call;
    board.does(alice, candidates(*id, 1, 2));
    let Reply::Invited(invited) = board.does(laptop, invite("alice")) else { panic!() };
    assert_eq!(invited.call.call, *id);
    assert!(invited.glare.is_some() && invited.call.you.is_some());
    board.hears(alice, &["state connecting"]);
    board.hears(laptop, &["state connecting", "candidates 1"]);
    board.hears(phone, &["cancelled answered_elsewhere"]);
    assert_eq!(board.record.calls.len(), 1, "no second row");
    call.becomes_active();
    call.ends();
}

#[test] // T4
fn an_answered_call_is_no_glare() {
    let mut call = Call::active();
    assert_eq!(call.board.may_not(&call.laptop, invite("alice")), ErrorCode::CalleeBusy);
    call.ends();
}

#[test] // T4
fn glare_hands_over_the_offer_of_the_earlier_call() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    let with_offer = |user| Invite { offer: Some(sdp("v=0")), ..plain_invite(user) };
    board.does(&alice, Request::CallInvite(Box::new(with_offer("bob"))));
    let reply = board.does(&bob, Request::CallInvite(Box::new(with_offer("alice"))));
    let Reply::Invited(invited) = reply else { panic!() };
    assert_eq!(invited.glare.unwrap().offer, Some(sdp("v=0")));
    assert_eq!(invited.call.generation, 1);
    board.does(&bob, answer(invited.call.call, 1));
    board.hears(&alice, &["sync []", "state connecting", "answer 1"]);
    board.ends();
}

#[test]
fn ten_invites_a_minute_go_through_and_the_eleventh_waits() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    for _ in 0..10 {
        assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::CalleeOffline);
    }
    let refusal = board.ask(&alice, invite("bob")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert_eq!(board.record.calls.len(), 10, "a flood fills no record");
    let wait = refusal.retry_after.unwrap();
    assert_eq!(wait, Duration::from_secs(6));
    board.wait_ms(5999);
    assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::RateLimited);
    board.wait_ms(1);
    assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::CalleeOffline);
    board.ends();
}

#[test]
fn leaving_and_coming_back_resets_no_rate() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    for _ in 0..10 {
        board.may_not(&alice, invite("bob"));
    }
    board.does(&alice, Request::Bye);
    board.wait_s(5);
    let alice = board.page(who("alice"));
    assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::RateLimited);
    board.ends();
}

#[test] // P31
fn three_unanswered_calls_in_ten_minutes_are_enough() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.page(who("carol"));
    for _ in 0..3 {
        let id = calls(&mut board, &alice, "bob");
        board.does(&bob, ringing(id));
        board.does(&alice, cancel(id));
        board.wait_s(60);
    }
    let refusal = board.ask(&alice, invite("bob")).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::RateLimited);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(600 - 180)));
    for _ in 0..3 {
        board.wait_s(6);
        assert_eq!(board.may_not(&alice, invite("bob")), ErrorCode::RateLimited);
    }
    assert_eq!(board.socket(&alice).closed, None, "trying again is no flood");
    let other = calls(&mut board, &alice, "carol");
    board.does(&alice, cancel(other));
    board.wait_s(600 - 180 - 18);
    calls(&mut board, &alice, "bob");
    board.ends();
}

#[test] // P31
fn an_answered_call_forgives_the_unanswered_ones() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    for n in 0..5 {
        let id = calls(&mut board, &alice, "bob");
        board.does(&bob, ringing(id));
        if n == 2 {
            board.does(&bob, accept(id));
            board.does(&bob, super::setup::hangup(id));
        } else {
            board.does(&alice, cancel(id));
        }
    }
    board.ends();
}

#[test]
fn who_called_from_a_lost_page_may_call_again_from_a_new_one() {
    let mut call = Call::ringing();
    call.board.lose(&call.alice);
    let alice = call.board.page(who("alice"));
    let second = calls(&mut call.board, &alice, "bob");
    assert_ne!(second, call.id);
    call.board.hears(&call.laptop, &["cancelled caller_cancelled", "incoming alice"]);
    call.ends();
}

#[test]
fn who_has_called_and_waits_is_refused_a_second_call_to_the_same_user() {
    let mut call = Call::ringing();
    assert_eq!(call.board.may_not(&call.alice, invite("bob")), ErrorCode::CalleeBusy);
    call.ends();
}

#[test]
fn another_tenant_is_another_world() {
    let mut call = Call::active();
    let elsewhere = |name: &str| -> Who {
        let mut who = who(name);
        who.identity.tenant = turnbell::auth::identity::TenantId::new("other").unwrap();
        who
    };
    let (bob, eve) = (call.board.page(elsewhere("bob")), call.board.page(elsewhere("eve")));
    let id = call.id;
    for page in [&bob, &eve] {
        for request in [
            accept(id),
            cancel(id),
            super::setup::hangup(id),
            ringing(id),
            media(id, MediaStatus::Connected),
            super::setup::offer(id, 1),
            super::setup::rejoin(id, turnbell::call::request::RejoinMedia::New),
        ] {
            assert_eq!(call.board.may_not(page, request), ErrorCode::NotFound);
        }
    }
    let there = calls(&mut call.board, &eve, "bob");
    call.board.hears(&bob, &["sync []", "incoming eve"]);
    call.board.hears(&call.laptop, &[]);
    call.board.does(&eve, cancel(there));
    call.ends();
}
