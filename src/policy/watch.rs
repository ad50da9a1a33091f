//! Whose doings are traced: a running verification is known by its one-time username and the
//! addresses it comes from (P7). Of everybody else nothing is kept.

use std::net::IpAddr;
use std::time::Instant;

use crate::limits::watch::{
    WATCH_ADDRESSES_MAX, WATCH_EVENTS_MAX, WATCH_LIKELY_EVENTS_MAX, WATCH_TIME, WATCHES_MAX,
};

/// Names a watch; random, so that nobody reads another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId(pub u64);

/// What is to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Under which name it is read.
    pub id: WatchId,
    /// USERNAME of the credential that was made for it.
    pub username: Box<str>,
    /// Where it comes from, as far as that is known yet.
    pub addresses: Vec<IpAddr>,
}

/// How sure it is that an event belongs to a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Its credential was seen.
    Certain,
    /// It came from one of its addresses, where others may be, too.
    Likely,
}

/// Why nothing is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWatched {
    /// [`WATCHES_MAX`] are open.
    #[error("{WATCHES_MAX} verifications are running; try again in a minute and a half")]
    TooMany,
    /// [`WATCH_ADDRESSES_MAX`] are known.
    #[error("a verification is known by at most {WATCH_ADDRESSES_MAX} addresses")]
    TooManyAddresses,
}

/// What is known of whoever did something.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Where it came from.
    pub ip: IpAddr,
    /// The name it said or is known by; then the address proves nothing more.
    pub username: Option<&'a [u8]>,
}

/// The watches that are open, with what was seen of each.
#[derive(Debug)]
pub struct Watches<E> {
    open: Vec<Watch<E>>,
}

#[derive(Debug)]
struct Watch<E> {
    wish: Wish,
    until: Instant,
    seen: Trace<E>,
    likely: usize,
}

/// What was seen of one watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace<E> {
    /// Oldest first.
    pub events: Vec<(Certainty, E)>,
    /// Events beyond the bound.
    pub dropped: u64,
}

impl<E> Default for Watches<E> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<E: Clone> Watches<E> {
    /// Whether nothing is watched, which is nearly always.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Watches from here on, for [`WATCH_TIME`]. The same id again: longer, and by these addresses
    /// too.
    ///
    /// # Errors
    /// If there are too many, of watches or of addresses; nothing changes then.
    pub fn open(&mut self, now: Instant, wish: Wish) -> Result<(), NotWatched> {
        self.close_old(now);
        let until = now + WATCH_TIME;
        if let Some(watch) = self.open.iter_mut().find(|watch| watch.wish.id == wish.id) {
            let new = distinct(watch.wish.addresses.iter().chain(&wish.addresses));
            if new.len() > WATCH_ADDRESSES_MAX {
                return Err(NotWatched::TooManyAddresses);
            }
            watch.wish.addresses = new;
            watch.until = until;
            return Ok(());
        }
        let addresses = distinct(wish.addresses.iter());
        if addresses.len() > WATCH_ADDRESSES_MAX {
            return Err(NotWatched::TooManyAddresses);
        }
        if self.open.len() >= WATCHES_MAX {
            return Err(NotWatched::TooMany);
        }
        let wish = Wish { addresses, ..wish };
        let seen = Trace { events: Vec::new(), dropped: 0 };
        self.open.push(Watch { wish, until, seen, likely: 0 });
        Ok(())
    }

    /// What was seen of a watch so far; `None` if there is none of this name (any more).
    pub fn read(&mut self, now: Instant, id: WatchId) -> Option<Trace<E>> {
        self.close_old(now);
        self.open.iter().find(|watch| watch.wish.id == id).map(|watch| watch.seen.clone())
    }

    /// USERNAME of a watch; `None` if there is none of this name (any more).
    #[must_use]
    pub fn username(&self, id: WatchId) -> Option<&str> {
        self.open.iter().find(|watch| watch.wish.id == id).map(|watch| &*watch.wish.username)
    }

    /// Keeps an event for each watch that it belongs to.
    pub fn note(&mut self, now: Instant, seen: Seen<'_>, event: impl Fn() -> E) {
        if self.open.is_empty() {
            return;
        }
        self.close_old(now);
        for watch in &mut self.open {
            if let Some(certainty) = watch.wish.certainty(seen) {
                watch.keep(certainty, &event);
            }
        }
    }

    fn close_old(&mut self, now: Instant) {
        self.open.retain(|watch| watch.until > now);
    }
}

impl Wish {
    fn certainty(&self, seen: Seen<'_>) -> Option<Certainty> {
        match seen.username {
            Some(name) => (name == self.username.as_bytes()).then_some(Certainty::Certain),
            None => self.addresses.contains(&seen.ip).then_some(Certainty::Likely),
        }
    }
}

