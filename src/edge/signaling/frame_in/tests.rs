//! What frames mean, and what becomes of those that mean nothing.

use super::*;
use crate::call::media::{MediaStatus, PathTransport, SignalPayload};
use crate::call::request::{RejectReason, RejectScope, Target};
use crate::limits::call::{CANDIDATES_PER_SIGNAL_MAX, SDP_BYTES_MAX, SUBSCRIBED_USERS_MAX};

const CALL: &str = "01ARYZ6S410000000000000000";

fn of(t: &str, d: &str) -> Result<Request, Refusal> {
    let read = frame(&format!(r#"{{"t":"{t}","id":"c1","d":{d}}}"#)).expect("a frame");
    match read {
        Read::Frame(Frame::Request { id, ack: None, request }) if id.as_str() == "c1" => {
            Ok(request)
        }
        Read::Frame(Frame::Unreadable { id: Some(id), refusal }) if id.as_str() == "c1" => {
            Err(refusal)
        }
        Read::Frame(_) | Read::Refresh { .. } => panic!("{read:?}"),
    }
}

fn refused(t: &str, d: &str) -> (&'static str, Option<&'static str>) {
    let refusal = of(t, d).expect_err(&d[..d.len().min(60)]);
    (refusal.code.code(), refusal.field)
}

#[test]
fn a_hello_says_who_and_on_what_and_what_to_go_on_with() {
    let said = hello(
        r#"{"t":"hello","id":"h","d":{"token":"a.b.c","device":{"id":"d1","kind":"browser","label":"Laptop"},
            "caps":["media_reports","telepathy"],"resume":{"token":"r","last_seq":7},"else":1}}"#,
    )
    .unwrap();
    assert_eq!((said.id.as_ref().map(RequestId::as_str), &*said.token), (Some("h"), "a.b.c"));
    assert_eq!((&*said.device.id, &*said.device.label), ("d1", "Laptop"));
    assert!(said.capabilities.media_reports);
    assert_eq!(said.resume, Some(Resume { token: "r".into(), last_seq: 7 }));
    let bare = hello(r#"{"t":"hello","d":{"token":""}}"#).unwrap();
    assert_eq!((bare.id, bare.resume, bare.capabilities.media_reports), (None, None, false));
    for bad in [
        r#"{"t":"ping","id":"1"}"#,
        r#"{"t":"hello"}"#,
        r#"{"t":"hello","d":{"token":1}}"#,
        r#"{"t":"hello","d":{"token":"a","token":"b"}}"#,
        "",
    ] {
        assert!(hello(bad).is_err(), "{bad}");
    }
}

#[test] // security.md G4
fn what_is_no_json_object_with_a_type_is_no_frame() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for bad in [
        "",
        "null",
        "7",
        "[]",
        "{}",
        r#"{"t":7,"id":"1"}"#,
        r#"{"t":"ping","t":"bye","id":"1"}"#,
        r#"{"t":"ping","id":1}"#,
        r#"{"t":"ping","id":"1"} x"#,
        r#"{"t":"ping","id":"1","ack":-1}"#,
        r#"{"t":"ping","id":"1","ack":1e999}"#,
        r#"{"t":"\ud800","id":"1"}"#,
        &deep,
    ] {
        assert!(frame(bad).is_err(), "{}", &bad[..bad.len().min(60)]);
    }
    assert_eq!(refused("ping", &deep), ("bad_request", Some("d")));
    assert_eq!(refused("call.invite", &format!(r#"{{"to":{deep}}}"#)), ("bad_request", Some("d")));
    // What is not asked for is skipped, however deep it goes.
    assert!(of("ping", &format!(r#"{{"else":{deep}}}"#)).is_ok());
}

#[test]
fn requests_without_a_usable_id_and_of_unknown_kinds_are_refused_and_nothing_is_closed() {
    let long = "x".repeat(65);
    for id in ["", r#","id":"""#, &*format!(r#","id":"{long}""#)] {
        let read = frame(&format!(r#"{{"t":"ping"{id}}}"#)).unwrap();
        let Read::Frame(Frame::Unreadable { id: None, refusal }) = read else { panic!("{read:?}") };
        assert_eq!((refusal.code.code(), refusal.field), ("bad_request", Some("id")));
    }
    assert_eq!(refused("call.teleport", "{}"), ("unknown_type", None));
    assert_eq!(refused(&"ä".repeat(100), "{}"), ("unknown_type", None));
    assert_eq!(refused("hello", "{}"), ("bad_request", None));
    assert_eq!(refused("ping", "7"), ("bad_request", Some("d")));
}

#[test]
fn events_are_acknowledged_alone_or_beside_a_request() {
    for text in [r#"{"t":"ack","ack":7}"#, r#"{"t":"ack","d":{"n":7}}"#] {
        assert_eq!(frame(text).unwrap(), Read::Frame(Frame::Ack(7)));
    }
    assert!(matches!(
        frame(r#"{"t":"ack"}"#).unwrap(),
        Read::Frame(Frame::Unreadable { id: None, .. })
    ));
    let read = frame(r#"{"t":"ping","id":"1","ack":9}"#).unwrap();
    assert!(matches!(
        read,
        Read::Frame(Frame::Request { ack: Some(9), request: Request::Ping, .. })
    ));
}

#[test]
fn a_new_token_is_verified_before_it_is_a_request() {
    let read = frame(r#"{"t":"auth.refresh","id":"1","ack":3,"d":{"token":"a.b.c"}}"#).unwrap();
    let Read::Refresh { id, ack: Some(3), token } = read else { panic!("{read:?}") };
    assert_eq!(token, "a.b.c");
    let refusal = Refusal::new(ErrorCode::TokenExpired, "x");
    let frame = Read::refreshed(id.clone(), Some(3), Err(refusal.clone()));
    assert_eq!(frame, Frame::Unreadable { id: Some(id), refusal });
}

#[test]
fn an_invite_names_a_user_and_what_it_may_hold_is_bounded() {
    let invite = of(
        "call.invite",
        r#"{"to":{"user":"bob"},"media":{"audio":true},"offer":{"type":"offer","sdp":"v=0"},"ring_ms":20000,"display":"hi"}"#,
    );
    let Ok(Request::CallInvite(invite)) = invite else { panic!("{invite:?}") };
    assert_eq!(invite.to, Target::User(crate::auth::identity::UserId::new("bob").unwrap()));
    assert_eq!((invite.media.audio, invite.media.video), (true, false));
    assert_eq!(invite.offer.as_ref().map(|sdp| &*sdp.0), Some("v=0"));
    assert_eq!(invite.ring, Some(Duration::from_secs(20)));
    let with = |more: &str| format!(r#"{{"to":{{"user":"bob"}},"media":{{}}{more}}}"#);
    let text = |n: usize| "x".repeat(n);
    assert!(of("call.invite", &with(&format!(r#","offer":"{}""#, text(SDP_BYTES_MAX)))).is_ok());
    let long = with(&format!(r#","offer":"{}""#, text(SDP_BYTES_MAX + 1)));
    assert_eq!(refused("call.invite", &long), ("too_large", Some("sdp")));
    for (name, max) in
        [("display", 1024), ("metadata", 4096), ("external_id", 128), ("conversation", 128)]
    {
        assert!(of("call.invite", &with(&format!(r#","{name}":"{}""#, text(max)))).is_ok());
        let long = with(&format!(r#","{name}":"{}""#, text(max + 1)));
        assert_eq!(refused("call.invite", &long), ("too_large", Some(name)));
    }
    assert_eq!(refused("call.invite", r#"{"media":{}}"#), ("bad_request", Some("d")));
    let nobody = r#"{"to":{"user":""},"media":{}}"#;
    assert_eq!(refused("call.invite", nobody), ("bad_request", Some("to")));
}

#[test]
fn signals_are_read_by_kind_and_bounded() {
    let signal = |rest: &str| {
        let read = of("call.signal", &format!(r#"{{"call":"{CALL}","gen":2,{rest}}}"#));
        read.map(|request| {
            let Request::CallSignal(signal) = request else { panic!("{request:?}") };
            signal.payload
        })
    };
    let offer = signal(r#""kind":"offer","sdp":"v=0","restart":true"#);
    assert!(matches!(offer, Ok(SignalPayload::Offer { is_restart: true, .. })));
    assert!(matches!(signal(r#""kind":"rollback""#), Ok(SignalPayload::Rollback)));
    let one =
        r#"{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"u"}"#;
    let Ok(SignalPayload::Candidates(found)) =
        signal(&format!(r#""kind":"candidate","cand":{one}"#))
    else {
        panic!()
    };
    assert_eq!((&*found[0].candidate, found[0].sdp_m_line_index), ("candidate:1", Some(0)));
    let many = |n: usize| format!(r#""kind":"candidates","cands":[{}]"#, vec![one; n].join(","));
    assert!(signal(&many(CANDIDATES_PER_SIGNAL_MAX)).is_ok());
    assert_eq!(signal(&many(CANDIDATES_PER_SIGNAL_MAX + 1)).unwrap_err().code.code(), "too_large");
    assert_eq!(signal(&many(0)).unwrap_err().field, Some("cands"));
    assert_eq!(signal(r#""kind":"offer""#).unwrap_err().field, Some("sdp"));
    for bad in [r#""kind":"shout""#, r#""kind":"offer","sdp":7"#] {
        assert_eq!(signal(bad).unwrap_err().field, Some("d"), "{bad}");
    }
    let nameless = r#"{"call":"7","gen":1,"kind":"rollback"}"#;
    assert_eq!(refused("call.signal", nameless), ("bad_request", Some("call")));
}

#[test]
fn the_rest_is_read_with_its_defaults() {
    let with = |rest: &str| format!(r#"{{"call":"{CALL}"{rest}}}"#);
    assert!(matches!(
        of("call.reject", &with("")),
        Ok(Request::CallReject { reason: RejectReason::Declined, scope: RejectScope::All, .. })
    ));
    let path = r#","status":"connected","pair":{"local":"relay","remote":"prflx","proto":"tls"}"#;
    let Ok(Request::CallMedia { status: MediaStatus::Connected, path: Some(path), .. }) =
        of("call.media", &with(path))
    else {
        panic!()
    };
    assert!(path.is_relayed() && path.transport == PathTransport::Tls);
    assert!(matches!(of("call.hangup", &with("")), Ok(Request::CallHangup { .. })));
    assert!(matches!(
        of("call.rejoin", &with(r#","media":"new""#)),
        Ok(Request::CallRejoin { .. })
    ));
    let update = of("call.update", &with(r#","muted":true"#));
    assert!(matches!(update, Ok(Request::CallUpdate { update, .. }) if update.muted == Some(true)));
    assert!(of("quality.report", &with(r#","window_ms":1000,"rtt_ms":41.5"#)).is_ok());
    assert!(of("feedback", &with(r#","score":5"#)).is_ok());
    assert_eq!(refused("feedback", &with(r#","score":256"#)), ("bad_request", Some("d")));
    assert!(matches!(of("presence.set", r#"{"status":"dnd"}"#), Ok(Request::PresenceSet(_))));
    let users = |n: usize| format!(r#"{{"users":[{}]}}"#, vec!["\"u\""; n].join(","));
    assert!(of("presence.subscribe", &users(SUBSCRIBED_USERS_MAX)).is_ok());
    let many = users(SUBSCRIBED_USERS_MAX + 1);
    assert_eq!(refused("presence.subscribe", &many), ("too_large", Some("users")));
    let both = r#"{"users":[],"role":"agent"}"#;
    assert_eq!(refused("presence.subscribe", both), ("bad_request", Some("role")));
}
