//! `turnbell revoke`: who is out, at once and over restarts, and how he comes in again.

use std::sync::Arc;
use std::time::Duration;

use turnbell::time::Now;

use crate::command::{CONFIG, ask, ask_stopped, run};
use crate::daemon::Daemon;
use crate::turn_client::TurnClient;

/// A credential of this user, by the command.
fn credential(daemon: &Daemon, user: &str) -> (String, String) {
    let said = run(daemon.directory().path(), &format!("credential --user {user} --json")).json();
    let text = |key: &str| said["credential"][key].as_str().unwrap().to_owned();
    (text("username"), text("credential"))
}

fn allocate(daemon: &Daemon, (username, password): &(String, String)) -> Result<TurnClient, u16> {
    TurnClient::allocate(daemon.udp(), username, password)
}

#[test]
fn a_revoked_users_calls_end_within_a_second_and_he_is_refused_over_restarts_until_it_is_undone() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    let (alice, bob) = (credential(&daemon, "alice"), credential(&daemon, "bob"));
    let clients = [allocate(&daemon, &alice).unwrap(), allocate(&daemon, &alice).unwrap()];
    let other = allocate(&daemon, &bob).unwrap();
    let start = Now::read().mono;
    let said = ask(&daemon, "revoke alice");
    assert!(
        said.starts_with("User \"alice\" is revoked: credentials are refused until "),
        "{said}"
    );
    assert!(said.ends_with(" 2 allocations ended.\n"), "{said}");
    assert_eq!(clients[0].release(), Err(401));
    assert!(start.elapsed() < Duration::from_secs(1));
    other.permit(other.relayed.ip()).unwrap();
    assert_eq!(allocate(&daemon, &alice).unwrap_err(), 401);
    // A credential of afterwards looks the same.
    let again = credential(&daemon, "alice");
    assert_eq!(allocate(&daemon, &again).unwrap_err(), 401);
    let rows = daemon.wait_for_rows(|rows| {
        rows.iter().filter(|row| row.end_reason.as_deref() == Some("revoked")).count() == 2
    });
    assert_eq!(rows.len(), 3);
    let log = crate::daemon::eventually(|| {
        let log = ask(&daemon, "log --user alice");
        log.contains("revoked by the operator").then_some(log)
    });
    assert!(log.is_some(), "{}", ask(&daemon, "log"));
    assert!(ask(&daemon, "revoke").lines().nth(1).unwrap().starts_with("alice "));

    daemon.terminate();
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(allocate(&daemon, &alice).unwrap_err(), 401);
    allocate(&daemon, &bob).unwrap();
    assert_eq!(ask(&daemon, "revoke --undo alice"), "User \"alice\" is let in again.\n");
    allocate(&daemon, &alice).unwrap();
    assert_eq!(ask(&daemon, "revoke"), "nobody is revoked\n");
    let twice = run(daemon.directory().path(), "revoke --undo alice").refused();
    assert!(twice.contains("this user is not revoked"), "{twice}");
}

#[test]
fn an_account_of_the_config_is_refused_until_it_is_undone() {
    let daemon = Daemon::start(&format!("auth.users = [\"carol:lighthouse-17\"]\n{CONFIG}"));
    let carol = ("carol".to_owned(), "lighthouse-17".to_owned());
    allocate(&daemon, &carol).unwrap();
    let said = ask(&daemon, "revoke carol");
    assert_eq!(
        said,
        "User \"carol\" is revoked: credentials are refused until `turnbell revoke --undo carol`. \
         1 allocation ended.\n"
    );
    assert_eq!(allocate(&daemon, &carol).unwrap_err(), 401);
    ask(&daemon, "revoke --undo carol");
    allocate(&daemon, &carol).unwrap();
}

#[test]
fn without_a_daemon_it_holds_from_the_next_start_on() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let said = ask_stopped(directory.path(), "revoke mallory --for 7d");
    assert!(said.starts_with("User \"mallory\" is revoked"), "{said}");
    assert!(!said.contains("ended"), "{said}");
    let daemon = Daemon::start_in(directory, |_| {});
    let mallory = credential(&daemon, "mallory");
    assert_eq!(allocate(&daemon, &mallory).unwrap_err(), 401);
    ask(&daemon, "revoke --undo mallory");
    allocate(&daemon, &mallory).unwrap();
}
