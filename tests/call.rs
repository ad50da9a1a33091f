//! The switchboard alone: no socket, a virtual clock, every transition and its refused neighbour.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "tests/sim.rs uses the rest")]
#[path = "sim/prng.rs"]
mod prng;

mod call {
    pub(crate) mod actor;
    pub(crate) mod board;
    pub(crate) mod record;
    pub(crate) mod said;
    pub(crate) mod setup;

    mod answering;
    mod authorizing;
    mod blocking;
    mod commands;
    mod ending;
    mod inviting;
    mod losing;
    mod media;
    mod presence;
    mod quality;
    mod rejoining;
    mod requests;
    mod restarting;
    mod ringing;
    mod sessions;
    mod signals;
    mod simulation;
}