impl<E> Watch<E> {
    fn keep(&mut self, certainty: Certainty, event: impl Fn() -> E) {
        let likely_more = usize::from(certainty == Certainty::Likely);
        if self.seen.events.len() >= WATCH_EVENTS_MAX
            || self.likely + likely_more > WATCH_LIKELY_EVENTS_MAX
        {
            self.seen.dropped += 1;
            return;
        }
        self.likely += likely_more;
        self.seen.events.push((certainty, event()));
    }
}

/// IPv4 in IPv6 is IPv4: a dual-stack socket says the one, a relay the other.
fn distinct<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in addresses.map(IpAddr::to_canonical) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Now;

    const HERE: &str = "192.0.2.1";
    const THERE: &str = "192.0.2.2";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wish(id: u64, username: &str, addresses: &[&str]) -> Wish {
        let addresses = addresses.iter().map(|text| ip(text)).collect();
        Wish { id: WatchId(id), username: username.into(), addresses }
    }

    fn at(address: &str) -> Seen<'static> {
        Seen { ip: ip(address), username: None }
    }

    fn named<'a>(address: &str, name: &'a str) -> Seen<'a> {
        Seen { ip: ip(address), username: Some(name.as_bytes()) }
    }

    fn events(watches: &mut Watches<u32>, now: Instant, id: u64) -> Vec<(Certainty, u32)> {
        watches.read(now, WatchId(id)).unwrap().events
    }

    #[test]
    fn a_name_is_certain_an_address_likely_and_another_name_neither() {
        let now = Now::read().mono;
        let mut watches = Watches::default();
        watches.open(now, wish(1, "9:one", &[HERE])).unwrap();
        // Behind the same NAT.
        watches.open(now, wish(2, "9:two", &[HERE])).unwrap();
        for (event, seen) in [
            at(HERE),
            named(HERE, "9:one"),
            named(THERE, "9:two"),
            named(HERE, "9:three"),
            at(THERE),
        ]
        .into_iter()
        .enumerate()
        {
            watches.note(now, seen, || event as u32);
        }
        use Certainty::{Certain, Likely};
        assert_eq!(events(&mut watches, now, 1), [(Likely, 0), (Certain, 1)]);
        assert_eq!(events(&mut watches, now, 2), [(Likely, 0), (Certain, 2)]);
        assert_eq!(watches.read(now, WatchId(3)), None);
    }

    #[test]
    fn a_watch_ends_unless_it_is_asked_for_again() {
        let start = Now::read().mono;
        let mut watches: Watches<u32> = Watches::default();
        watches.open(start, wish(1, "9:one", &[HERE])).unwrap();
        let late = start + WATCH_TIME - Duration::from_millis(1);
        watches.open(late, wish(1, "9:one", &[THERE, "::ffff:192.0.2.1"])).unwrap();
        let later = late + WATCH_TIME - Duration::from_millis(1);
        watches.note(later, at(HERE), || 1);
        watches.note(later, at(THERE), || 2);
        assert_eq!(events(&mut watches, later, 1).len(), 2);
        let over = late + WATCH_TIME;
        watches.note(over, at(HERE), || 3);
        assert!(watches.is_empty());
        assert_eq!(watches.read(over, WatchId(1)), None);
    }

    #[test]
    fn watches_and_their_addresses_are_bounded() {
        let now = Now::read().mono;
        let mut watches: Watches<u32> = Watches::default();
        let many: Vec<String> = (0..=WATCH_ADDRESSES_MAX).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let too_many = Err(NotWatched::TooManyAddresses);
        assert_eq!(watches.open(now, wish(0, "9:zero", &many)), too_many);
        assert_eq!(watches.open(now, wish(0, "9:zero", &many[1..])), Ok(()));
        assert_eq!(watches.open(now, wish(0, "9:zero", &many[..1])), too_many);
        for id in 1..WATCHES_MAX as u64 {
            watches.open(now, wish(id, "9:more", &[HERE])).unwrap();
        }
        let next = WATCHES_MAX as u64;
        assert_eq!(watches.open(now, wish(next, "9:next", &[])), Err(NotWatched::TooMany));
        assert_eq!(watches.open(now, wish(1, "9:more", &[THERE])), Ok(()));
        assert_eq!(watches.open(now + WATCH_TIME, wish(next, "9:next", &[])), Ok(()));
    }

    #[test]
    fn who_shares_an_address_cannot_push_out_what_is_certain() {
        let now = Now::read().mono;
        let mut watches = Watches::default();
        watches.open(now, wish(1, "9:one", &[HERE])).unwrap();
        for event in 0..1000 {
            watches.note(now, at(HERE), || event);
        }
        assert_eq!(events(&mut watches, now, 1).len(), WATCH_LIKELY_EVENTS_MAX);
        for event in 0..1000 {
            watches.note(now, named(HERE, "9:one"), || event);
        }
        let trace = watches.read(now, WatchId(1)).unwrap();
        assert_eq!(trace.events.len(), WATCH_EVENTS_MAX);
        assert_eq!(trace.dropped, 2000 - WATCH_EVENTS_MAX as u64);
    }
}
