//! Load on a server of one's own: clients that ask on a schedule, and what they saw.
//!
//! Open loop: everything has a time at which it should be sent, and latency counts from there. A
//! server that stalls is charged for all that should have been sent meanwhile.

mod error;
mod files;
mod own;
pub mod relay;
mod report;
mod samples;
mod server;
mod target;
mod tokens;
pub mod ws;

pub use error::LoadError;
pub use report::{Quantiles, Report, ServerUse};
pub use target::Target;
pub use tokens::Signer;

/// Told how it goes, one line at a time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);
