//! Entries become rows, a transaction at a time.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, params};

use super::call_rows;
use super::database::Database;
use super::entry::Entry;
use super::error::StoreError;
use super::privacy::{AddressPrivacy, claimed_user, cut, session};
use super::verifications;
use crate::auth::credential::AuthFailure;
use crate::limits::AUTH_FAILURE_ROWS_PER_MINUTE;
use crate::time::Now;
use crate::turn::fact::{EndReason, Fact};

/// What one committed transaction did with its entries: `stored + refused` is their number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Entries that are in the file: as a row, in a row, or counted in one.
    pub(super) stored: u64,
    /// Entries that no try can store: a row that exists, an end without its beginning.
    pub(super) refused: u64,
    /// Authentication failures that have no row of their own.
    pub(super) suppressed: u64,
}

/// How many authentication failures of the running minute have a row of their own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FailureMinute {
    since: Option<Instant>,
    rows: u32,
    /// Row of this minute that counts the rest, once there is one.
    counting_row: Option<i64>,
}

/// What is the same for all rows of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// `None` while a command holds the record: it has no allocations.
    pub(super) run: Option<i64>,
    pub(super) addresses: AddressPrivacy,
    /// Entries lost so far, noted with the run.
    pub(super) dropped: u64,
}

/// Writes all of `entries` or, on an error, nothing; `minute` is touched only with success. Says of
/// each entry whether it is stored.
///
/// # Errors
/// What SQLite says, if it concerns the transaction and not a single row.
pub(super) fn write(
    database: &mut Database,
    now: Now,
    context: Context,
    minute: &mut FailureMinute,
    entries: &[Entry],
) -> Result<(Written, Vec<bool>), StoreError> {
    let mut next = *minute;
    next.turn_over(now);
    let mut transaction = |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut written = Written::default();
        let mut batch =
            Batch { connection: &transaction, context, minute: next, uncounted: 0, suppressed: 0 };
        let mut stored = Vec::with_capacity(entries.len());
        for entry in entries {
            stored.push(match batch.entry(entry) {
                Ok(is_stored) => is_stored,
                Err(error) if is_about_the_row(&error) => false,
                Err(error) => return Err(error),
            });
        }
        written.stored = stored.iter().filter(|stored| **stored).count() as u64;
        written.refused = entries.len() as u64 - written.stored;
        batch.count_the_rest(now)?;
        written.suppressed = batch.suppressed;
        next = batch.minute;
        if let Some(run) = context.run {
            transaction
                .prepare_cached(
                    "UPDATE runs SET alive_at_ms = ?2, rows_dropped = ?3 WHERE id = ?1",
                )?
                .execute(params![run, now.unix_ms, signed(context.dropped + written.refused)])?;
        }
        transaction.commit()?;
        Ok((written, stored))
    };
    let written = transaction(&mut database.connection).map_err(|error| database.error(error))?;
    *minute = next;
    Ok(written)
}

impl FailureMinute {
    fn turn_over(&mut self, now: Now) {
        const MINUTE: Duration = Duration::from_secs(60);
        if self.since.is_none_or(|since| now.mono.saturating_duration_since(since) >= MINUTE) {
            *self = Self { since: Some(now.mono), rows: 0, counting_row: None };
        }
    }
}

const INSERT_CREDENTIAL: &str = "INSERT INTO credentials_issued
    (at_ms, user, username, expires_at_s, ttl_s, issued_by, key_id, client)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const INSERT_CHANGE: &str = "INSERT INTO config_changes (at_ms, key, old, new, changed_by)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT_ALLOCATION: &str = "INSERT INTO allocations (run, number, user, username, client,
    server, transport, relayed, lifetime_s, started_at_ms, relayed_other, session)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
const END_ALLOCATION: &str = "UPDATE allocations SET ended_at_ms = ?3, end_reason = ?4,
    packets_to_peers = ?5, bytes_to_peers = ?6, packets_to_client = ?7, bytes_to_client = ?8
    WHERE run = ?1 AND number = ?2 AND ended_at_ms IS NULL";
const INSERT_FAILURE: &str = "INSERT INTO auth_failures
    (at_ms, cause, expired_ago_s, user, username, client, transport, suppressed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

struct Batch<'a> {
    connection: &'a Connection,
    context: Context,
    minute: FailureMinute,
    /// Failures of this transaction that are to be added to the minute's counting row.
    uncounted: u64,
    /// Failures of this transaction without a row of their own, wherever they are counted.
    suppressed: u64,
}

