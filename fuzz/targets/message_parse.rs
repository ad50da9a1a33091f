//! Any bytes as a STUN message: parsing, every accessor, and writing what was read once more.

use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::message::{
    Class, HEADER_BYTES, MAGIC_COOKIE, Message, ParseError, message_type,
};
use turnbell::wire::writer::MessageWriter;

use super::repair::repaired;

const KEYS: [&[u8]; 3] =
    [b"", b"sixteen bytes...", b"a key that is longer than a block of either hash function"];

/// One execution: the bytes as they are, and repaired.
pub(crate) fn run(data: &[u8]) {
    check(data);
    check(&repaired(data));
}

fn check(bytes: &[u8]) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => return check_refusal(bytes, error),
    };
    assert!(bytes.len() >= HEADER_BYTES && bytes.len().is_multiple_of(4));
    let kind = message_type(message.class(), message.method());
    assert_eq!(kind.to_be_bytes(), bytes[..2], "class and method are all there is in a type");
    assert_eq!(message.transaction_id().0, bytes[8..20]);
    check_attributes(&message, bytes);
    let has_integrity = message.has_integrity();
    assert!(has_integrity || !message.has_integrity_sha256());
    for key in KEYS {
        assert!(has_integrity || !message.integrity_matches(key));
    }
    check_values(&message);
    // Behind the attributes come two integrities and a FINGERPRINT at the most.
    if bytes.len() < 60_000 {
        check_round_trip(&message);
    }
}

/// Why it was refused, found out in another way.
fn check_refusal(bytes: &[u8], error: ParseError) {
    let is_stun = bytes.len() >= HEADER_BYTES && bytes[0] & 0xC0 == 0;
    assert_eq!(error == ParseError::NotStun, !is_stun);
    if !is_stun {
        return;
    }
    let has_cookie = bytes[4..8] == MAGIC_COOKIE.to_be_bytes();
    assert_eq!(error == ParseError::NoCookie, !has_cookie);
    let length = usize::from(bytes[2]) << 8 | usize::from(bytes[3]);
    let is_sound = length % 4 == 0 && HEADER_BYTES + length == bytes.len();
    if has_cookie {
        assert_eq!(error == ParseError::Length, !is_sound);
    }
}

fn check_attributes(message: &Message<'_>, bytes: &[u8]) {
    let (mut at, mut seen) = (HEADER_BYTES, Vec::new());
    for (kind, value) in message.attributes() {
        assert_eq!(bytes[at..at + 2], kind.0.to_be_bytes());
        assert_eq!(bytes[at + 2..at + 4], (value.len() as u16).to_be_bytes());
        assert_eq!(&bytes[at + 4..at + 4 + value.len()], value);
        assert!(kind != AttributeType::MESSAGE_INTEGRITY, "nothing is read from there on");
        assert!(kind != AttributeType::MESSAGE_INTEGRITY_SHA256, "nothing is read from there on");
        if !seen.contains(&kind) {
            let range = at + 4..at + 4 + value.len();
            assert_eq!(message.range_of(kind), Some(range), "the first one counts");
            assert_eq!(message.attribute(kind), Some(value), "the first one counts");
            seen.push(kind);
        }
        at += 4 + value.len().next_multiple_of(4);
    }
    assert!(at <= bytes.len());
    if at < bytes.len() {
        let kind = [bytes[at], bytes[at + 1]];
        assert!(kind == [0x00, 0x08] || kind == [0x00, 0x1C], "only an integrity ends it early");
    }
    let absent = AttributeType(0x7FFE);
    assert_eq!(message.attribute(absent).is_some(), seen.contains(&absent));
    let unknown = message.unknown_required();
    let expected = message.attributes().map(|(kind, _)| kind);
    assert!(unknown.eq(expected.filter(|kind| kind.is_unknown_and_required())));
}

fn check_values(message: &Message<'_>) {
    let id = message.transaction_id();
    for (kind, value) in message.attributes() {
        let is_refused = kind.is_unknown_and_required();
        assert!(kind.is_comprehension_required() || !is_refused);
        assert!(kind.name().is_some() || is_refused == kind.is_comprehension_required());
        if let Some(address) = XorAddress::decode(value, &id) {
            let again = XorAddress::encode(address, &id);
            assert_eq!(again.as_bytes()[1..], value[1..], "the first byte is reserved");
            assert_eq!(XorAddress::decode(again.as_bytes(), &id), Some(address));
        }
        if let Some(code) = ErrorCode::from_value(value) {
            assert!((300..700).contains(&code.number()));
            assert_eq!(ErrorCode::from_value(&code.to_value()), Some(code));
        }
    }
}

fn check_round_trip(message: &Message<'_>) {
    let is_kept = |kind: AttributeType| kind != AttributeType::FINGERPRINT;
    let attributes = || message.attributes().filter(|(kind, _)| is_kept(*kind)).collect::<Vec<_>>();
    let (class, id) = (message.class(), message.transaction_id());
    let start = || {
        let start = MessageWriter::new(class, message.method(), id);
        attributes().into_iter().fold(start, |writer, (kind, value)| writer.attribute(kind, value))
    };
    let fingerprint = class == Class::Request;
    let written = [
        (start().finish(None, fingerprint), false, false),
        (start().finish(Some(KEYS[1]), fingerprint), true, false),
        (start().integrity_sha256(KEYS[1]).finish(None, fingerprint), true, true),
        (
            start().integrity(KEYS[2]).integrity_sha256(KEYS[1]).finish(None, fingerprint),
            true,
            true,
        ),
    ];
    for (bytes, is_signed, by_sha256) in &written {
        let again = Message::parse(bytes).expect("what is written can be read");
        assert_eq!((again.class(), again.method()), (class, message.method()));
        assert_eq!(again.transaction_id(), id);
        assert_eq!(again.has_fingerprint(), fingerprint);
        assert!(again.attributes().filter(|(kind, _)| is_kept(*kind)).eq(attributes()));
        assert_eq!(again.has_integrity(), *is_signed);
        assert_eq!(again.has_integrity_sha256(), *by_sha256);
        // SHA-256 alone decides where it is there: the other one was made with another key.
        assert_eq!(again.integrity_matches(KEYS[1]), *is_signed);
        assert!(!again.integrity_matches(KEYS[2]));
    }
}
