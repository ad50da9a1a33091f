//! What people ask about calls: who called whom, what happened in one, which are not over.
//!
//! Relayed bytes are counted when they are asked for. A client's allocations bear the session it
//! signals in (in its TURN username, P11), the parties of a call bear theirs; what a call relayed is
//! what was relayed, both ways, by all allocations of its parties' sessions that were on at some
//! time between its invite and its end. Three things follow: what goes through the relays of both
//! sides counts in both; an allocation that serves two calls at once counts in both; and an
//! allocation tells its bytes when it ends, so that until then the number is not known.

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Row, params};

use crate::auth::identity::{Role, TenantId, UserId};
use crate::call::media::{Media, MediaPath, PartyId};
use crate::call::request::Device;
use crate::call::rows::{CallRow, EventRow, PartyRow, TimelineKind, UnfinishedCall};
use crate::call::state::{CallStatus, EndReason, PartyRole};
use crate::call::ulid::{CallId, SessionId, Ulid};
use crate::limits::QUERY_ROWS_MAX;

/// Which calls are wanted, newest first.
#[derive(Debug, Clone, Default)]
pub struct CallQuery {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only those in which all of these have a part.
    pub users: Vec<UserId>,
    /// Only those that stand so.
    pub status: Option<CallStatus>,
    /// Only those that somebody else's program calls so.
    pub external_id: Option<String>,
    /// Only from this moment on.
    pub since_unix_ms: Option<i64>,
    /// Only those that are older than this one.
    pub before: Option<CallId>,
    /// At most so many; QUERY_ROWS_MAX at the most.
    pub limit: usize,
}

/// A call with all that was ever in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Its row.
    pub call: CallRow,
    /// Its parties in the order of their numbers; who rejoined stands there again.
    pub parties: Vec<PartyRow>,
    /// What its allocations relayed, both ways; `None` while one of them is on.
    pub relay_bytes: Option<u64>,
    /// The callee had blocked the caller.
    pub is_blocked: bool,
}

pub(super) const CALL: &str =
    "SELECT call, tenant, conversation, status, reason, audio, video, caller, callee,
    from_display, from_number, to_number, contact_id, external_id, metadata, started_at_ms,
    ringing_at_ms, answered_at_ms, connected_at_ms, ended_at_ms, ring_ms, setup_ms, talk_ms, path,
    replaces, heartbeat_at_ms, recording_url FROM calls ";
pub(super) const LIVE: &str = "WHERE ended_at_ms IS NULL ORDER BY id DESC LIMIT ?1";
const PARTY: &str = "SELECT call, party, tenant, user, name, is_verified, user_role, role, session,
    device_id, device_kind, device_label, joined_at_ms, left_at_ms, path FROM call_parties
    WHERE call = ?1 ORDER BY party";
const EVENT: &str = "SELECT call, tenant, at_ms, number, kind, party, device, detail
    FROM call_events WHERE call = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
const RELAYED: &str = "SELECT count(*), count(ended_at_ms),
    CAST(total(bytes_to_peers) + total(bytes_to_client) AS INTEGER) FROM allocations
    WHERE session IN (SELECT session FROM call_parties WHERE call = ?1 AND session IS NOT NULL)
    AND started_at_ms <= ?3 AND (ended_at_ms IS NULL OR ended_at_ms >= ?2)";

const BLOCKED: &str =
    "SELECT EXISTS (SELECT 1 FROM call_events WHERE call = ?1 AND kind = 'blocked')";

pub(super) fn list(
    connection: &Connection,
    query: &CallQuery,
) -> rusqlite::Result<Vec<CallRecord>> {
    // One transaction: calls and parties are of one moment.
    let snapshot = connection.unchecked_transaction()?;
    let CallQuery { tenant, users, status, external_id, since_unix_ms, before, limit } = query;
    let since = since_unix_ms.map(|at| Ulid::new(at, 0).to_string()).unwrap_or_default();
    // Behind the last character of an id.
    let before = before.map_or_else(|| "~".to_owned(), |call| call.to_string());
    let [first, second] = [0, 1].map(|n| users.get(n).map(UserId::as_str));
    let narrowed = [
        " call >= ?3 AND call < ?4 ",
        if tenant.is_some() { "AND tenant = ?1 " } else { "AND ?1 IS NULL " },
        if status.is_some() { "AND status = ?2 " } else { "AND ?2 IS NULL " },
        if external_id.is_some() { "AND external_id = ?8 " } else { "AND ?8 IS NULL " },
        if second.is_some() { "AND ?6 IN (caller, callee) " } else { "AND ?6 IS NULL " },
    ]
    .concat();
    let order = "ORDER BY call DESC LIMIT ?7";
    let sql = if first.is_some() {
        // Each half by its own index.
        let half = |end: &str| {
            format!(
                "SELECT call FROM (SELECT call FROM calls WHERE {end} = ?5 AND {narrowed} {order})"
            )
        };
        format!("{CALL} WHERE call IN ({} UNION {}) {order}", half("caller"), half("callee"))
    } else {
        format!("{CALL} WHERE {narrowed} AND ?5 IS NULL {order}")
    };
    let limit = i64::try_from((*limit).min(QUERY_ROWS_MAX)).unwrap_or(0);
    let calls: Vec<CallRow> = snapshot
        .prepare(&sql)?
        .query_map(
            params![
                tenant.as_ref().map(TenantId::as_str),
                status.map(CallStatus::code),
                since,
                before,
                first,
                second,
                limit,
                external_id
            ],
            call_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    calls.into_iter().map(|call| record(&snapshot, call)).collect()
}

pub(super) fn one(connection: &Connection, call: CallId) -> rusqlite::Result<Option<CallRecord>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut statement = snapshot.prepare(&[CALL, "WHERE call = ?1"].concat())?;
    let found = statement.query_map([call.to_string()], call_row)?.next().transpose()?;
    found.map(|call| record(&snapshot, call)).transpose()
}

