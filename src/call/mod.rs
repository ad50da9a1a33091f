//! Signaling as a state machine without sockets, clock, JSON, or any wire protocol.
//!
//! [`switchboard::Switchboard`] has the same contract as the relay: `handle` mutates once, then
//! `poll` until `None`, then sleep until `deadline` at most. What goes in and comes out stands in
//! [`contract`]; what clients may ask in [`request`]; what they are told in [`event`]; what the
//! record gets in [`rows`]. An edge turns a client's wire form into the one and the other back.

pub mod contract;
mod entropy;
pub mod event;
pub mod fact;
pub mod media;
pub mod options;
pub mod presence;
pub mod refusal;
pub mod request;
pub mod rows;
pub mod state;
pub mod switchboard;
pub mod ulid;

mod accept;
mod authorize;
mod block;
mod command;
mod connect;
mod end;
mod ended;
mod invite;
mod invite_row;
mod leave;
mod live_call;
mod lookup;
mod media_report;
mod outbox;
mod quality;
mod rates;
mod record;
mod reject;
mod rejoin;
mod relay_signal;
mod replies;
mod restore;
mod ring;
mod role_watch;
mod seats;
mod session;
mod table;
mod timers;
mod update;
mod user;
mod watch;
mod weight;
