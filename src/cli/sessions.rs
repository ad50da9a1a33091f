//! `turnbell sessions`: allocations as a table.

use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::edge::control_json::{Request, Session};
use crate::limits::QUERY_ROWS_MAX;
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
One line each, the newest last. TO PEERS and TO CLIENT are payload relayed so far. STATE is `on` with
the time left before the client must refresh, or why it ended: client (it said so), expired (it did
not refresh), shutdown, crash.

Examples:
  turnbell sessions                      who is connected
  turnbell sessions --all --user alice   what alice did
  turnbell sessions --json | jq '[.sessions[].traffic.bytes_to_peers] | add'")]
pub(super) struct Sessions {
    /// Only this user's (the part of the username after the expiry)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Also those that have ended, from the record
    #[arg(long)]
    all: bool,
    /// At most so many, the newest
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

impl Sessions {
    pub(super) fn question(self) -> Question {
        let Self { user, all, limit, format } = self;
        Question { request: Request::Sessions { user, all, limit: Some(limit) }, format }
    }
}

/// Rows that one answer may have.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|count| (1..=QUERY_ROWS_MAX).contains(count));
    found.ok_or_else(|| format!("must be a number from 1 to {QUERY_ROWS_MAX}"))
}

pub(super) fn listed(sessions: &[Session], now: Now) -> String {
    if sessions.is_empty() {
        return "no allocations\n".to_owned();
    }
    let line = |session: &Session| {
        let end = session.ended_at.unwrap_or(now.unix_ms);
        let relayed = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), table::bytes);
        vec![
            table::time(session.opened_at),
            table::lasted(end - session.opened_at),
            state(session),
            session.user.clone(),
            session.client.clone().unwrap_or_else(|| "-".to_owned()),
            session.all_relayed(),
            relayed(session.traffic.map(|traffic| traffic.bytes_to_peers)),
            relayed(session.traffic.map(|traffic| traffic.bytes_to_client)),
        ]
    };
    let rows: Vec<Vec<String>> = sessions.iter().rev().map(line).collect();
    let head =
        ["OPENED (UTC)", "LASTED", "STATE", "USER", "CLIENT", "RELAYED", "TO PEERS", "TO CLIENT"];
    table::table(&head, &rows)
}

fn state(session: &Session) -> String {
    match (&session.end_reason, session.expires_in_s) {
        (Some(reason), _) => reason.clone(),
        (None, Some(left)) => format!("on, {} left", table::lasted(i64::from(left) * 1000)),
        (None, None) => "on".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::control_json::Relayed;

    #[test]
    fn an_allocation_is_one_line_whether_on_or_ended_and_the_newest_is_the_last() {
        let traffic = Relayed {
            packets_to_peers: 1,
            bytes_to_peers: 2048,
            packets_to_client: 1,
            bytes_to_client: 5,
        };
        let on = Session {
            number: 2,
            user: "alice".to_owned(),
            client: None,
            server: "203.0.113.7:3478".to_owned(),
            transport: "udp".to_owned(),
            relayed: "203.0.113.7:50000".to_owned(),
            relayed_other: None,
            opened_at: 0,
            ended_at: None,
            end_reason: None,
            expires_in_s: Some(595),
            traffic: Some(traffic),
        };
        let unknown = Session { expires_in_s: None, traffic: None, ..on.clone() };
        let ended = Session {
            client: Some("198.51.100.4:9".to_owned()),
            relayed_other: Some("[2001:db8::7]:50001".to_owned()),
            ended_at: Some(65_000),
            end_reason: Some("expired".to_owned()),
            expires_in_s: None,
            ..on.clone()
        };
        let now = Now { unix_ms: 5000, ..Now::read() };
        let text = listed(&[on, unknown, ended], now);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
            .collect();
        let (start, relayed) = ("1970-01-01 00:00:00", "203.0.113.7:50000");
        let client = "198.51.100.4:9";
        let traffic = ["2.0 KiB", "5 B"];
        let both = "203.0.113.7:50000, [2001:db8::7]:50001";
        assert_eq!(lines[0][..6], [start, "1m05s", "expired", "alice", client, both]);
        assert_eq!(lines[0][6..], traffic);
        assert_eq!(lines[1], [start, "5s", "on", "alice", "-", relayed, "-", "-"]);
        assert_eq!(lines[2][..6], [start, "5s", "on, 9m55s left", "alice", "-", relayed]);
        assert_eq!(lines[2][6..], traffic);
        assert_eq!(listed(&[], now), "no allocations\n");
    }

    #[test]
    fn a_limit_is_1_to_10000() {
        assert_eq!((limit("1"), limit("10000")), (Ok(1), Ok(10_000)));
        assert!(limit("0").is_err() && limit("10001").is_err() && limit("-1").is_err());
    }
}
