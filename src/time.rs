//! The two clocks. The only file that reads one: everything else is handed a `Now`.

pub mod utc;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
///
/// `mono` never jumps and carries every lifetime. `unix_ms` may jump at any time and is used only
/// for credentials (their expiry is wall time by construction) and for rows in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic reading; lifetimes are counted on it.
    pub mono: Instant,
    /// Milliseconds since 1970-01-01 UTC; negative only if the machine's clock is badly off.
    pub unix_ms: i64,
}

impl Now {
    /// Reads both clocks. Called once per loop turn of a shard, never per packet.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn read() -> Self {
        let unix_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Self { mono: Instant::now(), unix_ms }
    }

    /// Whole Unix seconds, as credentials carry them (rounded down).
    #[must_use]
    pub fn unix_s(self) -> i64 {
        self.unix_ms.div_euclid(1000)
    }

    /// The reading `by` later, both clocks in step. Virtual clocks of tests are built from it.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self {
            mono: self.mono + by,
            unix_ms: self.unix_ms.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}
