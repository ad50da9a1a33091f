//! Calls for commands: on the record, with a daemon and without one.

use super::calls_json::{CallItem, Eyes, TimelineItem};
use super::commands::{Commands, failed, wrong};
use super::control_json::Response;
use super::json::ErrorWord;
use crate::auth::identity::UserId;
use crate::call::ulid::CallId;
use crate::limits::QUERY_ROWS_MAX;
use crate::store::CallQuery;

impl Commands {
    pub(super) fn calls(
        &self,
        user: Option<&str>,
        external_id: Option<String>,
        since_unix_ms: Option<i64>,
        limit: usize,
    ) -> Result<Response, ErrorWord> {
        let no_user = || wrong("user", "a user id has 1 to 128 bytes and no control characters");
        let user = user.map(|user| UserId::new(user).ok_or_else(no_user)).transpose()?;
        let users = user.iter().cloned().collect();
        let query = CallQuery { users, external_id, since_unix_ms, limit, ..CallQuery::default() };
        let eyes = Eyes { side: user.as_ref(), devices_of: None };
        let found = self.store.calls(&query)?;
        Ok(Response::Calls(found.iter().map(|record| CallItem::of(record, eyes)).collect()))
    }

    pub(super) fn call(&self, call: &str) -> Result<Response, ErrorWord> {
        let id = CallId::parse(call).ok_or_else(|| {
            wrong("call", "a call id has 26 characters; `turnbell calls` shows it")
        })?;
        let found = self.store.call(id)?;
        let record = found.ok_or_else(|| failed("not_found", "there is no such call on record"))?;
        let rows = self.store.timeline(id, 0, QUERY_ROWS_MAX)?;
        let item = |row| TimelineItem::of(row, &record, Eyes::default());
        let timeline = rows.into_iter().filter_map(item).collect();
        let call = Box::new(CallItem::whole(&record, Eyes::default()));
        Ok(Response::Call { call, timeline })
    }
}
