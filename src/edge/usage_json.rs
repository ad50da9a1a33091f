//! Usage as JSON, over HTTP and the control socket, and as CSV.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::store::{Usage, UsageAnswer, UsageBy, UsageKey};
use crate::time::utc::utc;

/// What was used in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWord {
    /// From this moment on.
    pub from_at: i64,
    /// Until before this one.
    pub to_at: i64,
    /// `tenant`, `user` or `day`.
    pub by: String,
    /// One for each.
    pub items: Vec<UsageItem>,
    /// All together; a call of two users counts once.
    pub total: UsageCounts,
    /// Where the next page of items begins.
    pub next_cursor: Option<String>,
}

/// What one tenant or user, or all on one day, used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageItem {
    /// Whose; absent for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Who; of users only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `2026-11-20`, UTC; of days only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// How much.
    #[serde(flatten)]
    pub counts: UsageCounts,
}

/// How much was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageCounts {
    /// Calls, answered or not.
    pub calls: u64,
    /// Calls in which media flowed.
    pub connected: u64,
    /// How long it flowed, in whole minutes, rounded.
    pub minutes: u64,
    /// The same exactly.
    pub talk_ms: u64,
    /// Connected calls from side to side.
    pub direct: u64,
    /// Connected calls through a relay.
    pub relayed: u64,
    /// Relayed addresses that were given.
    pub allocations: u64,
    /// Those that carried nothing.
    pub gathered_only: u64,
    /// Payload from clients to peers.
    pub bytes_up: u64,
    /// Payload from peers to clients.
    pub bytes_down: u64,
}

impl UsageWord {
    pub(super) fn of(from_at: i64, to_at: i64, by: UsageBy, answer: &UsageAnswer) -> Self {
        let item = |(key, usage): &(UsageKey, Usage)| {
            let UsageKey { tenant, user, day_unix_ms } = key;
            let is = |wanted: &[UsageBy]| wanted.contains(&by);
            UsageItem {
                tenant: is(&[UsageBy::Tenant, UsageBy::User]).then(|| tenant.clone()),
                user: is(&[UsageBy::User]).then(|| user.clone()),
                day: is(&[UsageBy::Day]).then(|| utc(*day_unix_ms)[..10].to_owned()),
                counts: (*usage).into(),
            }
        };
        Self {
            from_at,
            to_at,
            by: by.code().to_owned(),
            items: answer.rows.iter().map(item).collect(),
            total: answer.total.into(),
            next_cursor: None,
        }
    }

    /// A head, a line for each item, CRLF (RFC 4180). Sizes in bytes, times in milliseconds.
    #[must_use]
    pub fn csv(&self) -> String {
        let names: &[&str] = match self.by.as_str() {
            "day" => &["day"],
            "user" => &["tenant", "user"],
            _ => &["tenant"],
        };
        let mut text = format!(
            "{},calls,connected,minutes,talk_ms,direct,relayed,allocations,gathered_only,bytes_up,\
             bytes_down\r\n",
            names.join(",")
        );
        for UsageItem { tenant, user, day, counts } in &self.items {
            for name in [tenant, user, day].into_iter().flatten() {
                text.push_str(&cell(name));
                text.push(',');
            }
            let UsageCounts {
                calls,
                connected,
                minutes,
                talk_ms,
                direct,
                relayed,
                allocations,
                gathered_only,
                bytes_up,
                bytes_down,
            } = counts;
            let _ = write!(
                text,
                "{calls},{connected},{minutes},{talk_ms},{direct},{relayed},{allocations},\
                 {gathered_only},{bytes_up},{bytes_down}\r\n"
            );
        }
        text
    }
}

impl From<Usage> for UsageCounts {
    fn from(usage: Usage) -> Self {
        Self {
            calls: usage.calls,
            connected: usage.connected,
            minutes: usage.talk_ms.saturating_add(30_000) / 60_000,
            talk_ms: usage.talk_ms,
            direct: usage.direct,
            relayed: usage.relayed,
            allocations: usage.allocations,
            gathered_only: usage.gathered_only,
            bytes_up: usage.bytes_up,
            bytes_down: usage.bytes_down,
        }
    }
}

/// A name is somebody else's text: a spreadsheet must take it neither for a formula nor for the end
/// of its cell.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if is_formula || text.contains([',', '"', '\r', '\n']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_cell_and_is_no_formula() {
        for (name, expected) in [
            ("alice", "alice"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("-2", "\"'-2\""),
            ("@x", "\"'@x\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(name), expected);
        }
    }

    #[test]
    fn minutes_are_rounded_at_the_half() {
        let minutes = |talk_ms| UsageCounts::from(Usage { talk_ms, ..Usage::default() }).minutes;
        assert_eq!([29_999, 30_000, 89_999, 90_000].map(minutes), [0, 1, 1, 2]);
    }
}
