//! Where a message ends on a stream: STUN and ChannelData follow each other without a length
//! prefix (RFC 8489 §6.2.2, RFC 8656 §12.5).
//!
//! ```text
//! |00 type|length|cookie|transaction id|attributes: a multiple of 4|  20 + length bytes
//! |CN CN  |length|application data|0 to 3 bytes of padding         |   4 + length, rounded up to 4
//! ```

use super::channel_data::{CHANNEL_DATA_HEADER_BYTES, ChannelRange, is_channel_data};
use super::message::{HEADER_BYTES, MAGIC_COOKIE};
use crate::limits::FRAME_BYTES_MAX;

/// What stands at the beginning of buffered stream bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A whole message.
    Frame {
        /// Bytes of the message, padding of ChannelData left out.
        len: usize,
        /// Bytes of the stream it takes, padding included.
        taken: usize,
    },
    /// The beginning of one, or nothing.
    Partial,
    /// No message of ours, or one longer than any datagram: nobody can say where the next begins.
    Malformed,
}

/// Looks at the first message in `bytes`. Pure: the caller keeps what is [`Framing::Partial`].
#[must_use]
pub fn first_frame(bytes: &[u8], channels: ChannelRange) -> Framing {
    let Some(first) = bytes.first() else { return Framing::Partial };
    let is_channel_data = is_channel_data(bytes, channels);
    // RFC 8489 §6.3: an unknown method is discarded and the stream goes on, even a reserved one; but
    // nobody sends a response to it (C1, the last bit of the byte, is set).
    let is_reserved = *first > STUN_FIRST_BYTE_MAX;
    if !is_channel_data && (first & 0xC0 != 0 || is_reserved && first & 1 != 0) {
        return Framing::Malformed;
    }
    let cookie = MAGIC_COOKIE.to_be_bytes();
    if !is_channel_data && bytes.get(4..).is_some_and(|rest| !agree(rest, &cookie)) {
        return Framing::Malformed;
    }
    let Some(&[l0, l1]) = bytes.get(2..4) else { return Framing::Partial };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let (len, taken) = if is_channel_data {
        let len = CHANNEL_DATA_HEADER_BYTES + length;
        (len, len.next_multiple_of(4))
    } else {
        (HEADER_BYTES + length, HEADER_BYTES + length)
    };
    if len > FRAME_BYTES_MAX || !is_channel_data && !length.is_multiple_of(4) {
        return Framing::Malformed;
    }
    if bytes.len() < taken { Framing::Partial } else { Framing::Frame { len, taken } }
}

/// Larger first bytes belong to methods that are reserved (RFC 7983 §7).
const STUN_FIRST_BYTE_MAX: u8 = 3;

