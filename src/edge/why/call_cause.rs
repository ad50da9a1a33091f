//! Why one call ended as it did.

use super::Cause;
use super::case::{CallCase, Case, is_of_session, ms};
use super::cause::refusal;
use super::words::{quality, span};
use crate::call::rows::TimelineKind;
use crate::call::state::{CallStatus, EndReason, PartyRole};
use crate::limits::why::{WHY_BEFORE_CALL, WHY_RELAY_BEFORE_CALL};
use crate::store::{LogEvent, SessionRow};

const SIDES: [PartyRole; 2] = [PartyRole::Caller, PartyRole::Callee];

/// All causes, the likeliest first.
pub(super) fn causes(case: &Case, call: &CallCase) -> Vec<Cause> {
    let row = &call.record.call;
    let mut found = Vec::new();
    match row.reason {
        None => found.push(fine(call, "on", "The call is on.".to_owned())),
        Some(EndReason::IceFailed | EndReason::IceTimeout | EndReason::Lost) => {
            found.extend(media(case, call));
        }
        Some(reason) => found.extend(by_reason(call, reason)),
    }
    found.extend(heard_badly(call));
    let id = Some(row.call.to_string());
    found.into_iter().map(|cause| Cause { call: id.clone(), ..cause }).collect()
}

fn trouble(code: &str, is_certain: bool, cause: String, cure: &str, seen: String) -> Cause {
    let (code, cure) = (code.to_owned(), cure.to_owned());
    Cause { code, is_certain, is_trouble: true, cause, cure, seen, call: None }
}

fn fine(call: &CallCase, code: &str, cause: String) -> Cause {
    let status = call.record.call.status.code();
    let seen = format!("the call's row: {status}");
    Cause { is_trouble: false, ..trouble(code, true, cause, "Nothing is to be done.", seen) }
}

/// Ends that speak for themselves.
fn by_reason(call: &CallCase, reason: EndReason) -> Option<Cause> {
    let row = &call.record.call;
    let (caller, callee) = (row.caller.as_str(), row.callee.as_str());
    let rang = row.ring_ms.map_or(String::new(), |ms| format!(" after {}", span(signed(ms))));
    let seen = format!("the end of the call: {}", reason.code());
    let certain =
        |cause: String, cure: &str| Some(trouble(reason.code(), true, cause, cure, seen.clone()));
    match reason {
        EndReason::Hangup if row.status == CallStatus::Completed => {
            let talked = span(row.talk_ms.map_or(0, signed));
            Some(fine(call, "hangup", format!("They talked for {talked} and one of them hung up.")))
        }
        EndReason::Hangup => {
            Some(fine(call, "hangup", "One of them hung up before media flowed.".to_owned()))
        }
        EndReason::NoAnswer if call.has(TimelineKind::Ringing) => Some(fine(
            call,
            "no_answer",
            format!("It rang at {callee}, and nobody answered{rang}."),
        )),
        EndReason::NoAnswer | EndReason::CalleeOffline => Some(unreached(call, reason)),
        EndReason::Cancelled => Some(fine(call, "cancelled", format!("{caller} gave up{rang}."))),
        EndReason::Declined => Some(fine(call, "declined", format!("{callee} declined{rang}."))),
        EndReason::Dnd => {
            Some(fine(call, "dnd", format!("{callee} did not want to be disturbed.")))
        }
        EndReason::Busy => Some(fine(call, "busy", format!("{callee} was in another call."))),
        EndReason::MediaFailed => certain(
            "A browser gave no microphone or camera.".to_owned(),
            "The browser asks for it at https pages and localhost only; look at the lock beside the \
             address, and whether another program holds the device.",
        ),
        EndReason::FeatureDisabled => certain(
            format!("The tenant {} has no voice calls.", row.tenant),
            "Set voice_enabled in [tenant.<id>].",
        ),
        EndReason::Forbidden => certain(
            format!("{caller} may not call {callee}."),
            "call.allow in [tenant.<id>] says which roles may call which.",
        ),
        EndReason::Quota => certain(
            format!("The tenant {} had as many calls as it may.", row.tenant),
            "Raise the number of calls in [tenant.<id>], or see with `turnbell calls` who has them.",
        ),
        EndReason::Revoked => certain(
            "A user was revoked, or the tenant was switched off.".to_owned(),
            "`turnbell revoke --list` shows who; --undo lets him in again.",
        ),
        EndReason::Admin => certain("Somebody in charge ended the call.".to_owned(), ""),
        EndReason::Limit => certain("The call lasted as long as a call may.".to_owned(), ""),
        EndReason::ServerRestart => certain(
            "turnbell restarted, and one side did not come back to the call.".to_owned(),
            "`turnbell drain` before a restart lets live calls end by themselves.",
        ),
        EndReason::Internal => certain(
            "turnbell failed at its own work.".to_owned(),
            "Please report it, with the log of that minute.",
        ),
        EndReason::IceFailed | EndReason::IceTimeout | EndReason::Lost => None,
    }
}

