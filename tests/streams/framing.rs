//! Where messages begin and end: any split, any number in one segment, garbage, lengths that lie.

use turnbell::wire::message::TransactionId;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually};
use crate::stream_client::{StreamClient, binding, new_id};
use crate::turn_client::TurnClient;

#[test] // security.md C11
fn a_message_split_at_every_byte_is_answered_once_and_in_order() {
    let daemon = Daemon::start(CONFIG);
    let mut client = StreamClient::connect(daemon.tcp());
    let first = binding(new_id());
    for cut in 1..first.len() {
        let id = new_id();
        let bytes = binding(id);
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        let answer = client.next().unwrap();
        assert_eq!((&answer[..2], &answer[8..20]), (&[1, 1][..], &id.0[..]), "cut at {cut}");
    }
}

#[test] // security.md C11
fn a_request_byte_by_byte_is_a_request() {
    let daemon = Daemon::start(CONFIG);
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    let (id, bytes) = client.request(turnbell::wire::message::Method::REFRESH, |writer| writer);
    for byte in &bytes {
        client.send(&[*byte]);
    }
    assert_eq!(client.answer(id)[..2], [1, 4]);
}

#[test] // security.md C11
fn a_thousand_messages_in_one_segment_are_answered_in_order() {
    let daemon = Daemon::start(CONFIG);
    let mut client = StreamClient::connect(daemon.tcp());
    let ids: Vec<TransactionId> = (0..1000).map(|_| new_id()).collect();
    let all: Vec<u8> = ids.iter().flat_map(|id| binding(*id)).collect();
    client.send(&all);
    for id in &ids {
        assert_eq!(client.next().unwrap()[8..20], id.0);
    }
}

#[test]
fn what_begins_no_message_closes_the_connection_without_an_answer() {
    let daemon = Daemon::start(CONFIG);
    let good = binding(new_id());
    let wrong_cookie = [&good[..4], &[0x21, 0x12, 0xA4, 0x43], &good[8..]].concat();
    let odd_length = [&good[..2], &[0, 3], &good[4..], b"abc"].concat();
    // security.md C3: a length that wraps 16 bits, with messages inside that must not be heard.
    let inside: Vec<u8> = (0..10).flat_map(|_| binding(new_id())).collect();
    let wraps = [&good[..2], &[0xFF, 0xFC], &good[4..], &inside].concat();
    let client_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 64]].concat();
    for (name, bytes) in [
        ("a wrong cookie", &wrong_cookie[..]),
        ("a length of 3", &odd_length),
        ("a length that wraps", &wraps),
        ("TLS on the plain port", &client_hello),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("ChannelData at the beginning", &[0x40, 0, 0, 4, 1, 2, 3, 4]),
        ("random bytes", &[0xC3; 100]),
        // security.md C4
        ("what is below the channels and above STUN", &[0x3F, 0xFF, 0, 0]),
    ] {
        let mut client = StreamClient::connect(daemon.tcp());
        client.send(bytes);
        client.check_closed_in_silence();
        // The same behind a good message: that one is answered, nothing behind it.
        if bytes[0] < 0x40 || bytes[0] >= 0x80 {
            let mut client = StreamClient::connect(daemon.tcp());
            let id = new_id();
            client.send(&[&binding(id), bytes].concat());
            assert_eq!(client.next().unwrap()[8..20], id.0, "{name}");
            client.check_closed_in_silence();
        }
    }
}

#[test] // security.md C4
fn channel_data_that_is_none_closes_the_connection_and_unbound_channels_do_not() {
    let daemon = Daemon::start(CONFIG);
    for bytes in [&[0x3F, 0xFF, 0, 0][..], &[0x50, 0, 0, 4, 0xAA, 0xAA, 0xAA, 0xAA], &[0xFF; 4]] {
        let mut client = StreamClient::connect(daemon.tcp());
        client.binding();
        client.send(bytes);
        if bytes[0] < 0x40 {
            // It may be the type of a STUN message; the cookie tells.
            client.send(&[0; 4]);
        }
        client.check_closed_in_silence();
    }
    let mut client = StreamClient::connect(daemon.tcp());
    client.binding();
    client.send(&[0x40, 0, 0, 0]);
    client.send(&[0x40, 0, 0, 1, b'x', 0, 0, 0]);
    assert_eq!(client.binding(), client.local());
}

#[test]
fn a_long_beginning_without_an_allocation_closes_the_connection() {
    let daemon = Daemon::start(CONFIG);
    // 4 KiB of an unfinished message are kept for anybody, not one byte more.
    let long = |extra: usize| [&[0x40, 0, 0x80, 0][..], &vec![7; 4092 + extra]].concat();
    let mut client = StreamClient::connect(daemon.tcp());
    client.binding();
    client.send(&long(0));
    let rest = vec![7; 0x8000 - 4092];
    client.send(&rest[..1]);
    client.check_closed_in_silence();
    // With one it is a frame as any other, for a channel that is not bound.
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    client.send(&long(1));
    client.send(&rest[1..]);
    assert_eq!(client.binding(), client.local());
}

#[test]
fn a_connection_that_closes_in_the_middle_of_a_frame_ends_its_allocation_at_once() {
    let daemon = Daemon::start(CONFIG);
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    let (_, bytes) = client.request(turnbell::wire::message::Method::REFRESH, |writer| writer);
    client.send(&bytes[..bytes.len() / 2]);
    drop(client);
    let rows = daemon.wait_for_rows(|rows| rows.iter().any(|row| row.end_reason.is_some()));
    assert_eq!(rows[0].end_reason.as_deref(), Some("disconnected"));
    assert_eq!(allocations(&daemon), Some(0));
}

#[test]
fn a_connection_that_closes_before_it_was_answered_leaves_nothing() {
    let daemon = Daemon::start(CONFIG);
    for _ in 0..50 {
        let mut client = StreamClient::connect(daemon.tcp());
        client.send(&binding(new_id()));
    }
    let mut client = StreamClient::connect(daemon.tcp());
    assert_eq!(client.binding(), client.local());
    // UDP goes on.
    assert!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).is_ok());
    assert!(eventually(|| (allocations(&daemon) == Some(1)).then_some(())).is_some());
}

/// Live allocations, as `/healthz` counts them.
fn allocations(daemon: &Daemon) -> Option<u64> {
    daemon.get("/healthz").1["relay"]["allocations"].as_u64()
}
