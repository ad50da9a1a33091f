//! Bounds of diagnostics: samples in memory, streams to pages, keys of dashboards, lines in the log.

use std::time::Duration;

/// Between two samples of the last hour.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// Samples of the last hour; the oldest goes.
pub const HOUR_SAMPLES_MAX: usize = 360;
/// Samples of the last hour that make one of the last day.
pub const SAMPLES_PER_DAY_SAMPLE: usize = 30;
/// Samples of the last day; the oldest goes.
pub const DAY_SAMPLES_MAX: usize = 288;
/// What `/diagnostics` says may be this old: so often the record and the relay are asked at most,
/// however many ask.
pub const DIAGNOSTICS_AGE_MAX: Duration = Duration::from_secs(2);
/// Pages that are sent samples as they come; the next one is 503 and asks again.
pub const DIAGNOSTICS_STREAMS_MAX: usize = 16;
/// A stream that has nothing to say says so after this long (P13).
pub const STREAM_COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Users, sources and talkers that are named at most.
pub const NAMED_MAX: usize = 10;
/// Calls that are looked at for their ends, newest first; the share of older ones is not known.
pub const CALLS_COUNTED_MAX: usize = 20_000;
/// Quality reports that percentiles are made of, newest first.
pub const QUALITY_REPORTS_MAX: usize = 5_000;
/// How far back calls and quality are looked at.
pub const FIGURES_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// A link of `turnbell dashboard` opens the page once, within this time.
pub const DASHBOARD_LINK_TTL: Duration = Duration::from_secs(10 * 60);
/// Such links that were not opened; the oldest goes.
pub const DASHBOARD_LINKS_MAX: usize = 32;
/// How long a page that was opened so goes on.
pub const DASHBOARD_PAGE_TTL: Duration = Duration::from_secs(12 * 3600);
/// Such pages; the oldest has to be opened anew.
pub const DASHBOARD_PAGES_MAX: usize = 64;
/// Bytes read of each table of counters of the kernel; what is beyond is not counted.
pub const COUNTER_TABLE_BYTES_MAX: u64 = 64 * 1024;
/// How long an outside look at this server proves that it can be reached.
pub const VERIFIED_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Longest wait for the journal to take a line of the log; then it is lost.
pub const JOURNAL_PATIENCE: Duration = Duration::from_millis(100);

// Lines of the log about credentials that were refused.

/// Lines a minute about wrong ones; the rest is counted in the next line.
pub const REFUSAL_LINES_PER_MINUTE: u32 = 60;
/// The same about one address: enough for whoever counts them, such as fail2ban.
pub const REFUSAL_LINES_PER_SOURCE: u8 = 6;
/// Addresses that are told apart in a minute; they share places beyond that.
pub const REFUSAL_SOURCES: usize = 256;
/// Lines on their way to the log; the next one is counted.
pub const REFUSAL_LINES_QUEUED_MAX: usize = 128;

const _: () = assert!(HOUR_SAMPLES_MAX as u64 * SAMPLE_EVERY.as_secs() == 3600);
const _: () = assert!(
    DAY_SAMPLES_MAX as u64 * SAMPLES_PER_DAY_SAMPLE as u64 * SAMPLE_EVERY.as_secs() == 86_400
);
