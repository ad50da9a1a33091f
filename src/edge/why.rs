//! Why did this not work: what the record holds about a user, a call or a moment, as one story
//! that ends with the likely cause. `turnbell why` and `GET /v1/why`.

mod about;
mod call_cause;
mod case;
mod cause;
mod handler;
mod words;

use serde::{Deserialize, Serialize};

use super::calls_json::CallItem;
use super::commands::{Commands, wrong};
use super::control_json::Response;
use super::json::ErrorWord;
use crate::store::{Store, StoreError};
use crate::time::Now;
use about::About;
use case::Case;
pub(crate) use handler::get;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyWanted {
    /// A user, the id of a call, or a time (`10:02`, `2026-11-20 10:02`, UTC or with an offset).
    pub about: String,
    /// It is a user's name, whatever it looks like.
    #[serde(default)]
    pub is_user: bool,
    /// Of a user: from this moment on, Unix milliseconds; else the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_at: Option<i64>,
}

/// The story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// `user`, `call` or `moment`.
    pub about: String,
    /// From when on was looked, Unix milliseconds.
    pub from_at: i64,
    /// Until when.
    pub until_at: i64,
    /// One sentence that stands above everything.
    pub verdict: String,
    /// The causes that the record shows, the likeliest first; none means that none is known.
    pub causes: Vec<Cause>,
    /// The calls that were looked at, newest first.
    pub calls: Vec<CallItem>,
    /// What happened, oldest first.
    pub story: Vec<Line>,
    /// There was more than is told.
    pub is_cut: bool,
}

/// A cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Its stable word.
    pub code: String,
    /// Whether the record proves it; else it is what fits best.
    pub is_certain: bool,
    /// Whether anybody has to do something about it.
    pub is_trouble: bool,
    /// What happened.
    pub cause: String,
    /// What to do.
    pub cure: String,
    /// By which rows this is said.
    pub seen: String,
    /// Of which call, if of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

/// A line of the story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Unix milliseconds.
    pub at: i64,
    /// `credential`, `opened`, `closed`, `auth_failure`, `run`, `config` or `call`.
    pub kind: String,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What happened.
    pub text: String,
}

/// Reads the record and tells. Blocks for as long as the disk takes.
///
/// # Errors
/// What the disk says; `None` inside if there is no such call.
pub(super) fn told(store: &Store, now: Now, wanted: &WhyWanted) -> Result<Option<Why>, StoreError> {
    let text = wanted.about.trim();
    let about = if wanted.is_user { About::of_user(text) } else { About::read(text, now) };
    let Some(case) = Case::of(store, now, &about, wanted.since_at)? else { return Ok(None) };
    let causes = cause::causes(&case);
    let verdict = cause::verdict(&case, &causes);
    Ok(Some(Why {
        about: about.code().to_owned(),
        from_at: case.from,
        until_at: case.until,
        verdict,
        causes,
        calls: case.calls.iter().map(case::CallCase::item).collect(),
        story: words::story(&case),
        is_cut: case.is_cut,
    }))
}

impl Commands {
    pub(super) fn why(&self, now: Now, wanted: &WhyWanted) -> Result<Response, ErrorWord> {
        if wanted.about.trim().is_empty() {
            return Err(wrong("about", "say a user, the id of a call, or a time such as 10:02"));
        }
        match told(&self.store, now, wanted)? {
            Some(why) => Ok(Response::Why(Box::new(why))),
            None => Err(no_such_call()),
        }
    }
}

fn no_such_call() -> ErrorWord {
    ErrorWord {
        code: "not_found".into(),
        message: "there is no such call on record".into(),
        field: Some("about".into()),
        hint: Some(
            "`turnbell calls` shows their ids; retention_days says how long they are kept".into(),
        ),
    }
}
