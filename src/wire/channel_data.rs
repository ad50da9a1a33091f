//! ChannelData: the four-byte header that carries most of what a relay moves (RFC 8656 §12.4).
//!
//! ```text
//!  0  1  2  3  4 ...
//! |CN|CN|LN|LN|application data ...   over UDP without padding, which may be there all the same
//! ```

use std::ops::Range;

/// Bytes of the header.
pub const CHANNEL_DATA_HEADER_BYTES: usize = 4;

/// A channel number (RFC 8656 §12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

/// Which numbers a client may bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelRange {
    /// 0x4000..=0x4FFF, RFC 8656 §12.
    Rfc8656,
    /// 0x4000..=0x7FFF, RFC 5766 §11: what clients from before 2020 draw from.
    Rfc5766,
}

impl ChannelNumber {
    /// Checks the range once; whoever holds a `ChannelNumber` need not ask again.
    #[must_use]
    pub fn new(number: u16, range: ChannelRange) -> Option<Self> {
        let last = match range {
            ChannelRange::Rfc8656 => 0x4FFF,
            ChannelRange::Rfc5766 => 0x7FFF,
        };
        (0x4000..=last).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Whether a datagram claims to be ChannelData: first byte 64..=79 (RFC 8656 §12, table 3), or
/// 64..=127 where old clients are served.
#[must_use]
pub fn is_channel_data(datagram: &[u8], range: ChannelRange) -> bool {
    let mask = match range {
        ChannelRange::Rfc8656 => 0xF0,
        ChannelRange::Rfc5766 => 0xC0,
    };
    datagram.first().is_some_and(|first| first & mask == 0x40)
}

/// Reads the header of a datagram; the range is where the application data lies.
///
/// `None` if the number is out of range or the datagram is shorter than it claims (§12.6).
/// Bytes behind the claimed length are padding and never relayed.
#[must_use]
pub fn parse(datagram: &[u8], range: ChannelRange) -> Option<(ChannelNumber, Range<usize>)> {
    let (&[n0, n1, l0, l1], data) = datagram.split_first_chunk()?;
    let number = ChannelNumber::new(u16::from_be_bytes([n0, n1]), range)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    (length <= data.len())
        .then_some((number, CHANNEL_DATA_HEADER_BYTES..CHANNEL_DATA_HEADER_BYTES + length))
}

/// The header for `length` bytes of application data.
#[must_use]
pub fn header(number: ChannelNumber, length: u16) -> [u8; CHANNEL_DATA_HEADER_BYTES] {
    let (n, l) = (number.0.to_be_bytes(), length.to_be_bytes());
    [n[0], n[1], l[0], l[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // RFC 8656 §12: 0x4000 through 0x4FFF; RFC 5766 §11: through 0x7FFF
    fn channel_numbers_are_checked_at_both_ends() {
        for (number, new, old) in [
            (0x3FFF, false, false),
            (0x4000, true, true),
            (0x4FFF, true, true),
            (0x5000, false, true),
            (0x7FFF, false, true),
            (0x8000, false, false),
            (0xFFFF, false, false),
        ] {
            let good = |range| ChannelNumber::new(number, range).is_some();
            assert_eq!(good(ChannelRange::Rfc8656), new, "{number:#x}");
            assert_eq!(good(ChannelRange::Rfc5766), old, "{number:#x}");
        }
    }

    #[test] // RFC 8656 §12.6
    fn a_datagram_shorter_than_it_claims_is_none_and_padding_is_not_data() {
        let parse_new = |datagram| parse(datagram, ChannelRange::Rfc8656);
        let number = ChannelNumber::new(0x4001, ChannelRange::Rfc8656).unwrap();
        assert_eq!(parse_new(b"\x40\x01\x00\x03abc"), Some((number, 4..7)));
        assert_eq!(parse_new(b"\x40\x01\x00\x03abc\0"), Some((number, 4..7)));
        assert_eq!(parse_new(b"\x40\x01\x00\x03ab"), None);
        assert_eq!(parse_new(b"\x40\x01\x00\x00"), Some((number, 4..4)));
        assert_eq!(parse_new(b"\x40\x01\x00"), None);
        assert_eq!(parse_new(b"\x50\x00\x00\x00"), None);
        assert!(parse(b"\x50\x00\x00\x00", ChannelRange::Rfc5766).is_some());
        assert_eq!(parse_new(b"\x80\x00\x00\x00"), None);
        assert_eq!(parse_new(b"\x40\x00\xff\xffAAAA"), None);
        assert_eq!(header(number, 3), *b"\x40\x01\x00\x03");
    }
}
