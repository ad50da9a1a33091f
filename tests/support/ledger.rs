//! A fake ledger: opens relay sockets by counting ports up, or refuses, or lets the relay wait.

use std::collections::BTreeMap;
use std::net::IpAddr;

use turnbell::turn::contract::{Opened, Token, Wanted, Why};
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

/// The ports it gives out, ascending from here.
pub(crate) const FIRST_PORT: u16 = 50_000;

/// What the ledger does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Opens,
    Refuses(Why),
    /// Of two families only this one can be had.
    OpensOnly(Family, Why),
    Waits,
}

/// A question that was not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) token: Token,
    pub(crate) user: Box<str>,
    pub(crate) source: IpAddr,
    pub(crate) wanted: Wanted,
}

/// The sockets that are open, and for whom.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) mood: Mood,
    pub(crate) waiting: Vec<Question>,
    held: BTreeMap<RelayPort, (Box<str>, IpAddr)>,
    /// Allocations that count, for whom.
    counted: Vec<(Box<str>, IpAddr)>,
    /// The next higher ports, by their tokens.
    reserved: BTreeMap<ReservationToken, RelayPort>,
    addresses: Vec<IpAddr>,
    next_port: u16,
}

impl Ledger {
    pub(crate) fn new(addresses: Vec<IpAddr>) -> Self {
        Self {
            mood: Mood::Opens,
            waiting: Vec::new(),
            held: BTreeMap::new(),
            counted: Vec::new(),
            reserved: BTreeMap::new(),
            addresses,
            next_port: FIRST_PORT,
        }
    }

    /// Opens the sockets for a question; only an unknown token is refused.
    pub(crate) fn open(&mut self, question: &Question) -> Result<Opened, Why> {
        let mood = self.mood;
        let mut open = |family, ports| self.open_one(question, family, ports);
        let opened = |relay| Opened { relay, other: None, reserved: None };
        let result = match (question.wanted, mood) {
            (Wanted::One(family, ports), _) => {
                let relay = open(family, ports);
                let next = RelayPort { number: relay.number + 1, ..relay };
                let reserved = (ports == Ports::EvenAndReserve).then(|| self.reserve(next));
                Opened { reserved, ..opened(relay) }
            }
            (Wanted::Both { even }, mood) => {
                let ports = if even { Ports::Even } else { Ports::Any };
                match mood {
                    Mood::OpensOnly(family, why) => {
                        Opened { other: Some(Err(why)), ..opened(open(family, ports)) }
                    }
                    Mood::Opens | Mood::Refuses(_) | Mood::Waits => {
                        let relay = open(Family::V4, ports);
                        Opened { other: Some(Ok(open(Family::V6, ports))), ..opened(relay) }
                    }
                }
            }
            (Wanted::Reserved(token), _) => {
                let relay = self.reserved.remove(&token).ok_or(Why::Reservation)?;
                self.held.insert(relay, (question.user.clone(), question.source));
                opened(relay)
            }
        };
        self.counted.push((question.user.clone(), question.source));
        Ok(result)
    }

    fn open_one(&mut self, question: &Question, family: Family, ports: Ports) -> RelayPort {
        let of_family = |ip: &IpAddr| Family::of(*ip) == family;
        let address = self.addresses.iter().position(of_family).expect("asked for what there is");
        if ports != Ports::Any {
            self.next_port = self.next_port.next_multiple_of(2);
        }
        let port = RelayPort { address: address as u8, number: self.next_port };
        self.next_port += 1;
        self.held.insert(port, (question.user.clone(), question.source));
        port
    }

    fn reserve(&mut self, port: RelayPort) -> ReservationToken {
        let token = ReservationToken(u64::from(port.number).to_be_bytes());
        self.next_port += 1;
        self.reserved.insert(token, port);
        token
    }

    /// Takes a socket back: it was open, and for this user and source. With the last one of its
    /// allocation the count goes back.
    pub(crate) fn close(&mut self, port: RelayPort, user: &str, source: IpAddr, is_last: bool) {
        let held = self.held.remove(&port).expect("a socket is closed once, after it was opened");
        assert_eq!((&*held.0, held.1), (user, source), "quota goes back to whom it was taken from");
        if is_last {
            let at = self.counted.iter().position(|counted| *counted == held);
            self.counted.swap_remove(at.expect("counted once, given back once"));
        }
    }

    /// Allocations that count against quotas.
    pub(crate) fn counted(&self) -> usize {
        self.counted.len()
    }

    pub(crate) fn is_open(&self, port: RelayPort) -> bool {
        self.held.contains_key(&port)
    }

    pub(crate) fn open_count(&self) -> usize {
        self.held.len()
    }
}
