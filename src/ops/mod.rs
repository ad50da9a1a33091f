//! The machine around the daemon: interfaces, ports, logs, systemd, the state directory.

pub mod external;
pub mod interfaces;
pub mod kernel;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod port_holder;
pub mod process;
mod reach;
pub mod relay_choice;
pub mod resolve;
pub mod state_directory;
pub mod state_file;
pub mod systemd;
