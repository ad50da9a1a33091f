//! The codec against the crate `stun`: both build the same and think the same of any bytes.
//!
//! Where they differ, and why ours is right:
//! - `stun` does not look at the first two bits, at lengths that are no multiple of 4, or at bytes
//!   behind the message (RFC 8489 §5, §6.3);
//! - it checks FINGERPRINT only when asked, we while parsing, and only as the last attribute (§14.7);
//! - it returns attributes behind MESSAGE-INTEGRITY (§14.5);
//! - it cannot compute MESSAGE-INTEGRITY-SHA256, which counts above the other (§9.2.4);
//! - it reads type 0x8020, an old draft's number, as XOR-MAPPED-ADDRESS;
//! - it minds the first byte of an address (ignored by §14.1), but not an address too short;
//! - `turn` has the wider channel range of RFC 5766.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use stun::agent::TransactionId as TheirId;
use stun::attributes::{
    ATTR_FINGERPRINT, ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256, AttrType,
};
use stun::fingerprint::FINGERPRINT;
use stun::integrity::MessageIntegrity;
use stun::message::{Message as TheirMessage, MessageType, Setter};
use stun::xoraddr::XorMappedAddress;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::{self, ChannelNumber, ChannelRange};
use turnbell::wire::data_indication;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::message::{Class, Message, Method, TransactionId, message_type};
use turnbell::wire::writer::MessageWriter;

