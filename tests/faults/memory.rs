//! K7: less memory than the work needs. Work that would be new is refused, nobody is killed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use turnbell::limits::{HTTP_CONNECTIONS_SHORT, STREAMS_SHORT};
use turnbell::ops::memory::RESERVE_BYTES;

use crate::daemon::{Daemon, PASSWORD, USER, eventually};
use crate::flow::{FLOW_STREAMS, Flow, config, lasting, pass};
use crate::stream_client::StreamClient;
use crate::turn_client::TurnClient;

/// Asked for; at about a kilobyte each they would need more than [`ROOM`].
const WANTED: usize = 3_500;
/// Bytes above the reserve that the daemon may grow by.
const ROOM: u64 = 1024 * 1024;

/// Bytes of private memory, as RLIMIT_DATA counts them.
fn data_bytes(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// What the kernel gives a running daemon at the most: a limit that it meets, not one that it reads.
fn limit(daemon: &Daemon, bytes: &str) {
    let (pid, data) = (format!("--pid={}", daemon.pid()), format!("--data={bytes}:"));
    let status = Command::new("prlimit").args([pid, data]).status();
    assert!(status.expect("`prlimit` is in Debian's util-linux").success());
}

/// Allocates until it is refused or there are so many; the code of the refusal.
fn fill(daemon: &Daemon, holders: &mut Vec<TurnClient>, most: usize) -> Option<u16> {
    while holders.len() < most {
        match TurnClient::allocate(daemon.udp(), USER, PASSWORD) {
            Ok(holder) => holders.push(holder),
            Err(code) => return Some(code),
        }
    }
    None
}

/// A few connections are always taken on, and not more; `/ice` is answered.
#[track_caller]
fn check_connections(daemon: &Daemon) {
    const OVER: usize = 10;
    let is_closed = |mut connection: &TcpStream| matches!(connection.read(&mut [0]), Ok(0));
    // Each that comes is served, and the oldest without allocation makes room for it.
    let streams: Vec<_> = (0..STREAMS_SHORT + OVER)
        .map(|_| {
            let mut stream = StreamClient::connect(daemon.tcp());
            stream.binding();
            stream.socket.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let closed = || streams.iter().filter(|stream| is_closed(&stream.socket)).count();
    // Those of the flow stay.
    let too_many = OVER + FLOW_STREAMS;
    assert!(eventually(|| (closed() == too_many).then_some(())).is_some(), "{} closed", closed());
    let web: Vec<_> = (0..HTTP_CONNECTIONS_SHORT + OVER)
        .map(|_| TcpStream::connect(daemon.http()).unwrap())
        .inspect(|connection| connection.set_nonblocking(true).unwrap())
        .collect();
    let closed = || web.iter().filter(|connection| is_closed(connection)).count();
    assert!(eventually(|| (closed() == OVER).then_some(())).is_some(), "{} closed", closed());
    drop(web);
    // As soon as their places are free.
    let answers = || {
        let mut connection = TcpStream::connect(daemon.http()).unwrap();
        let mut answer = String::new();
        let is_sent = connection.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").is_ok();
        (is_sent && connection.read_to_string(&mut answer).is_ok() && !answer.is_empty())
            .then_some(())
    };
    assert!(eventually(answers).is_some());
    assert_eq!(daemon.get("/ice").0, 200);
}

#[test] // K7
fn with_too_little_memory_new_work_is_refused_and_what_lives_goes_on() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    // The bound of streams is one of each thread.
    let daemon = Daemon::start(&config("threads = 1"));
    let flow = Flow::start(&daemon);
    flow.check_unharmed("too little memory", || {
        limit(&daemon, &(data_bytes(&daemon) + RESERVE_BYTES.start() + ROOM).to_string());
        let mut holders = Vec::new();
        let refusal = fill(&daemon, &mut holders, WANTED);
        println!("{} allocations of {WANTED}", holders.len());
        assert_eq!(refusal, Some(508), "{} allocations", holders.len());
        daemon.wait_for_log("memory is short");
        assert_eq!(daemon.metric("turnbell_memory_short"), 1.0);
        pass(lasting(std::time::Duration::from_secs(1)));

        // What ends makes room for as much.
        let full = holders.len();
        for holder in holders.drain(full / 2..) {
            holder.release().unwrap();
        }
        let refusal = fill(&daemon, &mut holders, WANTED);
        println!("{} of {full} allocations, again", holders.len());
        assert_eq!((refusal, holders.len()), (Some(508), full));
        check_connections(&daemon);

        limit(&daemon, "unlimited");
        daemon.wait_for_log("there is enough memory again");
        assert_eq!(fill(&daemon, &mut holders, full + 100), None);
        for holder in holders {
            holder.release().unwrap();
        }
    });
}
