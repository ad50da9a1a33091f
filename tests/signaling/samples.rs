//! One frame of each kind, with everything that it may hold.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use turnbell::auth::identity::{Role, TenantId, UserId};
use turnbell::call::event::{
    CallView, Caller, CancelReason, Event, Glare, Incoming, Invited, Message, PartyView, Reply,
    Resumed, Welcome,
};
use turnbell::call::media::{Candidate, Media, PartyId, QualityMetric, Sdp, SignalPayload};
use turnbell::call::presence::{PresenceEntry, PresenceStatus};
use turnbell::call::refusal::{ErrorCode, Refusal};
use turnbell::call::request::{RequestId, Update};
use turnbell::call::state::{CallState, EndReason, PartyRole};
use turnbell::call::ulid::{CallId, SessionId, Ulid};
use turnbell::edge::signaling::frame_out;

pub(crate) const CALL: &str = "01ARYZ6S410000000000000000";

/// What clients send. Every field is there, and changing it may only change whether it is good.
pub(crate) fn to_server() -> Vec<Value> {
    let pair = json!({"local": "relay", "remote": "prflx", "proto": "tls"});
    let candidate =
        json!({"candidate": "c", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "u"});
    let of_call = json!({"call": CALL});
    let mut frames = vec![
        json!({"t": "ack", "ack": 7}),
        json!({"t": "ack", "d": {"n": 7}}),
        json!({"t": "hello", "id": "h", "d": {"token": "a.b.c",
            "device": {"id": "d", "kind": "browser", "label": "Laptop"},
            "caps": ["media_reports", "more"], "resume": {"token": "r", "last_seq": 7}}}),
    ];
    let requests = [
        ("ping", json!({})),
        ("bye", json!({})),
        ("presence.set", json!({"status": "away", "note": "back at 3", "when_busy": "wait"})),
        ("presence.subscribe", json!({"users": ["bob", "Zoë"]})),
        ("presence.subscribe", json!({"role": "agent"})),
        (
            "call.invite",
            json!({"to": {"user": "bob"}, "media": {"audio": true, "video": false},
            "offer": {"type": "offer", "sdp": "v=0"}, "ring_ms": 20000, "display": "hi",
            "to_number": "1", "contact": "c", "external_id": "e", "metadata": "{}",
            "conversation": "x"}),
        ),
        ("call.invite", json!({"to": {"user": "bob"}, "media": {"video": true}, "offer": "v=0"})),
        ("call.ringing", of_call.clone()),
        ("call.accept", json!({"call": CALL, "answer": {"type": "answer", "sdp": "v=0"}})),
        ("call.reject", json!({"call": CALL, "reason": "busy", "scope": "device"})),
        ("call.cancel", of_call),
        (
            "call.signal",
            json!({"call": CALL, "to": 2, "gen": 1, "kind": "offer", "sdp": "v=0",
            "restart": true}),
        ),
        ("call.signal", json!({"call": CALL, "gen": 1, "kind": "answer", "sdp": {"sdp": "v=0"}})),
        ("call.signal", json!({"call": CALL, "gen": 1, "kind": "candidate", "cand": candidate})),
        (
            "call.signal",
            json!({"call": CALL, "gen": 1, "kind": "candidates",
            "cands": [candidate, candidate]}),
        ),
        ("call.signal", json!({"call": CALL, "gen": 1, "kind": "end_of_candidates"})),
        ("call.media", json!({"call": CALL, "status": "connected", "pair": pair})),
        (
            "call.update",
            json!({"call": CALL, "muted": true, "video_muted": false, "hold": true,
            "screen": false}),
        ),
        ("call.hangup", json!({"call": CALL, "reason": "ice_failed"})),
        ("call.rejoin", json!({"call": CALL, "media": "new"})),
        (
            "quality.report",
            json!({"call": CALL, "window_ms": 5000, "rtt_ms": 41.5, "jitter_ms": 3,
            "loss_percent": 0.1, "mos": 4.2, "bitrate_in": 1, "bitrate_out": 2,
            "concealed_percent": 0, "level_in": 0.5, "level_out": 0.5, "packets_in": 9,
            "pair": pair, "codec": "opus", "final": true}),
        ),
        ("feedback", json!({"call": CALL, "score": 5, "issue": "echo"})),
        ("auth.refresh", json!({"token": "a.b.c"})),
    ];
    frames.extend(requests.map(|(t, d)| json!({"t": t, "id": "c1", "ack": 3, "d": d})));
    frames
}

