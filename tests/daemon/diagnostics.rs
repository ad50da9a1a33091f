//! `/diagnostics`: what a live server says of itself, to whom, and never a secret.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, SECRET, USER, eventually};
use crate::turn_client::TurnClient;

const HTML: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

fn connect(daemon: &Daemon, line: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Head and body of an answer that ends.
fn ask(daemon: &Daemon, line: &str, headers: &str) -> (String, String) {
    let mut answer = String::new();
    let headers = format!("Connection: close\r\n{headers}");
    connect(daemon, line, &headers).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

fn found(daemon: &Daemon) -> Value {
    let (status, found) = daemon.get("/api/diagnostics");
    assert_eq!(status, 200, "{found}");
    found
}

type Events = BufReader<TcpStream>;

fn listen(daemon: &Daemon) -> Events {
    BufReader::new(connect(daemon, "GET /api/diagnostics/stream", ""))
}

/// The events of a stream up to the first of this name; that one's data.
fn event(mut reader: Events, name: &str) -> (String, Value, Events) {
    let (mut seen, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "no {name} in:\n{seen}");
        seen.push_str(&line);
        if line.trim_end() == format!("event: {name}") {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let data = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
            return (seen, data, reader);
        }
    }
}

#[test]
fn a_live_server_is_told_with_what_it_does_and_who_does_it() {
    let daemon = Daemon::start(&format!("quota.total = 1\n{CONFIG}"));
    assert_eq!(item(&found(&daemon), "quota")["state"], "green");
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, "wrong-password").unwrap_err(), 401);
    let told = eventually(|| Some(found(&daemon)).filter(|it| it["allocations"]["live"] == 1));
    let told = told.expect("what was found out is never old");
    assert_eq!(told["allocations"]["by_transport"]["udp"], 1);
    assert_eq!(told["allocations"]["by_family"]["ipv4"], 1);
    assert_eq!(told["quota"]["users"][0]["name"], USER);
    assert_eq!(told["listeners"]["udp"][0], daemon.udp().to_string());
    assert_eq!(told["addresses"][0]["told"], "127.0.0.1");
    assert_eq!(told["record"]["ok"], true);
    assert_eq!(
        (&told["certificate"], &told["verifications"][2]["at"]),
        (&Value::Null, &Value::Null)
    );
    let cause = |word: &str| {
        let all = told["refused"].as_array().unwrap().iter();
        all.clone().find(|cause| cause["cause"] == word).unwrap()["count"].clone()
    };
    assert_eq!((cause("wrong_integrity"), cause("expired")), (1.into(), 0.into()));
    let settings = told["config"]["settings"].as_array().unwrap();
    let quota = settings.iter().find(|setting| setting["key"] == "quota.total").unwrap();
    assert_eq!(
        (&quota["value"], &quota["from"], &quota["line"]),
        (&1.into(), &"file".into(), &1.into())
    );
    assert!(told["capacity"]["calls"].is_u64(), "{}", told["capacity"]);

    let full = item(&told, "quota");
    assert_eq!(full["state"], "yellow", "{full}");
    assert!(full["says"].as_str().unwrap().contains("refused (508)"), "{full}");
    assert!(full["cure"].as_str().unwrap().contains("quota.total"), "{full}");
    // The same in a terminal.
    let (code, text, _) = daemon.command(&["doctor"]);
    assert!(text.contains("Quota: All 1 allocations are taken"), "{text}");
    assert_eq!(code, Some(0), "nothing is broken: {text}");
    client.release().unwrap();
}

#[track_caller]
fn item(found: &Value, id: &str) -> Value {
    let items = found["items"].as_array().unwrap();
    items.iter().find(|item| item["id"] == id).unwrap_or_else(|| panic!("no {id}: {found}")).clone()
}

#[test]
fn a_browser_gets_the_page_and_a_program_the_json() {
    let daemon = Daemon::start(CONFIG);
    let (head, body) = ask(&daemon, "GET /diagnostics", HTML);
    assert!(head.starts_with("http/1.1 200") && head.contains("text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'self'"), "{head}");
    assert!(head.contains("vary: accept") && body.contains("<!doctype html>"), "{head}");
    for headers in ["", "Accept: application/json\r\n", "Accept: */*\r\n"] {
        let (head, body) = ask(&daemon, "GET /diagnostics", headers);
        assert!(head.contains("application/json") && head.contains("vary: "), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["items"].is_array());
    }
    let (head, _) = ask(&daemon, "GET /api/diagnostics", HTML);
    assert!(head.contains("application/json"), "always: {head}");
}

