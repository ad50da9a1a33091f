//! The codec against bytes that others published: RFC 5769, the number tables of RFC 8489 and
//! RFC 8656, addresses, checksums, ChannelData.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::SocketAddr;

use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::user_hash::UserHash;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::{self, ChannelNumber, ChannelRange};
use turnbell::wire::integrity;
use turnbell::wire::message::{Class, Message, Method, ParseError, TransactionId, message_type};
use turnbell::wire::writer::MessageWriter;

// RFC 5769 §2.1, sample request.
const REQUEST: &str = "
    00010058 2112a442 b7e7a701bc34d686fa87dfae
    80220010 5354554e207465737420636c69656e74
    00240004 6e0001ff
    80290008 932ff9b151263b36
    00060009 6576746a3a68367659202020
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
    80280004 e57a3bcf";
// RFC 5769 §2.2, sample IPv4 response.
const RESPONSE_V4: &str = "
    0101003c 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200008 0001a147e112a643
    00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
    80280004 c07d4c96";
// RFC 5769 §2.3, sample IPv6 response.
const RESPONSE_V6: &str = "
    01010048 2112a442 b7e7a701bc34d686fa87dfae
    8022000b 7465737420766563746f7220
    00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
    80280004 c8fb0b4c";
// RFC 5769 §2.4, sample request with long-term authentication.
const REQUEST_LONG_TERM: &str = "
    00010060 2112a442 78ad3433c6ad72c029da412e
    00060012 e3839ee38388e383aae38383e382afe382b90000
    0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b 6578616d706c652e6f726700
    00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666";

/// The password of §2.1 to §2.3, which is the key of the short-term mechanism.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId =
    TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

#[test] // RFC 5769 §2.1
fn the_sample_request_reads_as_published() {
    let bytes = hex(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(
        message.attributes().collect::<Vec<_>>(),
        [
            (AttributeType::SOFTWARE, &b"STUN test client"[..]),
            (AttributeType(0x0024), &[0x6e, 0x00, 0x01, 0xff]),
            (AttributeType(0x8029), &[0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36]),
            (AttributeType::USERNAME, b"evtj:h6vY"),
        ]
    );
    // ICE's PRIORITY is required and nothing a TURN server understands.
    assert_eq!(message.unknown_required().collect::<Vec<_>>(), [AttributeType(0x0024)]);
    assert!(message.has_integrity() && message.has_fingerprint());
    assert!(message.integrity_matches(PASSWORD));
    assert!(!message.integrity_matches(&PASSWORD[1..]));
    assert!(!message.integrity_matches(b""));
}

#[test] // RFC 5769 §2.2 and §2.3
fn the_sample_responses_of_both_families_read_as_published() {
    for (text, mapped) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let mapped: SocketAddr = mapped.parse().unwrap();
        let bytes = hex(text);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::SuccessResponse, Method::BINDING));
        assert_eq!(message.transaction_id(), ID);
        assert_eq!(message.attribute(AttributeType::SOFTWARE), Some(&b"test vector"[..]));
        let value = message.attribute(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
        assert_eq!(XorAddress::decode(value, &ID), Some(mapped));
        assert_eq!(XorAddress::encode(mapped, &ID).as_bytes(), value);
        assert!(message.has_fingerprint() && message.integrity_matches(PASSWORD));
        assert_eq!(message.unknown_required().count(), 0);
    }
}