/// No device of the callee rang.
fn unreached(call: &CallCase, reason: EndReason) -> Cause {
    let callee = call.record.call.callee.as_str();
    let (asleep, gone) =
        (call.count(TimelineKind::Unresponsive), call.has(TimelineKind::DeviceGone));
    let seen = format!("the end of the call: {}", reason.code());
    if asleep > 0 {
        return trouble(
            "callee_asleep",
            true,
            format!("{callee} was connected, but the page did not ring: it was frozen or asleep."),
            "Phones freeze pages in the background: the page must stay in front, until web push comes.",
            format!("{seen}; {asleep} devices did not say that they ring"),
        );
    }
    if gone {
        return trouble(
            "callee_gone",
            true,
            format!("{callee} lost the connection while it rang."),
            "The network of that device changed or was gone; ask for `turnbell why` with its user.",
            seen,
        );
    }
    let cause = format!("{callee} was not connected: no page was open.");
    trouble("callee_offline", true, cause, "A phone rings only while its page is open.", seen)
}

/// What the relays of one side tell.
struct Side<'a> {
    name: &'a str,
    /// Relays of this call.
    relays: Vec<&'a SessionRow>,
    was_given_credential: bool,
    refusal: Option<Cause>,
    /// Its page's connection was lost and did not come back.
    is_gone: bool,
}

impl<'a> Side<'a> {
    fn of(case: &'a Case, call: &'a CallCase, role: PartyRole) -> Self {
        let row = &call.record.call;
        let end = call.ended_at(case.now);
        let (names, sessions) = (call.names(role), call.sessions(role));
        let name = call.name(role);
        let mut side = Self {
            name,
            relays: Vec::new(),
            was_given_credential: false,
            refusal: None,
            is_gone: false,
        };
        let from = row.started_at.saturating_sub(ms(WHY_BEFORE_CALL));
        let relays_from = row.started_at.saturating_sub(ms(WHY_RELAY_BEFORE_CALL));
        for event in case.log_of(&names, from, end) {
            match &event.event {
                LogEvent::CredentialIssued { .. } => side.was_given_credential = true,
                LogEvent::AllocationOpened(relay) => {
                    let is_ours = sessions.is_empty()
                        || is_of_session(relay, &sessions)
                        || !relay.username.contains('~');
                    if is_ours && event.at_unix_ms >= relays_from {
                        side.relays.push(relay);
                    }
                }
                LogEvent::AuthenticationFailed { cause, expired_ago_s, .. }
                    if event.at_unix_ms >= relays_from =>
                {
                    let found = refusal(name, cause, *expired_ago_s);
                    let seen = format!(
                        "a refusal {} into the call",
                        span(event.at_unix_ms - row.started_at)
                    );
                    side.refusal = found.map(|found| Cause { seen, ..found }).or(side.refusal);
                }
                LogEvent::AuthenticationFailed { .. }
                | LogEvent::AllocationClosed(_)
                | LogEvent::AuthenticationFailuresCounted { .. }
                | LogEvent::ConfigChanged { .. }
                | LogEvent::RunStarted { .. }
                | LogEvent::RunEnded { .. } => {}
            }
        }
        for event in &call.timeline {
            if call.role_of(event) == Some(role) {
                let kind = event.kind;
                if matches!(kind, TimelineKind::SignalingLost | TimelineKind::SessionEnded) {
                    side.is_gone = true;
                } else if matches!(kind, TimelineKind::SignalingBack | TimelineKind::Rejoined) {
                    side.is_gone = false;
                }
            }
        }
        side
    }
}

/// Why the media found no way, or lost it.
fn media(case: &Case, call: &CallCase) -> Vec<Cause> {
    let sides = SIDES.map(|role| Side::of(case, call, role));
    let was_active = call.record.call.connected_at.is_some();
    let mut found: Vec<Cause> = sides.iter().filter_map(|side| side.refusal.clone()).collect();
    for side in sides.iter().filter(|side| side.is_gone) {
        found.push(trouble(
            "page_gone",
            true,
            format!(
                "The page of {} lost its connection to this server and did not come back.",
                side.name
            ),
            "Its network was gone, or the page was closed: the call had nobody to come back to.",
            "the timeline: the connection was lost".to_owned(),
        ));
    }
    found.extend(sides.iter().filter_map(|side| relay_ended(call, side)));
    if !found.is_empty() {
        return found;
    }
    let missing: Vec<&Side<'_>> = sides.iter().filter(|side| side.relays.is_empty()).collect();
    match missing.as_slice() {
        [] => found.push(no_way(&sides, was_active)),
        [one] => found.push(no_relay(one)),
        [first, ..] => found.push(neither(first, &sides)),
    }
    found
}

