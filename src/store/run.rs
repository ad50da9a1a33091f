//! One run of the daemon, from start to stop or crash.

use rusqlite::{Connection, TransactionBehavior, params};

use super::rows::signed;
use crate::time::Now;

pub(super) const CLOSE_ALLOCATIONS: &str = "UPDATE allocations SET end_reason = 'crash',
    ended_at_ms = max(started_at_ms,
        coalesce((SELECT alive_at_ms FROM runs WHERE id = allocations.run), started_at_ms))
    WHERE ended_at_ms IS NULL";
pub(super) const CLOSE_RUNS: &str = "UPDATE runs SET end_reason = 'crash',
    ended_at_ms = alive_at_ms WHERE ended_at_ms IS NULL";

/// Closes what earlier runs left open: they crashed. A crash is dated to the last time its writer
/// wrote.
pub(super) fn close_crashed(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(CLOSE_ALLOCATIONS, [])?;
    transaction.execute(CLOSE_RUNS, [])?;
    transaction.commit()
}

/// Notes a new run; its id counts allocations apart from those of other runs.
pub(super) fn begin(connection: &Connection, started: Now, version: &str) -> rusqlite::Result<i64> {
    connection.execute(
        "INSERT INTO runs (version, started_at_ms, alive_at_ms) VALUES (?1, ?2, ?2)",
        params![version, started.unix_ms],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Whether the file knows this run. It may be another file than before.
pub(super) fn is_noted(connection: &Connection, run: i64, started: Now) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT count(*) = 1 FROM runs WHERE id = ?1 AND started_at_ms = ?2",
        params![run, started.unix_ms],
        |row| row.get(0),
    )
}

/// Notes that a run stopped in order. An allocation that is still open then ended in an entry
/// that was lost.
pub(super) fn end(
    connection: &mut Connection,
    now: Now,
    run: i64,
    dropped: u64,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute(
        "UPDATE allocations SET end_reason = 'unrecorded', ended_at_ms = ?2
         WHERE run = ?1 AND ended_at_ms IS NULL",
        params![run, now.unix_ms],
    )?;
    transaction.execute(
        "UPDATE runs SET alive_at_ms = ?2, ended_at_ms = ?2, end_reason = 'shutdown',
         rows_dropped = ?3 WHERE id = ?1",
        params![run, now.unix_ms, signed(dropped)],
    )?;
    transaction.commit()
}
