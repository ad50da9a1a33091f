//! May you: pure decisions about peers, quotas and rates.
