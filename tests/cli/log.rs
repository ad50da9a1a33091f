//! `turnbell log`: the true cause of a refusal, which the client is never told.

use std::net::UdpSocket;

use turnbell::auth::credential::{User, issue};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::secret::Secret;
use turnbell::time::Now;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::command::{CONFIG, ask, ask_after, ask_stopped, run};
use crate::daemon::{Daemon, eventually};
use crate::turn_client::{exchange, first_allocate};

const REALM: &str = "turnbell";

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// The nonce that this client is challenged with.
fn nonce(daemon: &Daemon, socket: &UdpSocket) -> Vec<u8> {
    let answer = exchange(socket, daemon.udp(), &first_allocate(daemon.udp()));
    Message::parse(&answer).unwrap().attribute(AttributeType::NONCE).unwrap().to_vec()
}

/// The code that an Allocate with these is refused with.
fn refused(
    daemon: &Daemon,
    socket: &UdpSocket,
    (username, password): (&str, &str),
    realm: &str,
    nonce: &[u8],
) -> u16 {
    let key = LongTermKey::derive(
        PasswordAlgorithm::Md5,
        username.as_bytes(),
        realm.as_bytes(),
        password.as_bytes(),
    );
    let bytes = MessageWriter::new(Class::Request, Method::ALLOCATE, TransactionId([3; 12]))
        .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
        .attribute(AttributeType::USERNAME, username.as_bytes())
        .attribute(AttributeType::REALM, realm.as_bytes())
        .attribute(AttributeType::NONCE, nonce)
        .finish(Some(key.as_bytes()), false);
    let answer = exchange(socket, daemon.udp(), &bytes);
    let answer = Message::parse(&answer).unwrap();
    ErrorCode::from_value(answer.attribute(AttributeType::ERROR_CODE).unwrap()).unwrap().number()
}

/// A credential of this daemon's secret that ends so many seconds from this moment.
fn issued(daemon: &Daemon, user: &str, ends_in_s: i64) -> (String, String) {
    let secret = std::fs::read_to_string(daemon.state().join("secret")).unwrap();
    let secret = Secret::new(secret.trim().to_owned());
    let expires_at = Now::read().unix_s() + ends_in_s;
    let issued = issue(&secret, &User::parse(user).unwrap(), expires_at);
    (issued.username, issued.credential.expose().clone())
}

/// One refused Allocate for each cause, the user named after it.
fn refuse_for_every_cause(daemon: &Daemon) {
    let try_with = |user: &str, ends_in_s, password: Option<&str>, realm: &str| {
        let (username, right) = issued(daemon, user, ends_in_s);
        let (client, login) = (socket(), (&*username, password.unwrap_or(&right)));
        refused(daemon, &client, login, realm, &nonce(daemon, &client))
    };
    assert_eq!(try_with("guesser", 60, Some("a guess"), REALM), 401);
    assert_eq!(try_with("sleeper", -312, None, REALM), 401);
    assert_eq!(try_with("stranger", 60, None, "elsewhere"), 401);
    let client = socket();
    let nobody = refused(daemon, &client, ("nobody", "x"), REALM, &nonce(daemon, &client));
    assert_eq!(nobody, 401);
    // The nonce of one client in the hands of another.
    let (username, right) = issued(daemon, "thief", 60);
    let theirs = nonce(daemon, &socket());
    assert_eq!(refused(daemon, &client, (&username, &right), REALM, &theirs), 438);
}

