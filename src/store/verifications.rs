//! What verifications found: one row each, the last of each vantage asked for again and again.

use rusqlite::{Connection, params};

use super::{Store, StoreError};

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

impl Store {
    /// The report of a page that others may read under this id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn shared_verification(&self, id: &str) -> Result<Option<String>, StoreError> {
        let id = id.to_owned();
        self.query(move |connection| shared(connection, &id))
    }

    /// The last verification of each vantage.
    ///
    /// # Errors
    /// What the disk says.
    pub fn last_verifications(&self) -> Result<Vec<VerificationRow>, StoreError> {
        self.query(last)
    }

    /// When a verification outside last had success, Unix milliseconds.
    ///
    /// # Errors
    /// What the disk says.
    pub fn proven_outside(&self) -> Result<Option<i64>, StoreError> {
        self.query(proven_outside)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Entry;
    use crate::store::retention::Retention;
    use crate::store::testing::{File, at};

    fn row(at_unix_ms: i64, vantage: &str, verdict: &str) -> VerificationRow {
        let (summary, report) = (format!("{vantage} {at_unix_ms}"), "{}".to_owned());
        let (vantage, verdict) = (vantage.to_owned(), verdict.to_owned());
        let shared_as = None;
        VerificationRow { at_unix_ms, vantage, verdict, summary, shared_as, report }
    }

    #[test]
    fn the_last_of_each_vantage_is_told_and_only_success_outside_proves_anything() {
        let mut file = File::new();
        assert_eq!(proven_outside(file.connection()).unwrap(), None);
        let rows = [
            row(1, "this_machine", "error"),
            row(9, "this_machine", "ok"),
            row(3, "browser", "note"),
            row(4, "another_machine", "ok"),
            row(8, "another_machine", "warning"),
        ];
        // A page on this machine proves nothing and is no vantage of its own.
        file.write(&[Entry::Verified(row(10, "browser_here", "ok"))]);
        file.write(&rows.clone().map(Entry::Verified));
        let [_, here, browser, _, other] = rows;
        assert_eq!(last(file.connection()).unwrap(), [other, browser, here]);
        assert_eq!(proven_outside(file.connection()).unwrap(), Some(4));
    }

    #[test]
    fn old_ones_go_with_the_days_that_are_kept() {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        let mut file = File::new();
        file.write(&[Entry::Verified(row(0, "browser", "ok"))]);
        let mut retention = Retention::new(30, 0);
        for (later, left) in [(0, 1), (1, 0)] {
            let now = at(30 * DAY_MS + later);
            retention.step(file.connection(), now, true).unwrap();
            assert_eq!(file.count("SELECT count(*) FROM verifications"), left);
        }
    }
}
