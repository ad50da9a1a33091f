//! Behind a load balancer: the PROXY header says who the client is (R27).

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, USER};
use crate::stream_client::{StreamClient, binding, connect, new_id};
use crate::tls_client::{TLS, TLS_1_3, directory, handshake_over};

/// A header as a balancer sends it for an IPv4 client.
fn header(client: &str) -> Vec<u8> {
    let Ok(SocketAddr::V4(client)) = client.parse() else { panic!("{client}") };
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".to_vec();
    bytes.extend(client.ip().octets());
    bytes.extend([198, 51, 100, 7]);
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(3478_u16.to_be_bytes());
    bytes
}

fn daemon() -> Daemon {
    let config = format!("proxy_protocol = [\"127.0.0.1:0\"]\n{TLS}{CONFIG}");
    Daemon::start_in(directory(&config), |_| {})
}

const CLIENT: &str = "203.0.113.5:41000";

#[test]
fn the_proxied_address_is_the_clients_for_mapping_nonce_and_record() {
    let daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    client.send(&header(CLIENT));
    assert_eq!(client.binding(), CLIENT.parse().unwrap());
    client.allocate(USER, PASSWORD).unwrap();
    assert_eq!(daemon.wait_for_rows(|rows| rows.len() == 1)[0].client, CLIENT);
}

#[test]
fn the_header_comes_before_tls() {
    let daemon = daemon();
    let mut socket = connect(daemon.tls());
    socket.write_all(&header(CLIENT)).unwrap();
    let home = daemon.directory();
    let tls = handshake_over(home.path(), socket, daemon.tls(), &TLS_1_3).unwrap();
    let socket = tls.sock.try_clone().unwrap();
    let mut client = StreamClient::over(Box::new(tls), socket, daemon.tls());
    assert_eq!(client.binding(), CLIENT.parse().unwrap());
}

#[test]
fn a_health_check_of_the_balancer_is_served_as_itself() {
    let daemon = daemon();
    let mut client = StreamClient::connect(daemon.tcp());
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    assert_eq!(client.binding(), client.local());
}

#[test]
fn without_the_header_nobody_is_served_where_it_is_asked_for_and_with_it_nowhere_else() {
    let daemon = daemon();
    let mut without = StreamClient::connect(daemon.tcp());
    without.send(&binding(new_id()));
    without.check_closed_in_silence();
    let mut elsewhere = StreamClient::connect(daemon.tcp6());
    elsewhere.send(&header(CLIENT));
    elsewhere.check_closed_in_silence();
    let asked = Now::read().mono;
    let mut silent = StreamClient::connect(daemon.tcp());
    silent.check_closed_in_silence();
    let waited = Now::read().mono.duration_since(asked);
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&waited), "{waited:?}");
}
