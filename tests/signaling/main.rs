//! `turnbell.v1` over real WebSockets, against the real binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
mod page;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod turn_client;

mod bad_input;
mod calls;
mod invites;
mod operator;
mod record;
mod sessions;
mod tokens;
mod why;
