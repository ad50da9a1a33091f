//! Makes what a fuzzer cannot guess right: cookie, length and FINGERPRINT of a message. Without it
//! hardly an execution would get past them.

use turnbell::wire::integrity;

/// `bytes` with a right cookie, a right length, and a right FINGERPRINT if its last attribute is
/// one; shorter than a header, or cut to a multiple of 4, as it is.
pub(crate) fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() / 4 * 4].to_vec();
    let length = bytes.len().saturating_sub(20) as u16;
    if bytes.len() < 20 {
        return bytes;
    }
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    let at = bytes.len() - 8;
    if at >= 20 && bytes[at..at + 4] == [0x80, 0x28, 0, 4] {
        let value = integrity::fingerprint(&bytes, at);
        bytes[at + 4..].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}
