//! May you: pure decisions about peers, quotas and rates.

mod explain;
pub mod fair;
pub mod peers;
pub mod quota;
mod ranges;
pub mod rate;
pub mod shield;
