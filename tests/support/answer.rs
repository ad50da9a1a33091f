//! Reads what the server answers, and checks what is true of every answer.

use std::net::SocketAddr;

use turnbell::wire::address::{Family, XorAddress};
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::error_code::ErrorCode;
use turnbell::wire::integrity;
use turnbell::wire::message::{Class, Message, Method, TransactionId, message_type};

use super::request::Request;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Success of a Binding; the mapped address was the client's.
    Mapped,
    /// Success of an Allocate; the mapped address was the client's.
    Allocated { lifetime_s: u32 },
    /// Success of a Refresh.
    Refreshed { lifetime_s: u32 },
    /// Success of a CreatePermission or ChannelBind.
    Done,
    /// An error.
    Error(u16),
    /// 420 with its list.
    Unknown(Vec<u16>),
}

/// A request on its way.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) client: SocketAddr,
    pub(crate) request: Request,
}

/// An answer with what tests look at beside its meaning.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) answer: Answer,
    /// In the order of the answer, of different families.
    pub(crate) relayed: Vec<SocketAddr>,
    pub(crate) address_error: Option<(Family, u16)>,
    pub(crate) reserved: Option<[u8; 8]>,
    pub(crate) nonce: Option<Vec<u8>>,
}

/// Reads an answer to `asked`. Everything that must hold of any answer is checked here: type and
/// transaction id, exactly the attributes that belong to it, signed where the request was
/// authenticated, realm and nonce with 401 and 438 only, FINGERPRINT as in the request.
pub(crate) fn read(asked: &Asked, realm: &str, id: TransactionId, bytes: &[u8]) -> Read {
    let message = Message::parse(bytes).expect("an answer is a STUN message");
    let request = &asked.request;
    assert_eq!(message.transaction_id(), id);
    let kind = u16::from_be_bytes([bytes[0], bytes[1]]);
    assert_eq!(kind & !0x0110, request.kind, "the method of the request");
    assert_eq!(message.has_fingerprint(), request.has_fingerprint(), "FINGERPRINT is mirrored");

    let mut kinds: Vec<AttributeType> = message.attributes().map(|(kind, _)| kind).collect();
    kinds.retain(|kind| *kind != AttributeType::FINGERPRINT);
    let address = |kind| {
        let value = message.attribute(kind).expect("an address");
        XorAddress::decode(value, &id).expect("an address of a known family")
    };
    let lifetime = || {
        let value = message.attribute(AttributeType::LIFETIME).expect("LIFETIME");
        u32::from_be_bytes(value.try_into().expect("four bytes"))
    };
    let all_of = |kind| {
        let values = message.attributes().filter(move |(found, _)| *found == kind);
        values.map(|(_, value)| XorAddress::decode(value, &id).expect("an address")).collect()
    };
    let address_error = message.attribute(AttributeType::ADDRESS_ERROR_CODE).map(|value| {
        assert_eq!((value.len(), value[1]), (4, 0), "empty reason phrase, reserved bits zero");
        let code = ErrorCode::from_value(value).expect("a code").number();
        (Family::from_byte(value[0]).expect("a family"), code)
    });
    let reserved = message
        .attribute(AttributeType::RESERVATION_TOKEN)
        .map(|value| value.try_into().expect("eight bytes"));
    let mut relayed: Vec<SocketAddr> = Vec::new();
    let (answer, expected_kinds) = if message.class() == Class::ErrorResponse {
        let (answer, kinds) = read_error(&message, realm);
        (answer, kinds.to_vec())
    } else {
        assert_eq!(message.class(), Class::SuccessResponse);
        match message.method() {
            Method::BINDING => {
                assert_eq!(address(AttributeType::XOR_MAPPED_ADDRESS), asked.client);
                (Answer::Mapped, vec![AttributeType::XOR_MAPPED_ADDRESS])
            }
            Method::ALLOCATE => {
                assert_eq!(address(AttributeType::XOR_MAPPED_ADDRESS), asked.client);
                relayed = all_of(AttributeType::XOR_RELAYED_ADDRESS);
                assert!(!relayed.is_empty() && relayed.len() <= 2);
                assert!(relayed.len() == 1 || relayed[0].is_ipv4() != relayed[1].is_ipv4());
                let mut kinds = vec![AttributeType::XOR_RELAYED_ADDRESS; relayed.len()];
                kinds.push(AttributeType::LIFETIME);
                kinds.extend(reserved.map(|_| AttributeType::RESERVATION_TOKEN));
                kinds.push(AttributeType::XOR_MAPPED_ADDRESS);
                kinds.extend(address_error.map(|_| AttributeType::ADDRESS_ERROR_CODE));
                (Answer::Allocated { lifetime_s: lifetime() }, kinds)
            }
            Method::REFRESH => {
                (Answer::Refreshed { lifetime_s: lifetime() }, vec![AttributeType::LIFETIME])
            }
            _ => (Answer::Done, Vec::new()),
        }
    };
    assert_eq!(kinds, expected_kinds, "exactly the attributes that belong to {answer:?}");
    check_signature(asked, &message, bytes, &answer);
    let nonce = message.attribute(AttributeType::NONCE).map(<[u8]>::to_vec);
    Read { answer, relayed, address_error, reserved, nonce }
}

