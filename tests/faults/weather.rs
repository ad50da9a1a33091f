//! K9, K10, K11: the way between client and daemon is bad, gone for a while, or another one.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use turnbell::limits::{ALLOCATION_LIFETIME_DEFAULT, PERMISSION_LIFETIME};
use turnbell::time::Now;

use crate::clock::daemon_with_clock;
use crate::daemon::{Daemon, PASSWORD, USER};
use crate::flow::{Flow, compare, config, lasting, pass};
use crate::proxy::{Proxy, Weather};
use crate::turn_client::{TurnClient, receive};

/// An allocation ends at most this long after its life (security.md N7), by the daemon's clock.
const END_WITHIN: Duration = Duration::from_secs(5);
/// By ours: a busy machine wakes the daemon late.
const LATE: Duration = Duration::from_millis(250);

const STORM: Weather = Weather {
    loss_percent: 20,
    reorder_percent: 25,
    duplicate_percent: 10,
    delay: [Duration::from_millis(200), Duration::from_millis(400)],
};

#[test] // K9
fn a_bad_network_gets_one_allocation_per_client_and_the_relay_adds_no_loss_to_it() {
    const CLIENTS: usize = 10;
    let daemon = Daemon::start(&config(""));
    let proxy = Proxy::start(daemon.udp(), CLIENTS);
    proxy.set(STORM);
    // They allocate, permit and bind in it, with all the retransmissions that takes.
    let flow = Flow::start_at(&proxy.fronts, Duration::from_secs(60));
    let opened = daemon.metric("turnbell_allocations_opened_total");
    assert_eq!(opened as usize, CLIENTS, "one allocation per client");
    let lost = |weather, time| {
        proxy.set(weather);
        let _ = proxy.take_counts();
        let counts = flow.measure(|| pass(time));
        let (up, down) = proxy.take_counts();
        println!("{} sent, {up} reached the relay, {down} came back from it", counts.sent);
        assert!(up > 500 && down <= up, "{up}, {down}");
        f64::from(up - down) / f64::from(up)
    };
    let calm = || lost(Weather::default(), Duration::from_secs(1));
    compare("bad network", calm, || lost(STORM, lasting(Duration::from_secs(4))));
    flow.check_alive();
    assert_eq!(daemon.metric("turnbell_error_responses_total{code=\"437\"}"), 0.0);
    assert_eq!(daemon.metric("turnbell_allocations{transport=\"udp\"}") as usize, CLIENTS);
}

#[test] // K10
fn a_client_that_was_cut_off_goes_on_with_the_allocation_it_has() {
    let daemon = Daemon::start(&config(""));
    let flow = Flow::start(&daemon);
    let proxy = Proxy::start(daemon.udp(), 1);
    let echo = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
    let client = TurnClient::allocate(proxy.fronts[0], USER, PASSWORD).unwrap();
    // Nine minutes, and the allocation is there; what is longer runs on the fast clock below.
    let time = lasting(Duration::from_secs(3)).min(Duration::from_secs(540));
    flow.check_unharmed("partition", || {
        proxy.cut(0, true);
        client.send(echo.local_addr().unwrap(), b"into the void");
        pass(time);
        proxy.cut(0, false);
        check_goes_on(&client, &echo);
    });
}

#[test] // K10, K11
fn an_allocation_outlives_half_its_life_of_silence_and_ends_with_it_and_nothing_goes_there_after() {
    let speed = speed();
    let daemon = daemon_with_clock(&format!("+0s x{speed}"), &[]);
    let at = daemon.udp();
    let proxy = Proxy::start(at, 2);
    let flow = Flow::start_at(&[at; 5], PERMISSION_LIFETIME / 8 / speed);
    let echo = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
    let life = ALLOCATION_LIFETIME_DEFAULT / speed;
    flow.check_unharmed("partitions and a client that moves", || {
        let began = Now::read().mono;
        let [back_soon, back_late] = [0, 1].map(|way| {
            let client = TurnClient::allocate(proxy.fronts[way], USER, PASSWORD).unwrap();
            proxy.cut(way, true);
            client
        });
        // K11: another interface, another address; the old socket hears what still comes.
        let (old_socket, mut old) = client_at(Ipv4Addr::LOCALHOST, at);
        old.permit(echo.local_addr().unwrap().ip()).unwrap();
        let moved = Now::read().mono;
        let (_, new) = client_at(Ipv4Addr::new(127, 0, 0, 9), at);
        check_goes_on(&new, &echo);
        assert!(moved.elapsed() < Duration::from_secs(2), "{:?}", moved.elapsed());

        echo.send_to(b"still there", old.relayed).unwrap();
        assert_eq!(old.receive().unwrap().1, b"still there");
        send_until(&echo, old.relayed, began + life / 2);
        proxy.cut(0, false);
        check_goes_on(&back_soon, &echo);
        back_soon.release().unwrap();

        // Both others are over.
        assert!(!is_free(old.relayed) && !is_free(back_late.relayed));
        send_until(&echo, old.relayed, began + life + END_WITHIN / speed + LATE);
        assert!(is_free(old.relayed) && is_free(back_late.relayed));
        while receive(&old_socket, Duration::from_millis(1)).is_some() {}
        send_until(&echo, old.relayed, Now::read().mono + PERMISSION_LIFETIME / speed / 10);
        assert_eq!(old.receive(), None, "nothing goes to an address whose allocation is over");
        proxy.cut(1, false);
        assert_eq!(back_late.permit(echo.local_addr().unwrap().ip()), Err(437));
        old.allocate_now().unwrap();
        for client in [&old, &new] {
            let _ = client.release();
        }
    });
}

/// How fast the clocks of the daemon run where an allocation must end within a test of this length.
fn speed() -> u32 {
    if lasting(Duration::ZERO) > ALLOCATION_LIFETIME_DEFAULT { 1 } else { 80 }
}

/// A client at an address of its own, and its socket.
fn client_at(ip: Ipv4Addr, server: SocketAddr) -> (UdpSocket, TurnClient) {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    let own = socket.try_clone().unwrap();
    (socket, TurnClient::allocate_from(own, server, USER, PASSWORD).unwrap())
}

/// Without another Allocate it reaches a peer, and is reached.
#[track_caller]
fn check_goes_on(client: &TurnClient, echo: &UdpSocket) {
    let at = echo.local_addr().unwrap();
    client.permit(at.ip()).unwrap();
    client.send(at, b"on");
    let heard = receive(echo, Duration::from_secs(5));
    assert_eq!(heard, Some((client.relayed, b"on".to_vec())));
    echo.send_to(b"and back", client.relayed).unwrap();
    assert_eq!(client.receive(), Some((at, b"and back".to_vec())));
}

/// The peer knows of nothing and sends.
fn send_until(peer: &UdpSocket, relayed: SocketAddr, end: std::time::Instant) {
    while Now::read().mono < end {
        peer.send_to(b"media", relayed).unwrap();
        pass(Duration::from_millis(20));
    }
}

/// Whether nobody holds this address.
fn is_free(relayed: SocketAddr) -> bool {
    UdpSocket::bind(relayed).is_ok()
}
