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
/// Bytes of a relayed datagram that stands for media: browsers send up to so many in one packet.
pub const VERIFY_LARGE_BYTES: usize = 1200;
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
/// Lifetime of a credential made for a run.
pub const VERIFY_TTL: Duration = Duration::from_secs(60);
/// Lifetime of the second one, which tells a clock that is off from another secret.
pub const VERIFY_LATER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Age from which on a question for the last result starts a new run.
pub const VERIFY_FRESH: Duration = Duration::from_secs(60);
/// A run that is asked for does not begin sooner than this after the last one began.
pub const VERIFY_PAUSE: Duration = Duration::from_secs(5);
/// Longest a request waits for a run; then it hears that one is on.
pub const VERIFY_ANSWER_PATIENCE: Duration = Duration::from_secs(8);
/// Verdicts that are kept of a report from outside; the rest is left out.
pub const VERIFY_VERDICTS_MAX: usize = 64;
/// First run after the start.
pub const VERIFY_FIRST: Duration = Duration::from_secs(60);

const _: () = assert!(
    VERIFY_ANSWER_PATIENCE.as_secs() < crate::limits::HTTP_REQUEST_TIMEOUT.as_secs(),
    "a run that lasts is told before the request times out"
);
/// Shortest pause between two runs of the daemon by itself.
pub const VERIFY_EVERY_MIN: Duration = Duration::from_secs(5 * 60);
/// The longest; beyond it nobody would notice in time.
pub const VERIFY_EVERY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest one HTTP request of `turnbell verify https://...` may take.
pub const WEB_PATIENCE: Duration = Duration::from_secs(15);
/// Longest a WebSocket may take to answer a ping; then something holds frames back.
pub const WEB_PING_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer over HTTP; a longer one is refused.
pub const WEB_BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a report that is sent to the server it is about.
pub const VERIFY_SENT_BYTES_MAX: usize = crate::limits::HTTP_BODY_BYTES_MAX;

// A verification by a page.

/// Allocations that one may hold; the next is 486.
pub const PAGE_RUN_ALLOCATIONS_MAX: usize = 8;
/// Bytes that all allocations of one run relay together, both ways; what comes after is dropped.
pub const PAGE_RUN_BYTES_MAX: u64 = 20_000_000;
/// Runs whose bytes are counted at once: until the credential ends, for a run that begins again must
/// not begin at 0. Another one gets no allocation (486).
pub const PAGE_RUNS_MAX: usize = 2 * crate::limits::watch::WATCHES_MAX;
/// A browser that found no relay within this time, and no other reason, found no address; what does
/// not answer takes longer.
pub const PAGE_LOOKUP_MAX: Duration = Duration::from_secs(6);
/// How long a link of `turnbell verify --link` is good.
pub const VERIFY_LINK_TTL: Duration = Duration::from_secs(24 * 3600);
/// `turnbell verify` shows its own link again while it is good for so long.
pub const VERIFY_LINK_LEFT_MIN: Duration = Duration::from_secs(12 * 3600);
/// Links that are good at once; another one is refused.
pub const VERIFY_LINKS_MAX: usize = 500;
/// Bytes of its report: as many URLs as a run has, each with all errors that are kept.
pub const VERIFY_REPORT_BODY_BYTES_MAX: usize = 32 * 1024;
/// Errors of the browser that are kept for each URL.
pub const VERIFY_ERRORS_MAX: usize = 8;
/// Bytes of a text that a page tells; the rest is cut off.
pub const VERIFY_TEXT_BYTES_MAX: usize = 200;
