//! The long-term credential key: what MESSAGE-INTEGRITY is computed with.

use md5::{Digest, Md5};
use zeroize::Zeroize;

/// MD5(username ":" realm ":" password), the key of the long-term mechanism (RFC 8489 §9.2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct LongTermKey([u8; 16]);

impl LongTermKey {
    /// Derives the key. Bytes are taken as they are; OpaqueString preparation (RFC 8265) is the
    /// identity for everything an HMAC credential can contain.
    #[must_use]
    pub fn derive(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let mut hash = Md5::new();
        for (part, last) in [(username, false), (realm, false), (password, true)] {
            hash.update(part);
            if !last {
                hash.update(b":");
            }
        }
        Self(hash.finalize().into())
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl Drop for LongTermKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 8489 §9.2.2: the worked example with user "user", realm "realm", password "pass"
    fn the_example_of_the_rfc_derives_to_its_bytes() {
        let key = LongTermKey::derive(b"user", b"realm", b"pass");
        assert_eq!(super::super::secret::hex(key.as_bytes()), "8493fbc53ba582fb4c044c456bdc40eb");
    }
}