#[test] // RFC 5769 §2.4
fn the_sample_request_with_a_long_term_credential_reads_as_published() {
    let bytes = hex(REQUEST_LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    let value = |kind| message.attribute(kind).unwrap();
    let (username, realm) = (value(AttributeType::USERNAME), value(AttributeType::REALM));
    assert_eq!(username, "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes());
    assert_eq!(realm, b"example.org");
    assert_eq!(value(AttributeType::NONCE), b"f//499k954d6OL34oL9FSTvy64sA");
    assert!(!message.has_fingerprint());
    // The password as SASLprep leaves it.
    let key = LongTermKey::derive(PasswordAlgorithm::Md5, username, realm, b"TheMatrIX");
    assert!(message.integrity_matches(key.as_bytes()));
    let other = LongTermKey::derive(PasswordAlgorithm::Md5, username, realm, b"TheMatrIx");
    assert!(!message.integrity_matches(other.as_bytes()));
}

#[test] // RFC 5769 §2.4; its padding is zeros, as ours is
fn the_writer_makes_the_sample_with_a_long_term_credential_byte_by_byte() {
    let username = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes();
    let key = LongTermKey::derive(PasswordAlgorithm::Md5, username, b"example.org", b"TheMatrIX");
    let id = TransactionId(hex("78ad3433c6ad72c029da412e").try_into().unwrap());
    let written = MessageWriter::new(Class::Request, Method::BINDING, id)
        .attribute(AttributeType::USERNAME, username)
        .attribute(AttributeType::NONCE, b"f//499k954d6OL34oL9FSTvy64sA")
        .attribute(AttributeType::REALM, b"example.org")
        .finish(Some(key.as_bytes()), false);
    assert_eq!(written, hex(REQUEST_LONG_TERM));
}

#[test] // RFC 5769 §2.1 to §2.3: the published MAC and CRC over the published bytes
fn integrity_and_fingerprint_are_computed_as_published() {
    for text in [REQUEST, RESPONSE_V4, RESPONSE_V6] {
        let bytes = hex(text);
        let (fingerprint_at, integrity_at) = (bytes.len() - 8, bytes.len() - 8 - 24);
        let mac = integrity::message_integrity(PASSWORD, &bytes, integrity_at);
        assert_eq!(mac, bytes[integrity_at + 4..fingerprint_at]);
        let crc = integrity::fingerprint(&bytes, fingerprint_at).to_be_bytes();
        assert_eq!(crc, bytes[fingerprint_at + 4..]);
    }
}

#[test] // RFC 8489 §14.5 and §14.7
fn no_bit_of_a_signed_message_can_be_turned_unnoticed() {
    let long_term = LongTermKey::derive(
        PasswordAlgorithm::Md5,
        "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes(),
        b"example.org",
        b"TheMatrIX",
    );
    for (text, key) in [
        (REQUEST, PASSWORD),
        (RESPONSE_V4, PASSWORD),
        (RESPONSE_V6, PASSWORD),
        (REQUEST_LONG_TERM, long_term.as_bytes()),
    ] {
        let bytes = hex(text);
        let fingerprint_at = bytes.len() - 8;
        for bit in 0..bytes.len() * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 0x80 >> (bit % 8);
            let Ok(message) = Message::parse(&turned) else { continue };
            // Only the type of FINGERPRINT may be another one: an unknown attribute after the
            // MAC, which is not read.
            let unread = text != REQUEST_LONG_TERM
                && (fingerprint_at..fingerprint_at + 2).contains(&(bit / 8))
                && !message.has_fingerprint();
            assert_eq!(message.integrity_matches(key), unread, "bit {bit} of {text}");
        }
    }
}

/// The request of RFC 8489 §B.1 up to its integrity; header length as given.
fn b1(length: &str, more: &str) -> Vec<u8> {
    hex(&format!(
        "0001{length} 2112a442 78ad3433c6ad72c029da412e
         001e0020 4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704
         00150029 6f624d61744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476793634
         7341000000 0014000b 6578616d706c652e6f726700 {more}"
    ))
}

fn b1_key(algorithm: PasswordAlgorithm) -> LongTermKey {
    LongTermKey::derive(algorithm, "マトリックス".as_bytes(), b"example.org", b"TheMatrIX")
}

#[test] // RFC 8489 §B.1 with its verified erratum 6268
fn the_published_sha_256_request_verifies_and_so_does_what_is_built_like_it() {
    let mac = "b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65";
    let bytes = b1("0090", &format!("001d0004 00020000 001c0020 {mac}"));
    let message = Message::parse(&bytes).unwrap();
    assert!(message.has_integrity() && !message.has_fingerprint());
    let key = b1_key(PasswordAlgorithm::Sha256);
    assert!(message.integrity_matches(key.as_bytes()));
    assert!(!message.integrity_matches(b1_key(PasswordAlgorithm::Md5).as_bytes()));
    let hash = UserHash::of("マトリックス".as_bytes(), b"example.org");
    assert_eq!(message.attribute(AttributeType::USERHASH), Some(&hash.as_bytes()[..]));
    let nonce = message.attribute(AttributeType::NONCE).unwrap();
    assert_eq!(nonce, b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
    let algorithm = message.attribute(AttributeType::PASSWORD_ALGORITHM).unwrap();
    assert_eq!(PasswordAlgorithm::from_value(algorithm), Some(PasswordAlgorithm::Sha256));

    let built = MessageWriter::new(Class::Request, Method::BINDING, message.transaction_id())
        .attribute(AttributeType::USERHASH, hash.as_bytes())
        .attribute(AttributeType::NONCE, nonce)
        .attribute(AttributeType::REALM, b"example.org")
        .attribute(AttributeType::PASSWORD_ALGORITHM, &PasswordAlgorithm::Sha256.to_value())
        .integrity_sha256(key.as_bytes())
        .finish(None, false);
    assert_eq!(built, bytes);
}

#[test] // RFC 8489 §B.1 as printed: the MAC belongs to the printed length, which is 20 too large
fn the_sha_256_request_as_printed_has_its_mac_over_a_length_that_is_not_its_own() {
    let mac = hex("e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01");
    let (bytes, key) = (b1("009c", ""), b1_key(PasswordAlgorithm::Sha256));
    // The length field is patched to `at + 4 + value_bytes - 20`.
    let value_bytes = 0x9c + 20 - 4 - bytes.len();
    let made =
        integrity::message_integrity_sha256(key.as_bytes(), &bytes, bytes.len(), value_bytes);
    assert_eq!(made[..], mac);
    let whole = [&bytes[..], &hex("001c0020"), &mac].concat();
    assert_eq!(Message::parse(&whole).unwrap_err(), ParseError::Length);
}

#[test] // RFC 8489 §9: what stands between the two integrities, or behind one of them, is not read
fn only_a_fingerprint_and_the_stronger_integrity_are_read_behind_an_integrity() {
    let key = b"key";
    let writer = || {
        MessageWriter::new(Class::Request, Method::REFRESH, TransactionId([9; 12]))
            .attribute(AttributeType::USERNAME, b"user")
    };
    let plain = writer().finish(None, false);
    let sha1 = integrity::message_integrity(key, &plain, plain.len());
    let late = |writer: MessageWriter| writer.u32(AttributeType::LIFETIME, 0);
    let sha1 = |writer: MessageWriter| writer.attribute(AttributeType::MESSAGE_INTEGRITY, &sha1);
    for (writer, verifies) in [
        (late(writer().integrity_sha256(key)), true),
        (late(sha1(writer())).integrity_sha256(key), true),
        (late(sha1(writer()).integrity_sha256(key)), true),
        (late(sha1(writer().integrity_sha256(key))), true),
        (late(writer().integrity_sha256(key)).integrity_sha256(b"other"), true),
        (late(sha1(writer())), true),
        (late(sha1(writer())).integrity_sha256(b"other"), false),
        (sha1(late(writer().integrity_sha256(b"other"))), false),
    ] {
        for fingerprint in [false, true] {
            let bytes = writer.clone().finish(None, fingerprint);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.integrity_matches(key), verifies);
            assert!(message.has_integrity());
            let read: Vec<_> = message.attributes().collect();
            assert_eq!(read, [(AttributeType::USERNAME, &b"user"[..])]);
        }
    }
}

#[test] // RFC 8489 §14.2
fn addresses_of_both_families_lie_on_the_wire_as_published() {
    // Transaction id 00..0b, whole attributes.
    let id = TransactionId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    for (address, attribute) in [
        ("10.0.0.5:22", "00120008 000121042b12a447"),
        ("127.0.0.1:80", "00120008 000121425e12a443"),
        ("169.254.169.254:80", "00120008 0001214288ec0dbc"),
        ("224.0.0.251:5353", "00120008 000135fbc112a4b9"),
        ("255.255.255.255:9", "00120008 0001211bdeed5bbd"),
        ("0.0.0.0:80", "00120008 000121422112a442"),
        ("[::]:80", "00120014 000221422112a442000102030405060708090a0b"),
        ("[::1]:80", "00120014 000221422112a442000102030405060708090a0a"),
        ("[::127.0.0.1]:80", "00120014 000221422112a442000102030405060777090a0a"),
        ("[::ffff:127.0.0.1]:80", "00120014 000221422112a442000102030405f9f877090a0a"),
        ("[::ffff:0:127.0.0.1]:80", "00120014 000221422112a44200010203fbfa060777090a0a"),
        ("[2002:7f00:1::]:80", "00120014 000221420110db42000002030405060708090a0b"),
        ("[64:ff9b::7f00:1]:80", "00120014 0002214221765bd9000102030405060777090a0a"),
        ("[64:ff9b:1::7f00:1]:80", "00120014 0002214221765bd9000002030405060777090a0a"),
        (
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]:80",
            "00120014 000221420113a4424137e17b840565b888f6f5f5",
        ),
        ("[fe80::1]:80", "00120014 00022142df92a442000102030405060708090a0a"),
        ("[fd00:ec2::254]:80", "00120014 00022142dc12aa8000010203040506070809085f"),
        ("[ff02::1]:80", "00120014 00022142de10a442000102030405060708090a0a"),
    ] {
        let socket: SocketAddr = address.parse().unwrap();
        let wire = hex(attribute);
        assert_eq!(XorAddress::decode(&wire[4..], &id), Some(socket), "{address}");
        let written = MessageWriter::new(Class::Indication, Method::SEND, id)
            .xor_address(AttributeType::XOR_PEER_ADDRESS, socket)
            .finish(None, false);
        assert_eq!(written[20..], wire, "{address}");
    }
}

