//! `turnbell user` and `turnbell secret`: what they change counts at once, and over restarts.

use std::sync::Arc;

use crate::command::{ask, run};
use crate::daemon::{CONFIG, Daemon};
use crate::turn_client::TurnClient;

/// A config that names no secret, so that there is one in the state directory.
fn without_secret() -> String {
    CONFIG.replace("auth.secrets", "#auth.secrets")
}

fn allocate(daemon: &Daemon, username: &str, password: &str) -> Result<(), u16> {
    TurnClient::allocate(daemon.udp(), username, password).map(drop)
}

/// The line that stands alone between blank ones.
fn shown_once(said: &str) -> String {
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("  "));
    let found = lines.next().unwrap_or_else(|| panic!("nothing is shown: {said}"));
    found.trim().to_owned()
}

#[test]
fn an_account_is_let_in_at_once_over_restarts_and_until_it_is_removed() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    assert_eq!(allocate(&daemon, "carol", "looking-glass"), Err(401));
    let said = ask(&daemon, "user add carol");
    assert!(said.starts_with("User \"carol\" of realm \"turnbell\" added.\n"), "{said}");
    let password = shown_once(&said);
    allocate(&daemon, "carol", &password).unwrap();
    let file = std::fs::read_to_string(daemon.state().join("users")).unwrap();
    assert!(!file.contains(&password) && file.starts_with("carol\tturnbell\t"), "{file}");

    daemon.terminate();
    let daemon = Daemon::start_in(directory.clone(), |_| {});
    allocate(&daemon, "carol", &password).unwrap();
    let listed = ask(&daemon, "user list");
    assert!(listed.contains("carol  turnbell  MD5, SHA-256  turnbell user"), "{listed}");
    assert!(listed.contains("auth.users"), "{listed}");

    // Another password, read from a file.
    std::fs::write(directory.path().join("password"), "looking-glass\n").unwrap();
    let said = ask(&daemon, "user add carol --password-file password");
    assert_eq!(said, "User \"carol\" of realm \"turnbell\" has another password.\n");
    assert_eq!(allocate(&daemon, "carol", &password), Err(401));
    allocate(&daemon, "carol", "looking-glass").unwrap();

    assert_eq!(ask(&daemon, "user remove carol"), "User \"carol\" removed.\n");
    assert_eq!(allocate(&daemon, "carol", "looking-glass"), Err(401));
    let again = run(directory.path(), "user remove carol").refused();
    assert!(again.contains("there is no user \"carol\""), "{again}");
}

#[test]
fn a_key_of_coturns_lets_its_owner_in() {
    let daemon = Daemon::start(&format!("realm = \"north.gov\"\n{CONFIG}"));
    // printf %s ninefingers:north.gov:youhavetoberealistic | md5sum
    ask(&daemon, "user add ninefingers --key 0xbc807ee29df3c9ffa736523fb2c4e8ee");
    allocate(&daemon, "ninefingers", "youhavetoberealistic").unwrap();
    assert_eq!(allocate(&daemon, "ninefingers", "youhavetobedreaming"), Err(401));
    assert!(ask(&daemon, "user list").contains("ninefingers  north.gov  MD5  "));
}

#[test]
fn what_cannot_be_an_account_is_refused_with_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    std::fs::write(directory.path().join("short"), "1234567\n").unwrap();
    for (line, why) in [
        ("user add alice", "stands in the config"),
        ("user add a/b", "must not contain '/'"),
        ("user add bob --password-file short", "at least 8 bytes long, found 7"),
        ("user add bob --password-file nothing", "nothing cannot be read"),
        ("user add bob --key 1234", "32 hex digits"),
    ] {
        let said = run(directory.path(), line).refused();
        assert!(said.contains(why), "{line}: {said}");
    }
    assert_eq!(run(directory.path(), "user list").done().lines().count(), 2);
    let said = run(directory.path(), "user add bob");
    assert!(said.err.contains("counts from its next start on"), "{said:?}");
}

#[test]
fn keys_of_another_realm_let_nobody_in_and_are_named() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let file = directory.path().join("turnbell.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let password = shown_once(&run(directory.path(), "user add carol").done());
    std::fs::write(&file, format!("realm = \"moved\"\n{CONFIG}")).unwrap();
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(allocate(&daemon, "carol", &password), Err(401));
    daemon.wait_for_log("1 accounts of `turnbell user` were made for another realm");
    assert!(ask(&daemon, "user list").contains("turnbell (not this one's: not let in)"));
}

#[test]
fn a_secret_is_changed_without_a_gap() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), without_secret()).unwrap();
    let daemon = Daemon::start_in(directory.clone(), |_| {});
    let (name, old) = daemon.issue("bob");
    let last = first_fingerprint(&daemon);
    let refused = run(directory.path(), &format!("secret remove {last}")).refused();
    assert!(refused.contains("it is the last one"), "{refused}");

    let made = shown_once(&ask(&daemon, "secret add"));
    assert_eq!(made.len(), 64);
    let (renewed, new) = daemon.issue("bob");
    allocate(&daemon, &name, &old).unwrap();
    allocate(&daemon, &renewed, &new).unwrap();
    let listed = ask(&daemon, "secret list");
    assert!(listed.contains("issues and is taken") && !listed.contains(&made), "{listed}");

    ask(&daemon, &format!("secret remove {last}"));
    assert_eq!(allocate(&daemon, &name, &old), Err(401));
    allocate(&daemon, &renewed, &new).unwrap();
}

fn first_fingerprint(daemon: &Daemon) -> String {
    let listed = ask(daemon, "secret list");
    listed.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn secrets_of_the_config_are_shown_and_changed_there() {
    let daemon = Daemon::start(CONFIG);
    assert!(ask(&daemon, "secret list").contains("28 characters  the config"));
    let said = run(daemon.directory().path(), "secret add").refused();
    assert!(said.contains("the secrets stand in the config"), "{said}");
}