#[test]
fn the_log_says_the_true_cause_of_every_refusal_with_a_daemon_and_without() {
    let mut daemon = Daemon::start(CONFIG);
    refuse_for_every_cause(&daemon);
    let all = "log --kind auth_failure";
    let log = eventually(|| {
        let log = ask(&daemon, all);
        (log.lines().count() >= 6).then_some(log)
    });
    let log = log.expect("every failure has its line");
    assert_eq!(log.lines().count(), 6, "{log}");
    let line = |user: &str| {
        log.lines().find(|line| line.contains(user)).unwrap_or_else(|| panic!("{user}:\n{log}"))
    };
    for (user, cause) in [
        ("guesser", ": wrong password or secret"),
        ("stranger", ": unknown realm"),
        ("nobody", ": no such user"),
        ("thief", ": stale nonce"),
    ] {
        assert!(line(user).contains(" 127.0.0.1:") && line(user).ends_with(cause), "{log}");
    }
    let ago = line("sleeper").split_once(": expired ").expect("it expired").1;
    let ago: i64 = ago.strip_suffix(" s ago").expect("how long ago").parse().unwrap();
    assert!((312..=330).contains(&ago), "{log}");
    assert!(log.find("guesser") < log.find("thief"), "the newest is the last:\n{log}");

    assert_eq!(ask(&daemon, "log --user thief").lines().count(), 2);
    assert_eq!(ask(&daemon, "log --user thief --kind opened"), "nothing on record\n");
    assert_eq!(ask(&daemon, "log --kind auth_failure --since 2h"), log);
    assert!(ask(&daemon, "log --kind auth_failure -n 1").contains("thief"));
    assert_eq!(log, ask_after(&mut daemon, all), "the same lines with and without a daemon");
    let runs = ask_stopped(daemon.directory().path(), "log --kind run");
    assert!(runs.trim_end().ends_with("turnbell ended: shutdown"), "{runs}");
}

#[test]
fn scripts_get_the_log_as_json_the_newest_first_and_the_same_both_ways() {
    let mut daemon = Daemon::start(CONFIG);
    refuse_for_every_cause(&daemon);
    let all = "log --json --kind auth_failure";
    let settled = eventually(|| {
        let log = run(daemon.directory().path(), all).json();
        (log["log"].as_array().unwrap().len() == 5).then_some(log)
    });
    let newest = settled.expect("every failure is there")["log"][0].clone();
    assert_eq!((&newest["user"], &newest["cause"]), (&"thief".into(), &"stale_nonce".into()));
    let running = ask(&daemon, all);
    assert_eq!(running, ask_after(&mut daemon, all));
}

#[test]
fn what_a_client_claims_cannot_break_a_line() {
    let daemon = Daemon::start(CONFIG);
    let client = socket();
    let forged = "eve\n2026-11-20 00:00:00  run  forged\u{1b}[2J";
    refused(&daemon, &client, (forged, "x"), REALM, &nonce(&daemon, &client));
    let log = eventually(|| {
        let log = ask(&daemon, "log --kind auth_failure");
        log.contains("eve").then_some(log)
    });
    let log = log.expect("it is there");
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}

#[test]
fn no_secret_is_in_any_answer_but_the_one_that_hands_it_out() {
    let mut daemon = Daemon::start(CONFIG);
    let directory = daemon.directory();
    let secret = std::fs::read_to_string(daemon.state().join("secret")).unwrap();
    let key = run(directory.path(), "key add web --json").json()["key_added"]["key"].clone();
    let issued = run(directory.path(), "credential --json").json()["credential"].clone();
    let hash = turnbell::auth::api_key::ApiKeyHash::of(key.as_str().unwrap()).0;
    let hash = turnbell::auth::secret::hex(&hash);
    let secrets =
        [secret.trim(), key.as_str().unwrap(), issued["credential"].as_str().unwrap(), &hash];
    let commands = [
        "check-config",
        "credential",
        "key list",
        "key list --json",
        "key revoke nothing",
        "log",
        "log --json",
        "sessions --all",
        "sessions --all --json",
        "status",
    ];
    for running in [true, false] {
        for command in commands {
            let said = run(directory.path(), command);
            let text = format!("{}{}", said.out, said.err).to_lowercase();
            for secret in secrets {
                assert!(
                    !text.contains(&secret.to_lowercase()),
                    "`{command}` says a secret:\n{text}"
                );
            }
        }
        if running {
            daemon.terminate();
        }
    }
}
