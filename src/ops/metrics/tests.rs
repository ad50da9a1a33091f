//! Both formats, and coturn's names in both.

use std::path::PathBuf;

use super::*;
use crate::turn::counters::Counters;
use crate::turn::fact::{Traffic, Transport};

fn reading() -> Reading {
    let mut counters = Counters::default();
    counters.discard(Discard::NoPermission);
    counters.allocations = 3;
    Reading {
        version: "1.2.3",
        shards: (1, 1),
        draining: false,
        short_of_memory: false,
        near: [2, 0, 1],
        issuers: vec![IssuerKeys {
            issuer: "https://id.example".to_owned(),
            keys: 2,
            is_well: false,
        }],
        verified: vec![Verified { vantage: "browser", severity: 2, at_unix_s: 17 }],
        relay: Some(Statistics {
            counters,
            live: [(Transport::Udp, 2), (Transport::Tcp, 1), (Transport::Tls, 0)],
            traffic: Traffic { bytes_to_peers: 1 << 53, ..Traffic::default() },
        }),
        ports: Ports { free: 97, resting: 0, used: 3 },
        record: StoreHealth {
            state: StoreState::Ok,
            accepted: 5,
            stored: 4,
            dropped: 1,
            queued: 0,
            auth_failures_suppressed: 0,
            sqlite_version: "3",
            file_bytes: 4096,
            path: PathBuf::from("x"),
        },
        process: Process { cpu_s: 1.5, max_fds: 1024, ..Process::default() },
        certificate: Some((1_900_000_000, true)),
        allocations_max: 90,
        drops: SocketDrops { listeners: 5, ..SocketDrops::default() },
        disk_free_bytes: Some(1 << 30),
        calls: CallCounts::default(),
        coturn_realm: None,
    }
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line:?} is not in:\n{text}");
}

#[test]
fn both_formats_hold_the_same_samples() {
    let (open, plain) = (open_metrics(reading()), plain(reading()));
    for line in [
        "turnbell_build_info{version=\"1.2.3\"} 1",
        "turnbell_quotas_near{quota=\"user_allocations\"} 2",
        "turnbell_issuer_keys{issuer=\"https://id.example\"} 2",
        "turnbell_issuer_keys_ok{issuer=\"https://id.example\"} 0",
        "turnbell_verification_severity{vantage=\"browser\"} 2",
        "turnbell_verification_timestamp_seconds{vantage=\"browser\"} 17",
        "turnbell_allocations{transport=\"udp\"} 2",
        "turnbell_allocations_opened_total 3",
        "turnbell_relayed_bytes_total{to=\"peer\"} 9007199254740992",
        "turnbell_datagrams_discarded_total{reason=\"no_permission\"} 1",
        "turnbell_error_responses_total{code=\"401\"} 0",
        "turnbell_record_entries_total{outcome=\"dropped\"} 1",
        "process_cpu_seconds_total 1.5",
        "process_max_fds 1024",
    ] {
        has(&open, line);
        has(&plain, line);
    }
    let samples = |text: &str| {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(samples(&open), samples(&plain));
    has(&open, "# TYPE turnbell_relayed_bytes counter");
    assert!(open.ends_with("# EOF\n"));
    has(&plain, "# TYPE turnbell_relayed_bytes_total counter");
    has(&plain, "# TYPE turnbell_allocations gauge");
    assert!(!plain.contains("# EOF"));
}

#[test]
fn a_relay_that_does_not_answer_leaves_the_rest_to_be_read() {
    let silent = open_metrics(Reading { relay: None, ..reading() });
    assert!(!silent.contains("turnbell_allocations{"));
    has(&silent, "turnbell_relay_ports{state=\"used\"} 3");
    assert!(silent.ends_with("# EOF\n"));
}

#[test]
fn coturns_names_come_with_their_samples_if_they_are_asked_for() {
    let with = Reading { coturn_realm: Some("a\"b".into()), ..reading() };
    let (open, text) = (open_metrics(with.clone()), plain(with));
    for line in [
        "stun_binding_request 0",
        "turn_traffic_peer_sentb{realm=\"a\\\"b\"} 9007199254740992",
        "turn_total_traffic_rcvb 9007199254740992",
        "turn_total_allocations{type=\"UDP\"} 2",
        "turn_total_allocations{type=\"TLS/TCP\"} 0",
        "turn_packet_dropped 1",
    ] {
        has(&open, line);
        has(&text, line);
    }
    has(&text, "# TYPE turn_total_traffic_rcvb counter");
    has(&open, "# TYPE turn_total_traffic_rcvb unknown");
    assert_eq!((open.matches("# EOF").count(), open.ends_with("# EOF\n")), (1, true));
    assert!(!plain(reading()).contains("stun_binding_request"));
}

#[test]
fn a_server_without_a_certificate_has_no_line_about_one() {
    has(&plain(reading()), "turnbell_certificate_expires_seconds 1900000000.0");
    has(&plain(reading()), "turnbell_certificate_ok 1");
    let without = plain(Reading { certificate: None, ..reading() });
    assert!(!without.contains("turnbell_certificate"));
    has(&without, "turnbell_socket_drops_total{of=\"listeners\"} 5");
    has(&without, "turnbell_calls_ended_total{reason=\"ice_failed\"} 0");
}
