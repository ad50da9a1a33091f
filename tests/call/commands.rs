//! T27: revoked users, tenants that go, calls ended by others, and drain.

use std::sync::Arc;
use std::time::Duration;

use turnbell::auth::identity::{Role, TenantId, UserId};
use turnbell::call::contract::{Actor, CloseCode, Command};
use turnbell::call::fact::Fact;
use turnbell::call::options::{TenantOptions, Tenants};
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::WhenBusy;

use super::board::who;
use super::setup::{Call, accept, calls, hangup, invite};

fn revoke(user: &str) -> Command {
    Command::RevokeUser { tenant: TenantId::default_tenant(), user: UserId::new(user).unwrap() }
}

fn actor(user: &str, role: Role) -> Actor {
    let mut who = who(user);
    who.identity.role = role;
    Actor::User(Box::new(who.identity))
}

#[test] // T27
fn a_revoked_user_loses_sessions_and_calls_at_once() {
    for (make, outcome) in [
        (Call::initiated as fn() -> Call, "FAILED revoked"),
        (Call::ringing, "FAILED revoked"),
        (Call::connecting, "FAILED revoked"),
        (Call::active, "COMPLETED revoked"),
        (Call::reconnecting, "COMPLETED revoked"),
    ] {
        let mut call = make();
        call.board.command(revoke("bob")).unwrap();
        assert_eq!(call.board.outcome(), outcome);
        call.board.hears(&call.alice, &["state ended revoked"]);
        for page in [&call.laptop, &call.phone] {
            assert_eq!(call.board.socket(page).closed, Some(CloseCode::Revoked));
        }
        assert_eq!(call.board.socket(&call.alice).closed, None);
        call.ends();
    }
}

#[test]
fn the_same_name_in_another_tenant_is_somebody_else() {
    let mut call = Call::active();
    let tenant = TenantId::new("other").unwrap();
    let user = UserId::new("bob").unwrap();
    call.board.command(Command::RevokeUser { tenant, user }).unwrap();
    call.board.hears(&call.laptop, &[]);
    call.ends();
}

#[test] // T27, P26
fn calls_are_ended_by_who_may() {
    let end = |by, call: &Call| Command::EndCall { by, call: call.id };
    let mut call = Call::active();
    let other = Actor::Tenant(TenantId::new("other").unwrap());
    let mut foreign = who("alice");
    foreign.identity.tenant = TenantId::new("other").unwrap();
    for by in [other, actor("carol", Role::Agent), Actor::User(Box::new(foreign.identity))] {
        let refusal = call.board.command(end(by, &call)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::NotFound);
    }
    call.board.command(end(actor("carol", Role::Admin), &call)).unwrap();
    call.is_over("admin", "COMPLETED admin");
    let again = call.board.command(end(actor("alice", Role::Member), &call)).unwrap_err();
    assert_eq!(again.code, ErrorCode::CallEnded);
    call.ends();
    for (by, reason, outcome) in [
        (Actor::Operator, "admin", "COMPLETED admin"),
        (Actor::Tenant(TenantId::default_tenant()), "admin", "COMPLETED admin"),
        (actor("bob", Role::Member), "hangup", "COMPLETED hangup"),
    ] {
        let mut call = Call::active();
        call.board.command(end(by, &call)).unwrap();
        call.is_over(reason, outcome);
        call.ends();
    }
}

#[test] // P26
fn a_ringing_call_is_rejected_for_its_callee() {
    let reject = |by, call: &Call| Command::RejectCall { by, call: call.id };
    let mut call = Call::ringing();
    let refusal = call.board.command(reject(actor("alice", Role::Member), &call)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::NotParty);
    call.board.command(reject(actor("bob", Role::Member), &call)).unwrap();
    call.board.hears(&call.laptop, &["cancelled rejected_elsewhere"]);
    assert_eq!(call.board.outcome(), "REJECTED declined");
    call.ends();
    let mut call = Call::active();
    let refusal = call.board.command(reject(actor("bob", Role::Member), &call)).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::AlreadyAnswered);
    call.ends();
}

#[test]
fn a_reload_brings_other_options_and_closes_tenants_that_are_gone() {
    let mut call = Call::active();
    let of = |options: Option<TenantOptions>| {
        let tenant = options.map(|options| (TenantId::default_tenant(), options));
        Command::Tenants(Arc::new(Tenants { options_by_tenant: tenant.into_iter().collect() }))
    };
    let mute = TenantOptions { voice_enabled: false, ..Default::default() };
    call.board.command(of(Some(mute))).unwrap();
    assert_eq!(call.board.switchboard.call_count(), 1, "live calls go on");
    let carol = call.board.page(who("carol"));
    assert_eq!(call.board.may_not(&carol, invite("bob")), ErrorCode::FeatureDisabled);
    call.board.command(of(None)).unwrap();
    for page in [&call.alice, &call.laptop, &call.phone, &carol] {
        assert_eq!(call.board.socket(page).closed, Some(CloseCode::Tenant));
    }
    assert_eq!(call.board.switchboard.call_count(), 0);
    call.ends();
}

