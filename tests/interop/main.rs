//! Other people's clients against the real binary, and the real binary in networks of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/daemon.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod daemon;
#[path = "../support/network.rs"]
mod network;
#[path = "../support/stream_client.rs"]
#[allow(dead_code, reason = "tests/streams uses the rest")]
mod stream_client;
#[path = "../streams/tls_client.rs"]
#[allow(dead_code, reason = "tests/streams uses the rest")]
mod tls_client;
#[path = "../support/turn_client.rs"]
#[allow(dead_code, reason = "tests/daemon uses the rest")]
mod turn_client;

mod addresses;
mod bare_machine;
mod broken;
mod coturn;
mod coturn_compare;
mod coturn_databases;
mod coturn_import;
mod foreign;
mod fragments;
mod healthy;
mod ice_stacks;
mod icmp;
mod line;
mod load;
mod names;
mod proxied_verify;
mod proxies;
mod tos;
mod turn_crate;
mod turn_proto;
mod verify;
mod web;
