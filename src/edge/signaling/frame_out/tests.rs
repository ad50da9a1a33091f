//! How frames are written.

use std::sync::Arc;

use super::*;
use crate::auth::identity::{Role, UserId};
use crate::call::event::CancelReason;
use crate::call::media::{Media, PartyId, Sdp};
use crate::call::presence::PresenceStatus;
use crate::call::refusal::ErrorCode;
use crate::call::state::{CallState, EndReason};
use crate::call::ulid::{CallId, Ulid};

fn call() -> CallId {
    CallId(Ulid::parse("01ARYZ6S410000000000000000").unwrap())
}

fn written(message: &Message) -> Value {
    let ice = |has_turn: bool| json!({"iceServers": [], "turn": has_turn});
    serde_json::from_str(&write(message, None, &ice)).unwrap()
}

fn event(event: Event) -> Value {
    written(&Message::Event { seq: 413, at_unix_ms: 1_795_163_961_123, event: Arc::new(event) })
}

#[test]
fn replies_carry_the_id_of_their_request() {
    let re = RequestId::new("c7");
    assert_eq!(
        written(&Message::Reply { re: re.clone(), result: Ok(Reply::Done) }),
        json!({"t": "ok", "re": "c7", "d": {}})
    );
    let refusal = Refusal::too_often("invites", Duration::from_millis(1500));
    assert_eq!(
        written(&Message::Reply { re, result: Err(refusal) }),
        json!({"t": "error", "re": "c7", "d": {
            "code": "rate_limited", "message": "too many invites; try again later",
            "retry_after_ms": 1500}})
    );
    let mut refusal = Refusal::new(ErrorCode::CalleeOffline, "nobody answers");
    refusal.call = Some(call());
    assert_eq!(
        written(&Message::Reply { re: None, result: Err(refusal) }),
        json!({"t": "error", "re": null, "d": {
            "code": "callee_offline", "message": "nobody answers",
            "call": "01ARYZ6S410000000000000000"}})
    );
}

#[test]
fn events_carry_their_number_and_time_and_say_what_happened() {
    let view = CallView {
        call: call(),
        state: CallState::Ended,
        media: Media { audio: true, video: false },
        parties: vec![PartyView {
            party: PartyId(1),
            user: UserId::new("alice").unwrap(),
            name: "Alice \"A\"".into(),
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
    };
    let state = Event::CallState { view: Box::new(view), reason: Some(EndReason::Hangup) };
    assert_eq!(
        event(state),
        json!({"t": "call.state", "seq": 413, "ts": 1_795_163_961_123_i64, "d": {
            "call": "01ARYZ6S410000000000000000", "state": "ended", "reason": "hangup",
            "media": {"audio": true, "video": false},
            "parties": [{"party": 1, "user": "alice", "name": "Alice \"A\"", "verified": true,
                "role": "caller", "signaling_lost": false, "hold": true, "muted": false,
                "video_muted": false, "screen": false}],
            "you": 1, "gen": 2, "answered_at": 1_795_163_960_000_i64, "talk_ms": 61_500}})
    );
    let cancelled = Event::CallCancelled {
        call: call(),
        reason: CancelReason::AnsweredElsewhere,
        by: Some("Laptop".into()),
    };
    assert_eq!(
        event(cancelled)["d"],
        json!({"call": "01ARYZ6S410000000000000000", "reason": "answered_elsewhere", "by": "Laptop"})
    );
}

#[test]
fn signals_go_on_as_they_came() {
    let signal = |payload| {
        event(Event::CallSignal { call: call(), from: PartyId(2), generation: 3, payload })["d"]
            .clone()
    };
    let sdp = Sdp("v=0\r\n".into());
    assert_eq!(
        signal(SignalPayload::Offer { sdp, is_restart: true }),
        json!({"call": "01ARYZ6S410000000000000000", "from": 2, "gen": 3, "kind": "offer",
            "sdp": "v=0\r\n", "restart": true})
    );
    let candidate = Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    let all = signal(SignalPayload::Candidates(vec![candidate]));
    assert_eq!(
        all["cands"],
        json!([{"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0,
            "usernameFragment": null}])
    );
}

#[test]
fn what_needs_an_ice_config_carries_one_with_turn_or_without() {
    assert_eq!(event(Event::IceUpdate { has_turn: true })["d"]["turn"], true);
    let restart =
        Event::CallRestart { call: call(), generation: 2, relay_only: true, has_turn: false };
    let restart = event(restart);
    assert_eq!(
        (&restart["d"]["policy"], &restart["d"]["ice"]["turn"]),
        (&json!("relay"), &json!(false))
    );
}

#[test]
fn a_diff_for_many_reads_as_one_for_a_single_session() {
    let entries = vec![PresenceEntry {
        user: UserId::new("alice").unwrap(),
        name: "Al\"ice".into(),
        role: Some(Role::Member),
        status: PresenceStatus::Busy,
        note: Some("back at 3".into()),
    }];
    let event = Arc::new(Event::PresenceDiff { entries });
    let message = Message::Event { seq: 7, at_unix_ms: -5, event: Arc::clone(&event) };
    let alone = write(&message, None, &|_| Value::Null);
    assert_eq!(presence_diff(7, -5, &content(&event)), alone);
}
