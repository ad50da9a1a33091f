//! Rows of calls: each written whole, in the place of the one with the same key.
//!
//! What belongs to a call is stored only beside its call; so whatever deletes a call finds all of it.

use rusqlite::{Connection, params};

use super::blocks;
use super::rows::signed;
use crate::call::rows::{BlockRow, CallRow, EventRow, FeedbackRow, PartyRow, QualityRow, Row};
use crate::call::ulid::CallId;

/// What people write on a call (`amend.rs`) is left as it is: they may have since the invite.
const CALL: &str = "INSERT INTO calls (call, tenant, conversation, status, reason, audio, video,
    caller, callee, from_display, from_number, to_number, contact_id, external_id, metadata,
    started_at_ms, ringing_at_ms, answered_at_ms, connected_at_ms, ended_at_ms, ring_ms, setup_ms,
    talk_ms, path, replaces, recording_url)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
    ?20, ?21, ?22, ?23, ?24, ?25, ?26)
    ON CONFLICT (call) DO UPDATE SET conversation = excluded.conversation,
    status = excluded.status, reason = excluded.reason, ringing_at_ms = excluded.ringing_at_ms,
    answered_at_ms = excluded.answered_at_ms, connected_at_ms = excluded.connected_at_ms,
    ended_at_ms = excluded.ended_at_ms, ring_ms = excluded.ring_ms, setup_ms = excluded.setup_ms,
    talk_ms = excluded.talk_ms, path = excluded.path, replaces = excluded.replaces";
/// A party that has lost its session has had one: its relayed bytes are known by it.
const PARTY: &str = "INSERT INTO call_parties (call, party, tenant, user, name, is_verified,
    user_role, role, session, device_id, device_kind, device_label, joined_at_ms, left_at_ms, path)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15
    WHERE EXISTS (SELECT 1 FROM calls WHERE call = ?1)
    ON CONFLICT (call, party) DO UPDATE SET name = excluded.name,
    is_verified = excluded.is_verified, user_role = excluded.user_role,
    session = coalesce(excluded.session, session), device_id = excluded.device_id,
    device_kind = excluded.device_kind, device_label = excluded.device_label,
    joined_at_ms = excluded.joined_at_ms, left_at_ms = excluded.left_at_ms, path = excluded.path";
/// A call that is over has nobody in it.
const PARTIES_LEFT: &str =
    "UPDATE call_parties SET left_at_ms = ?2 WHERE call = ?1 AND left_at_ms IS NULL";
const EVENT: &str = "INSERT INTO call_events
    (call, number, tenant, at_ms, kind, party, device, detail)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM calls WHERE call = ?1)";
const QUALITY: &str = "INSERT INTO quality_reports (call, tenant, party, at_ms, window_ms, rtt_ms,
    jitter_ms, loss_percent, mos, bitrate_in, bitrate_out, concealed_percent, level_in, level_out,
    packets_in, path, codec, is_final)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18
    WHERE EXISTS (SELECT 1 FROM calls WHERE call = ?1)";
const FEEDBACK: &str = "INSERT INTO call_feedback (call, tenant, user, at_ms, score, issue)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM calls WHERE call = ?1)";
const HEARTBEAT: &str = "UPDATE calls SET heartbeat_at_ms = ?2 WHERE call = ?1";

/// `false`: its call is not on record.
pub(super) fn store(connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
    match row {
        Row::Call(row) => call(connection, row),
        Row::Party(row) => party(connection, row),
        Row::Event(row) => event(connection, row),
        Row::Quality(row) => quality(connection, row),
        Row::Feedback(row) => feedback(connection, row),
        Row::Block(row) => blocks::add(connection, row),
        Row::Unblock(row) => blocks::remove(connection, row),
        Row::Heartbeat { at_unix_ms, calls } => heartbeat(connection, *at_unix_ms, calls),
    }
}

