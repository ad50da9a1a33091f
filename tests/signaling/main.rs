//! `turnbell.v1` over real WebSockets, against the real binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
mod page;
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod turn_client;

mod bad_input;
mod calls;
mod forged;
mod hostile;
mod invites;
mod operator;
mod raw_socket;
mod record;
mod samples;
mod sessions;
mod tokens;
mod why;
mod wire;
