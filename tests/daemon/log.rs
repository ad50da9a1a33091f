//! What the log must never hold: secrets, credentials, and bytes that a hostile client chose.

use std::net::UdpSocket;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{CONFIG, Daemon, PASSWORD, SECRET, USER, eventually, record};
use crate::turn_client::{TurnClient, exchange, first_allocate};

/// A name that would forge a line, colour a terminal and end a string.
const HOSTILE: &str =
    "17952588650:eve\x1b[31m\r\n2026-11-20T00:00:00Z ERROR forged line\x07\0\u{202e}";

/// An Allocate that claims to be `username`, with a wrong key; says the error code.
fn claim(daemon: &Daemon, username: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let answer = exchange(&socket, daemon.udp(), &first_allocate(daemon.udp()));
    let challenge = Message::parse(&answer).unwrap();
    let realm = challenge.attribute(AttributeType::REALM).unwrap();
    let key = LongTermKey::derive(PasswordAlgorithm::Md5, username, realm, b"wrong");
    let bytes = MessageWriter::new(Class::Request, Method::ALLOCATE, TransactionId([5; 12]))
        .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
        .attribute(AttributeType::USERNAME, username)
        .attribute(AttributeType::REALM, realm)
        .attribute(AttributeType::NONCE, challenge.attribute(AttributeType::NONCE).unwrap())
        .finish(Some(key.as_bytes()), false);
    let answer = exchange(&socket, daemon.udp(), &bytes);
    Message::parse(&answer).unwrap().attribute(AttributeType::ERROR_CODE).unwrap().to_vec()
}

#[test]
fn at_the_loudest_level_no_secret_and_no_control_character_gets_into_the_log() {
    let mut daemon = Daemon::start(&format!("{CONFIG}\nlog.level = \"trace\"\n"));
    let (username, credential) = daemon.issue("bob");
    let client = TurnClient::allocate(daemon.udp(), &username, &credential).unwrap();
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let long = "x".repeat(508);
    for name in [HOSTILE.as_bytes(), b"\xff\xfe\x00\x1b[2J", long.as_bytes(), b""] {
        assert_eq!(claim(&daemon, name)[2..4], [4, 1]);
    }
    client.release().unwrap();
    // The record has the failures: the network's words went all the way through.
    let stored = eventually(|| {
        let sql = "SELECT count(*) FROM auth_failures WHERE username LIKE '%eve%'";
        let count: i64 = record(&daemon.state()).query_row(sql, [], |row| row.get(0)).unwrap();
        (count == 1).then_some(())
    });
    assert!(stored.is_some(), "{}", daemon.log());
    assert_eq!(daemon.terminate().code(), Some(0));

    let log = daemon.log();
    assert!(!log.is_empty());
    for secret in [SECRET, PASSWORD, &credential] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let wild = log.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(wild, None, "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("2026-11-20T00:00:00Z")), "{log}");
}

#[test]
fn a_refused_config_names_the_key_but_never_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let config = CONFIG.replace(SECRET, "short-secret").replace("[::1]:0", "nowhere");
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let (code, text) = crate::daemon::refused(directory.path());
    assert_ne!(code, Some(0));
    assert!(text.contains("turnbell.toml:3"), "the line: {text}");
    assert!(text.contains("listen") && text.contains("auth.secrets"), "the keys: {text}");
    assert!(!text.contains("short-secret") && !text.contains(PASSWORD), "{text}");
    assert!(!directory.path().join("state").exists(), "nothing was opened");
}

#[test]
fn a_crash_writes_no_core_dump_that_would_hold_secrets() {
    // Where this process may have core dumps, so may its children, unless they refuse.
    let _ = setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY);
    let daemon = Daemon::start(CONFIG);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<&str> = core.split_ascii_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "{core}");
}
