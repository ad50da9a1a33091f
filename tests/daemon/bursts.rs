//! Bursts: whatever comes and goes as one message for the kernel, everybody gets the datagrams that
//! a forwarder without batches would have sent him, in order.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::message::{Class, Message, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::floods::Random;
use crate::turn_client::{TurnClient, receive, send_bursts};

const SEED: u64 = 0x6275_7273_7473;
const ROUNDS: usize = 150;
/// Datagrams of a round: with all their copies they fit the smallest receive buffer.
const ROUND_MAX: usize = 24;
const CHANNEL: u16 = 0x4000;
const PATIENCE: Duration = Duration::from_secs(20);
const BURST_WORD: &str = "received aggregated from here on";

/// A client, the peer of its channel, and the one that it has no channel for.
struct Flow {
    socket: UdpSocket,
    server: SocketAddr,
    client: TurnClient,
    bound: UdpSocket,
    unbound: UdpSocket,
}

fn at(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

fn allocated(server: SocketAddr) -> (UdpSocket, TurnClient) {
    let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
    let copy = socket.try_clone().unwrap();
    (socket, TurnClient::allocate_from(copy, server, USER, PASSWORD).unwrap())
}

impl Flow {
    fn new(server: SocketAddr) -> Self {
        let [bound, unbound] = [(); 2].map(|()| UdpSocket::bind((server.ip(), 0)).unwrap());
        let (socket, client) = allocated(server);
        client.permit(server.ip()).unwrap();
        client.bind_channel(CHANNEL, at(&bound)).unwrap();
        Self { socket, server, client, bound, unbound }
    }
}

/// Datagrams like those of calls: audio, frames of video with a shorter end, and odd ones.
fn payloads(random: &mut Random) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while payloads.len() < ROUND_MAX {
        let (count, len, last) = match random.below(4) {
            0 => (1, 160, 0),
            1 => (2 + random.below(10), 1_200, 1 + random.below(1_199)),
            2 => (1, 1_472, 160),
            _ => (1 + random.below(4), random.below(1_400), 0),
        };
        payloads.extend((0..count).map(|_| random.bytes(len)));
        payloads.extend((last > 0).then(|| random.bytes(last)));
    }
    payloads.truncate(ROUND_MAX);
    payloads
}

fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
}

fn send_indication(random: &mut Random, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let id = TransactionId(random.bytes(12).try_into().unwrap());
    MessageWriter::new(Class::Indication, Method::SEND, id)
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, data)
        .finish(None, false)
}

/// Peer and data of what a client received.
fn unwrapped(flow: &Flow, datagram: &[u8]) -> (SocketAddr, Vec<u8>) {
    if let Some(rest) = datagram.strip_prefix(&CHANNEL.to_be_bytes()) {
        let (length, data) = rest.split_first_chunk::<2>().unwrap();
        assert_eq!(usize::from(u16::from_be_bytes(*length)), data.len());
        return (at(&flow.bound), data.to_vec());
    }
    let message = Message::parse(datagram).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).unwrap();
    let peer = XorAddress::decode(peer, &message.transaction_id()).unwrap();
    (peer, message.attribute(AttributeType::DATA).unwrap().to_vec())
}

#[track_caller]
fn expect(socket: &UdpSocket, from: SocketAddr, expected: &[Vec<u8>]) {
    for (n, data) in expected.iter().enumerate() {
        let (source, came) = receive(socket, PATIENCE).unwrap();
        assert_eq!(source, from);
        assert!(came == *data, "{n}: {} bytes in place of {}", came.len(), data.len());
    }
}

