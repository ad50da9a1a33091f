//! Bounds of the packet path between shards.

use super::DATAGRAM_BYTES_MAX;

/// Relay threads of a daemon.
pub const SHARDS_MAX: usize = 64;
/// Datagrams on their way from one shard to another; the next is dropped.
pub const CROSSINGS_MAX: usize = 1024;
/// Bytes of data of them all.
pub const CROSSING_BYTES_MAX: usize = 1024 * 1024;
/// Datagrams that a shard takes from each other shard in a loop turn.
pub const CROSSINGS_PER_TURN: usize = 256;

// `u8::MAX` stands for nobody.
const _: () = assert!(SHARDS_MAX < u8::MAX as usize);
const _: () = assert!(CROSSING_BYTES_MAX >= DATAGRAM_BYTES_MAX);
