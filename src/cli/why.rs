//! `turnbell why`: the story of a user, a call or a moment, ending with the likely cause.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::{log, table};
use crate::edge::control_json::Request;
use crate::edge::why::{Cause, Line, Why, WhyWanted};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
Joins what is on record: credentials, refusals, relays, calls with their timelines, restarts and
changes of the config. Times are UTC unless an offset is given.

Examples:
  turnbell why alice                         the last day of alice
  turnbell why acme/bob --since 2h           of bob in the tenant acme
  turnbell why 01JD0Q3ZK5V9XW2M4N6P8R0T1Y    one call
  turnbell why 10:02                         everybody, around two minutes past ten
  turnbell why 2026-11-20T12:02+02:00")]
pub(super) struct WhyArgs {
    /// A user, the id of a call, or a time
    #[arg(value_name = "USER|CALL|TIME", required_unless_present = "user")]
    about: Option<String>,
    /// A user, whatever the name looks like
    #[arg(long, value_name = "USER", conflicts_with = "about")]
    user: Option<String>,
    /// Of a user: only the last 90s, 10m, 12h or 7d [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = log::since)]
    since: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl WhyArgs {
    pub(super) fn question(self) -> Question {
        let Self { about, user, since, format } = self;
        let is_user = user.is_some();
        let about = user.or(about).unwrap_or_default();
        let wanted = WhyWanted { about, is_user, since_at: since.map(log::since_at) };
        Question { request: Request::Why { wanted }, format }
    }
}

pub(super) fn told(why: &Why) -> String {
    let mut text = format!("{}\n", printable(&why.verdict));
    for cause in &why.causes {
        told_cause(&mut text, cause);
    }
    let is_about_it = |line: &Line| line.user.is_some() || line.kind == "call";
    if why.causes.is_empty() && !why.story.iter().any(is_about_it) {
        text.push_str(
            "\nIf the user is sure to have tried: did the packets reach this server at all? Open \
             /ice-verify on that network, or run `turnbell verify` here.\n",
        );
    }
    if why.story.is_empty() {
        return text;
    }
    text.push('\n');
    let row = |line: &Line| {
        let user = line.user.clone().unwrap_or_else(|| "-".to_owned());
        vec![table::time(line.at), user, line.text.clone()]
    };
    let rows: Vec<Vec<String>> = why.story.iter().map(row).collect();
    text.push_str(&table::table(&["TIME (UTC)", "WHO", "WHAT HAPPENED"], &rows));
    if why.is_cut {
        text.push_str("There was more: ask for a shorter time.\n");
    }
    text
}

fn told_cause(text: &mut String, cause: &Cause) {
    let mark = match (cause.is_trouble, cause.is_certain) {
        (true, true) => "!",
        (true, false) => "?",
        (false, _) => "-",
    };
    let _ = writeln!(text, "\n{mark} {}", printable(&cause.cause));
    for (name, value) in [("do", &cause.cure), ("seen", &cause.seen)] {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name}: {}", printable(value));
        }
    }
    if let Some(call) = &cause.call {
        let _ = writeln!(text, "  call: {}", printable(call));
    }
}