fn to_peers(flow: &Flow, random: &mut Random) {
    let (mut datagrams, mut to_bound, mut to_unbound) = (Vec::new(), Vec::new(), Vec::new());
    let mut kind = 0;
    for data in payloads(random) {
        // Kinds change now and then, so that bursts of each stand beside the others.
        kind = if random.below(4) == 0 { random.below(8) } else { kind };
        match kind {
            0 => datagrams.push(channel_data(CHANNEL + 1, &data)),
            1..=2 => {
                datagrams.push(send_indication(random, at(&flow.unbound), &data));
                to_unbound.push(data);
            }
            _ => {
                datagrams.push(channel_data(CHANNEL, &data));
                to_bound.push(data);
            }
        }
    }
    send_bursts(&flow.socket, flow.server, &datagrams);
    expect(&flow.bound, flow.client.relayed, &to_bound);
    expect(&flow.unbound, flow.client.relayed, &to_unbound);
}

fn to_client(flow: &Flow, random: &mut Random) {
    for peer in [&flow.bound, &flow.unbound] {
        let data = payloads(random);
        send_bursts(peer, flow.client.relayed, &data);
        for expected in &data {
            let (from, came) = receive(&flow.socket, PATIENCE).unwrap();
            assert_eq!(from, flow.server);
            assert!(unwrapped(flow, &came) == (at(peer), expected.clone()));
        }
    }
}

/// Video until both sockets of the daemon receive bursts as one.
fn warm_up(flow: &Flow) {
    for _ in 0..12 {
        let frame: Vec<_> = (0..8).map(|n| vec![n; 1_200]).collect();
        let wrapped: Vec<_> = frame.iter().map(|data| channel_data(CHANNEL, data)).collect();
        send_bursts(&flow.socket, flow.server, &wrapped);
        expect(&flow.bound, flow.client.relayed, &frame);
        send_bursts(&flow.bound, flow.client.relayed, &frame);
        expect(&flow.socket, flow.server, &wrapped);
    }
}

fn start() -> Daemon {
    let lines = "log.level = \"debug\"\nallow_private_peers = [\"127.0.0.0/8\", \"::1\"]";
    Daemon::start(&format!("{lines}\n{CONFIG}"))
}

fn check(daemon: &Daemon, server: SocketAddr, listeners: usize) {
    let flow = Flow::new(server);
    warm_up(&flow);
    let mut random = Random(SEED);
    for _ in 0..ROUNDS {
        to_peers(&flow, &mut random);
        to_client(&flow, &mut random);
    }
    let log = daemon.log();
    assert_eq!(log.matches(BURST_WORD).count(), 2 * listeners, "listener and relay socket:\n{log}");
}

#[test]
fn bursts_of_any_mixture_arrive_as_if_each_datagram_had_come_alone() {
    let daemon = start();
    check(&daemon, daemon.udp(), 1);
    check(&daemon, daemon.udp6(), 2);
}

/// From one client to another, by channels or indications: inside the daemon.
#[test]
fn bursts_between_two_clients_arrive_inside_as_they_were_sent() {
    let daemon = start();
    let warm = Flow::new(daemon.udp());
    warm_up(&warm);
    let [(one, from), (other, to)] = [(); 2].map(|()| allocated(daemon.udp()));
    from.permit(to.relayed.ip()).unwrap();
    to.permit(from.relayed.ip()).unwrap();
    from.bind_channel(CHANNEL, to.relayed).unwrap();
    let mut random = Random(SEED);
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            to.bind_channel(CHANNEL, from.relayed).unwrap();
        }
        let data = payloads(&mut random);
        let wrapped: Vec<_> = match round % 2 {
            0 => data.iter().map(|data| channel_data(CHANNEL, data)).collect(),
            _ => data.iter().map(|d| send_indication(&mut random, to.relayed, d)).collect(),
        };
        send_bursts(&one, daemon.udp(), &wrapped);
        for expected in &data {
            let (_, came) = receive(&other, PATIENCE).unwrap();
            if round < ROUNDS / 2 {
                assert!(unwrapped(&warm, &came) == (from.relayed, expected.clone()));
            } else {
                assert!(came == channel_data(CHANNEL, expected));
            }
        }
    }
}
