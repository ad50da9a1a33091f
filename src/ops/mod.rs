//! The machine around the daemon: interfaces, ports, logs, systemd, the state directory.

pub mod call_counts;
pub mod external;
pub mod fetch;
pub mod interfaces;
pub mod kernel;
pub mod links;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod port_holder;
pub mod prober;
pub mod process;
mod reach;
pub mod relay_choice;
pub mod resolve;
pub mod socket_drops;
pub mod state_directory;
pub mod state_file;
pub mod systemd;
pub mod web;