/// What a row takes in the queue, about.
pub(super) fn bytes(row: &Row) -> usize {
    let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    match row {
        Row::Call(row) => {
            let texts = [
                &row.conversation,
                &row.to_number,
                &row.contact_id,
                &row.external_id,
                &row.metadata,
            ];
            let texts: usize = texts.into_iter().map(text).sum();
            size_of::<CallRow>() + row.from_display.len() + row.from_number.len() + texts
        }
        Row::Party(row) => {
            let device = row.device.as_ref();
            let device = device.map_or(0, |d| d.id.len() + d.kind.len() + d.label.len());
            size_of::<PartyRow>() + row.name.len() + device
        }
        Row::Event(row) => size_of::<EventRow>() + text(&row.device) + text(&row.detail),
        Row::Quality(row) => size_of::<QualityRow>() + text(&row.sample.codec),
        Row::Feedback(row) => size_of::<FeedbackRow>() + row.issue.len(),
        Row::Block(_) | Row::Unblock(_) => size_of::<BlockRow>(),
        Row::Heartbeat { calls, .. } => size_of_val(calls.as_slice()),
    }
}

fn call(connection: &Connection, row: &CallRow) -> rusqlite::Result<bool> {
    connection.prepare_cached(CALL)?.execute(params![
        row.call.to_string(),
        row.tenant.as_str(),
        row.conversation,
        row.status.code(),
        row.reason.map(|reason| reason.code()),
        row.media.audio,
        row.media.video,
        row.caller.as_str(),
        row.callee.as_str(),
        row.from_display,
        row.from_number,
        row.to_number,
        row.contact_id,
        row.external_id,
        row.metadata,
        row.started_at,
        row.ringing_at,
        row.answered_at,
        row.connected_at,
        row.ended_at,
        row.ring_ms.map(signed),
        row.setup_ms.map(signed),
        row.talk_ms.map(signed),
        row.path.map(|path| path.code()),
        row.replaces.map(|call| call.to_string()),
        row.recording_url,
    ])?;
    if let Some(ended_at) = row.ended_at {
        // Their own rows are on their way; a daemon that is killed before them leaves nobody behind.
        connection
            .prepare_cached(PARTIES_LEFT)?
            .execute(params![row.call.to_string(), ended_at])?;
    }
    Ok(true)
}

fn party(connection: &Connection, row: &PartyRow) -> rusqlite::Result<bool> {
    let device = row.device.as_ref();
    let changed = connection.prepare_cached(PARTY)?.execute(params![
        row.call.to_string(),
        row.party.0,
        row.tenant.as_str(),
        row.user.as_str(),
        row.name,
        row.is_verified,
        row.user_role.map(|role| role.code()),
        row.role.code(),
        row.session.map(|session| session.to_string()),
        device.map(|device| &device.id),
        device.map(|device| &device.kind),
        device.map(|device| &device.label),
        row.joined_at,
        row.left_at,
        row.path.map(|path| path.code()),
    ])?;
    Ok(changed == 1)
}

fn event(connection: &Connection, row: &EventRow) -> rusqlite::Result<bool> {
    let changed = connection.prepare_cached(EVENT)?.execute(params![
        row.call.to_string(),
        row.number,
        row.tenant.as_str(),
        row.at,
        row.kind.code(),
        row.party.map(|party| party.0),
        row.device,
        row.detail,
    ])?;
    Ok(changed == 1)
}

fn quality(connection: &Connection, row: &QualityRow) -> rusqlite::Result<bool> {
    let sample = &row.sample;
    let changed = connection.prepare_cached(QUALITY)?.execute(params![
        row.call.to_string(),
        row.tenant.as_str(),
        row.party.0,
        row.at,
        sample.window_ms,
        sample.rtt_ms,
        sample.jitter_ms,
        sample.loss_percent,
        sample.mos,
        sample.bitrate_in,
        sample.bitrate_out,
        sample.concealed_percent,
        sample.level_in,
        sample.level_out,
        sample.packets_in.map(signed),
        sample.path.map(|path| path.code()),
        sample.codec,
        sample.is_final,
    ])?;
    Ok(changed == 1)
}

fn feedback(connection: &Connection, row: &FeedbackRow) -> rusqlite::Result<bool> {
    let changed = connection.prepare_cached(FEEDBACK)?.execute(params![
        row.call.to_string(),
        row.tenant.as_str(),
        row.user.as_str(),
        row.at,
        row.score,
        row.issue,
    ])?;
    Ok(changed == 1)
}

/// A call that is not on record is not alive in it, either.
fn heartbeat(connection: &Connection, at_ms: i64, calls: &[CallId]) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(HEARTBEAT)?;
    for call in calls {
        statement.execute(params![call.to_string(), at_ms])?;
    }
    Ok(true)
}