/// A relay that ended while the call needed it.
fn relay_ended(call: &CallCase, side: &Side<'_>) -> Option<Cause> {
    let end = call.record.call.ended_at?;
    let all_gone =
        side.relays.iter().all(|relay| relay.ended_at_unix_ms.is_some_and(|at| at < end));
    let last = side.relays.iter().max_by_key(|relay| relay.ended_at_unix_ms)?;
    let name = side.name;
    let (code, cause, cure) = match last.end_reason.as_deref()? {
        _ if !all_gone => return None,
        "disconnected" => (
            "relay_disconnected",
            format!("The {} connection of {name} to the relay broke in the call.", last.transport),
            "A firewall or proxy on that network cuts it; over UDP, or by an ICE restart, the call goes \
             on.",
        ),
        "credential_expired" => (
            "relay_credential_expired",
            format!("The TURN credential of {name} ended in the call, and auth.expiry is strict."),
            "Hand out credentials that last as long as calls do (ice.ttl), or set auth.expiry = \
             \"allocate\".",
        ),
        "expired" => (
            "relay_not_refreshed",
            format!("The relay of {name} ran out: no refresh came from the browser."),
            "The page slept or its network changed; a page that wakes makes an ICE restart.",
        ),
        "shutdown" | "crash" => (
            "relay_stopped",
            format!("turnbell stopped in the call, and with it the relay of {name}."),
            "`turnbell drain` before a restart lets live calls end by themselves.",
        ),
        _ => return None,
    };
    Some(trouble(code, true, cause, cure, format!("the end of the relay {}", last.relayed)))
}

/// Both sides had relays.
fn no_way(sides: &[Side<'_>; 2], was_active: bool) -> Cause {
    let relays = || sides.iter().flat_map(|side| &side.relays);
    let seen = format!("{} relays were made for this call", relays().count());
    if was_active {
        let cause =
            "The media was lost and found no new way, though both sides had relays.".to_owned();
        let cure = "One side's network was gone for longer than the call waits (45 s).";
        return trouble("media_lost", false, cause, cure, seen);
    }
    let known = relays().filter(|relay| relay.ended_at_unix_ms.is_some());
    let nothing_back = known.clone().next().is_some()
        && known.clone().all(|relay| relay.traffic.packets_to_client == 0);
    if nothing_back {
        let cause = "Both sides had relays, and nothing ever came back through one.".to_owned();
        let cure = "The relay's port range is probably closed from outside: open it for UDP \
                    (`turnbell check-config` names it), and see whether `external` is this server's \
                    public address.";
        return trouble("relay_range_blocked", false, cause, cure, seen);
    }
    let cause =
        "Both sides had relays and packets went through, but ICE agreed on no pair.".to_owned();
    let cure = "A page that slept while it connected, or a client that ignores candidates; its ICE log \
                (chrome://webrtc-internals) says more.";
    trouble("ice_no_pair", false, cause, cure, seen)
}

/// One side had a relay and the other had none, so this server works.
fn no_relay(side: &Side<'_>) -> Cause {
    let name = side.name;
    if !side.was_given_credential {
        return trouble(
            "no_credential",
            false,
            format!("{name} was given no TURN credential, so that only a direct way was possible."),
            "Is turn_enabled off for the tenant, or did the page not use the config of this server?",
            format!(
                "no credential of {name} is on record in the quarter of an hour before the call"
            ),
        );
    }
    trouble(
        "relay_not_reached",
        false,
        format!(
            "{name} never reached the relay: no packet with that credential came, while the other \
             side's did."
        ),
        "That network blocks the relay's ports. Serve TURN over TLS on port 443 (listen_tls), which \
         most networks let through, and open /ice-verify there.",
        format!("a credential was issued, and there is neither a relay nor a refusal of {name}"),
    )
}

fn neither(first: &Side<'_>, sides: &[Side<'_>; 2]) -> Cause {
    if !sides.iter().any(|side| side.was_given_credential) {
        return no_relay(first);
    }
    trouble(
        "relay_unreachable",
        false,
        "Neither side reached the relay: no packet with their credentials came.".to_owned(),
        "Is port 3478 open for UDP and TCP in this server's firewall and the provider's, and does \
         the name in the ICE config lead here? `turnbell verify` tries it.",
        "credentials were issued, and there is neither a relay nor a refusal".to_owned(),
    )
}

/// Warnings of a call that connected.
fn heard_badly(call: &CallCase) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for event in call.timeline.iter().filter(|event| event.kind == TimelineKind::Warning) {
        let detail = event.detail.as_deref().unwrap_or_default();
        let metric = detail.split(' ').next().unwrap_or_default();
        let name = call.role_of(event).map_or("somebody", |role| call.name(role));
        let (code, cure) = match metric {
            "one_way_audio" => (
                "one_way_audio",
                "The other side's packets do not arrive: a firewall lets one direction through, or its \
                 microphone gives silence.",
            ),
            "loss" => ("loss", "A crowded network or Wi-Fi: try another one, or less video."),
            "rtt" => {
                ("round_trip", "A long way: is the relay near, and is the call relayed at all?")
            }
            "jitter" => ("jitter", "An uneven network, mostly Wi-Fi: try a cable or another one."),
            _ => ("quality", "See the reports of this call."),
        };
        if found.iter().any(|known| known.code == code) {
            continue;
        }
        let cause = format!("{name} heard badly: {}.", quality(detail));
        let at = event.at - call.record.call.started_at;
        found.push(trouble(
            code,
            true,
            cause,
            cure,
            format!("a warning {} into the call", span(at)),
        ));
    }
    found
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
