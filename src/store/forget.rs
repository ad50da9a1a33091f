//! Forgetting a person (P33): rows that are about nobody else go, rows that others need stay without
//! him.
//!
//! It goes in steps, each a transaction that is on disk: the writer writes other rows in between,
//! and who is killed in the middle has a record in which the rest is still to be forgotten. What is
//! forgotten is overwritten in the file, and in its log.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use rusqlite::{Connection, params};

use super::database::{Database, FILE_NAME};
use super::error::StoreError;
use super::keys::durably;
use super::queue::Order;
use super::{Store, wait_for};
use crate::auth::credential::turn_user;
use crate::auth::identity::{TenantId, UserId};
use crate::limits::record::FORGET_STEP_ROWS;

/// Who stands in rows that stay.
pub const FORGOTTEN: &str = "(forgotten)";
/// Calls of one step: each has some parties, and a timeline that is bounded.
const STEP_CALLS: usize = 8;

/// Somebody of whom the record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Where.
    pub tenant: TenantId,
    /// Who. In the tenant `default` this means him without a tenant, too.
    pub user: UserId,
}

/// What was done with rows of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsDone {
    /// Which table.
    pub table: &'static str,
    /// What: `deleted`, `anonymised` or `kept`.
    pub done: &'static str,
    /// How many; before, how many there are.
    pub rows: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// By table.
    pub rows: Vec<RowsDone>,
    /// Older copies of the record in the state directory, in which he may still stand.
    pub copies: Vec<PathBuf>,
}

/// What holds somebody, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Calls,
    Allocations,
    Credentials,
    AuthFailures,
    Feedback,
    Invites,
    Blocks,
    Revocations,
}

impl Place {
    /// Calls first: what hangs on them is found by them.
    const ALL: [Self; 8] = [
        Self::Calls,
        Self::Allocations,
        Self::Credentials,
        Self::AuthFailures,
        Self::Feedback,
        Self::Invites,
        Self::Blocks,
        Self::Revocations,
    ];

    fn table(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Allocations => "allocations",
            Self::Credentials => "credentials_issued",
            Self::AuthFailures => "auth_failures",
            Self::Feedback => "call_feedback",
            Self::Invites => "invites",
            Self::Blocks => "user_blocks",
            Self::Revocations => "revocations",
        }
    }

    fn done(self) -> &'static str {
        match self {
            // The other side's history, and what was relayed.
            Self::Calls | Self::Allocations => "anonymised",
            Self::Credentials
            | Self::AuthFailures
            | Self::Feedback
            | Self::Invites
            | Self::Blocks => "deleted",
            // Forgetting somebody must not let him in again; it goes by itself when its time is over.
            Self::Revocations => "kept",
        }
    }

    /// Which rows: `?1` tenant, `?2` user, `?3` both as in a TURN username, `?4` the user if he may
    /// have no tenant.
    fn whose(self) -> &'static str {
        match self {
            Self::Calls => "tenant = ?1 AND ?2 IN (caller, callee) AND ?3 = ?3 AND ?4 IS ?4",
            Self::Allocations | Self::Credentials | Self::AuthFailures | Self::Revocations => {
                "user IN (?3, ?4) AND ?1 = ?1 AND ?2 = ?2"
            }
            Self::Feedback => "tenant = ?1 AND user = ?2 AND ?3 = ?3 AND ?4 IS ?4",
            Self::Invites => "tenant = ?1 AND callee = ?2 AND ?3 = ?3 AND ?4 IS ?4",
            Self::Blocks => "tenant = ?1 AND ?2 IN (user, blocked) AND ?3 = ?3 AND ?4 IS ?4",
        }
    }
}

impl Store {
    /// What the record holds of somebody, and what forgetting him would do with it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn on_record_of(&self, who: &Person) -> Result<Forgotten, StoreError> {
        let rows = self.query(|connection| {
            let count = |place: Place| {
                // Calls by the index of each side.
                let from = match place {
                    Place::Calls => {
                        "(SELECT * FROM calls WHERE caller = ?2
                          UNION SELECT * FROM calls WHERE callee = ?2)"
                    }
                    Place::Allocations
                    | Place::Credentials
                    | Place::AuthFailures
                    | Place::Feedback
                    | Place::Invites
                    | Place::Blocks
                    | Place::Revocations => place.table(),
                };
                let sql = ["SELECT count(*) FROM ", from, " WHERE ", place.whose()].concat();
                let rows = connection.query_row(&sql, names(who), |row| row.get::<_, i64>(0))?;
                Ok(done(place, u64::try_from(rows).unwrap_or(0)))
            };
            Place::ALL.into_iter().map(count).collect()
        })?;
        Ok(Forgotten { rows, copies: self.copies() })
    }

    /// Forgets somebody. What he does from here on is remembered like anything else: end what he has
    /// before. `Ok`: it is on disk. May be done again, and finishes what was cut short.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says; what was forgotten until then is.
    pub fn forget(&self, who: &Person) -> Result<Forgotten, StoreError> {
        if who.user.as_str() == FORGOTTEN {
            // Nobody is less known than that; replaced by itself he would never come to an end.
            let rows = Place::ALL.into_iter().map(|place| done(place, 0)).collect();
            return Ok(Forgotten { rows, copies: self.copies() });
        }
        let mut rows = Vec::new();
        for place in Place::ALL {
            let mut all = 0;
            loop {
                let step = self.step(who.clone(), place)?;
                all += step;
                if step == 0 || place.done() == "kept" {
                    break;
                }
            }
            rows.push(done(place, all));
        }
        Ok(Forgotten { rows, copies: self.copies() })
    }

    fn step(&self, who: Person, place: Place) -> Result<u64, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::Change(Box::new(move |writer, now| {
            // Who waits no longer does not hear the answer; the step stands as it is.
            let _ = reply.try_send(writer.change(now, |database| step(database, &who, place)));
        })))?;
        wait_for(&answer)
    }

    /// Files beside the record that hold what it held once.
    fn copies(&self) -> Vec<PathBuf> {
        let of = |kind: &str| format!("{FILE_NAME}.{kind}");
        let (old, damaged) = (of("v"), of("corrupt-"));
        let is_copy = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&old) || name.starts_with(&damaged)
        };
        let found = fs::read_dir(&self.directory).into_iter().flatten();
        let mut copies: Vec<PathBuf> =
            found.filter_map(|entry| Some(entry.ok()?.path())).filter(is_copy).collect();
        copies.sort();
        copies
    }
}

