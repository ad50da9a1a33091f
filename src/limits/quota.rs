//! Bounds of warnings that somebody has nearly all he may have.

use std::time::Duration;

/// Percent of a quota from which it is told of.
pub const QUOTA_NEAR_PERCENT: usize = 80;
/// A quota of allocations of a user that is smaller is told of nowhere.
pub const QUOTA_TOLD_MIN: u32 = 5;
/// How often it is looked who is near his quota.
pub const QUOTA_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Who was told of is not told of again for this long, though he may come near again.
pub const QUOTA_TOLD_FOR: Duration = Duration::from_secs(600);
/// Lines in the log about quotas at one look; the others are counted in one more.
pub const QUOTA_LINES_MAX: usize = 10;
/// Users and tenants that `turnbell status` names; there may be more.
pub const QUOTA_NAMED_MAX: usize = 20;

const _: () = assert!(QUOTA_NEAR_PERCENT <= 100);
