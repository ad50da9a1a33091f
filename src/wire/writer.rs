//! Builds a STUN message: header, attributes, then integrity and fingerprint.

use std::net::SocketAddr;

use super::address::XorAddress;
use super::attribute::AttributeType;
use super::integrity;
use super::message::{Class, HEADER_BYTES, MAGIC_COOKIE, Method, TransactionId, message_type};

/// A message under construction. Padding is zeros: no earlier memory leaks through it.
#[derive(Debug, Clone)]
pub struct MessageWriter {
    bytes: Vec<u8>,
    transaction_id: TransactionId,
}

impl MessageWriter {
    /// Starts a message without attributes.
    #[must_use]
    pub fn new(class: Class, method: Method, transaction_id: TransactionId) -> Self {
        // Enough for every response this server makes, so that it is allocated once.
        let mut bytes = Vec::with_capacity(192);
        bytes.extend_from_slice(&message_type(class, method).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        bytes.extend_from_slice(&transaction_id.0);
        Self { bytes, transaction_id }
    }

    /// Appends an attribute. `value` is at most 65,535 bytes, the whole message likewise.
    #[must_use]
    pub fn attribute(mut self, kind: AttributeType, value: &[u8]) -> Self {
        debug_assert!(value.len() + self.bytes.len() <= usize::from(u16::MAX));
        self.bytes.extend_from_slice(&kind.0.to_be_bytes());
        self.bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a 32-bit attribute such as LIFETIME.
    #[must_use]
    pub fn u32(self, kind: AttributeType, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends an XOR-ed transport address.
    #[must_use]
    pub fn xor_address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let value = XorAddress::encode(address, &self.transaction_id);
        self.attribute(kind, value.as_bytes())
    }

    /// Signs with MESSAGE-INTEGRITY. Of what is appended later only the other integrity is read.
    #[must_use]
    pub fn integrity(self, key: &[u8]) -> Self {
        let value = integrity::message_integrity(key, &self.bytes, self.bytes.len());
        self.attribute(AttributeType::MESSAGE_INTEGRITY, &value)
    }

    /// Signs with MESSAGE-INTEGRITY-SHA256, whole. Nothing that is appended later is read.
    #[must_use]
    pub fn integrity_sha256(self, key: &[u8]) -> Self {
        let length = integrity::MESSAGE_INTEGRITY_SHA256_BYTES;
        let at = self.bytes.len();
        let value = integrity::message_integrity_sha256(key, &self.bytes, at, length);
        self.attribute(AttributeType::MESSAGE_INTEGRITY_SHA256, &value)
    }

    /// Signs with MESSAGE-INTEGRITY if there is a key, appends FINGERPRINT if asked, and ends.
    #[must_use]
    pub fn finish(mut self, integrity_key: Option<&[u8]>, fingerprint: bool) -> Vec<u8> {
        if let Some(key) = integrity_key {
            self = self.integrity(key);
        }
        if fingerprint {
            let value = integrity::fingerprint(&self.bytes, self.bytes.len());
            self = self.u32(AttributeType::FINGERPRINT, value);
        }
        let length = (self.bytes.len() - HEADER_BYTES) as u16;
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::*;

    #[test]
    fn what_is_written_parses_and_verifies() {
        let id = TransactionId([9; 12]);
        for fingerprint in [false, true] {
            let bytes = MessageWriter::new(Class::Request, Method::ALLOCATE, id)
                .u32(AttributeType::LIFETIME, 600)
                .attribute(AttributeType::USERNAME, b"abcde")
                .finish(Some(b"key"), fingerprint);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.has_fingerprint(), fingerprint);
            assert_eq!(message.transaction_id(), id);
            assert_eq!(message.attribute(AttributeType::USERNAME), Some(&b"abcde"[..]));
            assert_eq!(message.attribute(AttributeType::LIFETIME), Some(&[0, 0, 2, 88][..]));
            assert!(message.integrity_matches(b"key"));
            assert!(!message.integrity_matches(b"kez"));
        }
    }

    #[test] // RFC 8489 §14.5: attributes after MESSAGE-INTEGRITY are ignored
    fn what_follows_integrity_is_not_read() {
        let id = TransactionId([9; 12]);
        let mut bytes = MessageWriter::new(Class::Request, Method::REFRESH, id)
            .attribute(AttributeType::USERNAME, b"u")
            .finish(Some(b"key"), false);
        bytes.extend_from_slice(&[0, 0x0D, 0, 4, 0, 0, 0, 0]);
        let length = (bytes.len() - HEADER_BYTES) as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        let message = Message::parse(&bytes).unwrap();
        assert!(message.integrity_matches(b"key"));
        assert_eq!(message.attribute(AttributeType::LIFETIME), None);
        assert_eq!(message.attributes().count(), 1);
    }
}
