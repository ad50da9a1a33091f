//! `turnbell credential`: good for a real Allocate, whoever issued it, and on the record.

use serde_json::Value;

use crate::command::{CONFIG, ask, ask_after, ask_stopped, run};
use crate::daemon::{Daemon, eventually};
use crate::turn_client::TurnClient;

/// Username, credential and the ICE config in what was printed.
#[track_caller]
fn printed(text: &str) -> (String, String, Value) {
    let after = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).trim().to_owned()
    };
    let ice = format!("{{\"iceServers\"{}", after("  {\"iceServers\""));
    (after("username "), after("credential "), serde_json::from_str(&ice).unwrap())
}

#[test]
fn a_credential_of_a_running_daemon_is_good_for_an_allocation_and_is_on_record() {
    let daemon = Daemon::start(CONFIG);
    let text = ask(&daemon, "credential --user bob --ttl 1h");
    let (username, credential, ice) = printed(&text);
    let client = TurnClient::allocate(daemon.udp(), &username, &credential).unwrap();
    client.release().unwrap();

    assert!(username.ends_with(":bob") && text.contains("UTC, in 1h00m\n"), "{text}");
    let server = &ice["iceServers"][0];
    let url = format!("turn:{}?transport=udp", daemon.udp());
    assert_eq!(server["urls"], Value::from(vec![url]));
    assert_eq!(
        (&server["username"], &server["credential"]),
        (&username.into(), &credential.into())
    );
    let port = format!("-p {} 127.0.0.1\n", daemon.udp().port());
    assert!(text.contains("turnutils_uclient ") && text.ends_with(&port), "{text}");

    let logged = eventually(|| {
        let log = ask(&daemon, "log --user bob --kind credential");
        log.contains("good for 1h00m, asked for by `turnbell credential`").then_some(log)
    });
    let log = logged.expect("the record has it");
    assert!(!log.contains(server["credential"].as_str().unwrap()), "{log}");
}

#[test]
fn a_credential_made_while_no_daemon_runs_is_good_for_the_next_one_and_on_record_too() {
    let config = format!("advertise = [\"127.0.0.1:443\"]\n{CONFIG}");
    let mut daemon = Daemon::start(&config);
    let urls = |text: &str| printed(text).2["iceServers"][0]["urls"].clone();
    let running = urls(&ask(&daemon, "credential"));
    assert_eq!(running, Value::from(vec!["turn:127.0.0.1:443?transport=udp"]));
    assert_eq!(daemon.terminate().code(), Some(0));

    let config = config.replace("127.0.0.1:0\"]\nlisten_tcp", "127.0.0.1:3478\"]\nlisten_tcp");
    let file = daemon.directory().path().join("turnbell.toml");
    std::fs::write(&file, &config).unwrap();
    let text = ask_stopped(daemon.directory().path(), "credential --user bob");
    assert_eq!(urls(&text), running, "the advertised port, with and without a daemon");
    std::fs::write(&file, config.replace(":3478", ":0")).unwrap();

    let (username, credential, _) = printed(&text);
    let daemon = Daemon::start_in(daemon.directory(), |_| {});
    TurnClient::allocate(daemon.udp(), &username, &credential).unwrap().release().unwrap();
    let log = ask(&daemon, "log --user bob --kind credential");
    assert_eq!(log.matches("asked for by `turnbell credential`").count(), 1, "{log}");
}

#[test]
fn without_a_known_port_the_credential_is_printed_and_no_url_made_up() {
    let mut daemon = Daemon::start(CONFIG);
    let text = ask_after(&mut daemon, "credential");
    assert!(text.contains("URL is not known") && !text.contains("turn:"), "{text}");
    let json = ask_stopped(daemon.directory().path(), "credential --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["credential"]["urls"], Value::from(Vec::<Value>::new()));
}

#[test]
fn without_a_secret_it_is_said_how_to_get_one_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let sentence = run(directory.path(), "credential").refused();
    assert!(sentence.starts_with("there is no secret yet: start turnbell once"), "{sentence}");
    assert!(!directory.path().join("state").exists());
}