#[test] // RFC 8489 §14.7
fn a_fingerprint_is_the_crc_of_iso_hdlc_xored_with_stun() {
    let mut message = hex("000100002112a442000102030405060708090a0b");
    for _ in 0..20 {
        let at = message.len();
        let length = u16::try_from(at + 8 - 20).unwrap().to_be_bytes();
        let mut patched = message.clone();
        patched[2..4].copy_from_slice(&length);
        let expected = crc32(&patched) ^ 0x5354_554e;
        assert_eq!(integrity::fingerprint(&message, at), expected);
        patched.extend_from_slice(&[0x80, 0x28, 0, 4]);
        patched.extend_from_slice(&expected.to_be_bytes());
        assert!(Message::parse(&patched).unwrap().has_fingerprint());
        *patched.last_mut().unwrap() ^= 1;
        assert_eq!(Message::parse(&patched).unwrap_err(), ParseError::Fingerprint);
        message.extend_from_slice(&[0x80, 0x22, 0, 4, 1, 2, 3, at as u8]);
    }
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926, "the check value of CRC-32/ISO-HDLC");
}

#[test] // RFC 8489 §5, RFC 8656 §17
fn message_types_have_their_registered_numbers() {
    for (class, method, number) in [
        (Class::Request, Method::BINDING, 0x0001),
        (Class::Indication, Method::BINDING, 0x0011),
        (Class::SuccessResponse, Method::BINDING, 0x0101),
        (Class::ErrorResponse, Method::BINDING, 0x0111),
        (Class::Request, Method::ALLOCATE, 0x0003),
        (Class::SuccessResponse, Method::ALLOCATE, 0x0103),
        (Class::ErrorResponse, Method::ALLOCATE, 0x0113),
        (Class::Request, Method::REFRESH, 0x0004),
        (Class::SuccessResponse, Method::REFRESH, 0x0104),
        (Class::ErrorResponse, Method::REFRESH, 0x0114),
        (Class::Indication, Method::SEND, 0x0016),
        (Class::Indication, Method::DATA, 0x0017),
        (Class::Request, Method::CREATE_PERMISSION, 0x0008),
        (Class::SuccessResponse, Method::CREATE_PERMISSION, 0x0108),
        (Class::ErrorResponse, Method::CREATE_PERMISSION, 0x0118),
        (Class::Request, Method::CHANNEL_BIND, 0x0009),
        (Class::SuccessResponse, Method::CHANNEL_BIND, 0x0109),
        (Class::ErrorResponse, Method::CHANNEL_BIND, 0x0119),
        (Class::Request, Method::CONNECT, 0x000a),
        (Class::Request, Method::CONNECTION_BIND, 0x000b),
    ] {
        assert_eq!(message_type(class, method), number, "{class:?} {method:?}");
    }
}

