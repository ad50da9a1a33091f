//! USERHASH against the real binary: what it handed out it recognises, whoever asked for it.

use std::net::UdpSocket;

use turnbell::auth::credential::{User, issue};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::UserHash;
use turnbell::time::Now;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{CONFIG, Daemon, PASSWORD, SECRET, USER};
use crate::turn_client::{exchange, first_allocate};

/// An Allocate by USERHASH and SHA-256; the ERROR-CODE of its refusal.
fn allocate(daemon: &Daemon, username: &str, password: &str) -> Result<(), Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let answer = exchange(&socket, daemon.udp(), &first_allocate(daemon.udp()));
    let challenge = Message::parse(&answer).unwrap();
    let text = |kind| challenge.attribute(kind).unwrap();
    let realm = text(AttributeType::REALM);
    let algorithm = PasswordAlgorithm::Sha256;
    let key = LongTermKey::derive(algorithm, username.as_bytes(), realm, password.as_bytes());
    let hash = UserHash::of(username.as_bytes(), realm);
    let bytes = MessageWriter::new(Class::Request, Method::ALLOCATE, TransactionId([5; 12]))
        .u32(AttributeType::REQUESTED_TRANSPORT, 17 << 24)
        .attribute(AttributeType::USERHASH, hash.as_bytes())
        .attribute(AttributeType::REALM, realm)
        .attribute(AttributeType::NONCE, text(AttributeType::NONCE))
        .attribute(AttributeType::PASSWORD_ALGORITHMS, text(AttributeType::PASSWORD_ALGORITHMS))
        .attribute(AttributeType::PASSWORD_ALGORITHM, &algorithm.to_value())
        .integrity_sha256(key.as_bytes())
        .finish(None, true);
    let answer = exchange(&socket, daemon.udp(), &bytes);
    let answer = Message::parse(&answer).unwrap();
    match answer.attribute(AttributeType::ERROR_CODE) {
        Some(code) => Err(code.to_vec()),
        None => {
            assert!(answer.has_integrity_sha256() && answer.integrity_matches(key.as_bytes()));
            Ok(())
        }
    }
}

#[test] // RFC 8489 §14.4
fn names_from_ice_from_the_command_and_from_the_config_are_recognised_by_their_hash() {
    let daemon = Daemon::start(CONFIG);
    let (username, credential) = daemon.issue("bob");
    allocate(&daemon, &username, &credential).unwrap();
    let (code, text, complaint) = daemon.command(&["credential", "--user", "carol"]);
    assert_eq!(code, Some(0), "{complaint}");
    let after = |word| text.lines().find_map(|line| line.strip_prefix(word)).unwrap().trim();
    let carol = after("username");
    allocate(&daemon, carol, after("credential")).unwrap();
    allocate(&daemon, USER, PASSWORD).unwrap();
    assert_eq!(allocate(&daemon, USER, "wonderland-18"), Err(vec![0, 0, 4, 1]));
    // Made by another backend that has the secret: good, but not recognised by a hash.
    let secret = Secret::new(SECRET.to_owned());
    let expires_at = Now::read().unix_s() + 600;
    let theirs = issue(&secret, &User::parse("dave").unwrap(), expires_at);
    let refused = allocate(&daemon, &theirs.username, theirs.credential.expose());
    assert_eq!(refused, Err(vec![0, 0, 4, 1]));

    let rows = daemon.wait_for_rows(|rows| rows.len() == 3);
    let names: Vec<&str> = rows.iter().map(|row| &*row.username).collect();
    assert_eq!(names, [&*username, carol, USER], "the record speaks of names");

    // What was handed out before a reload is known after it, and so is what comes then.
    assert_eq!(daemon.command(&["reload"]).0, Some(0));
    allocate(&daemon, &username, &credential).unwrap();
    let (username, credential) = daemon.issue("erin");
    allocate(&daemon, &username, &credential).unwrap();
}
