//! Bounds of revoked users.

use std::time::Duration;

use super::{CREDENTIAL_SKEW_S, TTL_MAX};

/// Users whose credentials are refused; one more is an error that says so.
pub const REVOCATIONS_MAX: usize = 10_000;
/// How long a revocation lasts if nobody says: the longest life of a credential issued here, and
/// the clock skew that is forgiven.
pub const REVOCATION_DEFAULT: Duration =
    Duration::from_secs(TTL_MAX.as_secs() + CREDENTIAL_SKEW_S as u64);
/// Longest that can be asked for, but for "until it is undone".
pub const REVOCATION_MAX: Duration = Duration::from_secs(365 * 86_400);
