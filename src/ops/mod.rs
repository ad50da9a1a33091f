//! The machine around the daemon: interfaces, logs, systemd, the state directory.

pub mod interfaces;
pub mod relay_choice;
