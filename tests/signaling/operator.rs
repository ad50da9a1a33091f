//! What operators do while pages are connected: revoke, drain, reload, stop.

use std::time::Duration;

use serde_json::json;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon};
use crate::page::{Page, daemon, post};
use crate::tokens::{closed, page, reload};
use crate::turn_client::TurnClient;

/// `turnbell token ...`
pub(crate) fn token(daemon: &Daemon, arguments: &[&str]) -> String {
    let (code, said, why) = daemon.command(&[&["token"], arguments].concat());
    assert_eq!(code, Some(0), "{why}");
    said.trim().to_owned()
}

/// An allocation with the credential of the page's welcome.
fn allocation(daemon: &Daemon, page: &Page) -> Result<TurnClient, u16> {
    let servers = page.welcome["ice"]["iceServers"].as_array().unwrap();
    let turn = servers.iter().find(|server| server["username"].is_string()).unwrap();
    let text = |key: &str| turn[key].as_str().unwrap();
    TurnClient::allocate(daemon.udp(), text("username"), text("credential"))
}

#[test]
fn a_revoked_user_loses_pages_calls_and_allocations_within_a_second_until_it_is_undone() {
    let daemon = daemon();
    let of_alice = token(&daemon, &["--user", "alice", "--name", "Alice"]);
    let of_bob = token(&daemon, &["--user", "bob"]);
    let (mut alice, mut bob) = (page(&daemon, &of_alice), page(&daemon, &of_bob));
    let relayed = allocation(&daemon, &alice).unwrap();
    let other = allocation(&daemon, &bob).unwrap();
    let to = json!({"to": {"user": "bob"}, "media": {"audio": true}});
    alice.ask("call.invite", to).unwrap();
    bob.event("call.incoming");
    let start = Now::read().mono;
    let (code, said, _) = daemon.command(&["revoke", "alice"]);
    assert!(code == Some(0) && said.ends_with(" 1 allocation ended.\n"), "{said}");
    assert_eq!(alice.closed(), Some(4003));
    assert_eq!(relayed.release(), Err(401));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    bob.event("call.cancelled");
    other.permit(other.relayed.ip()).unwrap();
    assert_eq!(closed(&daemon, &of_alice), Some(4003));
    assert_eq!(allocation(&daemon, &alice).unwrap_err(), 401);
    bob.ask("ping", json!({})).unwrap();
    daemon.command(&["revoke", "--undo", "alice"]);
    let again = page(&daemon, &of_alice);
    allocation(&daemon, &again).unwrap();
}

#[test]
fn a_revocation_with_a_tenant_means_only_him_and_holds_over_restarts() {
    let mut daemon = Daemon::start(&format!("{CONFIG}\n[tenant.acme]\n"));
    let ours = token(&daemon, &["--user", "Zoë"]);
    let theirs = token(&daemon, &["--user", "Zoë", "--tenant", "acme"]);
    let mut hers = page(&daemon, &theirs);
    daemon.command(&["revoke", "acme/Zoë"]);
    assert_eq!(hers.closed(), Some(4003));
    let kept = page(&daemon, &ours);
    allocation(&daemon, &kept).unwrap();
    let directory = daemon.directory();
    daemon.terminate();
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(closed(&daemon, &theirs), Some(4003));
    page(&daemon, &ours);
}

#[test]
fn a_token_is_signed_without_a_daemon_and_only_for_a_tenant_that_exists() {
    let mut daemon = daemon();
    daemon.terminate();
    let of_admin = token(&daemon, &["--user", "desk", "--role", "admin"]);
    let (code, _, why) = daemon.command(&["token", "--user", "desk", "--tenant", "acme"]);
    assert!(code == Some(1) && why.contains("[tenant.<id>]"), "{why}");
    let daemon = Daemon::start_in(daemon.directory(), |_| {});
    assert_eq!(page(&daemon, &of_admin).welcome["user"], "desk");
    let admin = format!("Authorization: Bearer {of_admin}");
    assert_eq!(post(daemon.http(), "/v1/invites", &json!({}), &[&admin]).0, 200);
}

#[test]
fn pages_hear_of_a_drain_and_of_the_end() {
    let mut one = daemon();
    let mut page = Page::guest(&one, "Alice");
    let call = allocation(&one, &page).unwrap();
    one.command(&["drain"]);
    assert!(page.event("server.draining")["retry_in_ms"].as_u64().unwrap() <= 10_000);
    assert_eq!(page.closed(), Some(4090));
    call.permit(call.relayed.ip()).unwrap();
    one.terminate();
    let mut other = daemon();
    let mut page = Page::guest(&other, "Bob");
    other.signal(nix::sys::signal::Signal::SIGTERM);
    page.event("server.draining");
    assert_eq!(page.closed(), Some(4090));
    assert!(other.wait_for_end().success());
}

#[test]
fn another_first_secret_brings_every_page_a_fresh_ice_config() {
    let daemon = daemon();
    let mut page = Page::guest(&daemon, "Alice");
    page.ask("ping", json!({})).unwrap();
    let old = page.welcome["ice"]["iceServers"][1]["credential"].clone();
    let fresh = "tests-south-1b2c3d4e5f60718293a4b5c6";
    reload(&daemon, &CONFIG.replace("auth.secrets = [", &format!("auth.secrets = [\"{fresh}\", ")));
    let update = page.event("ice.update");
    assert_ne!(update["ice"]["iceServers"][1]["credential"], old, "{update}");
}
