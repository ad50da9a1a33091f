//! Many, slow and stuck connections: bounded, and never in the way of the next request.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use turnbell::time::Now;

use crate::server::{Answer, Server, options};

const ASK: &[u8] = b"GET /ice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_head_that_does_not_arrive_in_time_ends_its_connection() {
    let mut options = options();
    options.head_timeout = Duration::from_millis(200);
    let server = Server::start(options);
    for start in [&b""[..], b"GET /ice HT", b"GET /ice HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] {
        let began = Now::read().mono;
        let mut stream = server.connect();
        stream.write_all(start).unwrap();
        let answer = Answer::read(&mut stream);
        let took = Now::read().mono - began;
        assert!(answer.status == 0 || answer.status == 408, "{answer:?}");
        assert!(took >= Duration::from_millis(190), "{took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
}

#[test]
fn an_idle_connection_does_not_keep_its_place_after_an_answer() {
    let mut options = options();
    options.head_timeout = Duration::from_millis(200);
    let server = Server::start(options);
    let mut stream = server.connect();
    stream.write_all(b"GET /ice HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Ends only if the server closes.
    assert_eq!(Answer::read(&mut stream).status, 200);
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_408_and_ends_the_connection() {
    let mut options = options();
    options.request_timeout = Duration::from_millis(200);
    let server = Server::start(options);
    let mut stream = server.connect();
    let head = "POST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    Answer::read(&mut stream).refuses(408, "request_timeout");
    assert!(server.issued.lock().unwrap().is_empty());
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let server = Server::local();
    let mut stream = server.connect();
    let ask = |user: &str| format!("GET /ice?user={user} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all((ask("a") + &ask("b")).as_bytes()).unwrap();
    stream.write_all(ASK).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
    assert!(text.find(":a\"").unwrap() < text.find(":b\"").unwrap());
}

#[test] // D7
fn where_all_places_are_held_in_silence_the_next_request_is_served_at_once() {
    let mut options = options();
    options.connections_max = 8;
    let server = Server::start(options);
    let starts = [&b""[..], b"GET /ice HT", b"GET /ice HTTP/1.1\r\nHost: localhost\r\nX-Slow: "];
    let hold = |n: usize| {
        let mut stream = server.connect();
        stream.write_all(starts[n % starts.len()]).unwrap();
        stream
    };
    let mut silent: Vec<TcpStream> = (0..1000).map(hold).collect();
    let mut kept = server.connect();
    kept.write_all(b"GET /ice HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(kept.read(&mut [0; 12]).unwrap(), 12);
    // Long before the head of any of them is due, and the bound holds: the first ones are cut.
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
    for stream in &mut silent[..900] {
        match stream.read(&mut [0; 1]) {
            Ok(count) => assert_eq!(count, 0),
            Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    // Who asked last is cut last.
    silent.extend((0..4).map(hold));
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
    kept.write_all(ASK).unwrap();
    let mut text = String::new();
    kept.read_to_string(&mut text).unwrap();
    assert!(text.contains("HTTP/1.1 200 OK"), "{text}");
}

#[test]
fn a_request_under_way_is_not_cut_for_others() {
    let mut options = options();
    options.connections_max = 2;
    let server = Server::start(options);
    let under_way = || {
        let mut stream = server.connect();
        let head = "POST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert!(interim.starts_with(b"HTTP/1.1 100"));
        stream
    };
    let (mut one, mut two) = (under_way(), under_way());
    let mut next = server.connect();
    next.write_all(ASK).unwrap();
    next.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(next.read(&mut [0]).is_err(), "served beyond the bound");
    one.write_all(b"{}").unwrap();
    assert_eq!(Answer::read(&mut one).status, 200);
    next.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(Answer::read(&mut next).status, 200);
    two.write_all(b"{}").unwrap();
    assert_eq!(Answer::read(&mut two).status, 200);
}

#[test]
fn a_stopping_server_finishes_the_request_in_flight_and_closes_its_port() {
    let mut server = Server::local();
    let mut busy = server.connect();
    let head = "POST /ice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    busy.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: from here on the request is in flight.
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let idle = server.connect();
    let finishing = std::thread::spawn(move || {
        // Two bytes that come only after the stop began: read, then the connection ends.
        busy.write_all(b"{}").unwrap();
        Answer::read(&mut busy)
    });
    server.stop();
    assert_eq!(finishing.join().unwrap().status, 200);
    assert!(TcpStream::connect(server.addr).is_err(), "the port is still open");
    drop(idle);
}

#[test]
fn out_of_descriptors_the_server_waits_without_spinning_and_serves_again_once_there_are_some() {
    const NAME: &str = "connections::out_of_descriptors_the_server_waits_without_spinning_and_\
                        serves_again_once_there_are_some";
    const INSIDE: &str = "TURNBELL_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(INSIDE).is_none() {
        // The limit is the process's: this test runs again in one of its own.
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg(NAME)
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text} {output:?}");
        return;
    }
    let server = Server::local();
    let stat = File::open("/proc/self/stat").unwrap();
    let mut held = Vec::new();
    // Each connection takes two descriptors of this process; the last ones stay in the queue.
    while let Ok(stream) = TcpStream::connect(server.addr) {
        held.push(stream);
        assert!(held.len() < 64, "no limit");
    }
    assert!(held.len() > 16);
    let before = processor_ticks(&stat);
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    let waited = never.recv_timeout(Duration::from_millis(500));
    assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    // A tick is 10 ms: a loop that spins takes 50.
    let spent = processor_ticks(&stat) - before;
    assert!(spent < 20, "{spent} ticks of processor time in half a second of nothing");
    drop(held);
    assert_eq!(server.ask("GET /ice", &[]).status, 200);
}

/// User and system time of this process so far; the kernel writes the file anew at each read.
fn processor_ticks(mut stat: &File) -> u64 {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    let (_, fields) = text.rsplit_once(") ").unwrap();
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
