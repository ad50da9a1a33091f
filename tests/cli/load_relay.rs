//! `turnbell load` on the relay: each scenario, small, against a real daemon; and what it refuses.

use std::net::{SocketAddr, UdpSocket};

use serde_json::Value;

use crate::command::{CONFIG, Said, run};
use crate::daemon::Daemon;
use crate::load_stubs::{BadLine, liar, talker};

const ALICE: &str = "alice:wonderland-17";

fn config() -> String {
    CONFIG
        .replace("listen_tcp = []", "listen_tcp = [\"127.0.0.1:0\"]")
        .replace("listen = [\"127.0.0.1:0\"]\n", "listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n")
        + "http.local_without_key = true\n"
}

fn daemon() -> Daemon {
    Daemon::start(&format!(
        "allow_private_peers = [\"127.0.0.1\", \"::1\"]\nauth.users = [\"{ALICE}\"]\n{}",
        config().replace("[\"127.0.0.1\"]", "[\"127.0.0.1\", \"::1\"]")
    ))
}

/// `turnbell load WHAT` against a server.
fn load(daemon: &Daemon, server: &str, what: &str) -> Said {
    run(daemon.directory().path(), &format!("load {what} --url {server}"))
}

/// What it found: nothing lost, changed or refused.
#[track_caller]
fn found(said: Said) -> Value {
    let report = said.json()["load"].clone();
    for count in ["lost", "reordered", "duplicated", "corrupted", "unverified", "closed"] {
        assert_eq!(report[count], 0, "{count}: {report}");
    }
    assert_eq!(report["refused"], serde_json::json!({}), "{report}");
    assert_eq!(report["sent"], report["delivered"], "{report}");
    report
}

#[track_caller]
fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {report}"))
}

#[track_caller]
fn failed(said: &Said) -> &str {
    assert_eq!((said.code, &*said.out), (Some(1), ""), "{said:#?}");
    assert!(!said.err.contains("panicked") && !said.err.contains('\x1b'), "{said:#?}");
    &said.err
}

#[test]
fn data_of_every_kind_arrives_whole_and_once() {
    let daemon = daemon();
    let (udp, tcp) = (daemon.udp().port(), daemon.tcp().port());
    let v4 = format!("turn:127.0.0.1:{udp}");
    let v6 = format!("turn:[::1]:{}", daemon.udp6().port());
    let stream = format!("turn:127.0.0.1:{tcp}?transport=tcp");
    let cases = [
        (&v4, "--direction to-peer --window 8"),
        (&v4, "--direction to-client --size 1200 --burst 8 --window 16"),
        (&v4, "--indications --size 33 --rate 400"),
        (&v4, "--pair --burst 3 --indications --window 12"),
        (&v6, "--pair --rate 400"),
        (&v6, "--indications --burst 4 --size 1200 --window 8"),
        (&stream, "--size 33 --burst 2 --window 8"),
        (&stream, "--pair --indications --size 45 --window 8"),
    ];
    std::thread::scope(|scope| {
        for (server, what) in cases {
            let daemon = &daemon;
            scope.spawn(move || {
                let what = format!("data --clients 4 --seconds 1 --json {what}");
                let report = found(load(daemon, server, &what));
                assert!(number(&report, "/measured") > 0.0, "{what}: {report}");
                let spread = |part: &str| number(&report, &format!("/latency_us/{part}"));
                assert!(0.0 < spread("p50") && spread("p50") <= spread("p99"), "{report}");
                assert!(spread("p99") <= spread("p999") && spread("p999") <= spread("max"));
                assert_eq!(report["generator_late_us"].is_null(), what.contains("--window"));
            });
        }
    });
    // Every allocation was given back, and every client had a name of its own.
    let rows = daemon
        .wait_for_rows(|rows| rows.len() == 32 && rows.iter().all(|row| row.end_reason.is_some()));
    assert!(rows.iter().all(|row| row.end_reason.as_deref() == Some("client")), "{rows:?}");
    assert!(rows.iter().any(|row| row.username.ends_with("turnbell-load-000000000000003")));
}

