//! The story: every row as a sentence that a person understands without knowing the tables.

use super::Line;
use super::case::{CallCase, Case, said, user_of};
use crate::auth::credential::AuthFailure;
use crate::call::rows::{EventRow, TimelineKind};
use crate::store::{IssuedBy, LogEvent, LogKind, LogRow, SessionRow};
use crate::time::utc::utc;

/// All of it, oldest first.
pub(super) fn story(case: &Case) -> Vec<Line> {
    let log = case.log.iter().map(line_of_log);
    let calls = case.calls.iter().flat_map(|call| {
        let line = |event| line_of_call(call, event);
        call.timeline.iter().map(line)
    });
    let mut lines: Vec<Line> = log.chain(calls).collect();
    lines.sort_by_key(|line| line.at);
    lines
}

fn line_of_log(row: &LogRow) -> Line {
    let (kind, text) = match &row.event {
        LogEvent::CredentialIssued { expires_at, ttl_s, by, client, .. } => {
            let until = utc(expires_at.saturating_mul(1000));
            let from = from(client.as_deref());
            let text = format!(
                "was given a TURN credential good for {} until {until}, asked for by {}{from}",
                seconds(i64::from(*ttl_s)),
                asked_by(by),
            );
            (LogKind::Credential, text)
        }
        LogEvent::AllocationOpened(session) => {
            let client = from(session.client.as_deref());
            let text =
                format!("got a relay over {}{client}: {}", session.transport, relays(session));
            (LogKind::Opened, text)
        }
        LogEvent::AllocationClosed(session) => (LogKind::Closed, closed(session)),
        LogEvent::AuthenticationFailed {
            client,
            transport,
            cause,
            expired_ago_s,
            suppressed,
            ..
        } => {
            let mut text = format!(
                "was refused a relay over {transport}{}: {}",
                from(client.as_deref()),
                AuthFailure::words_of(cause, *expired_ago_s),
            );
            if *suppressed > 0 {
                text.push_str(&format!("; {suppressed} more refusals before this one have no row"));
            }
            (LogKind::AuthFailure, text)
        }
        LogEvent::AuthenticationFailuresCounted { count } => {
            (LogKind::AuthFailure, format!("{count} more refusals in this minute have no row"))
        }
        LogEvent::ConfigChanged { key, old, new, by } => {
            (LogKind::Config, format!("{key} changed from {old} to {new} (by {by})"))
        }
        LogEvent::RunStarted { version } => (LogKind::Run, format!("turnbell {version} started")),
        LogEvent::RunEnded { reason, rows_dropped: 0 } => {
            (LogKind::Run, format!("turnbell ended ({reason}), and with it every relay"))
        }
        LogEvent::RunEnded { reason, rows_dropped } => (
            LogKind::Run,
            format!(
                "turnbell ended ({reason}); {rows_dropped} events of that run are missing here"
            ),
        ),
    };
    let user = user_of(&row.event).map(said);
    Line { at: row.at_unix_ms, kind: kind.code().to_owned(), user, text }
}

