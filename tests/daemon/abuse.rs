//! What the daemon does about clients with a credential that overdo it.

use std::net::UdpSocket;
use std::time::Duration;

use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, SECRET, USER};
use crate::turn_client::{SILENCE, TurnClient, receive};

/// Loopback peers can be reached at every port that the kernel chooses, and these lines.
fn config(lines: &str) -> String {
    format!(
        "allow_private_peers = [\"127.0.0.1\"]\nrelay_ports = \"20000-29999\"\n{lines}\n{CONFIG}"
    )
}

#[test]
fn nothing_is_relayed_to_a_reflection_port() {
    let (closed, open) = (peer(), peer());
    let closed_at = closed.local_addr().unwrap();
    let daemon = Daemon::start(&config(&format!("reflection_ports = \"{}\"", closed_at.port())));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    client.permit(closed_at.ip()).unwrap();
    assert_eq!(client.bind_channel(0x4000, closed_at), Err(403));
    client.bind_channel(0x4001, open.local_addr().unwrap()).unwrap();
    client.send(closed_at, b"closed");
    client.send(open.local_addr().unwrap(), b"open");
    assert_eq!(receive(&open, crate::daemon::PATIENCE).unwrap().1, b"open");
    assert_eq!(receive(&closed, SILENCE), None);
}

fn peer() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

#[test]
fn an_allocation_is_held_to_its_rate_and_goes_on_working() {
    let daemon = Daemon::start(&config("rate.per_allocation = [\"10pps\"]"));
    let peer = peer();
    let at = peer.local_addr().unwrap();
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    client.permit(at.ip()).unwrap();
    for n in 0..100 {
        client.send(at, &[n]);
    }
    // Over the rate nothing is an error.
    client.permit(at.ip()).unwrap();
    let mut arrived = 0;
    while receive(&peer, SILENCE).is_some() {
        arrived += 1;
    }
    // Two at once, and ten a second for as long as the hundred took.
    assert!((2..=20).contains(&arrived), "{arrived}");
    let relayed = client.relayed;
    peer.send_to(b"back", relayed).unwrap();
    assert_eq!(client.receive().unwrap().1, b"back");
}

#[test]
fn users_share_the_total_fairly() {
    let config = config("rate.total = [\"8Mbit\"]\nauth.users = [\"bob:builder-of-17\"]")
        .replace("auth.users = [\"alice:wonderland-17\"]\n", "")
        .replace("\"bob:builder-of-17\"", "\"bob:builder-of-17\", \"alice:wonderland-17\"");
    let daemon = Daemon::start(&config);
    let (greedy, modest) = (peer(), peer());
    let alice = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let bob = TurnClient::allocate(daemon.udp(), "bob", "builder-of-17").unwrap();
    for client in [&alice, &bob] {
        client.permit(greedy.local_addr().unwrap().ip()).unwrap();
    }
    // Alice sends four times of all there is, Bob a quarter of his share, for three seconds.
    let start = Now::read().mono;
    let (mut sent, mut got) = ([0_u32; 2], [0_u32; 2]);
    let mut buffer = [0; 2048];
    for socket in [&greedy, &modest] {
        socket.set_nonblocking(true).unwrap();
    }
    loop {
        let elapsed = start.elapsed();
        if elapsed > Duration::from_secs(3) {
            break;
        }
        let due = |per_s: u32| (elapsed.as_secs_f64() * f64::from(per_s)) as u32;
        while sent[0] < due(4000) {
            alice.send(greedy.local_addr().unwrap(), &[1; 1000]);
            sent[0] += 1;
        }
        while sent[1] < due(125) {
            bob.send(modest.local_addr().unwrap(), &[2; 1000]);
            sent[1] += 1;
        }
        for (at, socket) in [&greedy, &modest].iter().enumerate() {
            while socket.recv(&mut buffer).is_ok() {
                got[at] += 1;
            }
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    // 1,000 datagrams a second in all.
    assert!(got[1] * 100 >= (sent[1] - 1) * 99, "the modest one: {got:?} of {sent:?}");
    assert!((2200..=3600).contains(&got[0]), "the greedy one: {got:?} of {sent:?}");
}

#[test]
fn a_strict_expiry_ends_the_allocation_and_is_in_the_record() {
    let daemon = Daemon::start(&config("auth.expiry = \"strict\""));
    let until = Now::read().unix_s() + 2;
    let secret = Secret::new(SECRET.to_owned());
    let issued = issue(&secret, &User::parse("carol").unwrap(), until);
    let (username, password) = (&issued.username, issued.credential.expose());
    let client = TurnClient::allocate(daemon.udp(), username, password).unwrap();
    daemon.wait_for_rows(|rows| {
        rows.first().is_some_and(|row| row.end_reason.as_deref() == Some("credential_expired"))
    });
    assert!(Now::read().unix_s() >= until);
    assert_eq!(client.release(), Err(401));
    assert_eq!(TurnClient::allocate(daemon.udp(), username, password).unwrap_err(), 401);
}
