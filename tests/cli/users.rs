//! `turnbell token` and `turnbell invite`: with a daemon, without one, and where there is no key.

use std::sync::Arc;

use crate::command::{CONFIG, ask, ask_stopped, run};
use crate::daemon::Daemon;

#[test]
fn without_a_key_nothing_is_signed_and_the_cure_is_said() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    for command in ["token --user alice", "invite"] {
        let why = run(directory.path(), command).refused();
        assert!(why.contains("start turnbell once"), "{why}");
    }
    assert_eq!(run(directory.path(), "token").code, Some(2));
    assert_eq!(run(directory.path(), "token --user alice --ttl 366d").code, Some(2));
    assert_eq!(run(directory.path(), "token --user alice --role king").code, Some(2));
    assert_eq!(run(directory.path(), "invite --uses 0").code, Some(2));
    assert_eq!(run(directory.path(), "invite --list --to alice").code, Some(2));
}

#[test]
fn an_invite_begins_with_the_public_url_and_is_made_and_taken_back_without_a_daemon_too() {
    let config = format!("{CONFIG}http.public_url = \"https://calls.example.org/\"\n");
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    let text = ask(&daemon, "invite --to alice --uses 1 --ttl 1h");
    assert!(text.starts_with("https://calls.example.org/j/#ey"), "{text}");
    assert!(text.contains("Good once") && text.contains("http.public_url"), "{text}");
    daemon.terminate();
    let text = ask_stopped(directory.path(), "invite");
    assert!(text.starts_with("https://calls.example.org/j/#ey"), "{text}");
    let listed = ask_stopped(directory.path(), "invite --list");
    let ids: Vec<&str> =
        listed.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    for id in ids {
        assert!(text.contains(id) != listed.contains(&format!("{id}  default  alice")), "{listed}");
        ask_stopped(directory.path(), &format!("invite --revoke {id}"));
    }
    let listed = ask_stopped(directory.path(), "invite --list");
    assert_eq!(listed.matches("taken back").count(), 2, "{listed}");
}

#[test]
fn print_config_shows_issuers_and_tenants_without_secrets() {
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "{CONFIG}[[identity.issuer]]\nissuer = \"https://id.example.org\"\ntenant = \"acme\"\n\
         secret = \"{secret}\"\n[tenant.acme]\ncalls_max = 7\nallow = [\"visitor>agent\"]\n"
    );
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let text = ask_stopped(directory.path(), "print-config");
    for shown in ["https://id.example.org (tenant acme)", "acme calls_max=7 allow=visitor>agent"] {
        assert!(text.contains(shown), "{text}");
    }
    assert!(!text.contains(secret), "{text}");
}
