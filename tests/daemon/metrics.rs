//! `/metrics`: live numbers, in a format that Prometheus' own checker accepts, for nobody else.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER, eventually};
use crate::turn_client::{TurnClient, receive};

/// Status, content type and body.
fn scrape(daemon: &Daemon, headers: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(daemon.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    (status, kind.unwrap_or_default().to_owned(), body.to_owned())
}

#[track_caller]
fn value(text: &str, name: &str) -> u64 {
    let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    sample.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
}

#[test]
fn a_live_allocation_is_counted_with_its_bytes_and_stays_counted_when_it_has_ended() {
    let daemon = Daemon::start(&format!("allow_private_peers = [\"127.0.0.0/8\"]\n{CONFIG}"));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
    let at = peer.local_addr().unwrap();
    client.permit(at.ip()).unwrap();
    client.send(at, &[b'x'; 100]);
    assert!(receive(&peer, Duration::from_secs(5)).is_some());
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, "wrong-password").unwrap_err(), 401);

    let (status, kind, text) = scrape(&daemon, "");
    assert_eq!((status, &*kind), (200, "text/plain; version=0.0.4; charset=utf-8"), "{text}");
    assert_eq!(value(&text, "turnbell_allocations{transport=\"udp\"}"), 1);
    assert_eq!(value(&text, "turnbell_relay_ports{state=\"used\"}"), 1);
    let totals = |text: &str| {
        [
            "turnbell_allocations_opened_total",
            "turnbell_relayed_packets_total{to=\"peer\"}",
            "turnbell_relayed_bytes_total{to=\"peer\"}",
            "turnbell_relayed_bytes_total{to=\"client\"}",
            "turnbell_authentication_failures_total{cause=\"wrong_integrity\"}",
        ]
        .map(|name| value(text, name))
    };
    assert_eq!(totals(&text), [1, 1, 100, 0, 1]);
    // The first 401 of each of the two clients, and the one that was meant.
    assert_eq!(value(&text, "turnbell_error_responses_total{code=\"401\"}"), 3);
    assert_eq!(value(&text, "turnbell_record_ok"), 1);
    assert!(value(&text, "process_resident_memory_bytes") > 1 << 20);
    // Names of people and addresses are nobody's label.
    for word in [USER, "127.0.0", &at.port().to_string(), &client.relayed.port().to_string()] {
        let labels = text.lines().filter_map(|line| line.split_once('}'));
        assert!(!labels.into_iter().any(|(labels, _)| labels.contains(word)), "{word}");
    }

    client.release().unwrap();
    let (_, kind, text) = scrape(&daemon, "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(value(&text, "turnbell_allocations{transport=\"udp\"}"), 0);
    assert_eq!(totals(&text), [1, 1, 100, 0, 1]);
}

/// Does something while the daemon stands still, so that nobody reads its sockets.
fn while_it_stands_still(daemon: &Daemon, act: impl FnOnce()) {
    daemon.signal(Signal::SIGSTOP);
    let stopped = waitpid(daemon.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(daemon.pid(), Signal::SIGSTOP));
    act();
    daemon.signal(Signal::SIGCONT);
}

#[test]
fn what_full_buffers_throw_away_is_counted_and_stays_counted_when_the_socket_is_gone() {
    const FLOOD: u64 = 20_000;
    let daemon = Daemon::start(&format!("allow_private_peers = [\"127.0.0.0/8\"]\n{CONFIG}"));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
    client.permit(peer.local_addr().unwrap().ip()).unwrap();
    let drops = |of: &str| daemon.metric(&format!("turnbell_socket_drops_total{{of=\"{of}\"}}"));
    assert_eq!((drops("listeners"), drops("relay_sockets")), (0.0, 0.0));

    while_it_stands_still(&daemon, || {
        for _ in 0..FLOOD {
            peer.send_to(&[0; 1000], client.relayed).unwrap();
        }
    });
    // What was not thrown away was relayed; the flood is over when both are all of it.
    let relayed = || daemon.metric("turnbell_relayed_packets_total{to=\"client\"}");
    let all = || (relayed() + drops("relay_sockets") == FLOOD as f64).then_some(());
    eventually(all).unwrap_or_else(|| panic!("{} + {}", relayed(), drops("relay_sockets")));
    let before = drops("relay_sockets");
    assert!(before > 0.0);
    client.release().unwrap();
    assert_eq!((drops("relay_sockets"), drops("listeners")), (before, 0.0));

    while_it_stands_still(&daemon, || {
        for _ in 0..FLOOD {
            peer.send_to(&[0; 1000], daemon.udp()).unwrap();
        }
    });
    eventually(|| (drops("listeners") > 0.0).then_some(())).expect("a full listener is seen");
    assert_eq!(drops("relay_sockets"), before);
}

