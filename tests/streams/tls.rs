//! TURN over TLS: both versions, ALPN, broken and slow handshakes, certificates that come and go.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rcgen::date_time_ymd;
use serde_json::Value;
use tempfile::TempDir;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually, refused};
use crate::relaying::check_both_ways;
use crate::stream_client::{binding, channel_data, connect, new_id};
use crate::tls_client::{TLS, TLS_1_2, TLS_1_3, client, daemon, directory, handshake, write_pair};
use crate::turn_client::{TurnClient, receive};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn data_goes_both_ways_over_tls_1_3_and_1_2_on_both_families() {
    let daemon = daemon();
    check_both_ways(daemon.tls(), client(&daemon, daemon.tls(), &TLS_1_3));
    check_both_ways(daemon.tls6(), client(&daemon, daemon.tls6(), &TLS_1_2));
}

#[test] // RFC 7443
fn the_application_protocol_may_be_turn_or_none_but_nothing_else() {
    let daemon = daemon();
    let directory = daemon.directory();
    for offer in [&["stun.turn"][..], &["h2", "stun.nat-discovery"], &[]] {
        let mut client = client(&daemon, daemon.tls(), &TLS_1_3.offering(offer));
        assert_eq!(client.binding(), client.local(), "{offer:?}");
    }
    for offer in ["h2", "http/1.1"] {
        let offered = TLS_1_3.offering(&[offer]);
        assert!(handshake(directory.path(), daemon.tls(), &offered).is_err(), "{offer}");
    }
}

#[test]
fn a_request_in_tls_records_of_one_byte_is_a_request() {
    let daemon = daemon();
    let mut client = client(&daemon, daemon.tls(), &TLS_1_3);
    let id = new_id();
    for byte in binding(id) {
        client.send(&[byte]);
    }
    assert_eq!(client.next().unwrap()[8..20], id.0);
    client.allocate(USER, PASSWORD).unwrap();
    let (id, bytes) = client.request(turnbell::wire::message::Method::REFRESH, |writer| writer);
    for byte in bytes {
        client.send(&[byte]);
    }
    assert_eq!(client.answer(id)[..2], [1, 4]);
}

#[test]
fn many_frames_at_once_go_both_ways_over_tls() {
    let daemon = daemon();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut client = client(&daemon, daemon.tls(), &TLS_1_3);
    let relayed = client.allocate(USER, PASSWORD).unwrap();
    client.bind_channel(0x4000, peer.local_addr().unwrap()).unwrap();
    // Three records and more.
    let frames: Vec<Vec<u8>> = (0..60_u8).map(|n| vec![n; 1000 + usize::from(n)]).collect();
    client.send(&frames.iter().flat_map(|data| channel_data(0x4000, data)).collect::<Vec<_>>());
    for data in &frames {
        assert_eq!(receive(&peer, PATIENCE).unwrap().1, *data);
    }
    for data in &frames {
        peer.send_to(data, relayed).unwrap();
    }
    for data in &frames {
        assert_eq!(client.next().unwrap()[4..], data[..]);
    }
}

#[test]
fn what_is_no_client_hello_is_closed_and_leaves_tls_to_others() {
    let daemon = daemon();
    for bytes in [&binding(new_id())[..], b"GET / HTTP/1.1\r\n\r\n", &[0xC3; 200], &[0x16; 200]] {
        let mut socket = connect(daemon.tls());
        socket.write_all(bytes).unwrap();
        // An alert at the most, then the end.
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() < 20 && answer.first().is_none_or(|kind| *kind == 0x15), "{answer:?}");
    }
    let mut client = client(&daemon, daemon.tls(), &TLS_1_3);
    assert_eq!(client.binding(), client.local());
}

#[test]
fn what_breaks_tls_later_ends_the_allocation() {
    let daemon = daemon();
    let mut client = client(&daemon, daemon.tls(), &TLS_1_3);
    client.allocate(USER, PASSWORD).unwrap();
    // A record that nobody encrypted.
    client.socket.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    client.socket.write_all(&[7; 32]).unwrap();
    let rows = daemon.wait_for_rows(|rows| rows.iter().any(|row| row.end_reason.is_some()));
    assert_eq!(rows[0].end_reason.as_deref(), Some("disconnected"));
}

