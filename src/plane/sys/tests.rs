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
    assert_eq!(send_batch(server.as_fd(), b"abc", &transmits, false).unwrap(), 2);
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
    assert!(send_batch(socket.as_fd(), &bytes, &transmits, false).is_err());
}

/// Sends datagrams of these lengths as one batch; says what each message that came was made of.
fn check_bursts(ip: &str, lens: &[usize], has_bursts: bool, aggregated: bool) -> Vec<Vec<usize>> {
    let (from, to) = (UdpSocket::bind((ip, 0)).unwrap(), UdpSocket::bind((ip, 0)).unwrap());
    assert!(knows_bursts(from.as_fd()));
    if aggregated {
        aggregate(to.as_fd()).unwrap();
    }
    let bytes: Vec<u8> = (0..lens.iter().sum()).map(|n: usize| (n / 7) as u8).collect();
    let mut start = 0;
    let at = to.local_addr().unwrap();
    let transmits: Vec<_> = lens
        .iter()
        .map(|len| {
            start += len;
            Transmit { range: start - len..start, to: at, from: None, tos: 0 }
        })
        .collect();
    assert_eq!(send_batch(from.as_fd(), &bytes, &transmits, has_bursts).unwrap(), lens.len());
    let mut all = Vec::new();
    let mut came = Vec::new();
    while all.len() < bytes.len() {
        // Loopback delivers before it returns.
        let mut buffers = vec![vec![0; 65_535]; 8];
        let mut received = Vec::new();
        let slices = buffers.iter_mut().map(|b| &mut b[..]);
        recv_batch(to.as_fd(), true, slices, &mut received).unwrap();
        for (one, buffer) in received.iter().zip(&buffers) {
            all.extend_from_slice(&buffer[..one.len]);
            came.push(one.parts(0..one.len).map(|part| part.len()).collect());
        }
    }
    assert!(all == bytes);
    came
}

#[test] // R5
fn a_burst_is_one_message_and_comes_as_one_or_as_many_as_the_receiver_wants() {
    for ip in ["127.0.0.1", "::1"] {
        let lens = [1_200, 1_200, 1_200, 300, 160, 160];
        let singly: Vec<_> = lens.iter().map(|len| vec![*len]).collect();
        assert_eq!(check_bursts(ip, &lens, true, false), singly);
        assert_eq!(check_bursts(ip, &lens, false, false), singly);
        assert_eq!(check_bursts(ip, &lens, false, true), singly);
        let together = [vec![1_200, 1_200, 1_200, 300], vec![160, 160]];
        assert_eq!(check_bursts(ip, &lens, true, true), together);
        assert_eq!(check_bursts(ip, &[500; 64], true, true), [vec![500; 64]]);
    }
}
