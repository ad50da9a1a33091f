//! What was forgotten of a person, as JSON.

use serde::{Deserialize, Serialize};

use crate::store::{Forgotten, Person, RowsDone};

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenWord {
    /// Who.
    pub user: String,
    /// Where.
    pub tenant: String,
    /// Whether it was done; else this is what would be.
    pub done: bool,
    /// Allocations that were ended first; absent where no daemon runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_allocations: Option<usize>,
    /// By table.
    pub rows: Vec<RowsWord>,
    /// Names of older copies in the state directory, in which he may still stand.
    pub copies: Vec<String>,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsWord {
    /// Which.
    pub table: String,
    /// `deleted`, `anonymised` or `kept`.
    pub what: String,
    /// How many.
    pub rows: u64,
}

impl ForgottenWord {
    pub(super) fn of(
        who: &Person,
        done: bool,
        ended_allocations: Option<usize>,
        forgotten: Forgotten,
    ) -> Self {
        let row = |row: RowsDone| RowsWord {
            table: row.table.to_owned(),
            what: row.done.to_owned(),
            rows: row.rows,
        };
        let name = |path: &std::path::PathBuf| {
            path.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        Self {
            user: who.user.to_string(),
            tenant: who.tenant.to_string(),
            done,
            ended_allocations,
            rows: forgotten.rows.into_iter().map(row).collect(),
            copies: forgotten.copies.iter().map(name).collect(),
        }
    }
}
