//! TURN over TCP and TLS against the real binary: framing, slow and broken clients, bounds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
#[path = "../support/stream_client.rs"]
mod stream_client;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod turn_client;

mod framing;
mod one_port;
mod relaying;
mod slow;
mod tls;
mod tls_client;
