//! The real binary as a service: how it stops and crashes, what floods and broken disks do to it,
//! what it says to the log and to systemd.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod daemon;
#[path = "../support/network.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod network;
#[path = "../support/stun_server.rs"]
mod stun_server;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/interop uses the rest")]
mod turn_client;

mod abuse;
mod bursts;
mod commands;
mod diagnostics;
mod drain;
mod end;
mod external;
mod floods;
mod log;
mod metrics;
mod refusals;
mod reload;
mod shield;
mod spoofed;
mod systemd;
mod threads;
mod too_small;
mod user_hash;
