//! `turnbell verify --link`: a link that lets somebody verify in a browser, and nothing else.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::Value;
use turnbell::limits::probe::{VERIFY_LINK_LEFT_MIN, VERIFY_LINK_TTL};
use turnbell::store::FILE_NAME;
use turnbell::time::Now;

use crate::command::{CONFIG, ask, http, run};
use crate::daemon::{Daemon, PATIENCE};

/// Status and body of `METHOD PATH` with this key.
fn answer(daemon: &Daemon, line: &str, key: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&http(daemon), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "Host: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\
                Content-Type: application/json\r\n";
    write!(stream, "{line} HTTP/1.1\r\n{head}Authorization: Bearer {key}\r\n\r\n{{}}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

fn begins(daemon: &Daemon, key: &str) -> u16 {
    answer(daemon, "POST /api/ice-verify/runs", key).0
}

/// A new link: its key and the id by which it is taken back.
fn link(daemon: &Daemon) -> (String, String) {
    let link = run(daemon.directory().path(), "verify --link --json").json();
    let link = &link["verify_link"];
    let (url, key) = link["url"].as_str().unwrap().split_once("#k=").unwrap();
    assert_eq!(url, format!("http://{}/ice-verify", http(daemon)));
    let left = link["expires_at"].as_i64().unwrap() - Now::read().unix_ms;
    let day = i64::try_from(VERIFY_LINK_TTL.as_millis()).unwrap();
    assert!((day - 60_000..=day).contains(&left), "{left}");
    (key.to_owned(), link["id"].as_str().unwrap().to_owned())
}

#[test] // P8
fn a_link_opens_the_verification_as_often_as_wanted_and_nothing_else() {
    let daemon = Daemon::start(CONFIG);
    let (key, _) = link(&daemon);
    for _ in 0..2 {
        let (status, begun) = answer(&daemon, "POST /api/ice-verify/runs", &key);
        assert_eq!(status, 201, "{begun}");
        let begun: Value = serde_json::from_str(&begun).unwrap();
        let run = format!("GET /api/ice-verify/runs/{}", begun["run"].as_str().unwrap());
        assert_eq!(answer(&daemon, &run, &key).0, 200);
    }
    assert!([200, 202].contains(&answer(&daemon, "GET /api/ice-verify", &key).0));
    for line in [
        "GET /ice",
        "GET /v1/ice",
        "GET /metrics",
        "GET /v1/calls",
        "GET /v1/calls/01ARYZ6S410000000000000000",
        "GET /v1/usage",
        "GET /v1/why?user=alice",
        "GET /api/diagnostics",
        "GET /api/diagnostics/stream",
        "POST /api/diagnostics/open",
        "POST /api/ice-verify/reports",
        "POST /v1/invites",
        "POST /v1/calls/01ARYZ6S410000000000000000/end",
        "POST /v1/users/alice/revoke",
        "DELETE /v1/users/alice",
    ] {
        let (status, body) = answer(&daemon, line, &key);
        assert!([400, 401, 403].contains(&status), "{line}: {status} {body}");
    }
    let (_, health) = answer(&daemon, "GET /healthz", &key);
    assert!(!health.contains("relay"), "{health}");
}

#[test] // P8
fn a_link_outlives_a_restart_and_ends_at_once_when_it_is_revoked() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    let (key, id) = link(&daemon);
    assert_eq!(daemon.terminate().code(), Some(0));
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    assert_eq!(begins(&daemon, &key), 201);
    let list = ask(&daemon, "key list");
    let row = list.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(row.contains(&format!("verify-link-{id}")) && row.contains(" until "), "{row}");
    let revoked = ask(&daemon, &format!("key revoke {id}"));
    assert!(revoked.contains("is revoked"), "{revoked}");
    let (status, body) = answer(&daemon, "POST /api/ice-verify/runs", &key);
    assert_eq!(status, 401);
    assert!(body.contains("this link has ended") && body.contains("verify --link"), "{body}");
    assert_eq!(daemon.terminate().code(), Some(0));
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(begins(&daemon, &key), 401);
}

/// Moves the end of what ends by itself, while no daemon runs.
fn ends_in(directory: &std::path::Path, ms: i64) {
    let file = Connection::open(directory.join("state").join(FILE_NAME)).unwrap();
    let sql = "UPDATE api_keys SET ends_at_ms = ?1 WHERE ends_at_ms IS NOT NULL";
    assert!(file.execute(sql, [Now::read().unix_ms + ms]).unwrap() > 0);
}

#[test] // P8
fn a_link_ends_by_itself_and_makes_room_for_the_next_one() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    ask(&daemon, "key add site");
    let (key, id) = link(&daemon);
    for (left_ms, status, is_listed) in [(60_000, 201, true), (0, 401, false)] {
        assert_eq!(daemon.terminate().code(), Some(0));
        ends_in(directory.path(), left_ms);
        daemon = Daemon::start_in(directory.clone(), |_| {});
        assert_eq!(begins(&daemon, &key), status, "{left_ms}");
        assert_eq!(ask(&daemon, "key list").contains(&id), is_listed, "{left_ms}");
    }
    let refused = run(directory.path(), &format!("key revoke {id}")).refused();
    assert!(refused.starts_with("no active key"), "{refused}");
    link(&daemon);
    let file = Connection::open(daemon.state().join(FILE_NAME)).unwrap();
    let count = "SELECT count(*) FROM api_keys";
    assert_eq!(file.query_row(count, [], |row| row.get::<_, i64>(0)), Ok(2));
}