fn line_of_call(call: &CallCase, event: &EventRow) -> Line {
    let role = call.role_of(event);
    let user = match (role, &event.device) {
        (Some(role), _) => Some(call.name(role).to_owned()),
        // Devices that ring are the callee's.
        (None, Some(_)) => Some(call.record.call.callee.as_str().to_owned()),
        (None, None) => None,
    };
    let detail = event.detail.as_deref().unwrap_or_default();
    let text = match event.kind {
        TimelineKind::Invited => format!("called {}", call.record.call.callee.as_str()),
        TimelineKind::Delivered => "a device was told to ring".to_owned(),
        TimelineKind::Ringing => "a device rings".to_owned(),
        TimelineKind::Unresponsive => {
            "a device did not say that it rings: its page sleeps".to_owned()
        }
        TimelineKind::Blocked => {
            format!("has blocked {}: no device is told", call.record.call.caller.as_str())
        }
        TimelineKind::Silenced => "silenced the device".to_owned(),
        TimelineKind::DeviceGone => "a ringing device is gone for good".to_owned(),
        TimelineKind::Accepted => "answered".to_owned(),
        TimelineKind::Glare => "had called back at the same moment: taken as an answer".to_owned(),
        TimelineKind::Offer => "sent an offer".to_owned(),
        TimelineKind::Answer => "sent an answer".to_owned(),
        TimelineKind::MediaConnected if detail.is_empty() => "has media".to_owned(),
        TimelineKind::MediaConnected => format!("has media, {}", path(detail)),
        TimelineKind::MediaDisconnected => "lost the media".to_owned(),
        TimelineKind::MediaFailed => "found no way for the media: ICE gave up".to_owned(),
        TimelineKind::Active => "they talk".to_owned(),
        TimelineKind::Held => "put the call on hold".to_owned(),
        TimelineKind::Unheld => "took the call back".to_owned(),
        TimelineKind::Reconnecting => "the call looks for a new way".to_owned(),
        TimelineKind::Recovered => format!("the call came back after {detail} ms"),
        TimelineKind::RestartAsked => "an ICE restart was asked for".to_owned(),
        TimelineKind::SignalingLost => "the page's connection to us was lost".to_owned(),
        TimelineKind::SignalingBack => "the page's connection to us is back".to_owned(),
        TimelineKind::SessionEnded => "the page is gone".to_owned(),
        TimelineKind::Rejoined => "came back with a new page".to_owned(),
        TimelineKind::Warning => format!("hears badly: {}", quality(detail)),
        TimelineKind::WarningCleared => format!("{detail} is good again"),
        TimelineKind::Restored => "the server took the call up again after its restart".to_owned(),
        TimelineKind::Ended => format!("the call ended: {}", detail.replace('_', " ")),
    };
    Line { at: event.at, kind: "call".to_owned(), user, text }
}

fn closed(session: &SessionRow) -> String {
    let traffic = session.traffic;
    let why = match session.end_reason.as_deref() {
        Some("client") => "gave the relay back",
        Some("expired") => "let the relay run out: no refresh came",
        Some("credential_expired") => "lost the relay: the credential's time was over",
        Some("revoked") => "lost the relay: an operator revoked the user",
        Some("ended") => "lost the relay: an operator ended its call, or a limit did",
        Some("disconnected") => "lost the relay: the connection it was made over broke",
        Some("shutdown") => "lost the relay: turnbell stopped",
        Some("crash") => "lost the relay: turnbell was killed",
        Some(_) | None => "has the relay no longer",
    };
    let after = session.ended_at_unix_ms.map_or(0, |end| end - session.started_at_unix_ms);
    let sent = traffic.packets_to_peers;
    let received = traffic.packets_to_client;
    format!(
        "{why}, after {}; {sent} packets went out through it, {received} came back",
        span(after)
    )
}

fn relays(session: &SessionRow) -> String {
    match &session.relayed_other {
        Some(other) => format!("{} and {other}", session.relayed),
        None => session.relayed.clone(),
    }
}

fn from(client: Option<&str>) -> String {
    client.map_or_else(String::new, |client| format!(" from {client}"))
}

fn asked_by(by: &IssuedBy) -> String {
    match by {
        IssuedBy::Local => "a program on this machine".to_owned(),
        IssuedBy::ApiKey(id) => format!("the API key {id}"),
        IssuedBy::Command => "`turnbell credential`".to_owned(),
        IssuedBy::Token => "the page itself".to_owned(),
    }
}

/// `relay/srflx/udp` in words.
pub(super) fn path(code: &str) -> String {
    let mut words = code.splitn(3, '/');
    let (local, remote) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    let transport = words.next().unwrap_or("-");
    match (local == "relay", remote == "relay") {
        (true, true) => format!("through both sides' relays over {transport}"),
        (true, false) => format!("through the own relay over {transport}"),
        (false, true) => format!("through the other side's relay over {transport}"),
        (false, false) => format!("directly ({local} to {remote}) over {transport}"),
    }
}

/// `loss 3.2` in words.
pub(super) fn quality(detail: &str) -> String {
    let (metric, value) = detail.split_once(' ').unwrap_or((detail, ""));
    match metric {
        "rtt" => format!("a round trip takes {value} ms"),
        "jitter" => format!("packets come {value} ms unevenly"),
        "loss" => format!("{value} % of the packets are lost"),
        "mos" => format!("a quality of {value} out of 5"),
        "one_way_audio" => format!("the other side speaks and nothing arrived for {value} s"),
        _ => detail.to_owned(),
    }
}

/// `1.2 s`, `3 min 12 s`.
pub(super) fn span(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms => seconds(ms / 1000),
    }
}

pub(super) fn seconds(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 if s % 60 == 0 => format!("{} min", s / 60),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s @ 3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        s => format!("{} days", s / 86_400),
    }
}
