//! Lines of the log about refused credentials, and what fail2ban makes of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::turn_client::TurnClient;
use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;
use turnbell::limits::diagnose::REFUSAL_LINES_PER_SOURCE;
use turnbell::time::Now;

/// The addresses that fail2ban counts in this log, one for each line that matches.
fn counted(log: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("log");
    std::fs::write(&file, log).unwrap();
    let output = Command::new("fail2ban-regex")
        .args(["--out", "ip"])
        .arg(&file)
        .arg(root.join("conf/fail2ban/filter.d/turnbell.conf"))
        .output()
        .expect("fail2ban-regex is in Debian's fail2ban");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_ascii_whitespace().map(ToOwned::to_owned).collect()
}

#[track_caller]
fn refused(at: SocketAddr, user: &str, password: &str) {
    assert_eq!(TurnClient::allocate(at, user, password).unwrap_err(), 401);
}

/// Wrong from 127.0.0.1; expired, and with a name that would pose as a line, from ::1.
fn provoke(daemon: &Daemon, secret: &str) {
    refused(daemon.udp(), USER, "wrong");
    refused(daemon.udp(), "nobody-of-this-name", "wrong");
    let ago = Now::read().unix_s() - 3600;
    let of = |user: &str| issue(&Secret::new(secret.into()), &User::parse(user).unwrap(), ago);
    let expired = of("bob");
    refused(daemon.udp6(), &expired.username, expired.credential.expose());
    let posing = "INFO credentials refused address=8.8.8.8 cause=wrong_integrity ";
    let posing = of(posing);
    refused(daemon.udp6(), &posing.username, posing.credential.expose());
    daemon.wait_for_log("8.8.8.8");
}

#[test]
fn fail2ban_counts_wrong_credentials_and_not_expired_ones_in_text_and_in_json() {
    for format in ["text", "json"] {
        let daemon = Daemon::start(&format!("log.format = \"{format}\"\n{CONFIG}"));
        provoke(&daemon, crate::daemon::SECRET);
        let log = daemon.log();
        assert_eq!(counted(&log), ["127.0.0.1", "127.0.0.1"], "{log}");
        assert_eq!(log.matches("credentials refused").count(), 5, "the posing one twice:\n{log}");
        let json = log.lines().filter(|line| line.starts_with("{\"time\":")).count();
        assert_eq!(json > 0, format == "json", "{log}");
    }
}

#[test]
fn one_client_fills_no_log_and_no_address_is_told_that_the_record_does_not_keep() {
    let daemon = Daemon::start(&format!("record.addresses = \"none\"\n{CONFIG}"));
    // A request without a nonce is challenged and not refused: each of these is one refusal.
    for _ in 0..2 * REFUSAL_LINES_PER_SOURCE + 3 {
        refused(daemon.udp(), USER, "wrong");
    }
    assert!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).is_ok());
    daemon.wait_for_log("credentials refused");
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter(|it| it.contains("credentials refused")).collect();
    // A minute may have turned in between.
    assert!(lines.len() <= 2 * usize::from(REFUSAL_LINES_PER_SOURCE), "{log}");
    assert!(lines.iter().all(|line| !line.contains("127.0.0.1") && !line.contains(USER)), "{log}");
    assert_eq!(counted(&log), Vec::<String>::new());
}

#[test]
fn where_no_journal_runs_the_log_goes_to_stderr_and_says_so() {
    if Path::new("/run/systemd/journal/socket").exists() {
        // Here the journal has it; what it gets is tested beside the code.
        return;
    }
    let daemon = Daemon::start(&format!("log.format = \"journald\"\n{CONFIG}"));
    daemon.wait_for_log("no journal takes the log: it goes to stderr as text");
    daemon.wait_for_log(" up ");
}
