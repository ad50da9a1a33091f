//! Events in few words, so that a test can list all that a page heard.

use turnbell::call::event::Event;
use turnbell::call::media::SignalPayload;

/// `state ringing`, `state ended hangup`, `incoming alice`, `cancelled timeout`, `offer 1` ...
pub(crate) fn said(event: &Event) -> String {
    match event {
        Event::StateSync { calls } => {
            let calls = calls.iter().map(|call| call.state.code()).collect::<Vec<_>>();
            format!("sync [{}]", calls.join(" "))
        }
        Event::AuthExpiring { .. } => "auth expiring".to_owned(),
        Event::IceUpdate { has_turn } => format!("ice turn={has_turn}"),
        Event::PresenceSnapshot { entries, .. } => format!("snapshot [{}]", presence(entries)),
        Event::PresenceDiff { entries } => format!("diff [{}]", presence(entries)),
        Event::CallIncoming(incoming) => {
            let waiting = if incoming.is_waiting { " waiting" } else { "" };
            format!("incoming {}{waiting}", incoming.from.user)
        }
        Event::CallCancelled { reason, .. } => format!("cancelled {}", reason.code()),
        Event::CallMissed { from, reason, .. } => format!("missed {} {}", from.user, reason.code()),
        Event::CallState { view, reason } => {
            let lost = view.parties.iter().filter(|party| party.signaling_lost);
            let lost: String = lost.map(|party| format!(" without {}", party.user)).collect();
            let reason = reason.map(|reason| format!(" {}", reason.code())).unwrap_or_default();
            format!("state {}{reason}{lost}", view.state.code())
        }
        Event::CallSignal { generation, payload, .. } => {
            let kind = match payload {
                SignalPayload::Offer { .. } => "offer",
                SignalPayload::Answer { .. } => "answer",
                SignalPayload::Candidates(_) => "candidates",
                SignalPayload::EndOfCandidates => "end of candidates",
                SignalPayload::Rollback => "rollback",
            };
            format!("{kind} {generation}")
        }
        Event::CallUpdate { .. } => "update".to_owned(),
        Event::CallRestart { generation, relay_only, .. } => {
            format!("restart {generation} relay={relay_only}")
        }
        Event::QualityWarning { metric, is_cleared, .. } => {
            let over = if *is_cleared { " is over" } else { "" };
            format!("warning {}{over}", metric.code())
        }
        Event::SessionRevoked => "revoked".to_owned(),
        Event::ServerDraining { .. } => "draining".to_owned(),
        Event::Void => "void".to_owned(),
    }
}

fn presence(entries: &[turnbell::call::presence::PresenceEntry]) -> String {
    let words = entries.iter().map(|entry| format!("{} {}", entry.user, entry.status.code()));
    words.collect::<Vec<_>>().join(", ")
}
