//! The public address, found by STUN: at start, later, and when it changes under live allocations.

use std::net::IpAddr;

use serde_json::Value;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, eventually};
use crate::stun_server::StunServer;
use crate::turn_client::TurnClient;

/// `CONFIG` over IPv4 alone, with these servers to ask.
fn config(servers: &[&StunServer], lines: &str) -> String {
    let servers: Vec<String> =
        servers.iter().map(|server| format!("\"{}\"", server.at())).collect();
    let servers = servers.join(", ");
    let config = CONFIG.replace("[\"127.0.0.1\", \"::1\"]", "[\"127.0.0.1\"]");
    // Nobody resolves a name in a test.
    format!("external_stun = [{servers}]\ndiscover_nat64 = false\n{lines}{config}")
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client(daemon: &Daemon) -> TurnClient {
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap()
}

/// What `/healthz` says about 127.0.0.1.
fn health(daemon: &Daemon) -> Value {
    let (status, health) = daemon.get("/healthz");
    assert_eq!(status, 200, "the relay is well whatever a STUN server says: {health}");
    health["external"][0].clone()
}

#[track_caller]
fn becomes_public(daemon: &Daemon, public: &str) {
    let is_known = || (health(daemon)["public"] == public).then_some(());
    assert!(eventually(is_known).is_some(), "{}\n{}", health(daemon), daemon.log());
}

#[test]
fn what_a_stun_server_says_is_told_to_clients_and_shown_with_its_source_everywhere() {
    let server = StunServer::saying(Some("9.8.7.6"));
    let daemon = Daemon::start(&config(&[&server], ""));
    assert_eq!(client(&daemon).relayed.ip(), ip("9.8.7.6"));
    daemon.wait_for_log("9.8.7.6, which arrives at 127.0.0.1 here");
    let source = format!("found by STUN from {} at ", server.at());
    assert!(daemon.log().contains(&source), "{}", daemon.log());
    assert!(!daemon.log().contains("is loopback: only programs"), "{}", daemon.log());

    let health = health(&daemon);
    assert_eq!((&health["address"], &health["public"]), (&"127.0.0.1".into(), &"9.8.7.6".into()));
    assert_eq!(
        (&health["server"], &health["problem"]),
        (&server.at().to_string().into(), &Value::Null)
    );
    let (_, status, _) = daemon.command(&["status"]);
    assert!(status.contains("public  9.8.7.6 is told in place of 127.0.0.1"), "{status}");
    let (_, print, _) = daemon.command(&["print-config"]);
    assert!(print.contains("9.8.7.6/127.0.0.1") && print.contains(&source), "{print}");
    let logged = || {
        let (_, log, _) = daemon.command(&["log", "--kind", "config"]);
        log.contains("external: 127.0.0.1 -> 9.8.7.6/127.0.0.1, found by STUN").then_some(())
    };
    assert!(eventually(logged).is_some());
}

#[test] // R17
fn a_new_address_counts_for_new_allocations_and_the_live_ones_keep_theirs_and_go_on() {
    let server = StunServer::saying(Some("9.8.7.6"));
    let daemon = Daemon::start(&config(&[&server], ""));
    let (old, peer) = (client(&daemon), client(&daemon));
    for (from, to) in [(&old, &peer), (&peer, &old)] {
        from.permit(to.relayed.ip()).unwrap();
    }
    server.say(Some("9.8.7.5"));
    let (code, _, error) = daemon.command(&["reload"]);
    assert_eq!(code, Some(0), "{error}");
    becomes_public(&daemon, "9.8.7.5");
    daemon.wait_for_log("live allocations keep 9.8.7.6");
    assert_eq!(
        daemon.log().matches("live allocations keep 9.8.7.6").count(),
        1,
        "{}",
        daemon.log()
    );

    let new = client(&daemon);
    assert_eq!((old.relayed.ip(), new.relayed.ip()), (ip("9.8.7.6"), ip("9.8.7.5")));
    old.send(peer.relayed, b"on");
    assert_eq!(peer.receive(), Some((old.relayed, b"on".to_vec())));
    old.permit(new.relayed.ip()).unwrap();
    new.permit(old.relayed.ip()).unwrap();
    old.send(new.relayed, b"there");
    assert_eq!(new.receive(), Some((old.relayed, b"there".to_vec())));
    new.send(old.relayed, b"back");
    assert_eq!(old.receive(), Some((new.relayed, b"back".to_vec())));

    // Without the key the address itself is told again.
    let none = config(&[], "");
    std::fs::write(daemon.directory().path().join("turnbell.toml"), none).unwrap();
    assert_eq!(daemon.command(&["reload"]).0, Some(0));
    assert_eq!(client(&daemon).relayed.ip(), ip("127.0.0.1"));
    old.send(new.relayed, b"still");
    assert_eq!(new.receive(), Some((old.relayed, b"still".to_vec())));
}

#[test]
fn a_silent_server_delays_the_start_for_a_moment_and_is_asked_on() {
    let server = StunServer::saying(None);
    let daemon = Daemon::start(&config(&[&server], ""));
    daemon.wait_for_log("the public address of 127.0.0.1 is not known yet");
    assert!(daemon.log().contains("external = [\"PUBLIC/127.0.0.1\"]"), "{}", daemon.log());
    assert_eq!(client(&daemon).relayed.ip(), ip("127.0.0.1"));
    assert!(health(&daemon)["problem"].is_string());
    server.say(Some("9.8.7.6"));
    becomes_public(&daemon, "9.8.7.6");
    assert_eq!(client(&daemon).relayed.ip(), ip("9.8.7.6"));
    assert_eq!(health(&daemon)["problem"], Value::Null);
}

#[test]
fn what_the_operator_wrote_wins_and_nobody_is_asked() {
    let server = StunServer::saying(Some("9.8.7.6"));
    let daemon = Daemon::start(&config(&[&server], "external = [\"9.1.1.1/127.0.0.1\"]\n"));
    assert_eq!(client(&daemon).relayed.ip(), ip("9.1.1.1"));
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_private_answer_is_refused_and_the_next_server_in_order_counts() {
    let private = StunServer::saying(Some("10.1.2.3"));
    let good = StunServer::saying(Some("9.8.7.6"));
    let mut daemon = Daemon::start(&config(&[&private], ""));
    let problem = health(&daemon)["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("says 10.1.2.3, which nobody outside can send to (private)"));
    assert_eq!(client(&daemon).relayed.ip(), ip("127.0.0.1"));
    assert_eq!(daemon.terminate().code(), Some(0));
    let daemon = Daemon::start(&config(&[&private, &good], ""));
    assert_eq!(client(&daemon).relayed.ip(), ip("9.8.7.6"));
}
