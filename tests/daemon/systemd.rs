//! What a service manager hears: ready when everything answers, a pulse, the end.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER};
use crate::turn_client::{TurnClient, binding};

/// Plays systemd.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that has the line `word`.
    #[track_caller]
    fn wait_for(&self, word: &str) -> String {
        let mut heard = Vec::new();
        let deadline = Now::read().mono + PATIENCE;
        while Now::read().mono < deadline {
            let Some(message) = self.hear() else { break };
            if message.lines().any(|line| line == word) {
                return message;
            }
            heard.push(message);
        }
        panic!("no {word}, but {heard:?}");
    }

    fn hear_within(&self, patience: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(patience)).unwrap();
        self.hear()
    }

    fn hear(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let count = self.0.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }
}

fn directory() -> Arc<tempfile::TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    directory
}

#[test]
fn ready_comes_when_every_port_answers_and_stopping_when_it_is_told_to_end() {
    let directory = directory();
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let mut daemon = Daemon::launch(directory, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let message = manager.wait_for("READY=1");
    assert!(message.contains("STATUS="), "{message}");
    // No waiting from here on: what is not open is refused or times out on the first try.
    let file = std::fs::read_to_string(daemon.state().join("addresses.json"));
    assert!(file.is_ok(), "ready before the addresses are known");
    daemon.wait_until_open();
    for server in [daemon.udp(), daemon.udp6()] {
        let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = std::net::UdpSocket::bind(local).unwrap();
        assert_eq!(binding(&socket, server), socket.local_addr().unwrap());
    }
    assert_eq!(daemon.get("/healthz").0, 200);

    daemon.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test] // R22
fn the_watchdog_is_fed_several_times_per_timeout() {
    let directory = directory();
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let _daemon = Daemon::launch(directory, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
    });
    manager.wait_for("READY=1");
    let started = Now::read().mono;
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    let took = Now::read().mono - started;
    // One pulse per timeout would take 6 s at least.
    assert!(took < Duration::from_secs(6), "three pulses took {took:?}");
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end_also_where_it_fails() {
    let directory = directory();
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let daemon = Daemon::launch(Arc::clone(&directory), |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    manager.wait_for("READY=1");
    for config in [CONFIG, "nonsense = 1"] {
        std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
        daemon.signal(Signal::SIGHUP);
        let message = manager.wait_for("RELOADING=1");
        assert!(message.contains("MONOTONIC_USEC="), "systemd 253 wants it: {message}");
        manager.wait_for("READY=1");
    }
}

#[test]
fn how_far_a_drain_is_stands_in_the_status() {
    let directory = directory();
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let mut daemon = Daemon::start_in(directory, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    daemon.signal(Signal::SIGUSR1);
    manager.wait_for("STATUS=draining: 1 left, ends within 60 min");
    client.release().unwrap();
    manager.wait_for("STOPPING=1");
    assert_eq!(daemon.wait_for_end().code(), Some(0));
}

#[test]
fn a_refused_start_is_never_ready() {
    let directory = directory();
    let broken = CONFIG.replace("127.0.0.1:0", "192.0.2.1:0");
    std::fs::write(directory.path().join("turnbell.toml"), broken).unwrap();
    let path = directory.path().join("notify");
    let manager = Manager::at(&path);
    let mut daemon = Daemon::launch(directory, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert_ne!(daemon.wait_for_end().code(), Some(0));
    assert_eq!(manager.hear_within(Duration::from_millis(10)), None);
}
