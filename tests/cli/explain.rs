//! `turnbell explain` and `turnbell print-config`: the same with a daemon and without one.

use serde_json::{Value, json};

use crate::command::{CONFIG, ask, ask_stopped, run};
use crate::daemon::Daemon;

const SECRET: &str = "explain-1b7d3a95c0e2f846";

fn config() -> String {
    format!(
        "deny_peers = [\"203.0.113.0/24\",\n  \"10.9.0.0/16\"]\n\
         allow_private_peers = [\"10.0.0.0/8\"]\nauth.secrets = [\"{SECRET}\"]\n{CONFIG}"
    )
}

/// What the daemon says, and the command without it.
#[track_caller]
fn both(arguments: &str) -> [String; 2] {
    let mut daemon = Daemon::start(&config());
    let with = ask(&daemon, arguments);
    daemon.terminate();
    [with, ask_stopped(daemon.directory().path(), arguments)]
}

#[test]
fn a_private_peer_is_closed_and_the_sentence_says_what_would_open_it() {
    for text in both("explain peer 172.17.0.3") {
        assert_eq!(
            text,
            "172.17.0.3\n  CreatePermission: refused (403): it lies in a range that is closed by \
             default (private); `allow_private_peers` can open it\n"
        );
    }
}

#[test]
fn the_line_that_opens_or_closes_a_peer_is_named() {
    for text in both("explain peer 10.9.1.2:5000") {
        assert!(text.contains("refused (403, dropped): the config closes it"), "{text}");
        assert!(text.contains("by deny_peers = 10.9.0.0/16, turnbell.toml:2\n"), "{text}");
    }
    for text in both("explain peer [::ffff:10.8.1.2]:5000 --json") {
        let json: Value = serde_json::from_str(&text).unwrap();
        let rule = json!({
            "key": "allow_private_peers", "value": "10.0.0.0/8", "file": "turnbell.toml", "line": 3
        });
        assert_eq!(json["peer"]["peer"], "10.8.1.2:5000");
        assert_eq!(json["peer"]["data"]["allowed"], true);
        assert_eq!(json["peer"]["data"]["rule"], rule);
    }
}

#[test]
fn the_daemons_own_doors_are_known_by_the_ports_they_really_have() {
    let daemon = Daemon::start(CONFIG);
    let text = ask(&daemon, &format!("explain peer {}", daemon.udp()));
    assert!(text.contains("Send: refused (403, dropped): turnbell itself listens there"), "{text}");
}

#[test]
fn what_is_in_effect_is_printed_with_its_source_and_no_secret() {
    for text in both("print-config") {
        let flat: Vec<String> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let at = config().lines().position(|line| line.starts_with("relay_addresses")).unwrap();
        let relay = format!("relay_addresses = [\"127.0.0.1\"] # line {}", at + 1);
        for line in [
            "# turnbell.toml",
            "deny_peers = [\"203.0.113.0/24\",\"10.9.0.0/16\"] # line 1",
            "quota.per_user = 64 # default",
            "auth.secrets = \"1 secret\" # line 4",
            &relay,
        ] {
            assert!(flat.iter().any(|l| l == line), "{line:?} is not in:\n{text}");
        }
        assert!(!text.contains(SECRET), "{text}");
    }
    for text in both("print-config --json") {
        let json: Value = serde_json::from_str(&text).unwrap();
        let settings = json["config"]["settings"].as_array().unwrap();
        let ttl = settings.iter().find(|setting| setting["key"] == "ice.ttl").unwrap();
        assert_eq!(*ttl, json!({"key": "ice.ttl", "value": "12h", "from": "default"}));
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_value_that_waits_for_a_restart_is_shown_beside_the_one_that_counts() {
    let daemon = Daemon::start(&config());
    let directory = daemon.directory();
    let text = format!("realm = \"other\"\nquota.per_user = 3\n{}", config());
    std::fs::write(directory.path().join("turnbell.toml"), text).unwrap();
    // Nothing counts before it is read.
    assert!(ask(&daemon, "print-config").contains("quota.per_user = 64 "));
    ask(&daemon, "reload");
    let text = ask(&daemon, "print-config");
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap();
    assert!(line("quota.per_user").starts_with("quota.per_user = 3 "), "{text}");
    assert!(line("realm").starts_with("realm = \"turnbell\" "), "{text}");
    assert!(line("realm").ends_with("# default; after a restart: \"other\""), "{text}");
}

#[test]
fn the_generated_secret_and_the_found_address_say_that_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let text = run(directory.path(), "print-config").done();
    assert!(text.starts_with("# built-in default, no file\n"), "{text}");
    assert!(text.contains("# generated: turnbell-data/secret"), "{text}");
    assert!(!directory.path().join("turnbell-data").exists(), "looking makes nothing");
}

#[test]
fn what_is_no_address_is_a_wrong_command_line() {
    let directory = tempfile::tempdir().unwrap();
    for wrong in ["explain peer example.org", "explain", "explain peer 10.0.0.0/8"] {
        assert_eq!(run(directory.path(), wrong).code, Some(2), "{wrong}");
    }
}
