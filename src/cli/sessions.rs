//! `turnbell sessions`: allocations as a table.

use clap::Args;

use super::record::{IfMissing, Record};
use super::table;
use crate::config::Config;
use crate::limits::QUERY_ROWS_MAX;
use crate::store::{SessionQuery, SessionRow};
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
TO PEERS and TO CLIENT are what was relayed, known when an allocation has ended.

Examples:
  turnbell sessions --open              who is connected
  turnbell sessions --user alice        what alice did
  turnbell sessions --limit 1000 | less")]
pub(super) struct Sessions {
    /// Only this user's (the part of the username after the expiry)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those that are on
    #[arg(long)]
    open: bool,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value = "50", value_parser = limit)]
    limit: usize,
}

impl Sessions {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let query = SessionQuery { user: self.user, open_only: self.open, limit: self.limit };
        let rows = Record::reach(config, IfMissing::Fail)?.sessions(&query)?;
        super::print(&listed(&rows, Now::read()))
    }
}

/// Rows that one answer may have.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|count| (1..=QUERY_ROWS_MAX).contains(count));
    found.ok_or_else(|| format!("must be a number from 1 to {QUERY_ROWS_MAX}"))
}

fn listed(rows: &[SessionRow], now: Now) -> String {
    if rows.is_empty() {
        return "no allocations\n".to_owned();
    }
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let end = row.ended_at_unix_ms.unwrap_or(now.unix_ms);
            let has_ended = row.ended_at_unix_ms.is_some();
            let relayed = |bytes| if has_ended { table::bytes(bytes) } else { "-".to_owned() };
            vec![
                table::time(row.started_at_unix_ms),
                table::lasted(end - row.started_at_unix_ms),
                row.end_reason.clone().unwrap_or_else(|| "on".to_owned()),
                row.user.clone(),
                row.client.clone().unwrap_or_else(|| "-".to_owned()),
                row.all_relayed(),
                relayed(row.traffic.bytes_to_peers),
                relayed(row.traffic.bytes_to_client),
            ]
        })
        .collect();
    let head =
        ["STARTED (UTC)", "LASTED", "END", "USER", "CLIENT", "RELAYED", "TO PEERS", "TO CLIENT"];
    table::table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fact::Traffic;

    #[test]
    fn an_allocation_is_one_line_whether_on_or_ended() {
        let on = SessionRow {
            run: 1,
            number: 2,
            user: "alice".to_owned(),
            username: "1800000000:alice".to_owned(),
            client: None,
            server: "203.0.113.7:3478".to_owned(),
            transport: "udp".to_owned(),
            relayed: "203.0.113.7:50000".to_owned(),
            relayed_other: None,
            lifetime_s: 600,
            started_at_unix_ms: 0,
            ended_at_unix_ms: None,
            end_reason: None,
            traffic: Traffic::default(),
        };
        let ended = SessionRow {
            client: Some("198.51.100.4:9".to_owned()),
            relayed_other: Some("[2001:db8::7]:50001".to_owned()),
            ended_at_unix_ms: Some(65_000),
            end_reason: Some("expired".to_owned()),
            traffic: Traffic { bytes_to_peers: 2048, bytes_to_client: 5, ..Traffic::default() },
            ..on.clone()
        };
        let now = Now { unix_ms: 5000, ..Now::read() };
        let text = listed(&[on, ended], now);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
            .collect();
        let start = "1970-01-01 00:00:00";
        assert_eq!(lines[0], [start, "5s", "on", "alice", "-", "203.0.113.7:50000", "-", "-"]);
        let client = "198.51.100.4:9";
        let both = "203.0.113.7:50000, [2001:db8::7]:50001";
        assert_eq!(lines[1], [start, "1m05s", "expired", "alice", client, both, "2.0 KiB", "5 B"]);
        assert_eq!(listed(&[], now), "no allocations\n");
    }

    #[test]
    fn a_limit_is_1_to_10000() {
        assert_eq!((limit("1"), limit("10000")), (Ok(1), Ok(10_000)));
        assert!(limit("0").is_err() && limit("10001").is_err() && limit("-1").is_err());
    }
}
