//! Bounds of `turnbell load`, so that a slip of the finger asks for nothing absurd.

use std::time::Duration;

/// Sessions of one run.
pub const LOAD_SESSIONS_MAX: u32 = super::ws::WS_CONNECTIONS_MAX as u32;
/// Messages, or calls, a second.
pub const LOAD_RATE_MAX: u32 = 100_000;
/// Longest run.
pub const LOAD_SECONDS_MAX: u64 = 600;
/// Messages a second of one session: a little below what the server lets through.
pub const LOAD_SESSION_RATE_MAX: u32 = super::call::REQUESTS_PER_S * 4 / 5;
/// Bytes of one signal: what a candidate may have, less room for its names.
pub const LOAD_SIGNAL_BYTES_MAX: u32 = super::call::CANDIDATE_BYTES_MAX as u32 - 24;
/// Connections that are opened at the same time.
pub const LOAD_OPENING_MAX: usize = 64;
/// Descriptors beside those of the sessions.
pub const LOAD_FILES_SPARE: u64 = 64;
/// Longest that one answer, or one connection, is waited for.
pub const LOAD_PATIENCE: Duration = Duration::from_secs(20);
/// Events after which a client acknowledges.
pub const LOAD_ACK_EVENTS: u32 = 32;
/// Longest that one with nothing else to say waits to acknowledge.
pub const LOAD_ACK_PAUSE: Duration = Duration::from_secs(5);
/// How long the last messages are waited for.
pub const LOAD_GRACE: Duration = Duration::from_secs(5);
/// Between two lines that say how it goes.
pub const LOAD_PROGRESS: Duration = Duration::from_secs(5);
/// How long the tokens are good that the clients show.
pub const LOAD_TOKEN_TTL: Duration = Duration::from_secs(3600);

const _: () = assert!(LOAD_TOKEN_TTL.as_secs() > 2 * LOAD_SECONDS_MAX);
const _: () = assert!(LOAD_SESSION_RATE_MAX < super::call::REQUESTS_PER_S);
