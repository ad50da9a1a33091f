//! `turnbell log`: what happened, one line each, the newest last.

use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::{sessions, table};
use crate::auth::credential::AuthFailure;
use crate::edge::control_json::{LogLine, LogWord, Relayed, Request};
use crate::store::LogKind;
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
One line each, the newest last. Times are UTC. A client that is refused is not told why; the true
cause stands here: wrong password, expired so long ago, unknown realm, stale nonce.

Examples:
  turnbell log --since 10m                  what just happened
  turnbell log --user alice                 why alice's call failed
  turnbell log --kind auth_failure -n 1000  who is refused, and why")]
pub(super) struct Log {
    /// Only what concerns this user; a refused client concerns the user it claimed to be
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only one kind: credential, opened, closed, auth_failure, config or run
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<LogKind>,
    /// Only the last 90s, 10m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Duration>,
    /// At most so many, the newest
    #[arg(short = 'n', long, value_name = "N", default_value = "100", value_parser = sessions::limit)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

impl Log {
    pub(super) fn question(self) -> Question {
        let Self { user, kind, since, limit, format } = self;
        let since_at = since.map(since_at);
        let kind = kind.map(|kind| kind.code().to_owned());
        Question { request: Request::Log { user, kind, since_at, limit: Some(limit) }, format }
    }
}

/// The moment that lies so far back, Unix milliseconds.
pub(super) fn since_at(since: Duration) -> i64 {
    let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Now::read().unix_ms.saturating_sub(ms)
}

pub(super) fn listed(lines: &[LogLine]) -> String {
    if lines.is_empty() {
        return "nothing on record\n".to_owned();
    }
    let row = |line: &LogLine| {
        let (kind, user, text) = described(&line.event);
        vec![table::time(line.at), kind.code().to_owned(), user.to_owned(), text]
    };
    let rows: Vec<Vec<String>> = lines.iter().rev().map(row).collect();
    table::table(&["TIME (UTC)", "WHAT", "USER", "DETAILS"], &rows)
}

/// Kind, user, and the rest as words.
fn described(event: &LogWord) -> (LogKind, &str, String) {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    match event {
        LogWord::Credential { user, ttl, by, key, client, .. } => {
            let ttl = table::lasted(i64::from(*ttl) * 1000);
            let by = asked_by(by, key.as_deref());
            let from = client.as_ref().map_or_else(String::new, |client| format!(" from {client}"));
            (LogKind::Credential, user, format!("good for {ttl}, asked for by {by}{from}"))
        }
        LogWord::Opened(session) => {
            let (relayed, client) = (session.all_relayed(), or_dash(&session.client));
            let text = format!("{relayed} for {client} over {}", session.transport);
            (LogKind::Opened, &session.user, text)
        }
        LogWord::Closed(session) => {
            let end = session.ended_at.unwrap_or(session.opened_at);
            let mut text = format!(
                "{} of {}: {} after {}",
                session.all_relayed(),
                or_dash(&session.client),
                session.end_reason.as_deref().unwrap_or("-"),
                table::lasted(end - session.opened_at),
            );
            if let Some(Relayed { bytes_to_peers, bytes_to_client, .. }) = session.traffic {
                let (out, back) = (table::bytes(bytes_to_peers), table::bytes(bytes_to_client));
                text.push_str(&format!(", {out} to peers, {back} to the client"));
            }
            (LogKind::Closed, &session.user, text)
        }
        LogWord::AuthFailure {
            user,
            username: _,
            client,
            transport,
            cause,
            expired_ago_s,
            suppressed,
        } => {
            let mut text = format!(
                "{} over {transport}: {}",
                or_dash(client),
                AuthFailure::words_of(cause, *expired_ago_s)
            );
            if *suppressed > 0 {
                text.push_str(&format!(" ({suppressed} more before it)"));
            }
            (LogKind::AuthFailure, user, text)
        }
        LogWord::AuthFailuresCounted { count } => {
            (LogKind::AuthFailure, "", format!("{count} more in this minute"))
        }
        LogWord::Config { key, old, new, by } => {
            let by = match by.as_str() {
                "reload" => "by a reload",
                "stun" => "found by STUN",
                "dns" => "found by asking the resolver",
                other => other,
            };
            (LogKind::Config, "", format!("{key}: {old} -> {new}, {by}"))
        }
        LogWord::RunStarted { version } => {
            (LogKind::Run, "", format!("turnbell {version} started"))
        }
        LogWord::RunEnded { reason, rows_dropped: 0 } => {
            (LogKind::Run, "", format!("turnbell ended: {reason}"))
        }
        LogWord::RunEnded { reason, rows_dropped } => {
            let text = format!("turnbell ended: {reason}; {rows_dropped} events are missing");
            (LogKind::Run, "", text)
        }
    }
}

/// The words of `IssuedBy` for its code.
fn asked_by(code: &str, key: Option<&str>) -> String {
    match (code, key) {
        (_, Some(id)) => format!("key {id}"),
        ("local", None) => "a local request".to_owned(),
        ("command", None) => "`turnbell credential`".to_owned(),
        ("token", None) => "his own page".to_owned(),
        (other, None) => other.to_owned(),
    }
}

fn kind(text: &str) -> Result<LogKind, String> {
    let words: Vec<&str> = LogKind::ALL.into_iter().map(LogKind::code).collect();
    LogKind::parse(text).ok_or_else(|| format!("must be one of {}", words.join(", ")))
}

/// `90s`, `10m`, `12h`, `7d`.
pub(super) fn since(text: &str) -> Result<Duration, String> {
    let unit = match text.chars().last() {
        Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(3600),
        Some('d') => Some(86_400),
        Some(_) | None => None,
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let count = Some(digits).filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()));
    let seconds = unit.zip(count.and_then(|digits| digits.parse::<u64>().ok()));
    let seconds = seconds.and_then(|(unit, count)| count.checked_mul(unit));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "must be a time such as 90s, 10m, 12h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_line_stands_last_and_says_the_true_cause() {
        let lines = [
            LogLine {
                at: 2000,
                event: LogWord::AuthFailure {
                    user: "alice".to_owned(),
                    username: "0:alice".to_owned(),
                    client: Some("198.51.100.4:9".to_owned()),
                    transport: "udp".to_owned(),
                    cause: "expired".to_owned(),
                    expired_ago_s: Some(312),
                    suppressed: 7,
                },
            },
            LogLine {
                at: 1000,
                event: LogWord::Credential {
                    user: "bob".to_owned(),
                    username: "60:bob".to_owned(),
                    expires_at: 60,
                    ttl: 3600,
                    by: "api_key".to_owned(),
                    key: Some("k1".to_owned()),
                    client: None,
                },
            },
            LogLine { at: 0, event: LogWord::RunStarted { version: "1.2.3".to_owned() } },
        ];
        let text = listed(&lines);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("1970-01-01 00:00:00  run"), "{text}");
        assert!(lines[1].ends_with("turnbell 1.2.3 started"), "{text}");
        assert!(lines[2].ends_with("good for 1h00m, asked for by key k1"), "{text}");
        let failure = "alice  198.51.100.4:9 over udp: expired 312 s ago (7 more before it)";
        assert!(lines[3].ends_with(failure), "{text}");
        assert_eq!(listed(&[]), "nothing on record\n");
    }

    #[test]
    fn every_cause_and_every_asker_has_its_words() {
        assert_eq!(AuthFailure::words_of("wrong_integrity", None), "wrong password or secret");
        assert_eq!(AuthFailure::words_of("no_such_user", None), "no such user");
        assert_eq!(AuthFailure::words_of("of a later version", None), "of a later version");
        assert_eq!(asked_by("local", None), "a local request");
        assert_eq!(asked_by("command", None), "`turnbell credential`");
    }

    #[test]
    fn since_is_a_number_with_a_unit() {
        assert_eq!(since("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(since("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for bad in ["", "s", "7", "7w", "-7d", "1.5h", "7é", "99999999999999999999d"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
