//! One Binding transaction from the client's side (RFC 8489 §6.2.1, §6.3.3).

use std::net::SocketAddr;
use std::time::Instant;

use crate::limits::outside::{STUN_LAST_WAIT, STUN_RTO, STUN_SENDS};
use crate::time::Now;
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::error_code::ErrorCode;
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// A Binding request, until its answer has come or its time is over.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) server: SocketAddr,
    id: TransactionId,
    sends: u32,
    /// When it is sent again, or given up.
    next_at: Instant,
}

/// MAPPED-ADDRESS, SOURCE-ADDRESS and CHANGED-ADDRESS: servers that serve clients of RFC 3489, too,
/// say them to everybody.
const OF_RFC_3489: [u16; 3] = [0x0001, 0x0004, 0x0005];

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// XOR-MAPPED-ADDRESS.
    Mapped(SocketAddr),
    /// An error response with this code; 0 if it has none.
    Error(u16),
    /// A success that says nothing.
    Empty,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// These bytes go to the server.
    Send(Vec<u8>),
    /// No answer will come.
    GivenUp,
}

impl Binding {
    /// The first request is due at once.
    pub(super) fn new(now: Now, server: SocketAddr, id: TransactionId) -> Self {
        Self { server, id, sends: 0, next_at: now.mono }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next_at
    }

    /// Sends at 0, 500, 1500, 3500 ms and so on, [`STUN_SENDS`] times, then waits a last time.
    pub(super) fn due(&mut self, now: Now) -> Due {
        if now.mono < self.next_at {
            return Due::Nothing;
        }
        if self.sends == STUN_SENDS {
            return Due::GivenUp;
        }
        // The pauses count from when it was really sent: a late loop must not send a burst.
        let pause = if self.sends + 1 == STUN_SENDS { STUN_LAST_WAIT } else { 1 << self.sends };
        self.next_at = now.mono + STUN_RTO * pause;
        self.sends += 1;
        let request = MessageWriter::new(Class::Request, Method::BINDING, self.id);
        Due::Send(request.finish(None, true))
    }

    /// Reads a datagram; `None` if it is not the answer: from somebody else, to another question,
    /// or not STUN. What holds something that must be understood and is not says nothing (§6.3.3).
    pub(super) fn answer(&self, from: SocketAddr, bytes: &[u8]) -> Option<Answer> {
        if from != self.server || self.sends == 0 {
            return None;
        }
        let message = Message::parse(bytes).ok()?;
        let is_ours = message.transaction_id() == self.id && message.method() == Method::BINDING;
        if !is_ours {
            return None;
        }
        let is_unknown = |kind: AttributeType| !OF_RFC_3489.contains(&kind.0);
        match message.class() {
            Class::Request | Class::Indication => None,
            Class::ErrorResponse => {
                let code = message.attribute(AttributeType::ERROR_CODE);
                let code = code.and_then(ErrorCode::from_value).map_or(0, ErrorCode::number);
                Some(Answer::Error(code))
            }
            Class::SuccessResponse if message.unknown_required().any(is_unknown) => {
                Some(Answer::Empty)
            }
            Class::SuccessResponse => {
                let mapped = message.attribute(AttributeType::XOR_MAPPED_ADDRESS);
                let mapped = mapped.and_then(|value| XorAddress::decode(value, &self.id));
                Some(mapped.map_or(Answer::Empty, Answer::Mapped))
            }
        }
    }
}
