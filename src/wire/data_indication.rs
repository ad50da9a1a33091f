//! A Data indication written in place around a datagram that a peer sent (RFC 8656 §11.3).
//!
//! ```text
//! |STUN header (20)|XOR-PEER-ADDRESS (12 or 24)|DATA header (4)|the datagram, where it was received|pad|
//! ```

use std::net::SocketAddr;
use std::ops::Range;

use super::address::XorAddress;
use super::attribute::AttributeType;
use super::message::{Class, HEADER_BYTES, MAGIC_COOKIE, Method, TransactionId, message_type};

/// Bytes in front of the data for an IPv4 peer.
pub const HEADER_BYTES_V4: usize = HEADER_BYTES + 12 + 4;
/// Bytes in front of the data for an IPv6 peer.
pub const HEADER_BYTES_V6: usize = HEADER_BYTES + 24 + 4;
/// Longest datagram that fits a Data indication which itself fits a datagram over IPv4.
pub const DATA_BYTES_MAX: usize = crate::limits::DATAGRAM_BYTES_MAX - HEADER_BYTES_V6 - 3;

/// Writes header and padding around `data` inside `buffer`; returns the range of the whole.
///
/// `data` lies in `buffer` with at least [`HEADER_BYTES_V6`] bytes in front and 3 behind, and is
/// at most [`DATA_BYTES_MAX`] long; otherwise `None` and nothing is written.
pub fn write(
    buffer: &mut [u8],
    data: Range<usize>,
    peer: SocketAddr,
    transaction_id: TransactionId,
) -> Option<Range<usize>> {
    let address = XorAddress::encode(peer, &transaction_id);
    let address = address.as_bytes();
    let start = data.start.checked_sub(HEADER_BYTES + 4 + address.len() + 4)?;
    let end = data.start + data.len().next_multiple_of(4);
    if end > buffer.len() || data.len() > DATA_BYTES_MAX {
        return None;
    }
    let head = &mut buffer[start..data.start];
    let length = (end - start - HEADER_BYTES) as u16;
    let kind = message_type(Class::Indication, Method::DATA);
    head[0..2].copy_from_slice(&kind.to_be_bytes());
    head[2..4].copy_from_slice(&length.to_be_bytes());
    head[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    head[8..20].copy_from_slice(&transaction_id.0);
    head[20..22].copy_from_slice(&AttributeType::XOR_PEER_ADDRESS.0.to_be_bytes());
    head[22..24].copy_from_slice(&(address.len() as u16).to_be_bytes());
    head[24..24 + address.len()].copy_from_slice(address);
    let at = 24 + address.len();
    head[at..at + 2].copy_from_slice(&AttributeType::DATA.0.to_be_bytes());
    head[at + 2..at + 4].copy_from_slice(&(data.len() as u16).to_be_bytes());
    buffer[data.end..end].fill(0);
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::*;

    fn check(peer: &str, header_bytes: usize) {
        let peer: SocketAddr = peer.parse().unwrap();
        for length in 0..9 {
            let mut buffer = vec![0xAA; 100];
            let data = 48..48 + length;
            buffer[data.clone()].fill(b'x');
            let id = TransactionId([3; 12]);
            let whole = write(&mut buffer, data.clone(), peer, id).unwrap();
            assert_eq!(whole.start, 48 - header_bytes);
            assert_eq!(buffer[whole.end], 0xAA, "nothing is written behind the padding");
            let message = Message::parse(&buffer[whole]).unwrap();
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
            assert_eq!(message.attribute(AttributeType::DATA), Some(&vec![b'x'; length][..]));
            let address = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
            assert_eq!(XorAddress::decode(address, &id), Some(peer));
        }
    }

    #[test] // RFC 8656 §11.3
    fn a_data_indication_is_written_around_the_payload_of_any_length() {
        check("192.0.2.1:5000", HEADER_BYTES_V4);
        check("[2001:db8::1]:5000", HEADER_BYTES_V6);
    }

    #[test]
    fn without_room_nothing_is_written() {
        let peer = "192.0.2.1:5000".parse().unwrap();
        let id = TransactionId([3; 12]);
        let mut buffer = vec![0xAA; 41];
        assert!(write(&mut buffer, 35..36, peer, id).is_none(), "no headroom");
        assert!(write(&mut buffer, 36..41, peer, id).is_none(), "no room for padding");
        assert_eq!(buffer, vec![0xAA; 41]);
        let mut buffer = vec![0; 70_000];
        assert!(write(&mut buffer, 48..48 + DATA_BYTES_MAX, peer, id).is_some());
        assert!(write(&mut buffer, 48..49 + DATA_BYTES_MAX, peer, id).is_none());
    }
}
