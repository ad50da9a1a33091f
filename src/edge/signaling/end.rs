//! How a WebSocket ends: by its own faults, by ours, by the switchboard's word.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Error;

use super::exchange::Closing;
use super::frame_in::NotAFrame;
use crate::call::contract::CloseCode;

/// How a connection ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The other side is gone, or has said that it goes.
    Gone,
    /// It is closed with this.
    Close {
        /// Of RFC 6455, or ours.
        code: u16,
        /// At most 123 bytes.
        reason: String,
    },
}

impl End {
    pub(super) fn with(code: CloseCode, reason: &str) -> Self {
        // RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code.
        let end = reason.floor_char_boundary(123);
        Self::Close { code: code.number(), reason: reason[..end].to_owned() }
    }

    /// A fault of RFC 6455 has a code of RFC 6455 (P10).
    pub(super) fn fault(why: &Error) -> Self {
        tracing::trace!(%why, "a WebSocket broke");
        let code = match why {
            Error::Protocol(_) => 1002,
            Error::Utf8(_) => 1007,
            Error::Capacity(_) => 1009,
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Io(_)
            | Error::Tls(_)
            | Error::WriteBufferFull(_)
            | Error::AttackAttempt
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => return Self::Gone,
        };
        Self::Close { code, reason: String::new() }
    }
}

impl From<NotAFrame> for End {
    fn from(NotAFrame(why): NotAFrame) -> Self {
        Self::with(CloseCode::Protocol, &why)
    }
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        let retry = |after: Duration| format!("retry_in_ms={}", after.as_millis());
        Self::with(closing.code, &closing.retry_in.map(retry).unwrap_or_default())
    }
}