#[test]
fn only_a_key_or_a_truly_local_request_reads_it() {
    let daemon =
        Daemon::start(&CONFIG.replace("local_without_key = true", "local_without_key = false"));
    assert_eq!(scrape(&daemon, "").0, 401);
    let (code, text, _) = daemon.command(&["key", "add", "prometheus", "--scope", "log"]);
    assert_eq!(code, Some(0));
    let key = text.split_ascii_whitespace().find(|word| word.starts_with("tbk_")).unwrap();
    assert_eq!(scrape(&daemon, &format!("Authorization: Bearer {key}\r\n")).0, 200);
    let local = Daemon::start(CONFIG);
    assert_eq!(scrape(&local, "X-Forwarded-For: 203.0.113.5\r\n").0, 401);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let daemon = Daemon::start(CONFIG);
    let (_, _, text) = scrape(&daemon, "");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is in Debian's prometheus");
    promtool.stdin.take().expect("it is piped").write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

fn promtool(arguments: &[&str]) -> std::process::Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/prometheus");
    let promtool = Command::new("promtool").args(arguments).current_dir(folder).output();
    promtool.expect("promtool is in Debian's prometheus")
}

#[test]
fn each_alert_fires_where_it_should_and_is_silent_one_step_before() {
    for command in
        [&["check", "rules", "turnbell.rules.yml"], &["test", "rules", "turnbell.rules.test.yml"]]
    {
        let output = promtool(command);
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn what_board_and_alerts_show_is_what_a_daemon_counts() {
    let directory = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\nlisten_tls = [\"127.0.0.1:0\"]");
    let daemon = Daemon::start(&format!("{tls}\n{CONFIG}"));
    let (_, _, text) = scrape(&daemon, "");
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let read = |name: &str| std::fs::read_to_string(conf.join(name)).unwrap();
    let (board, rules) = (read("grafana/turnbell.json"), read("prometheus/turnbell.rules.yml"));
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let board: String =
        targets.map(|target| format!("{}\n", target["expr"].as_str().unwrap())).collect();
    let rules = rules.lines().filter(|line| !line.trim().starts_with('#'));
    let rules: String = rules.filter(|line| !line.contains("cure:")).collect::<Vec<_>>().join("\n");
    let mut seen = std::collections::BTreeSet::new();
    for word in (board + &rules).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if (word.starts_with("turnbell_") || word.starts_with("process_"))
            && seen.insert(word.to_owned())
        {
            let has = text.lines().any(|line| {
                line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '{']))
            });
            assert!(has, "{word} is not in:\n{text}");
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn coturns_names_come_and_go_with_a_reload() {
    let daemon = Daemon::start(CONFIG);
    assert!(!scrape(&daemon, "").2.contains("turn_total_allocations"));
    let file = daemon.directory().path().join("turnbell.toml");
    std::fs::write(file, format!("metrics.coturn_names = true\n{CONFIG}")).unwrap();
    assert_eq!(daemon.command(&["reload"]).0, Some(0));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let (_, _, text) = scrape(&daemon, "");
    assert_eq!(value(&text, "turn_total_allocations{type=\"UDP\"}"), 1);
    assert_eq!(value(&text, "turn_traffic_rcvb{realm=\"turnbell\"}"), 0);
    client.release().unwrap();
}
