//! Instructions per operation of the relay alone: `cargo bench --bench micro`, or `scripts/bench micro`.
//!
//! Each operation is done a number of times, and then twice as often, under valgrind's callgrind; the
//! difference by the number is what one costs. That figure is the same on every machine of a kind and
//! in every mood of it, for it holds no system call: what the kernel takes for a datagram is about
//! ten times as much, and the other benches measure it.
#![expect(clippy::print_stdout, reason = "a table is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests of the relay use the rest")]
mod support;

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;

use turnbell::turn::contract::{Forward, Input, Opened, Output};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::relayed_address::{PeerAddr, RelayPort};
use turnbell::wire::message::{Class, Method, TransactionId};

use support::event::{allocate, refresh, send};
use support::request::Request;
use support::setup::Setup;
use support::turn::Turn;
use support::{CLIENT, PEER_A, PEER_B, SERVER, v4};

/// Times that an operation is done in the shorter run.
const TIMES: usize = 400;
const CHANNEL: u16 = 0x4000;

/// Makes what it needs and gives the operation; its number says which of the prepared ones.
type Prepare = fn() -> Box<dyn FnMut(usize)>;

const OPERATIONS: [(&str, Prepare); 9] = [
    ("Binding request and answer", binding),
    ("first Allocate and its 401", challenge),
    ("Refresh: decode, check integrity, answer", refreshing),
    ("Allocate with a REST credential, and its answer", allocating),
    ("forward_client: ChannelData, 160 B", || to_peer(160)),
    ("forward_client: ChannelData, 1200 B", || to_peer(1200)),
    ("forward_client: Send indication, 160 B", indication),
    ("forward_peer: to a channel, 160 B", || from_peer(PEER_A)),
    ("forward_peer: to a Data indication, 160 B", || from_peer(PEER_B)),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [word, operation, times] if word == "--do" => {
            let (_, prepare) = OPERATIONS[operation.parse::<usize>().unwrap()];
            let mut operation = prepare();
            (0..times.parse().unwrap()).for_each(&mut operation);
        }
        [word] if word == "--bench" => measure(),
        _ => println!("run it with: cargo bench --bench micro"),
    }
}

fn measure() {
    println!("{:>12}  operation", "instructions");
    for (at, (name, _)) in OPERATIONS.iter().enumerate() {
        let [once, twice] = [TIMES, 2 * TIMES].map(|times| instructions(at, times));
        println!("{:>12}  {name}", (twice - once) / TIMES as u64);
    }
}

/// What a run of this program takes in all.
fn instructions(operation: usize, times: usize) -> u64 {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--do", &operation.to_string(), &times.to_string()])
        .output()
        .expect("valgrind is in Debian's package valgrind");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).expect("a sum");
    collected.1.trim().parse().unwrap()
}

/// A relay whose shield refuses nothing.
fn turn() -> Turn {
    Turn::with(|setup: &mut Setup| setup.guard.rules.shield.answers_per_source = 1_000_000)
}

fn client(n: usize) -> SocketAddr {
    let [_, _, high, low] = (n as u32).to_be_bytes();
    v4([203, 0, high, low], 40_000)
}

/// Hands the relay a datagram and drops what it wants.
fn handle(t: &mut Turn, client: SocketAddr, bytes: &[u8]) {
    let (now, tuple) = (t.now, FiveTuple::udp(client, SERVER));
    assert!(t.relay.forward_client(now, tuple, bytes) == Forward::Handle);
    t.relay.handle(now, Input::Datagram { tuple, bytes });
}

fn answer(t: &mut Turn) {
    let Some(Output::Send { bytes, .. }) = t.relay.poll() else { panic!("an answer") };
    black_box(bytes);
    while let Some(output) = t.relay.poll() {
        black_box(output);
    }
}

fn unsigned(method: Method) -> Vec<u8> {
    Request::new(Class::Request, method).encode(TransactionId([3; 12]), b"")
}

fn binding() -> Box<dyn FnMut(usize)> {
    let (mut t, bytes) = (turn(), unsigned(Method::BINDING));
    Box::new(move |n| {
        handle(&mut t, client(n), &bytes);
        answer(&mut t);
    })
}

fn challenge() -> Box<dyn FnMut(usize)> {
    let (mut t, bytes) = (turn(), unsigned(Method::ALLOCATE));
    Box::new(move |n| {
        handle(&mut t, client(n), &bytes);
        answer(&mut t);
    })
}

fn refreshing() -> Box<dyn FnMut(usize)> {
    let mut t = Turn::allocated();
    let bytes = t.encoded(CLIENT, refresh());
    Box::new(move |_| {
        handle(&mut t, CLIENT, &bytes);
        answer(&mut t);
    })
}

fn allocating() -> Box<dyn FnMut(usize)> {
    let mut t = turn();
    let requests: Vec<_> = (0..2 * TIMES).map(|n| t.encoded(client(n), allocate())).collect();
    Box::new(move |n| {
        handle(&mut t, client(n), &requests[n]);
        let Some(Output::OpenRelaySocket { token, .. }) = t.relay.poll() else {
            panic!("a socket is wanted")
        };
        let relay = RelayPort { address: 0, number: 20_000 + n as u16 };
        let result = Ok(Opened { relay, other: None, reserved: None });
        t.relay.handle(t.now, Input::RelaySocketOpened { token, result });
        while let Some(output) = t.relay.poll() {
            black_box(output);
        }
    })
}

/// A client with a channel to one peer and a permission for another.
fn bound() -> Turn {
    let mut t = Turn::allocated();
    t.bind(CHANNEL, PEER_A);
    t.permit(PEER_B);
    t
}

fn to_peer(size: usize) -> Box<dyn FnMut(usize)> {
    let mut t = bound();
    let length = u16::try_from(size).unwrap().to_be_bytes();
    let datagram = [&CHANNEL.to_be_bytes()[..], &length, &vec![7; size]].concat();
    Box::new(move |_| {
        let forward = t.relay.forward_client(t.now, FiveTuple::udp(CLIENT, SERVER), &datagram);
        assert!(matches!(black_box(forward), Forward::ToPeer { .. }));
    })
}

fn indication() -> Box<dyn FnMut(usize)> {
    let mut t = bound();
    let datagram = send(PEER_A, &[7; 160]).encode(TransactionId([3; 12]), b"");
    Box::new(move |_| {
        let forward = t.relay.forward_client(t.now, FiveTuple::udp(CLIENT, SERVER), &datagram);
        assert!(matches!(black_box(forward), Forward::ToPeer { .. }));
    })
}

fn from_peer(peer: SocketAddr) -> Box<dyn FnMut(usize)> {
    let mut t = bound();
    let relayed = t.relayed(CLIENT);
    let relay = RelayPort { address: 0, number: relayed.port() };
    let datagram = [7; 160];
    Box::new(move |_| {
        let forward = t.relay.forward_peer(t.now, relay, PeerAddr(peer), &datagram);
        assert!(matches!(black_box(forward), Forward::ToClient { .. }));
    })
}
