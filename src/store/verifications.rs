//! What verifications found: one row each, the last of each vantage asked for again and again.

use rusqlite::{Connection, params};

/// One verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationRow {
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// `this_machine`, `another_machine` or `browser`.
    pub vantage: String,
    /// `ok`, `note`, `warning` or `error`.
    pub verdict: String,
    /// The worst verdict's cause.
    pub summary: String,
    /// All of it, JSON.
    pub report: String,
}

const INSERT: &str = "INSERT INTO verifications (at_ms, vantage, verdict, summary, report)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const LAST: &str = "SELECT max(at_ms), vantage, verdict, summary, report FROM verifications
    GROUP BY vantage ORDER BY vantage";
const PROVEN: &str = "SELECT max(at_ms) FROM verifications
    WHERE vantage <> 'this_machine' AND verdict IN ('ok', 'note')";

pub(super) fn insert(connection: &Connection, row: &VerificationRow) -> rusqlite::Result<bool> {
    let VerificationRow { at_unix_ms, vantage, verdict, summary, report } = row;
    connection
        .prepare_cached(INSERT)?
        .execute(params![at_unix_ms, vantage, verdict, summary, report])?;
    Ok(true)
}

/// The last of each vantage.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<Vec<VerificationRow>> {
    connection
        .prepare(LAST)?
        .query_map([], |row| {
            Ok(VerificationRow {
                at_unix_ms: row.get(0)?,
                vantage: row.get(1)?,
                verdict: row.get(2)?,
                summary: row.get(3)?,
                report: row.get(4)?,
            })
        })?
        .collect()
}

/// When somebody outside last had success.
pub(super) fn proven_outside(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row(PROVEN, [], |row| row.get(0))
}
