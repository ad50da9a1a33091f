//! What hostile clients send (security.md G1 to G5, read through P10).

use std::net::SocketAddr;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::daemon::{CONFIG, Daemon};
use crate::page::{Page, daemon};
use crate::raw_socket::{self, UPGRADE};

/// Status of an upgrade with these headers.
fn upgrade(http: SocketAddr, headers: &[&str]) -> (u16, String) {
    let (head, _) = raw_socket::upgrade(http, &http.to_string(), headers);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

#[test] // RFC 6455 §1.3, security.md G3
fn an_upgrade_is_answered_as_the_rfc_says_and_without_compression() {
    let daemon = daemon();
    let offers = ["Sec-WebSocket-Extensions: permessage-deflate"];
    let (status, head) = upgrade(daemon.http(), &[&UPGRADE[..], &offers].concat());
    let head = head.to_ascii_lowercase();
    assert_eq!(status, 101, "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(head.contains("sec-websocket-protocol: turnbell.v1"), "{head}");
    assert!(!head.contains("extensions"), "{head}");
}

#[test]
fn what_is_no_upgrade_of_ours_is_refused_with_the_cure() {
    let daemon = daemon();
    let without = |n: usize| {
        let mut headers = UPGRADE.to_vec();
        headers.remove(n);
        upgrade(daemon.http(), &headers)
    };
    for n in [0, 1] {
        let (status, head) = without(n);
        assert_eq!(status, 426, "{head}");
    }
    for n in [2, 3, 4] {
        assert_eq!(without(n).0, 400, "{}", UPGRADE[n]);
    }
    let twice = ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    assert_eq!(upgrade(daemon.http(), &[&UPGRADE[..], &twice].concat()).0, 400);
}

#[test] // security.md G1, P10
fn pages_of_foreign_origins_are_refused_before_the_upgrade() {
    let daemon = daemon();
    let with = |origins: &[&str]| upgrade(daemon.http(), &[&UPGRADE[..], origins].concat()).0;
    let own = format!("Origin: http://{}", daemon.http());
    assert_eq!(with(&[&own]), 101);
    assert_eq!(with(&["Origin: http://localhost:3000"]), 101);
    for foreign in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: ",
        "Origin: https://127.0.0.1.evil.com",
    ] {
        assert_eq!(with(&[foreign]), 403, "{foreign}");
    }
    assert_eq!(with(&[&own, &own]), 403);
    // Where pages of others are listed, only those.
    let listed = r#"http.cors_origins = ["https://app.example"]"#;
    let daemon = Daemon::start(&format!("{CONFIG}{listed}\n"));
    let with = |origins: &[&str]| upgrade(daemon.http(), &[&UPGRADE[..], origins].concat()).0;
    assert_eq!(with(&["Origin: https://app.example"]), 101);
    assert_eq!(with(&[]), 101, "no browser");
    for foreign in [
        "Origin: https://app.example.evil.com",
        "Origin: https://evil.example/https://app.example",
        "Origin: http://app.example",
        "Origin: https://app.example:8443",
        "Origin: null",
    ] {
        assert_eq!(with(&[foreign]), 403, "{foreign}");
    }
}

#[test] // security.md G4
fn frames_that_are_too_big_binary_or_no_json_close_with_their_codes() {
    let daemon = daemon();
    let code_after = |message: Message| {
        let mut page = Page::guest(&daemon, "Mallory");
        // The server may close while this is still being written.
        let _ = page.raw().send(message);
        page.closed()
    };
    assert_eq!(code_after(Message::text("{")), Some(4010));
    assert_eq!(code_after(Message::binary(vec![1, 2])), Some(4010));
    let padded = |n: usize| format!(r#"{{"t":"ping","id":"1","d":{{"x":"{}"}}}}"#, "x".repeat(n));
    assert_eq!(code_after(Message::text(padded(64 * 1024))), Some(4011));
    let mut fits = Page::guest(&daemon, "Alice");
    fits.raw().send(Message::text(padded(64 * 1024 - 100))).unwrap();
    assert!(fits.answer_to("1").is_ok());
    let bytes = vec![b'"', 0xff, 0xfe];
    let text = Frame::message(bytes, OpCode::Data(Data::Text), true);
    assert_eq!(code_after(Message::Frame(text)), Some(1007));
}

#[test] // security.md G5
fn a_flooder_is_told_so_and_then_closed_and_others_go_on() {
    let daemon = daemon();
    let mut bystander = Page::guest(&daemon, "Alice");
    let mut flooder = Page::guest(&daemon, "Mallory");
    let ping = |n: u32| json!({"t": "ping", "id": format!("f{n}")}).to_string();
    // More than the burst, less than what may wait for a slow reader.
    for n in 0..400 {
        flooder.raw().send(Message::text(ping(n))).unwrap();
    }
    let over = (0..400).filter(|n| match flooder.answer_to(&format!("f{n}")) {
        Ok(_) => false,
        Err(error) => error["code"] == "rate_limited" && error["retry_after_ms"].is_u64(),
    });
    assert!((100..=300).contains(&over.count()), "100 at once and 50 a second pass");
    bystander.ask("ping", json!({})).unwrap();
    let closed = (400..u32::MAX).any(|n| flooder.raw().send(Message::text(ping(n))).is_err());
    assert!(closed, "it goes on for ever");
    assert!(matches!(flooder.closed(), Some(4029 | 4013) | None));
    bystander.ask("ping", json!({})).unwrap();
}
