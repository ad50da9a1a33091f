//! How it ends: in order on a signal, at once on kill -9, and what the next start finds.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, Row, USER, record, refused, rows};
use crate::turn_client::{TurnClient, receive};

/// How long a stop may take; systemd would wait for longer.
const STOP_MAX: Duration = Duration::from_secs(5);

fn allocate(daemon: &Daemon) -> TurnClient {
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap()
}

fn config() -> String {
    format!("allow_private_peers = [\"127.0.0.1\"]\n{CONFIG}")
}

/// Sends `count` datagrams of 100 bytes to a peer and waits until all are there.
fn relay_some(client: &TurnClient, count: usize) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = peer.local_addr().unwrap();
    client.permit(at.ip()).unwrap();
    for _ in 0..count {
        client.send(at, &[b'x'; 100]);
        assert!(receive(&peer, Duration::from_secs(5)).is_some());
    }
}

fn end_reasons(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.end_reason.as_deref().unwrap_or("open")).collect()
}

#[test]
fn sigterm_and_sigint_write_the_end_of_every_allocation_and_exit_0_within_5_seconds() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = Daemon::start(&config());
        let clients: Vec<_> = (0..20).map(|_| allocate(&daemon)).collect();
        relay_some(&clients[0], 7);
        clients[1].release().unwrap();

        let told = Now::read().mono;
        daemon.signal(signal);
        let status = daemon.wait_for_end();
        let took = Now::read().mono - told;

        assert_eq!(status.code(), Some(0), "{signal}: {}", daemon.log());
        assert!(took < STOP_MAX, "{signal}: {took:?}");
        let rows = daemon.rows();
        assert_eq!(rows.len(), 20);
        assert_eq!(rows.iter().filter(|r| r.end_reason.as_deref() == Some("shutdown")).count(), 19);
        assert_eq!(rows[0].to_peers, (7, 700));
        assert_eq!(rows[1].end_reason.as_deref(), Some("client"));
        let run: (String, i64) = record(&daemon.state())
            .query_row("SELECT end_reason, rows_dropped FROM runs", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(run, ("shutdown".to_owned(), 0));
        assert!(!daemon.state().join("addresses.json").exists());
    }
}

#[test] // R8
fn after_kill_9_what_was_on_has_crashed_and_what_had_ended_keeps_its_end() {
    let mut daemon = Daemon::start(&config());
    let clients: Vec<_> = (0..5).map(|_| allocate(&daemon)).collect();
    relay_some(&clients[0], 3);
    clients[0].release().unwrap();
    daemon.wait_for_rows(|rows| end_reasons(rows) == ["client", "open", "open", "open", "open"]);
    daemon.kill();

    let again = Daemon::start_in(daemon.directory(), |_| {});
    let crashed = ["client", "crash", "crash", "crash", "crash"];
    let rows = again.wait_for_rows(|rows| end_reasons(rows) == crashed);
    assert_eq!(rows[0].to_peers, (3, 300));
    let integrity: String =
        record(&again.state()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    // It serves, and the new run's allocations are told apart from the crashed ones.
    relay_some(&allocate(&again), 1);
    again.wait_for_rows(|rows| rows.len() == 6 && rows[5].end_reason.is_none());
}

#[test]
fn a_start_forgets_where_a_crashed_run_listened_even_if_it_fails() {
    let mut daemon = Daemon::start(CONFIG);
    let addresses = daemon.state().join("addresses.json");
    daemon.kill();
    assert!(addresses.exists());
    let broken = CONFIG.replace("127.0.0.1:0", "192.0.2.1:0");
    std::fs::write(daemon.directory().path().join("turnbell.toml"), broken).unwrap();
    let (code, text) = refused(daemon.directory().path());
    assert_ne!(code, Some(0), "{text}");
    assert!(!addresses.exists());
}

#[test]
fn the_generated_secret_survives_a_restart_and_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let config = CONFIG.replace("auth.secrets", "#auth.secrets");
    let mut daemon = Daemon::start(&config);
    let (username, credential) = daemon.issue("alice");
    let file = daemon.state().join("secret");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&daemon.state()), 0o700);
    assert_eq!(mode(&daemon.state().join("turnbell.db")), 0o600);
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(!daemon.log().contains(secret.trim()), "the secret is in the log");
    daemon.terminate();

    let again = Daemon::start_in(daemon.directory(), |_| {});
    assert_eq!(std::fs::read_to_string(&file).unwrap(), secret);
    // A credential of the run before still opens.
    TurnClient::allocate(again.udp(), &username, &credential).unwrap();
}

#[test]
fn a_stop_ends_although_the_record_is_locked() {
    let mut daemon = Daemon::start(&config());
    let _client = allocate(&daemon);
    daemon.wait_for_rows(|rows| rows.len() == 1);
    let other = rusqlite::Connection::open(daemon.state().join("turnbell.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let told = Now::read().mono;
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.log());
    let took = Now::read().mono - told;
    assert!(took < 2 * STOP_MAX, "{took:?}");
    drop(other);
    assert_eq!(rows(&daemon.state()).len(), 1);
}
