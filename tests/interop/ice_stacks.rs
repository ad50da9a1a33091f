//! ICE agents of other stacks, relayed only: aioice (PyPI) and libnice (Debian package libnice10).
//!
//! A small program makes both agents of a call and checks that what one sends the other hears.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::tls_client::{TLS, directory};

/// Lengths of what is sent, each way: all remainders that a stream pads, and long ones.
const LENGTHS: [u32; 6] = [1, 2, 3, 4, 1200, 1400];
/// Its steps give up after less; a run that works takes 1 s.
const RUN_S_MAX: &str = "90";

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// A daemon that speaks TLS, too, and relays clients in their own family.
fn daemon() -> Daemon {
    let config = format!("default_relay_family = \"client\"\n{TLS}{CONFIG}");
    // Its own relayed addresses are reached without being allowed.
    let config = config.replace("allow_private_peers", "#allow_private_peers");
    Daemon::start_in(directory(&config), |_| {})
}

/// Runs `program` of this directory, and checks the record of its two allocations.
#[track_caller]
fn check_call(python: &Path, program: &str, daemon: &Daemon, server: SocketAddr, over: &str) {
    let earlier = daemon.rows().len();
    let lengths = LENGTHS.map(|length| length.to_string());
    let output = Command::new("timeout")
        .args([RUN_S_MAX.as_ref(), python.as_os_str()])
        .arg(here().join(program))
        .args([&server.ip().to_string(), &server.port().to_string(), over, USER, PASSWORD])
        .args(&lengths)
        // What aioice trusts besides nothing.
        .env("SSL_CERT_FILE", daemon.directory().path().join("cert.pem"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {server} {over}: {text}");

    let sent: i64 = LENGTHS.iter().copied().map(i64::from).sum();
    let rows = daemon.wait_for_rows(|rows| {
        rows.len() == earlier + 2 && rows.iter().all(|row| row.end_reason.is_some())
    });
    let (_, new) = rows.split_at(earlier);
    for row in new {
        assert_eq!(row.end_reason.as_deref(), Some("client"), "{rows:#?}");
        // The agents' own checks come on top.
        assert!(row.to_peers.1 > sent && row.to_client.1 > sent, "{rows:#?}");
        let relayed: SocketAddr = row.relayed.parse().unwrap();
        assert_eq!(relayed.is_ipv6(), server.is_ipv6(), "{rows:#?}");
    }
    let (_, listed, _) = daemon.command(&["sessions", "--all", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed["sessions"].as_array().unwrap();
    for row in new {
        let session = listed.iter().find(|session| session["client"] == row.client.as_str());
        assert_eq!(session.expect("it is listed")["transport"], over, "{listed:#?}");
    }
}

#[test]
fn two_agents_of_aioice_talk_over_udp_tcp_and_tls_on_both_families() {
    let python = here().join("venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing; scripts/test makes it: /usr/bin/python3 -m venv tests/interop/venv && \
         tests/interop/venv/bin/pip install --require-hashes -r tests/interop/requirements.txt",
        python.display(),
    );
    let daemon = daemon();
    for (over, servers) in [
        ("udp", [daemon.udp(), daemon.udp6()]),
        ("tcp", [daemon.tcp(), daemon.tcp6()]),
        ("tls", [daemon.tls(), daemon.tls6()]),
    ] {
        for server in servers {
            check_call(&python, "aioice_call.py", &daemon, server, over);
        }
    }
}

#[test] // Its relays over TLS are not TLS.
fn two_agents_of_libnice_talk_over_udp_and_tcp_on_both_families() {
    let daemon = daemon();
    for (over, servers) in
        [("udp", [daemon.udp(), daemon.udp6()]), ("tcp", [daemon.tcp(), daemon.tcp6()])]
    {
        for server in servers {
            check_call("/usr/bin/python3".as_ref(), "libnice_call.py", &daemon, server, over);
        }
    }
}
