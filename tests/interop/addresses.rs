//! Three machines with real addresses: a client, the server between, and peers.
//!
//! `5.44.x.x` and `2a0e:44::/32` are public to the policy; these networks reach nobody.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use turnbell::wire::message::{Class, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{Daemon, PASSWORD, USER};
use crate::network::{Network, in_own_network};
use crate::turn_client::{SILENCE, TurnClient, binding, receive};

const SERVER: &str = "5.44.20.1:3478";
const SERVER_SECOND: &str = "5.44.20.9:3478";
const SERVER_6: &str = "[2a0e:44:20::1]:3478";
const SERVER_6_SECOND: &str = "[2a0e:44:20::9]:3478";
const CLIENT: &str = "5.44.20.2:0";
const CLIENT_6: &str = "[2a0e:44:20::2]:0";
/// Where the server relays.
const RELAY: &str = "5.44.30.1";
const PEER: &str = "5.44.30.2:0";
const PEER_6: &str = "[2a0e:44:30::2]:0";
/// Another peer, whom nobody permits by chance.
const STRANGER: &str = "5.44.30.3:0";
/// A peer in the provider's private network, and the server's own address there.
const PRIVATE_PEER: &str = "10.77.0.2:0";
const PRIVATE_SERVER: &str = "10.77.0.1";

const CONFIG: &str = r#"
state_directory = "state"
relay_addresses = ["5.44.30.1", "2a0e:44:30::1"]
default_relay_family = "client"
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
auth.users = ["alice:wonderland-17"]
http.local_without_key = true
"#;

/// The daemon listens on both wildcards, port 3478, as it does by default.
struct World {
    client: Network,
    server: Network,
    peer: Network,
    daemon: Daemon,
}

impl World {
    fn with(more_config: &str) -> Self {
        let (client, server, peer) = (Network::new(), Network::here(), Network::new());
        let near = ["5.44.20.1/24", "5.44.20.9/24", "2a0e:44:20::1/64", "2a0e:44:20::9/64"];
        server.cable("near", &near, &client, &["5.44.20.2/24", "2a0e:44:20::2/64"]);
        let far = ["5.44.30.1/24", "10.77.0.1/24", "2a0e:44:30::1/64"];
        let peers = ["5.44.30.2/24", "5.44.30.3/24", "10.77.0.2/24", "2a0e:44:30::2/64"];
        server.cable("far", &far, &peer, &peers);
        // A peer may know the way to the client: who is not permitted has no excuse.
        peer.ip("route add default via 5.44.30.1");
        let daemon = Daemon::start(&format!("{more_config}\n{CONFIG}"));
        Self { client, server, peer, daemon }
    }

    fn allocate(&self, client: &str, server: &str) -> TurnClient {
        let server = server.parse().unwrap();
        TurnClient::allocate_from(self.client.udp(client), server, USER, PASSWORD).unwrap()
    }
}

