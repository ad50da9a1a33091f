//! Bounds of calls on record: what waits to be written, what is asked at once.

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

const _: () = assert!(CALLS_PAGE_DEFAULT <= CALLS_PAGE_MAX);
