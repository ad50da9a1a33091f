//! MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT: computed over a message whose length
//! field is patched.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::constant_time::equal_constant_time;

/// Bytes of a MESSAGE-INTEGRITY value.
pub const MESSAGE_INTEGRITY_BYTES: usize = 20;
/// Bytes of a whole MESSAGE-INTEGRITY attribute.
pub const MESSAGE_INTEGRITY_ATTRIBUTE_BYTES: usize = 4 + MESSAGE_INTEGRITY_BYTES;
/// Bytes of a MESSAGE-INTEGRITY-SHA256 value as it is made here.
pub const MESSAGE_INTEGRITY_SHA256_BYTES: usize = 32;
/// Bytes of a whole FINGERPRINT attribute.
pub const FINGERPRINT_ATTRIBUTE_BYTES: usize = 8;

const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// HMAC-SHA1 over `message[..at]`, the length field reading as if MESSAGE-INTEGRITY, which starts
/// at `at`, were the last attribute (RFC 8489 §14.5).
///
/// `message` holds at least the 20-byte header and `at >= 20`.
#[must_use]
pub fn message_integrity(key: &[u8], message: &[u8], at: usize) -> [u8; MESSAGE_INTEGRITY_BYTES] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&message[..2]);
    mac.update(&length_field(at + MESSAGE_INTEGRITY_ATTRIBUTE_BYTES));
    mac.update(&message[4..at]);
    mac.finalize().into_bytes().into()
}

/// Whether `value` is the MESSAGE-INTEGRITY of `message[..at]` under `key`.
#[must_use]
pub fn message_integrity_matches(key: &[u8], message: &[u8], at: usize, value: &[u8]) -> bool {
    equal_constant_time(&message_integrity(key, message, at), value)
}

/// HMAC-SHA256 over `message[..at]`, the length field reading as if a MESSAGE-INTEGRITY-SHA256 of
/// `value_bytes` (a multiple of 4), which starts at `at`, were the last attribute (RFC 8489 §14.6).
///
/// `message` holds at least the 20-byte header and `at >= 20`.
#[must_use]
pub fn message_integrity_sha256(
    key: &[u8],
    message: &[u8],
    at: usize,
    value_bytes: usize,
) -> [u8; MESSAGE_INTEGRITY_SHA256_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&message[..2]);
    mac.update(&length_field(at + 4 + value_bytes));
    mac.update(&message[4..at]);
    mac.finalize().into_bytes().into()
}

/// Whether `value` is the MESSAGE-INTEGRITY-SHA256 of `message[..at]` under `key`.
///
/// Whole only: a cut value is for usages that say so (RFC 8489 §14.6), and TURN does not.
#[must_use]
pub fn message_integrity_sha256_matches(
    key: &[u8],
    message: &[u8],
    at: usize,
    value: &[u8],
) -> bool {
    equal_constant_time(&message_integrity_sha256(key, message, at, value.len()), value)
}

/// CRC-32 over `message[..at]`, XOR-ed with "STUN", the length field reading as if FINGERPRINT,
/// which starts at `at`, were the last attribute (RFC 8489 §14.7).
#[must_use]
pub fn fingerprint(message: &[u8], at: usize) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&message[..2]);
    crc.update(&length_field(at + FINGERPRINT_ATTRIBUTE_BYTES));
    crc.update(&message[4..at]);
    crc.finalize() ^ FINGERPRINT_XOR
}

fn length_field(end: usize) -> [u8; 2] {
    // Messages come from datagrams or are built here: never longer than 16 bits say.
    ((end - super::message::HEADER_BYTES) as u16).to_be_bytes()
}
