//! How calls went lately, in numbers: by status, reason and way, and how they sounded.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::call::ulid::Ulid;
use crate::limits::diagnose::{CALLS_COUNTED_MAX, QUALITY_REPORTS_MAX};

/// Calls and quality since some moment; of very many the newest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Calls that are not over, whenever they began.
    pub live: u64,
    /// How many of each status.
    pub by_status: BTreeMap<String, u64>,
    /// How many ended by each reason.
    pub by_reason: BTreeMap<String, u64>,
    /// How many took each way (`local/remote/transport`), as far as clients said.
    pub by_path: BTreeMap<String, u64>,
    /// What clients measured.
    pub reports: Vec<Measured>,
}

/// One quality report; `None` where the client did not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measured {
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Jitter, milliseconds.
    pub jitter_ms: Option<f64>,
    /// Datagrams lost, per cent.
    pub loss_percent: Option<f64>,
    /// Mean opinion score.
    pub mos: Option<f64>,
}

pub(super) fn read(connection: &Connection, since_unix_ms: i64) -> rusqlite::Result<Figures> {
    let snapshot = connection.unchecked_transaction()?;
    let mut figures = Figures {
        live: snapshot.query_row(LIVE, [], |row| row.get::<_, i64>(0)).map(count)?,
        ..Figures::default()
    };
    // Ids sort by the time of the invite: the newest are found without looking at the rest.
    let first = Ulid::new(since_unix_ms, 0).to_string();
    let most = i64::try_from(CALLS_COUNTED_MAX).unwrap_or(i64::MAX);
    let mut calls = snapshot.prepare(CALLS)?;
    let mut rows = calls.query(params![first, most])?;
    while let Some(row) = rows.next()? {
        let many = count(row.get(3)?);
        let add = |to: &mut BTreeMap<String, u64>, word: Option<String>| {
            if let Some(word) = word {
                *to.entry(word).or_default() += many;
            }
        };
        add(&mut figures.by_status, row.get(0)?);
        add(&mut figures.by_reason, row.get(1)?);
        add(&mut figures.by_path, row.get(2)?);
    }
    let most = i64::try_from(QUALITY_REPORTS_MAX).unwrap_or(i64::MAX);
    figures.reports = snapshot
        .prepare(QUALITY)?
        .query_map(params![since_unix_ms, most], |row| {
            Ok(Measured {
                rtt_ms: row.get(0)?,
                jitter_ms: row.get(1)?,
                loss_percent: row.get(2)?,
                mos: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(figures)
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

const LIVE: &str = "SELECT count(*) FROM calls WHERE ended_at_ms IS NULL";
const CALLS: &str = "
SELECT status, reason, path, count(*) FROM (
    SELECT status, reason, path FROM calls WHERE call >= ?1 ORDER BY call DESC LIMIT ?2)
GROUP BY status, reason, path";
const QUALITY: &str = "
SELECT rtt_ms, jitter_ms, loss_percent, mos FROM (
    SELECT at_ms, rtt_ms, jitter_ms, loss_percent, mos FROM quality_reports
    ORDER BY id DESC LIMIT ?2)
WHERE at_ms >= ?1";
