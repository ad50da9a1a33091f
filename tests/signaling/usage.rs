//! Usage over HTTP: who sees whose, as JSON and as CSV.

use serde_json::{Value, json};
use turnbell::auth::identity::Role;

use crate::daemon::{CONFIG, Daemon, eventually};
use crate::operator::allocation;
use crate::page::Page;
use crate::record::{as_page, settled, signed, talk};

#[test] // P30
fn usage_is_told_to_who_is_in_charge_of_it() {
    let daemon = Daemon::start(&format!("{CONFIG}\n[tenant.acme]\n"));
    let token = |tenant: &str, user: &str, role| signed(&daemon, tenant, user, role);
    let pages = |tenant: &str| -> [Page; 2] {
        ["ann", "bob"].map(|user| as_page(&daemon, &token(tenant, user, Role::Member)))
    };
    for tenant in ["default", "acme"] {
        let [mut ann, mut bob] = pages(tenant);
        let unused = allocation(&daemon, &ann).unwrap();
        let call = talk(&mut ann, &mut bob);
        ann.ask("call.hangup", json!({"call": call})).unwrap();
        settled(&daemon, &call, "COMPLETED");
        unused.release().unwrap();
    }
    let (_, out, _) = daemon.command(&["key", "add", "backend", "--scope", "log", "--json"]);
    let key: Value = serde_json::from_str(&out).unwrap();
    let key = key["key_added"]["key"].as_str().unwrap();
    let all = eventually(|| {
        let (_, all) = daemon.get_with_key("/v1/usage?by=tenant", key);
        (all["total"]["gathered_only"] == 2).then_some(all)
    });
    let all = all.expect("the allocations have ended");
    let mut names = all["items"].as_array().unwrap().iter().map(|item| &item["tenant"]);
    assert!(names.by_ref().eq([&json!("acme"), &json!("default")]), "{all}");
    assert_eq!(
        (&all["total"]["calls"], &all["total"]["relayed"], &all["total"]["direct"]),
        (&json!(2), &json!(2), &json!(0)),
        "{all}"
    );
    let acme = token("acme", "root", Role::Admin);
    let (_, own) = daemon.get_with_key("/v1/usage?by=user", &acme);
    let users: Vec<_> = own["items"].as_array().unwrap().iter().map(|item| &item["user"]).collect();
    assert_eq!(users, [&json!("ann"), &json!("bob")], "{own}");
    assert_eq!((&own["total"]["calls"], &own["total"]["allocations"]), (&json!(1), &json!(1)));
    for (path, field) in [
        ("?tenant=default", "tenant"),
        ("?by=call", "by"),
        ("?from=now", "from"),
        ("?from=2026-01-02&to=2026-01-01", "to"),
        ("?from=2024-01-01&to=2026-01-01", "from"),
        ("?format=xml", "format"),
        ("?limit=0", "limit"),
        ("?cursor=x", "cursor"),
    ] {
        let (status, said) = daemon.get_with_key(&format!("/v1/usage{path}"), &acme);
        assert_eq!((status, &said["error"]["field"]), (400, &json!(field)), "{path}: {said}");
    }
    let member = token("acme", "ann", Role::Member);
    assert_eq!(daemon.get_with_key("/v1/usage", &member).0, 403);
    let (_, page) = daemon.get_with_key("/v1/usage?by=user&limit=3", key);
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (3, &json!("3")));
    let (_, page) = daemon.get_with_key("/v1/usage?by=user&limit=3&cursor=3", key);
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (1, &Value::Null));

    let (code, csv, _) = daemon.command(&["usage", "--by", "user", "--csv"]);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!((code, lines.len()), (Some(0), 6), "{csv}");
    assert!(lines[0].starts_with("tenant,user,calls,connected,minutes,"), "{csv}");
    assert!(lines[1].starts_with("acme,ann,1,1,0,"), "{csv}");
    let (_, days, _) = daemon.command(&["usage"]);
    assert!(days.contains("DAY (UTC)") && days.lines().any(|l| l.starts_with("all ")), "{days}");
}