pub(super) fn timeline(
    connection: &Connection,
    call: CallId,
    after: u32,
    limit: usize,
) -> rusqlite::Result<Vec<EventRow>> {
    let limit = i64::try_from(limit.min(QUERY_ROWS_MAX)).unwrap_or(0);
    connection
        .prepare(EVENT)?
        .query_map(params![call.to_string(), after, limit], event_row)?
        .collect()
}

pub(super) fn unfinished(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<UnfinishedCall>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut statement = snapshot.prepare(&[CALL, LIVE].concat())?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let calls = statement.query_map([limit], |row| Ok((call_row(row)?, row.get(25)?)))?;
    let whole = |(call, heartbeat_at): (CallRow, Option<i64>)| {
        let mut parties = parties(&snapshot, call.call)?;
        parties.retain(|party| party.left_at.is_none());
        let events = snapshot
            .prepare_cached("SELECT coalesce(max(number), 0) FROM call_events WHERE call = ?1")?
            .query_row([call.call.to_string()], |row| row.get(0))?;
        Ok(UnfinishedCall { call, parties, heartbeat_at, events })
    };
    calls.map(|call| call.and_then(whole)).collect()
}

fn record(connection: &Connection, call: CallRow) -> rusqlite::Result<CallRecord> {
    let parties = parties(connection, call.call)?;
    let until = call.ended_at.unwrap_or(i64::MAX);
    let relay_bytes = connection.prepare_cached(RELAYED)?.query_row(
        params![call.call.to_string(), call.started_at, until],
        |row| {
            let (all, ended): (i64, i64) = (row.get(0)?, row.get(1)?);
            if all == ended { count(row, 2) } else { Ok(None) }
        },
    )?;
    let is_blocked =
        connection.prepare_cached(BLOCKED)?.query_row([call.call.to_string()], |row| row.get(0))?;
    Ok(CallRecord { call, parties, relay_bytes, is_blocked })
}

fn parties(connection: &Connection, call: CallId) -> rusqlite::Result<Vec<PartyRow>> {
    connection.prepare_cached(PARTY)?.query_map([call.to_string()], party_row)?.collect()
}

fn call_row(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    Ok(CallRow {
        call: word(row, 0, CallId::parse)?,
        tenant: word(row, 1, TenantId::new)?,
        conversation: row.get(2)?,
        status: word(row, 3, CallStatus::from_code)?,
        reason: word_if_any(row, 4, EndReason::from_code)?,
        media: Media { audio: row.get(5)?, video: row.get(6)? },
        caller: word(row, 7, UserId::new)?,
        callee: word(row, 8, UserId::new)?,
        from_display: row.get(9)?,
        from_number: row.get(10)?,
        to_number: row.get(11)?,
        contact_id: row.get(12)?,
        external_id: row.get(13)?,
        metadata: row.get(14)?,
        recording_url: row.get(26)?,
        started_at: row.get(15)?,
        ringing_at: row.get(16)?,
        answered_at: row.get(17)?,
        connected_at: row.get(18)?,
        ended_at: row.get(19)?,
        ring_ms: count(row, 20)?,
        setup_ms: count(row, 21)?,
        talk_ms: count(row, 22)?,
        path: word_if_any(row, 23, MediaPath::from_code)?,
        replaces: word_if_any(row, 24, CallId::parse)?,
    })
}

fn party_row(row: &Row<'_>) -> rusqlite::Result<PartyRow> {
    let text = |column| row.get::<_, Option<Box<str>>>(column);
    let device = match (text(9)?, text(10)?, text(11)?) {
        (Some(id), Some(kind), Some(label)) => Some(Device { id, kind, label }),
        (_, _, _) => None,
    };
    Ok(PartyRow {
        call: word(row, 0, CallId::parse)?,
        party: PartyId(row.get(1)?),
        tenant: word(row, 2, TenantId::new)?,
        user: word(row, 3, UserId::new)?,
        name: row.get(4)?,
        is_verified: row.get(5)?,
        user_role: word_if_any(row, 6, Role::from_code)?,
        role: word(row, 7, PartyRole::from_code)?,
        session: word_if_any(row, 8, SessionId::parse)?,
        device,
        joined_at: row.get(12)?,
        left_at: row.get(13)?,
        path: word_if_any(row, 14, MediaPath::from_code)?,
    })
}

fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        call: word(row, 0, CallId::parse)?,
        tenant: word(row, 1, TenantId::new)?,
        at: row.get(2)?,
        number: row.get(3)?,
        kind: word(row, 4, TimelineKind::from_code)?,
        party: row.get::<_, Option<u32>>(5)?.map(PartyId),
        device: row.get(6)?,
        detail: row.get(7)?,
    })
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.map(|value| u64::try_from(value).unwrap_or(0)))
}

pub(super) fn word<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    read(text).ok_or_else(|| {
        let why = Box::new(FromSqlError::InvalidType);
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why)
    })
}

fn word_if_any<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(_) => word(row, column, read).map(Some),
        None => Ok(None),
    }
}
