//! The SQLite file (`userdb`).

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{TABLES, question};
use crate::config::coturn::turndb::Rows;
use crate::config::coturn::with_cure;

/// Reads a file that coturn may have open; nothing is written to it.
pub(super) fn read(path: &Path) -> Result<Rows, String> {
    let shown = path.display();
    let said = |error: rusqlite::Error| format!("{shown}: {error}");
    let unreadable = |error: std::io::Error| format!("{shown}: {}", with_cure(&error));
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{shown} is no file"));
    }
    // SQLite would only say that it cannot open it.
    std::fs::File::open(path).map_err(unreadable)?;
    let database =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(said)?;
    database.busy_timeout(Duration::from_secs(2)).map_err(said)?;
    let mut rows = Rows::default();
    for (table, columns) in TABLES {
        let found = table_of(&database, &question(table, columns));
        rows.add(table, found.map_err(|error| error.to_string()));
    }
    rows.or_all_broken().map_err(|why| format!("{shown}: {why}"))
}

fn table_of(database: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = database.prepare(sql)?;
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        (0..width)
            .map(|at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default))
            .collect()
    };
    statement.query_map([], row)?.collect()
}