impl Batch<'_> {
    /// `false`: there is nothing this entry could be stored in.
    fn entry(&mut self, entry: &Entry) -> rusqlite::Result<bool> {
        match entry {
            Entry::Relay(fact) => self.fact(fact),
            Entry::Call(row) => call_rows::store(self.connection, row),
            Entry::CredentialIssued {
                at_unix_ms,
                user,
                username,
                expires_at,
                ttl_s,
                by,
                client,
            } => {
                self.connection.prepare_cached(INSERT_CREDENTIAL)?.execute(params![
                    at_unix_ms,
                    cut(user),
                    cut(username),
                    expires_at,
                    ttl_s,
                    by.code(),
                    by.key_id().map(cut),
                    client.and_then(|ip| self.context.addresses.ip(ip)),
                ])?;
                Ok(true)
            }
            Entry::Verified(row) => verifications::insert(self.connection, row),
            Entry::ConfigChanged { at_unix_ms, key, old, new, by } => {
                self.connection.prepare_cached(INSERT_CHANGE)?.execute(params![
                    at_unix_ms,
                    cut(key),
                    cut(old),
                    cut(new),
                    by
                ])?;
                Ok(true)
            }
        }
    }

    fn fact(&mut self, fact: &Fact) -> rusqlite::Result<bool> {
        let Context { run, addresses, .. } = self.context;
        match fact {
            Fact::AllocationOpened {
                number,
                at_unix_ms,
                user,
                username,
                client,
                server,
                transport,
                relayed,
                relayed_other,
                lifetime_s,
            } => {
                // NULL as run is refused by the table: a command has no allocations.
                self.connection.prepare_cached(INSERT_ALLOCATION)?.execute(params![
                    run,
                    signed(number.0),
                    cut(user),
                    cut(username),
                    addresses.socket(*client),
                    server.to_string(),
                    transport.code(),
                    relayed.to_string(),
                    lifetime_s,
                    at_unix_ms,
                    relayed_other.map(|other| other.to_string()),
                    session(username),
                ])?;
                Ok(true)
            }
            Fact::AllocationClosed { number, at_unix_ms, reason, traffic } => {
                let changed = self.connection.prepare_cached(END_ALLOCATION)?.execute(params![
                    run,
                    signed(number.0),
                    at_unix_ms,
                    EndReason::code(*reason),
                    signed(traffic.packets_to_peers),
                    signed(traffic.bytes_to_peers),
                    signed(traffic.packets_to_client),
                    signed(traffic.bytes_to_client),
                ])?;
                Ok(changed == 1)
            }
            Fact::AuthenticationFailed {
                at_unix_ms,
                client,
                transport,
                username,
                cause,
                suppressed,
            } => {
                if self.may_have_a_row(*suppressed) {
                    self.connection.prepare_cached(INSERT_FAILURE)?.execute(params![
                        at_unix_ms,
                        cause.code(),
                        expired_ago_s(*cause),
                        cut(claimed_user(username)),
                        cut(username),
                        addresses.socket(*client),
                        transport.code(),
                        signed(*suppressed),
                    ])?;
                    self.minute.rows += 1;
                }
                Ok(true)
            }
        }
    }

    /// Counts a failure that is beyond its minute's rows, with those that it stands for.
    fn may_have_a_row(&mut self, stands_for: u64) -> bool {
        self.suppressed = self.suppressed.saturating_add(stands_for);
        if self.minute.rows < AUTH_FAILURE_ROWS_PER_MINUTE {
            return true;
        }
        self.suppressed = self.suppressed.saturating_add(1);
        self.uncounted = self.uncounted.saturating_add(1).saturating_add(stands_for);
        false
    }

    /// Adds what got no row to the minute's one counting row. Written with the transaction, so
    /// that the count is as durable as a row.
    fn count_the_rest(&mut self, now: Now) -> rusqlite::Result<()> {
        if self.uncounted == 0 {
            return Ok(());
        }
        let count = signed(self.uncounted);
        if let Some(row) = self.minute.counting_row {
            let changed = self
                .connection
                .prepare_cached(
                    "UPDATE auth_failures SET at_ms = ?2, suppressed = suppressed + ?3
                     WHERE id = ?1",
                )?
                .execute(params![row, now.unix_ms, count])?;
            if changed == 1 {
                return Ok(());
            }
        }
        self.connection
            .prepare_cached(
                "INSERT INTO auth_failures (at_ms, user, username, suppressed)
                 VALUES (?1, '', '', ?2)",
            )?
            .execute(params![now.unix_ms, count])?;
        self.minute.counting_row = Some(self.connection.last_insert_rowid());
        Ok(())
    }
}

