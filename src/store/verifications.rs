//! What verifications found: one row each, the last of each vantage asked for again and again.

use rusqlite::{Connection, params};

/// One verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerificationRow {
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// `this_machine`, `another_machine`, `browser`, or `browser_here`: a page that proves nothing
    /// about the outside.
    pub vantage: String,
    /// `ok`, `note`, `warning` or `error`.
    pub verdict: String,
    /// The worst verdict's cause.
    pub summary: String,
    /// Under what others may read it, if it is of a page.
    pub shared_as: Option<String>,
    /// All of it, JSON.
    pub report: String,
}

const INSERT: &str = "INSERT INTO verifications (at_ms, vantage, verdict, summary,
    shared_as, report) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LAST: &str = "SELECT max(at_ms), vantage, verdict, summary, report FROM verifications
    WHERE vantage <> 'browser_here' GROUP BY vantage ORDER BY vantage";
const PROVEN: &str = "SELECT max(at_ms) FROM verifications
    WHERE vantage IN ('another_machine', 'browser') AND verdict IN ('ok', 'note')";

pub(super) fn insert(connection: &Connection, row: &VerificationRow) -> rusqlite::Result<bool> {
    let VerificationRow { at_unix_ms, vantage, verdict, summary, shared_as, report } = row;
    connection
        .prepare_cached(INSERT)?
        .execute(params![at_unix_ms, vantage, verdict, summary, shared_as, report])?;
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
                shared_as: None,
                report: row.get(4)?,
            })
        })?
        .collect()
}

/// When somebody outside last had success.
pub(super) fn proven_outside(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.query_row(PROVEN, [], |row| row.get(0))
}

/// The report that others may read under this.
pub(super) fn shared(connection: &Connection, id: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT report FROM verifications WHERE shared_as = ?1";
    connection.prepare_cached(sql)?.query_map([id], |row| row.get(0))?.next().transpose()
}
