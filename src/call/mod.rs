//! Signaling as a state machine without sockets, clock, JSON, or any wire protocol.
//!
//! `Switchboard` has the same contract as the relay: `handle` mutates once, then
//! `poll` until `None`, then sleep until `deadline` at most. What goes in and comes out stands in
//! [`contract`]; what clients may ask in [`request`]; what they are told in [`event`]; what the
//! record gets in [`rows`]. An edge turns a client's wire form into the one and the other back.

pub mod contract;
pub mod event;
pub mod fact;
pub mod media;
pub mod options;
pub mod presence;
pub mod refusal;
pub mod request;
pub mod rows;
pub mod state;
pub mod ulid;
