//! What was used: calls, minutes, relayed bytes, by tenant, user or day.
//!
//! A call counts on the day of its invite, and for a user if he is in it, on either side; an
//! allocation counts on the day it was made, for the user in its username. It tells its bytes when
//! it ends, a call its minutes likewise.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::Store;
use super::error::StoreError;
use crate::auth::identity::TenantId;
use crate::auth::whom::meant;
use crate::call::ulid::Ulid;
use crate::limits::record::{USAGE_GROUPS_MAX, USAGE_ROWS_MAX};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// How usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    /// Each tenant.
    Tenant,
    /// Each user, in his tenant.
    User,
    /// Each day, UTC.
    Day,
}

impl UsageBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tenant, Self::User, Self::Day];

    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::User => "user",
            Self::Day => "day",
        }
    }

    /// The inverse of `code`.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.code() == code)
    }
}

/// Which usage is wanted.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// From this moment on, milliseconds since 1970.
    pub from_unix_ms: i64,
    /// Until before this one.
    pub to_unix_ms: i64,
    /// How it is added up.
    pub by: UsageBy,
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
}

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Calls, answered or not.
    pub calls: u64,
    /// Those in which media flowed.
    pub connected: u64,
    /// How long it flowed, milliseconds.
    pub talk_ms: u64,
    /// Of the connected ones those whose media went from side to side.
    pub direct: u64,
    /// Those whose media went through a relay. Clients that report no path count in neither.
    pub relayed: u64,
    /// Relayed addresses that were given.
    pub allocations: u64,
    /// Those that ended without a datagram in either direction: gathered and not used.
    pub gathered_only: u64,
    /// Payload from clients to peers, bytes.
    pub bytes_up: u64,
    /// Payload from peers to clients, bytes.
    pub bytes_down: u64,
}

/// Of whom, or when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// The tenant; empty for a day.
    pub tenant: String,
    /// The user; empty for a tenant and for a day.
    pub user: String,
    /// The first millisecond of the day; 0 for others.
    pub day_unix_ms: i64,
}

/// What was used, and by whom or when.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsageAnswer {
    /// In the order of their keys.
    pub rows: Vec<(UsageKey, Usage)>,
    /// All together; a call of two users counts once.
    pub total: Usage,
}

const CALLS: &str = "SELECT tenant, caller, callee, started_at_ms, connected_at_ms IS NOT NULL,
    coalesce(talk_ms, 0), path FROM calls WHERE call >= ?1 AND call < ?2";
const ALLOCATIONS: &str = "SELECT user, started_at_ms,
    ended_at_ms IS NOT NULL AND packets_to_peers = 0 AND packets_to_client = 0,
    bytes_to_peers, bytes_to_client FROM allocations
    WHERE started_at_ms >= ?1 AND started_at_ms < ?2 ORDER BY started_at_ms LIMIT ?3";

impl Store {
    /// What was used in a time.
    ///
    /// # Errors
    /// `UsageTooMuch` if so many rows lie in it; what the disk says.
    pub fn usage(&self, query: &UsageQuery) -> Result<UsageAnswer, StoreError> {
        self.query(|connection| ask(connection, query))?.ok_or(StoreError::UsageTooMuch)
    }
}

