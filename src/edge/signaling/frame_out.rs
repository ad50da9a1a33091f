//! JSON frames to clients, written from the words of `call`.
//!
//! ```text
//! {"t":"ok","re":"c7","d":{..}}
//! {"t":"error","re":"c7","d":{"code":"callee_busy","message":"..","retry_after_ms":0,"field":".."}}
//! {"t":"call.incoming","seq":413,"ts":1795163961123,"d":{..}}
//! ```
//! Times are integer Unix milliseconds and end in `_at`, lengths of time in `_ms` (P26).

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::auth::identity::UserId;
use crate::call::event::{
    CallView, Caller, Event, Incoming, Invited, Message, PartyView, Reply, Resumed, Welcome,
};
use crate::call::media::{Candidate, MediaPath, SignalPayload};
use crate::call::presence::PresenceEntry;
use crate::call::refusal::Refusal;
use crate::call::request::{RequestId, Update};
use crate::call::state::PartyRole;

/// Makes the ICE config that a frame carries; told whether it may name TURN servers.
pub type IceConfig<'a> = &'a dyn Fn(bool) -> Value;

/// A frame's text.
#[must_use]
pub fn write(message: &Message, hello: Option<&RequestId>, ice: IceConfig<'_>) -> String {
    match message {
        Message::Welcome(said) => {
            let mut frame = json!({"t": "welcome", "d": welcome(said, ice)});
            if let Some(id) = hello {
                frame["re"] = id.as_str().into();
            }
            frame
        }
        Message::Refused(refusal) => error(hello, refusal),
        Message::Reply { re, result: Ok(reply) } => {
            json!({"t": "ok", "re": re.as_ref().map(RequestId::as_str), "d": of_reply(reply)})
        }
        Message::Reply { re, result: Err(refusal) } => error(re.as_ref(), refusal),
        Message::Event { seq, at_unix_ms, event } => {
            let (t, d) = of_event(event, ice);
            json!({"t": t, "seq": seq, "ts": at_unix_ms, "d": d})
        }
    }
    .to_string()
}

/// The content of an event that holds no ICE config.
pub(super) fn content(event: &Event) -> String {
    of_event(event, &|_| Value::Null).1.to_string()
}

