//! One port for HTTP and TURN: told apart by ALPN, else by the first bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER, get};
use crate::stream_client::StreamClient;
use crate::tls_client::{TLS, TLS_1_3, client, directory, handshake};

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A daemon whose HTTP shares the port of `list`.
fn sharing(list: &str) -> (Daemon, SocketAddr) {
    let at = free();
    let config = format!("{TLS}{CONFIG}")
        .replace(&format!("{list} = [\"127.0.0.1:0\", "), &format!("{list} = [\"{at}\", "))
        .replace("http.listen = [", &format!("http.listen = [\"{at}\", "));
    assert_eq!(config.matches(&at.to_string()).count(), 2, "{config}");
    (Daemon::start_in(directory(&config), |_| {}), at)
}

#[test]
fn plain_http_and_turn_over_tcp_share_a_port() {
    let (daemon, at) = sharing("listen_tcp");
    assert_eq!(get(at, "/healthz").0, 200);
    let mut client = StreamClient::connect(at);
    client.allocate(USER, PASSWORD).unwrap();
    assert_eq!(get(at, "/ice?user=x").0, 200);
    assert_eq!(client.binding(), client.local());
    // A request byte by byte is still one.
    let mut socket = crate::stream_client::connect(at);
    for byte in format!("GET /nowhere HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", at.port()).bytes() {
        socket.write_all(&[byte]).unwrap();
    }
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    // TURN's other port does not answer HTTP.
    let mut other = StreamClient::connect(daemon.tcp6());
    other.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    other.check_closed_in_silence();
}

#[test]
fn https_and_turn_over_tls_share_a_port_with_alpn_and_without() {
    let (daemon, at) = sharing("listen_tls");
    for offer in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let home = daemon.directory();
        let mut tls = handshake(home.path(), at, &TLS_1_3.offering(offer)).unwrap();
        write!(tls, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{offer:?}: {answer}");
    }
    for offer in [&["stun.turn"][..], &[]] {
        let mut client = client(&daemon, at, &TLS_1_3.offering(offer));
        client.allocate(USER, PASSWORD).unwrap();
    }
    // Who agreed on TURN and speaks HTTP is not answered, nor the other way round.
    let mut liar = client(&daemon, at, &TLS_1_3.offering(&["stun.turn"]));
    liar.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    liar.check_closed_in_silence();
    // Plain HTTP at the TLS port is not answered either.
    let mut socket = crate::stream_client::connect(at);
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}
