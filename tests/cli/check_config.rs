//! `check-config` tries what it reads, says what clients would get, and leaves nothing behind.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use serde_json::Value;

use crate::command::{CONFIG, Said, run};
use crate::network::{Network, in_own_network};
use crate::stun_server::StunServer;

/// Every transport on loopback, one port behind a balancer.
const ALL: &str = r#"
state_directory = "state"
listen = ["127.0.0.1:0"]
listen_tcp = ["127.0.0.1:0"]
listen_tls = ["127.0.0.1:0"]
tls = { cert = "cert.pem", key = "key.pem" }
relay_addresses = ["127.0.0.1", "::1"]
http.listen = ["127.0.0.1:0"]
"#;

fn check(directory: &Path, config: &str) -> Said {
    std::fs::write(directory.join("turnbell.toml"), config).unwrap();
    run(directory, "check-config")
}

/// What it says as JSON, and its exit code.
fn json(directory: &Path, config: &str) -> (Value, Option<i32>) {
    std::fs::write(directory.join("turnbell.toml"), config).unwrap();
    let said = run(directory, "check-config --json");
    (serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:#?}")), said.code)
}

fn write_pair(directory: &Path, host: &str) {
    let pair = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    std::fs::write(directory.join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
}

/// Long sentences are folded.
fn flat(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_listener_and_family_is_tried_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path(), "127.0.0.1");
    let (checked, code) = json(directory.path(), ALL);
    assert_eq!(
        (code, &checked["ok"], &checked["problems"]),
        (Some(0), &true.into(), &Value::Array(Vec::new()))
    );
    let tried: Vec<(&str, &str)> = checked["tried"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tried| {
            let word = |key: &str| tried[key].as_str().unwrap_or_else(|| panic!("{tried}"));
            let told = if word("family") == "ipv4" { "127.0.0.1:" } else { "[::1]:" };
            assert!(word("relayed").starts_with(told), "{tried}");
            (word("transport"), word("family"))
        })
        .collect();
    assert_eq!(
        tried,
        [
            ("udp", "ipv4"),
            ("udp", "ipv6"),
            ("tcp", "ipv4"),
            ("tcp", "ipv6"),
            ("tls", "ipv4"),
            ("tls", "ipv6"),
        ]
    );
    let urls: Vec<bool> =
        checked["urls"].as_array().unwrap().iter().map(|url| url["url"].is_string()).collect();
    assert_eq!(urls, [true, true, true]);

    let text = check(directory.path(), ALL).done();
    for part in [
        "The configuration is good.",
        "a client is told 127.0.0.1:",
        "a client is told [::1]:",
        "turns:127.0.0.1:0?transport=tcp: nothing is named in `advertise`",
        "relay address 127.0.0.1 is loopback",
    ] {
        assert!(flat(&text).contains(part), "{part:?} is not in:\n{text}");
    }
    let mut left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["cert.pem", "key.pem", "turnbell.toml"]);
}

#[test] // R27
fn a_port_behind_a_load_balancer_is_tried_with_a_header() {
    let directory = tempfile::tempdir().unwrap();
    // A free port that is named twice.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = CONFIG.replace(
        "listen_tcp = []",
        &format!("listen_tcp = [\"{free}\"]\nproxy_protocol = [\"{free}\"]"),
    );
    let (checked, code) = json(directory.path(), &config);
    assert_eq!(code, Some(0), "{checked}");
    assert_eq!(checked["tried"][1]["listener"], free.to_string());
    assert!(checked["tried"][1]["relayed"].is_string(), "{checked}");
}

