//! What spans the shards of a daemon: relay sockets, whom they count for, ports kept for tokens.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use turnbell::limits::RESERVATION_LIFETIME;
use turnbell::time::Now;
use turnbell::turn::contract::{Opened, Wanted, Why};
use turnbell::turn::relayed_address::RelayPort;
use turnbell::turn::reservation::{Ports, ReservationToken};
use turnbell::wire::address::Family;

/// The first port of each relay address; the lowest free one that will do is opened.
pub(crate) const FIRST_PORT: u16 = 50_000;

/// What becomes of a question for relay sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Opens,
    /// Of two families, one of IPv6 cannot be had.
    OpensV4Only,
    /// The same the other way around.
    OpensV6Only,
    Waits,
    Refuses(Why),
}

#[derive(Debug)]
pub(crate) struct Ledger {
    relays: &'static [IpAddr],
    /// Open relay sockets, and which entry of `counted` each belongs to.
    held: BTreeMap<RelayPort, u64>,
    /// Allocations that count, for which user and source.
    counted: BTreeMap<u64, (Box<str>, IpAddr)>,
    /// Ports that are kept, and until when.
    reserved: BTreeMap<ReservationToken, (RelayPort, Now)>,
    next: u64,
}

impl Ledger {
    pub(crate) fn new(relays: &'static [IpAddr]) -> Self {
        let (held, counted, reserved) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { relays, held, counted, reserved, next: 0 }
    }

    pub(crate) fn is_open(&self, relay: RelayPort) -> bool {
        self.held.contains_key(&relay)
    }

    pub(crate) fn transport_address(&self, relay: RelayPort) -> SocketAddr {
        SocketAddr::new(self.relays[usize::from(relay.address)], relay.number)
    }

    /// A token that was given out, used or not; the choice is the fuzzer's.
    pub(crate) fn token(&self, choice: u8) -> Option<ReservationToken> {
        self.reserved.keys().nth(usize::from(choice) % self.reserved.len().max(1)).copied()
    }

    pub(crate) fn open(
        &mut self,
        now: Now,
        mood: Mood,
        user: Box<str>,
        source: IpAddr,
        wanted: Wanted,
    ) -> Result<Opened, Why> {
        self.reserved.retain(|_, (_, until)| until.mono > now.mono);
        self.next += 1;
        let opened = |relay| Opened { relay, other: None, reserved: None };
        let result = match (mood, wanted) {
            (Mood::Refuses(why), _) => Err(why),
            (_, Wanted::One(family, ports)) => {
                let relay = self.open_one(family, ports);
                let reserved = (ports == Ports::EvenAndReserve).then(|| self.reserve(now, relay));
                Ok(Opened { reserved, ..opened(relay) })
            }
            (_, Wanted::Both { even }) => {
                let ports = if even { Ports::Even } else { Ports::Any };
                let refused = Err(Why::Ports);
                Ok(match mood {
                    Mood::OpensV4Only => {
                        Opened { other: Some(refused), ..opened(self.open_one(Family::V4, ports)) }
                    }
                    Mood::OpensV6Only => {
                        Opened { other: Some(refused), ..opened(self.open_one(Family::V6, ports)) }
                    }
                    Mood::Opens | Mood::Waits | Mood::Refuses(_) => {
                        let first = self.open_one(Family::V4, ports);
                        let other = Some(Ok(self.open_one(Family::V6, ports)));
                        Opened { other, ..opened(first) }
                    }
                })
            }
            (_, Wanted::Reserved(token)) => match self.reserved.remove(&token) {
                Some((relay, _)) => {
                    self.held.insert(relay, self.next);
                    Ok(opened(relay))
                }
                None => Err(Why::Reservation),
            },
        };
        if result.is_ok() {
            self.counted.insert(self.next, (user, source));
        }
        result
    }

    fn open_one(&mut self, family: Family, ports: Ports) -> RelayPort {
        let mut addresses: Vec<u8> = (0..self.relays.len() as u8)
            .filter(|index| Family::of(self.relays[usize::from(*index)]) == family)
            .collect();
        // Where there are two of a family they take turns.
        if self.next.is_multiple_of(2) {
            addresses.reverse();
        }
        let address = *addresses.first().expect("only families that are there are asked for");
        let is_free = |number| {
            let relay = RelayPort { address, number };
            !self.held.contains_key(&relay)
                && self.reserved.values().all(|(kept, _)| *kept != relay)
        };
        let is_fit = |number: &u16| match ports {
            Ports::Any => is_free(*number),
            Ports::Even => number.is_multiple_of(2) && is_free(*number),
            Ports::EvenAndReserve => {
                number.is_multiple_of(2) && is_free(*number) && is_free(*number + 1)
            }
        };
        let number = (FIRST_PORT..u16::MAX).find(is_fit).expect("a free port");
        let relay = RelayPort { address, number };
        self.held.insert(relay, self.next);
        relay
    }

    fn reserve(&mut self, now: Now, relay: RelayPort) -> ReservationToken {
        let token = ReservationToken((0x5EED << 32 | self.next).to_be_bytes());
        let kept = RelayPort { number: relay.number + 1, ..relay };
        self.reserved.insert(token, (kept, now.after(RESERVATION_LIFETIME)));
        token
    }

    /// Quota goes back to whom it was taken from, with the last socket and not before.
    pub(crate) fn close(&mut self, relay: RelayPort, user: &str, source: IpAddr, is_last: bool) {
        let entry = self.held.remove(&relay).expect("closed once, after opening");
        let (whose, from) = &self.counted[&entry];
        assert_eq!((&**whose, *from), (user, source), "of whom it was opened for");
        let is_left = self.held.values().any(|other| *other == entry);
        assert_eq!(is_last, !is_left, "the last socket of an allocation is said to be the last");
        if is_last {
            self.counted.remove(&entry);
        }
    }

    /// Sockets that are open, and allocations that count.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.held.len(), self.counted.len())
    }
}
