//! What hostile clients send (security.md G1 to G5, read through P10).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::page::{Page, daemon};

/// Status of an upgrade with these headers.
fn upgrade(http: SocketAddr, headers: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(stream, "GET /v1/ws HTTP/1.1\r\nHost: {http}\r\n{more}\r\n").unwrap();
    let mut answer = [0; 4096];
    let mut length = 0;
    while !answer[..length].windows(4).any(|w| w == b"\r\n\r\n") {
        let read = stream.read(&mut answer[length..]).unwrap();
        assert!(read > 0, "the connection ended");
        length += read;
    }
    let head = String::from_utf8_lossy(&answer[..length]).into_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

const UPGRADE: [&str; 5] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: chat, turnbell.v1",
];

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
