//! Several relay threads: wherever the kernel puts a client, it is served, counted, reached by others
//! and ended as if there were one.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use serde_json::json;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::Message;

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, USER, refused};
use crate::turn_client::{TurnClient, exchange, first_allocate, receive};

/// So many that none of three threads is without a client: the chance is one in ten million.
const CLIENTS: usize = 48;

fn start(threads: usize, config: &str) -> Daemon {
    let relay = "allow_private_peers = [\"127.0.0.0/8\"]\nrelay_ports = \"20000-29999\"";
    Daemon::start(&format!("threads = {threads}\n{relay}\n{config}"))
}

fn client(daemon: &Daemon) -> (UdpSocket, TurnClient) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let copy = socket.try_clone().unwrap();
    (socket, TurnClient::allocate_from(copy, daemon.udp(), USER, PASSWORD).unwrap())
}

#[test]
fn every_client_is_served_and_reaches_every_other_one_inside() {
    let daemon = start(3, CONFIG);
    assert_eq!(daemon.get("/healthz").1["relay"]["shards"], json!(3));
    assert_eq!(daemon.get("/healthz").1["relay"]["shards_alive"], json!(3));
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&daemon)).collect();
    let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
    for (n, (socket, client)) in clients.iter().enumerate() {
        client.permit(peer.local_addr().unwrap().ip()).unwrap();
        client.send(peer.local_addr().unwrap(), &[n as u8]);
        assert_eq!(receive(&peer, PATIENCE), Some((client.relayed, vec![n as u8])));
        peer.send_to(&[n as u8], client.relayed).unwrap();
        assert!(receive(socket, PATIENCE).is_some());
    }
    for (_, one) in &clients {
        one.permit(one.relayed.ip()).unwrap();
    }
    for (n, (_, one)) in clients.iter().enumerate() {
        for (m, (socket, other)) in clients.iter().enumerate() {
            if n == m {
                continue;
            }
            for k in 0..3 {
                one.send(other.relayed, &[n as u8, m as u8, k]);
            }
            for k in 0..3 {
                let (_, came) = receive(socket, PATIENCE).unwrap();
                let message = Message::parse(&came).unwrap();
                let from = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
                let from = XorAddress::decode(from, &message.transaction_id()).unwrap();
                let data = message.attribute(AttributeType::DATA).unwrap();
                assert_eq!((from, data), (one.relayed, &[n as u8, m as u8, k][..]));
            }
        }
    }
    // Some of them lie with different threads: their data crossed, and none went by the kernel.
    let crossed = daemon.metric("turnbell_datagrams_received_total{from=\"peer\"}");
    assert_eq!(crossed as usize, CLIENTS + 3 * CLIENTS * (CLIENTS - 1));
}

#[test]
fn quota_list_revocation_and_record_are_those_of_one_server() {
    let quota = format!("quota.per_user = {CLIENTS}");
    let daemon = start(3, &CONFIG.replace("quota.per_user = 4096", &quota));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| client(&daemon)).collect();
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap_err(), 486);
    clients.pop().unwrap().1.release().unwrap();
    clients.push(client(&daemon));

    let (code, text, _) = daemon.command(&["sessions", "--json"]);
    assert_eq!(code, Some(0));
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let listed = listed["sessions"].as_array().unwrap().clone();
    let relayed = listed.iter().map(|one| one["relayed"].as_str().unwrap().to_owned());
    let expected = clients.iter().map(|(_, client)| client.relayed.to_string());
    assert_eq!(relayed.collect::<BTreeSet<_>>(), expected.collect::<BTreeSet<_>>());

    let (code, text, _) = daemon.command(&["revoke", USER]);
    assert!(code == Some(0) && text.contains(&CLIENTS.to_string()), "{text}");
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap_err(), 401);
    let rows = daemon.wait_for_rows(|rows| {
        rows.len() == CLIENTS + 1 && rows.iter().all(|row| row.end_reason.is_some())
    });
    let of = |reason| rows.iter().filter(|row| row.end_reason.as_deref() == Some(reason)).count();
    assert_eq!((of("client"), of("revoked")), (1, CLIENTS));
}

/// A second daemon must not share the port of the first, though its own sockets do (R6).
#[test]
fn a_port_that_another_daemon_shares_among_its_threads_is_taken() {
    let daemon = start(2, CONFIG);
    let directory = tempfile::tempdir().unwrap();
    for threads in [1, 2] {
        let listen = format!("listen = [\"{}\"]", daemon.udp());
        let config = CONFIG.replace("listen = [\"127.0.0.1:0\", \"[::1]:0\"]", &listen);
        let config = format!("threads = {threads}\n{config}");
        std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
        let (code, text) = refused(directory.path());
        assert!(code != Some(0) && text.contains("is taken by turnbell"), "{text}");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    exchange(&socket, daemon.udp(), &first_allocate(daemon.udp()));
}

#[test]
fn a_reserved_port_is_redeemed_whichever_thread_is_asked() {
    let daemon = start(3, CONFIG);
    for _ in 0..24 {
        let [mut one, mut other] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            TurnClient::challenged(socket, daemon.udp(), USER, PASSWORD)
        });
        let token = one.allocate_and_reserve().unwrap();
        other.redeem(&token).unwrap();
        assert_eq!(other.relayed.port(), one.relayed.port() + 1);
    }
}
