//! Why the daemon did not start, or ended.

use std::io;

use super::Impossible;
use crate::ops::state_directory::StateDirectoryError;

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory is held by another one, or cannot be used.
    #[error(transparent)]
    StateDirectory(#[from] StateDirectoryError),
    /// One or more things in the config do not fit this machine.
    #[error("{}", .0.join("\n"))]
    Wishes(Vec<String>),
    /// The config wants what this machine does not have.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The kernel refused something that every machine has.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// The thread that relays has ended by itself.
    #[error("the relay thread ended: {0}; this is a fault in turnbell, please report it")]
    ShardDied(String),
}

pub(super) fn system(what: &'static str, source: io::Error) -> DaemonError {
    DaemonError::System { what, source }
}
