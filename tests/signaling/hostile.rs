//! Bytes, floods and takeovers of hostile clients (security.md G3 to G7 and G9, read through P10).

use std::fs;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::daemon::{CONFIG, Daemon};
use crate::page::{Page, daemon, open, post, token};
use crate::raw_socket::{End, PING, RawSocket, TEXT, UPGRADE, upgrade};

/// First bytes of the parts of a text.
const FIRST_PART: u8 = 0x01;
const PART: u8 = 0x00;
const LAST_PART: u8 = 0x80;

#[test] // G3, G4; RFC 6455 §5
fn frames_that_break_rfc_6455_close_with_its_codes_before_and_after_hello() {
    let daemon = daemon();
    let huge = |length: u64| {
        let mut frame = vec![TEXT, 0xff];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame
    };
    let masked =
        |first: u8, length: u8| [&[first, 0x80 | length, 0, 0, 0, 0][..], &[b'x'; 9]].concat();
    let cases: [(&str, Vec<u8>, &[u16]); 12] = [
        ("RSV1, as compressed frames have it (G3)", masked(TEXT | 0x40, 9), &[1002]),
        ("RSV3", masked(TEXT | 0x10, 9), &[1002]),
        ("a reserved opcode", masked(0x83, 9), &[1002]),
        ("a reserved control opcode", masked(0x8b, 9), &[1002]),
        ("not masked", vec![TEXT, 2, b'{', b'}'], &[1002]),
        ("a ping in parts", masked(0x09, 9), &[1002]),
        (
            "a ping of 126 bytes",
            [&[PING, 0x80 | 126, 0, 126, 0, 0, 0, 0][..], &[b'x'; 126]].concat(),
            &[1002],
        ),
        ("a continuation of nothing", masked(LAST_PART, 9), &[1002]),
        ("a text within a text", [masked(FIRST_PART, 9), masked(TEXT, 9)].concat(), &[1002]),
        ("a close of one byte", vec![0x88, 0x81, 0, 0, 0, 0, 3], &[1002]),
        ("2^63 - 1 bytes (G4)", huge(u64::MAX / 2), &[1009]),
        ("2^64 - 1 bytes (G4)", huge(u64::MAX), &[1002, 1009]),
    ];
    for (name, bytes, codes) in cases {
        for said_hello in [false, true] {
            let mut socket = match said_hello {
                true => RawSocket::guest(&daemon, "localhost").0,
                false => RawSocket::open(&daemon, "localhost"),
            };
            socket.bytes(&bytes);
            let end = socket.end();
            let is_right = matches!(&end, End::Closed(code) if codes.contains(code));
            assert!(is_right, "{name}, hello {said_hello}: {end:?}");
        }
    }
}

#[test] // G4
fn messages_that_do_not_end_or_are_too_big_cost_their_sender_the_connection() {
    let daemon = daemon();
    let mut endless = RawSocket::guest(&daemon, "localhost").0;
    endless.send(FIRST_PART, b"{");
    for _ in 0..10_000 {
        endless.send(PART, &[b' '; 64]);
    }
    assert_eq!(endless.end(), End::Closed(1009));
    let closes = |text: &str| {
        let mut page = Page::guest(&daemon, "Mallory");
        // It may be closed while this is still being written.
        let _ = page.raw().send(Message::text(text));
        page.closed()
    };
    let deep = "[".repeat(60_000);
    assert_eq!(closes(&deep), Some(4010));
    assert_eq!(closes(&"[".repeat(100_000)), Some(4011));
    assert_eq!(closes(&format!("\"{}\"", "x".repeat(1_000_000))), Some(1009));
    for bad in [
        r#"{"t":"ping","t":"bye","id":"1"}"#,
        r#"{"t":"ping","id":"1","id":"2"}"#,
        r#"{"t":"ping","id":"1","ack":1e999}"#,
        r#"{"t":"\ud800","id":"1"}"#,
        r#"["ping","1"]"#,
    ] {
        assert_eq!(closes(bad), Some(4010), "{bad}");
    }
}

