//! `turnbell key`: what opens `/ice`, and from when on it does not.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::command::{CONFIG, ask, ask_after, ask_stopped, http, run};
use crate::daemon::{Daemon, PATIENCE};

/// The status that `GET /ice` has with this key.
fn status(daemon: &Daemon, key: &str) -> u16 {
    let mut stream = TcpStream::connect_timeout(&http(daemon), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "GET /ice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    write!(stream, "{head}Authorization: Bearer {key}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The key in the answer to `key add`.
#[track_caller]
fn key_in(answer: &str) -> String {
    let mut words = answer.split_whitespace().filter(|word| word.starts_with("tbk_"));
    words.next().expect("a key").to_owned()
}

#[test]
fn a_key_opens_ice_at_once_and_no_more_once_it_is_revoked() {
    let daemon = Daemon::start(CONFIG);
    for way in ["web", "id", "text"] {
        let key = key_in(&ask(&daemon, "key add web"));
        assert_eq!(status(&daemon, &key), 200);
        let list = ask(&daemon, "key list");
        assert!(list.trim_end().ends_with("active") && !list.contains(&key), "{list}");
        let id = list.lines().last().unwrap().split(' ').next().unwrap().to_owned();
        let wanted = match way {
            "id" => &id,
            "text" => &key,
            name => name,
        };
        let revoked = ask(&daemon, &format!("key revoke {wanted}"));
        assert_eq!(revoked, format!("Key \"web\" ({id}) is revoked.\n"));
        assert_eq!(status(&daemon, &key), 401, "revoked by its {way}");
    }
}

#[test]
fn a_key_made_while_no_daemon_runs_is_good_when_one_starts_and_revoked_likewise() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let good = key_in(&ask_stopped(directory.path(), "key add good"));
    let bad = key_in(&ask_stopped(directory.path(), "key add bad"));
    ask_stopped(directory.path(), "key revoke bad");
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    assert_eq!((status(&daemon, &good), status(&daemon, &bad)), (200, 401));
    let running = ask(&daemon, "key list --json");
    assert_eq!(running, ask_after(&mut daemon, "key list --json"));
    ask_stopped(directory.path(), "key revoke good");
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(status(&daemon, &good), 401);
}

#[test]
fn a_wrong_name_is_one_sentence_both_ways() {
    let mut daemon = Daemon::start(CONFIG);
    let directory = daemon.directory();
    ask(&daemon, "key add web");
    for running in [true, false] {
        let refused = |arguments| run(directory.path(), arguments).refused();
        assert_eq!(
            refused("key revoke shop"),
            "no active key has this id, name or text; `turnbell key list` shows them"
        );
        assert!(refused("key add web").starts_with("an active key named \"web\" exists"));
        let long = format!("key add {}", "x".repeat(129));
        assert!(refused(&long).starts_with("a key's name must have 1 to 128 bytes"));
        if running {
            daemon.terminate();
        }
    }
}

#[test]
fn scripts_get_a_new_key_as_json() {
    let daemon = Daemon::start(CONFIG);
    let added = run(daemon.directory().path(), "key add web --json").json();
    let key = added["key_added"]["key"].as_str().unwrap();
    assert_eq!(status(&daemon, key), 200);
}
