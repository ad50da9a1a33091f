//! A real file and short ways to say what goes into it, for the unit tests of this folder.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use tempfile::TempDir;

use super::database::Database;
use super::entry::{Entry, IssuedBy, KeyRow};
use super::privacy::AddressPrivacy;
use super::rows::{Context, FailureMinute, Written, write};
use super::{Options, keys, run};
use crate::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope};
use crate::auth::credential::AuthFailure;
use crate::time::Now;
use crate::turn::fact::{AllocationNumber, EndReason, Fact, Traffic, Transport};

/// A database in its own directory, with one run noted.
pub(super) struct File {
    database: Database,
    pub(super) directory: TempDir,
    pub(super) context: Context,
    pub(super) minute: FailureMinute,
}

impl File {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path()).unwrap();
        let run = run::begin(&database.connection, at(0), "test").unwrap();
        let context = Context { run: Some(run), addresses: AddressPrivacy::Full, dropped: 0 };
        Self { database, directory, context, minute: FailureMinute::default() }
    }

    pub(super) fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.database.connection
    }

    pub(super) fn write(&mut self, entries: &[Entry]) -> Written {
        self.write_at(at(0), entries)
    }

    pub(super) fn write_at(&mut self, now: Now, entries: &[Entry]) -> Written {
        write(&mut self.database, now, self.context, &mut self.minute, entries).unwrap().0
    }

    pub(super) fn add_key(&mut self, name: &str) {
        keys::add(&mut self.database, &key(name)).unwrap();
    }

    /// Rows of allocations, credentials issued, authentication failures.
    pub(super) fn rows(&self) -> (i64, i64, i64) {
        (
            self.count("SELECT count(*) FROM allocations"),
            self.count("SELECT count(*) FROM credentials_issued"),
            self.count("SELECT count(*) FROM auth_failures"),
        )
    }

    pub(super) fn count(&self, sql: &str) -> i64 {
        self.database.connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Bytes of the database file, its log folded in.
    pub(super) fn bytes(&self) -> u64 {
        self.database
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        super::database::file_bytes(self.directory.path())
    }
}

pub(super) fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        retention_days: 0,
        bytes_max: 0,
        addresses: AddressPrivacy::Full,
        version: "test",
    }
}

/// A moment of the wall clock; monotonic time is the same for all of one test thread.
pub(super) fn at(unix_ms: i64) -> Now {
    thread_local!(static START: Instant = Now::read().mono);
    Now { mono: START.with(|start| *start), unix_ms }
}

pub(super) fn key(name: &str) -> KeyRow {
    KeyRow {
        id: format!("id-{name}"),
        name: name.into(),
        hash: ApiKeyHash::of(name),
        grant: KeyGrant::of(KeyScope::Ice),
        created_at_unix_ms: 0,
        revoked_at_unix_ms: None,
    }
}

pub(super) fn opened(number: u64, at_unix_ms: i64, user: &str) -> Entry {
    Entry::Relay(Fact::AllocationOpened {
        number: AllocationNumber(number),
        at_unix_ms,
        user: user.into(),
        username: user.into(),
        client: ([203, 0, 113, 77], 5000).into(),
        server: ([192, 0, 2, 1], 3478).into(),
        transport: Transport::Udp,
        relayed: ([192, 0, 2, 1], 50_000).into(),
        relayed_other: None,
        lifetime_s: 600,
    })
}

pub(super) fn closed(number: u64, at_unix_ms: i64) -> Entry {
    Entry::Relay(Fact::AllocationClosed {
        number: AllocationNumber(number),
        at_unix_ms,
        reason: EndReason::Expired,
        traffic: Traffic { bytes_to_peers: u64::MAX, ..Traffic::default() },
    })
}

pub(super) fn failed(at_unix_ms: i64, username: &str) -> Entry {
    failed_after(at_unix_ms, username, 0)
}

pub(super) fn failed_after(at_unix_ms: i64, username: &str, suppressed: u64) -> Entry {
    Entry::Relay(Fact::AuthenticationFailed {
        at_unix_ms,
        client: ([203, 0, 113, 77], 5000).into(),
        transport: Transport::Udp,
        username: username.into(),
        cause: AuthFailure::Expired { ago_s: 312 },
        suppressed,
    })
}

pub(super) fn issued(at_unix_ms: i64, user: &str) -> Entry {
    Entry::CredentialIssued {
        at_unix_ms,
        user: user.into(),
        username: user.into(),
        expires_at: 0,
        ttl_s: 600,
        by: IssuedBy::Local,
        client: None,
    }
}
