//! Bounds of a verification: what one run may take, hold and hear.

use std::time::Duration;

/// Longest a whole run may take; what is not done by then counts as unfinished.
pub const VERIFY_PATIENCE: Duration = Duration::from_secs(20);
/// URLs in one run; more are not looked at.
pub const VERIFY_TARGETS_MAX: usize = 16;
/// Ways to servers that are tried at once; the others wait. Each holds up to two allocations.
pub const VERIFY_WAYS_AT_ONCE: usize = 4;
/// Longest one connection may take to open, its TLS handshake likewise, and an answer to come over
/// it.
pub const VERIFY_STREAM_PATIENCE: Duration = Duration::from_secs(4);
/// Pause before the first retransmission over UDP; it doubles.
pub const VERIFY_RTO: Duration = Duration::from_millis(500);
/// How often a request is sent over UDP; the last wait is as long as four first pauses.
pub const VERIFY_SENDS: u32 = 3;
/// Longest a relayed datagram is waited for, from the first one sent.
pub const VERIFY_DATA_PATIENCE: Duration = Duration::from_millis(2500);
/// Bytes that one connection of a run may receive; then it is closed as one that floods.
pub const VERIFY_BYTES_MAX: usize = 256 * 1024;
/// Messages likewise.
pub const VERIFY_MESSAGES_MAX: u32 = 128;
/// Bytes of REALM and NONCE that are taken from a server; longer ones are no challenge
/// (RFC 8489 §14.9, §14.10: fewer than 128 characters, 763 bytes).
pub const VERIFY_CHALLENGE_BYTES_MAX: usize = 763;
/// Messages between a run and its connections that wait; a reader that is slow holds the sender up,
/// a datagram that goes out and finds no room is lost.
pub const VERIFY_LINK_QUEUE: usize = 64;
/// Bytes of the file with the root certificates; a longer one is not read.
pub const ROOTS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

const _: () = assert!(VERIFY_BYTES_MAX > crate::limits::FRAME_BYTES_MAX);

// A verification by a page.

/// Allocations that one may hold; the next is 486.
pub const PAGE_RUN_ALLOCATIONS_MAX: usize = 8;
/// Errors of the browser that are kept for each URL.
pub const VERIFY_ERRORS_MAX: usize = 8;
/// Bytes of a text that a page tells; the rest is cut off.
pub const VERIFY_TEXT_BYTES_MAX: usize = 200;
