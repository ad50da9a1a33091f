//! Bounds of calls on record: what waits to be written, what is asked at once.

use std::time::Duration;

use super::call::STORES_PENDING_MAX;

/// Rows of calls waiting for the writer, beside the other entries; the next is dropped, counted and
/// answered as not durable.
pub const CALL_ROWS_QUEUED_MAX: usize = STORES_PENDING_MAX;
/// The same in bytes.
pub const CALL_ROWS_QUEUED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Calls, or lines of a timeline, in one answer over HTTP; more is 400.
pub const CALLS_PAGE_MAX: usize = 200;
/// The same where the request names no limit.
pub const CALLS_PAGE_DEFAULT: usize = 50;
/// Questions about calls that read the record at once; the next waits.
pub const CALL_QUERIES_MAX: usize = 4;

/// Bytes of a request that writes on a call: all of its fields at their bounds, and the escapes of
/// JSON; a longer one is 413.
pub const NOTES_BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the address of a recording; more is 400.
pub const RECORDING_URL_BYTES_MAX: usize = 2048;
/// Calls, and allocations, that one question about usage adds up; more is refused, with the word to
/// ask for less. A million takes about a second.
pub const USAGE_ROWS_MAX: usize = 1_000_000;
/// Users, tenants or days that usage is told of in one answer; more is refused likewise.
pub const USAGE_GROUPS_MAX: usize = 10_000;
/// Longest time that usage is asked for at once; more is 400.
pub const USAGE_RANGE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The time up to now where nobody says.
pub const USAGE_RANGE_DEFAULT: Duration = Duration::from_secs(30 * 86_400);
/// Rows that one step of forgetting somebody changes; other rows are written between the steps.
pub const FORGET_STEP_ROWS: usize = 256;
/// Pages that one step of a copy takes.
pub const COPY_STEP_PAGES: i32 = 1024;
/// A record that is larger is brought to a newer schema without a copy of the older one beside it:
/// the start would wait for the disk for too long.
pub const MIGRATION_COPY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

const _: () = assert!(CALLS_PAGE_DEFAULT <= CALLS_PAGE_MAX);
const _: () = assert!(USAGE_RANGE_DEFAULT.as_secs() <= USAGE_RANGE_MAX.as_secs());
