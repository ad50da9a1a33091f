//! `turnbell load ws`: each scenario, tiny, against a real daemon; and what it refuses.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::command::{CONFIG, Said, http, run, turnbell};
use crate::daemon::Daemon;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn daemon() -> Daemon {
    let issuer = format!(
        "[[identity.issuer]]\nissuer = \"https://id.example.org\"\naudience = [\"turnbell\"]\n\
         secret = \"{SECRET}\"\n[tenant.default]\nsessions_max = 40\n"
    );
    Daemon::start(&format!("{CONFIG}{issuer}"))
}

/// `turnbell load ws SCENARIO` against a daemon.
fn load(daemon: &Daemon, scenario: &str) -> Said {
    let line = format!("load ws {scenario} --url ws://{}/v1/ws", http(daemon));
    run(daemon.directory().path(), &line)
}

/// What it found.
#[track_caller]
fn found(said: Said) -> Value {
    let report = said.json()["load"].clone();
    assert_eq!(report["sessions_lost"], 0, "{report}");
    assert!(report["load_average"].is_number() && report["cores"].as_u64() > Some(0), "{report}");
    report
}

/// What it says where it fails.
#[track_caller]
fn failed(said: &Said) -> &str {
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{said:#?}");
    &said.err
}

#[test]
fn each_scenario_says_what_it_found() {
    let daemon = daemon();
    let pid = daemon.pid();
    let idle = found(load(&daemon, &format!("idle --sessions 6 --seconds 1 --json --pid {pid}")));
    assert_eq!((&idle["scenario"], &idle["sessions"]), (&json!("idle"), &json!(6)));
    assert!(idle["server"]["rss_bytes_before"].as_u64() > Some(1 << 20), "{idle}");

    let signals = found(load(&daemon, "signals --calls 2 --rate 40 --seconds 2 --json"));
    assert_eq!((&signals["sessions"], &signals["server"]), (&json!(4), &Value::Null));
    let counts = ["sent", "received", "lost"].map(|count| signals[count].as_u64().unwrap());
    assert_eq!(counts, [80, 80, 0], "{signals}");
    let latency = |quantile: &str| signals["latency_ms"][quantile].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p99"), "{signals}");
    assert!(latency("p99") <= latency("max"), "{signals}");
    assert_eq!(signals["refused"], json!({}));

    // A slow machine may begin a call before the one before it has ended.
    let ring = found(load(&daemon, "ring --rate 2 --devices 3 --seconds 2 --json --everybody"));
    assert_eq!((&ring["sessions"], &ring["sent"]), (&json!(8), &json!(4)));
    assert!(ring["received"].as_u64() > Some(0) && ring["ring_ms"]["p99"].is_number(), "{ring}");

    let abuse = found(load(&daemon, "abuse --calls 2 --rate 20 --seconds 2 --json --contacts 0"));
    assert_eq!((&abuse["sessions"], &abuse["lost"]), (&json!(4), &json!(0)), "{abuse}");
    assert!(abuse["received"].as_u64() > Some(30), "{abuse}");
}

#[test]
fn a_table_is_for_people_and_says_how_it_goes() {
    let daemon = daemon();
    let said = load(&daemon, "signals --calls 1 --rate 10 --seconds 1");
    assert!(said.err.contains("sessions_max = 2\n"), "the config it needs: {}", said.err);
    assert!(said.err.contains("1 calls are on"), "{}", said.err);
    let table = said.done();
    for row in ["sent ", "latency p50 / p99 / max", "lost ", "load average"] {
        assert!(table.lines().any(|line| line.starts_with(row)), "{row}:\n{table}");
    }
    let needs = run(daemon.directory().path(), "load ws ring --print-config").done();
    assert!(needs.starts_with("[tenant.default]\nsessions_max = 1100\n"), "{needs}");
}

#[test]
fn everybody_comes_back_after_a_restart() {
    // Another daemon must find the same port free: nobody else is at this address.
    let config = |port: u16| {
        let http = format!("http.listen = [\"127.0.77.1:{port}\"]");
        CONFIG.replace("http.listen = [\"127.0.0.1:0\"]", &http)
    };
    let mut daemon = Daemon::start(&config(0));
    let port = http(&daemon).port();
    std::fs::write(daemon.directory().path().join("turnbell.toml"), config(port)).unwrap();
    let url = format!("ws://127.0.77.1:{port}/v1/ws");
    let line = format!("load ws restart --sessions 5 --seconds 60 --json --url {url}");
    let mut load = turnbell(daemon.directory().path(), &line);
    let mut load = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(load.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("restart the server")));
    daemon.kill();
    let directory = Arc::clone(&daemon.directory());
    let _again = Daemon::start_in(directory, |_| {});
    // Whatever else it says must find somebody who reads.
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = load.wait_with_output().unwrap();
    assert!(output.status.success(), "{rest:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &report["load"];
    assert_eq!((&report["received"], &report["lost"]), (&json!(5), &json!(0)), "{report}");
    assert!(report["all_back_s"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["closed"]["lost"], 5, "{report}");
}

#[test]
fn an_issuer_of_the_config_may_sign_and_nobody_else() {
    let daemon = daemon();
    let file = |name: &str, text: &str| {
        std::fs::write(daemon.directory().path().join(name), text).unwrap();
    };
    file("good", &format!("# of the issuer\n{SECRET}\n"));
    file("wrong", "another secret of thirty-two bytes or more");
    file("empty", "\n# nothing\n");
    let with = |file: &str| {
        let tokens = "--issuer https://id.example.org --audience turnbell --secret-file";
        load(&daemon, &format!("idle --sessions 1 --seconds 1 --json {tokens} {file}"))
    };
    assert_eq!(found(with("good"))["sessions"], 1);
    let said = with("wrong");
    let why = failed(&said);
    assert!(why.contains("unauthenticated") && why.contains("--secret-file"), "{why}");
    assert!(failed(&with("empty")).contains("no secret is in it"));
    assert!(failed(&with("missing")).contains("missing"));
}

#[test]
fn what_is_not_this_machine_is_left_alone_unless_somebody_owns_it() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |line: &str| run(directory.path(), &format!("load ws {line}"));
    let said = ask("idle --url ws://192.0.2.1:8080/v1/ws");
    assert!(failed(&said).contains("192.0.2.1:8080 is not this machine"), "{said:#?}");
    assert!(failed(&said).contains("--i-own-this-server"), "{said:#?}");
    assert!(failed(&ask("idle --url http://127.0.0.1/")).contains("begins with ws://"));
    assert!(failed(&ask("signals --calls 1 --rate 81")).contains("needs --calls 2"));
    assert_eq!(ask("idle --sessions 0").code, Some(2));
    assert_eq!(ask("idle --sessions 20001").code, Some(2));
    assert_eq!(ask("ring --devices 1").code, Some(2));
    assert_eq!(ask("idle --issuer x").code, Some(2));
}

#[test]
fn what_keeps_the_clients_out_is_said_with_its_cure() {
    let mut daemon = daemon();
    let said = load(&daemon, "idle --sessions 41 --seconds 1");
    let why = failed(&said);
    assert!(why.contains("of 41 clients are ready") && why.contains("quota_exceeded"), "{why}");
    assert!(why.contains("sessions_max = 41"), "{why}");
    let said = load(&daemon, "idle --sessions 1 --tenant acme");
    assert!(failed(&said).contains("--tenant"), "{said:#?}");
    let elsewhere = format!("load ws idle --url ws://{}/healthz", http(&daemon));
    let said = run(daemon.directory().path(), &elsewhere);
    assert!(failed(&said).contains("/v1/ws"), "{said:#?}");

    let url = format!("ws://{}/v1/ws", http(&daemon));
    let program = env!("CARGO_BIN_EXE_turnbell");
    let mut few = std::process::Command::new("prlimit");
    few.args(["--nofile=40:40", program, "load", "ws", "idle", "--sessions", "30", "--url", &url]);
    few.current_dir(daemon.directory().path());
    let said = Said::of(few);
    assert!(failed(&said).contains("94 descriptors are needed"), "{said:#?}");
    assert!(failed(&said).contains("ulimit -n 94"), "{said:#?}");

    daemon.terminate();
    let said = run(daemon.directory().path(), &format!("load ws idle --url {url}"));
    assert!(failed(&said).contains("is turnbell running"), "{said:#?}");
}
