//! The long-term credential key: what both message integrities are computed with.

use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// How a key is made of a password (RFC 8489 §18.5). None of them has parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// 16 bytes; what a client means that names none.
    Md5,
    /// 32 bytes.
    Sha256,
}

impl PasswordAlgorithm {
    /// What this server offers, the preferred one first.
    pub const OFFERED: [Self; 2] = [Self::Sha256, Self::Md5];

    /// The value of PASSWORD-ALGORITHMS in a challenge; a client repeats it byte for byte.
    #[must_use]
    pub fn offer() -> [u8; 8] {
        let [[a, b, c, d], [e, f, g, h]] = Self::OFFERED.map(Self::to_value);
        [a, b, c, d, e, f, g, h]
    }

    /// The value of PASSWORD-ALGORITHM: its number and the length of no parameters.
    #[must_use]
    pub fn to_value(self) -> [u8; 4] {
        match self {
            Self::Md5 => [0, 1, 0, 0],
            Self::Sha256 => [0, 2, 0, 0],
        }
    }

    /// Reads PASSWORD-ALGORITHM; `None` if it is no entry of [`Self::offer`].
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<Self> {
        Self::OFFERED.into_iter().find(|algorithm| algorithm.to_value() == value)
    }
}

/// A hash over username ":" realm ":" password (RFC 8489 §9.2.2, §18.5.1).
#[derive(Clone, PartialEq, Eq)]
pub struct LongTermKey {
    algorithm: PasswordAlgorithm,
    /// MD5 fills the first 16.
    bytes: [u8; 32],
}

impl LongTermKey {
    /// Derives the key. Bytes are taken as they are; OpaqueString preparation (RFC 8265) is the
    /// identity for everything an HMAC credential can contain.
    #[must_use]
    pub fn derive(
        algorithm: PasswordAlgorithm,
        username: &[u8],
        realm: &[u8],
        password: &[u8],
    ) -> Self {
        let mut bytes = [0; 32];
        let parts = [username, b":", realm, b":", password];
        match algorithm {
            PasswordAlgorithm::Md5 => {
                let hash = parts.into_iter().fold(Md5::new(), |hash, part| hash.chain_update(part));
                bytes[..16].copy_from_slice(&hash.finalize());
            }
            PasswordAlgorithm::Sha256 => {
                let start = Sha256::new();
                let hash = parts.into_iter().fold(start, |hash, part| hash.chain_update(part));
                bytes.copy_from_slice(&hash.finalize());
            }
        }
        Self { algorithm, bytes }
    }

    /// A key that somebody else derived by MD5.
    #[must_use]
    pub fn of_md5(hash: &[u8; 16]) -> Self {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(hash);
        Self { algorithm: PasswordAlgorithm::Md5, bytes }
    }

    /// The same by SHA-256.
    #[must_use]
    pub fn of_sha256(hash: &[u8; 32]) -> Self {
        Self { algorithm: PasswordAlgorithm::Sha256, bytes: *hash }
    }

    /// How it was derived.
    #[must_use]
    pub fn algorithm(&self) -> PasswordAlgorithm {
        self.algorithm
    }

    /// The key: 16 bytes of MD5 or 32 of SHA-256.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self.algorithm {
            PasswordAlgorithm::Md5 => &self.bytes[..16],
            PasswordAlgorithm::Sha256 => &self.bytes,
        }
    }
}

impl Drop for LongTermKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::hex;
    use super::*;

    fn check(algorithm: PasswordAlgorithm, expected: &str) {
        let key = LongTermKey::derive(algorithm, b"user", b"realm", b"pass");
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(hex(key.as_bytes()), expected);
        assert_eq!(format!("{key:?}"), "[secret]");
    }

    #[test] // RFC 8489 §9.2.2: the worked example with user "user", realm "realm", password "pass"
    fn the_example_of_the_rfc_derives_to_its_bytes() {
        check(PasswordAlgorithm::Md5, "8493fbc53ba582fb4c044c456bdc40eb");
    }

    // Made with `printf %s user:realm:pass | sha256sum`.
    #[test]
    fn the_same_example_derives_by_sha_256() {
        let expected = "07e934117abd40836e7c6329b54731b2b2d2a5f9a71f544922d75e0730d8251b";
        check(PasswordAlgorithm::Sha256, expected);
    }

    #[test] // RFC 8489 §14.11, §14.12, §18.5
    fn the_offer_lists_sha_256_then_md5_and_nothing_else_is_read() {
        assert_eq!(PasswordAlgorithm::offer(), [0, 2, 0, 0, 0, 1, 0, 0]);
        assert_eq!(PasswordAlgorithm::from_value(&[0, 1, 0, 0]), Some(PasswordAlgorithm::Md5));
        assert_eq!(PasswordAlgorithm::from_value(&[0, 2, 0, 0]), Some(PasswordAlgorithm::Sha256));
        let others: [&[u8]; 7] = [
            &[],
            &[0, 0, 0, 0],
            &[0, 3, 0, 0],
            &[1, 2, 0, 0],
            &[0, 2, 0],
            &[0, 2, 0, 0, 0],
            &[0, 2, 0, 4],
        ];
        for value in others {
            assert_eq!(PasswordAlgorithm::from_value(value), None, "{value:?}");
        }
    }
}
