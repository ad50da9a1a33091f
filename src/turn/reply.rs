//! Answers: the one place where a `Reject` becomes bytes, and where success is signed.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::five_tuple::FiveTuple;
use super::relay::Relay;
use crate::auth::credential::Authenticated;
use crate::auth::key::{LongTermKey, PasswordAlgorithm};
use crate::limits::UNKNOWN_ATTRIBUTES_MAX;
use crate::time::Now;
use crate::wire::attribute::AttributeType;
use crate::wire::error_code::ErrorCode;
use crate::wire::message::{Class, Message};
use crate::wire::writer::MessageWriter;

/// The client is wrong, and hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// No new allocation here, but perhaps there (300).
    TryAlternate(SocketAddr),
    /// Something required is missing or malformed (400).
    BadRequest,
    /// No credentials, or wrong ones (401, with realm, nonce and password algorithms).
    Unauthenticated,
    /// Policy refuses the peer (403).
    Forbidden,
    /// Attributes that must be understood and are not (420).
    UnknownAttributes(UnknownAttributes),
    /// There is no allocation, or there is one already (437).
    AllocationMismatch,
    /// Right credentials, old nonce (438, with what a 401 has and a fresh nonce).
    StaleNonce,
    /// No relay address of this family (440).
    AddressFamilyNotSupported,
    /// Another user than the one who made the allocation (441).
    WrongCredentials,
    /// REQUESTED-TRANSPORT is not UDP (442).
    UnsupportedTransportProtocol,
    /// A peer of another family than the relayed address (443).
    PeerAddressFamilyMismatch,
    /// The user or his source has allocations enough (486).
    AllocationQuotaReached,
    /// Ports, sockets, permissions or channels are used up (508).
    InsufficientCapacity,
}

impl Reject {
    /// Every code a `Reject` can become.
    pub const CODES: &[ErrorCode] = &[
        ErrorCode::TRY_ALTERNATE,
        ErrorCode::BAD_REQUEST,
        ErrorCode::UNAUTHENTICATED,
        ErrorCode::FORBIDDEN,
        ErrorCode::UNKNOWN_ATTRIBUTE,
        ErrorCode::ALLOCATION_MISMATCH,
        ErrorCode::STALE_NONCE,
        ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
        ErrorCode::WRONG_CREDENTIALS,
        ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL,
        ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH,
        ErrorCode::ALLOCATION_QUOTA_REACHED,
        ErrorCode::INSUFFICIENT_CAPACITY,
    ];

    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TryAlternate(_) => ErrorCode::TRY_ALTERNATE,
            Self::BadRequest => ErrorCode::BAD_REQUEST,
            Self::Unauthenticated => ErrorCode::UNAUTHENTICATED,
            Self::Forbidden => ErrorCode::FORBIDDEN,
            Self::UnknownAttributes(_) => ErrorCode::UNKNOWN_ATTRIBUTE,
            Self::AllocationMismatch => ErrorCode::ALLOCATION_MISMATCH,
            Self::StaleNonce => ErrorCode::STALE_NONCE,
            Self::AddressFamilyNotSupported => ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
            Self::WrongCredentials => ErrorCode::WRONG_CREDENTIALS,
            Self::UnsupportedTransportProtocol => ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL,
            Self::PeerAddressFamilyMismatch => ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH,
            Self::AllocationQuotaReached => ErrorCode::ALLOCATION_QUOTA_REACHED,
            Self::InsufficientCapacity => ErrorCode::INSUFFICIENT_CAPACITY,
        }
    }
}

/// The list of a 420: the first [`UNKNOWN_ATTRIBUTES_MAX`] different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAttributes {
    kinds: [AttributeType; UNKNOWN_ATTRIBUTES_MAX],
    count: u8,
}

impl UnknownAttributes {
    /// What `message` carries that must be understood and is not; `None` if nothing.
    #[must_use]
    pub fn of(message: &Message<'_>) -> Option<Self> {
        let mut list = Self { kinds: [AttributeType(0); UNKNOWN_ATTRIBUTES_MAX], count: 0 };
        for kind in message.unknown_required() {
            let count = usize::from(list.count);
            if count < UNKNOWN_ATTRIBUTES_MAX && !list.kinds[..count].contains(&kind) {
                list.kinds[count] = kind;
                list.count += 1;
            }
        }
        (list.count > 0).then_some(list)
    }

    fn to_value(self) -> Vec<u8> {
        let kinds = &self.kinds[..usize::from(self.count)];
        kinds.iter().flat_map(|kind| kind.0.to_be_bytes()).collect()
    }
}