/// What the server sends, written by itself.
pub(crate) fn to_clients() -> Vec<Value> {
    let refusal = Refusal {
        retry_after: Some(Duration::from_secs(1)),
        field: Some("to"),
        call: Some(call()),
        ..Refusal::new(ErrorCode::RateLimited, "too many invites")
    };
    let reply = |result| Message::Reply { re: RequestId::new("c1"), result };
    let glare = Some(Glare { offer: Some(sdp()) });
    let mut messages = vec![
        Message::Welcome(Box::new(welcome(Resumed::Gap))),
        Message::Welcome(Box::new(welcome(Resumed::Yes))),
        Message::Refused(refusal.clone()),
        reply(Err(refusal)),
        reply(Ok(Reply::Done)),
        reply(Ok(Reply::Pong(1_795_163_961_123))),
        reply(Ok(Reply::Invited(Box::new(Invited { call: view(CallState::Initiated), glare })))),
        reply(Ok(Reply::Accepted(Box::new(view(CallState::Connecting))))),
        reply(Ok(Reply::Rejoined(Box::new(view(CallState::Reconnecting))))),
        reply(Ok(Reply::Signaled { is_delivered: true })),
    ];
    messages.extend(events().into_iter().map(|event| Message::Event {
        seq: 413,
        at_unix_ms: 1_795_163_961_123,
        event: Arc::new(event),
    }));
    messages.iter().map(written).collect()
}

/// `welcome` after a resume, as the other cases of it.
fn welcome(resumed: Resumed) -> Welcome {
    Welcome {
        session: SessionId(ulid()),
        resume_token: "r".into(),
        resumed,
        next_seq: 8,
        tenant: TenantId::default_tenant(),
        user: user(),
        name: "Alice".into(),
        has_voice: true,
        has_turn: true,
        server_time_unix_ms: 1_795_163_961_123,
    }
}

fn events() -> Vec<Event> {
    let from = PartyId(2);
    let signal = |payload| Event::CallSignal { call: call(), from, generation: 1, payload };
    let entries = || {
        let (name, note) = ("Bob".into(), Some("back at 3".into()));
        let (role, status) = (Some(Role::Agent), PresenceStatus::Away);
        vec![PresenceEntry { user: user(), name, role, status, note }]
    };
    let candidate = Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    let state = |state, reason| Event::CallState { view: Box::new(view(state)), reason };
    vec![
        Event::StateSync { calls: vec![view(CallState::Active)] },
        Event::AuthExpiring { expires_at_unix_s: 1_795_163_961 },
        Event::IceUpdate { has_turn: true },
        Event::PresenceSnapshot { entries: entries(), is_truncated: false },
        Event::PresenceDiff { entries: entries() },
        Event::CallIncoming(Box::new(Incoming {
            call: call(),
            from: caller(),
            media: Media { audio: true, video: false },
            offer: Some(sdp()),
            expires_in: Duration::from_secs(60),
            is_waiting: false,
        })),
        Event::CallCancelled {
            call: call(),
            reason: CancelReason::AnsweredElsewhere,
            by: Some("Laptop".into()),
        },
        Event::CallMissed { call: call(), from: caller(), reason: EndReason::NoAnswer },
        state(CallState::Held, None),
        state(CallState::Ended, Some(EndReason::Hangup)),
        signal(SignalPayload::Offer { sdp: sdp(), is_restart: false }),
        signal(SignalPayload::Answer { sdp: sdp() }),
        signal(SignalPayload::Candidates(vec![candidate])),
        signal(SignalPayload::EndOfCandidates),
        signal(SignalPayload::Rollback),
        Event::CallUpdate {
            call: call(),
            from,
            update: Update {
                muted: Some(true),
                video_muted: Some(true),
                hold: Some(true),
                screen: Some(true),
            },
        },
        Event::CallRestart { call: call(), generation: 2, relay_only: true, has_turn: true },
        Event::QualityWarning {
            call: call(),
            party: from,
            metric: QualityMetric::OneWayAudio,
            value: 5.5,
            is_cleared: false,
        },
        Event::SessionRevoked,
        Event::ServerDraining { retry_in: Duration::from_secs(2) },
        Event::Void,
    ]
}

fn written(message: &Message) -> Value {
    let ice = |_| {
        let turn = json!({"urls": ["turn:a.example"], "username": "u", "credential": "c"});
        json!({"iceServers": [{"urls": ["stun:a.example"]}, turn], "iceTransportPolicy": "all",
            "ttl": 3600, "expires_at": 1_795_167_561, "refresh_after": 2880})
    };
    let text = frame_out::write(message, RequestId::new("h").as_ref(), &ice);
    serde_json::from_str(&text).unwrap()
}

fn view(state: CallState) -> CallView {
    CallView {
        call: call(),
        state,
        media: Media { audio: true, video: false },
        parties: vec![PartyView {
            party: PartyId(1),
            user: user(),
            name: "Alice".into(),
            is_verified: true,
            role: PartyRole::Caller,
            signaling_lost: false,
            holds: true,
            muted: false,
            video_muted: false,
            screen: false,
        }],
        you: Some(PartyId(1)),
        generation: 2,
        answered_at_unix_ms: Some(1_795_163_960_000),
        talk: Duration::from_millis(61_500),
    }
}

fn caller() -> Caller {
    Caller {
        user: user(),
        name: "Alice".into(),
        is_verified: false,
        number: Some("+1".into()),
        display: Some("about invoice 7".into()),
    }
}

fn user() -> UserId {
    UserId::new("alice").unwrap()
}

fn sdp() -> Sdp {
    Sdp("v=0\r\n".into())
}

fn call() -> CallId {
    CallId(ulid())
}

fn ulid() -> Ulid {
    Ulid::parse(CALL).unwrap()
}
