//! `turnbell.v1.schema.json` and the daemon say the same about every frame.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use turnbell::auth::identity::Role;
use turnbell::call::refusal::ErrorCode;
use turnbell::call::request::Frame;
use turnbell::call::state::EndReason;
use turnbell::edge::signaling::frame_in::{self, Read};
use turnbell::limits::call as limits;

use crate::page::{Page, daemon};
use crate::samples::{to_clients, to_server};
use crate::schema::{CLOSED, OPEN, Schema};

/// Where the switchboard decides and not the reader: each is asked of a daemon below.
const BY_THE_SWITCHBOARD: [&str; 12] = [
    "/d/media",
    "/d/media/audio",
    "/d/media/video",
    "/d/gen",
    "/d/score",
    "/d/rtt_ms",
    "/d/jitter_ms",
    "/d/loss_percent",
    "/d/mos",
    "/d/concealed_percent",
    "/d/level_in",
    "/d/level_out",
];

/// Literals of the form `"word" =>` or `("word",` in a source.
fn words(source: &str, after: &str) -> BTreeSet<String> {
    let pieces: Vec<&str> = source.split('"').collect();
    // Odd pieces stand between quotation marks.
    let quoted = pieces.windows(2).skip(1).step_by(2);
    let found = quoted.filter(|pair| pair[1].starts_with(after)).map(|pair| pair[0].to_owned());
    found.collect()
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn enumeration<'a>(schema: &'a Schema, name: &str) -> BTreeSet<&'a str> {
    let words = schema.root["$defs"][name]["enum"].as_array().unwrap();
    words.iter().map(|word| word.as_str().unwrap()).collect()
}

#[test] // P22
fn every_request_and_event_of_the_source_has_its_place_in_the_schema() {
    let read = include_str!("../../src/edge/signaling/frame_in.rs");
    let (_, read) = read.split_once("\nfn request(").unwrap();
    let mut requests = words(read, " =>");
    // Read before the others.
    requests.extend(set(["ack", "auth.refresh"]));
    assert!(requests.len() >= 19, "{requests:?}");
    assert_eq!(set(OPEN.names("client.")), requests);
    let mut answered = requests;
    answered.retain(|t| !["ack", "hello"].contains(&t.as_str()));
    assert_eq!(set(OPEN.names("reply.")), answered);
    let written = include_str!("../../src/edge/signaling/frame_out.rs");
    let (_, of_event) = written.split_once("\nfn of_event(").unwrap();
    let (of_event, _) = of_event.split_once("\n}\n").unwrap();
    let mut events = words(of_event, ", ");
    events.extend(words(of_event, ",\n"));
    // Types stand after a bracket, names of fields before a colon.
    events.retain(|word| {
        of_event.contains(&format!("(\"{word}\""))
            || of_event.contains(&format!("(\n            \"{word}\""))
    });
    assert!(events.len() >= 16, "{events:?}");
    events.extend(set(["welcome", "ok", "error"]));
    assert_eq!(set(OPEN.names("server.")), events);
}

#[test]
fn the_words_and_bounds_of_the_schema_are_those_of_the_daemon() {
    let codes = ErrorCode::ALL.iter().map(|code| code.code());
    assert_eq!(enumeration(&OPEN, "errorCode"), codes.collect());
    let reasons = EndReason::ALL.iter().map(|reason| reason.code());
    assert_eq!(enumeration(&OPEN, "endReason"), reasons.collect());
    assert_eq!(enumeration(&OPEN, "role"), Role::ALL.iter().map(|role| role.code()).collect());
    let defs = &OPEN.root["$defs"];
    let of = |name: &str| &defs[format!("client.{name}")]["properties"]["d"]["properties"];
    for (found, bound) in [
        (&defs["sdp"]["maxLength"], limits::SDP_BYTES_MAX),
        (&defs["text128"]["maxLength"], limits::INVITE_TEXT_BYTES_MAX),
        (&defs["candidate"]["properties"]["candidate"]["maxLength"], limits::CANDIDATE_BYTES_MAX),
        (&of("call.invite")["display"]["maxLength"], limits::DISPLAY_BYTES_MAX),
        (&of("call.invite")["metadata"]["maxLength"], limits::METADATA_BYTES_MAX),
        (&of("presence.set")["note"]["maxLength"], limits::PRESENCE_NOTE_BYTES_MAX),
        (&of("presence.subscribe")["users"]["maxItems"], limits::SUBSCRIBED_USERS_MAX),
        (&of("call.signal")["cands"]["maxItems"], limits::CANDIDATES_PER_SIGNAL_MAX),
        (&of("quality.report")["codec"]["maxLength"], limits::CODEC_BYTES_MAX),
        (&of("feedback")["issue"]["maxLength"], limits::FEEDBACK_BYTES_MAX),
    ] {
        assert_eq!(*found, bound, "of {found}");
    }
}