/// A request whose sender passed authentication.
pub(super) struct Request<'a> {
    pub(super) tuple: FiveTuple,
    pub(super) message: Message<'a>,
    pub(super) who: Authenticated,
    /// USERNAME as sent, or the name behind USERHASH.
    pub(super) username: Cow<'a, str>,
    /// How the answer ends.
    pub(super) seal: Seal,
}

impl Request<'_> {
    /// An empty success response to this request.
    pub(super) fn success(&self) -> MessageWriter {
        response(&self.message, Class::SuccessResponse)
    }

    /// Signs and ends a success response.
    pub(super) fn finish(&self, response: MessageWriter) -> Vec<u8> {
        self.seal.finish(response)
    }
}

/// How the answer to one authenticated request is signed and ended.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    key: LongTermKey,
    signature: Signature,
    fingerprint: bool,
}

#[derive(Debug, Clone, Copy)]
enum Signature {
    /// MESSAGE-INTEGRITY.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
    /// The first, then the second.
    Both,
}

impl Seal {
    /// §9.2.4, end: MESSAGE-INTEGRITY-SHA256 exactly where the request named a password algorithm.
    ///
    /// A client that named one and yet signed with MESSAGE-INTEGRITY alone is not promised to read
    /// the other (a known one does not), so it is sent both.
    pub(super) fn of(request: &Message<'_>, key: &LongTermKey) -> Self {
        let names_algorithm = request.attribute(AttributeType::PASSWORD_ALGORITHM).is_some();
        let signature = match (names_algorithm, request.has_integrity_sha256()) {
            (false, _) => Signature::Sha1,
            (true, true) => Signature::Sha256,
            (true, false) => Signature::Both,
        };
        Self { key: key.clone(), signature, fingerprint: request.has_fingerprint() }
    }

    /// Signs and ends an answer.
    pub(super) fn finish(&self, answer: MessageWriter) -> Vec<u8> {
        let key = self.key.as_bytes();
        let signed = match self.signature {
            Signature::Sha1 => answer.integrity(key),
            Signature::Sha256 => answer.integrity_sha256(key),
            Signature::Both => answer.integrity(key).integrity_sha256(key),
        };
        signed.finish(None, self.fingerprint)
    }
}

/// Starts a response to `request`.
pub(super) fn response(request: &Message<'_>, class: Class) -> MessageWriter {
    MessageWriter::new(class, request.method(), request.transaction_id())
}

impl Relay {
    /// The bytes of an error response. `seal` signs it if the request was authenticated
    /// (RFC 8489 §6.3.1.1); 401 and 438 carry realm, nonce and password algorithms and are never
    /// signed (§9.2.4).
    pub(super) fn error_response(
        &self,
        now: Now,
        tuple: FiveTuple,
        request: &Message<'_>,
        reject: &Reject,
        seal: Option<&Seal>,
    ) -> Vec<u8> {
        let writer = response(request, Class::ErrorResponse)
            .attribute(AttributeType::ERROR_CODE, &reject.code().to_value());
        if matches!(reject, Reject::Unauthenticated | Reject::StaleNonce) {
            let nonce = self.nonce_key.issue(now, tuple.transport.protocol(), tuple.client);
            let realm = self.verifier.realm().as_bytes();
            return writer
                .attribute(AttributeType::REALM, realm)
                .attribute(AttributeType::NONCE, nonce.as_bytes())
                .attribute(AttributeType::PASSWORD_ALGORITHMS, &PasswordAlgorithm::offer())
                .finish(None, request.has_fingerprint());
        }
        let writer = self.with_details(writer, reject);
        match seal {
            Some(seal) => seal.finish(writer),
            None => writer.finish(None, request.has_fingerprint()),
        }
    }

    /// What an error response carries beside its code.
    pub(super) fn with_details(&self, writer: MessageWriter, reject: &Reject) -> MessageWriter {
        match reject {
            Reject::UnknownAttributes(list) => {
                writer.attribute(AttributeType::UNKNOWN_ATTRIBUTES, &list.to_value())
            }
            Reject::TryAlternate(server) => self.alternate(writer, *server),
            Reject::Unauthenticated
            | Reject::StaleNonce
            | Reject::BadRequest
            | Reject::Forbidden
            | Reject::AllocationMismatch
            | Reject::AddressFamilyNotSupported
            | Reject::WrongCredentials
            | Reject::UnsupportedTransportProtocol
            | Reject::PeerAddressFamilyMismatch
            | Reject::AllocationQuotaReached
            | Reject::InsufficientCapacity => writer,
        }
    }
}