#[test]
fn logins_and_bindings_are_counted_and_the_server_is_watched() {
    let daemon = daemon();
    let (server, pid) = (format!("turn:{}", daemon.udp()), daemon.pid());
    let ask = |what: &str| found(load(&daemon, &server, &format!("{what} --json --pid {pid}")));
    let login = ask("login --clients 20");
    assert_eq!((number(&login, "/sent"), &login["unit"]), (20.0, &"logins".into()), "{login}");
    assert!(number(&login, "/server/cpu_us_each") > 0.0, "{login}");
    let allocate = ask(&format!("allocate --clients 20 --rate 1000 --user {ALICE}"));
    assert_eq!(number(&allocate, "/sent"), 20.0, "{allocate}");
    let churn = ask("churn --clients 3 --seconds 1");
    assert!(number(&churn, "/measured") > 3.0, "{churn}");
    let idle = ask("idle --clients 5 --seconds 1");
    assert_eq!((number(&idle, "/sent"), &idle["latency_us"]), (0.0, &Value::Null), "{idle}");
    assert!(number(&idle, "/server/rss_bytes_after") > 1e6, "{idle}");
    let stun = ask("stun --clients 2 --rate 100 --seconds 1");
    assert!(number(&stun, "/measured") >= 90.0, "{stun}");
}

#[test]
fn a_bad_line_is_counted_to_the_datagram() {
    let daemon = daemon();
    let line = BadLine::to(daemon.udp());
    let what = "data --clients 1 --rate 400 --seconds 1 --json";
    let report = load(&daemon, &format!("turn:{}", line.at()), what).json()["load"].clone();
    let count = |name: &str| number(&report, &format!("/{name}")) as u64;
    let (dropped, changed) = (line.done(|done| &done.dropped), line.done(|done| &done.changed));
    assert!(dropped > 5 && changed > 5, "{report}");
    // One may wait for the next, which does not come.
    let lost = count("lost") - dropped - changed;
    assert!(lost <= 1, "{lost}: {report}");
    assert_eq!(count("corrupted"), changed + line.done(|done| &done.made_up), "{report}");
    assert_eq!(count("duplicated"), line.done(|done| &done.doubled), "{report}");
    assert_eq!(count("reordered"), line.done(|done| &done.delayed), "{report}");
    assert_eq!(count("sent") - count("delivered"), count("lost"), "{report}");
}

