//! `turnbell invite`: a link that lets somebody in without an account.

use std::time::Duration;

use clap::Args;

use super::ask::{Format, Question};
use super::{qr, table};
use crate::edge::control_json::Request;
use crate::edge::invite_json::{InviteMade, InviteWanted, InviteWord};
use crate::limits::identity::{INVITE_TTL_MAX, INVITE_TTL_MIN, INVITE_USES_MAX};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(after_help = "\
Whoever opens the link types a name and is in, without an account. What lets in stands behind the `#`, which
browsers send to no server, so that no log keeps it. In a terminal the link is drawn as a QR code, too.

Examples:
  turnbell invite                        for two people: both open the link
  turnbell invite --to alice --uses 1    one person, who calls alice
  turnbell invite --list                 what is open, and how often it was used
  turnbell invite --revoke 01J8Z3K7W9X5Y2V4T6R8Q0P1NM")]
pub(super) struct Invite {
    /// The user who is called
    #[arg(long, value_name = "USER")]
    to: Option<String>,
    /// Whose guest that is [default: default]
    #[arg(long)]
    tenant: Option<String>,
    /// How long it is good: 60s to 30d [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// How often it may be opened, 1 to 10000 [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(INVITE_USES_MAX)))]
    uses: Option<u32>,
    /// Take one back
    #[arg(long, value_name = "ID", conflicts_with_all = ["to", "tenant", "ttl", "uses", "list"])]
    revoke: Option<String>,
    /// Show those that have not expired
    #[arg(long, conflicts_with_all = ["to", "tenant", "ttl", "uses"])]
    list: bool,
    #[command(flatten)]
    format: Format,
}

impl Invite {
    pub(super) fn question(self) -> Question {
        let Self { to, tenant, ttl, uses, revoke, list, format } = self;
        let ttl_s = ttl.map(|ttl| ttl.as_secs());
        let request = match revoke {
            Some(id) => Request::InviteRevoke { id },
            None if list => Request::InviteList {},
            None => Request::Invite { wanted: InviteWanted { to, tenant, ttl_s, uses } },
        };
        Question { request, format }
    }
}

pub(super) fn made(made: &InviteMade) -> String {
    let InviteMade { url, url_from, token: _, id, tenant, to, expires_at, uses } = made;
    let to = to.as_ref().map_or_else(String::new, |to| format!(", calls {}", printable(to)));
    let times = if *uses == 1 { "once".to_owned() } else { format!("{uses} times") };
    format!(
        "{url}\n\n{}Good {times} until {} UTC, in tenant {tenant}{to}.\nThe link begins as {}.\n\
         Take it back: turnbell invite --revoke {id}\n",
        qr::of(url),
        table::time(*expires_at),
        printable(url_from),
    )
}

pub(super) fn revoked(id: &str) -> String {
    format!(
        "Invite {} is taken back; who came in by it stays until his token ends.\n",
        printable(id)
    )
}

pub(super) fn listed(invites: &[InviteWord]) -> String {
    if invites.is_empty() {
        return "no invite is open\n".to_owned();
    }
    let row = |invite: &InviteWord| {
        let state = match invite.revoked_at {
            Some(_) => "taken back".to_owned(),
            None => format!("{} of {}", invite.used, invite.uses),
        };
        let to = invite.to.clone().unwrap_or_else(|| "-".to_owned());
        vec![invite.id.clone(), invite.tenant.clone(), to, state, table::time(invite.expires_at)]
    };
    let rows: Vec<Vec<String>> = invites.iter().map(row).collect();
    table::table(&["ID", "TENANT", "TO", "USED", "UNTIL (UTC)"], &rows)
}

fn ttl(text: &str) -> Result<Duration, String> {
    table::duration(text, INVITE_TTL_MIN..=INVITE_TTL_MAX)
        .ok_or_else(|| "must be a time from 60s to 30d, such as 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_told_with_its_end_and_how_to_take_it_back() {
        let invite = InviteMade {
            url: "https://calls.example.org/j/#a.b.c".into(),
            url_from: "http.public_url".into(),
            token: "a.b.c".into(),
            id: "01J8".into(),
            tenant: "default".into(),
            to: Some("alice".into()),
            expires_at: 60_000,
            uses: 1,
        };
        let text = made(&invite);
        assert!(text.starts_with("https://calls.example.org/j/#a.b.c\n"), "{text}");
        assert!(text.contains("Good once until 1970-01-01 00:01:00 UTC"), "{text}");
        assert!(text.contains("calls alice") && text.contains("--revoke 01J8"), "{text}");
    }
}
