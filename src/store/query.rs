//! What people ask: who is connected, who was, and what happened when.

use rusqlite::{Connection, Row, params};

use super::entry::IssuedBy;
use crate::limits::QUERY_ROWS_MAX;
use crate::turn::fact::Traffic;

/// Which allocations are wanted, newest first.
#[derive(Debug, Clone)]
pub struct SessionQuery {
    /// Only this user's.
    pub user: Option<String>,
    /// Only those that are on.
    pub open_only: bool,
    /// At most so many; QUERY_ROWS_MAX at the most.
    pub limit: usize,
}

impl Default for SessionQuery {
    /// All of them.
    fn default() -> Self {
        Self { user: None, open_only: false, limit: QUERY_ROWS_MAX }
    }
}

/// One allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Which run of the daemon.
    pub run: i64,
    /// Which allocation of that run.
    pub number: u64,
    /// User by which quotas count.
    pub user: String,
    /// USERNAME as the client sent it.
    pub username: String,
    /// As much of the client's address as is kept.
    pub client: Option<String>,
    /// Our side of the five-tuple.
    pub server: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Relayed transport address.
    pub relayed: String,
    /// Of an allocation with both families: the other one.
    pub relayed_other: Option<String>,
    /// First granted lifetime, seconds.
    pub lifetime_s: u32,
    /// Milliseconds since 1970.
    pub started_at_unix_ms: i64,
    /// Milliseconds since 1970; `None` while it is on.
    pub ended_at_unix_ms: Option<i64>,
    /// `client`, `expired`, `shutdown`, `crash` or `unrecorded`; `None` while it is on.
    pub end_reason: Option<String>,
    /// What it relayed; zero until it has ended.
    pub traffic: Traffic,
}

/// What the log is asked for, newest first.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Only what concerns this user. A failed authentication concerns the user it claimed.
    pub user: Option<String>,
    /// Only one kind.
    pub kind: Option<LogKind>,
    /// Only from this moment on.
    pub since_unix_ms: Option<i64>,
    /// Only up to this moment.
    pub until_unix_ms: Option<i64>,
    /// At most so many; QUERY_ROWS_MAX at the most.
    pub limit: usize,
}

impl Default for LogQuery {
    /// All of it.
    fn default() -> Self {
        let (since_unix_ms, until_unix_ms) = (None, None);
        Self { user: None, kind: None, since_unix_ms, until_unix_ms, limit: QUERY_ROWS_MAX }
    }
}

/// Kinds of log rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Credentials issued.
    Credential,
    /// Allocations opened.
    Opened,
    /// Allocations closed.
    Closed,
    /// Failed authentications, and counts of those without a row.
    AuthFailure,
    /// The daemon started, stopped or crashed.
    Run,
    /// Another value of a key counts.
    Config,
}

impl LogKind {
    /// All, in the order of the log for things of one millisecond (latest first).
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::AuthFailure, Self::Opened, Self::Credential, Self::Config, Self::Run];

    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Opened => "opened",
            Self::Closed => "closed",
            Self::AuthFailure => "auth_failure",
            Self::Run => "run",
            Self::Config => "config",
        }
    }

    /// The inverse of `code`.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// What happened.
    pub event: LogEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A client was handed a credential.
    CredentialIssued {
        /// Whom it is for.
        user: String,
        /// TURN username.
        username: String,
        /// Unix seconds.
        expires_at: i64,
        /// Seconds.
        ttl_s: u32,
        /// Who asked.
        by: IssuedBy,
        /// As much of the address as is kept.
        client: Option<String>,
    },
    /// A relayed address was given; `ended_at_unix_ms` and what follows it tell its later fate.
    AllocationOpened(SessionRow),
    /// A relayed address was given back.
    AllocationClosed(SessionRow),
    /// A request with credentials was refused.
    AuthenticationFailed {
        /// User it claimed to be.
        user: String,
        /// USERNAME as claimed.
        username: String,
        /// As much of the address as is kept.
        client: Option<String>,
        /// `udp`, `tcp` or `tls`.
        transport: String,
        /// Code of the true cause (`AuthFailure::code`).
        cause: String,
        /// How long ago the credential had ended, seconds, if that is the cause.
        expired_ago_s: Option<i64>,
        /// Failures since the previous row that have none.
        suppressed: u64,
    },
    /// Failed authentications of one minute beyond those with a row.
    AuthenticationFailuresCounted {
        /// How many.
        count: u64,
    },
    /// Another value of a key counts.
    ConfigChanged {
        /// Its path.
        key: String,
        /// What counted before.
        old: String,
        /// What counts from then on.
        new: String,
        /// `reload`, `stun` or `dns`.
        by: String,
    },
    /// The daemon started.
    RunStarted {
        /// Its version.
        version: String,
    },
    /// The daemon stopped or crashed.
    RunEnded {
        /// `shutdown` or `crash`.
        reason: String,
        /// Entries that are missing in the record of this run.
        rows_dropped: u64,
    },
}

