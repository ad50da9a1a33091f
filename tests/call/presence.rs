//! Presence (P27): who sees whom, how, and how often.

use turnbell::auth::identity::{Role, TenantId, UserId};
use turnbell::call::options::TenantOptions;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::{DeviceStatus, PresenceSet, PresenceSubscribe, Request};

use super::board::{Board, Page, Who, who, who_on};
use super::setup::{accept, calls, hangup};

fn watch(board: &mut Board, page: &Page, users: &[&str]) {
    let users = users.iter().map(|user| UserId::new(user).unwrap()).collect();
    board.does(page, Request::PresenceSubscribe(PresenceSubscribe::Users(users)));
}

fn set(status: DeviceStatus) -> Request {
    Request::PresenceSet(PresenceSet { status, note: None, when_busy: None })
}

fn in_role(user: &str, role: Role) -> Who {
    let mut who = who(user);
    who.identity.role = role;
    who
}

#[test]
fn a_watcher_hears_how_all_are_and_then_what_changes_once_a_second() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.events(&alice);
    watch(&mut board, &alice, &["bob", "carol", "bob"]);
    board.hears(&alice, &["snapshot [bob online, carol offline]"]);
    board.does(&bob, set(DeviceStatus::Away));
    board.does(&bob, set(DeviceStatus::Dnd));
    let carol = board.page(who("carol"));
    board.wait_ms(999);
    board.hears(&alice, &[]);
    board.wait_ms(1);
    board.hears(&alice, &["diff [bob dnd, carol online]"]);
    board.does(&carol, set(DeviceStatus::Offline));
    board.wait_ms(1000);
    board.hears(&alice, &["diff [carol offline]"]);
    board.ends();
}

#[test]
fn offline_comes_5_s_after_the_last_socket_is_lost() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let (laptop, phone) = (board.page(who("bob")), board.page(who_on("bob", "phone")));
    watch(&mut board, &alice, &["bob"]);
    board.lose(&laptop);
    board.wait_s(60);
    board.events(&alice);
    board.lose(&phone);
    board.wait_ms(4_900);
    let phone = board.resume(&phone);
    board.wait_s(60);
    board.hears(&alice, &[]);
    board.does(&phone, Request::Bye);
    board.wait_ms(4_999);
    board.hears(&alice, &[]);
    board.wait_ms(1);
    board.hears(&alice, &["diff [bob offline]"]);
    board.ends();
}

#[test]
fn who_calls_or_talks_is_busy_and_who_is_rung_is_not() {
    let mut board = Board::new();
    let pages = ["alice", "bob", "carol"].map(|name| board.page(who(name)));
    let [alice, bob, carol] = &pages;
    watch(&mut board, carol, &["alice", "bob"]);
    board.events(carol);
    let id = calls(&mut board, alice, "bob");
    board.wait_s(1);
    board.hears(carol, &["diff [alice busy]"]);
    board.does(bob, accept(id));
    board.wait_s(1);
    board.hears(carol, &["diff [bob busy]"]);
    board.does(bob, hangup(id));
    board.wait_s(1);
    board.hears(carol, &["diff [alice online, bob online]"]);
    board.ends();
}

#[test]
fn a_role_is_watched_as_people_come_and_go() {
    let mut board = Board::new();
    let customer = board.page(in_role("customer", Role::PortalCustomer));
    board.events(&customer);
    let agents = Request::PresenceSubscribe(PresenceSubscribe::Role(Role::Agent));
    board.does(&customer, agents);
    board.hears(&customer, &["snapshot []"]);
    board.page(in_role("agent", Role::Agent));
    board.page(who("member"));
    board.wait_s(1);
    board.hears(&customer, &["diff [agent online]"]);
    board.ends();
}

#[test]
fn who_comes_to_watch_a_role_later_hears_what_all_hear_within_two_seconds() {
    let mut board = Board::new();
    let agents = || Request::PresenceSubscribe(PresenceSubscribe::Role(Role::Agent));
    let agent = board.page(in_role("agent", Role::Agent));
    let (first, second) = (board.page(who("first")), board.page(who("second")));
    board.events(&first);
    board.events(&second);
    board.does(&first, agents());
    board.hears(&first, &["snapshot [agent online]"]);
    board.wait_s(5);
    board.does(&second, agents());
    board.hears(&second, &["snapshot [agent online]"]);
    board.does(&agent, set(DeviceStatus::Away));
    board.wait_ms(1);
    board.hears(&first, &["diff [agent away]"]);
    // He was told just before: not so soon again.
    board.hears(&second, &[]);
    board.wait_ms(500);
    board.does(&agent, set(DeviceStatus::Busy));
    board.wait_ms(498);
    board.hears(&first, &[]);
    board.hears(&second, &[]);
    board.wait_ms(1);
    board.hears(&first, &["diff [agent busy]"]);
    board.hears(&second, &["diff [agent busy]"]);
    board.wait_s(5);
    board.does(&agent, set(DeviceStatus::Dnd));
    board.wait_ms(1);
    board.hears(&first, &["diff [agent dnd]"]);
    board.hears(&second, &["diff [agent dnd]"]);
    board.ends();
}