#[test] // G4
fn bodies_that_are_twisted_are_refused_in_words_and_the_connection_stays() {
    let daemon = daemon();
    let mut page = Page::guest(&daemon, "Mallory");
    let keys: String = (0..3000).map(|n| format!(r#""k{n}":{n},"#)).collect();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let invite = r#""media":{"audio":true}"#;
    for (n, (t, d, is_good)) in [
        ("ping", format!("{{{keys}\"k\":{deep}}}"), true),
        ("call.invite", format!(r#"{{"to":{deep},{invite}}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"a"}},"to":{{"user":"b"}},{invite}}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"a","user":"b"}},{invite}}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"\ud800"}},{invite}}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"a\u0000b"}},{invite}}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"a"}},{invite},"ring_ms":1e999}}"#), false),
        ("call.invite", format!(r#"{{"to":{{"user":"a"}},{invite},"ring_ms":-1}}"#), false),
        ("presence.set", r#"{"status":{"dnd":null}}"#.to_owned(), false),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("x{n}");
        let text = format!(r#"{{"t":"{t}","id":"{id}","d":{d}}}"#);
        page.raw().send(Message::text(text)).unwrap();
        let answer = page.answer_to(&id);
        assert_eq!(answer.is_ok(), is_good, "{t} {}", &d[..d.len().min(80)]);
        if let Err(error) = answer {
            assert_eq!(error["code"], "bad_request", "{error}");
        }
    }
}

#[test] // G5
fn a_flood_of_pings_is_cut_off_and_a_few_are_answered() {
    let daemon = daemon();
    let mut bystander = Page::guest(&daemon, "Alice");
    let (mut polite, _) = RawSocket::guest(&daemon, "localhost");
    for _ in 0..50 {
        polite.send(PING, b"how are you");
        while polite.next().unwrap().0 != 10 {}
    }
    for said_hello in [false, true] {
        let mut flooder = match said_hello {
            true => RawSocket::guest(&daemon, "localhost").0,
            false => RawSocket::open(&daemon, "localhost"),
        };
        for _ in 0..5_000 {
            flooder.send(PING, b"x");
        }
        assert_eq!(flooder.end(), End::Closed(4029), "hello {said_hello}");
    }
    polite.send(PING, b"still there");
    while polite.next().unwrap().0 != 10 {}
    bystander.ask("ping", json!({})).unwrap();
}

#[test] // G5
fn coming_and_going_of_presence_is_slowed_down_and_costs_others_nothing() {
    let daemon = daemon();
    let (mut alice, mut mallory) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Mallory"));
    alice.ask("presence.subscribe", json!({"users": [mallory.user()]})).unwrap();
    let change = |n: usize| json!({"status": (["online", "away"][n % 2])});
    let refused = (0..40).find_map(|n| mallory.ask("presence.set", change(n)).err()).unwrap();
    assert_eq!(refused["code"], "rate_limited");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{refused}");
    alice.ask("ping", json!({})).unwrap();
}

#[test] // G6
fn who_does_not_read_is_closed_and_who_writes_to_him_hears_it_and_goes_on() {
    let daemon = daemon();
    let mut alice = Page::guest(&daemon, "Alice");
    let hello = json!({"token": token(&daemon, "Bob"), "caps": ["media_reports"]});
    let mut bob = Page::connect_narrow(&daemon, hello);
    let call = talk(&mut alice, &mut bob);
    let sdp = "x".repeat(48 * 1024);
    // Bob reads nothing of it; 3 MB are more than any queue of his holds.
    for generation in 2..=64 {
        let offer = json!({"call": call, "gen": generation, "kind": "offer", "sdp": sdp});
        alice.ask("call.signal", offer).unwrap();
    }
    assert_eq!(bob.closed(), Some(4013));
    let is_told = |view: &Value| view["parties"][1]["signaling_lost"] == true;
    while !is_told(&alice.event("call.state")) {}
    alice.ask("ping", json!({})).unwrap();
}

#[test] // G7
fn nobody_takes_a_session_a_call_or_a_name_that_is_not_his() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let mut mallory = Page::guest(&daemon, "Mallory");
    // Who calls is who the token says, whatever the body claims.
    let claims = json!({"to": {"user": bob.user()}, "media": {"audio": true},
        "from": {"user": alice.user()}, "user": alice.user(), "name": "Alice", "display": "Alice"});
    mallory.ask_bad("call.invite", claims).unwrap();
    let incoming = bob.event("call.incoming");
    let caller =
        (&incoming["from"]["user"], &incoming["from"]["name"], &incoming["from"]["verified"]);
    assert_eq!(caller, (&json!(mallory.user()), &json!("Mallory"), &json!(false)));
    bob.ask("call.reject", json!({"call": incoming["call"]})).unwrap();
    // A call of others is not there, guessed or known.
    let call = talk(&mut alice, &mut bob);
    for (t, d) in [
        ("call.accept", json!({"call": call})),
        ("call.hangup", json!({"call": call})),
        ("call.rejoin", json!({"call": call, "media": "new"})),
        ("call.signal", json!({"call": call, "gen": 2, "kind": "offer", "sdp": "v=0", "to": 1})),
        ("call.update", json!({"call": call, "hold": true})),
        ("call.media", json!({"call": call, "status": "failed"})),
        ("feedback", json!({"call": call, "score": 1})),
    ] {
        assert_eq!(mallory.ask(t, d).unwrap_err()["code"], "not_party", "{t}");
    }
    // Nobody speaks as the other side, and what is over is over.
    let signal = |more: Value| {
        let mut d = json!({"call": call, "gen": 2, "kind": "offer", "sdp": "v=0 mine"});
        d.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        d
    };
    alice.ask_bad("call.signal", signal(json!({"from": 2, "user": bob.user()}))).unwrap();
    assert_eq!(bob.event("call.signal")["from"], 1);
    let to_himself = alice.ask("call.signal", signal(json!({"to": 1, "gen": 3}))).unwrap_err();
    assert_eq!(to_himself["code"], "not_party");
    let replayed = alice.ask("call.signal", signal(json!({"gen": 1}))).unwrap();
    assert_eq!(replayed["delivered"], false, "an old offer");
    bob.ask("call.hangup", json!({"call": call})).unwrap();
    alice.state("ended");
    let late = alice.ask("call.signal", signal(json!({"gen": 3}))).unwrap_err();
    assert_eq!(late["code"], "call_ended");
}

#[test] // G7
fn a_session_goes_on_for_its_user_and_device_alone_and_with_each_token_once() {
    let daemon = daemon();
    let of_bob = token(&daemon, "Bob");
    let of_mallory = token(&daemon, "Mallory");
    let device = |id: &str| json!({"id": id, "kind": "browser", "label": "Laptop"});
    let hello = |token: &str, resume: Value, id: &str| {
        json!({"token": token, "caps": ["media_reports"], "device": device(id),
            "resume": {"token": resume, "last_seq": 0}})
    };
    let begin = json!({"token": of_bob, "caps": ["media_reports"], "device": device("d")});
    let bob = Page::connect(&daemon, begin);
    let session = bob.welcome["session"].clone();
    let stolen = bob.welcome["resume_token"].clone();
    // As somebody else; by the session's name, which is no secret; as a guess.
    for (token, resume) in [
        (&of_mallory, &stolen),
        (&of_bob, &session),
        (&of_mallory, &json!("")),
        (&of_mallory, &json!("x".repeat(4096))),
    ] {
        let page = Page::connect(&daemon, hello(token, resume.clone(), "d"));
        assert_eq!(page.welcome["resumed"], false, "{resume}");
        assert_eq!(page.welcome["reason"], "unknown_token");
        assert_ne!(page.welcome["session"], session);
    }
    // His own page may, and the old socket hears why it is closed.
    let mut old = bob;
    let back = Page::resume_as(&daemon, hello(&of_bob, stolen.clone(), "d"));
    assert_eq!((&back.welcome["resumed"], &back.welcome["session"]), (&json!(true), &session));
    assert_eq!(old.closed(), Some(4009));
    let replayed = Page::connect(&daemon, hello(&of_bob, stolen, "d"));
    assert_eq!(replayed.welcome["reason"], "unknown_token");
}

#[test] // G9
fn what_host_a_page_names_is_in_no_url_of_its_ice_config() {
    let daemon = daemon();
    for host in ["evil.example", "127.0.0.1.evil.example:3478", "evil.example:443"] {
        let (_, welcome) = RawSocket::guest(&daemon, host);
        let urls = welcome["d"]["ice"]["iceServers"].to_string();
        assert!(urls.contains("turn:") && !urls.contains("evil"), "{urls}");
    }
}

#[test] // G10
fn an_upgrade_with_a_body_is_refused_whatever_frames_hide_in_it() {
    let daemon = daemon();
    for body in ["Content-Length: 6", "Transfer-Encoding: chunked"] {
        let (head, _) = upgrade(daemon.http(), "localhost", &[&UPGRADE[..], &[body]].concat());
        assert!(head.starts_with("HTTP/1.1 400 "), "{body}: {head}");
    }
    let (head, _) =
        upgrade(daemon.http(), "localhost", &[&UPGRADE[..], &["Content-Length: 0"]].concat());
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[test] // G4, G5
fn twenty_thousand_bad_connections_and_frames_leave_no_memory_behind() {
    let daemon = Daemon::start(CONFIG);
    let of_mallory = crate::operator::token(&daemon, &["--user", "mallory"]);
    let abuse = |rounds: usize| {
        for round in 0..rounds {
            // One session of ten frames that mean nothing; its user has room for ten.
            let mut page = Page::connect(&daemon, json!({"token": of_mallory}));
            for n in 0..9 {
                let id = format!("{round}.{n}");
                let d = json!({"to": "x".repeat(4000)});
                let frame = json!({"t": "call.invite", "id": id, "d": d}).to_string();
                page.raw().send(Message::text(frame)).unwrap();
                assert_eq!(page.answer_to(&id).unwrap_err()["code"], "bad_request");
            }
            page.raw().send(Message::text("{")).unwrap();
            assert_eq!(page.closed(), Some(4010));
            // And ten connections that come to nothing.
            for said in ["{", "[]", r#"{"t":"ping"}"#, r#"{"t":"hello","d":{"token":"a.b.c"}}"#] {
                let mut socket = open(daemon.http());
                socket.send(Message::text(said)).unwrap();
                while socket.read().is_ok_and(|message| !message.is_close()) {}
            }
            for _ in 0..3 {
                let (head, _) = upgrade(daemon.http(), "localhost", &UPGRADE[..4]);
                assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
            }
            for body in [json!([1]), json!({"token": "x".repeat(2000)}), json!("x")] {
                let (status, _) = post(daemon.http(), "/v1/invites/redeem", &body, &[]);
                assert!((400..500).contains(&status), "{status}");
            }
        }
    };
    abuse(100);
    let before = resident_kib(&daemon);
    abuse(1000);
    let after = resident_kib(&daemon);
    assert!(after < before + 6 * 1024, "from {before} to {after} KiB");
}

/// Alice has called bob, and he has answered.
fn talk(alice: &mut Page, bob: &mut Page) -> String {
    let to = json!({"user": bob.user()});
    let invited = alice.ask("call.invite", json!({"to": to, "media": {"audio": true}})).unwrap();
    let call = invited["call"].as_str().unwrap().to_owned();
    while bob.event("call.incoming")["call"] != call {}
    bob.ask("call.accept", json!({"call": call})).unwrap();
    let offer = json!({"call": call, "gen": 1, "kind": "offer", "sdp": "v=0"});
    alice.ask("call.signal", offer).unwrap();
    bob.event("call.signal");
    call
}

fn resident_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