#[test]
fn a_goodbye_is_answered_by_one() {
    let daemon = daemon();
    let mut tls = handshake(daemon.directory().path(), daemon.tls(), &TLS_1_3).unwrap();
    tls.write_all(&binding(new_id())).unwrap();
    let mut answer = [0; 32];
    tls.read_exact(&mut answer).unwrap();
    tls.conn.send_close_notify();
    tls.conn.complete_io(&mut tls.sock).unwrap();
    // Without the server's own close_notify this would be an unexpected end.
    assert_eq!(tls.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test] // security.md D7
fn slow_and_silent_handshakes_are_cut_and_keep_nobody_out() {
    let daemon = daemon();
    let start = Now::read().mono;
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3];
    let mut slow: Vec<_> = (0..100).map(|_| connect(daemon.tls())).collect();
    for (at, socket) in slow.iter_mut().enumerate() {
        socket.write_all(&hello[..at % 12]).unwrap();
    }
    // One that shook hands and says nothing then.
    let mut silent = client(&daemon, daemon.tls(), &TLS_1_3);
    let asked = Now::read().mono;
    let mut new = client(&daemon, daemon.tls(), &TLS_1_3);
    assert_eq!(new.binding(), new.local());
    let waited = Now::read().mono.duration_since(asked);
    assert!(waited < Duration::from_secs(1), "a new client waited {waited:?}");
    for mut socket in slow {
        let _ = socket.read_to_end(&mut Vec::new());
    }
    silent.check_closed_in_silence();
    let lived = Now::read().mono.duration_since(start);
    assert!((9..16).contains(&lived.as_secs()), "cut after {lived:?}");
}

#[test] // R15
fn five_hundred_handshakes_at_once_do_not_hold_up_relayed_udp() {
    let daemon = daemon();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    udp.permit(peer.local_addr().unwrap().ip()).unwrap();
    let directory = daemon.directory();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        handshake(directory.path(), daemon.tls(), &TLS_1_3).unwrap();
                    }
                })
            })
            .collect();
        let relayed = scope.spawn(|| {
            let mut waits = Vec::new();
            while !is_over.load(Ordering::Relaxed) || waits.is_empty() {
                let sent = Now::read().mono;
                peer.send_to(b"tick", udp.relayed).unwrap();
                let Some((_, data)) = udp.receive() else { panic!("a datagram was lost") };
                assert_eq!(data, b"tick");
                waits.push(Now::read().mono.duration_since(sent));
            }
            waits
        });
        for hand in hands {
            hand.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        let mut waits = relayed.join().unwrap();
        waits.sort_unstable();
        let p99 = waits[waits.len() * 99 / 100];
        // Clients and daemon share this machine's few cores; the bound for one alone is 5 ms.
        assert!(p99 < Duration::from_millis(100), "p99 {p99:?} of {}", waits.len());
    });
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart_and_nobody_notices() {
    let daemon = daemon();
    let home = daemon.directory();
    let mut old = client(&daemon, daemon.tls(), &TLS_1_3);
    old.allocate(USER, PASSWORD).unwrap();
    let [before, next] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let copy = |from: &TempDir, to: &TempDir, name: &str| {
        std::fs::copy(from.path().join(name), to.path().join(name)).unwrap();
    };
    copy(&home, &before, "cert.pem");
    write_pair(next.path(), &["localhost", "127.0.0.1", "::1"], |_| {});
    let (is_over, at) = (AtomicBool::new(false), daemon.tls());
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut served = 0;
            while !is_over.load(Ordering::Relaxed) {
                let is_served = [&before, &next]
                    .iter()
                    .any(|trusted| handshake(trusted.path(), at, &TLS_1_3).is_ok());
                assert!(is_served, "a handshake failed with both certificates");
                served += 1;
            }
            served
        });
        // Half of a renewal: the pair does not fit.
        copy(&next, &home, "key.pem");
        daemon.wait_for_log("the old one stays");
        let (_, health) = daemon.get("/healthz");
        assert_eq!(health["tls"]["ok"], Value::Bool(false), "{health}");
        assert!(health["tls"]["problem"].as_str().unwrap().contains("does not belong"), "{health}");
        assert!(handshake(before.path(), at, &TLS_1_2).is_ok());
        // The other half.
        copy(&next, &home, "cert.pem");
        daemon.wait_for_log("new certificate");
        let is_new = || handshake(next.path(), at, &TLS_1_2).ok();
        assert!(eventually(is_new).is_some());
        assert!(handshake(before.path(), at, &TLS_1_2).is_err());
        is_over.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0);
    });
    assert_eq!(old.binding(), old.local(), "a stream from before lives on");
}

