//! `turnbell revoke`: ends what a user has and refuses his credentials from then on.

use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::table;
use crate::config::{Config, accounts};
use crate::edge::control_json::{Request, RevokedUser};
use crate::limits::revocation::{REVOCATION_DEFAULT, REVOCATION_MAX};
use crate::ops::log::printable;
use crate::ops::state_directory::USERS_FILE;

#[derive(Debug, Args)]
#[command(after_help = "\
USER is the part of the username after the expiry, as `turnbell sessions` shows it, with his tenant
(acme/alice) or without (alice: in tenant `default`, or without one). His calls, pages and allocations
end within a second. His tokens and credentials are refused for as long as one that exists may still be
good: a day, the longest that turnbell issues by itself; --for where yours live longer. New ones are
refused as well, as nobody can tell them apart. An account (`turnbell user`, or of the config) is refused until --undo.

Examples:
  turnbell revoke alice
  turnbell revoke alice --for 7d
  turnbell revoke --undo alice
  turnbell revoke                   who is revoked")]
pub(super) struct Revoke {
    /// Whom
    #[arg(value_name = "USER", required_if_eq("undo", "true"))]
    user: Option<String>,
    /// Let him in again
    #[arg(long, conflicts_with = "duration")]
    undo: bool,
    /// How long his credentials are refused: 10m, 12h, 7d; at most 365d [default: 24h]
    #[arg(long = "for", value_name = "TIME", value_parser = duration, requires = "user")]
    duration: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl Revoke {
    pub(super) fn question(self, config: &Config) -> Question {
        let request = match self.user {
            None => Request::RevokeList {},
            Some(user) if self.undo => Request::RevokeUndo { user },
            Some(user) => {
                let auth = &config.auth;
                let kept = accounts::read(&config.state_directory.join(USERS_FILE));
                let is_account = auth.users.iter().any(|account| account.name == user)
                    || auth.user_keys.iter().any(|account| account.name == user)
                    || kept.is_ok_and(|kept| kept.iter().any(|account| account.name == user));
                let default = (!is_account).then_some(REVOCATION_DEFAULT);
                let for_s = self.duration.or(default).map(|time| time.as_secs());
                Request::Revoke { user, for_s }
            }
        };
        Question { request, format: self.format }
    }
}

pub(super) fn revoked(user: &str, closed: Option<usize>, until_at: Option<i64>) -> String {
    let closed = match closed {
        None => String::new(),
        Some(1) => " 1 allocation ended.".to_owned(),
        Some(count) => format!(" {count} allocations ended."),
    };
    let until = until_at.map_or_else(
        || format!("until `turnbell revoke --undo {}`", printable(user)),
        |at| format!("until {} UTC", table::time(at)),
    );
    format!("User {user:?} is revoked: credentials are refused {until}.{closed}\n")
}

pub(super) fn undone(user: &str) -> String {
    format!("User {user:?} is let in again.\n")
}

pub(super) fn listed(users: &[RevokedUser]) -> String {
    if users.is_empty() {
        return "nobody is revoked\n".to_owned();
    }
    let row = |user: &RevokedUser| {
        let until = user.until_at.map_or_else(|| "undone".to_owned(), table::time);
        vec![user.user.clone(), table::time(user.revoked_at), until]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    table::table(&["USER", "REVOKED (UTC)", "UNTIL (UTC)"], &rows)
}

fn duration(text: &str) -> Result<Duration, String> {
    table::duration(text, Duration::from_secs(1)..=REVOCATION_MAX)
        .ok_or_else(|| "must be a time from 1s to 365d, such as 12h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_at_most_a_year() {
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(duration("365d"), Ok(REVOCATION_MAX));
        for wrong in ["366d", "0s", "12", "h", "", "-1h", "1.5h", "12é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_says_until_when_and_what_ended() {
        assert_eq!(
            revoked("bob", Some(2), Some(60_000)),
            "User \"bob\" is revoked: credentials are refused until 1970-01-01 00:01:00 UTC. \
             2 allocations ended.\n"
        );
        assert!(revoked("bob", None, None).ends_with("until `turnbell revoke --undo bob`.\n"));
        assert!(revoked("bob", Some(1), None).ends_with(" 1 allocation ended.\n"));
        assert_eq!(listed(&[]), "nobody is revoked\n");
    }
}