#[test]
fn a_certificate_is_checked_against_the_authorities_that_are_named() {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(home.path().join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(home.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    let tls = "allow_private_peers = [\"127.0.0.1\"]\ntls.cert = \"cert.pem\"\n\
               tls.key = \"key.pem\"\nlisten_tls = [\"127.0.0.1:0\"]\n";
    std::fs::write(home.path().join("turnbell.toml"), format!("{tls}{CONFIG}")).unwrap();
    let daemon = Daemon::start_in(home, |_| {});
    let server = format!("turns:127.0.0.1:{}", daemon.tls().port());
    let data = "data --clients 2 --seconds 1 --window 4 --size 1200 --json";
    let report = found(load(&daemon, &server, &format!("{data} --ca cert.pem")));
    assert!(number(&report, "/measured") > 0.0, "{report}");
    let said = load(&daemon, &server, &format!("{data} --ca key.pem"));
    assert!(failed(&said).contains("--ca names a PEM file"), "{said:#?}");
    let elsewhere = std::fs::read("/etc/ssl/certs/ca-certificates.crt").is_ok();
    if elsewhere {
        assert!(failed(&load(&daemon, &server, data)).contains("certificate"));
    }
}

#[test]
fn a_table_is_for_people() {
    let daemon = daemon();
    let what = format!("data --clients 2 --rate 100 --seconds 2 --user {ALICE}");
    let said = load(&daemon, &format!("turn:{}", daemon.udp()), &what);
    assert!(said.err.contains("1 of 2 s: "), "{}", said.err);
    let table = said.done();
    for row in [
        "scenario                         data, both ways",
        "datagrams a second ",
        "lost                             0 (0.000 %)",
        "latency p50 / p99 / p99.9 / max ",
    ] {
        assert!(table.lines().any(|line| line.starts_with(row)), "{row}:\n{table}");
    }
    let needs = load(&daemon, "turn:127.0.0.1", "data --clients 7 --print-config").done();
    assert!(needs.contains("allow_private_peers = [\"127.0.0.1\"]"), "{needs}");
    assert!(needs.contains("quota.per_source = 7\n"), "{needs}");
}

#[test]
fn what_keeps_the_load_off_is_said_with_its_cure() {
    let directory = tempfile::tempdir().unwrap();
    let ask = |line: &str| run(directory.path(), &format!("load {line} --user a:b"));
    let said = ask("data --url turn:192.0.2.1");
    assert!(failed(&said).contains("192.0.2.1:3478 is not this machine"), "{said:#?}");
    assert!(failed(&said).contains("--i-own-this-server"), "{said:#?}");
    assert!(failed(&ask("data --url http://127.0.0.1/")).contains("turn:127.0.0.1:3478"));
    assert!(failed(&ask("data --burst 8 --window 7")).contains("--window 7"));
    assert!(failed(&ask("data --pair --clients 3")).contains("even number"));
    assert!(failed(&ask("data --burst 53 --size 1200")).contains("at most 51"));
    assert!(failed(&ask("login --peer 192.0.2.1")).contains("--peer"));
    for line in ["data --size 31", "data --size 8901", "data --burst 65", "stun --clients 0"] {
        assert_eq!(ask(line).code, Some(2), "{line}");
    }
    let nothing = run(directory.path(), "load login");
    assert!(failed(&nothing).contains("--secret-file"), "{nothing:#?}");
}

#[test]
fn a_server_that_refuses_is_quoted() {
    // One thread: of several, one may refuse before another has answered whom it let in.
    let daemon = Daemon::start(&format!("threads = 1\nauth.users = [\"{ALICE}\"]\n{}", config()));
    let server = format!("turn:{}", daemon.udp());
    let ask = |what: &str| load(&daemon, &server, what);
    for login in ["--user alice:wrong", "--user mallory:wonderland-17", "--secret 0123456789abcdef"]
    {
        let said = ask(&format!("login {login}"));
        assert!(failed(&said).contains("0 of 100 clients are in, then Allocate was refused: 401"));
        assert!(said.err.contains("does it know this credential?"), "{said:#?}");
    }
    let said = ask("data --clients 2");
    assert!(failed(&said).contains("ChannelBind was refused: 403"), "{said:#?}");
    assert!(said.err.contains("allow_private_peers"), "{said:#?}");
    let said = ask(&format!("allocate --clients 70 --user {ALICE}"));
    assert!(failed(&said).contains("64 of 70 clients are in, then Allocate was refused: 486"));
    assert!(said.err.contains("quota"), "{said:#?}");
}

#[test]
fn nobody_there_and_somebody_else_there_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody listens where somebody did a moment ago, and who is silent is not there either.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |what: &str, server: SocketAddr, query: &str| {
        let line = format!("load {what} --clients 2 --user a:b --url turn:{server}{query}");
        run(directory.path(), &line)
    };
    std::thread::scope(|scope| {
        for server in [gone, silent.local_addr().unwrap()] {
            scope.spawn(move || {
                let said = ask("login", server, "");
                assert!(failed(&said).contains("no answer to the first Allocate; is it running"));
            });
        }
        scope.spawn(|| {
            let said = ask("stun --seconds 1 --window 2", silent.local_addr().unwrap(), "");
            assert_eq!(said.code, Some(1), "{said:#?}");
            assert!(said.err.contains("nothing of what was sent"), "{said:#?}");
        });
    });
    let said = ask("login", gone, "?transport=tcp");
    assert!(failed(&said).contains("is it running"), "{said:#?}");
    for words in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", b"\x01\x13\xff\xfc\x21\x12"] {
        let said = ask("login", talker(words), "?transport=tcp");
        assert!(failed(&said).contains("closed the connection"), "{said:#?}");
    }
    let said = ask("login", liar(), "");
    assert!(failed(&said).contains("Allocate was refused: 500 [31mNoway"), "{said:#?}");
}
