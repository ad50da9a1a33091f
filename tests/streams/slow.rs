//! Clients that are slow, silent or too many: cut by time and bounds, never by memory.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use turnbell::limits::STREAMS_MAX;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually};
use crate::relaying::daemon;
use crate::stream_client::{StreamClient, binding, new_id};
use crate::tls_client;
use crate::turn_client::TurnClient;

/// Resident memory, KiB.
fn rss_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test] // security.md D8
fn a_client_that_does_not_read_loses_the_oldest_data_and_still_hears_its_answers() {
    let daemon = daemon();
    let client = StreamClient::connect(daemon.tcp());
    check_slow_reader(&daemon, client);
}

#[test] // security.md D8
fn a_client_that_does_not_read_its_tls_loses_whole_frames_and_the_connection_lives() {
    let daemon = tls_client::daemon();
    let client = tls_client::client(&daemon, daemon.tls(), &tls_client::TLS_1_3);
    check_slow_reader(&daemon, client);
}

fn check_slow_reader(daemon: &Daemon, mut client: StreamClient) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&client.socket).set_recv_buffer_size(4096).unwrap();
    let relayed = client.allocate(USER, PASSWORD).unwrap();
    client.bind_channel(0x4000, peer.local_addr().unwrap()).unwrap();
    let before = rss_kib(daemon);
    let bystander = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    bystander.permit(peer.local_addr().unwrap().ip()).unwrap();
    // 20 MB that nobody reads. A datagram of the bystander now and then paces them: what the relay
    // has not taken by then, it takes before it takes that.
    let mut datagram = [0x33; 1200];
    let sent = 16_000_u32;
    for number in 0..sent {
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        peer.send_to(&datagram, relayed).unwrap();
        if number % 32 == 0 {
            peer.send_to(b"go", bystander.relayed).unwrap();
            assert!(bystander.receive().is_some(), "others are served meanwhile");
        }
    }
    let grown = rss_kib(daemon).saturating_sub(before);
    assert!(grown < 3 * 1024, "{grown} KiB more for one slow client");
    // It begins to read: its request is answered, and what it finds is in order, with a gap.
    let (id, bytes) = client.request(turnbell::wire::message::Method::REFRESH, |writer| writer);
    client.send(&bytes);
    let mut numbers = Vec::new();
    loop {
        let message = client.next().expect("the connection lives");
        if message[0] == 0x40 {
            assert_eq!(message.len(), 4 + 1200, "frames are whole");
            numbers.push(u32::from_be_bytes(message[4..8].try_into().unwrap()));
        } else {
            assert_eq!((&message[..2], &message[8..20]), (&[1, 4][..], &id.0[..]));
            break;
        }
    }
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!((numbers.len() as u32) < sent / 2, "{} of {sent} came", numbers.len());
    // What comes from here on arrives.
    peer.send_to(b"fresh", relayed).unwrap();
    let found = std::iter::from_fn(|| client.next()).any(|message| &message[4..] == b"fresh");
    assert!(found);
}

#[test]
fn a_client_that_asks_and_never_reads_is_closed() {
    let daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    socket2::SockRef::from(&client.socket).set_recv_buffer_size(4096).unwrap();
    client.binding();
    let requests: Vec<u8> = (0..1000).flat_map(|_| binding(new_id())).collect();
    client.socket.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // More than every buffer between holds; at some point the server closes.
    let mut socket = client.socket.try_clone().unwrap();
    let closed = (0..1000).any(|_| std::io::Write::write_all(&mut socket, &requests).is_err());
    assert!(closed, "it goes on for ever");
    assert!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).is_ok());
}

#[test] // security.md D7
fn who_says_nothing_or_only_a_byte_is_cut_after_ten_seconds_and_keeps_nobody_out() {
    let daemon = Daemon::start(CONFIG);
    let start = Now::read().mono;
    let mut silent = StreamClient::connect(daemon.tcp());
    let mut slow: Vec<StreamClient> =
        (0..200).map(|_| StreamClient::connect(daemon.tcp())).collect();
    for client in &mut slow {
        client.send(&[0]);
    }
    let asked = Now::read().mono;
    let mut new = StreamClient::connect(daemon.tcp());
    assert_eq!(new.binding(), new.local());
    let waited = Now::read().mono.duration_since(asked);
    assert!(waited < Duration::from_secs(1), "a new client waited {waited:?}");
    silent.check_closed_in_silence();
    for client in &mut slow {
        client.check_closed_in_silence();
    }
    let lived = Now::read().mono.duration_since(start);
    assert!((9..15).contains(&lived.as_secs()), "cut after {lived:?}");
    // Who did say something is still there.
    assert_eq!(new.binding(), new.local());
}

#[test] // security.md D7
fn more_connections_than_may_be_on_their_way_cut_the_oldest() {
    let daemon = Daemon::start(CONFIG);
    let mut oldest = StreamClient::connect(daemon.tcp());
    let flood: Vec<_> = (0..2100).map(|_| crate::stream_client::connect(daemon.tcp())).collect();
    let asked = Now::read().mono;
    oldest.check_closed_in_silence();
    assert!(Now::read().mono.duration_since(asked) < Duration::from_secs(5), "it was not cut");
    let mut new = StreamClient::connect(daemon.tcp());
    assert_eq!(new.binding(), new.local());
    drop(flood);
}

#[test] // security.md D7
fn more_streams_than_may_be_end_the_oldest_that_has_no_allocation() {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, files, files).unwrap();
    // The bound is one of each thread.
    let daemon = Daemon::start(&format!("threads = 1\n{CONFIG}"));
    let mut with = StreamClient::connect(daemon.tcp());
    with.allocate(USER, PASSWORD).unwrap();
    let mut first = StreamClient::connect(daemon.tcp());
    first.binding();
    let mut flood: Vec<StreamClient> = Vec::new();
    for _ in 2..STREAMS_MAX {
        let mut client = StreamClient::connect(daemon.tcp());
        client.binding();
        flood.push(client);
    }
    // All fit.
    assert_eq!(first.binding(), first.local());
    let mut new = StreamClient::connect(daemon.tcp());
    assert_eq!(new.binding(), new.local());
    first.check_closed_in_silence();
    assert_eq!(with.binding(), with.local());
    let mut last = flood.pop().unwrap();
    assert_eq!(last.binding(), last.local());
}

#[test]
fn a_stream_without_allocation_is_closed_after_thirty_seconds_and_one_with_is_not() {
    let daemon = Daemon::start(CONFIG);
    let start = Now::read().mono;
    let mut with = StreamClient::connect(daemon.tcp());
    with.allocate(USER, PASSWORD).unwrap();
    let mut without = StreamClient::connect(daemon.tcp());
    without.binding();
    without.socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    without.check_closed_in_silence();
    let lived = Now::read().mono.duration_since(start);
    assert!((29..40).contains(&lived.as_secs()), "closed after {lived:?}");
    assert_eq!(with.binding(), with.local());
}

#[test]
fn the_daemon_stops_in_order_with_streams_open() {
    let mut daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    let waiting = crate::stream_client::connect(daemon.tcp());
    assert!(daemon.terminate().success());
    client.check_closed_in_silence();
    drop(waiting);
    let rows = eventually(|| {
        let rows = daemon.rows();
        rows[0].end_reason.is_some().then_some(rows)
    });
    assert_eq!(rows.unwrap()[0].end_reason.as_deref(), Some("shutdown"));
    assert!(!daemon.log().contains("did not end in order"), "{}", daemon.log());
}
