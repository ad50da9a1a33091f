//! What is too old or too much goes, oldest first, in steps small enough to stand between two
//! transactions. Open allocations, live calls and keys stay.

use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::limits::{CLOCK_DOUBT, CLOCK_STEP_MAX, RETENTION_BATCH_ROWS};
use crate::time::Now;

/// Free pages left in the file for the rows that come next.
const PAGES_SPARE: u64 = 64;
const INCREMENTAL_VACUUM: &str = "PRAGMA incremental_vacuum(256)";
const _: () = assert!(RETENTION_BATCH_ROWS == 256, "the pragma takes no parameter");
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Of each table its oldest rows, by an index: `?1` before when, `?2` how many.
pub(super) const OLDEST: &str =
    "SELECT * FROM (SELECT 0 AS kind, id, ended_at_ms AS at FROM allocations
       WHERE ended_at_ms IS NOT NULL AND ended_at_ms < ?1
       ORDER BY ended_at_ms LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT 1, id, at_ms FROM credentials_issued
       WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT 2, id, at_ms FROM auth_failures
       WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT 3, id, at_ms FROM config_changes
       WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT 4, id, ended_at_ms FROM calls
       WHERE ended_at_ms IS NOT NULL AND ended_at_ms < ?1
       ORDER BY ended_at_ms LIMIT ?2)
    UNION ALL SELECT * FROM (SELECT 5, id, at_ms FROM verifications
       WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
    ORDER BY at LIMIT ?2";
/// Runs that are over and hold nothing, of which there are a handful.
pub(super) const EMPTY_RUNS: &str = "DELETE FROM runs WHERE ended_at_ms < ?1
    AND NOT EXISTS (SELECT 1 FROM allocations WHERE run = runs.id)";

/// What may stay.
#[derive(Debug)]
pub(super) struct Retention {
    /// Days after which a row goes; 0 keeps rows of any age.
    days: u32,
    /// Bytes of pages in use over which the oldest rows go; 0 is no bound.
    bytes_max: u64,
    calendar: Calendar,
}

impl Retention {
    pub(super) fn new(days: u32, bytes_max: u64) -> Self {
        Self { days, bytes_max, calendar: Calendar::default() }
    }

    /// Goes by other bounds; what the calendar believes stays.
    pub(super) fn set(&mut self, days: u32, bytes_max: u64) {
        (self.days, self.bytes_max) = (days, bytes_max);
    }

    /// Deletes up to RETENTION_BATCH_ROWS rows that are too much or, if `by_age`, too old, and
    /// gives as many pages back. `true`: more is to be done.
    pub(super) fn step(
        &mut self,
        connection: &mut Connection,
        now: Now,
        by_age: bool,
    ) -> rusqlite::Result<bool> {
        let mut deleted = 0;
        if by_age && self.days > 0 {
            let today = self.calendar.unix_ms(now);
            let before = today.saturating_sub(i64::from(self.days) * DAY_MS);
            deleted = delete_oldest(connection, before)?;
            delete_empty_runs(connection, before)?;
        }
        if deleted == 0 && self.bytes_max > 0 && bytes_in_use(connection)? > self.bytes_max {
            deleted = delete_oldest(connection, i64::MAX)?;
        }
        let more_pages = give_back(connection)?;
        Ok(deleted > 0 || more_pages)
    }
}

/// The wall clock, doubted when it leaps ahead: what is deleted for being old does not come back.
#[derive(Debug, Default)]
struct Calendar {
    /// Last reading that was believed.
    believed: Option<Now>,
    leapt_at: Option<Instant>,
}

impl Calendar {
    /// Unix milliseconds by which ages are counted.
    fn unix_ms(&mut self, now: Now) -> i64 {
        let Some(believed) = self.believed else {
            self.believed = Some(now);
            return now.unix_ms;
        };
        let expected = believed.after(now.mono.saturating_duration_since(believed.mono)).unix_ms;
        let leap = now.unix_ms.saturating_sub(expected);
        let leapt_at = *self.leapt_at.get_or_insert(now.mono);
        if leap <= CLOCK_STEP_MAX.as_millis() as i64
            || now.mono.saturating_duration_since(leapt_at) >= CLOCK_DOUBT
        {
            *self = Self { believed: Some(now), leapt_at: None };
            return now.unix_ms;
        }
        expected
    }
}

/// Deletes the oldest rows of all tables together that are older than `before` (Unix ms).
fn delete_oldest(connection: &mut Connection, before: i64) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Vec<(i64, i64)> = transaction
        .prepare_cached(OLDEST)?
        .query_map(params![before, RETENTION_BATCH_ROWS as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut deleted = 0;
    for (kind, id) in &oldest {
        if deleted >= RETENTION_BATCH_ROWS {
            break;
        }
        if *kind == 4 {
            deleted += delete_call(&transaction, *id, RETENTION_BATCH_ROWS - deleted)?;
            continue;
        }
        let statement = match kind {
            0 => "DELETE FROM allocations WHERE id = ?1",
            1 => "DELETE FROM credentials_issued WHERE id = ?1",
            2 => "DELETE FROM auth_failures WHERE id = ?1",
            5 => "DELETE FROM verifications WHERE id = ?1",
            _ => "DELETE FROM config_changes WHERE id = ?1",
        };
        deleted += transaction.prepare_cached(statement)?.execute([id])?;
    }
    transaction.commit()?;
    Ok(deleted)
}

/// Deletes up to `most` rows of a call, itself last; returns how many.
fn delete_call(connection: &Connection, id: i64, most: usize) -> rusqlite::Result<usize> {
    const CHILDREN: [&str; 4] = [
        "DELETE FROM quality_reports WHERE id IN (SELECT c.id FROM quality_reports AS c
            JOIN calls USING (call) WHERE calls.id = ?1 LIMIT ?2)",
        "DELETE FROM call_events WHERE id IN (SELECT c.id FROM call_events AS c
            JOIN calls USING (call) WHERE calls.id = ?1 LIMIT ?2)",
        "DELETE FROM call_feedback WHERE id IN (SELECT c.id FROM call_feedback AS c
            JOIN calls USING (call) WHERE calls.id = ?1 LIMIT ?2)",
        "DELETE FROM call_parties WHERE id IN (SELECT c.id FROM call_parties AS c
            JOIN calls USING (call) WHERE calls.id = ?1 LIMIT ?2)",
    ];
    let mut deleted = 0;
    for statement in CHILDREN {
        let left = (most - deleted) as i64;
        deleted += connection.prepare_cached(statement)?.execute(params![id, left])?;
    }
    if deleted < most {
        deleted += connection.prepare_cached("DELETE FROM calls WHERE id = ?1")?.execute([id])?;
    }
    Ok(deleted)
}

