//! From rows to causes. A cause is certain where a row says it; else it is what fits best, and says so.

use std::collections::BTreeMap;

use super::call_cause;
use super::case::{Case, said, user_of};
use super::words::{seconds, span};
use super::{About, Cause};
use crate::store::{LogEvent, LogRow};
use crate::time::utc::utc;

/// Everything that the rows show, the likeliest first.
pub(super) fn causes(case: &Case) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for call in &case.calls {
        found.extend(call_cause::causes(case, call));
    }
    let refused = refused(case);
    // What a call's cause says already is not said again for its user.
    let new = |cause: &Cause| !found.iter().any(|known| known.code == cause.code);
    let refused: Vec<Cause> = refused.into_iter().filter(new).collect();
    found.extend(refused);
    found.extend(daemon(case));
    if case.calls.is_empty() {
        found.extend(relays(case));
    }
    // What is trouble comes first, then what is certain; else as it was found: newest calls first.
    found.sort_by_key(|cause| (!cause.is_trouble, !cause.is_certain));
    found
}

/// One sentence above everything.
pub(super) fn verdict(case: &Case, causes: &[Cause]) -> String {
    let trouble: Vec<&Cause> = causes.iter().filter(|cause| cause.is_trouble).collect();
    match (trouble.as_slice(), causes) {
        ([one], _) if one.is_certain => one.cause.clone(),
        ([one], _) => format!("Probably: {}", one.cause),
        ([first, rest @ ..], _) => {
            let probably = if first.is_certain { "" } else { "Probably: " };
            format!("{probably}{} And {} more, below.", first.cause, rest.len())
        }
        ([], [fine, ..]) => fine.cause.clone(),
        ([], []) => nothing(case),
    }
}

fn nothing(case: &Case) -> String {
    let is_about_it = |row: &LogRow| match &case.about {
        About::User { .. } => user_of(&row.event).is_some(),
        About::Call(_) | About::Moment(_) => true,
    };
    if case.log.iter().any(is_about_it) || !case.calls.is_empty() {
        return "The record shows no fault: this is what happened.".to_owned();
    }
    let span = format!("from {} to {} UTC", utc(case.from), utc(case.until));
    match &case.about {
        About::User { names, .. } => format!(
            "Nothing is on record about {} {span}: no credential, no call, and no packet with such a \
             name reached this server.",
            names.first().map_or("", String::as_str),
        ),
        About::Call(_) | About::Moment(_) => format!("Nothing is on record {span}."),
    }
}

/// Credentials that were refused, one cause for each user and reason.
fn refused(case: &Case) -> Vec<Cause> {
    let mut count_by: BTreeMap<(String, &str), (u64, i64, Option<i64>)> = BTreeMap::new();
    for row in &case.log {
        if let LogEvent::AuthenticationFailed { user, cause, expired_ago_s, suppressed, .. } =
            &row.event
        {
            let seen = count_by.entry((said(user), cause)).or_default();
            *seen = (seen.0 + 1 + suppressed, row.at_unix_ms, *expired_ago_s);
        }
    }
    let causes = count_by.into_iter().filter_map(|((user, code), (count, last, ago_s))| {
        let seen = match count {
            1 => format!("one refusal at {} UTC", utc(last)),
            _ => format!("{count} refusals, the last at {} UTC", utc(last)),
        };
        refusal(&user, code, ago_s).map(|cause| Cause { seen, ..cause })
    });
    causes.collect()
}