fn expired_ago_s(cause: AuthFailure) -> Option<i64> {
    match cause {
        AuthFailure::Expired { ago_s } => Some(ago_s),
        AuthFailure::NoSuchUser
        | AuthFailure::Revoked
        | AuthFailure::WrongIntegrity
        | AuthFailure::UnknownRealm
        | AuthFailure::StaleNonce => None,
    }
}

/// Failures of one statement that leave the transaction whole.
fn is_about_the_row(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

/// SQLite's integers are signed; nothing counted here comes near the bound.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TEXT_BYTES_MAX;
    use crate::store::testing::{File, at, closed, failed, failed_after, issued, opened};

    const SUPPRESSED: &str = "SELECT coalesce(sum(suppressed), 0) FROM auth_failures";

    #[test]
    fn failures_beyond_the_rows_of_a_minute_are_counted_in_one_row() {
        let mut file = File::new();
        let rows = i64::from(AUTH_FAILURE_ROWS_PER_MINUTE);
        let flood: Vec<_> = (0..rows).map(|_| failed(0, "x")).collect();
        file.write(&flood);
        assert_eq!((file.rows().2, file.count(SUPPRESSED)), (rows, 0));
        let over = file.write(&[failed(0, "x"), failed_after(0, "x", 5)]);
        assert_eq!(over, Written { stored: 2, refused: 0, suppressed: 7 });
        file.write(&[failed(0, "x")]);
        assert_eq!((file.rows().2, file.count(SUPPRESSED)), (rows + 1, 8));
    }

    #[test]
    fn the_next_minute_has_rows_again_and_the_moment_before_it_has_not() {
        let mut file = File::new();
        let flood: Vec<_> = (0..AUTH_FAILURE_ROWS_PER_MINUTE).map(|_| failed(0, "x")).collect();
        file.write(&flood);
        let minute = Duration::from_secs(60);
        let last = file.write_at(at(0).after(minute - Duration::from_nanos(1)), &[failed(0, "x")]);
        assert_eq!(last.suppressed, 1);
        let next = file.write_at(at(0).after(minute), &[failed(0, "x")]);
        assert_eq!(next.suppressed, 0);
    }

    #[test]
    fn what_no_try_can_store_is_refused_alone() {
        let mut file = File::new();
        let written = file.write(&[
            opened(1, 0, "a"),
            opened(1, 0, "again"),
            closed(2, 0),
            closed(1, 0),
            closed(1, 0),
            issued(0, "b"),
        ]);
        assert_eq!(written, Written { stored: 3, refused: 3, suppressed: 0 });
        assert_eq!(file.rows(), (1, 1, 0));
        assert_eq!(file.count("SELECT rows_dropped FROM runs"), 3);
        assert_eq!(file.count("SELECT bytes_to_peers FROM allocations"), i64::MAX);
    }

    #[test] // security.md F5
    fn a_long_text_is_stored_up_to_its_bound() {
        let mut file = File::new();
        let long = "é".repeat(300);
        file.write(&[opened(1, 0, &long), issued(0, &long), failed(0, &long)]);
        for table in ["allocations", "credentials_issued", "auth_failures"] {
            for column in ["user", "username"] {
                let bytes = ["SELECT octet_length(", column, ") FROM ", table].concat();
                assert_eq!(file.count(&bytes), TEXT_BYTES_MAX as i64, "{table}.{column}");
            }
        }
    }

    #[test]
    fn a_command_has_no_allocations_to_store() {
        let mut file = File::new();
        file.context.run = None;
        let written = file.write(&[opened(1, 0, "a"), closed(1, 0), issued(0, "b")]);
        assert_eq!(written, Written { stored: 1, refused: 2, suppressed: 0 });
    }

    #[test]
    fn a_failed_transaction_stores_nothing_and_leaves_the_minute_as_it_was() {
        let mut file = File::new();
        file.connection().execute_batch("ALTER TABLE credentials_issued RENAME TO gone").unwrap();
        let mut minute = FailureMinute::default();
        let (context, entries) = (file.context, [failed(0, "x"), issued(0, "a")]);
        let outcome = write(file.database(), at(0), context, &mut minute, &entries);
        assert!(outcome.is_err());
        assert_eq!((minute.rows, minute.counting_row), (0, None));
        assert_eq!(file.count("SELECT count(*) FROM auth_failures"), 0);
    }
}
