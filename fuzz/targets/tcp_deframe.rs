//! Any bytes as a stream, in any pieces: the messages found do not depend on where it was cut.

use turnbell::wire::channel_data::{self, CHANNEL_DATA_HEADER_BYTES, ChannelRange};
use turnbell::wire::framing::{Framing, first_frame};
use turnbell::wire::message::{HEADER_BYTES, Message, ParseError};

use super::reader::Reader;

/// One execution: a channel range, up to 15 cuts, the stream.
pub(crate) fn run(data: &[u8]) {
    let mut reader = Reader::new(data);
    let head = reader.u8();
    let channels = if head & 0x80 == 0 { ChannelRange::Rfc8656 } else { ChannelRange::Rfc5766 };
    let cuts: Vec<usize> = (0..head & 0x0F).map(|_| usize::from(reader.u8())).collect();
    let stream = reader.rest();
    let whole = Deframed::of([stream], channels);
    let mut left = stream;
    let pieces = cuts.into_iter().map(|cut| {
        let (piece, rest) = left.split_at(cut.min(left.len()));
        left = rest;
        piece
    });
    let mut pieces: Vec<&[u8]> = pieces.collect();
    pieces.push(left);
    assert_eq!(Deframed::of(pieces, channels), whole);
    // The hardest case: byte by byte.
    if stream.len() <= 256 {
        assert_eq!(Deframed::of(stream.chunks(1), channels), whole);
    }
    for frame in &whole.frames {
        check_frame(frame, channels);
    }
}

/// What a receiver makes of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Deframed {
    frames: Vec<Vec<u8>>,
    /// Bytes of the stream that whole messages and their padding took.
    taken: usize,
    is_malformed: bool,
}

impl Deframed {
    fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, channels: ChannelRange) -> Self {
        let mut found = Self { frames: Vec::new(), taken: 0, is_malformed: false };
        let (mut stream, mut last) = (Vec::new(), Framing::Partial);
        for piece in pieces {
            stream.extend_from_slice(piece);
            loop {
                let kept = &stream[found.taken..];
                let framing = first_frame(kept, channels);
                // More bytes never make sense of what was malformed.
                assert!(last != Framing::Malformed || framing == Framing::Malformed);
                let Framing::Frame { len, taken } = framing else {
                    last = framing;
                    break;
                };
                last = Framing::Partial;
                assert!(CHANNEL_DATA_HEADER_BYTES <= len && len <= taken && taken <= kept.len());
                assert!(taken - len < 4 && taken.is_multiple_of(4));
                found.frames.push(kept[..len].to_vec());
                found.taken += taken;
            }
        }
        found.is_malformed = last == Framing::Malformed;
        found
    }
}

/// A frame goes to the relay as a datagram would, and has the framing of one.
fn check_frame(frame: &[u8], channels: ChannelRange) {
    if channel_data::is_channel_data(frame, channels) {
        let (number, range) = channel_data::parse(frame, channels).expect("a whole message");
        assert_eq!(range, CHANNEL_DATA_HEADER_BYTES..frame.len(), "padding is left out");
        assert_eq!(channel_data::header(number, range.len() as u16), frame[..4]);
        return;
    }
    assert!(frame.len() >= HEADER_BYTES);
    match Message::parse(frame) {
        Ok(_) | Err(ParseError::AttributeOverrun | ParseError::Fingerprint) => {}
        Err(ParseError::NotStun | ParseError::NoCookie | ParseError::Length) => {
            panic!("the framing of a frame is sound")
        }
    }
}
