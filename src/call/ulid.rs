//! ULIDs: 26 characters that sort by the millisecond they were made in.

use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;
const RANDOM_BITS: u32 = 80;

/// 48 bits of Unix milliseconds, then 80 bits of randomness.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ulid(u128);

impl Ulid {
    /// Makes one. `random`: its lowest 80 bits count. A time before 1970 counts as 1970.
    #[must_use]
    pub fn new(unix_ms: i64, random: u128) -> Self {
        let ms = u128::from(u64::try_from(unix_ms).unwrap_or(0)) & ((1 << 48) - 1);
        Self(ms << RANDOM_BITS | random & ((1 << RANDOM_BITS) - 1))
    }

    /// Reads the 26 characters; `None` if they are anything else. Small letters are refused, so
    /// that one id has one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        // 26 characters of 5 bits hold two more than there are: the first is at most 7.
        if bytes.len() != LENGTH || !(b'0'..=b'7').contains(&bytes[0]) {
            return None;
        }
        let mut value = 0;
        for byte in bytes {
            let digit = ALPHABET.iter().position(|c| c == byte)?;
            value = value << 5 | digit as u128;
        }
        Some(Self(value))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |i: usize| ALPHABET[(self.0 >> (5 * (LENGTH - 1 - i)) & 31) as usize];
        let text: [u8; LENGTH] = std::array::from_fn(digit);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Ulid);

        impl $name {
            /// Reads the 26 characters of its ULID.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Ulid::parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// A call, from its invite on.
    CallId;
    /// A session: one page of one user, across the sockets it is reached by.
    SessionId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_and_read_and_sorts_by_time() {
        let early = Ulid::new(1_469_918_176_385, 0);
        assert_eq!(early.to_string(), "01ARYZ6S410000000000000000");
        let late = Ulid::new(1_469_918_176_386, 0);
        assert!(early < late && early.to_string() < late.to_string());
        let random = Ulid::new(1_469_918_176_385, u128::MAX);
        assert_eq!(Ulid::parse(&random.to_string()), Some(random));
        assert!(early < random && random < late);
    }

    #[test]
    fn one_id_has_one_spelling() {
        assert!(Ulid::parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ").is_some());
        for bad in [
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01aryz6s410000000000000000",
            "01ARYZ6S41000000000000000",
            "01ARYZ6S41000000000000000I",
            "",
        ] {
            assert_eq!(Ulid::parse(bad), None, "{bad}");
        }
    }
}
