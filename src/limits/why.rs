//! Bounds of `turnbell why`.

use std::time::Duration;

/// How far back is looked for a user, unless it is said.
pub const WHY_BACK: Duration = Duration::from_secs(24 * 3600);
/// Around a moment, to both sides.
pub const WHY_AROUND: Duration = Duration::from_secs(120);
/// Before a call: its credentials and relays are older than its invite.
pub const WHY_BEFORE_CALL: Duration = Duration::from_secs(900);
/// After a call.
pub const WHY_AFTER_CALL: Duration = Duration::from_secs(60);
/// Calls that are looked at; older ones are not.
pub const WHY_CALLS_MAX: usize = 20;
/// Lines of each source; older ones are left out, and this is said.
pub const WHY_ROWS_MAX: usize = 200;
/// Before its invite a relay of a call may have been made so long ago.
pub const WHY_RELAY_BEFORE_CALL: Duration = Duration::from_secs(5);
