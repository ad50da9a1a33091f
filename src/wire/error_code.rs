//! ERROR-CODE: the codes this server answers with.

use super::address::Family;

/// A STUN error code, 300..=699 (RFC 8489 §14.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// Try Alternate (RFC 8489 §14.8).
    pub const TRY_ALTERNATE: Self = Self(300);
    /// Bad Request (RFC 8489 §14.8).
    pub const BAD_REQUEST: Self = Self(400);
    /// Unauthenticated (RFC 8489 §14.8).
    pub const UNAUTHENTICATED: Self = Self(401);
    /// Forbidden: policy does not allow the peer (RFC 8656 §19).
    pub const FORBIDDEN: Self = Self(403);
    /// Unknown Attribute (RFC 8489 §14.8).
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// Allocation Mismatch (RFC 8656 §19).
    pub const ALLOCATION_MISMATCH: Self = Self(437);
    /// Stale Nonce (RFC 8489 §14.8).
    pub const STALE_NONCE: Self = Self(438);
    /// Address Family not Supported (RFC 8656 §19).
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: Self = Self(440);
    /// Wrong Credentials (RFC 8656 §19).
    pub const WRONG_CREDENTIALS: Self = Self(441);
    /// Unsupported Transport Protocol (RFC 8656 §19).
    pub const UNSUPPORTED_TRANSPORT_PROTOCOL: Self = Self(442);
    /// Peer Address Family Mismatch (RFC 8656 §19).
    pub const PEER_ADDRESS_FAMILY_MISMATCH: Self = Self(443);
    /// Allocation Quota Reached (RFC 8656 §19).
    pub const ALLOCATION_QUOTA_REACHED: Self = Self(486);
    /// Insufficient Capacity (RFC 8656 §19).
    pub const INSUFFICIENT_CAPACITY: Self = Self(508);

    /// The code as a number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The four bytes of an ERROR-CODE value with an empty reason phrase.
    ///
    /// Empty on purpose: the phrase only makes answers to spoofed requests longer.
    #[must_use]
    pub fn to_value(self) -> [u8; 4] {
        [0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8]
    }

    /// The four bytes of an ADDRESS-ERROR-CODE value: why there is no relayed transport address of
    /// `family` (RFC 8656 §18.12), with an empty reason phrase.
    #[must_use]
    pub fn to_address_value(self, family: Family) -> [u8; 4] {
        let [_, _, class, number] = self.to_value();
        [family.to_byte(), 0, class, number]
    }

    /// Reads the code of an ERROR-CODE value; `None` if it is too short or out of 300..=699.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<Self> {
        let (&[_, _, class, number], _reason) = value.split_first_chunk()?;
        let (class, number) = (u16::from(class & 7), u16::from(number));
        ((3..=6).contains(&class) && number < 100).then_some(Self(class * 100 + number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_the_wire_and_the_range_is_checked() {
        let value = ErrorCode::STALE_NONCE.to_value();
        assert_eq!(value, [0, 0, 4, 38]);
        assert_eq!(ErrorCode::from_value(&value), Some(ErrorCode::STALE_NONCE));
        assert_eq!(ErrorCode::INSUFFICIENT_CAPACITY.to_address_value(Family::V6), [2, 0, 5, 8]);
        assert_eq!(ErrorCode::from_value(&[0, 0, 4]), None);
        assert_eq!(ErrorCode::from_value(&[0, 0, 2, 99]), None);
        assert_eq!(ErrorCode::from_value(&[0, 0, 6, 99]).map(ErrorCode::number), Some(699));
        assert_eq!(ErrorCode::from_value(&[0, 0, 4, 100]), None);
    }
}