fn done(place: Place, rows: u64) -> RowsDone {
    RowsDone { table: place.table(), done: place.done(), rows }
}

fn names(who: &Person) -> [Option<String>; 4] {
    let Person { tenant, user } = who;
    let is_default = *tenant == TenantId::default_tenant();
    [
        Some(tenant.to_string()),
        Some(user.to_string()),
        Some(turn_user(tenant, user)),
        is_default.then(|| user.to_string()),
    ]
}

/// Some rows in one transaction; how many.
fn step(database: &mut Database, who: &Person, place: Place) -> Result<u64, StoreError> {
    let wrap = |database: &Database, done: rusqlite::Result<()>| {
        done.map_err(|error| database.error(error))
    };
    let on = database.connection.pragma_update(None, "secure_delete", "ON");
    wrap(database, on)?;
    let stepped = durably(database, |connection| match place {
        Place::Calls => calls(connection, who),
        Place::Allocations => allocations(connection, who),
        Place::Revocations => {
            let sql = ["SELECT count(*) FROM revocations WHERE ", place.whose()].concat();
            connection.query_row(&sql, names(who), |row| row.get::<_, i64>(0))
        }
        Place::Credentials
        | Place::AuthFailures
        | Place::Feedback
        | Place::Invites
        | Place::Blocks => {
            let (table, whose) = (place.table(), place.whose());
            let sql = format!(
                "DELETE FROM {table} WHERE rowid IN
                 (SELECT rowid FROM {table} WHERE {whose} LIMIT {FORGET_STEP_ROWS})"
            );
            Ok(connection.prepare_cached(&sql)?.execute(names(who))? as i64)
        }
    });
    let off = database.connection.pragma_update(None, "secure_delete", "OFF");
    wrap(database, off)?;
    let rows = u64::try_from(stepped?).unwrap_or(0);
    if rows == 0 {
        // The log holds pages as they were before. Where a reader is in the way, it is folded in later.
        let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
        wrap(database, database.connection.query_row(fold, [], |_| Ok(())))?;
    }
    Ok(rows)
}

/// Calls stay for whoever was on the other side: without his name, his number, his devices, and all
/// that somebody wrote on the call, which may be about him.
fn calls(connection: &Connection, who: &Person) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT * FROM (SELECT call FROM calls WHERE tenant = ?1 AND caller = ?2 LIMIT {STEP_CALLS})
         UNION SELECT * FROM
            (SELECT call FROM calls WHERE tenant = ?1 AND callee = ?2 LIMIT {STEP_CALLS})"
    );
    let (tenant, user) = (who.tenant.as_str(), who.user.as_str());
    let found: Vec<String> = connection
        .prepare_cached(&sql)?
        .query_map([tenant, user], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for call in &found {
        let of_call = params![call, user, FORGOTTEN];
        for sql in [
            // A line without a party is about a device that rang, and so about the callee.
            "UPDATE call_events SET device = NULL WHERE call = ?1 AND device IS NOT NULL
                AND ?3 = ?3 AND (party IN
                    (SELECT party FROM call_parties WHERE call = ?1 AND user = ?2)
                OR party IS NULL AND ?2 = (SELECT callee FROM calls WHERE call = ?1))",
            "UPDATE call_parties SET user = ?3, name = '', device_id = NULL, device_kind = NULL,
                device_label = NULL WHERE call = ?1 AND user = ?2",
            "UPDATE calls SET from_display = '', from_number = 'WebRTC'
                WHERE call = ?1 AND caller = ?2 AND ?3 = ?3",
            "UPDATE calls SET to_number = NULL WHERE call = ?1 AND callee = ?2 AND ?3 = ?3",
            "UPDATE calls SET conversation = NULL, contact_id = NULL, external_id = NULL,
                metadata = NULL, recording_url = NULL,
                caller = iif(caller = ?2, ?3, caller), callee = iif(callee = ?2, ?3, callee)
                WHERE call = ?1",
        ] {
            connection.prepare_cached(sql)?.execute(of_call)?;
        }
    }
    Ok(found.len() as i64)
}

/// What was relayed stays, for usage and for the call; the session is a random number that stands in
/// the parties of calls, too.
fn allocations(connection: &Connection, who: &Person) -> rusqlite::Result<i64> {
    let whose = Place::Allocations.whose();
    let sql = format!(
        "UPDATE allocations SET user = ?5, username = '', client = NULL WHERE id IN
         (SELECT id FROM allocations WHERE {whose} LIMIT {FORGET_STEP_ROWS})"
    );
    let nobody = UserId::new(FORGOTTEN).map(|nobody| turn_user(&who.tenant, &nobody));
    let [tenant, user, turn, plain] = names(who);
    let changed = connection.prepare_cached(&sql)?.execute(params![
        tenant,
        user,
        turn,
        plain,
        nobody.unwrap_or_default()
    ])?;
    Ok(changed as i64)
}
