//! The HTTP side over real loopback sockets: what `/ice` says, to whom, and what bad input gets.

#![expect(clippy::unwrap_used, reason = "a test that meets no answer has failed")]

mod access;
mod connections;
mod control;
mod cors;
mod errors;
mod forwarded;
mod ice;
mod scopes;
mod server;
