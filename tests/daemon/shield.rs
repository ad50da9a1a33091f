//! Floods of requests that prove nothing, as the default lets them through: a source that overdoes
//! it is not answered, others are, and whoever has a nonce gets in.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use turnbell::time::Now;
use turnbell::wire::message::{Class, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::turn_client::{SILENCE, TurnClient, first_allocate, receive};

/// What one source gets at once, and a second.
const BURST: u32 = 2000;
const PER_S: u32 = 200;
/// Datagrams between two looks whether they were answered; they fit the smallest receive buffer.
const BATCH: u32 = 32;
/// What a 401 has at least on the wire.
const WIRE_BYTES: u32 = 28 + 88;

fn bound(ip: Ipv4Addr) -> UdpSocket {
    UdpSocket::bind(SocketAddr::from((ip, 0))).unwrap()
}

/// Takes what has arrived and does not wait.
fn arrived(socket: &UdpSocket) -> u32 {
    socket.set_nonblocking(true).unwrap();
    let mut count = 0;
    let mut buffer = [0; 2048];
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => count += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    socket.set_nonblocking(false).unwrap();
    count
}

#[test]
fn a_source_that_overdoes_it_is_cut_and_everybody_else_is_answered() {
    let daemon = Daemon::start(CONFIG);
    let server = daemon.udp();
    let flooder = bound(Ipv4Addr::new(127, 0, 0, 66));
    // On the flooder's address, and there already: it has its nonce.
    let neighbour = bound(Ipv4Addr::new(127, 0, 0, 66));
    let mut neighbour = TurnClient::challenged(neighbour, server, USER, PASSWORD);
    let start = Now::read().mono;
    let (mut answers, mut sent) = (0, 0);
    while sent < 4 * BURST {
        for _ in 0..BATCH {
            flooder.send_to(&first_allocate(server), server).unwrap();
        }
        sent += BATCH;
        // Another source's question behind them is answered, so the batch was read.
        let other = bound(Ipv4Addr::new(127, 0, (sent / 250) as u8, 1 + (sent % 250) as u8));
        other.send_to(&first_allocate(server), server).unwrap();
        assert!(receive(&other, Duration::from_secs(10)).is_some(), "{other:?} is not answered");
        answers += arrived(&flooder);
    }
    while receive(&flooder, SILENCE).is_some() {
        answers += 1;
    }
    let elapsed = Now::read().mono.duration_since(start).as_millis() as u32;
    assert!(answers >= BURST - BATCH, "only {answers} of {sent}");
    assert!(answers <= BURST + PER_S * elapsed / 1000, "{answers} of {sent} in {elapsed} ms");
    neighbour.allocate_now().unwrap();
    neighbour.release().unwrap();
}

#[test]
fn a_flood_from_20_000_addresses_is_held_to_the_total_while_nonces_get_in() {
    let daemon = Daemon::start(&format!("shield.answers_total = \"64kbit\"\n{CONFIG}"));
    let server = daemon.udp();
    let mut clients: Vec<_> = (0..20)
        .map(|_| TurnClient::challenged(bound(Ipv4Addr::LOCALHOST), server, USER, PASSWORD))
        .collect();
    let start = Now::read().mono;
    let mut answers = 0;
    for round in 0..20_u32 {
        // A thousand addresses, each asks once and hears the answer if there is one.
        let sockets: Vec<_> =
            (0..250).map(|n| bound(Ipv4Addr::new(127, 1, round as u8, 1 + n as u8))).collect();
        for batch in sockets.chunks(BATCH as usize) {
            for id in 0..4 {
                for socket in batch {
                    let first = MessageWriter::new(
                        Class::Request,
                        Method::ALLOCATE,
                        TransactionId([id; 12]),
                    );
                    socket.send_to(&first.finish(None, false), server).unwrap();
                }
            }
            // Read by the time that this is answered: a nonce costs nothing.
            clients[round as usize].allocate_now().unwrap();
            clients[round as usize].release().unwrap();
        }
        answers += sockets.iter().map(arrived).sum::<u32>();
    }
    let elapsed = Now::read().mono.duration_since(start).as_secs_f64();
    let bits = f64::from(answers) * f64::from(WIRE_BYTES) * 8.0;
    assert!(bits <= 64_000.0 * (elapsed + 1.0), "{answers} answers in {elapsed} s");
    assert!(answers > 0, "the budget is used");
}
