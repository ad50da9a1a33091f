//! The client of the `turn` crate, with a tap on the wire that says which way data went.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use turn::client::{Client, ClientConfig};
use webrtc_util::conn::Conn;

use crate::daemon::{CONFIG, Daemon, PASSWORD, PATIENCE, Row, USER};

/// Messages each way; the first ones go out as Send indications, before the channel is bound.
const MESSAGES: usize = 50;

/// A way for datagrams between one client and the server that counts ChannelData.
struct Tap {
    at: SocketAddr,
    from_client: Arc<AtomicUsize>,
    to_client: Arc<AtomicUsize>,
}

impl Tap {
    async fn before(server: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        far.connect(server).await.unwrap();
        let at = near.local_addr().unwrap();
        let (from_client, to_client) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let tap = Self { at, from_client: from_client.clone(), to_client: to_client.clone() };
        // Ends with the test's runtime.
        tokio::spawn(async move {
            let (mut out, mut back) = (vec![0; 65_536], vec![0; 65_536]);
            let mut client = at;
            loop {
                tokio::select! {
                    Ok((count, from)) = near.recv_from(&mut out) => {
                        client = from;
                        from_client.fetch_add(usize::from(is_channel_data(&out)), Ordering::Relaxed);
                        far.send(&out[..count]).await.unwrap();
                    }
                    Ok(count) = far.recv(&mut back) => {
                        to_client.fetch_add(usize::from(is_channel_data(&back)), Ordering::Relaxed);
                        near.send_to(&back[..count], client).await.unwrap();
                    }
                }
            }
        });
        tap
    }

    fn counts(&self) -> (usize, usize) {
        (self.from_client.load(Ordering::Relaxed), self.to_client.load(Ordering::Relaxed))
    }
}

fn is_channel_data(datagram: &[u8]) -> bool {
    datagram[0] & 0xC0 == 0x40
}

async fn client(server: SocketAddr, username: &str, password: &str) -> Client {
    let client = Client::new(ClientConfig {
        stun_serv_addr: server.to_string(),
        turn_serv_addr: server.to_string(),
        username: username.to_owned(),
        password: password.to_owned(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: 0,
        conn: Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()),
        vnet: None,
    })
    .await
    .unwrap();
    client.listen().await.unwrap();
    client
}

/// The next datagram as text, and who sent it.
async fn hear(conn: &(impl Conn + ?Sized)) -> (String, SocketAddr) {
    let mut buffer = vec![0; 2048];
    let (count, from) =
        timeout(PATIENCE, conn.recv_from(&mut buffer)).await.expect("a datagram").unwrap();
    (String::from_utf8(buffer[..count].to_vec()).unwrap(), from)
}

/// Sends from one to the other and back, so that each has heard `MESSAGES`.
async fn talk(
    (a, a_addr): (&(impl Conn + ?Sized), SocketAddr),
    (b, b_addr): (&(impl Conn + ?Sized), SocketAddr),
) {
    for number in 0..MESSAGES {
        let (there, back) = (format!("there {number}"), format!("back {number}"));
        a.send_to(there.as_bytes(), b_addr).await.unwrap();
        assert_eq!(hear(b).await, (there, a_addr));
        b.send_to(back.as_bytes(), a_addr).await.unwrap();
        assert_eq!(hear(a).await, (back, b_addr));
    }
}

fn bytes_of(word: &str) -> i64 {
    (0..MESSAGES).map(|number| format!("{word} {number}").len() as i64).sum()
}

fn has_ended(rows: &[Row]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.end_reason.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_exchanges_data_with_a_plain_peer_first_by_indications_then_over_a_channel() {
    let daemon = Daemon::start(&format!("allow_private_peers = [\"127.0.0.1\"]\n{CONFIG}"));
    let tap = Tap::before(daemon.udp()).await;
    let client = client(tap.at, USER, PASSWORD).await;
    let relayed = client.allocate().await.unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer_addr = peer.local_addr().unwrap();

    talk((&relayed, relayed.local_addr().unwrap()), (&peer, peer_addr)).await;

    let (out, back) = tap.counts();
    assert!(out > 0 && out < MESSAGES, "{out} of {MESSAGES} went out over the channel");
    assert!(back > 0, "{back} came over the channel");
    relayed.close().await.unwrap();
    client.close().await.unwrap();
    let rows = daemon.wait_for_rows(has_ended);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].end_reason.as_deref(), Some("client"));
    assert_eq!(rows[0].to_peers, (MESSAGES as i64, bytes_of("there")));
    assert_eq!(rows[0].to_client, (MESSAGES as i64, bytes_of("back")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_them_talk_inside_the_daemon_though_no_loopback_peer_is_allowed() {
    // With one thread what came first is decided first, whoever sent it: see the knock below.
    let daemon = Daemon::start(&format!("threads = 1\n{CONFIG}"));
    let (left_tap, right_tap) = (Tap::before(daemon.udp()).await, Tap::before(daemon.udp()).await);
    let (username, credential) = daemon.issue("bob");
    let left_client = client(left_tap.at, USER, PASSWORD).await;
    let right_client = client(right_tap.at, &username, &credential).await;
    let (left, right) =
        (left_client.allocate().await.unwrap(), right_client.allocate().await.unwrap());
    let (left_addr, right_addr) = (left.local_addr().unwrap(), right.local_addr().unwrap());
    // Each permits the other by sending. The knock meets no permission yet and is never heard; it
    // has arrived when what was sent after it is answered.
    right.send_to(b"knock", left_addr).await.unwrap();
    right_client.send_binding_request().await.unwrap();

    talk((&left, left_addr), (&right, right_addr)).await;

    for tap in [&left_tap, &right_tap] {
        let (out, back) = tap.counts();
        assert!(out > 0 && back > 0, "{out} out and {back} back over the channel");
    }
    left.close().await.unwrap();
    right.close().await.unwrap();
    let rows = daemon.wait_for_rows(|rows| rows.len() == 2 && has_ended(rows));
    let (there, back) = (bytes_of("there"), bytes_of("back"));
    assert_eq!(rows[0].to_peers, (MESSAGES as i64, there));
    assert_eq!(rows[0].to_client, (MESSAGES as i64, back));
    assert_eq!(rows[1].to_client, (MESSAGES as i64, there));
    assert!(rows[1].to_peers.0 >= MESSAGES as i64, "{rows:#?}");
    assert_eq!(rows[1].username, username);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_hears_401_for_a_wrong_password() {
    let daemon = Daemon::start(CONFIG);
    let client = client(daemon.udp(), USER, "wonderland-18").await;
    let refused = timeout(Duration::from_secs(10), client.allocate()).await.expect("an answer");
    let error = refused.err().expect("a refusal").to_string();
    assert!(error.contains("401"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_learns_its_own_address_from_a_binding_request() {
    let daemon = Daemon::start(CONFIG);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let own = socket.local_addr().unwrap();
    let server = daemon.udp().to_string();
    let client = Client::new(ClientConfig {
        stun_serv_addr: server.clone(),
        turn_serv_addr: server,
        username: String::new(),
        password: String::new(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: 0,
        conn: Arc::new(socket),
        vnet: None,
    })
    .await
    .unwrap();
    client.listen().await.unwrap();
    assert_eq!(client.send_binding_request().await.unwrap(), own);
}
