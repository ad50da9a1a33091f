//! The world of packets: shards, sockets, the ledger. Floors above see a [`handle::Handle`] only.

pub mod handle;
pub mod ledger;
pub mod shard;
pub mod udp;

mod arrivals;
mod crossing;
mod datagram;
mod drops;
mod error_queue;
mod pace;
mod port_pool;
mod relay_sockets;
mod sieve;
mod slots;
mod stream;
mod streams;
mod sys;
