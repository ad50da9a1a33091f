//! A STUN message as it lies in a datagram: checked once, then read without copying.
//!
//! ```text
//!  0      2      4           8                   20
//! |00 type|length|magic cookie|transaction id (12)|attributes: type, length, value, padding to 4 ...
//! ```

use std::ops::Range;

use super::attribute::AttributeType;
use super::integrity;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 20;
/// The fixed value at offset 4 (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// The 96 bits that tie a response to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What kind of message it is (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// Answers with success.
    SuccessResponse,
    /// Answers with an error.
    ErrorResponse,
}

/// A 12-bit method number (RFC 8489 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// Binding (RFC 8489 §2).
    pub const BINDING: Self = Self(0x001);
    /// Allocate (RFC 8656 §7).
    pub const ALLOCATE: Self = Self(0x003);
    /// Refresh (RFC 8656 §8).
    pub const REFRESH: Self = Self(0x004);
    /// Send, an indication only (RFC 8656 §11).
    pub const SEND: Self = Self(0x006);
    /// Data, an indication only (RFC 8656 §11).
    pub const DATA: Self = Self(0x007);
    /// CreatePermission (RFC 8656 §10).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// ChannelBind (RFC 8656 §12).
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// Connect (RFC 6062), refused.
    pub const CONNECT: Self = Self(0x00A);
    /// ConnectionBind (RFC 6062), refused.
    pub const CONNECTION_BIND: Self = Self(0x00B);

    /// The number, 0..=0xFFF.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The 14 bits of a message type from its class and method (RFC 8489 §5, figure 3).
#[must_use]
pub fn message_type(class: Class, method: Method) -> u16 {
    let class_bits = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::SuccessResponse => 0x0100,
        Class::ErrorResponse => 0x0110,
    };
    let m = method.0;
    class_bits | (m & 0x00F) | (m & 0x070) << 1 | (m & 0xF80) << 2
}

/// Why bytes are not a STUN message. None of these is ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Shorter than a header, or the first two bits are not 00.
    NotStun,
    /// The magic cookie is not there: RFC 3489, or something else altogether.
    NoCookie,
    /// The length field is no multiple of 4 or disagrees with the datagram.
    Length,
    /// An attribute runs past the end.
    AttributeOverrun,
    /// FINGERPRINT is wrong or not the last attribute.
    Fingerprint,
}

/// A message with sound framing: every attribute lies inside it, FINGERPRINT, if any, is right.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// Offset of the first MESSAGE-INTEGRITY, unless MESSAGE-INTEGRITY-SHA256 stands before it.
    integrity_at: Option<usize>,
    /// Offset of the first MESSAGE-INTEGRITY-SHA256.
    integrity_sha256_at: Option<usize>,
    /// Offset behind the last attribute that is read: what follows an integrity is not.
    read_end: usize,
    has_fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Checks framing, lengths and FINGERPRINT of a whole datagram.
    ///
    /// # Errors
    /// See [`ParseError`]; the sender gets no answer in any case.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::NotStun);
        };
        let message_type = u16::from_be_bytes([header[0], header[1]]);
        if message_type & 0xC000 != 0 {
            return Err(ParseError::NotStun);
        }
        if header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(ParseError::NoCookie);
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !length.is_multiple_of(4) || bytes.len() != HEADER_BYTES + length {
            return Err(ParseError::Length);
        }
        let class = match message_type & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::SuccessResponse,
            _ => Class::ErrorResponse,
        };
        let m = message_type;
        let method = Method((m & 0x000F) | (m & 0x00E0) >> 1 | (m & 0x3E00) >> 2);
        let mut message = Self {
            bytes,
            class,
            method,
            integrity_at: None,
            integrity_sha256_at: None,
            read_end: bytes.len(),
            has_fingerprint: false,
        };
        message.check_attributes()?;
        Ok(message)
    }

    fn check_attributes(&mut self) -> Result<(), ParseError> {
        let mut rest = Attributes { bytes: self.bytes, at: HEADER_BYTES, end: self.bytes.len() };
        while rest.at < rest.end {
            let at = rest.at;
            let (kind, value) = rest.next().ok_or(ParseError::AttributeOverrun)?;
            // §9: behind MESSAGE-INTEGRITY only the other integrity and FINGERPRINT count, behind
            // the other one only FINGERPRINT.
            if kind == AttributeType::MESSAGE_INTEGRITY
                && self.integrity_at.is_none()
                && self.integrity_sha256_at.is_none()
            {
                self.integrity_at = Some(at);
                self.read_end = at;
            }
            if kind == AttributeType::MESSAGE_INTEGRITY_SHA256 && self.integrity_sha256_at.is_none()
            {
                self.integrity_sha256_at = Some(at);
                self.read_end = self.read_end.min(at);
            }
            if kind == AttributeType::FINGERPRINT {
                let right = integrity::fingerprint(self.bytes, at).to_be_bytes();
                if rest.at != rest.end || value != right {
                    return Err(ParseError::Fingerprint);
                }
                self.has_fingerprint = true;
            }
        }
        Ok(())
    }

    /// Request, indication or one of the responses.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The transaction id.
    #[must_use]
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_BYTES]);
        TransactionId(id)
    }

    /// Whether the sender used FINGERPRINT (it was right, or there would be no message).
    #[must_use]
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Whether there is a message integrity of either kind, right or wrong.
    #[must_use]
    pub fn has_integrity(&self) -> bool {
        self.integrity_at.is_some() || self.integrity_sha256_at.is_some()
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there, right or wrong.
    #[must_use]
    pub fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256_at.is_some()
    }

    /// Whether the message integrity is right under `key`: MESSAGE-INTEGRITY-SHA256 if it is there,
    /// else MESSAGE-INTEGRITY (RFC 8489 §9.2.4). With both, the weaker one is not looked at.
    #[must_use]
    pub fn integrity_matches(&self, key: &[u8]) -> bool {
        if let Some(at) = self.integrity_sha256_at {
            let value = self.value_at(at);
            return value.is_some_and(|value| {
                integrity::message_integrity_sha256_matches(key, self.bytes, at, value)
            });
        }
        let Some(at) = self.integrity_at else { return false };
        let value = self.value_at(at);
        value.is_some_and(|value| integrity::message_integrity_matches(key, self.bytes, at, value))
    }

    fn value_at(&self, at: usize) -> Option<&'a [u8]> {
        let mut attributes = Attributes { bytes: self.bytes, at, end: self.bytes.len() };
        attributes.next().map(|(_, value)| value)
    }

    /// The attributes before the first message integrity, in order.
    ///
    /// What follows is not protected by it and must be ignored (RFC 8489 §9): somebody on the path
    /// could have put it there. That holds for what stands between the two kinds as well.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.bytes, at: HEADER_BYTES, end: self.read_end }
    }

    /// The value of the first attribute of this type; later ones are ignored (RFC 8489 §14).
    #[must_use]
    pub fn attribute(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// Where the value of the first attribute of this type lies in the message.
    #[must_use]
    pub fn range_of(&self, kind: AttributeType) -> Option<Range<usize>> {
        let mut attributes = self.attributes();
        loop {
            let start = attributes.at + 4;
            let (found, value) = attributes.next()?;
            if found == kind {
                return Some(start..start + value.len());
            }
        }
    }

    /// Types that an agent must understand and this one does not, in order, repeats included.
    pub fn unknown_required(&self) -> impl Iterator<Item = AttributeType> + use<'a> {
        self.attributes().map(|(kind, _)| kind).filter(|kind| kind.is_unknown_and_required())
    }
}

