//! Asking others, as a state machine without sockets or clock.

mod binding;
pub mod mapping;
