//! Faults of the machine around a running daemon, each under a relayed flow that must not lose more
//! than 0.1 % to it (security.md K3-K12 and K16). `TURNBELL_FAULT_SECONDS` makes them longer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "what was measured is worth a line")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
#[path = "../support/network.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod network;
#[path = "../support/stream_client.rs"]
#[allow(dead_code, reason = "tests/streams uses the rest")]
mod stream_client;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod turn_client;

mod clock;
mod descriptors;
mod flood;
mod flow;
mod line;
mod memory;
mod proxy;

mod record;
mod reload;
mod weather;