/// Walks attributes; ends early (yields `None`) at one that runs past the end.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (AttributeType, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[t0, t1, l0, l1], rest) = self.bytes[self.at..self.end].split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let padded = length.next_multiple_of(4);
        if padded > rest.len() {
            return None;
        }
        self.at += 4 + padded;
        Some((AttributeType(u16::from_be_bytes([t0, t1])), &rest[..length]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hex: &str, expected: Result<(), ParseError>) {
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(Message::parse(&bytes).map(|_| ()), expected, "{hex}");
    }

    const ID: &str = "000102030405060708090a0b";

    #[test] // RFC 8489 §6.3
    fn broken_framing_is_told_apart_by_reason() {
        check(&format!("000100002112a442{ID}"), Ok(()));
        check("", Err(ParseError::NotStun));
        check("000100002112a442000102030405060708090a", Err(ParseError::NotStun));
        check(&format!("400100002112a442{ID}"), Err(ParseError::NotStun));
        check(&format!("800100002112a442{ID}"), Err(ParseError::NotStun));
        check(&format!("000100002112a443{ID}"), Err(ParseError::NoCookie));
        check(&format!("000100032112a442{ID}616263"), Err(ParseError::Length));
        check(&format!("000100042112a442{ID}"), Err(ParseError::Length));
        check(&format!("000100002112a442{ID}00000000"), Err(ParseError::Length));
        check(&format!("000100082112a442{ID}0006ffff41414141"), Err(ParseError::AttributeOverrun));
        check(&format!("000100082112a442{ID}0006000541414141"), Err(ParseError::AttributeOverrun));
        check(&format!("000100082112a442{ID}0006000441414141"), Ok(()));
        check(&format!("000100082112a442{ID}8028000400000000"), Err(ParseError::Fingerprint));
        check(&format!("000100042112a442{ID}80280000"), Err(ParseError::Fingerprint));
    }

    #[test] // RFC 8489 §5, figure 3
    fn class_and_method_survive_their_interleaving() {
        for number in 0..=0xFFF {
            for class in
                [Class::Request, Class::Indication, Class::SuccessResponse, Class::ErrorResponse]
            {
                let mut bytes = [0; HEADER_BYTES];
                bytes[..2].copy_from_slice(&message_type(class, Method(number)).to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                let message = Message::parse(&bytes).unwrap();
                assert_eq!((message.class(), message.method()), (class, Method(number)));
            }
        }
    }
}
