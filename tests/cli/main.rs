//! The command line, by the real binary: each command with a running daemon and without one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/call_rows.rs"]
#[allow(dead_code, reason = "tests/store uses the rest")]
mod call_rows;
#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon and tests/interop use the rest")]
mod daemon;
#[path = "../support/network.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod network;
#[path = "../support/stun_server.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod stun_server;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon and tests/interop use the rest")]
mod turn_client;

mod accounts;
mod calls;
mod check_config;
mod command;
mod credential;
mod doctor;
mod explain;
mod import_coturn;
mod key;
mod load;
mod load_relay;
mod load_stubs;
mod log;
mod record;
mod refusals;
mod revoke;
mod sessions;
mod status;
mod streams;
mod users;
mod verify_link;
