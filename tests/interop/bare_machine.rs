//! Machines that have less than expected: only `lo`, no IPv6, a port or a directory that is taken.

use std::net::{SocketAddr, UdpSocket};

use crate::daemon::{Daemon, get, refused};
use crate::network::{Network, in_own_network};
use crate::turn_client::{TurnClient, binding};

#[test] // R19
fn the_built_in_default_serves_a_relayed_pair_on_a_machine_with_nothing_but_lo() {
    in_own_network(|| {
        let daemon = Daemon::start_embedded();
        let (status, config) = get("127.0.0.1:8080".parse().unwrap(), "/ice");
        assert_eq!(status, 200, "{config}");
        let servers = config["iceServers"].as_array().unwrap();
        let turn = servers.iter().find(|server| server["username"].is_string()).unwrap();
        let text = |key: &str| turn[key].as_str().unwrap();
        let url = turn["urls"][0].as_str().unwrap();
        assert_eq!(url, "turn:127.0.0.1:3478?transport=udp");

        let allocate = || {
            let server = "127.0.0.1:3478".parse().unwrap();
            TurnClient::allocate(server, text("username"), text("credential")).unwrap()
        };
        let (one, two) = (allocate(), allocate());
        one.permit(two.relayed.ip()).unwrap();
        two.permit(one.relayed.ip()).unwrap();
        one.send(two.relayed, b"hello");
        assert_eq!(two.receive(), Some((one.relayed, b"hello".to_vec())));
        two.send(one.relayed, b"hello yourself");
        assert_eq!(one.receive(), Some((two.relayed, b"hello yourself".to_vec())));
        drop(daemon);
    });
}

#[test]
fn the_built_in_default_opens_3478_on_both_families_and_8080_on_loopback() {
    in_own_network(|| {
        let daemon = Daemon::start_embedded();
        let expected: [SocketAddr; 2] =
            ["0.0.0.0:3478".parse().unwrap(), "[::]:3478".parse().unwrap()];
        assert_eq!(daemon.udp_all(), expected);
        assert_eq!(daemon.get("/healthz").0, 200);
        for (local, server) in [("127.0.0.1:0", "127.0.0.1:3478"), ("[::1]:0", "[::1]:3478")] {
            let socket = UdpSocket::bind(local).unwrap();
            let mapped = binding(&socket, server.parse().unwrap());
            assert_eq!(mapped, socket.local_addr().unwrap());
        }
    });
}

#[test] // R17
fn a_machine_without_ipv6_is_served_on_ipv4_and_the_log_says_so() {
    in_own_network(|| {
        let switch = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
        std::fs::write(switch, "1").expect("a kernel with IPv6 that can be switched off");
        let daemon = Daemon::start_embedded();
        let expected: SocketAddr = "0.0.0.0:3478".parse().unwrap();
        assert_eq!(daemon.udp_all(), [expected]);
        daemon.wait_for_log("no IPv6");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        binding(&socket, "127.0.0.1:3478".parse().unwrap());
    });
}

#[test]
fn a_second_daemon_in_one_directory_is_told_who_runs() {
    in_own_network(|| {
        let daemon = Daemon::start_embedded();
        let (code, text) = refused(daemon.directory().path());
        assert_ne!(code, Some(0));
        let sentence = format!("already running as pid {}", daemon.pid());
        assert!(text.contains(&sentence), "{text}");
        // The first one is not disturbed.
        assert_eq!(daemon.get("/healthz").0, 200);
    });
}

#[test]
fn a_taken_port_is_named_with_its_holder_and_the_setting_that_moves_it() {
    in_own_network(|| {
        let here = Network::here();
        let directory = tempfile::tempdir().unwrap();
        let us = std::process::id().to_string();

        let taken = here.udp("0.0.0.0:3478");
        let (code, text) = refused(directory.path());
        assert_ne!(code, Some(0));
        for word in ["UDP port 3478", &us, "\"listen\""] {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        drop(taken);

        let taken = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        let (code, text) = refused(directory.path());
        assert_ne!(code, Some(0));
        for word in ["TCP port 8080", &us, "\"http.listen\""] {
            assert!(text.contains(word), "{word:?} is not in: {text}");
        }
        drop(taken);
    });
}