/// The text of a `presence.diff` whose content was written before.
pub(super) fn presence_diff(seq: u64, at_unix_ms: i64, content: &str) -> String {
    format!(r#"{{"d":{content},"seq":{seq},"t":"presence.diff","ts":{at_unix_ms}}}"#)
}

/// A refusal; `re` is null if the request had no id that could be read.
#[must_use]
pub fn error(re: Option<&RequestId>, refusal: &Refusal) -> Value {
    let mut d = json!({"code": refusal.code.code(), "message": refusal.message});
    if let Some(after) = refusal.retry_after {
        d["retry_after_ms"] = ms(after);
    }
    if let Some(field) = refusal.field {
        d["field"] = field.into();
    }
    if let Some(call) = refusal.call {
        d["call"] = call.to_string().into();
    }
    json!({"t": "error", "re": re.map(RequestId::as_str), "d": d})
}

fn welcome(welcome: &Welcome, ice: IceConfig<'_>) -> Value {
    let mut d = json!({
        "session": welcome.session.to_string(),
        "resume_token": welcome.resume_token,
        "resumed": welcome.resumed == Resumed::Yes,
        "next_seq": welcome.next_seq,
        "tenant": welcome.tenant.as_str(),
        "user": welcome.user.as_str(),
        "name": welcome.name,
        "features": {"voice": welcome.has_voice, "turn": welcome.has_turn},
        "server_time": welcome.server_time_unix_ms,
        "ice": ice(welcome.has_turn),
    });
    match welcome.resumed {
        Resumed::Yes | Resumed::New => {}
        Resumed::UnknownToken => d["reason"] = "unknown_token".into(),
        Resumed::Gap => d["reason"] = "gap".into(),
    }
    d
}

fn of_reply(reply: &Reply) -> Value {
    match reply {
        Reply::Done => json!({}),
        Reply::Pong(at) => json!({"server_time": at}),
        Reply::Invited(invited) => {
            let Invited { call, glare } = &**invited;
            let mut d = view(call);
            if let Some(glare) = glare {
                d["glare"] = true.into();
                d["offer"] = glare.offer.as_ref().map(|sdp| &*sdp.0).into();
            }
            d
        }
        Reply::Accepted(call) | Reply::Rejoined(call) => view(call),
        Reply::Blocked(users) => {
            json!({"users": users.iter().map(UserId::as_str).collect::<Vec<_>>()})
        }
        Reply::Signaled { is_delivered } => json!({"delivered": is_delivered}),
    }
}

fn of_event(event: &Event, ice: IceConfig<'_>) -> (&'static str, Value) {
    match event {
        Event::StateSync { calls } => {
            ("state.sync", json!({"calls": calls.iter().map(view).collect::<Vec<_>>()}))
        }
        Event::AuthExpiring { expires_at_unix_s } => {
            ("auth.expiring", json!({"expires_at": expires_at_unix_s.saturating_mul(1000)}))
        }
        Event::IceUpdate { has_turn } => ("ice.update", ice(*has_turn)),
        Event::PresenceSnapshot { entries, is_truncated } => {
            ("presence.snapshot", json!({"users": presence(entries), "truncated": is_truncated}))
        }
        Event::PresenceDiff { entries } => ("presence.diff", json!({"users": presence(entries)})),
        Event::CallIncoming(call) => ("call.incoming", incoming(call)),
        Event::CallCancelled { call, reason, by } => {
            ("call.cancelled", json!({"call": call.to_string(), "reason": reason.code(), "by": by}))
        }
        Event::CallMissed { call, from, reason } => (
            "call.missed",
            json!({"call": call.to_string(), "from": caller(from), "reason": reason.code()}),
        ),
        Event::CallState { view: call, reason } => {
            let mut d = view(call);
            if let Some(reason) = reason {
                d["reason"] = reason.code().into();
            }
            ("call.state", d)
        }
        Event::CallSignal { call, from, generation, payload } => {
            let mut d = signal(payload);
            d.insert("call".into(), call.to_string().into());
            d.insert("from".into(), from.0.into());
            d.insert("gen".into(), (*generation).into());
            ("call.signal", d.into())
        }
        Event::CallUpdate { call, from, update } => {
            let mut d = changes(*update);
            d.insert("call".into(), call.to_string().into());
            d.insert("from".into(), from.0.into());
            ("call.update", d.into())
        }
        Event::CallRestart { call, generation, relay_only, has_turn } => {
            let policy = if *relay_only { "relay" } else { "all" };
            let d = json!({
                "call": call.to_string(), "gen": generation, "policy": policy, "ice": ice(*has_turn),
            });
            ("call.restart", d)
        }
        Event::QualityWarning { call, party, metric, value, is_cleared } => (
            "quality.warning",
            json!({
                "call": call.to_string(), "party": party.0, "metric": metric.code(),
                "value": value, "cleared": is_cleared,
            }),
        ),
        Event::SessionRevoked => ("session.revoked", json!({})),
        Event::ServerDraining { retry_in } => {
            ("server.draining", json!({"retry_in_ms": ms(*retry_in)}))
        }
        Event::Void => ("void", json!({})),
    }
}

/// A call as its users see it; the REST interface writes it the same way.
#[must_use]
pub fn view(call: &CallView) -> Value {
    json!({
        "call": call.call.to_string(),
        "state": call.state.code(),
        "media": {"audio": call.media.audio, "video": call.media.video},
        "parties": call.parties.iter().map(party).collect::<Vec<_>>(),
        "you": call.you.map(|party| party.0),
        "gen": call.generation,
        "answered_at": call.answered_at_unix_ms,
        "talk_ms": ms(call.talk),
    })
}

fn party(party: &PartyView) -> Value {
    json!({
        "party": party.party.0,
        "user": party.user.as_str(),
        "name": party.name,
        "verified": party.is_verified,
        "role": match party.role {
            PartyRole::Caller => "caller",
            PartyRole::Callee => "callee",
        },
        "signaling_lost": party.signaling_lost,
        "hold": party.holds,
        "muted": party.muted,
        "video_muted": party.video_muted,
        "screen": party.screen,
    })
}

fn incoming(incoming: &Incoming) -> Value {
    let Incoming { call, from, media, offer, expires_in, is_waiting } = incoming;
    json!({
        "call": call.to_string(),
        "from": caller(from),
        "media": {"audio": media.audio, "video": media.video},
        "offer": offer.as_ref().map(|sdp| &*sdp.0),
        "expires_in_ms": ms(*expires_in),
        "waiting": is_waiting,
    })
}

fn caller(caller: &Caller) -> Value {
    json!({
        "user": caller.user.as_str(),
        "name": caller.name,
        "verified": caller.is_verified,
        "number": caller.number,
        "display": caller.display,
    })
}

fn presence(entries: &[PresenceEntry]) -> Vec<Value> {
    let of = |entry: &PresenceEntry| {
        json!({
            "user": entry.user.as_str(),
            "name": entry.name,
            "role": entry.role.map(|role| role.code()),
            "status": entry.status.code(),
            "note": entry.note,
        })
    };
    entries.iter().map(of).collect()
}

fn signal(payload: &SignalPayload) -> Map<String, Value> {
    let value = match payload {
        SignalPayload::Offer { sdp, is_restart } => {
            json!({"kind": "offer", "sdp": *sdp.0, "restart": is_restart})
        }
        SignalPayload::Answer { sdp } => json!({"kind": "answer", "sdp": *sdp.0}),
        SignalPayload::Candidates(all) => {
            json!({"kind": "candidates", "cands": all.iter().map(candidate).collect::<Vec<_>>()})
        }
        SignalPayload::EndOfCandidates => json!({"kind": "end_of_candidates"}),
        SignalPayload::Rollback => json!({"kind": "rollback"}),
    };
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

fn candidate(candidate: &Candidate) -> Value {
    json!({
        "candidate": candidate.candidate,
        "sdpMid": candidate.sdp_mid,
        "sdpMLineIndex": candidate.sdp_m_line_index,
        "usernameFragment": candidate.username_fragment,
    })
}

fn changes(update: Update) -> Map<String, Value> {
    let Update { muted, video_muted, hold, screen } = update;
    [("muted", muted), ("video_muted", video_muted), ("hold", hold), ("screen", screen)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect()
}

/// `host/relay/udp` and the like: how both interfaces write a path.
#[must_use]
pub fn path(path: MediaPath) -> Value {
    json!({
        "local": path.local.code(), "remote": path.remote.code(), "proto": path.transport.code(),
    })
}

fn ms(length: Duration) -> Value {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX).into()
}

#[cfg(test)]
mod tests;