const SESSIONS: &str = "SELECT run, number, user, username, client, server, transport, relayed,
    lifetime_s, started_at_ms, ended_at_ms, end_reason, packets_to_peers, bytes_to_peers,
    packets_to_client, bytes_to_client, relayed_other FROM allocations ";

pub(super) fn sessions(
    connection: &Connection,
    query: &SessionQuery,
) -> rusqlite::Result<Vec<SessionRow>> {
    let sql = [
        SESSIONS,
        if query.open_only { "WHERE ended_at_ms IS NULL " } else { "WHERE TRUE " },
        of_user(query.user.as_deref()),
        " ORDER BY started_at_ms DESC, id DESC LIMIT ?2",
    ];
    connection
        .prepare(&sql.concat())?
        .query_map(params![query.user, limit(query.limit)], session)?
        .collect()
}

pub(super) fn log(connection: &Connection, query: &LogQuery) -> rusqlite::Result<Vec<LogRow>> {
    // One transaction: all kinds are of one moment.
    let snapshot = connection.unchecked_transaction()?;
    let mut rows = Vec::new();
    for kind in LogKind::ALL {
        if query.kind.is_none_or(|wanted| wanted == kind) {
            rows.extend(of_kind(&snapshot, kind, query)?);
        }
    }
    // Stable: for one millisecond the order of LogKind::ALL and of each table holds.
    rows.sort_by_key(|row| std::cmp::Reverse(row.at_unix_ms));
    rows.truncate(query.limit.min(QUERY_ROWS_MAX));
    Ok(rows)
}

fn of_kind(
    connection: &Connection,
    kind: LogKind,
    query: &LogQuery,
) -> rusqlite::Result<Vec<LogRow>> {
    let (from, order) = match kind {
        LogKind::Credential => (
            "SELECT at_ms, user, username, expires_at_s, ttl_s, issued_by, key_id, client
             FROM credentials_issued WHERE at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY at_ms DESC, id DESC LIMIT ?2",
        ),
        LogKind::Opened => (
            "WHERE started_at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY started_at_ms DESC, id DESC LIMIT ?2",
        ),
        LogKind::Closed => (
            "WHERE ended_at_ms IS NOT NULL AND ended_at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY ended_at_ms DESC, id DESC LIMIT ?2",
        ),
        LogKind::AuthFailure => (
            "SELECT at_ms, user, username, client, transport, cause, expired_ago_s, suppressed
             FROM auth_failures WHERE at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY at_ms DESC, id DESC LIMIT ?2",
        ),
        // A change is nobody's: with a user asked for, NULL matches none.
        LogKind::Config => (
            "SELECT at_ms, key, old, new, changed_by FROM (
                SELECT at_ms, key, old, new, changed_by, id, NULL AS user FROM config_changes)
             WHERE at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY at_ms DESC, id DESC LIMIT ?2",
        ),
        // Likewise a run.
        LogKind::Run => (
            "SELECT at_ms, version, end_reason, rows_dropped FROM (
                SELECT started_at_ms AS at_ms, version, NULL AS end_reason, rows_dropped, id,
                    NULL AS user FROM runs
                UNION ALL SELECT ended_at_ms, version, end_reason, rows_dropped, id, NULL
                    FROM runs WHERE ended_at_ms IS NOT NULL)
             WHERE at_ms BETWEEN ?3 AND ?4 ",
            " ORDER BY at_ms DESC, id DESC LIMIT ?2",
        ),
    };
    let head = match kind {
        LogKind::Opened | LogKind::Closed => SESSIONS,
        LogKind::Credential | LogKind::AuthFailure | LogKind::Run | LogKind::Config => "",
    };
    let since = query.since_unix_ms.unwrap_or(i64::MIN);
    let until = query.until_unix_ms.unwrap_or(i64::MAX);
    connection
        .prepare(&[head, from, of_user(query.user.as_deref()), order].concat())?
        .query_map(params![query.user, limit(query.limit), since, until], |row| log_row(kind, row))?
        .collect()
}

