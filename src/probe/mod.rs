//! Asking others, as a state machine without sockets or clock.

mod binding;
pub mod mapping;
pub mod observation;
pub mod page;
pub mod target;
pub mod verdict;
pub mod verify;