const KEY: &[u8] = b"a key of any length";

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_stun_builds_reads_the_same_here(
        kind in 0_u16..0x4000,
        id in any::<[u8; 12]>(),
        attributes in vec(attribute(), 0..12),
        (signed, fingerprint) in any::<(bool, bool)>(),
    ) {
        let bytes = theirs(kind, id, &attributes, signed, fingerprint);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message_type(message.class(), message.method()), kind);
        prop_assert_eq!(message.transaction_id(), TransactionId(id));
        prop_assert_eq!(message.has_integrity(), signed);
        prop_assert_eq!(message.integrity_matches(KEY), signed);
        prop_assert!(!message.integrity_matches(b"another key"));
        prop_assert_eq!(message.has_fingerprint(), fingerprint);
        let read: Vec<_> = message.attributes().map(|(kind, value)| (kind.0, value.to_vec())).collect();
        // Without a signature FINGERPRINT is one of the attributes.
        let shown = read.len() - usize::from(fingerprint && !signed);
        prop_assert_eq!(&read[..shown], &attributes[..]);
        for (kind, _) in &attributes {
            let first = attributes.iter().find(|(other, _)| other == kind).unwrap();
            prop_assert_eq!(message.attribute(AttributeType(*kind)), Some(&first.1[..]));
        }
    }

    #[test]
    fn what_is_built_here_is_what_stun_builds(
        (class, method) in (class(), method()),
        id in any::<[u8; 12]>(),
        attributes in vec(attribute(), 0..12),
        (signed, fingerprint) in any::<(bool, bool)>(),
    ) {
        let mut writer = MessageWriter::new(class, method, TransactionId(id));
        for (kind, value) in &attributes {
            writer = writer.attribute(AttributeType(*kind), value);
        }
        let bytes = writer.finish(signed.then_some(KEY), fingerprint);
        let kind = message_type(class, method);
        prop_assert_eq!(&bytes, &theirs(kind, id, &attributes, signed, fingerprint));
        // And it reads back as itself.
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!((message.class(), message.method()), (class, method));
        prop_assert_eq!(message.integrity_matches(KEY), signed);
        prop_assert_eq!(message.has_fingerprint(), fingerprint);
    }

    #[test]
    fn damaged_messages_never_panic_and_both_think_the_same_of_them(
        kind in 0_u16..0x4000,
        id in any::<[u8; 12]>(),
        attributes in vec(telling_attribute(), 0..8),
        (signed, fingerprint) in any::<(bool, bool)>(),
        damage in vec(damage(), 0..4),
        (mend_length, mend_fingerprint) in any::<(bool, bool)>(),
        top in prop_oneof![9 => Just(0_u8), 1 => 0..4_u8],
    ) {
        let mut bytes = theirs(kind, id, &attributes, signed, fingerprint);
        for damage in damage {
            apply(damage, &mut bytes);
        }
        if mend_length && bytes.len() >= 20 {
            let length = u16::try_from(bytes.len() - 20).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        if mend_fingerprint && fingerprint && bytes.len() >= 28 {
            let end = bytes.len();
            let crc = stun::fingerprint::fingerprint_value(&bytes[..end - 8]);
            bytes[end - 4..].copy_from_slice(&crc.to_be_bytes());
        }
        if let Some(first) = bytes.first_mut() {
            *first |= top << 6;
        }
        compare(&bytes)?;
    }

    #[test]
    fn bytes_from_nowhere_never_panic_and_both_think_the_same_of_them(
        mut bytes in vec(any::<u8>(), 0..200),
        (cookie, length) in any::<(bool, bool)>(),
    ) {
        if cookie && bytes.len() >= 8 {
            bytes[0] &= 0x3F;
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        }
        if length && bytes.len() >= 20 {
            bytes.truncate(bytes.len() & !3);
            let length = u16::try_from(bytes.len() - 20).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        compare(&bytes)?;
    }

    #[test]
    fn addresses_encode_as_stun_encodes_them_and_come_back(
        peer in address(),
        id in any::<[u8; 12]>(),
    ) {
        let mut message = message_of_theirs(0x0101, id);
        let address = XorMappedAddress { ip: peer.ip(), port: peer.port() };
        address.add_to_as(&mut message, AttrType(0x0012)).unwrap();
        let id = TransactionId(id);
        let ours = XorAddress::encode(peer, &id);
        prop_assert_eq!(ours.as_bytes(), &message.attributes.0[0].value[..]);
        prop_assert_eq!(XorAddress::decode(ours.as_bytes(), &id), Some(peer));
    }

    #[test]
    fn data_indications_written_in_place_are_what_stun_builds(
        peer in address(),
        id in any::<[u8; 12]>(),
        data in vec(any::<u8>(), 0..1500),
    ) {
        let start = 48;
        let mut buffer = vec![0xAA; start + data.len() + 4];
        let at = start..start + data.len();
        buffer[at.clone()].copy_from_slice(&data);
        let whole = data_indication::write(&mut buffer, at, peer, TransactionId(id)).unwrap();
        let mut message = message_of_theirs(0x0017, id);
        let address = XorMappedAddress { ip: peer.ip(), port: peer.port() };
        address.add_to_as(&mut message, AttrType(0x0012)).unwrap();
        message.add(AttrType(0x0013), &data);
        prop_assert_eq!(&buffer[whole], &message.raw[..]);
    }

    #[test]
    fn channel_data_of_turn_reads_here_and_ours_there(
        number in 0x4000_u16..=0x4FFF,
        data in vec(any::<u8>(), 0..1500),
    ) {
        let mut theirs = turn::proto::chandata::ChannelData {
            data: data.clone(),
            number: turn::proto::channum::ChannelNumber(number),
            raw: Vec::new(),
        };
        theirs.encode();
        let ours = ChannelNumber::new(number, ChannelRange::Rfc8656).unwrap();
        let header = channel_data::header(ours, u16::try_from(data.len()).unwrap());
        let unpadded = [&header[..], &data].concat();
        prop_assert_eq!(&theirs.raw[..unpadded.len()], &unpadded[..]);
        for bytes in [&theirs.raw, &unpadded] {
            let (found, range) = channel_data::parse(bytes, ChannelRange::Rfc8656).unwrap();
            prop_assert_eq!((found, &bytes[range]), (ours, &data[..]));
        }
        theirs.raw = unpadded;
        theirs.data.clear();
        prop_assert!(theirs.decode().is_ok() && theirs.data == data);
    }

    #[test]
    fn channel_data_is_told_from_other_bytes_as_turn_does_it(
        (high, low) in (0x30_u8..0x60, any::<u8>()),
        claimed in 0_u16..40,
        data in vec(any::<u8>(), 0..40),
        cut in 0_usize..8,
    ) {
        let [l0, l1] = claimed.to_be_bytes();
        let mut bytes = [&[high, low, l0, l1], &data[..]].concat();
        bytes.truncate(bytes.len().saturating_sub(cut));
        let mut theirs = turn::proto::chandata::ChannelData { raw: bytes.clone(), ..Default::default() };
        let theirs_reads = theirs.decode().is_ok() && theirs.number.0 <= 0x4FFF;
        let read = channel_data::parse(&bytes, ChannelRange::Rfc8656);
        prop_assert_eq!(read.is_some(), theirs_reads);
        if let Some((number, range)) = read {
            prop_assert_eq!((number.number(), &bytes[range]), (theirs.number.0, &theirs.data[..]));
            prop_assert!(channel_data::is_channel_data(&bytes, ChannelRange::Rfc8656));
        }
        if channel_data::is_channel_data(&bytes, ChannelRange::Rfc8656) {
            prop_assert!(Message::parse(&bytes).is_err(), "nothing is both");
        }
    }
}

/// Holds every answer of our reader against theirs.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let _ = channel_data::parse(bytes, ChannelRange::Rfc8656);
    let mut theirs = TheirMessage::new();
    let theirs_reads = theirs.unmarshal_binary(bytes).is_ok();
    let ours = Message::parse(bytes);
    prop_assert_eq!(ours.is_ok(), theirs_reads && is_strictly_framed(&theirs), "{:?}", ours);
    let Ok(ours) = ours else { return Ok(()) };
    prop_assert_eq!(message_type(ours.class(), ours.method()), theirs.typ.value());
    prop_assert_eq!(ours.transaction_id().0, theirs.transaction_id.0);
    let has_sha256 = theirs.contains(ATTR_MESSAGE_INTEGRITY_SHA256);
    let has_integrity = has_sha256 || theirs.contains(ATTR_MESSAGE_INTEGRITY);
    prop_assert_eq!(ours.has_integrity(), has_integrity);
    prop_assert_eq!(ours.has_fingerprint(), theirs.contains(ATTR_FINGERPRINT));
    for key in [KEY, b""] {
        // No right MESSAGE-INTEGRITY-SHA256 comes up by chance, and a wrong one decides.
        let theirs_matches =
            !has_sha256 && MessageIntegrity(key.to_vec()).check(&mut theirs).is_ok();
        prop_assert_eq!(ours.integrity_matches(key), theirs_matches);
    }
    let protected: Vec<_> = theirs
        .attributes
        .0
        .iter()
        .take_while(|attribute| {
            ![ATTR_MESSAGE_INTEGRITY, ATTR_MESSAGE_INTEGRITY_SHA256].contains(&attribute.typ)
        })
        .map(|attribute| (attribute.typ.0, &attribute.value[..]))
        .collect();
    let read: Vec<_> = ours
        .attributes()
        .map(|(kind, value)| (if kind.0 == 0x8020 { 0x0020 } else { kind.0 }, value))
        .collect();
    prop_assert_eq!(&read, &protected);
    let unknown = ours.unknown_required().count();
    prop_assert!(unknown <= read.iter().filter(|(kind, _)| *kind < 0x8000).count());
    for (_, value) in ours.attributes() {
        compare_address(value, ours.transaction_id())?;
        compare_error_code(value)?;
    }
    Ok(())
}