fn log_row(kind: LogKind, row: &Row<'_>) -> rusqlite::Result<LogRow> {
    Ok(match kind {
        LogKind::Credential => LogRow {
            at_unix_ms: row.get(0)?,
            event: LogEvent::CredentialIssued {
                user: row.get(1)?,
                username: row.get(2)?,
                expires_at: row.get(3)?,
                ttl_s: row.get(4)?,
                by: IssuedBy::from_columns(row.get_ref(5)?.as_str()?, row.get(6)?),
                client: row.get(7)?,
            },
        },
        LogKind::Opened => {
            let session = session(row)?;
            LogRow {
                at_unix_ms: session.started_at_unix_ms,
                event: LogEvent::AllocationOpened(session),
            }
        }
        LogKind::Closed => {
            let session = session(row)?;
            LogRow {
                at_unix_ms: session.ended_at_unix_ms.unwrap_or(session.started_at_unix_ms),
                event: LogEvent::AllocationClosed(session),
            }
        }
        LogKind::AuthFailure => LogRow { at_unix_ms: row.get(0)?, event: failure(row)? },
        LogKind::Config => LogRow {
            at_unix_ms: row.get(0)?,
            event: LogEvent::ConfigChanged {
                key: row.get(1)?,
                old: row.get(2)?,
                new: row.get(3)?,
                by: row.get(4)?,
            },
        },
        LogKind::Run => LogRow {
            at_unix_ms: row.get(0)?,
            event: match row.get(2)? {
                None => LogEvent::RunStarted { version: row.get(1)? },
                Some(reason) => LogEvent::RunEnded { reason, rows_dropped: count(row, 3)? },
            },
        },
    })
}

fn failure(row: &Row<'_>) -> rusqlite::Result<LogEvent> {
    let suppressed = count(row, 7)?;
    let Some(cause) = row.get(5)? else {
        return Ok(LogEvent::AuthenticationFailuresCounted { count: suppressed });
    };
    Ok(LogEvent::AuthenticationFailed {
        user: row.get(1)?,
        username: row.get(2)?,
        client: row.get(3)?,
        transport: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        cause,
        expired_ago_s: row.get(6)?,
        suppressed,
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        run: row.get(0)?,
        number: count(row, 1)?,
        user: row.get(2)?,
        username: row.get(3)?,
        client: row.get(4)?,
        server: row.get(5)?,
        transport: row.get(6)?,
        relayed: row.get(7)?,
        relayed_other: row.get(16)?,
        lifetime_s: row.get(8)?,
        started_at_unix_ms: row.get(9)?,
        ended_at_unix_ms: row.get(10)?,
        end_reason: row.get(11)?,
        traffic: Traffic {
            packets_to_peers: count(row, 12)?,
            bytes_to_peers: count(row, 13)?,
            packets_to_client: count(row, 14)?,
            bytes_to_client: count(row, 15)?,
        },
    })
}

/// The clause for a user, apart for each case so that the index of users is of use.
fn of_user(user: Option<&str>) -> &'static str {
    match user {
        Some(_) => "AND user = ?1",
        None => "AND ?1 IS NULL",
    }
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or(0))
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows.min(QUERY_ROWS_MAX)).unwrap_or(0)
}