/// Why a credential was refused, and what to do.
pub(super) fn refusal(user: &str, code: &str, ago_s: Option<i64>) -> Option<Cause> {
    let (cause, cure) = match code {
        "expired" => (
            format!(
                "The TURN credential of {user} was over {} before it was used.",
                seconds(ago_s.unwrap_or(0))
            ),
            "Have the page ask for a new ICE config after refresh_after seconds, and whenever it wakes \
             up. If it had only just been issued, compare the clock of whoever issues with this \
             machine's (timedatectl)."
                .to_owned(),
        ),
        "wrong_integrity" => (
            format!("The TURN password of {user} was not made with a secret of this server."),
            "Give your backend the first secret of auth.secrets (or let it ask /ice); after a change \
             keep the old one in the list until the credentials made with it are over."
                .to_owned(),
        ),
        "no_such_user" => (
            format!("{user} is no name that this server knows."),
            "A time-limited name is <unix time>:<user>; any other must stand in auth.users. Without the \
             user, or with the time behind it, it takes auth.rest_usernames = \"coturn\"."
                .to_owned(),
        ),
        "unknown_realm" => (
            format!("{user} came with another realm than this server's."),
            "The client does not take the realm from the server's 401, or speaks to the wrong server; \
             `turnbell print-config` shows ours."
                .to_owned(),
        ),
        "revoked" => (
            format!("{user} is revoked."),
            format!("`turnbell revoke --undo {user}` lets him in again."),
        ),
        // The client asks again with the new nonce by itself.
        "stale_nonce" => return None,
        other => (format!("{user} was refused: {other}."), String::new()),
    };
    Some(Cause {
        code: code.to_owned(),
        is_certain: true,
        is_trouble: true,
        cause,
        cure,
        seen: String::new(),
        call: None,
    })
}

/// What happened to the daemon itself.
fn daemon(case: &Case) -> Vec<Cause> {
    let mut found = Vec::new();
    for row in &case.log {
        let LogEvent::RunEnded { reason, rows_dropped } = &row.event else { continue };
        let at = utc(row.at_unix_ms);
        let (code, cause, cure, is_trouble) = if reason == "crash" {
            let cause =
                format!("turnbell was killed or crashed at {at} UTC; every relay ended then.");
            let cure = "journalctl -u turnbell around that time says more; was the memory used up?";
            ("daemon_crash", cause, cure, true)
        } else {
            let cause = format!("turnbell was stopped at {at} UTC; every relay ended then.");
            let cure = "`turnbell drain` before a restart lets live calls end by themselves.";
            ("daemon_stop", cause, cure, matches!(case.about, About::Moment(_)))
        };
        found.push(Cause {
            code: code.to_owned(),
            is_certain: true,
            is_trouble,
            cause,
            cure: cure.to_owned(),
            seen: format!("the end of a run; {rows_dropped} events of it are missing"),
            call: None,
        });
    }
    found
}

/// Relays outside of calls of ours: what they carried, and how they ended.
fn relays(case: &Case) -> Vec<Cause> {
    let mut found = Vec::new();
    for row in case.log.iter().rev() {
        let LogEvent::AllocationClosed(session) = &row.event else { continue };
        let user = said(&session.user);
        let lasted = row.at_unix_ms - session.started_at_unix_ms;
        let traffic = session.traffic;
        let seen =
            format!("the relay {} over {}, {}", session.relayed, session.transport, span(lasted));
        let cause = |code: &str, cause: String, cure: &str| Cause {
            code: code.to_owned(),
            is_certain: false,
            is_trouble: true,
            cause,
            cure: cure.to_owned(),
            seen: seen.clone(),
            call: None,
        };
        match (traffic.packets_to_peers, traffic.packets_to_client) {
            // Browsers make relays before they know whether they need them.
            (0, 0) => {}
            (_, 0) => found.push(cause(
                "nothing_came_back",
                format!("{user} sent through the relay, and nothing came back from the other side."),
                "Is the relay's port range open in the firewall for UDP from everywhere \
                 (`turnbell check-config` names it)? Else the other side's network blocks it.",
            )),
            (0, _) => found.push(cause(
                "nothing_sent",
                format!("Packets came to the relay of {user}, and {user} sent none through it."),
                "The other side tried this relay while the client used another way; usually harmless.",
            )),
            (_, _) => {}
        }
        if session.end_reason.as_deref() == Some("expired") && traffic.packets_to_peers > 0 {
            found.push(cause(
                "not_refreshed",
                format!("The relay of {user} was in use and then ran out: the client went away silently."),
                "Its network changed or its page slept; a client that notices makes an ICE restart.",
            ));
        }
    }
    found.truncate(RELAYS_TOLD);
    found
}

/// Relays of one user that are worth a cause of their own.
const RELAYS_TOLD: usize = 5;