#[test]
fn a_port_of_another_program_is_a_problem_and_the_rest_is_tried_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (udp_at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    for (ours, theirs, what, key) in [
        ("listen = [\"127.0.0.1:0\"]\nlisten_tcp", udp_at, "UDP", "\"listen\""),
        ("listen_tcp = []", tcp_at, "TCP", "\"listen_tcp\""),
        ("http.listen = [\"127.0.0.1:0\"]", tcp_at, "TCP", "\"http.listen\""),
    ] {
        let taken = format!("[\"{theirs}\"]");
        let config = CONFIG
            .replace(ours, &ours.replace("[]", &taken).replace("127.0.0.1:0", &theirs.to_string()));
        assert_ne!(config, CONFIG);
        let said = check(directory.path(), &config);
        assert_eq!(said.code, Some(1), "{said:#?}");
        let sentence = said.err.strip_prefix("turnbell: ").unwrap();
        let start = format!("{what} port {} on 127.0.0.1 is taken by ", theirs.port());
        assert!(sentence.starts_with(&start) && sentence.contains(key), "{sentence}");
        assert!(said.out.contains("not all of it would work"), "{}", said.out);
        assert!(flat(&said.out).contains("What would not work: ! "), "{}", said.out);
        assert!(said.out.contains("a client is told 127.0.0.1:"), "{}", said.out);
        assert!(!said.out.contains("FAILS"), "{}", said.out);
    }
}

#[test] // R26
fn a_certificate_for_another_name_is_a_problem_that_names_both() {
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path(), "other.example.org");
    let config = format!("advertise = [\"turn.example.org\"]\n{ALL}")
        .replace("127.0.0.1:0\"]\ntls", "0.0.0.0:0\"]\ntls");
    let said = check(directory.path(), &config);
    assert_eq!(said.code, Some(1), "{said:#?}");
    let why = "the certificate covers other.example.org, but not turn.example.org";
    assert!(said.err.contains(why), "{}", said.err);
    assert!(flat(&said.out).contains(&format!("nothing over TLS: {why}")), "{}", said.out);
    // The handshake itself works, and so does what is not TLS.
    assert!(!said.out.contains("FAILS"), "{}", said.out);
    write_pair(directory.path(), "turn.example.org");
    let text = check(directory.path(), &config).done();
    assert!(text.contains("turns:turn.example.org:0?transport=tcp: `advertise` names"), "{text}");
}

#[test] // R19
fn a_private_address_without_its_public_side_is_warned_about_and_with_it_is_not() {
    in_own_network(|| {
        Network::here().ip("address add 10.0.0.5/24 dev lo");
        let directory = tempfile::tempdir().unwrap();
        let config = CONFIG
            .replace("relay_addresses = [\"127.0.0.1\"]", "")
            .replace("127.0.0.1:0", "0.0.0.0:0");
        let text = flat(&check(directory.path(), &config).done());
        let warning = "relay address 10.0.0.5 is private and no `external` is set";
        assert!(text.contains(warning) && text.contains("a client is told 10.0.0.5:"), "{text}");
        let named = format!("external = [\"9.1.1.1/10.0.0.5\"]\n{config}");
        let text = flat(&check(directory.path(), &named).done());
        assert!(!text.contains(warning) && text.contains("a client is told 9.1.1.1:"), "{text}");
        assert!(text.contains("9.1.1.1: `external` says so"), "{text}");
        assert!(text.contains("turn:9.1.1.1:0?transport=udp: `external` names"), "{text}");
    });
}

#[test]
fn a_public_address_is_asked_for_and_shown_with_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let server = StunServer::saying(Some("9.8.7.6"));
    let config = format!("external_stun = [\"{}\"]\ndiscover_nat64 = false\n{CONFIG}", server.at());
    let (checked, code) = json(directory.path(), &config);
    let relay = &checked["relay"][0];
    assert_eq!((code, &relay["told"]), (Some(0), &"9.8.7.6".into()));
    let source = format!("found by STUN from {} at ", server.at());
    assert!(relay["told_by"].as_str().unwrap().starts_with(&source), "{checked}");
    let relayed = checked["tried"][0]["relayed"].as_str().unwrap();
    assert!(relayed.starts_with("9.8.7.6:"), "{checked}");
    server.say(None);
    let text = flat(&check(directory.path(), &config).done());
    assert!(text.contains("the public address of 127.0.0.1 is not known yet"), "{text}");
}

#[test]
fn a_client_that_finds_no_way_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    // One port for the two that call each other.
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!("relay_ports = \"{free}-{free}\"\n{CONFIG}");
    let said = check(directory.path(), &config);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.err.contains("wants ipv4: Allocate is answered with 508"), "{}", said.err);
    assert!(said.out.contains("FAILS: Allocate is answered with 508"), "{}", said.out);
    assert!(flat(&said.out).contains("relay_ports has 1 ports"), "{}", said.out);
}
