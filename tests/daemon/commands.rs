//! The commands beside a running daemon, and after it.

use std::net::UdpSocket;

use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;

use crate::daemon::{CONFIG, Daemon, PASSWORD, SECRET, USER, eventually};
use crate::turn_client::TurnClient;

/// The output of a command that works.
#[track_caller]
fn say(daemon: &Daemon, arguments: &[&str]) -> String {
    let (code, text, error) = daemon.command(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}{error}");
    text
}

/// The word after `name`.
#[track_caller]
fn word_after<'a>(text: &'a str, name: &str) -> &'a str {
    let mut words = text.split_ascii_whitespace().skip_while(|word| *word != name);
    words.nth(1).unwrap_or_else(|| panic!("no {name} in: {text}"))
}

/// Waits until a command says `word`; the record is written in batches.
#[track_caller]
fn wait_to_say(daemon: &Daemon, arguments: &[&str], word: &str) {
    let found = eventually(|| say(daemon, arguments).contains(word).then_some(()));
    assert!(found.is_some(), "{word:?} is not in: {}", say(daemon, arguments));
}

#[test]
fn a_credential_made_by_hand_opens_the_relay() {
    let daemon = Daemon::start(CONFIG);
    let text = say(&daemon, &["credential", "--user", "erin", "--ttl", "10m"]);
    let (username, credential) = (word_after(&text, "username"), word_after(&text, "credential"));
    assert!(username.ends_with(":erin"), "{text}");
    TurnClient::allocate(daemon.udp(), username, credential).unwrap();
}

#[test]
fn a_new_key_opens_ice_at_once_survives_a_restart_and_is_refused_as_soon_as_it_is_revoked() {
    let config = CONFIG.replace("local_without_key = true", "local_without_key = false");
    let mut daemon = Daemon::start(&config);
    assert_eq!(daemon.get("/ice").0, 401);
    let text = say(&daemon, &["key", "add", "website"]);
    let key = text.split_ascii_whitespace().find(|word| word.starts_with("tbk_")).unwrap();
    let (status, ice) = daemon.get_with_key("/ice", key);
    assert_eq!(status, 200, "{ice}");
    assert!(say(&daemon, &["key", "list"]).contains("website"));
    // Stored hashed, and not logged.
    for file in std::fs::read_dir(daemon.state()).unwrap() {
        let path = file.unwrap().path();
        let held = std::fs::read(&path).unwrap_or_default();
        assert!(!held.windows(key.len()).any(|bytes| bytes == key.as_bytes()), "{path:?}");
    }
    assert!(!daemon.log().contains(key));
    assert_eq!(daemon.terminate().code(), Some(0));

    let again = Daemon::start_in(daemon.directory(), |_| {});
    assert_eq!(again.get_with_key("/ice", key).0, 200);
    say(&again, &["key", "revoke", "website"]);
    assert_eq!(again.get_with_key("/ice", key).0, 401);
    assert_ne!(again.command(&["key", "revoke", "website"]).0, Some(0));
}

#[test]
fn sessions_and_log_say_who_is_on_who_was_and_why_somebody_was_refused() {
    let mut daemon = Daemon::start(CONFIG);
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let relayed = client.relayed.to_string();
    wait_to_say(&daemon, &["sessions"], &relayed);
    assert!(say(&daemon, &["sessions", "--user", USER]).contains(&relayed));
    assert!(!say(&daemon, &["sessions", "--user", "mallory"]).contains(&relayed));
    let json = say(&daemon, &["sessions", "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");

    client.release().unwrap();
    // The right secret; it is the time that is wrong.
    let old = issue(&Secret::new(SECRET.to_owned()), &User::parse("frank").unwrap(), 100);
    let refused = TurnClient::allocate(daemon.udp(), &old.username, old.credential.expose());
    assert_eq!(refused.unwrap_err(), 401);
    wait_to_say(&daemon, &["log", "--user", "frank"], "expired");
    wait_to_say(&daemon, &["log", "--kind", "closed"], USER);
    assert!(!say(&daemon, &["sessions"]).contains(&relayed));
    wait_to_say(&daemon, &["sessions", "--all"], &relayed);

    // Without the daemon the record itself is asked, and says the same.
    assert_eq!(daemon.terminate().code(), Some(0));
    assert!(say(&daemon, &["sessions", "--all", "--user", USER]).contains(&relayed));
    assert!(say(&daemon, &["log", "--user", "frank"]).contains("expired"));
}

#[test]
fn what_a_hostile_client_claims_to_be_is_printed_without_control_characters() {
    let daemon = Daemon::start(CONFIG);
    let refused = TurnClient::allocate(daemon.udp(), "9:eve\x1b[31m\r\nroot\x07", "x");
    assert_eq!(refused.unwrap_err(), 401);
    wait_to_say(&daemon, &["log"], "eve");
    let text = say(&daemon, &["log"]);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("root")), "{text:?}");
}

#[test]
fn check_config_beside_a_running_daemon_names_it_as_the_holder_of_its_ports() {
    let daemon = Daemon::start(CONFIG);
    let taken = daemon.udp();
    let config = CONFIG.replacen("127.0.0.1:0", &taken.to_string(), 1);
    std::fs::write(daemon.directory().path().join("turnbell.toml"), config).unwrap();
    let text = say(&daemon, &["check-config"]);
    // Long warnings are folded.
    let flat = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&format!("UDP port {}", taken.port())), "{text}");
    assert!(flat.contains(&format!("turnbell (pid {})", daemon.pid())), "{text}");
    assert!(UdpSocket::bind(taken).is_err(), "it still holds the port");
}