/// The key of the link in what `turnbell verify` says.
fn shown(said: &str) -> Option<&str> {
    let line = said.lines().find(|line| line.contains("/ice-verify#k="))?;
    line.split_once("#k=").map(|(_, key)| key)
}

#[test] // P6
fn what_only_this_machine_saw_comes_with_a_link_the_same_each_time() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let mut daemon = Daemon::start_in(directory.clone(), |_| {});
    let first = ask(&daemon, "verify");
    assert!(first.contains("not yet proven from outside"), "{first}");
    assert!(first.contains("open this on a phone without Wi-Fi:\n\nhttp://"), "{first}");
    let key = shown(&first).unwrap().to_owned();
    assert_eq!(begins(&daemon, &key), 201);
    assert_eq!(shown(&ask(&daemon, "verify")), Some(&*key), "a job leaves no heap of keys");
    assert_ne!(link(&daemon).0, key, "who asks for one gets one of his own");
    let json = run(directory.path(), "verify --json").done();
    assert!(!json.contains("tbv_"), "{json}");

    // One that was taken back, or that is about to end, is not shown again.
    ask(&daemon, &format!("key revoke {key}"));
    let second = shown(&ask(&daemon, "verify")).unwrap().to_owned();
    assert_ne!(second, key);
    assert_eq!(begins(&daemon, &second), 201);
    assert!(VERIFY_LINK_LEFT_MIN < VERIFY_LINK_TTL);

    // Somebody outside saw it work.
    assert_eq!(daemon.terminate().code(), Some(0));
    let file = Connection::open(directory.path().join("state").join(FILE_NAME)).unwrap();
    let sql = "INSERT INTO verifications (at_ms, vantage, verdict, summary, report)
               VALUES (?1, 'browser', 'ok', '', '{}')";
    file.execute(sql, [Now::read().unix_ms]).unwrap();
    drop(file);
    let daemon = Daemon::start_in(directory, |_| {});
    let proven = ask(&daemon, "verify");
    assert!(!proven.contains("not yet proven") && shown(&proven).is_none(), "{proven}");
}

#[test]
fn without_a_daemon_there_is_no_page_to_open() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    assert!(run(directory.path(), "verify --link").refused().contains("no turnbell runs on "));
}
