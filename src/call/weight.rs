//! How heavy a message is: about its size on a wire, whatever the wire.

use super::event::{CallView, Caller, Event, Incoming, Message, Reply};
use super::media::{Candidate, Sdp, SignalPayload};
use super::presence::PresenceEntry;
use super::refusal::Refusal;

/// Names, numbers and punctuation of one message.
const ENVELOPE: usize = 160;
/// The same of one thing in a list.
const ITEM: usize = 96;

/// About how many bytes the message has.
pub(super) fn message(message: &Message) -> usize {
    let content = match message {
        Message::Welcome(welcome) => 4 * ENVELOPE + welcome.name.len(),
        Message::Refused(refusal) => self::refusal(refusal),
        Message::Reply { result: Ok(reply), .. } => self::reply(reply),
        Message::Reply { result: Err(refusal), .. } => self::refusal(refusal),
        Message::Event { event, .. } => return self::event(event),
    };
    ENVELOPE + content
}

/// The same of an event.
pub(super) fn event(event: &Event) -> usize {
    let content = match event {
        Event::StateSync { calls } => calls.iter().map(view).sum(),
        Event::PresenceSnapshot { entries, .. } | Event::PresenceDiff { entries } => {
            entries.iter().map(presence).sum()
        }
        Event::CallIncoming(incoming) => self::incoming(incoming),
        Event::CallCancelled { by, .. } => text(by.as_deref()),
        Event::CallMissed { from, .. } => caller(from),
        Event::CallState { view, .. } => self::view(view),
        Event::CallSignal { payload, .. } => self::payload(payload),
        // With an ICE config that the edge puts in.
        Event::IceUpdate { .. } | Event::CallRestart { .. } => 8 * ENVELOPE,
        Event::CallUpdate { .. }
        | Event::QualityWarning { .. }
        | Event::AuthExpiring { .. }
        | Event::SessionRevoked
        | Event::ServerDraining { .. }
        | Event::Void => 0,
    };
    ENVELOPE + content
}

/// The same of a signal.
pub(super) fn payload(payload: &SignalPayload) -> usize {
    match payload {
        SignalPayload::Offer { sdp, .. } | SignalPayload::Answer { sdp } => sdp.0.len(),
        SignalPayload::Candidates(list) => list.iter().map(|one| ITEM + candidate(one)).sum(),
        SignalPayload::EndOfCandidates | SignalPayload::Rollback => 0,
    }
}

/// Bytes of the texts of a candidate.
pub(super) fn candidate(candidate: &Candidate) -> usize {
    candidate.candidate.len()
        + text(candidate.sdp_mid.as_deref())
        + text(candidate.username_fragment.as_deref())
}

fn reply(reply: &Reply) -> usize {
    match reply {
        Reply::Done | Reply::Pong(_) | Reply::Signaled { .. } => 0,
        Reply::Blocked(users) => users.iter().map(|user| user.as_str().len()).sum(),
        Reply::Invited(invited) => {
            let offer = invited.glare.as_ref().and_then(|glare| glare.offer.as_ref());
            view(&invited.call) + sdp(offer)
        }
        Reply::Accepted(call) | Reply::Rejoined(call) => view(call),
    }
}

fn refusal(refusal: &Refusal) -> usize {
    refusal.message.len()
}

fn view(view: &CallView) -> usize {
    let parties = view.parties.iter();
    ITEM + parties
        .map(|party| 2 * ITEM + party.user.as_str().len() + party.name.len())
        .sum::<usize>()
}

fn incoming(incoming: &Incoming) -> usize {
    caller(&incoming.from) + sdp(incoming.offer.as_ref())
}

fn caller(caller: &Caller) -> usize {
    ITEM + caller.name.len() + text(caller.number.as_deref()) + text(caller.display.as_deref())
}

fn presence(entry: &PresenceEntry) -> usize {
    ITEM + entry.user.as_str().len() + entry.name.len() + text(entry.note.as_deref())
}

fn sdp(sdp: Option<&Sdp>) -> usize {
    sdp.map_or(0, |sdp| sdp.0.len())
}

fn text(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}
