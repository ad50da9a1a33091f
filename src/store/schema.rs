//! The tables, and how an older file comes to have them.
//!
//! Times are milliseconds since 1970 (`_at_ms`); a version is an index into `MIGRATIONS`, kept in
//! the file's `user_version`. A migration that was released is never edited.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;

/// One per version, oldest first; each runs once, in its own transaction.
const MIGRATIONS: [&str; 10] = [
    "
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    version TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    alive_at_ms INTEGER NOT NULL,       -- last time the writer wrote: where a crash is dated
    ended_at_ms INTEGER,
    end_reason TEXT,                    -- shutdown, crash
    rows_dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX runs_open ON runs (id) WHERE ended_at_ms IS NULL;

CREATE TABLE allocations (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,            -- unique within its run
    user TEXT NOT NULL,
    username TEXT NOT NULL,
    client TEXT,                        -- as the privacy mode left it
    server TEXT NOT NULL,
    transport TEXT NOT NULL,
    relayed TEXT NOT NULL,
    lifetime_s INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    end_reason TEXT,                    -- client, expired, credential_expired, revoked, shutdown, crash, unrecorded
    packets_to_peers INTEGER NOT NULL DEFAULT 0,
    bytes_to_peers INTEGER NOT NULL DEFAULT 0,
    packets_to_client INTEGER NOT NULL DEFAULT 0,
    bytes_to_client INTEGER NOT NULL DEFAULT 0,
    UNIQUE (run, number)
) STRICT;
CREATE INDEX allocations_open ON allocations (run) WHERE ended_at_ms IS NULL;
CREATE INDEX allocations_started ON allocations (started_at_ms);
CREATE INDEX allocations_ended ON allocations (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX allocations_user ON allocations (user, started_at_ms);

CREATE TABLE credentials_issued (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    user TEXT NOT NULL,
    username TEXT NOT NULL,
    expires_at_s INTEGER NOT NULL,
    ttl_s INTEGER NOT NULL,
    issued_by TEXT NOT NULL,            -- local, api_key, command
    key_id TEXT,
    client TEXT
) STRICT;
CREATE INDEX credentials_issued_at ON credentials_issued (at_ms);
CREATE INDEX credentials_issued_user ON credentials_issued (user, at_ms);

CREATE TABLE auth_failures (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    cause TEXT,                         -- NULL: a row that only counts
    expired_ago_s INTEGER,
    user TEXT NOT NULL,                 -- as claimed, like username: anybody may claim anything
    username TEXT NOT NULL,
    client TEXT,
    transport TEXT,
    suppressed INTEGER NOT NULL         -- failures that have no row of their own
) STRICT;
CREATE INDEX auth_failures_at ON auth_failures (at_ms);
CREATE INDEX auth_failures_user ON auth_failures (user, at_ms);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL,
    revoked_at_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX api_keys_active_name ON api_keys (name) WHERE revoked_at_ms IS NULL;
",
    "
CREATE TABLE revocations (
    user TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    until_ms INTEGER                    -- NULL: until it is undone
) STRICT;
",
    "
ALTER TABLE allocations ADD COLUMN relayed_other TEXT;  -- of an allocation with both families
",
    "
CREATE TABLE config_changes (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    key TEXT NOT NULL,
    old TEXT NOT NULL,                  -- secrets are counted, not stored
    new TEXT NOT NULL,
    changed_by TEXT NOT NULL            -- reload, stun, dns
) STRICT;
CREATE INDEX config_changes_at ON config_changes (at_ms);
",
    "
ALTER TABLE allocations ADD COLUMN session TEXT;    -- of signaling, if the username names one
CREATE INDEX allocations_session ON allocations (session) WHERE session IS NOT NULL;

-- No address of a client stands in the tables of calls: the privacy mode has nothing to leave out.
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL UNIQUE,          -- ULID: sorts by the time of the invite
    tenant TEXT NOT NULL,
    conversation TEXT,
    status TEXT NOT NULL,
    reason TEXT,                        -- of a call that is over
    audio INTEGER NOT NULL,
    video INTEGER NOT NULL,
    caller TEXT NOT NULL,
    callee TEXT NOT NULL,
    from_display TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT,
    contact_id TEXT,
    external_id TEXT,
    metadata TEXT,
    started_at_ms INTEGER NOT NULL,
    ringing_at_ms INTEGER,
    answered_at_ms INTEGER,
    connected_at_ms INTEGER,
    ended_at_ms INTEGER,
    ring_ms INTEGER,
    setup_ms INTEGER,
    talk_ms INTEGER,
    path TEXT,                          -- local/remote/transport, as the caller reaches the callee
    replaces TEXT,
    heartbeat_at_ms INTEGER             -- last time the call was known to be alive
) STRICT;
CREATE INDEX calls_live ON calls (id) WHERE ended_at_ms IS NULL;
CREATE INDEX calls_ended ON calls (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
CREATE INDEX calls_tenant ON calls (tenant, call);
CREATE INDEX calls_status ON calls (status, call);
CREATE INDEX calls_caller ON calls (caller, call);
CREATE INDEX calls_callee ON calls (callee, call);

CREATE TABLE call_parties (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL,
    party INTEGER NOT NULL,             -- unique within its call; who rejoins has a new one
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    is_verified INTEGER NOT NULL,
    user_role TEXT,
    role TEXT NOT NULL,                 -- caller, callee
    session TEXT,                       -- as in TURN usernames
    device_id TEXT,
    device_kind TEXT,
    device_label TEXT,
    joined_at_ms INTEGER,
    left_at_ms INTEGER,
    path TEXT,
    UNIQUE (call, party)
) STRICT;

CREATE TABLE call_events (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL,
    number INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    party INTEGER,
    device TEXT,
    detail TEXT,
    UNIQUE (call, number)
) STRICT;

CREATE TABLE quality_reports (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL,
    tenant TEXT NOT NULL,
    party INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    window_ms INTEGER NOT NULL,
    rtt_ms REAL,
    jitter_ms REAL,
    loss_percent REAL,
    mos REAL,
    bitrate_in INTEGER,                 -- bits a second
    bitrate_out INTEGER,
    concealed_percent REAL,
    level_in REAL,                      -- 0 to 1
    level_out REAL,
    packets_in INTEGER,
    path TEXT,
    codec TEXT,
    is_final INTEGER NOT NULL
) STRICT;
CREATE INDEX quality_reports_call ON quality_reports (call, at_ms);

CREATE TABLE call_feedback (
    id INTEGER PRIMARY KEY,
    call TEXT NOT NULL,
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    score INTEGER NOT NULL,             -- 1 to 5
    issue TEXT NOT NULL
) STRICT;
CREATE INDEX call_feedback_call ON call_feedback (call);
",
    "
CREATE TABLE invites (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    callee TEXT,                        -- NULL: nobody is called by itself
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    uses_max INTEGER NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0,
    revoked_at_ms INTEGER
) STRICT;
",
    "
CREATE TABLE verifications (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    vantage TEXT NOT NULL,              -- this_machine, another_machine, browser, browser_here
    verdict TEXT NOT NULL,              -- ok, note, warning, error
    summary TEXT NOT NULL,
    shared_as TEXT UNIQUE,              -- of a page's report: under what others may read it
    report TEXT NOT NULL                -- JSON, as /ice-verify answers it
) STRICT;
CREATE INDEX verifications_at ON verifications (at_ms);
CREATE INDEX verifications_vantage ON verifications (vantage, at_ms);
",
    "
-- Separated by blanks. Keys that were made before opened /ice.
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'ice';
ALTER TABLE api_keys ADD COLUMN tenant TEXT;                    -- NULL: all of them
ALTER TABLE api_keys ADD COLUMN origins TEXT NOT NULL DEFAULT '';

CREATE TABLE user_blocks (
    tenant TEXT NOT NULL,
    user TEXT NOT NULL,                 -- who does not want to be called
    blocked TEXT NOT NULL,              -- by whom
    at_ms INTEGER NOT NULL,
    until_ms INTEGER,                   -- of a guest: the end of his token
    PRIMARY KEY (tenant, user, blocked)
) STRICT;
",
    "
ALTER TABLE calls ADD COLUMN recording_url TEXT;
CREATE INDEX calls_external ON calls (external_id, call) WHERE external_id IS NOT NULL;
CREATE INDEX call_feedback_user ON call_feedback (user);  -- who is forgotten
",
    "
ALTER TABLE api_keys ADD COLUMN ends_at_ms INTEGER;     -- NULL: when somebody revokes it
",
];

/// The `user_version` of a file this program has brought up to date.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the file to `VERSION`.
///
/// # Errors
/// `Newer` if it is past that, else what SQLite says.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let wrap = |error| StoreError::sqlite(path, error);
    let found = check_not_newer(connection, path)?;
    for (number, migration) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrap)?;
        // Another process may have come first; under the write lock the answer is final.
        if version(&transaction).map_err(wrap)? < number {
            transaction.execute_batch(migration).map_err(wrap)?;
            transaction.pragma_update(None, "user_version", number).map_err(wrap)?;
        }
        transaction.commit().map_err(wrap)?;
    }
    Ok(())
}

/// The version found.
///
/// # Errors
/// `Newer` if this program does not know it, else what SQLite says.
pub(super) fn check_not_newer(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found = version(connection).map_err(|error| StoreError::sqlite(path, error))?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}

/// The version of a file that `migrate` would change; `None` for a new or a current one.
pub(super) fn is_older(connection: &Connection, path: &Path) -> Result<Option<i64>, StoreError> {
    let found = check_not_newer(connection, path)?;
    Ok((1..VERSION).contains(&found).then_some(found))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
