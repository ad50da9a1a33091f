//! K8: the wall clock is set. Lifetimes run on the monotonic clock, credentials follow the wall clock
//! with 30 s of skew. Made with Debian's `faketime`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;
use turnbell::limits::CREDENTIAL_SKEW_S;
use turnbell::time::Now;

use crate::daemon::{Daemon, SECRET, eventually};
use crate::flow::{Flow, config, lasting, pass};
use crate::turn_client::TurnClient;

const HOUR_S: i64 = 3600;
const TEN_YEARS_S: i64 = 10 * 365 * 24 * HOUR_S;
/// Seconds that a reading may be off: half a second lost to rounding, a second to the cache of
/// `faketime`, and a slow machine.
const SLACK_S: i64 = 10;

/// A daemon whose clocks are what `file` in its directory says.
pub(crate) fn daemon_with_clock(text: &str, set: &[(&str, &str)]) -> Daemon {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::write(directory.path().join("turnbell.toml"), config("")).unwrap();
    set_clock(directory.path(), text);
    let output = Command::new("faketime")
        .args(["-m", "-f", "+0s", "sh", "-c", "printf %s \"$LD_PRELOAD\""])
        .output()
        .expect("`faketime` is in Debian's faketime");
    let library = String::from_utf8(output.stdout).unwrap();
    assert!(library.contains("libfaketime"), "{library:?}");
    let file = directory.path().join("clock");
    Daemon::start_in(directory, |command| {
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_CACHE_DURATION", "1").envs(set.iter().copied());
    })
}

fn set_clock(directory: &Path, text: &str) {
    let (part, file) = (directory.join("clock.part"), directory.join("clock"));
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, file).unwrap();
}

/// What the daemon's wall clock reads, Unix seconds, by what `/ice` says.
fn unix_s(daemon: &Daemon) -> i64 {
    let (status, ice) = daemon.get("/ice?ttl=60");
    assert_eq!(status, 200, "{ice}");
    ice["expires_at"].as_i64().unwrap() - 60
}

/// Allocates with a credential that ends at `expires_at`.
fn allocates(daemon: &Daemon, expires_at: i64) -> Result<(), u16> {
    let issued = issue(&Secret::new(SECRET.into()), &User::parse("eve").unwrap(), expires_at);
    let password = issued.credential.expose();
    TurnClient::allocate(daemon.udp(), &issued.username, password)?.release()
}

/// Sets the clock and checks that it is set, for credentials too.
#[track_caller]
fn step(daemon: &Daemon, offset_s: i64) {
    set_clock(daemon.directory().path(), &format!("{offset_s:+}s"));
    let is_set = || {
        let off = unix_s(daemon) - Now::read().unix_s();
        ((off - offset_s).abs() <= SLACK_S).then_some(())
    };
    assert!(eventually(is_set).is_some(), "the clock of the daemon is not {offset_s} s off");
    let now_s = Now::read().unix_s() + offset_s;
    assert_eq!(allocates(daemon, now_s - CREDENTIAL_SKEW_S + SLACK_S), Ok(()), "{offset_s}");
    assert_eq!(allocates(daemon, now_s - CREDENTIAL_SKEW_S - SLACK_S), Err(401), "{offset_s}");
}

#[test] // K8
fn a_clock_that_jumps_costs_no_packet_and_no_allocation_and_credentials_follow_it() {
    let daemon = daemon_with_clock("+0s", &[("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    // A credential that is over during some of the steps: what lives goes on.
    let (username, password) = daemon.issue("bob");
    let flow = Flow::start_as(&daemon, (&username, &password));
    for offset_s in [HOUR_S, -HOUR_S, TEN_YEARS_S] {
        flow.check_unharmed(&format!("clock {offset_s:+} s"), || {
            step(&daemon, offset_s);
            pass(lasting(Duration::from_millis(500)));
        });
        flow.check_alive();
    }
    let end = lasting(Duration::from_secs(3));
    flow.check_unharmed("clock that is set again and again", || {
        let end = Now::read().mono + end;
        while Now::read().mono < end {
            for offset_s in [2, -2, 0] {
                set_clock(daemon.directory().path(), &format!("{offset_s:+}s"));
                pass(Duration::from_millis(400));
            }
        }
        step(&daemon, 0);
    });
    let live = daemon.get("/healthz").1["relay"]["allocations"].as_u64();
    assert_eq!(live, Some(flow.relayed.len() as u64));
    assert!(daemon.record_health().0, "{:?}", daemon.record_health());
}