#[test] // RFC 8489 §18.3, RFC 8656 §18
fn attributes_have_their_registered_numbers() {
    for (attribute, number, name) in [
        (AttributeType::MAPPED_ADDRESS, 0x0001, "MAPPED-ADDRESS"),
        (AttributeType::USERNAME, 0x0006, "USERNAME"),
        (AttributeType::MESSAGE_INTEGRITY, 0x0008, "MESSAGE-INTEGRITY"),
        (AttributeType::ERROR_CODE, 0x0009, "ERROR-CODE"),
        (AttributeType::UNKNOWN_ATTRIBUTES, 0x000a, "UNKNOWN-ATTRIBUTES"),
        (AttributeType::CHANNEL_NUMBER, 0x000c, "CHANNEL-NUMBER"),
        (AttributeType::LIFETIME, 0x000d, "LIFETIME"),
        (AttributeType::XOR_PEER_ADDRESS, 0x0012, "XOR-PEER-ADDRESS"),
        (AttributeType::DATA, 0x0013, "DATA"),
        (AttributeType::REALM, 0x0014, "REALM"),
        (AttributeType::NONCE, 0x0015, "NONCE"),
        (AttributeType::XOR_RELAYED_ADDRESS, 0x0016, "XOR-RELAYED-ADDRESS"),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, 0x0017, "REQUESTED-ADDRESS-FAMILY"),
        (AttributeType::EVEN_PORT, 0x0018, "EVEN-PORT"),
        (AttributeType::REQUESTED_TRANSPORT, 0x0019, "REQUESTED-TRANSPORT"),
        (AttributeType::DONT_FRAGMENT, 0x001a, "DONT-FRAGMENT"),
        (AttributeType::MESSAGE_INTEGRITY_SHA256, 0x001c, "MESSAGE-INTEGRITY-SHA256"),
        (AttributeType::PASSWORD_ALGORITHM, 0x001d, "PASSWORD-ALGORITHM"),
        (AttributeType::USERHASH, 0x001e, "USERHASH"),
        (AttributeType::XOR_MAPPED_ADDRESS, 0x0020, "XOR-MAPPED-ADDRESS"),
        (AttributeType::RESERVATION_TOKEN, 0x0022, "RESERVATION-TOKEN"),
        (AttributeType::PASSWORD_ALGORITHMS, 0x8002, "PASSWORD-ALGORITHMS"),
        (AttributeType::SOFTWARE, 0x8022, "SOFTWARE"),
        (AttributeType::FINGERPRINT, 0x8028, "FINGERPRINT"),
    ] {
        assert_eq!(attribute, AttributeType(number), "{name}");
        assert_eq!(attribute.name(), Some(name));
    }
}

