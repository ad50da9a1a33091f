//! API keys: few, durable, never deleted by retention.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::database::Database;
use super::entry::KeyRow;
use super::error::StoreError;
use crate::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope};
use crate::auth::identity::TenantId;
use crate::limits::probe::VERIFY_LINKS_MAX;
use crate::limits::{API_KEYS_MAX, TEXT_BYTES_MAX};
use crate::time::Now;

/// Stores a key. It is on disk when this returns. Those that end by themselves make room first, if
/// they ended or were revoked.
///
/// # Errors
/// `KeyName`, `KeyExists`, `KeysFull`, `LinksFull`, or what SQLite says.
pub(super) fn add(database: &mut Database, key: &KeyRow) -> Result<(), StoreError> {
    if key.name.is_empty() || key.name.len() > TEXT_BYTES_MAX {
        return Err(StoreError::KeyName);
    }
    durably(database, |connection| {
        connection.execute(
            "DELETE FROM api_keys WHERE ends_at_ms <= ?1
                OR (ends_at_ms IS NOT NULL AND revoked_at_ms IS NOT NULL)",
            [key.created_at_unix_ms],
        )?;
        let active: Option<String> = connection
            .query_row(
                "SELECT id FROM api_keys WHERE name = ?1 AND revoked_at_ms IS NULL",
                [&key.name],
                |row| row.get(0),
            )
            .optional()?;
        if active.is_some() {
            return Ok(Err(StoreError::KeyExists(key.name.clone())));
        }
        let count: u32 =
            connection.query_row("SELECT count(*) FROM api_keys", [], |row| row.get(0))?;
        if count as usize >= API_KEYS_MAX {
            return Ok(Err(StoreError::KeysFull));
        }
        let passing: u32 = connection.query_row(
            "SELECT count(*) FROM api_keys WHERE ends_at_ms IS NOT NULL",
            [],
            |row| row.get(0),
        )?;
        if key.grant.ends_at_unix_ms.is_some() && passing as usize >= VERIFY_LINKS_MAX {
            return Ok(Err(StoreError::LinksFull));
        }
        insert(connection, key)?;
        Ok(Ok(()))
    })?
}

/// Ends the active key with this id or, if there is none, with this name. `false`: no such key.
///
/// # Errors
/// What SQLite says.
pub(super) fn revoke(
    database: &mut Database,
    id_or_name: &str,
    now: Now,
) -> Result<bool, StoreError> {
    durably(database, |connection| {
        for statement in [
            "UPDATE api_keys SET revoked_at_ms = ?2 WHERE revoked_at_ms IS NULL AND id = ?1",
            "UPDATE api_keys SET revoked_at_ms = ?2 WHERE revoked_at_ms IS NULL AND name = ?1",
        ] {
            if connection.execute(statement, params![id_or_name, now.unix_ms])? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// All keys, revoked ones too, in the order they were made.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<KeyRow>> {
    connection
        .prepare(
            "SELECT id, name, hash, created_at_ms, revoked_at_ms, scopes, tenant, origins, ends_at_ms
             FROM api_keys ORDER BY rowid",
        )?
        .query_map([], from_row)?
        .collect()
}

pub(super) fn insert(connection: &Connection, key: &KeyRow) -> rusqlite::Result<()> {
    let scopes: Vec<&str> = key.grant.scopes.iter().map(|scope| scope.code()).collect();
    connection.execute(
        "INSERT INTO api_keys
            (id, name, hash, created_at_ms, revoked_at_ms, scopes, tenant, origins, ends_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            key.id,
            key.name,
            key.hash.0,
            key.created_at_unix_ms,
            key.revoked_at_unix_ms,
            scopes.join(" "),
            key.grant.tenant.as_ref().map(TenantId::as_str),
            key.grant.origins.join(" "),
            key.grant.ends_at_unix_ms,
        ],
    )?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: ApiKeyHash(row.get(2)?),
        created_at_unix_ms: row.get(3)?,
        revoked_at_unix_ms: row.get(4)?,
        grant: grant(row)?,
    })
}

/// What cannot be read opens nothing.
fn grant(row: &Row<'_>) -> rusqlite::Result<KeyGrant> {
    let scopes = row.get_ref(5)?.as_str()?.split(' ').filter_map(KeyScope::from_code);
    let tenant = row.get_ref(6)?.as_str_or_null()?;
    let read = tenant.map(TenantId::new);
    Ok(KeyGrant {
        scopes: if read == Some(None) { Vec::new() } else { scopes.collect() },
        tenant: read.flatten(),
        origins: row.get_ref(7)?.as_str()?.split_whitespace().map(Into::into).collect(),
        ends_at_unix_ms: row.get(8)?,
    })
}

/// Runs `change` in a transaction that is synced to disk: a person was told "done", and a revoked
/// key that comes back with the power is a hole.
pub(super) fn durably<T>(
    database: &mut Database,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let wrapped = |connection: &mut Connection| {
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let value = change(&transaction)?;
        transaction.commit()?;
        Ok(value)
    };
    let outcome = wrapped(&mut database.connection);
    let restored = database.connection.pragma_update(None, "synchronous", "NORMAL");
    let value = outcome.map_err(|error| database.error(error))?;
    restored.map_err(|error| database.error(error))?;
    Ok(value)
}
