//! May you: pure decisions about peers, quotas and rates.

mod explain;
pub mod fair;
pub mod nat64;
pub mod peers;
pub mod public;
pub mod quota;
mod ranges;
pub mod rate;
pub mod shield;
pub mod watch;
