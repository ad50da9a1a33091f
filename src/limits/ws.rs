//! Bounds of the WebSocket edge and of the tokens that open it.

use std::time::Duration;

/// Words on their way to the switchboard; who has one more waits.
pub const EXCHANGE_QUEUE_MAX: usize = 1024;
/// Longest the switchboard's task waits for anything.
pub const EXCHANGE_IDLE_MAX: Duration = Duration::from_secs(60);
/// WebSockets at once; the next upgrade is refused with 503.
pub const WS_CONNECTIONS_MAX: usize = 20_000;
/// Longest from the upgrade to `hello`; then the connection is closed with 4008.
pub const WS_HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Pings are sent this often.
pub const WS_PING_INTERVAL: Duration = Duration::from_secs(20);
/// A connection that says nothing for so long, not even a pong, is dead.
pub const WS_SILENCE_MAX: Duration = Duration::from_secs(45);
/// Longest for the last frames and the goodbye of a connection that is closed.
pub const WS_CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// Longest frame of `turnbell.v1`, bytes; a longer one is closed with 4011.
pub const WS_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Longest message that is read at all, bytes; then the connection is closed unread.
pub const WS_MESSAGE_BYTES_MAX: usize = 4 * WS_FRAME_BYTES_MAX;
/// Pings and pongs of one connection a second, after the burst; one more closes it with 4029. (Browsers
/// answer ours; other clients send one in 20 s.)
pub const WS_CONTROL_FRAMES_PER_S: u32 = 10;
/// The same at once.
pub const WS_CONTROL_FRAMES_BURST: u32 = 100;
/// Read buffer of each connection, bytes.
pub const WS_READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes of one connection that the kernel does not take, beyond what the switchboard counts.
pub const WS_WRITE_BUFFER_BYTES_MAX: usize = 512 * 1024;

// Tokens.

/// Longest token (JWT) that is looked at, bytes; a longer one does not count.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest display name, contact id or number taken from a token, bytes; the rest is cut off.
pub const TOKEN_NAME_BYTES_MAX: usize = 128;
/// Keys taken from one JWK set; the rest is left out.
pub const TOKEN_KEYS_MAX: usize = 64;
/// Longest name of a guest, bytes; the rest is cut off.
pub const GUEST_NAME_BYTES_MAX: usize = 64;
/// How long a guest's token is good.
pub const GUEST_TTL: Duration = Duration::from_secs(24 * 3600);