/// `None`: more rows, or more groups, than may be.
fn ask(connection: &Connection, query: &UsageQuery) -> rusqlite::Result<Option<UsageAnswer>> {
    // One transaction: calls and allocations are of one moment.
    let snapshot = connection.unchecked_transaction()?;
    let mut sum = Sum { by: query.by, rows: BTreeMap::new(), total: Usage::default() };
    let most = i64::try_from(USAGE_ROWS_MAX + 1).unwrap_or(i64::MAX);
    // The id of a call begins with the time of its invite.
    let id = |at: i64| Ulid::new(at, 0).to_string();
    let (from, to) = (id(query.from_unix_ms), id(query.to_unix_ms));
    let own = query.tenant.as_ref().map(TenantId::as_str);
    let whose =
        if own.is_some() { " AND tenant = ?4 LIMIT ?3" } else { " AND ?4 IS NULL LIMIT ?3" };
    let mut statement = snapshot.prepare(&[CALLS, whose].concat())?;
    let mut found = statement.query(params![from, to, most, own])?;
    let mut count = 0;
    while let Some(row) = found.next()? {
        count += 1;
        let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let is_connected: bool = row.get(4)?;
        let path = row.get_ref(6)?.as_str_or_null()?;
        let is_relayed = path.map(|path| path.split('/').take(2).any(|end| end == "relay"));
        let usage = Usage {
            calls: 1,
            connected: u64::from(is_connected),
            talk_ms: unsigned(row.get(5)?),
            direct: u64::from(is_connected && is_relayed == Some(false)),
            relayed: u64::from(is_connected && is_relayed == Some(true)),
            ..Usage::default()
        };
        let (tenant, users) = (text(0)?, [text(1)?, text(2)?]);
        if count > USAGE_ROWS_MAX || !sum.add(tenant, &users, row.get(3)?, usage) {
            return Ok(None);
        }
    }
    let mut statement = snapshot.prepare(ALLOCATIONS)?;
    let mut found = statement.query(params![query.from_unix_ms, query.to_unix_ms, most])?;
    let mut count = 0;
    while let Some(row) = found.next()? {
        count += 1;
        let (tenant, user) = owner(row.get_ref(0)?.as_str()?);
        if count > USAGE_ROWS_MAX {
            return Ok(None);
        }
        if own.is_some_and(|own| own != tenant) {
            continue;
        }
        let usage = Usage {
            allocations: 1,
            gathered_only: row.get::<_, bool>(2)?.into(),
            bytes_up: unsigned(row.get(3)?),
            bytes_down: unsigned(row.get(4)?),
            ..Usage::default()
        };
        if !sum.add(&tenant, &[&user], row.get(1)?, usage) {
            return Ok(None);
        }
    }
    Ok(Some(UsageAnswer { rows: sum.rows.into_iter().collect(), total: sum.total }))
}

struct Sum {
    by: UsageBy,
    rows: BTreeMap<UsageKey, Usage>,
    total: Usage,
}

impl Sum {
    /// `false`: there are more groups than may be.
    fn add(&mut self, tenant: &str, users: &[&str], at_unix_ms: i64, usage: Usage) -> bool {
        let nobody = UsageKey { tenant: String::new(), user: String::new(), day_unix_ms: 0 };
        self.total.add(usage);
        let key = match self.by {
            UsageBy::Day => {
                UsageKey { day_unix_ms: at_unix_ms.div_euclid(DAY_MS) * DAY_MS, ..nobody }
            }
            UsageBy::Tenant => UsageKey { tenant: tenant.to_owned(), ..nobody },
            UsageBy::User => {
                for user in users {
                    let (tenant, user) = (tenant.to_owned(), (*user).to_owned());
                    let key = UsageKey { tenant, user, day_unix_ms: 0 };
                    self.rows.entry(key).or_default().add(usage);
                }
                return self.rows.len() <= USAGE_GROUPS_MAX;
            }
        };
        self.rows.entry(key).or_default().add(usage);
        self.rows.len() <= USAGE_GROUPS_MAX
    }
}

impl Usage {
    fn add(&mut self, other: Self) {
        let Self {
            calls,
            connected,
            talk_ms,
            direct,
            relayed,
            allocations,
            gathered_only,
            bytes_up,
            bytes_down,
        } = other;
        for (sum, more) in [
            (&mut self.calls, calls),
            (&mut self.connected, connected),
            (&mut self.talk_ms, talk_ms),
            (&mut self.direct, direct),
            (&mut self.relayed, relayed),
            (&mut self.allocations, allocations),
            (&mut self.gathered_only, gathered_only),
            (&mut self.bytes_up, bytes_up),
            (&mut self.bytes_down, bytes_down),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Whose an allocation is. A name without a tenant counts in `default`.
fn owner(turn_user: &str) -> (String, String) {
    let default = TenantId::default_tenant();
    match meant(turn_user) {
        Some((tenant, user)) => (tenant.to_string(), user.to_string()),
        None => (default.to_string(), turn_user.to_owned()),
    }
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
