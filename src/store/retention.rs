//! What is too old or too much goes, oldest first, in steps small enough to stand between two
//! transactions. Open allocations and keys stay.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::limits::RETENTION_BATCH_ROWS;
use crate::time::Now;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// What may stay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Days after which a row goes; 0 keeps rows of any age.
    pub(super) days: u32,
    /// Bytes of pages in use over which the oldest rows go; 0 is no bound.
    pub(super) bytes_max: u64,
    /// Whether this step looks at ages as well.
    pub(super) by_age: bool,
}

/// Deletes up to RETENTION_BATCH_ROWS rows. `true`: more is to be done.
pub(super) fn step(connection: &mut Connection, now: Now, kept: Kept) -> rusqlite::Result<bool> {
    let mut deleted = 0;
    if kept.by_age && kept.days > 0 {
        let before = now.unix_ms.saturating_sub(i64::from(kept.days) * DAY_MS);
        deleted = delete_oldest(connection, before)?;
        delete_empty_runs(connection, before)?;
    }
    if deleted == 0 && kept.bytes_max > 0 && bytes_in_use(connection)? > kept.bytes_max {
        deleted = delete_oldest(connection, i64::MAX)?;
    }
    let shrinking = give_back(connection)?;
    Ok(deleted > 0 || shrinking)
}

/// Deletes the oldest rows of all tables together that are older than `before` (Unix ms).
fn delete_oldest(connection: &mut Connection, before: i64) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let oldest: Vec<(i64, i64)> = transaction
        .prepare_cached(
            "SELECT * FROM (SELECT 0 AS kind, id, ended_at_ms AS at FROM allocations
                WHERE ended_at_ms IS NOT NULL AND ended_at_ms < ?1
                ORDER BY ended_at_ms LIMIT ?2)
             UNION ALL SELECT * FROM (SELECT 1, id, at_ms FROM credentials_issued
                WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
             UNION ALL SELECT * FROM (SELECT 2, id, at_ms FROM auth_failures
                WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)
             ORDER BY at LIMIT ?2",
        )?
        .query_map(params![before, RETENTION_BATCH_ROWS as i64], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (kind, id) in &oldest {
        let statement = match kind {
            0 => "DELETE FROM allocations WHERE id = ?1",
            1 => "DELETE FROM credentials_issued WHERE id = ?1",
            _ => "DELETE FROM auth_failures WHERE id = ?1",
        };
        transaction.prepare_cached(statement)?.execute([id])?;
    }
    transaction.commit()?;
    Ok(oldest.len())
}

/// Runs are a handful of rows; the one that is on has no end.
fn delete_empty_runs(connection: &Connection, before: i64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM runs WHERE ended_at_ms < ?1
             AND NOT EXISTS (SELECT 1 FROM allocations WHERE run = runs.id)",
        )?
        .execute([before])
}

fn bytes_in_use(connection: &Connection) -> rusqlite::Result<u64> {
    let pages =
        number(connection, "page_count")?.saturating_sub(number(connection, "freelist_count")?);
    Ok(pages.saturating_mul(number(connection, "page_size")?))
}

/// Returns up to RETENTION_BATCH_ROWS free pages to the file system. `true`: there are more.
fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let free = number(connection, "freelist_count")?;
    // A few are left for the rows that come next.
    if free <= RETENTION_BATCH_ROWS as u64 / 4 {
        return Ok(false);
    }
    let mut statement = connection.prepare("PRAGMA incremental_vacuum(256)")?;
    let mut rows = statement.query([])?;
    // One row a page.
    while rows.next()?.is_some() {}
    Ok(number(connection, "freelist_count")? > RETENTION_BATCH_ROWS as u64 / 4)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}
