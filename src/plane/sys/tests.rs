//! Batches over real sockets, with what comes beside the bytes.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use super::*;

/// Sends two datagrams from a wildcard socket with a chosen source and reads them back.
fn check_round_trip(wildcard: &str, loopback: &str) {
    let server = UdpSocket::bind(wildcard).unwrap();
    let is_v6 = server.local_addr().unwrap().is_ipv6();
    report_destination(server.as_fd(), is_v6).unwrap();
    allow_fragments(server.as_fd(), is_v6).unwrap();
    let client = UdpSocket::bind((loopback, 0)).unwrap();
    let ip: IpAddr = loopback.parse().unwrap();
    client.send_to(b"ping", (ip, server.local_addr().unwrap().port())).unwrap();

    let poll = socket2::SockRef::from(&server);
    poll.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    server.peek_from(&mut [0]).unwrap(); // waits until the datagram is there
    let mut buffers = [[0; 64]; 3];
    let mut received = Vec::new();
    let slices = buffers.iter_mut().map(|b| &mut b[..]);
    assert_eq!(recv_batch(server.as_fd(), true, slices, &mut received).unwrap(), 1);
    assert_eq!(&buffers[0][..received[0].len], b"ping");
    assert_eq!(received[0].from, client.local_addr().unwrap());
    assert_eq!(received[0].to, Some(ip));
    let slices = buffers.iter_mut().map(|b| &mut b[..]);
    let nothing = recv_batch(server.as_fd(), true, slices, &mut received).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

    let to = client.local_addr().unwrap();
    let transmits = [
        Transmit { range: 0..3, to, from: Some(ip), tos: 0 },
        Transmit { range: 3..3, to, from: None, tos: 0 },
    ];
    assert_eq!(send_batch(server.as_fd(), b"abc", &transmits).unwrap(), 2);
    client.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 8];
    let (len, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], from.ip()), (&b"abc"[..], ip));
    assert_eq!(client.recv_from(&mut buffer).unwrap().0, 0);
}

#[test]
fn batches_carry_bytes_sources_and_destinations_over_ipv4() {
    check_round_trip("0.0.0.0:0", "127.0.0.1");
}

#[test]
fn batches_carry_bytes_sources_and_destinations_over_ipv6() {
    check_round_trip("[::]:0", "::1");
}

#[test]
fn an_unsendable_datagram_is_an_error_of_the_first() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bytes = vec![0; 70_000];
    let to = socket.local_addr().unwrap();
    let transmits = [Transmit { range: 0..70_000, to, from: None, tos: 0 }];
    assert!(send_batch(socket.as_fd(), &bytes, &transmits).is_err());
}