/// Whether the shorter one is the beginning of the longer one.
fn agree(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANNELS: ChannelRange = ChannelRange::Rfc8656;

    fn stun(length: u16) -> Vec<u8> {
        let mut bytes = vec![0x00, 0x01];
        bytes.extend(length.to_be_bytes());
        bytes.extend(MAGIC_COOKIE.to_be_bytes());
        bytes.extend([7; 12]);
        bytes.resize(HEADER_BYTES + usize::from(length), 0xAB);
        bytes
    }

    fn channel_data(number: u16, length: usize) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend((length as u16).to_be_bytes());
        bytes.resize(4 + length, 0xCD);
        bytes.resize(bytes.len().next_multiple_of(4), 0xEE);
        bytes
    }

    /// What a stream that receives `pieces` one after the other takes for messages.
    fn deframed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut frames, mut kept) = (Vec::new(), Vec::new());
        for piece in pieces {
            kept.extend_from_slice(piece);
            while let Framing::Frame { len, taken } = first_frame(&kept, CHANNELS) {
                frames.push(kept[..len].to_vec());
                kept.drain(..taken);
            }
        }
        (frames, kept)
    }

    #[test] // RFC 8489 §6.2.2
    fn a_stun_message_ends_where_its_length_says() {
        for length in [0, 4, 8, 1200] {
            let bytes = stun(length);
            let frame = Framing::Frame { len: bytes.len(), taken: bytes.len() };
            assert_eq!(first_frame(&bytes, CHANNELS), frame);
            assert_eq!(first_frame(&[bytes.clone(), stun(4)].concat(), CHANNELS), frame);
            for short in 0..bytes.len() {
                assert_eq!(first_frame(&bytes[..short], CHANNELS), Framing::Partial, "{short}");
            }
        }
    }

    #[test] // RFC 8656 §12.5
    fn channel_data_is_padded_to_four_and_the_padding_is_no_part_of_it() {
        for length in 0..9 {
            let bytes = channel_data(0x4000, length);
            let frame = Framing::Frame { len: 4 + length, taken: bytes.len() };
            assert_eq!(first_frame(&bytes, CHANNELS), frame);
            for short in 0..bytes.len() {
                assert_eq!(first_frame(&bytes[..short], CHANNELS), Framing::Partial, "{short}");
            }
        }
    }

    #[test] // RFC 8489 §5: all messages are multiples of four
    fn a_stun_length_that_is_no_multiple_of_four_is_malformed() {
        for length in [1, 2, 3, 5] {
            assert_eq!(first_frame(&stun(length)[..4], CHANNELS), Framing::Malformed, "{length}");
        }
    }

    #[test]
    fn a_frame_is_at_most_as_long_as_a_datagram() {
        let longest = FRAME_BYTES_MAX - 4;
        let bytes = channel_data(0x4000, longest);
        let frame = Framing::Frame { len: FRAME_BYTES_MAX, taken: bytes.len() };
        assert_eq!(first_frame(&bytes, CHANNELS), frame);
        assert_eq!(first_frame(&channel_data(0x4000, longest + 1), CHANNELS), Framing::Malformed);
        // A length that would wrap 16 bits together with the header (security.md C3, C4).
        let wraps = [&[0x00, 0x01, 0xFF, 0xFC, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
        for bytes in [&wraps[..], &[0x40, 0x00, 0xFF, 0xFF, 0x41, 0x41, 0x41, 0x41]] {
            assert_eq!(first_frame(bytes, CHANNELS), Framing::Malformed);
        }
        let fits = u16::try_from((FRAME_BYTES_MAX - HEADER_BYTES) / 4 * 4).unwrap();
        assert!(matches!(first_frame(&stun(fits), CHANNELS), Framing::Frame { .. }));
        assert_eq!(first_frame(&stun(fits + 4), CHANNELS), Framing::Malformed);
    }

    #[test]
    fn garbage_is_known_by_its_first_byte_that_fits_nothing() {
        for first in (0x05..=0x3F).step_by(2).chain(0x50..=0xFF) {
            assert_eq!(first_frame(&[first], CHANNELS), Framing::Malformed, "{first:#x}");
        }
        for first in (0x00..=0x03).chain((0x04..=0x3E).step_by(2)).chain(0x40..=0x4F) {
            assert_eq!(first_frame(&[first], CHANNELS), Framing::Partial, "{first:#x}");
        }
        let mut bytes = stun(0);
        bytes[7] ^= 1;
        assert_eq!(first_frame(&bytes[..7], CHANNELS), Framing::Partial);
        assert_eq!(first_frame(&bytes[..8], CHANNELS), Framing::Malformed);
        // Channel numbers that only old clients use.
        assert_eq!(first_frame(&[0x50, 0, 0, 0], CHANNELS), Framing::Malformed);
        let old = first_frame(&[0x50, 0, 0, 0], ChannelRange::Rfc5766);
        assert_eq!(old, Framing::Frame { len: 4, taken: 4 });
    }

    fn message() -> impl Strategy<Value = (Vec<u8>, usize)> {
        prop_oneof![
            (0_u16..50).prop_map(|words| (stun(words * 4), 20 + usize::from(words) * 4)),
            (0x4000_u16..0x5000, 0_usize..200).prop_map(|(n, len)| (channel_data(n, len), 4 + len)),
        ]
    }

    proptest! {
        #[test] // security.md C11
        fn any_split_of_any_sequence_gives_the_same_frames(
            messages in prop::collection::vec(message(), 0..20),
            mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
            cut_off in any::<prop::sample::Index>(),
        ) {
            let mut stream: Vec<u8> = messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let expected: Vec<_> =
                messages.iter().map(|(bytes, len)| bytes[..*len].to_vec()).collect();
            // The beginning of one more, to be kept.
            let last = stun(40);
            stream.extend(&last[..cut_off.index(last.len())]);
            let mut at: Vec<_> = cuts.drain(..).map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let (frames, kept) = deframed(at.windows(2).map(|pair| &stream[pair[0]..pair[1]]));
            prop_assert_eq!(frames, expected);
            prop_assert_eq!(kept, &last[..cut_off.index(last.len())]);
        }

        #[test]
        fn no_bytes_make_a_frame_that_is_longer_than_they_are(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            if let Framing::Frame { len, taken } = first_frame(&bytes, ChannelRange::Rfc5766) {
                prop_assert!(4 <= len && len <= taken && taken <= bytes.len());
            }
        }
    }
}
