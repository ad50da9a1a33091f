//! ICMP from real networks: the client hears of it, and nobody else loses anything (RFC 8656 §11.5).

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::daemon::{Daemon, PASSWORD, USER};
use crate::network::{Network, in_own_network};
use crate::turn_client::{SILENCE, TurnClient, receive};

const CONFIG: &str = r#"
state_directory = "state"
relay_addresses = ["5.44.30.1", "2a0e:44:30::1"]
default_relay_family = "client"
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
auth.users = ["alice:wonderland-17"]
"#;
const PATIENCE: Duration = Duration::from_secs(5);

/// A client; the server; a router; peers behind it on a link of 1280 bytes.
struct World {
    client: Network,
    peer: Network,
    _router: Network,
    _daemon: Daemon,
}

impl World {
    fn new() -> Self {
        let (client, server) = (Network::new(), Network::here());
        let (router, peer) = (Network::new(), Network::new());
        server.cable(
            "near",
            &["5.44.20.1/24", "2a0e:44:20::1/64"],
            &client,
            &["5.44.20.2/24", "2a0e:44:20::2/64"],
        );
        server.cable(
            "far",
            &["5.44.30.1/24", "2a0e:44:30::1/64"],
            &router,
            &["5.44.30.2/24", "2a0e:44:30::2/64"],
        );
        router.cable(
            "end",
            &["5.44.40.1/24", "2a0e:44:40::1/64"],
            &peer,
            &["5.44.40.2/24", "2a0e:44:40::2/64"],
        );
        for end in [&router, &peer] {
            end.ip("link set end mtu 1280");
        }
        router.visit(|| {
            for forwarding in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{forwarding}"), "1").unwrap();
            }
        });
        server.ip("route add 5.44.40.0/24 via 5.44.30.2");
        server.ip("route add 2a0e:44:40::/64 via 2a0e:44:30::2");
        // Where nobody is: the router says so.
        server.ip("route add 5.44.50.0/24 via 5.44.30.2");
        peer.ip("route add default via 5.44.40.1");
        peer.ip("-6 route add default via 2a0e:44:40::1");
        let daemon = Daemon::start(CONFIG);
        Self { client, peer, _router: router, _daemon: daemon }
    }

    fn allocate(&self, client: &str, server: &str) -> TurnClient {
        let server = server.parse().unwrap();
        TurnClient::allocate_from(self.client.udp(client), server, USER, PASSWORD).unwrap()
    }

    fn allocate_v4(&self) -> TurnClient {
        self.allocate("5.44.20.2:0", "5.44.20.1:3478")
    }

    /// A live peer, and a port beside it that nobody listens on.
    fn peers(&self, address: &str) -> (UdpSocket, SocketAddr) {
        let closed = self.peer.udp(address).local_addr().unwrap();
        let live = self.peer.udp(address);
        assert_ne!(live.local_addr().unwrap(), closed);
        (live, closed)
    }
}

#[test]
fn a_closed_port_is_told_in_both_families_and_the_allocation_goes_on() {
    in_own_network(|| {
        let world = World::new();
        for (client, server, address, expected) in [
            ("5.44.20.2:0", "5.44.20.1:3478", "5.44.40.2:0", (3, 3, 0)),
            ("[2a0e:44:20::2]:0", "[2a0e:44:20::1]:3478", "[2a0e:44:40::2]:0", (1, 4, 0)),
        ] {
            let client = world.allocate(client, server);
            let (live, closed) = world.peers(address);
            client.permit(closed.ip()).unwrap();
            let at = live.local_addr().unwrap();
            // Neighbours find each other first.
            client.send(at, b"out");
            assert_eq!(receive(&live, PATIENCE), Some((client.relayed, b"out".to_vec())));
            client.send(closed, b"anybody?");
            assert_eq!(client.receive_icmp(), Some((closed, expected)));
            client.send(at, b"out");
            assert_eq!(receive(&live, PATIENCE), Some((client.relayed, b"out".to_vec())));
            live.send_to(b"back", client.relayed).unwrap();
            assert_eq!(client.receive(), Some((at, b"back".to_vec())));
        }
    });
}

#[test]
fn a_router_that_knows_no_way_is_heard() {
    in_own_network(|| {
        let world = World::new();
        let client = world.allocate_v4();
        let nowhere: SocketAddr = "5.44.50.9:4000".parse().unwrap();
        client.permit(nowhere.ip()).unwrap();
        client.send(nowhere, b"anybody?");
        // Network unreachable, from the router.
        assert_eq!(client.receive_icmp(), Some((nowhere, (3, 0, 0))));
    });
}

#[test] // RFC 8656 §18.13
fn a_narrow_link_behind_a_router_is_told_with_its_mtu_for_what_must_be_whole_only() {
    in_own_network(|| {
        let world = World::new();
        let client = world.allocate_v4();
        let (live, _) = world.peers("5.44.40.2:0");
        let at = live.local_addr().unwrap();
        client.permit(at.ip()).unwrap();
        let data = vec![7; 1400];
        for _ in 0..2 {
            client.send(at, &data);
            assert_eq!(receive(&live, PATIENCE), Some((client.relayed, data.clone())));
            client.send_whole(at, &data);
            assert_eq!(client.receive_icmp(), Some((at, (3, 4, 1280))));
            assert_eq!(receive(&live, SILENCE), None);
        }
        client.send_whole(at, b"short");
        assert_eq!(receive(&live, PATIENCE), Some((client.relayed, b"short".to_vec())));
    });
}

#[test] // decisions R12: with IP_RECVERR one dead peer fails the next send to anybody
fn a_dead_peer_costs_a_live_one_nothing() {
    in_own_network(|| {
        let world = World::new();
        let client = world.allocate_v4();
        let (live, closed) = world.peers("5.44.40.2:0");
        let at = live.local_addr().unwrap();
        client.permit(at.ip()).unwrap();
        let mut told = 0;
        for n in 0..500_u32 {
            client.send(closed, b"anybody?");
            let data = n.to_be_bytes();
            client.send(at, &data);
            assert_eq!(receive(&live, PATIENCE), Some((client.relayed, data.to_vec())), "{n}");
            live.send_to(&data, client.relayed).unwrap();
            // What comes back stands among what is told of the dead one.
            while let Some((from, got)) = client.receive_any() {
                if got.is_none() {
                    told += 1;
                    continue;
                }
                assert_eq!((from, got), (at, Some(data.to_vec())), "{n}");
                break;
            }
        }
        assert!((1..100).contains(&told), "told {told} times of 500");
    });
}
