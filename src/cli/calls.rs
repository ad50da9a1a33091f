//! `turnbell calls`: who called whom, and what happened in one call.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::{log, sessions, table};
use crate::edge::calls_json::{CallItem, PathWord, TimelineItem};
use crate::edge::control_json::Request;
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
One line for each call, the newest last. Times are UTC. With the id of a call: all that is known of
it, and what happened in it line by line.

Examples:
  turnbell calls --since 2h                  who called whom
  turnbell calls --user alice                her calls, both ways
  turnbell calls 01JD0Q3ZK5V9XW2M4N6P8R0T1Y  why that one failed")]
pub(super) struct Calls {
    /// Tell all about this call
    #[arg(value_name = "CALL", conflicts_with_all = ["user", "external_id", "since", "limit"])]
    call: Option<String>,
    /// Only calls from or to this user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those that another program calls so
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Only the last 90s, 10m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = log::since)]
    since: Option<Duration>,
    /// At most so many, the newest
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = sessions::limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

impl Calls {
    pub(super) fn question(self) -> Question {
        let Self { call, user, external_id, since, limit, format } = self;
        let request = match call {
            Some(call) => Request::Call { call },
            None => {
                let since_at = since.map(log::since_at);
                Request::Calls { user, external_id, since_at, limit: Some(limit) }
            }
        };
        Question { request, format }
    }
}

pub(super) fn listed(calls: &[CallItem]) -> String {
    if calls.is_empty() {
        return "no calls\n".to_owned();
    }
    let line = |call: &CallItem| {
        vec![
            table::time(call.started_at),
            outcome(call),
            call.caller.clone(),
            call.callee.clone(),
            span(call.ring_ms),
            span(call.talk_ms),
            call.path.as_ref().map_or_else(|| "-".to_owned(), path),
            relayed(call),
            call.call.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = calls.iter().rev().map(line).collect();
    let head =
        ["STARTED (UTC)", "STATUS", "FROM", "TO", "RANG", "TALKED", "PATH", "RELAYED", "CALL"];
    table::table(&head, &rows)
}

pub(super) fn told(call: &CallItem, timeline: &[TimelineItem]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10}{}", printable(value));
    };
    line("call", &format!("{} in tenant {}", call.call, call.tenant));
    line("from", &named(&call.caller, &call.from_display));
    line("to", &named(&call.callee, callee_name(call)));
    line("status", &outcome(call));
    line("started", &format!("{} UTC", table::time(call.started_at)));
    line("rang", &span(call.ring_ms));
    line("set up in", &span(call.setup_ms));
    line("talked", &span(call.talk_ms));
    line("path", &call.path.as_ref().map_or_else(|| "-".to_owned(), path));
    line("relayed", &relayed(call));
    line(
        "number",
        &format!("{} to {}", call.from_number, call.to_number.as_deref().unwrap_or("-")),
    );
    let metadata = call.metadata.as_ref().map(ToString::to_string);
    for (name, value) in [
        ("contact", &call.contact_id),
        ("recording", &call.recording_url),
        ("external", &call.external_id),
        ("metadata", &metadata),
    ] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    text.push('\n');
    if timeline.is_empty() {
        text.push_str("nothing happened in it\n");
        return text;
    }
    let row = |item: &TimelineItem| {
        let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            offset(item.at - call.started_at),
            item.kind.replace('_', " "),
            dash(&item.user),
            dash(&item.device),
            item.detail.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = timeline.iter().map(row).collect();
    text.push_str(&table::table(&["AFTER", "WHAT", "WHO", "DEVICE", "DETAILS"], &rows));
    text
}

fn outcome(call: &CallItem) -> String {
    match &call.reason {
        Some(reason) => format!("{} ({})", call.status, reason.replace('_', " ")),
        None => call.status.clone(),
    }
}

fn named(user: &str, name: &str) -> String {
    if name.is_empty() || name == user { user.to_owned() } else { format!("{name} ({user})") }
}

fn callee_name(call: &CallItem) -> &str {
    let parties = call.parties.iter().flatten();
    let mut names = parties.filter(|party| party.role == "callee").map(|party| party.name.as_str());
    names.rfind(|name| !name.is_empty()).unwrap_or_default()
}

fn path(path: &PathWord) -> String {
    let PathWord { local, remote, proto } = path;
    format!("{local} to {remote}, {proto}")
}

/// `1.2s`, `3m12s`.
fn span(ms: Option<u64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms @ 0..10_000) => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        Some(ms) => table::lasted(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}

fn relayed(call: &CallItem) -> String {
    call.relay_bytes.map_or_else(|| "not known yet".to_owned(), table::bytes)
}

/// `+0.250s`: what happens in a call happens within seconds.
fn offset(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}s", ms / 1000, ms % 1000)
}
