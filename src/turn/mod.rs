//! The relay as a state machine without sockets or clock.

pub mod fact;