fn addr(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A Binding request, which our own listener would answer.
fn question() -> Vec<u8> {
    MessageWriter::new(Class::Request, Method::BINDING, TransactionId([7; 12])).finish(None, true)
}

/// Data goes both ways, each side seeing the other by the right address.
#[track_caller]
fn check_both_ways(client: &TurnClient, peer: &UdpSocket) {
    client.send(addr(peer), b"out");
    assert_eq!(receive(peer, Duration::from_secs(5)), Some((client.relayed, b"out".to_vec())));
    peer.send_to(b"back", client.relayed).unwrap();
    assert_eq!(client.receive(), Some((addr(peer), b"back".to_vec())));
}

#[test]
fn client_and_peer_on_different_networks_are_relayed_in_both_families() {
    in_own_network(|| {
        let world = World::with("");
        for (client, server, peer, relay) in
            [(CLIENT, SERVER, PEER, RELAY), (CLIENT_6, SERVER_6, PEER_6, "2a0e:44:30::1")]
        {
            let client = world.allocate(client, server);
            assert_eq!(client.relayed.ip(), ip(relay));
            let peer = world.peer.udp(peer);
            client.permit(addr(&peer).ip()).unwrap();
            check_both_ways(&client, &peer);
        }
    });
}

#[test] // RFC 8656 §9
fn what_a_peer_without_permission_sends_never_reaches_the_client() {
    in_own_network(|| {
        let world = World::with("");
        let client = world.allocate(CLIENT, SERVER);
        let (peer, stranger) = (world.peer.udp(PEER), world.peer.udp(STRANGER));
        client.permit(addr(&peer).ip()).unwrap();
        for _ in 0..10 {
            stranger.send_to(b"let me in", client.relayed).unwrap();
        }
        assert_eq!(client.receive(), None);
        check_both_ways(&client, &peer);
        client.permit(addr(&stranger).ip()).unwrap();
        check_both_ways(&client, &stranger);
    });
}

#[test]
fn a_private_peer_is_403_and_gets_nothing_unless_its_network_is_allowed() {
    in_own_network(|| {
        let world = World::with("");
        let client = world.allocate(CLIENT, SERVER);
        let peer = world.peer.udp(PRIVATE_PEER);
        assert_eq!(client.permit(addr(&peer).ip()), Err(403));
        assert_eq!(client.bind_channel(0x4000, addr(&peer)), Err(403));
        client.send(addr(&peer), b"out");
        assert_eq!(receive(&peer, SILENCE), None);
        peer.send_to(b"in", client.relayed).unwrap();
        assert_eq!(client.receive(), None);
    });
}

#[test]
fn a_private_peer_is_relayed_where_its_network_is_allowed() {
    in_own_network(|| {
        let world = World::with(r#"allow_private_peers = ["10.77.0.0/24"]"#);
        let client = world.allocate(CLIENT, SERVER);
        let peer = world.peer.udp(PRIVATE_PEER);
        client.permit(addr(&peer).ip()).unwrap();
        check_both_ways(&client, &peer);
        client.bind_channel(0x4000, addr(&peer)).unwrap();
        let outside = "10.78.0.2".parse().unwrap();
        assert_eq!(client.permit(outside), Err(403));
    });
}

#[test] // R2
fn own_addresses_that_relay_nothing_are_403_and_what_listens_there_hears_nothing() {
    in_own_network(|| {
        let world = World::with("");
        let client = world.allocate(CLIENT, SERVER);
        for own in ["5.44.20.1", "5.44.20.9", PRIVATE_SERVER, "127.0.0.1"] {
            let listening = world.server.udp(&format!("{own}:0"));
            assert_eq!(client.permit(ip(own)), Err(403), "{own}");
            assert_eq!(client.bind_channel(0x4000, addr(&listening)), Err(403), "{own}");
            client.send(addr(&listening), b"out");
            assert_eq!(receive(&listening, SILENCE), None, "{own}");
        }
    });
}

#[test] // R2
fn the_relay_address_may_be_permitted_and_still_nothing_but_relayed_ports_is_reached() {
    in_own_network(|| {
        let world = World::with("");
        let client = world.allocate(CLIENT, SERVER);
        client.permit(ip(RELAY)).unwrap();
        // Below the range, in the range without an allocation, and our own listener.
        let below = world.server.udp(&format!("{RELAY}:9999"));
        let within = world.server.udp(&format!("{RELAY}:0"));
        let listener = SocketAddr::new(ip(RELAY), 3478);
        for at in [addr(&below), listener] {
            assert_eq!(client.bind_channel(0x4000, at), Err(403), "{at}");
        }
        for at in [addr(&below), addr(&within), listener] {
            client.send(at, &question());
        }
        for socket in [&below, &within] {
            assert_eq!(receive(socket, SILENCE), None);
        }
        assert_eq!(client.receive(), None, "our own listener answered");
    });
}

#[test] // R2
fn an_own_address_that_is_allowed_is_reached_but_our_listener_there_is_not() {
    in_own_network(|| {
        let world = World::with(r#"allow_private_peers = ["10.77.0.1"]"#);
        let client = world.allocate(CLIENT, SERVER);
        let service = world.server.udp(&format!("{PRIVATE_SERVER}:9999"));
        client.permit(ip(PRIVATE_SERVER)).unwrap();
        check_both_ways(&client, &service);
        let listener = SocketAddr::new(ip(PRIVATE_SERVER), 3478);
        assert_eq!(client.bind_channel(0x4000, listener), Err(403));
        client.send(listener, &question());
        assert_eq!(client.receive(), None, "our own listener answered");
    });
}

#[test]
fn two_clients_of_one_server_reach_each_other_by_their_relayed_addresses() {
    in_own_network(|| {
        let world = World::with("");
        let (one, two) = (world.allocate(CLIENT, SERVER), world.allocate(CLIENT, SERVER_SECOND));
        one.permit(two.relayed.ip()).unwrap();
        two.send(one.relayed, b"too early");
        two.permit(one.relayed.ip()).unwrap();
        two.send(one.relayed, b"to one");
        assert_eq!(one.receive(), Some((two.relayed, b"to one".to_vec())));
        one.send(two.relayed, b"to two");
        assert_eq!(two.receive(), Some((one.relayed, b"to two".to_vec())));
    });
}

#[test] // R17
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    in_own_network(|| {
        let world = World::with("");
        for (client, servers) in
            [(CLIENT, [SERVER, SERVER_SECOND]), (CLIENT_6, [SERVER_6, SERVER_6_SECOND])]
        {
            let socket = world.client.udp(client);
            for server in servers {
                // Fails on an answer from elsewhere.
                assert_eq!(binding(&socket, server.parse().unwrap()), addr(&socket));
            }
            // The same socket has an allocation by each address: the five-tuples differ.
            let relayed = servers.map(|server| {
                let socket = socket.try_clone().unwrap();
                let server = server.parse().unwrap();
                TurnClient::allocate_from(socket, server, USER, PASSWORD).unwrap().relayed
            });
            assert_ne!(relayed[0], relayed[1]);
        }
        let rows = world.daemon.wait_for_rows(|rows| rows.len() == 4);
        assert!(rows.iter().all(|row| row.end_reason.is_none()), "{rows:#?}");
    });
}
