//! Who has blocked whom: kept until it is taken back, for guests until their token ends.

use rusqlite::{Connection, params};

use super::calls::word;
use crate::auth::identity::{TenantId, UserId};
use crate::call::rows::BlockRow;
use crate::limits::call::BLOCKS_MAX;
use crate::time::Now;

/// Stores a block, and forgets what has ended by then.
pub(super) fn add(connection: &Connection, row: &BlockRow) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM user_blocks WHERE until_ms <= ?1")?
        .execute(params![row.at])?;
    connection
        .prepare_cached(
            "INSERT INTO user_blocks (tenant, user, blocked, at_ms, until_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (tenant, user, blocked) DO UPDATE SET at_ms = ?4, until_ms = ?5",
        )?
        .execute(params![
            row.tenant.as_str(),
            row.user.as_str(),
            row.blocked.as_str(),
            row.at,
            row.until
        ])?;
    Ok(true)
}

/// Takes one back. One that is not there is no loss.
pub(super) fn remove(connection: &Connection, row: &BlockRow) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM user_blocks WHERE tenant = ?1 AND user = ?2 AND blocked = ?3")?
        .execute(params![row.tenant.as_str(), row.user.as_str(), row.blocked.as_str()])?;
    Ok(true)
}

/// Those that are in force.
pub(super) fn list(connection: &Connection, now: Now) -> rusqlite::Result<Vec<BlockRow>> {
    connection
        .prepare(
            "SELECT tenant, user, blocked, at_ms, until_ms FROM user_blocks
             WHERE until_ms IS NULL OR until_ms > ?1 ORDER BY at_ms LIMIT ?2",
        )?
        .query_map(params![now.unix_ms, i64::try_from(BLOCKS_MAX).unwrap_or(i64::MAX)], |row| {
            Ok(BlockRow {
                tenant: word(row, 0, TenantId::new)?,
                user: word(row, 1, UserId::new)?,
                blocked: word(row, 2, UserId::new)?,
                at: row.get(3)?,
                until: row.get(4)?,
            })
        })?
        .collect()
}
