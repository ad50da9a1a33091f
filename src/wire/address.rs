//! XOR-ed transport addresses (RFC 8489 §14.2) and address families.
//!
//! ```text
//!  0  1  2    4
//! | 0|FA|port^|address^ ...   FA: 1 = IPv4 (8 bytes in all), 2 = IPv6 (20 bytes in all)
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::message::{MAGIC_COOKIE, TransactionId};

/// Address family, as REQUESTED-ADDRESS-FAMILY and XOR addresses name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, 0x01.
    V4,
    /// IPv6, 0x02.
    V6,
}

impl Family {
    /// The family of an address. An IPv4-mapped IPv6 address is IPv6 here: fold it first.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The one that this is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    /// Reads the byte; `None` for any other value.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            _ => None,
        }
    }
}

/// An encoded XOR address: 8 or 20 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XorAddress {
    bytes: [u8; 20],
    len: u8,
}

impl XorAddress {
    /// Encodes `address` for the message with this transaction id.
    #[must_use]
    pub fn encode(address: SocketAddr, transaction_id: &TransactionId) -> Self {
        Self::encode_with(address, mask(transaction_id))
    }

    /// Encodes an address as it is, for the one attribute that is not XOR-ed: ALTERNATE-SERVER
    /// (RFC 8489 §14.15, in the form of §14.1).
    #[must_use]
    pub fn encode_plain(address: SocketAddr) -> Self {
        Self::encode_with(address, [0; 16])
    }

    fn encode_with(address: SocketAddr, mask: [u8; 16]) -> Self {
        let mut bytes = [0; 20];
        let port = address.port() ^ u16::from_be_bytes([mask[0], mask[1]]);
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        let len = match address.ip() {
            IpAddr::V4(ip) => {
                bytes[1] = Family::V4.to_byte();
                bytes[4..8].copy_from_slice(&ip.octets());
                8
            }
            IpAddr::V6(ip) => {
                bytes[1] = Family::V6.to_byte();
                bytes[4..20].copy_from_slice(&ip.octets());
                20
            }
        };
        for (byte, mask) in bytes[4..usize::from(len)].iter_mut().zip(mask) {
            *byte ^= mask;
        }
        Self { bytes, len }
    }

    /// The attribute value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Decodes an attribute value; `None` for a wrong length or family.
    #[must_use]
    pub fn decode(value: &[u8], transaction_id: &TransactionId) -> Option<SocketAddr> {
        Self::decode_with(value, mask(transaction_id))
    }

    /// Decodes an address that is not XOR-ed: MAPPED-ADDRESS and ALTERNATE-SERVER.
    #[must_use]
    pub fn decode_plain(value: &[u8]) -> Option<SocketAddr> {
        Self::decode_with(value, [0; 16])
    }

    fn decode_with(value: &[u8], mask: [u8; 16]) -> Option<SocketAddr> {
        let (&[_, family, port_high, port_low], address) = value.split_first_chunk()?;
        let port = u16::from_be_bytes([port_high ^ mask[0], port_low ^ mask[1]]);
        let ip = match Family::from_byte(family)? {
            Family::V4 => {
                let mut octets: [u8; 4] = address.try_into().ok()?;
                octets.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
                IpAddr::V4(Ipv4Addr::from(octets))
            }
            Family::V6 => {
                let mut octets: [u8; 16] = address.try_into().ok()?;
                octets.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
                IpAddr::V6(Ipv6Addr::from(octets))
            }
        };
        Some(SocketAddr::new(ip, port))
    }
}

/// Cookie and transaction id, what addresses are XOR-ed with.
fn mask(transaction_id: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction_id.0);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: TransactionId = TransactionId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

    fn check(address: &str, bytes: &[u8]) {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(XorAddress::encode(address, &ID).as_bytes(), bytes);
        assert_eq!(XorAddress::decode(bytes, &ID), Some(address));
        let plain = XorAddress::encode_plain(address);
        assert_eq!(XorAddress::decode_plain(plain.as_bytes()), Some(address));
    }

    #[test] // RFC 8489 §14.2
    fn addresses_of_both_families_are_xored_with_cookie_and_transaction_id() {
        check("10.0.0.5:22", &[0, 1, 0x21, 0x04, 0x2b, 0x12, 0xa4, 0x47]);
        check(
            "[::1]:80",
            &[0, 2, 0x21, 0x42, 0x21, 0x12, 0xa4, 0x42, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0a, 0x0a],
        );
    }

    #[test] // RFC 8489 §14.1
    fn a_plain_address_is_written_as_it_is() {
        let plain = |address: &str| XorAddress::encode_plain(address.parse().unwrap());
        assert_eq!(plain("10.0.0.5:22").as_bytes(), [0, 1, 0, 22, 10, 0, 0, 5]);
        let v6 = [0, 2, 0, 80, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(plain("[2001:db8::7]:80").as_bytes(), v6);
    }

    #[test]
    fn a_wrong_family_or_length_is_no_address() {
        let good = XorAddress::encode("10.0.0.5:22".parse().unwrap(), &ID);
        for cut in 0..8 {
            assert_eq!(XorAddress::decode(&good.as_bytes()[..cut], &ID), None);
        }
        let mut long = good.as_bytes().to_vec();
        long.push(0);
        assert_eq!(XorAddress::decode(&long, &ID), None);
        for family in [0, 2, 3, 0xFF] {
            let mut other = good.as_bytes().to_vec();
            other[1] = family;
            assert_eq!(XorAddress::decode(&other, &ID), None, "family {family}");
        }
    }
}