#[test] // RFC 8656 §12.4
fn channel_data_lies_on_the_wire_as_drawn() {
    for (number, text, data) in [
        (0x4000, "40000000", ""),
        (0x4001, "40010005 48656c6c6f", "48656c6c6f"),
        (0x4001, "40010005 48656c6c6f 000000", "48656c6c6f"),
        (0x4abc, "4abc0004 00010000", "00010000"),
        (0x4fff, "4fff0001 ff ffffff", "ff"),
    ] {
        let (bytes, data) = (hex(text), hex(data));
        assert!(channel_data::is_channel_data(&bytes, ChannelRange::Rfc8656));
        let (found, range) = channel_data::parse(&bytes, ChannelRange::Rfc8656).unwrap();
        assert_eq!(found, ChannelNumber::new(number, ChannelRange::Rfc8656).unwrap());
        assert_eq!(bytes[range], data, "{text}");
        let length = u16::try_from(data.len()).unwrap();
        assert_eq!(channel_data::header(found, length), bytes[..4], "{text}");
    }
    for text in ["", "40", "400000", "40000001", "3fff0000", "50000000", "40000005 48656c6c"] {
        assert_eq!(channel_data::parse(&hex(text), ChannelRange::Rfc8656), None, "{text}");
    }
}

/// CRC-32/ISO-HDLC a bit at a time, straight from its definition.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    assert!(digits.len().is_multiple_of(2), "{text}");
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