/// What `stun` lets pass and RFC 8489 does not.
fn is_strictly_framed(theirs: &TheirMessage) -> bool {
    let attributes = &theirs.attributes.0;
    let fingerprint = attributes.iter().position(|found| found.typ == ATTR_FINGERPRINT);
    let fingerprint_right = match fingerprint {
        None => true,
        Some(at) => at + 1 == attributes.len() && FINGERPRINT.check(theirs).is_ok(),
    };
    theirs.raw[0] & 0xC0 == 0
        && theirs.length.is_multiple_of(4)
        && theirs.raw.len() == theirs.length as usize + 20
        && fingerprint_right
}

fn compare_address(value: &[u8], id: TransactionId) -> Result<(), TestCaseError> {
    let mut message = message_of_theirs(0x0101, id.0);
    let mut first_byte_zero = value.to_vec();
    if let Some(first) = first_byte_zero.first_mut() {
        *first = 0;
    }
    message.add(AttrType(0x0012), &first_byte_zero);
    let mut theirs = XorMappedAddress::default();
    let theirs_reads = theirs.get_from_as(&message, AttrType(0x0012)).is_ok()
        && matches!((value[1], value.len()), (1, 8) | (2, 20));
    let ours = XorAddress::decode(value, &id);
    let expected = theirs_reads.then(|| SocketAddr::new(theirs.ip, theirs.port));
    prop_assert_eq!(ours, expected, "{:02x?}", value);
    Ok(())
}

