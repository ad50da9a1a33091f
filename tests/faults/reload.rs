//! K12: a SIGHUP every 100 ms, with good and with broken configs.

use std::time::Duration;

use nix::sys::signal::Signal;
use turnbell::time::Now;

use crate::daemon::{Daemon, PASSWORD, USER, eventually};
use crate::flow::{Flow, config, lasting, pass};
use crate::turn_client::TurnClient;

const EVERY: Duration = Duration::from_millis(100);

/// Written whole, so that no reload ever sees half of it.
fn write(daemon: &Daemon, text: &str) {
    let directory = daemon.directory();
    let (part, file) = (directory.path().join("part"), directory.path().join("turnbell.toml"));
    std::fs::write(&part, text).unwrap();
    std::fs::rename(&part, &file).unwrap();
}

/// Ends every call of the flow where a part of it takes effect; each is wrong in its own way.
fn broken(round: usize) -> String {
    let deadly = "deny_peers = [\"127.0.0.2\"]";
    match round % 4 {
        0 => config(&format!("{deadly}\nrelam = \"x\"")),
        1 => config(&format!("{deadly}\nadvertise = [\"http://x\"]")),
        2 => config(deadly).replace("[\"127.0.0.1\", \"::1\"]", "[\"198.51.100.77\"]"),
        _ => format!("{}\nhttp = [", config(deadly)),
    }
}

#[test] // K12
fn a_hangup_every_100_ms_costs_no_packet_and_of_a_broken_config_nothing_takes_effect() {
    let daemon = Daemon::start(&config(""));
    let flow = Flow::start(&daemon);
    let count = |log: &str, word: &str| log.matches(word).count();
    let (mut hangups, mut rounds) = (0, 0);
    flow.check_unharmed("hangups", || {
        let end = Now::read().mono + lasting(Duration::from_secs(4));
        while Now::read().mono < end {
            let other = if rounds % 4 == 0 { "[]" } else { "[\"127.0.0.9\"]" };
            let good = config(&format!("deny_peers = {other}"));
            write(&daemon, &if rounds % 2 == 0 { good } else { broken(rounds / 2) });
            daemon.signal(Signal::SIGHUP);
            (hangups, rounds) = (hangups + 1, rounds + 1);
            pass(EVERY);
        }
    });
    // Several hangups may be one reload, but the last one always counts.
    write(&daemon, &config("").replace("alice:wonderland-17", "carol:correct-horse-9"));
    daemon.signal(Signal::SIGHUP);
    let carol = || TurnClient::allocate(daemon.udp(), "carol", "correct-horse-9").ok();
    assert!(eventually(carol).is_some(), "the last config takes effect");
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap_err(), 401);
    let log = daemon.log();
    let (good, bad) = (count(&log, " reloaded file="), count(&log, "not reloaded:"));
    println!("{hangups} hangups, {good} reloads, {bad} refusals");
    assert!(good > 5 && bad > 5, "{good} reloads, {bad} refusals of {hangups}");
    assert!(!log.contains("127.0.0.2/32"), "a part of a broken config took effect");
}
