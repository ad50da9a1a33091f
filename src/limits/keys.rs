//! Bounds of keys that are fetched from an issuer (`jwks_url`).

use std::time::Duration;

/// Longest body of a JWK set that is fetched, bytes; a longer one counts as not fetched.
pub const FETCH_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the head of its answer; a longer one counts as not fetched.
pub const FETCH_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest a fetch may take, from the resolver to the last byte.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Redirects that are followed, on one server only.
pub const FETCH_REDIRECTS_MAX: usize = 3;
/// Fetches at once; the next waits.
pub const FETCHES_MAX: usize = 2;
/// Shortest that keys are kept, whatever their server says.
pub const KEYS_AGE_MIN: Duration = Duration::from_secs(60);
/// Longest that keys are kept before they are fetched again.
pub const KEYS_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long where their server does not say.
pub const KEYS_AGE_DEFAULT: Duration = Duration::from_secs(600);
/// A token with an unknown key has them fetched again, but no more often than this.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a fetch that failed; it doubles.
pub const FETCH_RETRY_MIN: Duration = Duration::from_secs(5);
/// Longest pause after fetches that failed.
pub const FETCH_RETRY_MAX: Duration = Duration::from_secs(600);
/// Requests that wait for the keys of one issuer; one more is judged by those that are there.
pub const KEY_WAITERS_MAX: usize = 64;
/// Longest that one of them waits: for a fetch that is under way, then for its own.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(6);
/// Bytes of the tag by which a server knows what we have; a longer one is not kept.
pub const ETAG_BYTES_MAX: usize = 256;

const _: () = assert!(KEYS_AGE_MIN.as_secs() <= KEYS_AGE_DEFAULT.as_secs());
const _: () = assert!(KEYS_AGE_DEFAULT.as_secs() <= KEYS_AGE_MAX.as_secs());
const _: () = assert!(FETCH_TIMEOUT.as_secs() < KEY_WAIT_MAX.as_secs());