#[test]
fn without_a_key_there_is_nothing_to_see_and_a_link_opens_the_page_once() {
    let daemon =
        Daemon::start(&CONFIG.replace("local_without_key = true", "local_without_key = false"));
    for path in ["/diagnostics", "/api/diagnostics", "/api/diagnostics/stream"] {
        let (head, body) = ask(&daemon, &format!("GET {path}"), "");
        assert!(head.starts_with("http/1.1 401"), "{path}: {head}");
        assert!(!body.contains("127.0.0.1") && !body.contains("state"), "{body}");
    }
    // The page itself is public and empty.
    let (head, body) = ask(&daemon, "GET /diagnostics", HTML);
    assert!(head.starts_with("http/1.1 200") && !body.contains("127.0.0.1"), "{head}");

    let (code, text, _) = daemon.command(&["dashboard", "--json"]);
    assert_eq!(code, Some(0));
    let link: Value = serde_json::from_str(&text).unwrap();
    let (url, key) = link["dashboard"]["url"].as_str().unwrap().split_once("#k=").unwrap();
    assert_eq!(url, format!("http://{}/diagnostics", daemon.http()));
    let (head, _) = ask(&daemon, "GET /api/diagnostics", &bearer(key));
    assert!(head.starts_with("http/1.1 401"), "a link is no key: {head}");
    let open = || {
        let headers = format!("{}Content-Length: 0\r\n", bearer(key));
        ask(&daemon, "POST /api/diagnostics/open", &headers)
    };
    let (head, body) = open();
    assert!(head.starts_with("http/1.1 200") && head.contains("no-store"), "{head}");
    let opened: Value = serde_json::from_str(&body).unwrap();
    let page = bearer(opened["key"].as_str().unwrap());
    assert!(ask(&daemon, "GET /api/diagnostics", &page).0.starts_with("http/1.1 200"));
    assert!(ask(&daemon, "GET /ice", &page).0.starts_with("http/1.1 401"), "only for that page");
    let (head, body) = open();
    assert!(head.starts_with("http/1.1 401") && body.contains("turnbell dashboard"), "{body}");
}

#[test]
fn a_page_is_told_the_past_then_the_present_and_lets_the_daemon_end() {
    let mut daemon = Daemon::start(CONFIG);
    let (head, history, reader) = event(listen(&daemon), "history");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("x-accel-buffering: no") && head.contains("no-store"), "{head}");
    assert!(history["hour"].is_array() && history["day"].is_array());
    let (_, told, reader) = event(reader, "diagnostics");
    assert!(told["items"].is_array());
    // The first sample comes when the second reading does.
    let (_, sample, mut reader) = event(reader, "sample");
    assert!(sample["resident_bytes"].as_u64().unwrap() > 1 << 20, "{sample}");
    assert_eq!(daemon.terminate().code(), Some(0));
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "it ends whole: {:?}", rest.lines().last());
}

#[test]
fn one_page_too_many_asks_again_and_finds_the_place_of_one_that_left() {
    let daemon = Daemon::start(CONFIG);
    let most = turnbell::limits::diagnose::DIAGNOSTICS_STREAMS_MAX;
    let mut open: Vec<_> = (0..most).map(|_| event(listen(&daemon), "history").2).collect();
    let refused = || ask(&daemon, "GET /api/diagnostics/stream", "");
    let (head, _) = refused();
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after"), "{head}");
    open.pop();
    let found = eventually(|| {
        let mut line = String::new();
        listen(&daemon).read_line(&mut line).unwrap();
        line.contains(" 200 ").then_some(())
    });
    assert!(found.is_some(), "the place is free again");
}

#[test]
fn no_secret_of_the_config_gets_into_any_output() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let planted = [
        SECRET,
        PASSWORD,
        "planted-in-a-file-1b9d6bcd4b",
        "planted-foreign-credential-6e0c1d",
        "planted-foreign-secret-58cc4372",
        "planted-issuer-secret-a567-0e02b2c3d479-xyz",
        "planted-issuer-file-8f14e45fceea167a5a36-xyz",
    ];
    std::fs::write(directory.path().join("secrets.txt"), format!("{}\n", planted[2])).unwrap();
    std::fs::write(directory.path().join("issuer.txt"), format!("{}\n", planted[6])).unwrap();
    let config = format!(
        "auth.secret_files = [\"secrets.txt\"]\nlog.level = \"trace\"\nlog.format = \"json\"\n\
         metrics.coturn_names = true\n{CONFIG}\n\
         [[ice.server]]\nurls = [\"turn:192.0.2.1\"]\nusername = \"u\"\ncredential = \"{}\"\n\
         [[ice.server]]\nurls = [\"turn:192.0.2.2\"]\nsecret = \"{}\"\n\
         [[identity.issuer]]\nissuer = \"https://a.example\"\naudience = [\"x\"]\nsecret = \"{}\"\n\
         [[identity.issuer]]\nissuer = \"https://b.example\"\naudience = [\"x\"]\n\
         secret_file = \"issuer.txt\"\n",
        planted[3], planted[4], planted[5],
    );
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    let daemon = Daemon::start_in(directory, |_| {});
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    assert_eq!(TurnClient::allocate(daemon.udp(), "eve", "wrong").unwrap_err(), 401);

    let stream = event(listen(&daemon), "diagnostics");
    let mut outputs = vec![
        ("stream", format!("{}{}", stream.0, stream.1)),
        ("/diagnostics", ask(&daemon, "GET /diagnostics", "").1),
        ("page", ask(&daemon, "GET /diagnostics", HTML).1),
        ("/metrics", ask(&daemon, "GET /metrics", "").1),
        ("/healthz", ask(&daemon, "GET /healthz", "").1),
    ];
    for command in
        ["doctor", "doctor --json", "status", "print-config", "check-config", "dashboard"]
    {
        let words: Vec<&str> = command.split(' ').collect();
        let (_, out, err) = daemon.command(&words);
        outputs.push((command, out + &err));
    }
    daemon.wait_for_log("credentials refused");
    outputs.push(("log", daemon.log()));
    for (what, text) in &outputs {
        assert!(text.len() > 10, "{what} says nothing");
        for secret in planted {
            assert!(!text.contains(secret), "{secret} is in {what}:\n{text}");
        }
    }
    // They were read: the same places say how many there are.
    let shown = &outputs[1].1;
    assert!(shown.contains("1 secret") && shown.contains("https://b.example"), "{shown}");
}
