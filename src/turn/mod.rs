//! The relay as a state machine without sockets or clock.

pub mod allocation;
pub mod channel_binding;
pub mod contract;
pub mod counters;
pub mod drain;
pub mod expiry;
pub mod fact;
pub mod five_tuple;
pub mod flows;
pub mod guard;
pub mod icmp;
pub mod permission;
pub mod port_map;
pub mod rates;
pub mod relay;
pub mod relayed_address;
pub mod replace;
pub mod reply;
pub mod reservation;
pub mod revocation;
pub mod watch;

mod allocate;
mod authentication;
mod binding;
mod channel_bind;
mod create_permission;
mod ending;
mod forward;
mod lean;
mod page_runs;
mod reach;
mod refresh;
mod send;
mod shared;
mod tuple_index;
