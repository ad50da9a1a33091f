//! Bounds of the packet path between shards.

use super::{AGGREGATE_BATCH, DATAGRAM_BYTES_MAX, RELAY_BATCH};

/// Relay threads of a daemon.
pub const SHARDS_MAX: usize = 64;
/// Datagrams on their way from one shard to another; the next is dropped.
pub const CROSSINGS_MAX: usize = 1024;
/// Bytes of data of them all.
pub const CROSSING_BYTES_MAX: usize = 1024 * 1024;
/// Datagrams that a shard takes from each other shard in a loop turn.
pub const CROSSINGS_PER_TURN: usize = 256;
/// Buffers of one read that were all filled, from which on the socket is asked what it threw away.
pub const DROPS_LOOKED_FOR_AT: usize = 8;

// `u8::MAX` stands for nobody.
const _: () = assert!(SHARDS_MAX < u8::MAX as usize);
const _: () = assert!(DROPS_LOOKED_FOR_AT <= AGGREGATE_BATCH && DROPS_LOOKED_FOR_AT <= RELAY_BATCH);
const _: () = assert!(CROSSING_BYTES_MAX >= DATAGRAM_BYTES_MAX);
