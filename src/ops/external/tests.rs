use std::sync::Arc;

use super::super::resolve;
use super::*;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Message, Method};
use crate::wire::writer::MessageWriter;

const PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// A STUN server on loopback: what it answers to a request from where.
async fn server(answer: impl Fn(&Message<'_>, SocketAddr) -> Vec<Vec<u8>> + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            for bytes in answer(&Message::parse(&buffer[..count]).unwrap(), from) {
                socket.send_to(&bytes, from).await.unwrap();
            }
        }
    });
    port
}

fn success(request: &Message<'_>, mapped: SocketAddr) -> Vec<u8> {
    MessageWriter::new(Class::SuccessResponse, Method::BINDING, request.transaction_id())
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, mapped)
        .finish(None, true)
}

/// Sees everybody at this address, on his own port.
async fn honest(ip: &'static str) -> u16 {
    server(move |request, from| {
        vec![success(request, SocketAddr::new(ip.parse().unwrap(), from.port()))]
    })
    .await
}

async fn asked(ports: &[u16]) -> Heard {
    let server = |port: &u16| StunServer { host: "127.0.0.1".to_owned(), port: *port };
    let servers: Vec<StunServer> = ports.iter().map(server).collect();
    let resolved = resolve_all(&resolve::system(), &servers).await;
    ask("127.0.0.1".parse().unwrap(), &PORTS, &resolved).await
}

fn public(heard: &Heard) -> Option<String> {
    heard.found.as_ref().map(|found| found.public.to_string())
}

#[tokio::test]
async fn the_address_is_found_from_a_port_that_relays() {
    let port = server(|request, from| {
        assert!(PORTS.contains(&from.port()), "{from}");
        vec![success(request, SocketAddr::new("9.8.7.6".parse().unwrap(), from.port()))]
    })
    .await;
    let heard = asked(&[port]).await;
    assert_eq!((public(&heard).as_deref(), &heard.problem), (Some("9.8.7.6"), &None));
    assert_eq!(heard.found.unwrap().server, format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_liar_who_does_not_know_the_id_is_not_heard_and_the_late_truth_is() {
    let port = server(|request, from| {
        let forged =
            MessageWriter::new(Class::SuccessResponse, Method::BINDING, TransactionId([0x5A; 12]));
        let at = SocketAddr::new("6.6.6.6".parse().unwrap(), from.port());
        let forged = forged.xor_address(AttributeType::XOR_MAPPED_ADDRESS, at).finish(None, true);
        let truth = SocketAddr::new("9.8.7.6".parse().unwrap(), from.port());
        vec![forged, b"rubbish".to_vec(), Vec::new(), success(request, truth)]
    })
    .await;
    let heard = asked(&[port]).await;
    assert_eq!((public(&heard).as_deref(), heard.problem), (Some("9.8.7.6"), None));
}

#[tokio::test]
async fn a_slow_server_is_asked_again_until_it_answers() {
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let asked_so_far = Arc::clone(&count);
    let port = server(move |request, from| {
        // The first request is lost.
        if asked_so_far.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        vec![success(request, SocketAddr::new("9.8.7.6".parse().unwrap(), from.port()))]
    })
    .await;
    assert_eq!(public(&asked(&[port]).await).as_deref(), Some("9.8.7.6"));
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_nat_that_does_not_keep_ports_and_servers_that_disagree_are_a_sentence() {
    let moves = server(|request, from| {
        let port = from.port() ^ 1;
        vec![success(request, SocketAddr::new("9.8.7.6".parse().unwrap(), port))]
    })
    .await;
    let heard = asked(&[moves]).await;
    assert_eq!(public(&heard).as_deref(), Some("9.8.7.6"));
    assert!(heard.problem.unwrap().contains("does not keep ports"));

    let (first, second) = (honest("9.8.7.6").await, honest("9.8.7.5").await);
    let heard = asked(&[first, second]).await;
    assert_eq!(public(&heard).as_deref(), Some("9.8.7.6"));
    let problem = heard.problem.unwrap();
    let expected =
        format!("127.0.0.1:{first} says 9.8.7.6, 127.0.0.1:{second} says 9.8.7.5; the first one");
    assert!(problem.contains(&expected), "{problem}");
}

#[tokio::test]
async fn a_private_answer_is_refused_in_favour_of_the_next_server_and_named_where_there_is_none() {
    let (private, good) = (honest("10.1.2.3").await, honest("9.8.7.6").await);
    assert_eq!(public(&asked(&[private, good]).await).as_deref(), Some("9.8.7.6"));
    let heard = asked(&[private]).await;
    let problem = heard.problem.unwrap();
    assert_eq!(heard.found, None);
    assert!(problem.contains("says 10.1.2.3, which nobody outside can send to (private)"));
    assert!(problem.contains("write external = [\"PUBLIC/127.0.0.1\"]"), "{problem}");
}

#[tokio::test]
async fn a_name_that_is_not_found_is_one_sentence_and_a_family_that_needs_nobody_is_none() {
    let nowhere: Lookup = Arc::new(|_, _| Err(io::Error::other("no such name")));
    let servers = [StunServer { host: "stun.example.org".to_owned(), port: 3478 }];
    let resolved = resolve_all(&nowhere, &servers).await;
    let heard = ask("127.0.0.1".parse().unwrap(), &PORTS, &resolved).await;
    let problem = heard.problem.unwrap();
    assert!(problem.contains("stun.example.org: no such name"), "{problem}");

    let v4_only: Lookup = Arc::new(|_, port| Ok(vec![([127, 0, 0, 1], port).into()]));
    let resolved = resolve_all(&v4_only, &servers).await;
    let heard = ask("::1".parse().unwrap(), &PORTS, &resolved).await;
    assert_eq!((heard.found, heard.problem), (None, None));
}
