//! Which datagrams the network may cut to pieces: all but those of DONT-FRAGMENT (RFC 8656 §14).

use std::net::UdpSocket;
use std::time::Duration;

use crate::daemon::{Daemon, PASSWORD, PATIENCE, USER};
use crate::network::{Network, in_own_network};
use crate::turn_client::{SILENCE, TurnClient, receive, send_bursts};

const SERVER: &str = "5.44.20.1:3478";
const CONFIG: &str = r#"
state_directory = "state"
relay_addresses = ["5.44.30.1"]
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
auth.users = ["alice:wonderland-17"]
"#;

/// A client, the server, and a peer behind a link of `mtu` bytes.
fn behind(mtu: u32) -> (TurnClient, UdpSocket, Daemon) {
    let (client, server, peer) = (Network::new(), Network::here(), Network::new());
    server.cable("near", &["5.44.20.1/24"], &client, &["5.44.20.2/24"]);
    server.cable("far", &["5.44.30.1/24"], &peer, &["5.44.30.2/24"]);
    for end in [&server, &peer] {
        end.ip(&format!("link set far mtu {mtu}"));
    }
    let daemon = Daemon::start(CONFIG);
    let socket = client.udp("5.44.20.2:0");
    let client = TurnClient::allocate_from(socket, SERVER.parse().unwrap(), USER, PASSWORD);
    (client.unwrap(), peer.udp("5.44.30.2:0"), daemon)
}

#[test] // R5
fn a_burst_that_is_too_wide_for_the_next_link_arrives_all_the_same() {
    in_own_network(|| {
        let (client, server, peer) = (Network::new(), Network::here(), Network::new());
        server.cable("near", &["5.44.20.1/24"], &client, &["5.44.20.2/24"]);
        server.cable("far", &["5.44.30.1/24"], &peer, &["5.44.30.2/24"]);
        for end in [&server, &peer] {
            end.ip("link set far mtu 1280");
        }
        let _daemon = Daemon::start(CONFIG);
        let (socket, peer) = (client.udp("5.44.20.2:0"), peer.udp("5.44.30.2:0"));
        let copy = socket.try_clone().unwrap();
        let server = SERVER.parse().unwrap();
        let client = TurnClient::allocate_from(copy, server, USER, PASSWORD).unwrap();
        client.bind_channel(0x4000, peer.local_addr().unwrap()).unwrap();
        for length in [1_200, 1_252, 1_253, 1_400] {
            for _ in 0..10 {
                let data: Vec<_> = (0..8).map(|n| vec![n; length]).collect();
                let head = [0x40, 0x00, (length >> 8) as u8, length as u8];
                let wrapped: Vec<_> = data.iter().map(|d| [&head[..], d].concat()).collect();
                send_bursts(&socket, server, &wrapped);
                for data in data {
                    assert!(receive(&peer, PATIENCE) == Some((client.relayed, data)));
                }
            }
        }
    });
}

#[test]
fn a_datagram_longer_than_the_next_link_arrives_in_pieces_unless_it_must_be_whole() {
    in_own_network(|| {
        let (client, peer, _daemon) = behind(1280);
        let at = peer.local_addr().unwrap();
        client.permit(at.ip()).unwrap();
        // 20 bytes of IPv4 and 8 of UDP stand before the data.
        for (length, is_whole, arrives) in [
            (1252, false, true),
            (1253, false, true),
            (9000, false, true),
            (1252, true, true),
            (1253, true, false),
            // The socket is as it was before.
            (1253, false, true),
            (9000, false, true),
            (1252, true, true),
        ] {
            let data = vec![length as u8; length];
            if is_whole {
                client.send_whole(at, &data);
            } else {
                client.send(at, &data);
            }
            let patience = if arrives { Duration::from_secs(5) } else { SILENCE };
            let expected = arrives.then_some((client.relayed, data));
            assert_eq!(receive(&peer, patience), expected, "{length} bytes, whole: {is_whole}");
            if !arrives {
                // As a router would say it: too big, 1280 bytes at most.
                let (about, icmp) = client.receive_icmp().unwrap();
                assert_eq!((about.ip(), icmp), (at.ip(), (3, 4, 1280)));
            }
        }
    });
}
