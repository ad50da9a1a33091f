//! What people write on a call after its invite (P30). The record is where it stands: a row of the
//! call that comes later leaves it alone (`call_rows.rs`).

use std::sync::mpsc::sync_channel;

use rusqlite::params;

use super::database::Database;
use super::error::StoreError;
use super::keys::durably;
use super::queue::Order;
use super::{Store, wait_for};
use crate::call::ulid::CallId;

/// A column of a call that is written from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// Contact the call is about.
    ContactId,
    /// Name of the caller.
    FromDisplay,
    /// Number of the caller.
    FromNumber,
    /// Number of the callee.
    ToNumber,
    /// Where a recording lies.
    RecordingUrl,
    /// Another program's name for the call.
    ExternalId,
    /// Whatever else, JSON.
    Metadata,
}

/// What is to stand there from then on; `None`: nothing.
pub type Notes = Vec<(Note, Option<String>)>;

impl Note {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ContactId,
        Self::FromDisplay,
        Self::FromNumber,
        Self::ToNumber,
        Self::RecordingUrl,
        Self::ExternalId,
        Self::Metadata,
    ];

    /// Its name in requests and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ContactId => "contact_id",
            Self::FromDisplay => "from_display",
            Self::FromNumber => "from_number",
            Self::ToNumber => "to_number",
            Self::RecordingUrl => "recording_url",
            Self::ExternalId => "external_id",
            Self::Metadata => "metadata",
        }
    }

    /// What stands there when nothing does, where the table wants a text.
    fn nothing(self) -> Option<&'static str> {
        match self {
            Self::FromDisplay => Some(""),
            Self::FromNumber => Some(NUMBER_DEFAULT),
            Self::ContactId
            | Self::ToNumber
            | Self::RecordingUrl
            | Self::ExternalId
            | Self::Metadata => None,
        }
    }
}

/// What stands for the number of a caller who has none.
pub(super) const NUMBER_DEFAULT: &str = "WebRTC";

impl Store {
    /// Writes on a call. `Ok(true)`: it is on disk; `Ok(false)`: there is no such call on record.
    /// Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn annotate(&self, call: CallId, notes: Notes) -> Result<bool, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::Change(Box::new(move |writer, now| {
            // A caller that waits no longer does not hear the answer; the change stands as it is.
            let _ = reply.try_send(writer.change(now, |database| write(database, call, &notes)));
        })))?;
        wait_for(&answer)
    }
}

fn write(database: &mut Database, call: CallId, notes: &Notes) -> Result<bool, StoreError> {
    durably(database, |connection| {
        let call = call.to_string();
        let count = "SELECT count(*) FROM calls WHERE call = ?1";
        if connection.query_row(count, [&call], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(false);
        }
        for (note, text) in notes {
            let sql = ["UPDATE calls SET ", note.name(), " = ?2 WHERE call = ?1"].concat();
            let text = text.as_deref().or_else(|| note.nothing());
            connection.prepare_cached(&sql)?.execute(params![call, text])?;
        }
        Ok(true)
    })
}
