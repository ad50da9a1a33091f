//! The attribute types: one table, from which names and support follow.

/// The 16-bit type of an attribute (RFC 8489 §14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u16);

/// What this server does with a comprehension-required attribute in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Support {
    /// Understood, or known and rightly ignored where it has no use (RFC 8489 §6.3).
    Known,
    /// A registered attribute whose function is not offered: answered with 420 like an unknown one.
    Refused,
}

macro_rules! attributes {
    ($($constant:ident = $number:literal, $name:literal, $support:ident, $source:literal;)*) => {
        impl AttributeType {
            $(#[doc = concat!($name, " (", $source, ").")]
            pub const $constant: Self = Self($number);)*

            /// The registered name, or `None` for a type that is not in the table.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }

            fn support(self) -> Option<Support> {
                match self.0 {
                    $($number => Some(Support::$support),)*
                    _ => None,
                }
            }
        }
    };
}

attributes! {
    MAPPED_ADDRESS = 0x0001, "MAPPED-ADDRESS", Known, "RFC 8489 §14.1";
    CHANGE_REQUEST = 0x0003, "CHANGE-REQUEST", Refused, "RFC 5780 §7.2";
    USERNAME = 0x0006, "USERNAME", Known, "RFC 8489 §14.3";
    MESSAGE_INTEGRITY = 0x0008, "MESSAGE-INTEGRITY", Known, "RFC 8489 §14.5";
    ERROR_CODE = 0x0009, "ERROR-CODE", Known, "RFC 8489 §14.8";
    UNKNOWN_ATTRIBUTES = 0x000A, "UNKNOWN-ATTRIBUTES", Known, "RFC 8489 §14.13";
    CHANNEL_NUMBER = 0x000C, "CHANNEL-NUMBER", Known, "RFC 8656 §18.1";
    LIFETIME = 0x000D, "LIFETIME", Known, "RFC 8656 §18.2";
    XOR_PEER_ADDRESS = 0x0012, "XOR-PEER-ADDRESS", Known, "RFC 8656 §18.3";
    DATA = 0x0013, "DATA", Known, "RFC 8656 §18.4";
    REALM = 0x0014, "REALM", Known, "RFC 8489 §14.9";
    NONCE = 0x0015, "NONCE", Known, "RFC 8489 §14.10";
    XOR_RELAYED_ADDRESS = 0x0016, "XOR-RELAYED-ADDRESS", Known, "RFC 8656 §18.5";
    REQUESTED_ADDRESS_FAMILY = 0x0017, "REQUESTED-ADDRESS-FAMILY", Known, "RFC 8656 §18.6";
    EVEN_PORT = 0x0018, "EVEN-PORT", Known, "RFC 8656 §18.7";
    REQUESTED_TRANSPORT = 0x0019, "REQUESTED-TRANSPORT", Known, "RFC 8656 §18.8";
    DONT_FRAGMENT = 0x001A, "DONT-FRAGMENT", Known, "RFC 8656 §18.9";
    ACCESS_TOKEN = 0x001B, "ACCESS-TOKEN", Refused, "RFC 7635 §6.2";
    MESSAGE_INTEGRITY_SHA256 = 0x001C, "MESSAGE-INTEGRITY-SHA256", Known, "RFC 8489 §14.6";
    PASSWORD_ALGORITHM = 0x001D, "PASSWORD-ALGORITHM", Known, "RFC 8489 §14.12";
    USERHASH = 0x001E, "USERHASH", Known, "RFC 8489 §14.4";
    XOR_MAPPED_ADDRESS = 0x0020, "XOR-MAPPED-ADDRESS", Known, "RFC 8489 §14.2";
    RESERVATION_TOKEN = 0x0022, "RESERVATION-TOKEN", Known, "RFC 8656 §18.10";
    CONNECTION_ID = 0x002A, "CONNECTION-ID", Refused, "RFC 6062 §6.2.1";
    ADDITIONAL_ADDRESS_FAMILY = 0x8000, "ADDITIONAL-ADDRESS-FAMILY", Known, "RFC 8656 §18.11";
    ADDRESS_ERROR_CODE = 0x8001, "ADDRESS-ERROR-CODE", Known, "RFC 8656 §18.12";
    PASSWORD_ALGORITHMS = 0x8002, "PASSWORD-ALGORITHMS", Known, "RFC 8489 §14.11";
    ALTERNATE_DOMAIN = 0x8003, "ALTERNATE-DOMAIN", Known, "RFC 8489 §14.16";
    ICMP = 0x8004, "ICMP", Known, "RFC 8656 §18.13";
    SOFTWARE = 0x8022, "SOFTWARE", Known, "RFC 8489 §14.14";
    ALTERNATE_SERVER = 0x8023, "ALTERNATE-SERVER", Known, "RFC 8489 §14.15";
    FINGERPRINT = 0x8028, "FINGERPRINT", Known, "RFC 8489 §14.7";
}

impl AttributeType {
    /// Whether an agent that does not understand the attribute must refuse the message
    /// (0x0000-0x7FFF, RFC 8489 §14).
    #[must_use]
    pub fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether a request that carries it is answered with 420, an indication discarded.
    #[must_use]
    pub fn is_unknown_and_required(self) -> bool {
        self.is_comprehension_required() && self.support() != Some(Support::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_required_attributes_without_support_are_refused() {
        for (number, refused) in [
            (0x0006, false),
            (0x0018, false),
            (0x001A, false),
            (0x001D, false),
            (0x001E, false),
            (0x0022, false),
            (0x0003, true),
            (0x001B, true),
            (0x7FFF, true),
            (0x8000, false),
            (0x8022, false),
            (0xFFF0, false),
        ] {
            assert_eq!(AttributeType(number).is_unknown_and_required(), refused, "{number:#06x}");
        }
    }

    #[test]
    fn names_come_from_the_table() {
        assert_eq!(AttributeType::XOR_PEER_ADDRESS.name(), Some("XOR-PEER-ADDRESS"));
        assert_eq!(AttributeType(0x8001).name(), Some("ADDRESS-ERROR-CODE"));
        assert_eq!(AttributeType(0x7FF0).name(), None);
    }
}