/// Every frame that comes of `frame` by a change in one place, with that place.
fn mutants(frame: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    collect(frame, String::new(), &mut places);
    let mut found = Vec::new();
    for place in places {
        let old = frame.pointer(&place).unwrap();
        let word = old.as_str().unwrap_or("x");
        let values: Vec<Value> = match old {
            // In place of an object also the list of its values, in place of a word an object.
            Value::Object(fields) => vec![fields.values().cloned().collect()],
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => vec![json!([old]), json!({word: null})],
        };
        let others = [
            json!(null),
            json!(true),
            json!(0),
            json!(7),
            json!(-1),
            json!(256),
            json!(65_536),
            json!(4_294_967_296_u64),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!("x"),
            json!("a\u{7}"),
            json!([]),
            json!({}),
        ];
        let long = old.is_string().then(|| json!("x".repeat(60_000)));
        for value in values.into_iter().chain(others).chain(long) {
            let mut mutant = frame.clone();
            *mutant.pointer_mut(&place).unwrap() = value;
            found.push((place.clone(), mutant));
        }
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", ""));
        let mut mutant = frame.clone();
        if let Some(Value::Object(fields)) = mutant.pointer_mut(parent) {
            fields.remove(name);
            found.push((place.clone(), mutant));
        }
    }
    found
}

fn collect(value: &Value, place: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(value, format!("{place}/{name}"), found);
            }
        }
        Value::Array(all) => {
            for (at, value) in all.iter().enumerate() {
                collect(value, format!("{place}/{at}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.push(place);
}

/// Whether the daemon takes it for a request; whether that is for another reason than its form.
fn is_read(frame: &Value) -> bool {
    let text = frame.to_string();
    if frame["t"] == "hello" {
        return frame_in::hello(&text).is_ok();
    }
    match frame_in::frame(&text) {
        Ok(Read::Refresh { .. } | Read::Frame(Frame::Request { .. } | Frame::Ack(_))) => true,
        Ok(Read::Frame(Frame::Unreadable { .. })) | Err(_) => false,
    }
}

#[test]
fn what_the_schema_takes_the_daemon_reads_and_the_other_way_round() {
    let (mut good, mut bad, mut disagreed) = (0, 0, Vec::new());
    for frame in to_server() {
        assert!(is_read(&frame) && CLOSED.holds("client", &frame), "{frame}");
        for (place, mutant) in mutants(&frame) {
            match (OPEN.holds("client", &mutant), is_read(&mutant)) {
                (true, true) => good += 1,
                (false, false) => bad += 1,
                (false, true) if BY_THE_SWITCHBOARD.contains(&&*place) => bad += 1,
                (by_schema, by_daemon) => {
                    let text = mutant.to_string();
                    let text = &text[..text.len().min(300)];
                    disagreed
                        .push(format!("{place}: schema {by_schema}, daemon {by_daemon}: {text}"));
                }
            }
        }
    }
    assert!(disagreed.is_empty(), "{} times: {disagreed:#?}", disagreed.len());
    assert!(good > 300 && bad > 2000, "{good} good ones, {bad} bad ones");
}

#[test]
fn frames_of_the_server_are_those_of_the_schema_and_no_others() {
    let frames = to_clients();
    let types: BTreeSet<&str> = frames.iter().map(|frame| frame["t"].as_str().unwrap()).collect();
    assert_eq!(types, OPEN.names("server.").into_iter().collect(), "a sample of each");
    let mut bad = 0;
    for frame in frames {
        let faults = CLOSED.faults("server", &frame);
        assert!(faults.is_empty(), "{frame}: {faults:#?}");
        for place in ["", "/d"] {
            let mut more = frame.clone();
            more.pointer_mut(place).unwrap()["colour"] = "blue".into();
            assert!(OPEN.holds("server", &more), "clients ignore it: {more}");
            assert!(!CLOSED.holds("server", &more), "tests do not: {more}");
        }
        for t in ["call.teleport", "", "ping"] {
            let mut other = frame.clone();
            other["t"] = t.into();
            assert!(!OPEN.holds("server", &other), "{other}");
        }
        bad += mutants(&frame).iter().filter(|(_, other)| !CLOSED.holds("server", other)).count();
    }
    assert!(bad > 2000, "{bad}");
}

#[test]
fn what_only_the_switchboard_can_judge_it_refuses_like_the_schema() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let invite = |media: Value| json!({"to": {"user": bob.user()}, "media": media});
    let mut bad = vec![
        ("call.invite", invite(json!({}))),
        ("call.invite", invite(json!({"audio": false, "video": false}))),
    ];
    let call = alice.ask("call.invite", invite(json!({"audio": true}))).unwrap()["call"].clone();
    bob.event("call.incoming");
    bob.ask("call.accept", json!({"call": call})).unwrap();
    let signal = |generation: u32| json!({"call": call, "gen": generation, "kind": "rollback"});
    bad.push(("call.signal", signal(0)));
    bad.extend([0, 6].map(|score| ("feedback", json!({"call": call, "score": score}))));
    let measured = [
        "rtt_ms",
        "jitter_ms",
        "loss_percent",
        "mos",
        "concealed_percent",
        "level_in",
        "level_out",
    ];
    for name in measured {
        for value in [json!(-1), json!(1e300)] {
            bad.push(("quality.report", json!({"call": call, "window_ms": 1, name: value})));
        }
    }
    for (t, d) in bad {
        let frame = json!({"t": t, "id": "c1", "d": d});
        assert!(!OPEN.holds("client", &frame), "{frame}");
        let error = alice.ask_bad(t, d.clone()).unwrap_err();
        assert_eq!(error["code"], "bad_request", "{frame}");
        if let Some(field) = error["field"].as_str() {
            assert!(field == "d" || d.get(field).is_some(), "{field} is none of {d}");
        }
    }
    alice.ask("feedback", json!({"call": call, "score": 1})).unwrap();
}
