//! The datagrams that are sent through a relay, and which of them came.
//!
//! ```text
//! |turnbell verify |token (12)|kind|number|zeros, if it is to be large
//! ```

use std::time::{Duration, Instant};

use super::entropy::Entropy;
use crate::limits::probe::{VERIFY_LARGE_BYTES, VERIFY_RTO};
use crate::time::Now;

const HEAD: &[u8; 16] = b"turnbell verify ";
const TOKEN_BYTES: usize = 12;
const BYTES: usize = HEAD.len() + TOKEN_BYTES + 2;
const _: () = assert!(VERIFY_LARGE_BYTES > BYTES);
/// They are numbered, for the round trip of the very one that came back.
const NUMBERS: usize = 16;

/// Where one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// From the first allocation to the second.
    There,
    /// Its answer.
    Back,
    /// From outside to the relayed address.
    Inbound,
    /// From there to outside.
    Outbound,
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Datagrams {
    token: [u8; TOKEN_BYTES],
    /// Of each.
    bytes: usize,
    next_at: Instant,
    sent_at: Vec<Instant>,
    came: Vec<Kind>,
    round_trip: Option<Duration>,
}

impl Datagrams {
    pub(super) fn new(now: Now, entropy: &mut Entropy) -> Self {
        let token = entropy.bytes();
        let (sent_at, came) = (Vec::new(), Vec::new());
        Self { token, bytes: BYTES, next_at: now.mono, sent_at, came, round_trip: None }
    }

    /// Datagrams as large as those of media.
    pub(super) fn large(now: Now, entropy: &mut Entropy) -> Self {
        Self { bytes: VERIFY_LARGE_BYTES, ..Self::new(now, entropy) }
    }

    pub(super) fn are_large(&self) -> bool {
        self.bytes > BYTES
    }

    /// When the next one is due: datagrams may be lost.
    pub(super) fn next_at(&self) -> Instant {
        self.next_at
    }

    /// The next one is about to be sent.
    pub(super) fn count(&mut self, now: Now) {
        if self.sent_at.len() < NUMBERS {
            self.sent_at.push(now.mono);
        }
        self.next_at = now.mono + VERIFY_RTO;
    }

    pub(super) fn write(&self, kind: Kind) -> Vec<u8> {
        self.numbered(kind, self.sent_at.len().saturating_sub(1) as u8)
    }

    /// The answer to one that was read.
    pub(super) fn answer(&self, to: &[u8], kind: Kind) -> Vec<u8> {
        self.numbered(kind, to.get(BYTES - 1).copied().unwrap_or(0))
    }

    fn numbered(&self, kind: Kind, number: u8) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes];
        bytes[..16].copy_from_slice(HEAD);
        bytes[16..28].copy_from_slice(&self.token);
        bytes[28] = kind as u8;
        bytes[29] = number;
        bytes
    }

    /// Notes one that came; `None` if it is none of this exchange.
    pub(super) fn read(&mut self, now: Now, bytes: &[u8]) -> Option<Kind> {
        let body = bytes.strip_prefix(HEAD)?.strip_prefix(&self.token)?;
        let &[kind, number, ..] = body else { return None };
        if bytes.len() != self.bytes {
            return None;
        }
        let kind = [Kind::There, Kind::Back, Kind::Inbound, Kind::Outbound]
            .into_iter()
            .find(|known| *known as u8 == kind)?;
        let sent = self.sent_at.get(usize::from(number))?;
        if kind == Kind::Back && self.round_trip.is_none() {
            self.round_trip = Some(now.mono.saturating_duration_since(*sent));
        }
        if !self.has(kind) {
            self.came.push(kind);
        }
        Some(kind)
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        self.came.contains(&kind)
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}
