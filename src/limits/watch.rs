//! Bounds of what is traced for a verification (P7).

use std::time::Duration;

/// Verifications that may be watched at once; the next one is refused.
pub const WATCHES_MAX: usize = 64;
/// How long one is watched after it was asked for last.
pub const WATCH_TIME: Duration = Duration::from_secs(90);
/// Addresses that one is known by; further ones are refused.
pub const WATCH_ADDRESSES_MAX: usize = 8;
/// Events kept of one; further ones are counted.
pub const WATCH_EVENTS_MAX: usize = 200;
/// Of these, at most so many by the address alone: somebody else at it must not push out what is
/// certain.
pub const WATCH_LIKELY_EVENTS_MAX: usize = 100;

const _: () = assert!(WATCH_LIKELY_EVENTS_MAX < WATCH_EVENTS_MAX);
