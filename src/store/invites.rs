//! Invites: made, used so many times, revoked. One writer, so that no use is counted twice.

use std::sync::mpsc::{SyncSender, sync_channel};

use rusqlite::{Connection, OptionalExtension, params};

use super::database::Database;
use super::error::StoreError;
use super::keys::durably;
use super::queue;
use super::writer::Writer;
use super::{Store, wait_for};
use crate::limits::identity::INVITES_MAX;
use crate::time::Now;

/// An invite as it is stored: never its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    /// Its ULID, which stands in the token.
    pub id: String,
    /// Whose guest the bearer becomes.
    pub tenant: String,
    /// Who is called; `None`: nobody by itself.
    pub to: Option<String>,
    /// Milliseconds since 1970.
    pub created_at_unix_ms: i64,
    /// Milliseconds since 1970.
    pub expires_at_unix_ms: i64,
    /// How often it may be used.
    pub uses_max: u32,
    /// How often it was.
    pub uses: u32,
    /// Milliseconds since 1970.
    pub revoked_at_unix_ms: Option<i64>,
}

/// What came of using one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteUse {
    /// It counted.
    Granted,
    /// As often as it may be, it was used.
    UsedUp,
    /// Somebody took it back.
    Revoked,
    /// Its time is over.
    Expired,
    /// It is not on record.
    Unknown,
}

/// A change somebody waits for.
#[derive(Debug)]
pub(super) enum Order {
    Add { row: InviteRow, reply: SyncSender<Result<(), StoreError>> },
    Use { id: String, now: Now, reply: SyncSender<Result<InviteUse, StoreError>> },
    Revoke { id: String, now: Now, reply: SyncSender<Result<bool, StoreError>> },
}

impl Store {
    /// Stores an invite. `Ok`: it is on disk. Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `InvitesFull`, `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn add_invite(&self, row: InviteRow) -> Result<(), StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(queue::Order::Invite(Order::Add { row, reply }))?;
        wait_for(&answer)
    }

    /// Uses an invite once, if it can be. `Ok`: that is on disk. Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn use_invite(&self, id: &str, now: Now) -> Result<InviteUse, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(queue::Order::Invite(Order::Use { id: id.into(), now, reply }))?;
        wait_for(&answer)
    }

    /// Takes an invite back. `Ok(true)`: that is on disk; `Ok(false)`: there is none, or it was
    /// taken back before.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn revoke_invite(&self, id: &str, now: Now) -> Result<bool, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(queue::Order::Invite(Order::Revoke { id: id.into(), now, reply }))?;
        wait_for(&answer)
    }

    /// Invites that have not expired, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn invites(&self, now: Now) -> Result<Vec<InviteRow>, StoreError> {
        self.query(|connection| list(connection, now))
    }
}

impl Writer {
    /// A caller that waits no longer does not hear the answer; the change stands as it is.
    pub(super) fn invite(&mut self, now: Now, order: Order) {
        match order {
            Order::Add { row, reply } => {
                let _ = reply.try_send(self.change(now, |database| add(database, &row)));
            }
            Order::Use { id, now, reply } => {
                let _ = reply.try_send(self.change(now, |database| use_once(database, &id, now)));
            }
            Order::Revoke { id, now, reply } => {
                let _ = reply.try_send(self.change(now, |database| revoke(database, &id, now)));
            }
        }
    }
}

/// What has expired makes room.
fn add(database: &mut Database, row: &InviteRow) -> Result<(), StoreError> {
    durably(database, |connection| {
        connection.execute(
            "DELETE FROM invites WHERE expires_at_ms <= ?1",
            params![row.created_at_unix_ms],
        )?;
        let count: u32 =
            connection.query_row("SELECT count(*) FROM invites", [], |row| row.get(0))?;
        if count as usize >= INVITES_MAX {
            return Ok(Err(StoreError::InvitesFull));
        }
        insert(connection, row)?;
        Ok(Ok(()))
    })?
}

fn use_once(database: &mut Database, id: &str, now: Now) -> Result<InviteUse, StoreError> {
    durably(database, |connection| {
        let used = connection.execute(
            "UPDATE invites SET uses = uses + 1
             WHERE id = ?1 AND revoked_at_ms IS NULL AND expires_at_ms > ?2 AND uses < uses_max",
            params![id, now.unix_ms],
        )?;
        if used > 0 {
            return Ok(InviteUse::Granted);
        }
        let found: Option<(Option<i64>, i64)> = connection
            .query_row(
                "SELECT revoked_at_ms, expires_at_ms FROM invites WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        Ok(match found {
            None => InviteUse::Unknown,
            Some((Some(_), _)) => InviteUse::Revoked,
            Some((None, expires_at)) if expires_at <= now.unix_ms => InviteUse::Expired,
            Some((None, _)) => InviteUse::UsedUp,
        })
    })
}

fn revoke(database: &mut Database, id: &str, now: Now) -> Result<bool, StoreError> {
    durably(database, |connection| {
        let revoked = connection.execute(
            "UPDATE invites SET revoked_at_ms = ?2 WHERE id = ?1 AND revoked_at_ms IS NULL",
            params![id, now.unix_ms],
        )?;
        Ok(revoked > 0)
    })
}

/// Those that have not expired, newest first.
pub(super) fn list(connection: &Connection, now: Now) -> rusqlite::Result<Vec<InviteRow>> {
    connection
        .prepare(
            "SELECT id, tenant, callee, created_at_ms, expires_at_ms, uses_max, uses, revoked_at_ms
             FROM invites WHERE expires_at_ms > ?1 ORDER BY id DESC",
        )?
        .query_map([now.unix_ms], |row| {
            Ok(InviteRow {
                id: row.get(0)?,
                tenant: row.get(1)?,
                to: row.get(2)?,
                created_at_unix_ms: row.get(3)?,
                expires_at_unix_ms: row.get(4)?,
                uses_max: row.get(5)?,
                uses: row.get(6)?,
                revoked_at_unix_ms: row.get(7)?,
            })
        })?
        .collect()
}

pub(super) fn insert(connection: &Connection, row: &InviteRow) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO invites
         (id, tenant, callee, created_at_ms, expires_at_ms, uses_max, uses, revoked_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            row.id,
            row.tenant,
            row.to,
            row.created_at_unix_ms,
            row.expires_at_unix_ms,
            row.uses_max,
            row.uses,
            row.revoked_at_unix_ms
        ],
    )?;
    Ok(())
}
