//! Data through a stream, both ways: channels, indications, padding, other clients of the server.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method};

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::stream_client::{StreamClient, channel_data, send_indication};
use crate::turn_client::{TurnClient, receive};

const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon that relays to peers on loopback.
pub(crate) fn daemon() -> Daemon {
    Daemon::start(&format!("allow_private_peers = [\"127.0.0.1\", \"::1\"]\n{CONFIG}"))
}

/// The peer and the data of the next Data indication.
fn next_indication(client: &mut StreamClient) -> (SocketAddr, Vec<u8>) {
    let bytes = client.next().expect("data before the end");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
    let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
    (peer, message.attribute(AttributeType::DATA).unwrap().to_vec())
}

pub(crate) fn check_both_ways(server: SocketAddr, mut client: StreamClient) {
    let peer = UdpSocket::bind((server.ip(), 0)).unwrap();
    let at = peer.local_addr().unwrap();
    assert_eq!(client.binding(), client.local());
    let relayed = client.allocate(USER, PASSWORD).unwrap();
    client.permit(at.ip()).unwrap();
    for length in [0, 1, 2, 3, 4, 5, 1200, 9000] {
        let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
        client.send(&send_indication(at, &data));
        assert_eq!(receive(&peer, PATIENCE), Some((relayed, data.clone())), "to the peer");
        peer.send_to(&data, relayed).unwrap();
        assert_eq!(next_indication(&mut client), (at, data), "from the peer");
    }
    client.bind_channel(0x4001, at).unwrap();
    for length in [0, 1, 2, 3, 4, 5, 1200, 9000] {
        let data: Vec<u8> = (0..length).map(|n| n as u8).collect();
        client.send(&channel_data(0x4001, &data));
        assert_eq!(receive(&peer, PATIENCE), Some((relayed, data.clone())), "without padding");
        peer.send_to(&data, relayed).unwrap();
        let frame = client.next().unwrap();
        let length = u16::try_from(length).unwrap().to_be_bytes();
        assert_eq!(frame, [&[0x40, 0x01][..], &length, &data].concat());
    }
}

#[test] // RFC 8656 §12.5
fn data_goes_both_ways_in_frames_of_any_length_over_ipv4() {
    let daemon = daemon();
    check_both_ways(daemon.tcp(), StreamClient::connect(daemon.tcp()));
}

#[test]
fn data_goes_both_ways_in_frames_of_any_length_over_ipv6() {
    let daemon = daemon();
    check_both_ways(daemon.tcp6(), StreamClient::connect(daemon.tcp6()));
}

#[test]
fn many_frames_in_one_segment_reach_their_peers_unmixed() {
    let daemon = daemon();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = peer.local_addr().unwrap();
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    client.bind_channel(0x4000, at).unwrap();
    // More than the shard has slots for, and fewer than the peer's socket holds.
    let datagrams: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 1 + usize::from(n) % 7]).collect();
    let all: Vec<u8> = datagrams.iter().flat_map(|data| channel_data(0x4000, data)).collect();
    client.send(&all);
    for data in datagrams {
        assert_eq!(receive(&peer, PATIENCE).unwrap().1, data);
    }
}

#[test] // R2
fn two_relayed_clients_of_one_server_talk_over_tcp_and_udp_alike() {
    let daemon = daemon();
    let mut a = StreamClient::connect(daemon.tcp());
    let mut b = StreamClient::connect(daemon.tcp());
    let c = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let (at_a, at_b) = (a.allocate(USER, PASSWORD).unwrap(), b.allocate(USER, PASSWORD).unwrap());
    for client in [&mut a, &mut b] {
        client.permit(at_a.ip()).unwrap();
    }
    c.permit(at_a.ip()).unwrap();
    // Many at once: each is written with its header where it was received.
    let words: Vec<Vec<u8>> = (0..300_u16).map(|n| n.to_be_bytes().repeat(3)).collect();
    let all: Vec<u8> = words.iter().flat_map(|word| send_indication(at_b, word)).collect();
    a.send(&all);
    for word in words {
        assert_eq!(next_indication(&mut b), (at_a, word));
    }
    b.bind_channel(0x4002, at_a).unwrap();
    b.send(&channel_data(0x4002, b"back"));
    assert_eq!(next_indication(&mut a), (at_b, b"back".to_vec()));
    a.send(&send_indication(c.relayed, b"to udp"));
    assert_eq!(c.receive(), Some((at_a, b"to udp".to_vec())));
    c.send(at_a, b"to tcp");
    assert_eq!(next_indication(&mut a), (c.relayed, b"to tcp".to_vec()));
}

#[test] // security.md C6
fn padding_holds_zeros_whatever_lay_there_before() {
    let daemon = daemon();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut client = StreamClient::connect(daemon.tcp());
    let relayed = client.allocate(USER, PASSWORD).unwrap();
    client.bind_channel(0x4000, peer.local_addr().unwrap()).unwrap();
    for round in 0..500 {
        peer.send_to(&[0x41; 64], relayed).unwrap();
        peer.send_to(&vec![0x42; 1 + round % 3], relayed).unwrap();
        // `next` looks at the padding.
        assert_eq!(client.next().unwrap().len(), 4 + 64);
        assert_eq!(client.next().unwrap().len(), 4 + 1 + round % 3);
    }
}

#[test]
fn ice_names_the_tcp_port_behind_the_udp_port() {
    let daemon = daemon();
    let (status, config) = daemon.get("/ice");
    assert_eq!(status, 200);
    let servers = config["iceServers"].as_array().unwrap();
    let urls: Vec<String> = servers
        .iter()
        .flat_map(|server| server["urls"].as_array().unwrap())
        .map(|url| url.as_str().unwrap().to_owned())
        .collect();
    let (udp, tcp) = (daemon.udp().port(), daemon.tcp().port());
    assert_eq!(
        urls,
        [
            format!("stun:127.0.0.1:{udp}"),
            format!("turn:127.0.0.1:{udp}?transport=udp"),
            format!("turn:127.0.0.1:{tcp}?transport=tcp"),
        ]
    );
}

#[test]
fn the_record_says_that_an_allocation_came_over_tcp() {
    let daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    client.allocate(USER, PASSWORD).unwrap();
    daemon.wait_for_rows(|rows| rows.len() == 1);
    let record = crate::daemon::record(&daemon.state());
    let transport: String =
        record.query_row("SELECT transport FROM allocations", [], |row| row.get(0)).unwrap();
    assert_eq!(transport, "tcp");
}

#[test]
fn a_wrong_password_is_401_over_tcp_too() {
    let daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    assert_eq!(client.allocate(USER, "wrong"), Err(401));
    assert_eq!(client.binding(), client.local(), "the connection stays");
}
