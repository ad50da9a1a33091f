//! Many, slow and stuck connections: bounded, and never in the way of the next request.

use std::io::{Read, Write};
use std::net::TcpStream;
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
        assert!(took < Duration::from_secs(5), "{took:?}");
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

#[test]
fn when_all_places_are_taken_the_next_request_is_served_as_soon_as_one_is_free() {
    let mut options = options();
    options.connections_max = 8;
    let server = Server::start(options);
    let idle: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    let mut next = server.connect();
    next.write_all(ASK).unwrap();
    // All places are taken: nothing comes.
    next.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(next.read(&mut [0]).is_err(), "served beyond the bound");
    drop(idle);
    next.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(Answer::read(&mut next).status, 200);
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