#[test]
fn a_certificate_that_cannot_be_served_refuses_to_start_with_a_sentence() {
    let config = format!("{TLS}{CONFIG}");
    for (break_it, words) in [
        (
            (|home| std::fs::remove_file(home.join("cert.pem"))) as fn(&std::path::Path) -> _,
            ["tls.cert", "cert.pem cannot be read", "whole path"],
        ),
        (
            |home| std::fs::write(home.join("key.pem"), "x"),
            ["tls.key", "key.pem", "no private key"],
        ),
        (
            |home| {
                let other = tempfile::tempdir().unwrap();
                write_pair(other.path(), &["localhost"], |_| {});
                std::fs::copy(other.path().join("key.pem"), home.join("key.pem")).map(drop)
            },
            ["tls.key", "does not belong to the certificate", "cert.pem"],
        ),
    ] {
        let home = directory(&config);
        break_it(home.path()).unwrap();
        let (code, text) = refused(home.path());
        assert_eq!(code, Some(1), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
    }
}

/// The `turns:` URLs of `/ice`.
fn turns_urls(daemon: &Daemon) -> Vec<String> {
    let (_, config) = daemon.get("/ice");
    let servers = config["iceServers"].as_array().unwrap();
    let urls = servers.iter().flat_map(|server| server["urls"].as_array().unwrap());
    let urls = urls.map(|url| url.as_str().unwrap().to_owned());
    urls.filter(|url| url.starts_with("turns:")).collect()
}

#[test] // R26
fn ice_names_turns_only_where_the_certificate_covers_the_advertised_name() {
    let everywhere = format!("{TLS}{CONFIG}")
        .replace("listen_tls = [\"127.0.0.1:0\"", "listen_tls = [\"0.0.0.0:0\"");
    let covered = directory(&format!("advertise = [\"localhost\"]\n{everywhere}"));
    let daemon = Daemon::start_in(covered, |_| {});
    let port = daemon.tls().port();
    assert_eq!(turns_urls(&daemon), [format!("turns:localhost:{port}?transport=tcp")]);
    assert_eq!(daemon.get("/healthz").1["tls"]["ok"], Value::Bool(true));
    drop(daemon);

    let foreign = directory(&format!("advertise = [\"turn.example.org\"]\n{everywhere}"));
    let daemon = Daemon::start_in(foreign, |_| {});
    assert_eq!(turns_urls(&daemon), [""; 0]);
    let sentence = "covers localhost, 127.0.0.1, ::1, but not turn.example.org";
    daemon.wait_for_log("no turns: URL");
    let (_, health) = daemon.get("/healthz");
    assert_eq!(health["ok"], Value::Bool(true), "it does not decide: {health}");
    assert!(health["tls"]["problem"].as_str().unwrap().contains(sentence), "{health}");
}

#[test]
fn an_expired_certificate_is_said_and_not_advertised_and_udp_goes_on() {
    let home = directory(&format!("{TLS}{CONFIG}"));
    write_pair(home.path(), &["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let daemon = Daemon::start_in(home, |_| {});
    daemon.wait_for_log("the certificate expired");
    assert_eq!(turns_urls(&daemon), [""; 0]);
    let (_, health) = daemon.get("/healthz");
    assert!(health["tls"]["problem"].as_str().unwrap().contains("expired"), "{health}");
    assert!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).is_ok());
}