/// Reads a Data indication about an unreachable peer: type, code and error data.
pub(crate) fn read_icmp(message: &Message<'_>) -> (SocketAddr, (u8, u8, u32)) {
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    let kinds: Vec<AttributeType> = message.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [AttributeType::XOR_PEER_ADDRESS, AttributeType::ICMP]);
    assert!(!message.has_integrity() && !message.has_fingerprint());
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
    let peer = XorAddress::decode(peer, &message.transaction_id()).expect("an address");
    let icmp = message.attribute(AttributeType::ICMP).expect("ICMP");
    let [0, 0, kind, code, data @ ..] = icmp else { panic!("reserved bits are zero: {icmp:?}") };
    (peer, (*kind, *code, u32::from_be_bytes(data.try_into().expect("four bytes"))))
}

fn read_error<'a>(message: &Message<'_>, realm: &str) -> (Answer, &'a [AttributeType]) {
    let value = message.attribute(AttributeType::ERROR_CODE).expect("ERROR-CODE");
    assert_eq!(value.len(), 4, "the reason phrase is empty");
    match ErrorCode::from_value(value).expect("a code").number() {
        420 => {
            let list = message.attribute(AttributeType::UNKNOWN_ATTRIBUTES).expect("the list");
            let list = list.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            let kinds = &[AttributeType::ERROR_CODE, AttributeType::UNKNOWN_ATTRIBUTES];
            (Answer::Unknown(list), kinds)
        }
        code @ (401 | 438) => {
            assert_eq!(message.attribute(AttributeType::REALM), Some(realm.as_bytes()));
            let offer = message.attribute(AttributeType::PASSWORD_ALGORITHMS);
            assert_eq!(offer, Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]), "SHA-256, then MD5");
            let nonce = message.attribute(AttributeType::NONCE).expect("NONCE");
            assert!(nonce.starts_with(b"obMatJos2gAAA"), "the nonce says that there is an offer");
            let kinds = &[
                AttributeType::ERROR_CODE,
                AttributeType::REALM,
                AttributeType::NONCE,
                AttributeType::PASSWORD_ALGORITHMS,
            ];
            (Answer::Error(code), kinds)
        }
        300 => {
            let value = message.attribute(AttributeType::ALTERNATE_SERVER).expect("a server");
            assert!(matches!(value.len(), 8 | 20), "a plain address: {value:?}");
            let kinds: &[AttributeType] =
                if message.attribute(AttributeType::ALTERNATE_DOMAIN).is_some() {
                    &[
                        AttributeType::ERROR_CODE,
                        AttributeType::ALTERNATE_SERVER,
                        AttributeType::ALTERNATE_DOMAIN,
                    ]
                } else {
                    &[AttributeType::ERROR_CODE, AttributeType::ALTERNATE_SERVER]
                };
            (Answer::Error(300), kinds)
        }
        code => (Answer::Error(code), &[AttributeType::ERROR_CODE]),
    }
}

fn check_signature(asked: &Asked, message: &Message<'_>, bytes: &[u8], answer: &Answer) {
    let is_challenge = matches!(answer, Answer::Error(401 | 438));
    let is_binding = asked.request.kind == message_type(Class::Request, Method::BINDING);
    if is_challenge || is_binding || !asked.request.is_authenticated() {
        assert!(!message.has_integrity(), "{answer:?} is not signed");
        return;
    }
    let request = &asked.request;
    let key = request.key().expect("it is authenticated");
    assert!(message.integrity_matches(key.as_bytes()), "{answer:?} is signed by the user's key");
    // RFC 8489 §9.2.4, end: by SHA-256 and whole exactly where the request named an algorithm; by
    // both where it named one and signed by SHA-1 alone.
    let expected: &[[u8; 4]] = match (request.names_algorithm(), request.is_signed_by_sha256()) {
        (false, _) => &[[0, 8, 0, 20]],
        (true, true) => &[[0, 0x1C, 0, 32]],
        (true, false) => &[[0, 8, 0, 20], [0, 0x1C, 0, 32]],
    };
    let read: usize =
        message.attributes().map(|(_, value)| 4 + value.len().next_multiple_of(4)).sum();
    let mut at = 20 + read;
    for kind in expected {
        assert_eq!(bytes[at..at + 4], *kind, "the kind of integrity of {answer:?}");
        let value = &bytes[at + 4..][..usize::from(kind[3])];
        let key = key.as_bytes();
        let is_right = if kind[1] == 8 {
            integrity::message_integrity_matches(key, bytes, at, value)
        } else {
            integrity::message_integrity_sha256_matches(key, bytes, at, value)
        };
        assert!(is_right, "each integrity of {answer:?} is right");
        at += 4 + value.len();
    }
    at += 8 * usize::from(message.has_fingerprint());
    assert_eq!(at, bytes.len(), "nothing is behind the integrity of {answer:?}");
}
