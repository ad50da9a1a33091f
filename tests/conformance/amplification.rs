//! Amplification (decisions R3, R11): what a spoofed request can make us send to somebody else.

use std::net::SocketAddr;

use turnbell::limits::{AMPLIFICATION_MAX, REALM_BYTES_MAX};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Method};

use crate::support::request::{Credential, Request};
use crate::support::turn::Turn;
use crate::support::{CLIENT, CLIENT_V6};

/// IP and UDP headers.
fn header_bytes(client: SocketAddr) -> usize {
    if client.is_ipv6() { 48 } else { 28 }
}

/// Every kind of request that somebody without a credential can send.
fn unauthenticated(method: Method) -> Vec<Request> {
    let bare = || Request::new(Class::Request, method);
    let nobody = || Credential::new("1899999999:x", "guess");
    let integrity = || bare().raw(AttributeType::MESSAGE_INTEGRITY, &[7; 20]);
    let sha256 = |bytes| bare().raw(AttributeType::MESSAGE_INTEGRITY_SHA256, &vec![7; bytes]);
    let unknown = |count: u16| {
        (0..count).fold(bare(), |request, n| request.raw(AttributeType(0x7000 + n), &[]))
    };
    let mut requests = vec![
        bare(),
        bare().raw(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0]),
        bare().raw(AttributeType::MESSAGE_INTEGRITY, &[]),
        integrity(),
        integrity().raw(AttributeType::USERNAME, &[]),
        sha256(0),
        sha256(32),
        sha256(32).raw(AttributeType::USERHASH, &[]),
        bare().raw(AttributeType::PASSWORD_ALGORITHM, &[]),
        bare().signed_by(nobody()).nonce("x"),
        bare().signed_by(nobody()).by_sha256().nonce("obMatJos2gAAA"),
        bare().signed_by(Credential::new("", "")).hashed().nonce(""),
        bare()
            .raw(AttributeType::PASSWORD_ALGORITHM, &[])
            .signed_by(nobody())
            .nonce("obMatJos2gAAA"),
        bare().signed_by(Credential::new("", "")).nonce(""),
        bare().signed_by(nobody()).without(AttributeType::NONCE).nonce(""),
        bare().raw(AttributeType::USERNAME, &[0xFF; 600]),
    ];
    requests.extend([1, 2, 15, 16, 17, 300].map(unknown));
    let sealed: Vec<Request> = requests.iter().map(|r| r.clone().fingerprint()).collect();
    requests.extend(sealed);
    requests
}

#[test] // decisions R3: at most 3 on the wire, IP and UDP headers counted, for every kind
fn no_unauthenticated_request_is_answered_with_more_than_three_times_its_size() {
    let realm = "r".repeat(REALM_BYTES_MAX);
    let mut worst = 0.0_f64;
    for client in [CLIENT, CLIENT_V6] {
        let mut t = Turn::with(|setup| setup.realm.clone_from(&realm));
        for method in [
            Method::BINDING,
            Method::ALLOCATE,
            Method::REFRESH,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
            Method::CONNECT,
            Method::CONNECTION_BIND,
            Method::SEND,
            Method::DATA,
        ] {
            for request in unauthenticated(method) {
                let told = format!("{request:?}");
                let request = request.encode(turnbell::wire::message::TransactionId([1; 12]), b"");
                let bytes_in = request.len() + header_bytes(client);
                let answers = t.exchange(client, &request);
                assert!(answers.len() <= 1, "one request, one answer at most");
                let bytes_out: usize =
                    answers.iter().map(|answer| answer.len() + header_bytes(client)).sum();
                worst = worst.max(bytes_out as f64 / bytes_in as f64);
                assert!(
                    bytes_out <= AMPLIFICATION_MAX * bytes_in,
                    "{bytes_out} bytes for {bytes_in}: {told}"
                );
            }
        }
        t.check_nothing_left_after_s(0);
    }
    assert!(worst > 1.0, "the test saw answers: {worst}");
}

#[test] // decisions R10, R11: a 401 to a bare header, with the longest realm there may be
fn a_bare_allocate_is_answered_with_two_and_two_thirds_of_its_size() {
    let mut t = Turn::with(|setup| setup.realm = "r".repeat(REALM_BYTES_MAX));
    let bare = Request::new(Class::Request, Method::ALLOCATE);
    let bare = bare.encode(turnbell::wire::message::TransactionId([1; 12]), b"");
    assert_eq!(bare.len(), 20);
    let answers = t.exchange(CLIENT, &bare);
    // Header, ERROR-CODE, REALM, NONCE, PASSWORD-ALGORITHMS.
    assert_eq!(answers[0].len(), 20 + 8 + 28 + 32 + 12);
    assert_eq!((answers[0].len() + 28) * 3, (bare.len() + 28) * 8);
}

#[test] // security.md D2: counted without IP and UDP headers
fn the_shortest_allocate_is_answered_with_three_times_its_bytes() {
    let mut t = Turn::new();
    let request = Request::new(Class::Request, Method::ALLOCATE)
        .raw(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let request = request.encode(turnbell::wire::message::TransactionId([1; 12]), b"");
    let answers = t.exchange(CLIENT, &request);
    assert_eq!((request.len(), answers[0].len()), (28, 3 * 28));
}

#[test] // security.md C6: padding is zeros, whatever was in memory before
fn padding_of_answers_is_zero() {
    for realm in ["a", "ab", "abc", "abcd"] {
        let mut t = Turn::with(|setup| setup.realm = realm.to_owned());
        // Stir the memory that answers could be made from.
        let noise = vec![0x41; 1500];
        for _ in 0..100 {
            assert!(t.exchange(CLIENT, &noise).is_empty());
        }
        let bare = Request::new(Class::Request, Method::ALLOCATE);
        let bare = bare.encode(turnbell::wire::message::TransactionId([1; 12]), b"");
        let answer = t.exchange(CLIENT, &bare).remove(0);
        // ERROR-CODE is 8 bytes long, then REALM.
        assert_eq!(answer[28..32], [0, 0x14, 0, realm.len() as u8]);
        let end = 32 + realm.len();
        assert!(answer[end..end.next_multiple_of(4)].iter().all(|byte| *byte == 0));
    }
}
