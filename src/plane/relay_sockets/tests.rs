//! Opening relay sockets over one ledger, on loopback.

use std::time::Duration;

use nix::sys::epoll::EpollCreateFlags;

use super::*;
use crate::plane::ledger::PortCount;
use crate::policy::quota::QuotaLimits;

const USER: &str = "bob";
const V4: Wanted = Wanted::One(Family::V4, Ports::Any);
const PAIR: Wanted = Wanted::One(Family::V4, Ports::EvenAndReserve);

/// Two shards over one ledger.
struct Plane {
    ledger: Ledger,
    epoll: Epoll,
    shards: [RelaySockets; 2],
    now: Now,
}

impl Plane {
    /// Relays on both loopback addresses, with any ports.
    fn new() -> Self {
        let addresses = ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
        let limits = QuotaLimits { per_user: 1000, per_source: 1000, total: 1000 };
        Self {
            ledger: Ledger::new(&addresses, &(20_000..=32_767), limits),
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap(),
            shards: [0, 1].map(|at| RelaySockets::new(ShardIndex(at), addresses.to_vec(), false)),
            now: Now::read(),
        }
    }

    fn open(&mut self, shard: usize, wanted: Wanted) -> Result<Opened, Why> {
        let Self { ledger, epoll, shards, now } = self;
        shards[shard].open(*now, ledger, epoll, USER, source(), wanted)
    }

    fn close(&mut self, shard: usize, port: RelayPort) {
        self.shards[shard].close(&self.ledger, port);
    }

    fn check_all_free(&self) {
        let PortCount { free, resting, reserved, used } = self.ledger.port_count();
        assert_eq!((free + resting, reserved, used), (2 * 12_768, 0, 0));
    }
}

fn source() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

#[test]
fn both_families_are_opened_and_count_once() {
    let mut plane = Plane::new();
    let opened = plane.open(0, Wanted::Both { even: true }).unwrap();
    let other = opened.other.unwrap().unwrap();
    assert_eq!((opened.relay.address, other.address), (0, 1));
    assert!(opened.relay.number.is_multiple_of(2) && other.number.is_multiple_of(2));
    assert_eq!(plane.ledger.allocation_count(), 1);
    plane.close(0, opened.relay);
    plane.close(0, other);
    plane.ledger.uncount(USER, source());
    plane.check_all_free();
}

#[test] // RFC 8656 §7.2: a reservation is server-wide; R1: its socket goes to who redeems it
fn a_reserved_port_is_bound_at_once_and_redeemed_by_another_shard() {
    let mut plane = Plane::new();
    let opened = plane.open(0, PAIR).unwrap();
    let next = RelayPort { number: opened.relay.number + 1, ..opened.relay };
    assert_eq!(opened.relay.number % 2, 0);
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), next.number);
    assert!(UdpSocket::bind(address).is_err(), "the kernel knows that it is taken");
    assert_eq!(plane.ledger.owner(next), None, "nobody has it yet");

    let token = opened.reserved.unwrap();
    let redeemed = plane.open(1, Wanted::Reserved(token)).unwrap();
    assert_eq!(redeemed, Opened { relay: next, other: None, reserved: None });
    assert_eq!(plane.ledger.owner(next), Some(ShardIndex(1)));
    assert_eq!(plane.shards[1].socket(next).unwrap().local_addr().unwrap(), address);
    assert_eq!(plane.open(0, Wanted::Reserved(token)), Err(Why::Reservation), "only once");
    assert_eq!(plane.ledger.allocation_count(), 2);
    plane.close(1, next);
    plane.close(0, opened.relay);
    for _ in 0..2 {
        plane.ledger.uncount(USER, source());
    }
    plane.check_all_free();
}

#[test]
fn a_reservation_outlives_its_allocation_and_ends_with_its_time() {
    let mut plane = Plane::new();
    let opened = plane.open(0, PAIR).unwrap();
    plane.close(0, opened.relay);
    plane.ledger.uncount(USER, source());
    plane.now = plane.now.after(Duration::from_secs(60));
    let gone = plane.open(0, Wanted::Reserved(opened.reserved.unwrap()));
    assert_eq!(gone, Err(Why::Reservation));
    plane.check_all_free();
    assert_eq!(plane.ledger.allocation_count(), 0);
}

#[test] // R7: a busy port rests; of a pair the other half goes back
fn a_pair_of_which_another_program_holds_one_half_is_passed_over() {
    let mut plane = Plane::new();
    let addresses = ["127.0.0.1".parse().unwrap()];
    // A port whose other half is free.
    let (busy, number) = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap())
        .map(|busy| (busy.local_addr().unwrap().port(), busy))
        .find(|(port, _)| UdpSocket::bind(("127.0.0.1", port ^ 1)).is_ok())
        .map(|(port, busy)| (busy, port & !1))
        .unwrap();
    let limits = QuotaLimits { per_user: 9, per_source: 9, total: 9 };
    plane.ledger = Ledger::new(&addresses, &(number..=number + 1), limits);
    assert_eq!(plane.open(0, PAIR), Err(Why::Ports));
    let count = plane.ledger.port_count();
    assert_eq!((count.resting, count.free, count.used), (1, 1, 0));
    assert_eq!(plane.ledger.allocation_count(), 0);
    drop(busy);
    plane.now = plane.now.after(Duration::from_secs(60));
    assert!(plane.open(0, PAIR).is_ok(), "{:?}", plane.ledger.port_count());
}

#[test]
fn a_refused_reservation_gives_both_ports_back() {
    let mut plane = Plane::new();
    let limits = QuotaLimits { per_user: 2, per_source: 9, total: 9 };
    let addresses = ["127.0.0.1".parse().unwrap()];
    plane.ledger = Ledger::new(&addresses, &(20_000..=32_767), limits);
    let one = plane.open(0, V4).unwrap();
    // The second one of two fits, the reservation beside it does not.
    assert_eq!(plane.open(0, PAIR), Err(Why::UserQuota));
    assert_eq!(plane.ledger.port_count().used, 1);
    assert_eq!(plane.ledger.allocation_count(), 1);
    plane.close(0, one.relay);
    plane.ledger.uncount(USER, source());
    assert!(plane.open(0, PAIR).is_ok());
}
