//! The one comparison for MACs, nonces, key hashes and passwords.

use subtle::ConstantTimeEq;

/// Compares in time that depends on the lengths only.
///
/// Every comparison of something secret in the program goes through here (`tests/tidy.rs` guards
/// it); it is a leaf because floor 0 folders do not import each other.
#[must_use]
pub fn equal_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_needs_the_same_length_and_bytes() {
        assert!(equal_constant_time(b"abc", b"abc"));
        assert!(!equal_constant_time(b"abc", b"abd"));
        assert!(!equal_constant_time(b"abc", b"ab"));
        assert!(equal_constant_time(b"", b""));
    }
}