#[test]
fn a_new_secret_means_fresh_ice_configs_for_all() {
    let mut call = Call::active();
    call.board.command(Command::RefreshIce).unwrap();
    for page in [&call.alice, &call.laptop, &call.phone] {
        call.board.hears(page, &["ice turn=true"]);
    }
    call.ends();
}

#[test] // P4
fn a_draining_switchboard_sends_everybody_away_and_leaves_the_calls_in_the_record() {
    let mut call = Call::active();
    call.board.command(Command::Drain { spread: Duration::from_secs(10) }).unwrap();
    for page in [&call.alice, &call.laptop, &call.phone] {
        assert_eq!(call.board.socket(page).closed, Some(CloseCode::Draining));
    }
    assert_eq!(call.board.outcome(), "ANSWERED ");
    let late = call.board.connect(who("carol"), None);
    assert_eq!(call.board.socket(&late).closed, Some(CloseCode::Draining));
    call.ends();
}

/// Users whose relaying is to end, with how many of their sessions.
fn cut(call: &mut Call) -> Vec<String> {
    let facts = std::mem::take(&mut call.board.facts);
    let seats = facts.into_iter().filter_map(|fact| {
        let Fact::CallCut { seats, .. } = fact else { return None };
        Some(seats)
    });
    seats.flatten().map(|(user, _)| user.to_string()).collect()
}

#[test] // T27
fn what_a_call_relays_ends_with_it_if_somebody_in_charge_ends_it() {
    for (make, users) in [
        (Call::initiated as fn() -> Call, &["alice"][..]),
        (Call::ringing, &["alice"]),
        (Call::active, &["alice", "bob"]),
    ] {
        let mut call = make();
        call.board.facts.clear();
        call.board.command(Command::EndCall { by: Actor::Operator, call: call.id }).unwrap();
        assert_eq!(cut(&mut call), users, "who rings relays nothing of it");
        call.ends();
    }
    let mut call = Call::active();
    call.board.command(revoke("bob")).unwrap();
    assert_eq!(cut(&mut call), ["alice", "bob"], "of both sides");
    call.ends();
    let mut call = Call::active();
    call.board.does(&call.alice, hangup(call.id));
    assert_eq!(cut(&mut call), [""; 0], "who hangs up gives his own back");
    call.ends();
}

#[test] // T27
fn a_page_in_two_calls_keeps_what_it_relays_until_the_last_one() {
    let waiting = TenantOptions { when_busy: WhenBusy::Wait, ..Default::default() };
    let mut call = Call::initiated_with(waiting);
    call.board.does(&call.laptop, accept(call.id));
    let carol = call.board.page(who("carol"));
    let second = calls(&mut call.board, &carol, "alice");
    call.board.does(&call.alice, accept(second));
    call.board.facts.clear();
    call.board.command(Command::EndCall { by: Actor::Operator, call: call.id }).unwrap();
    assert_eq!(cut(&mut call), ["bob"]);
    call.board.command(Command::EndCall { by: Actor::Operator, call: second }).unwrap();
    assert_eq!(cut(&mut call), ["carol", "alice"]);
    call.ends();
}

#[test]
fn a_tenant_near_its_bound_of_calls_is_told_of_once_and_when_it_is_over() {
    let near = |call: &mut Call| -> Vec<(usize, bool)> {
        let facts = std::mem::take(&mut call.board.facts);
        let said = facts.into_iter().filter_map(|fact| {
            let Fact::CallsNearBound { calls, calls_max: 5, is_near, .. } = fact else {
                return None;
            };
            Some((calls, is_near))
        });
        said.collect()
    };
    let mut call = Call::initiated_with(TenantOptions { calls_max: 5, ..Default::default() });
    let mut ids = vec![call.id];
    for (n, said) in [(2, &[][..]), (3, &[]), (4, &[(4, true)]), (5, &[])] {
        let caller = call.board.page(who(&format!("caller{n}")));
        call.board.page(who(&format!("callee{n}")));
        ids.push(calls(&mut call.board, &caller, &format!("callee{n}")));
        assert_eq!(near(&mut call), said, "{n} calls of 5");
    }
    for (id, said) in ids.into_iter().zip([&[][..], &[(3, false)], &[], &[], &[]]) {
        call.board.command(Command::EndCall { by: Actor::Operator, call: id }).unwrap();
        assert_eq!(near(&mut call), said);
    }
    call.ends();
}
