//! Other people's clients against the real binary, and the real binary in networks of its own.

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod turn_client;

mod coturn;
mod turn_crate;
