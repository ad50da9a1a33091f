//! Bounds of what is read from coturn: its file, its command line and its user database.

use std::time::Duration;

/// Largest file; larger is no config file.
pub const COTURN_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// What coturn reads of a line at once (its buffer holds 1024 with the end).
pub const COTURN_LINE_BYTES: usize = 1023;
/// Options in a file, or words of a command line; more is no config file.
pub const COTURN_STATEMENTS_MAX: usize = 30_000;
/// Rows taken of a table of the user database; what is beyond is counted in the report.
pub const COTURN_ROWS_MAX: usize = 10_000;
/// How long a user database may take to answer.
pub const COTURN_DATABASE_PATIENCE: Duration = Duration::from_secs(5);
/// File of accounts that `turnbell user` keeps; what is beyond is not read, and its line is broken.
pub const ACCOUNTS_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Networks that coturn's peer ranges may become; beyond, the list is refused.
pub const COTURN_NETWORKS_MAX: usize = 1024;
/// Pause of `turnbell compare` before it asks again where a quota is used up.
pub const COMPARE_QUOTA_PAUSE: Duration = Duration::from_secs(2);
/// How often it pauses for one server; coturn counts an allocation for 20 s after it was given back.
pub const COMPARE_QUOTA_PAUSES: usize = 15;
