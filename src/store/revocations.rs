//! Users whose credentials are refused: few, durable, each until its time is over.

use rusqlite::{Connection, params};

use super::database::Database;
use super::entry::RevocationRow;
use super::error::StoreError;
use super::keys::durably;
use crate::limits::revocation::REVOCATIONS_MAX;
use crate::time::Now;

/// Stores a revocation in place of an earlier one of the same user. It is on disk when this
/// returns.
///
/// # Errors
/// `RevocationsFull`, or what SQLite says.
pub(super) fn add(
    database: &mut Database,
    row: &RevocationRow,
    now: Now,
) -> Result<(), StoreError> {
    durably(database, |connection| {
        connection.execute("DELETE FROM revocations WHERE until_ms <= ?1", params![now.unix_ms])?;
        let others: u32 = connection.query_row(
            "SELECT count(*) FROM revocations WHERE user <> ?1",
            [&row.user],
            |row| row.get(0),
        )?;
        if others as usize >= REVOCATIONS_MAX {
            return Ok(Err(StoreError::RevocationsFull));
        }
        insert(connection, row)?;
        Ok(Ok(()))
    })?
}

/// Forgets a revocation. `false`: there is none.
///
/// # Errors
/// What SQLite says.
pub(super) fn remove(database: &mut Database, user: &str) -> Result<bool, StoreError> {
    durably(database, |connection| {
        Ok(connection.execute("DELETE FROM revocations WHERE user = ?1", [user])? > 0)
    })
}

/// Those that are in force, oldest first.
pub(super) fn list(connection: &Connection, now: Now) -> rusqlite::Result<Vec<RevocationRow>> {
    connection
        .prepare(
            "SELECT user, at_ms, until_ms FROM revocations
             WHERE until_ms IS NULL OR until_ms > ?1 ORDER BY at_ms, user",
        )?
        .query_map([now.unix_ms], |row| {
            Ok(RevocationRow {
                user: row.get(0)?,
                at_unix_ms: row.get(1)?,
                until_unix_ms: row.get(2)?,
            })
        })?
        .collect()
}

pub(super) fn insert(connection: &Connection, row: &RevocationRow) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO revocations (user, at_ms, until_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (user) DO UPDATE SET at_ms = ?2, until_ms = ?3",
        params![row.user, row.at_unix_ms, row.until_unix_ms],
    )?;
    Ok(())
}
