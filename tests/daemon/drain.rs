//! Drain: out of service without cutting a call.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::turn_client::{TurnClient, receive};

fn config(lines: &str) -> String {
    format!("{lines}\nallow_private_peers = [\"127.0.0.0/8\"]\n{CONFIG}")
}

fn allocate(daemon: &Daemon) -> Result<TurnClient, u16> {
    TurnClient::allocate(daemon.udp(), USER, PASSWORD)
}

#[track_caller]
fn say(daemon: &Daemon, arguments: &[&str]) -> String {
    let (code, text, error) = daemon.command(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}{error}");
    text
}

#[test] // R25
fn a_draining_daemon_refuses_the_new_serves_the_live_and_ends_with_the_last() {
    let mut daemon = Daemon::start(&config(""));
    assert_eq!(daemon.get("/readyz"), (200, json!({"ready": true})));
    let client = allocate(&daemon).unwrap();
    let text = say(&daemon, &["drain", "--limit", "10m"]);
    assert_eq!(
        text,
        "Draining: 1 allocation is left; the daemon ends with the last of them, within 10 min at the \
         latest.\n"
    );
    assert_eq!(allocate(&daemon).unwrap_err(), 508);
    let (status, error) = daemon.get("/ice");
    assert_eq!((status, &error["error"]["code"]), (503, &Value::from("draining")));
    let (status, health) = daemon.get("/healthz");
    assert_eq!((status, &health["ok"], &health["draining"]), (200, &json!(true), &json!(true)));
    assert_eq!(daemon.get("/readyz"), (503, json!({"ready": false, "why": "draining"})));
    assert!(say(&daemon, &["status"]).contains("draining"));

    let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
    let at = peer.local_addr().unwrap();
    client.permit(at.ip()).unwrap();
    client.bind_channel(0x4000, at).unwrap();
    client.send(at, b"on");
    assert!(receive(&peer, Duration::from_secs(5)).is_some());

    client.release().unwrap();
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
    assert!(daemon.log().contains("drained: nothing is relayed any more"));
    let rows = daemon.rows();
    assert_eq!(rows[0].end_reason.as_deref(), Some("client"));
}

#[test]
fn after_the_limit_it_ends_in_order_whatever_is_on() {
    let mut daemon = Daemon::start(&config(""));
    let _client = allocate(&daemon).unwrap();
    say(&daemon, &["drain"]);
    let told = Now::read().mono;
    say(&daemon, &["drain", "--limit", "1s"]);
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
    assert!(Now::read().mono - told >= Duration::from_secs(1));
    assert_eq!(daemon.rows()[0].end_reason.as_deref(), Some("shutdown"));
}

#[test]
fn sigusr1_drains_and_an_idle_daemon_ends_at_once_while_sigterm_ends_a_drain() {
    let mut idle = Daemon::start(&config(""));
    idle.signal(Signal::SIGUSR1);
    assert_eq!(idle.wait_for_end().code(), Some(0));
    let mut busy = Daemon::start(&config(""));
    let _client = allocate(&busy).unwrap();
    busy.signal(Signal::SIGUSR1);
    busy.wait_for_log("draining allocations=1 limit_s=3600");
    assert_eq!(busy.terminate().code(), Some(0));
}

#[test] // R25
fn a_client_hears_of_another_server_and_ice_names_foreign_servers_alone() {
    let lines = "alternate = [\"127.0.0.1:3999\"]";
    let foreign =
        "[[ice.server]]\nurls = [\"turn:turn.example.net\"]\nsecret = \"a foreign one\"\n";
    let text = format!("{}{foreign}", config(lines));
    let daemon = Daemon::start(&text);
    let _client = allocate(&daemon).unwrap();
    assert_eq!(daemon.get("/ice").1["iceServers"].as_array().unwrap().len(), 3);
    say(&daemon, &["drain"]);
    assert_eq!(allocate(&daemon).unwrap_err(), 300);
    let (status, ice) = daemon.get("/ice");
    assert_eq!(status, 200, "{ice}");
    let servers = ice["iceServers"].as_array().unwrap();
    assert_eq!(servers.len(), 1, "{ice}");
    assert_eq!(servers[0]["urls"], json!(["turn:turn.example.net"]));

    // Another list counts from the reload on, also in the middle of a drain.
    let other = text.replace("alternate = [\"127.0.0.1:3999\"]", "alternate = []");
    std::fs::write(daemon.directory().path().join("turnbell.toml"), other).unwrap();
    assert!(say(&daemon, &["reload"]).contains("alternate: [\"127.0.0.1:3999\"] -> []"));
    assert_eq!(allocate(&daemon).unwrap_err(), 508);
}
