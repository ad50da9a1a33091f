//! `/metrics`: live numbers, in a format that Prometheus' own checker accepts, for nobody else.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER};
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
