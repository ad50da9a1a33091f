//! The ledger of the simulation against the real one, which needs real sockets and draws by itself.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use turnbell::plane::ledger::{Ledger as Real, PortCount};
use turnbell::policy::quota::QuotaLimits;
use turnbell::time::Now;
use turnbell::turn::contract::{Opened, Wanted, Why};
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

use super::ledger::{Draws, Ledger, some_limits};
use super::prng::Prng;
use crate::support::{RELAY_V4, RELAY_V6};

const PORTS: u16 = 6;

/// What the real one drew, in order.
struct Drawn {
    ports: Vec<RelayPort>,
    token: Option<ReservationToken>,
}

impl Draws for Drawn {
    fn port(&mut self, _: &[RelayPort]) -> Result<RelayPort, Why> {
        Ok(self.ports.remove(0))
    }

    fn token(&mut self) -> ReservationToken {
        self.token.expect("the real one reserved, too")
    }
}

/// Asks the real ledger in the order of `plane/relay_sockets.rs`; nothing fails to be bound.
fn open(
    real: &Real,
    now: Now,
    user: &str,
    source: IpAddr,
    wanted: Wanted,
    drawn: &mut Drawn,
) -> Result<Opened, Why> {
    let opened = |relay| Opened { relay, other: None, reserved: None };
    if let Wanted::Reserved(token) = wanted {
        return real.redeem(now, token, user, source).map(|(port, _)| opened(port));
    }
    real.count(user, source)?;
    let mut draw = |family, ports| {
        let port = real.draw(now, family, ports);
        drawn.ports.extend(port);
        port
    };
    let result = match wanted {
        Wanted::One(family, Ports::EvenAndReserve) => {
            draw(family, Ports::EvenAndReserve).and_then(|relay| {
                let next = RelayPort { number: relay.number + 1, ..relay };
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let reserved = real.reserve(now, next, socket, user, source);
                let token = reserved.inspect_err(|_| real.give_back(relay))?;
                Ok(Opened { reserved: Some(token), ..opened(relay) })
            })
        }
        Wanted::One(family, ports) => draw(family, ports).map(opened),
        Wanted::Both { even } => {
            let ports = if even { Ports::Even } else { Ports::Any };
            match (draw(Family::V4, ports), draw(Family::V6, ports)) {
                (Ok(relay), other) | (other, Ok(relay)) => {
                    Ok(Opened { other: Some(other), ..opened(relay) })
                }
                (Err(why), Err(_)) => Err(why),
            }
        }
        Wanted::Reserved(_) => unreachable!("redeemed"),
    };
    drawn.token = result.ok().and_then(|opened: Opened| opened.reserved);
    result.inspect_err(|_| real.uncount(user, source))
}

fn pick(prng: &mut Prng, tokens: &[ReservationToken]) -> Wanted {
    let family = *prng.pick(&[Family::V4, Family::V6]);
    match prng.below(8) {
        0 => Wanted::Both { even: prng.chance(50) },
        1 => Wanted::One(family, Ports::Even),
        2 | 3 => Wanted::One(family, Ports::EvenAndReserve),
        4 | 5 if !tokens.is_empty() => Wanted::Reserved(*prng.pick(tokens)),
        _ => Wanted::One(family, Ports::Any),
    }
}

/// Both do the same to the same wishes.
fn compare(seed: u64) {
    let mut prng = Prng::new(seed);
    let limits = QuotaLimits { per_source: 8, ..some_limits(&mut prng) };
    let real = Real::new(&[RELAY_V4, RELAY_V6], &(50_000..=50_000 + PORTS - 1), limits);
    let mut model = Ledger::with(limits, PORTS);
    let (start, mut ms) = (Now::read(), 0);
    let mut live: Vec<(&str, IpAddr, Vec<RelayPort>)> = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..60 {
        ms += *prng.pick(&[0, 10, 1000, 20_000, 59_999, 60_000]);
        let now = start.after(Duration::from_millis(ms));
        // As the shard does once a turn.
        real.tend(now);
        model.tend(ms);
        let user = *prng.pick(&["alice", "bob"]);
        let source: IpAddr = prng.pick(&["203.0.113.1", "203.0.113.2"]).parse().unwrap();
        match prng.below(10) {
            0 => {
                let limits = some_limits(&mut prng);
                real.set_quota(limits);
                model.set_limits(limits);
            }
            1..4 if !live.is_empty() => {
                let at = prng.below(live.len() as u64) as usize;
                let (user, source, ports) = live.swap_remove(at);
                for (nth, port) in ports.iter().enumerate() {
                    real.give_back(*port);
                    model.close(0, *port, user, source, nth + 1 == ports.len());
                }
                real.uncount(user, source);
            }
            _ => {
                let wanted = pick(&mut prng, &tokens);
                let mut drawn = Drawn { ports: Vec::new(), token: None };
                let expected = open(&real, now, user, source, wanted, &mut drawn);
                // What was drawn and came to nothing is free again.
                let opened = model.open(&mut drawn, ms, 0, user, source, wanted);
                assert_eq!(opened, expected, "{wanted:?} of {user}");
                if let Ok(Opened { relay, other, reserved }) = opened {
                    tokens.extend(reserved);
                    let ports = std::iter::once(relay).chain(other.and_then(Result::ok));
                    live.push((user, source, ports.collect()));
                }
            }
        }
        model.check();
        let PortCount { free, resting, reserved, used } = real.port_count();
        assert_eq!((used, resting), (model.open_ports().count(), 0));
        assert_eq!(free + used + reserved, 2 * usize::from(PORTS), "N5");
        assert_eq!(real.allocation_count(), model.counted() as u64);
    }
}

#[test]
fn the_ledger_of_the_simulation_is_the_real_one() {
    for seed in 0..200 {
        compare(seed);
    }
}