/// Runs are a handful of rows; the one that is on has no end.
fn delete_empty_runs(connection: &Connection, before: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached(EMPTY_RUNS)?.execute([before])
}

fn bytes_in_use(connection: &Connection) -> rusqlite::Result<u64> {
    let pages =
        number(connection, "page_count")?.saturating_sub(number(connection, "freelist_count")?);
    Ok(pages.saturating_mul(number(connection, "page_size")?))
}

/// Returns up to RETENTION_BATCH_ROWS free pages to the file system. `true`: there are more.
fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let free = number(connection, "freelist_count")?;
    if free <= PAGES_SPARE {
        return Ok(false);
    }
    {
        let mut statement = connection.prepare_cached(INCREMENTAL_VACUUM)?;
        let mut rows = statement.query([])?;
        // One row a page.
        while rows.next()?.is_some() {}
    }
    let left = number(connection, "freelist_count")?;
    // A file that was made without auto_vacuum gives nothing back.
    Ok(left > PAGES_SPARE && left < free)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::{RECORD_TEND_INTERVAL, TEXT_BYTES_MAX};
    use crate::store::Entry;
    use crate::store::testing::{File, at, closed, failed, issued, opened};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_row_goes_once_it_is_older_than_the_days_kept_and_not_a_millisecond_before() {
        let mut file = File::new();
        file.write(&[issued(0, "a"), failed(0, "b"), opened(1, 0, "c"), closed(1, 0)]);
        file.write(&[Entry::ConfigChanged {
            at_unix_ms: 0,
            key: "realm".to_owned(),
            old: "a".to_owned(),
            new: "b".to_owned(),
            by: "reload",
        }]);
        const CHANGES: &str = "SELECT count(*) FROM config_changes";
        let mut retention = Retention::new(30, 0);
        let thirty_days = 30 * DAY_MS;
        retention.step(file.connection(), at(thirty_days), true).unwrap();
        assert_eq!((file.rows(), file.count(CHANGES)), ((1, 1, 1), 1));
        retention.step(file.connection(), at(thirty_days + 1), true).unwrap();
        assert_eq!((file.rows(), file.count(CHANGES)), ((0, 0, 0), 0));
    }

    #[test]
    fn zero_days_keep_everything() {
        let mut file = File::new();
        file.write(&[issued(0, "a")]);
        Retention::new(0, 0).step(file.connection(), at(i64::MAX), true).unwrap();
        assert_eq!(file.rows(), (0, 1, 0));
    }

    #[test]
    fn open_allocations_and_keys_stay_whatever_their_age_and_the_size() {
        let mut file = File::new();
        file.write(&[opened(1, 0, "a"), opened(2, 0, "b"), closed(2, 0)]);
        file.add_key("k");
        let mut retention = Retention::new(1, 1);
        while retention.step(file.connection(), at(100 * DAY_MS), true).unwrap() {}
        assert_eq!(file.rows(), (1, 0, 0));
        assert_eq!(file.count("SELECT count(*) FROM api_keys"), 1);
        assert_eq!(file.count("SELECT count(*) FROM runs"), 1);
    }

    #[test]
    fn a_step_deletes_a_bounded_number_of_rows_oldest_of_all_tables_first() {
        let mut file = File::new();
        let rows = RETENTION_BATCH_ROWS as i64;
        let entries: Vec<_> =
            (0..rows).flat_map(|t| [issued(2 * t, "a"), failed(2 * t + 1, "b")]).collect();
        file.write(&entries);
        let mut retention = Retention::new(1, 0);
        assert!(retention.step(file.connection(), at(100 * DAY_MS), true).unwrap());
        assert_eq!(file.rows(), (0, rows / 2, rows / 2));
        let oldest = file.count("SELECT min(at_ms) FROM credentials_issued");
        assert_eq!(oldest, rows);
        assert!(retention.step(file.connection(), at(100 * DAY_MS), true).unwrap());
        assert!(!retention.step(file.connection(), at(100 * DAY_MS), true).unwrap());
        assert_eq!(file.rows(), (0, 0, 0));
    }

    #[test]
    fn a_file_over_its_size_loses_its_oldest_rows_and_really_shrinks() {
        let mut file = File::new();
        let user = "u".repeat(TEXT_BYTES_MAX);
        let entries: Vec<_> = (0..8_000).map(|t| issued(t, &user)).collect();
        file.write(&entries);
        let full = file.bytes();
        let bound = full / 2;
        let mut retention = Retention::new(0, bound);
        let mut steps = 0;
        while retention.step(file.connection(), at(8_000), false).unwrap() {
            steps += 1;
            assert!(steps < 1_000, "it comes to an end");
        }
        let spare = (PAGES_SPARE + 1) * 4096;
        assert!(file.bytes() <= bound + spare, "{} of {bound}", file.bytes());
        let (kept, newest) = (
            file.count("SELECT count(*) FROM credentials_issued"),
            file.count("SELECT max(at_ms) FROM credentials_issued"),
        );
        let oldest = file.count("SELECT min(at_ms) FROM credentials_issued");
        assert!(kept > 3_000, "not more than needed: {kept}");
        assert_eq!((newest, oldest), (7_999, 8_000 - kept));
        let before = file.count("SELECT count(*) FROM credentials_issued");
        assert!(!retention.step(file.connection(), at(8_000), false).unwrap());
        assert_eq!(file.count("SELECT count(*) FROM credentials_issued"), before);
    }

    #[test]
    fn a_clock_that_leaps_ahead_deletes_nothing_until_it_has_kept_to_it_for_a_day() {
        let start = at(0);
        let leapt = |mono| Now { unix_ms: 3650 * DAY_MS, ..start.after(mono) };
        let mut calendar = Calendar::default();
        assert_eq!(calendar.unix_ms(start), 0);
        assert_eq!(calendar.unix_ms(leapt(HOUR)), 3_600_000);
        assert_eq!(calendar.unix_ms(leapt(24 * HOUR)), DAY_MS);
        assert_eq!(calendar.unix_ms(leapt(25 * HOUR)), 3650 * DAY_MS);
    }

    #[test]
    fn a_clock_that_is_set_by_an_hour_or_back_is_followed() {
        let start = at(1_000 * DAY_MS);
        let mut calendar = Calendar::default();
        calendar.unix_ms(start);
        let later = start.after(RECORD_TEND_INTERVAL);
        let ahead = Now { unix_ms: later.unix_ms + 3_600_000, ..later };
        assert_eq!(calendar.unix_ms(ahead), ahead.unix_ms);
        let back = Now { unix_ms: 5, ..ahead };
        assert_eq!(calendar.unix_ms(back), 5);
    }
}