fn compare_error_code(value: &[u8]) -> Result<(), TestCaseError> {
    let ours = ErrorCode::from_value(value).map(ErrorCode::number);
    // 21 reserved bits, 3 bits of class, the number below 100 (RFC 8489 §14.8).
    let expected = match value {
        [_, _, class, number, ..] if (3..=6).contains(&(class & 7)) && *number < 100 => {
            Some(u16::from(class & 7) * 100 + u16::from(*number))
        }
        _ => None,
    };
    prop_assert_eq!(ours, expected);
    Ok(())
}

/// A whole message as `stun` builds it.
fn theirs(
    kind: u16,
    id: [u8; 12],
    attributes: &[(u16, Vec<u8>)],
    signed: bool,
    fingerprint: bool,
) -> Vec<u8> {
    let mut message = message_of_theirs(kind, id);
    for (kind, value) in attributes {
        message.add(AttrType(*kind), value);
    }
    if signed {
        MessageIntegrity(KEY.to_vec()).add_to(&mut message).unwrap();
    }
    if fingerprint {
        FINGERPRINT.add_to(&mut message).unwrap();
    }
    message.raw
}

fn message_of_theirs(kind: u16, id: [u8; 12]) -> TheirMessage {
    let mut typ = MessageType::default();
    typ.read_value(kind);
    let mut message = TheirMessage::new();
    message.typ = typ;
    message.transaction_id = TheirId(id);
    message.write_header();
    message
}

type Damage = (u8, prop::sample::Index, u8);

fn damage() -> impl Strategy<Value = Damage> {
    (0..6_u8, any::<prop::sample::Index>(), any::<u8>())
}

/// Does to bytes what may happen to them on their way.
fn apply((what, at, with): Damage, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    let words = at & !3..(at + 4 * usize::from(with % 8)).min(bytes.len()).max(at & !3);
    match what {
        0 => bytes[at] ^= 1 << (with % 8),
        1 => bytes[at] = with,
        2 => bytes.truncate(at),
        3 => bytes.extend_from_slice(&vec![with; usize::from(with % 12)]),
        4 => drop(bytes.drain(words)),
        _ => {
            let again = bytes[words.clone()].to_vec();
            bytes.splice(words.end..words.end, again);
        }
    }
}

// Any type but the two that `signed` and `fingerprint` add.
fn attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let kind = prop_oneof![0_u16..0x30, 0x8020_u16..0x8030, any::<u16>()];
    let kind = kind.prop_filter("added apart", |kind| ![0x0008, 0x001C, 0x8028].contains(kind));
    (kind, vec(any::<u8>(), 0..70))
}

// Types and values that mean something, and misplaced ones.
fn telling_attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    prop_oneof![
        4 => attribute(),
        1 => vec(any::<u8>(), 20).prop_map(|value| (0x0008, value)),
        1 => vec(any::<u8>(), 0..40).prop_map(|value| (0x001C, value)),
        1 => vec(any::<u8>(), 4).prop_map(|value| (0x0009, value)),
        1 => (0..4_u8, vec(any::<u8>(), 2..22))
            .prop_map(|(family, rest)| (0x0012, [&[0, family], &rest[..]].concat())),
        1 => (any::<u8>(), 1..=2_u8, vec(any::<u8>(), 18)).prop_map(|(zero, family, rest)| {
            let rest = if family == 1 { &rest[..6] } else { &rest[..] };
            (0x0012, [&[zero, family], rest].concat())
        }),
    ]
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|ip| IpAddr::from(Ipv4Addr::from(ip))),
        any::<u128>().prop_map(|ip| IpAddr::from(Ipv6Addr::from(ip))),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(
        &[Class::Request, Class::Indication, Class::SuccessResponse, Class::ErrorResponse][..],
    )
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(
        &[
            Method::BINDING,
            Method::ALLOCATE,
            Method::REFRESH,
            Method::SEND,
            Method::DATA,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
            Method::CONNECT,
            Method::CONNECTION_BIND,
        ][..],
    )
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) }
}