#[test]
fn a_lost_watcher_of_a_role_is_told_the_latest_when_it_is_back_and_the_others_meanwhile() {
    let mut board = Board::new();
    let agents = || Request::PresenceSubscribe(PresenceSubscribe::Role(Role::Agent));
    let agent = board.page(in_role("agent", Role::Agent));
    let (lost, there) = (board.page(who("lost")), board.page(who("there")));
    for page in [&lost, &there] {
        board.events(page);
        board.does(page, agents());
        board.hears(page, &["snapshot [agent online]"]);
    }
    board.lose(&lost);
    for (status, said) in [(DeviceStatus::Away, "away"), (DeviceStatus::Dnd, "dnd")] {
        board.wait_s(2);
        board.does(&agent, set(status));
        board.wait_ms(1);
        board.hears(&there, &[&format!("diff [agent {said}]")]);
    }
    let back = board.resume(&lost);
    board.wait_ms(1);
    board.hears(&back, &["diff [agent dnd]"]);
    board.hears(&there, &[]);
    board.wait_s(2);
    board.does(&agent, set(DeviceStatus::Online));
    board.wait_ms(1);
    board.hears(&back, &["diff [agent online]"]);
    board.hears(&there, &["diff [agent online]"]);
    board.ends();
}

#[test]
fn who_watches_a_role_no_more_hears_nothing_more_of_it() {
    let mut board = Board::new();
    let agents = Request::PresenceSubscribe(PresenceSubscribe::Role(Role::Agent));
    let agent = board.page(in_role("agent", Role::Agent));
    let watcher = board.page(who("watcher"));
    board.events(&watcher);
    board.does(&watcher, agents);
    board.hears(&watcher, &["snapshot [agent online]"]);
    board.does(&agent, set(DeviceStatus::Away));
    board.does(&watcher, Request::PresenceSubscribe(PresenceSubscribe::Nothing));
    board.wait_s(3);
    board.hears(&watcher, &[]);
    board.ends();
}

#[test]
fn customers_do_not_see_members_and_visitors_see_nobody() {
    let mut board = Board::new();
    board.page(who("member"));
    board.page(in_role("agent", Role::Agent));
    let customer = board.page(in_role("customer", Role::PortalCustomer));
    board.events(&customer);
    watch(&mut board, &customer, &["member", "agent"]);
    board.hears(&customer, &["snapshot [agent online, member offline]"]);
    let visitor = board.page(in_role("visitor", Role::Visitor));
    let watch = Request::PresenceSubscribe(PresenceSubscribe::Role(Role::Agent));
    assert_eq!(board.may_not(&visitor, watch), ErrorCode::Forbidden);
    board.ends();
}

#[test]
fn nobody_sees_into_another_tenant() {
    let mut board = Board::new();
    let mut elsewhere = who("eve");
    elsewhere.identity.tenant = TenantId::new("other").unwrap();
    let eve = board.page(elsewhere);
    board.page(who("bob"));
    board.events(&eve);
    watch(&mut board, &eve, &["bob"]);
    board.hears(&eve, &["snapshot [bob offline]"]);
    let members = PresenceSubscribe::Role(Role::Member);
    board.does(&eve, Request::PresenceSubscribe(members));
    board.hears(&eve, &["snapshot [eve online]"]);
    board.page(who("carol"));
    board.wait_s(2);
    board.hears(&eve, &[]);
    board.ends();
}

#[test]
fn a_lost_watcher_is_told_the_latest_when_it_is_back() {
    let mut board = Board::new();
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    board.events(&alice);
    watch(&mut board, &alice, &["bob"]);
    board.hears(&alice, &["snapshot [bob online]"]);
    board.lose(&alice);
    for status in [DeviceStatus::Away, DeviceStatus::Dnd, DeviceStatus::Busy] {
        board.does(&bob, set(status));
        board.wait_s(2);
    }
    let alice = board.resume(&alice);
    board.wait_ms(1);
    board.hears(&alice, &["diff [bob busy]"]);
    board.ends();
}

#[test]
fn a_slow_watcher_gets_the_latest_once_it_has_room() {
    let mut board = Board::with(TenantOptions { calls_max: 0, ..Default::default() });
    let (alice, bob) = (board.page(who("alice")), board.page(who("bob")));
    watch(&mut board, &alice, &["bob"]);
    board.events(&alice);
    board.slow_down(&alice, true);
    for n in 0..256 {
        board.send(&alice, Request::Ping);
        if n % 90 == 89 {
            board.wait_s(2);
        }
    }
    board.does(&bob, set(DeviceStatus::Away));
    board.wait_s(2);
    board.does(&bob, set(DeviceStatus::Dnd));
    board.wait_s(2);
    board.hears(&alice, &[]);
    board.slow_down(&alice, false);
    let connection = alice.connection;
    board.handle(turnbell::call::contract::Input::Sent { connection, count: 32 });
    board.wait_s(1);
    board.hears(&alice, &["diff [bob dnd]"]);
    board.ends();
}

#[test]
fn five_presence_requests_in_30_s_and_500_users() {
    let mut board = Board::new();
    let alice = board.page(who("alice"));
    let users = |count: usize| {
        let user = |n| UserId::new(&format!("u{n}")).unwrap();
        Request::PresenceSubscribe(PresenceSubscribe::Users((0..count).map(user).collect()))
    };
    assert_eq!(board.may_not(&alice, users(501)), ErrorCode::TooLarge);
    board.does(&alice, users(500));
    let long = "x".repeat(257).into();
    let note = PresenceSet { status: DeviceStatus::Online, note: Some(long), when_busy: None };
    assert_eq!(board.may_not(&alice, Request::PresenceSet(note)), ErrorCode::TooLarge);
    for _ in 0..2 {
        board.does(&alice, set(DeviceStatus::Away));
    }
    assert_eq!(board.may_not(&alice, set(DeviceStatus::Away)), ErrorCode::RateLimited);
    board.wait_ms(6_000);
    board.does(&alice, set(DeviceStatus::Away));
    board.ends();
}
