//! Bounds of streams: TURN over TCP and TLS.

use std::time::Duration;

use super::DATAGRAM_BYTES_MAX;

/// Longest message on a stream, bytes, as over UDP; a longer one closes the stream.
pub const FRAME_BYTES_MAX: usize = DATAGRAM_BYTES_MAX;
/// Bytes of an unfinished message kept for a client without allocation; more closes the stream.
pub const FRAME_BYTES_UNALLOCATED_MAX: usize = 4 * 1024;
/// Streams of one shard; one more ends the oldest without allocation, or is closed if all have one.
pub const STREAMS_MAX: usize = 8 * 1024;
/// Finished streams waiting for a shard; the next one is closed.
pub const STREAMS_QUEUED_MAX: usize = 256;
/// Streams of one shard, and connections on their way to it, that there may always be while memory
/// is short; beyond them none is taken on.
pub const STREAMS_SHORT: usize = 64;
/// Streams a shard takes over, or closes for doing nothing, in one loop turn.
pub const STREAMS_PER_TURN: usize = 32;
/// Longest a client may take from connecting to its first STUN header, TLS handshake included;
/// then the connection is closed.
pub const STREAM_OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a PROXY header where one is required; then the connection is closed.
pub const PROXY_HEADER_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest PROXY header behind its first 16 bytes; a longer one closes the connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 2048;
/// Connections on their way from `accept` to a shard; one more cuts the oldest.
pub const STREAMS_OPENING_MAX: usize = 2048;
/// Longest a stream without allocation lives after its last whole message; then it is closed.
pub const STREAM_IDLE_MAX: Duration = Duration::from_secs(30);
/// Bytes read from one stream before others get their turn.
pub const STREAM_READ_BYTES: usize = 16 * 1024;
/// Bytes handed to the kernel, or encrypted, at once, and at most one frame more.
pub const STREAM_WRITE_BYTES: usize = 16 * 1024;
/// Bytes waiting for one stream; relayed frames make room, oldest first. Answers that do not fit
/// even so close the stream.
pub const STREAM_QUEUE_BYTES_MAX: usize = 128 * 1024;
/// Age at which a relayed frame is dropped and not sent.
pub const STREAM_QUEUE_AGE_MAX: Duration = Duration::from_millis(500);
/// Unsent bytes in the kernel above which a stream takes no more (TCP_NOTSENT_LOWAT).
pub const STREAM_NOTSENT_BYTES: u32 = 16 * 1024;
/// Send buffer of a stream, bytes; the kernel doubles it for its own overhead.
pub const STREAM_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Longest a client may leave what was sent unacknowledged; then the kernel ends the stream.
pub const STREAM_STALL_TIMEOUT: Duration = Duration::from_secs(20);

const _: () = assert!(FRAME_BYTES_MAX <= DATAGRAM_BYTES_MAX, "a frame fits a slot");
const _: () = assert!(STREAM_QUEUE_BYTES_MAX > FRAME_BYTES_MAX, "one frame fits the queue");
