//! What ends with a call that somebody in charge ends, and forgetting a person who is there.

use serde_json::{Value, json};
use turnbell::auth::identity::Role;

use crate::daemon::{CONFIG, Daemon, eventually, record};
use crate::operator::allocation;
use crate::page::{daemon, post, send};
use crate::record::{as_page, settled, signed, talk};

#[test] // T27
fn a_call_that_is_ended_by_an_operator_ends_its_own_allocations_and_no_others() {
    let daemon = daemon();
    let member = |user| signed(&daemon, "default", user, Role::Member);
    let (of_ann, of_bob) = (member("ann"), member("bob"));
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let other_page = as_page(&daemon, &of_ann);
    let kept = allocation(&daemon, &other_page).unwrap();
    let (hers, his) = (allocation(&daemon, &ann).unwrap(), allocation(&daemon, &bob).unwrap());
    // One that is over by itself leaves them.
    let first = talk(&mut ann, &mut bob);
    ann.ask("call.hangup", json!({"call": first})).unwrap();
    settled(&daemon, &first, "COMPLETED");
    hers.permit(hers.relayed.ip()).unwrap();
    let call = talk(&mut ann, &mut bob);
    assert_eq!(post(daemon.http(), &format!("/v1/calls/{call}/end"), &json!({}), &[]).0, 200);
    daemon.wait_for_rows(|rows| {
        rows.iter().filter(|row| row.end_reason.as_deref() == Some("ended")).count() == 2
    });
    assert_eq!((hers.release(), his.release()), (Err(437), Err(437)));
    kept.permit(kept.relayed.ip()).unwrap();
    // She was not thrown out.
    allocation(&daemon, &ann).unwrap();
    ann.ask("ping", json!({})).unwrap();
    assert!(daemon.command(&["log", "--kind", "closed"]).1.contains(" ended after "));
}

fn delete(daemon: &Daemon, user: &str, token: Option<&str>) -> (u16, Value) {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
    send(daemon.http(), "DELETE", &format!("/v1/users/{user}"), &json!({}), &headers)
}

#[test] // P33
fn a_person_who_is_on_a_call_is_ended_and_forgotten_and_may_come_again() {
    let daemon = Daemon::start(&format!("{CONFIG}\n[tenant.acme]\n"));
    let token = |tenant: &str, user: &str, role| signed(&daemon, tenant, user, role);
    let of_zoe = token("default", "Zoë-x", Role::Member);
    let of_bob = token("default", "bob", Role::Member);
    let (mut zoe, mut bob) = (as_page(&daemon, &of_zoe), as_page(&daemon, &of_bob));
    let relayed = allocation(&daemon, &zoe).unwrap();
    let call = talk(&mut zoe, &mut bob);
    for (who, status) in [
        (token("acme", "root", Role::Owner), 200),
        (of_bob, 403),
        (token("default", "root", Role::Admin), 200),
    ] {
        let (found, said) = delete(&daemon, "Zo%C3%AB-x", Some(&who));
        assert_eq!(found, status, "{said}");
        let rows: u64 = said["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .fold(0, |sum, row| sum + row["rows"].as_u64().unwrap());
        let is_hers = said["tenant"] == "default";
        assert_eq!((rows > 0, said["done"] == true), (is_hers, status == 200), "{said}");
        assert_eq!(said["ended_allocations"] == 1, is_hers, "{said}");
    }
    assert_eq!(zoe.closed(), Some(4003));
    assert_eq!(relayed.release(), Err(437));
    assert_eq!(bob.state("ended")["reason"], "revoked");
    let left = settled(&daemon, &call, "COMPLETED");
    assert_eq!((&left["caller"], &left["from_display"]), (&json!("(forgotten)"), &json!("")));
    assert_eq!(left["callee"], "bob");
    let named = "SELECT count(*) FROM allocations WHERE instr(user || username, 'Zo%C3%AB-x') > 0";
    let count = record(&daemon.state()).query_row(named, [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(0));
    as_page(&daemon, &of_zoe).ask("ping", json!({})).unwrap();
    assert_eq!(delete(&daemon, "nobody", None).0, 200, "it is done again without harm");
    assert_eq!(delete(&daemon, "%0A", None).0, 400);
}

#[test]
fn who_is_near_a_quota_is_told_of_before_anybody_is_refused() {
    let config = CONFIG.replace("quota.per_user = 4096", "quota.per_user = 5");
    let daemon = Daemon::start(&format!("{config}\n[tenant.default]\ncalls_max = 1\n"));
    let token = |user| signed(&daemon, "default", user, Role::Member);
    let (mut ann, mut bob) = (as_page(&daemon, &token("ann")), as_page(&daemon, &token("bob")));
    let status = || daemon.command(&["status"]).1;
    let mut held: Vec<_> = (0..3).map(|_| allocation(&daemon, &ann).unwrap()).collect();
    assert!(!status().contains("quota"), "{}", status());
    held.push(allocation(&daemon, &ann).unwrap());
    let call = talk(&mut ann, &mut bob);
    let both = eventually(|| {
        let said = status();
        let users = said.contains("quota   user default/ann has 4 of 5 allocations");
        (users && said.contains("quota   tenant default has 1 of 1 calls")).then_some(())
    });
    assert!(both.is_some(), "{}", status());
    assert_eq!(daemon.metric("turnbell_quotas_near{quota=\"user_allocations\"}"), 1.0);
    assert_eq!(daemon.metric("turnbell_quotas_near{quota=\"tenant_calls\"}"), 1.0);
    daemon.wait_for_log("a quota is nearly used up");
    ann.ask("call.hangup", json!({"call": call})).unwrap();
    settled(&daemon, &call, "COMPLETED");
    held.pop().unwrap().release().unwrap();
    let over = eventually(|| (!status().contains("quota")).then_some(()));
    assert!(over.is_some(), "{}", status());
}
