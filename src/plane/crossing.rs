//! From shard to shard: data for a relayed transport address that another shard owns.
//!
//! Between each two shards there is a ring each way, written by one and read by the other; order is
//! kept. A full ring drops, for waiting would stop a shard. Who sleeps is woken, once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use nix::sys::eventfd::EventFd;
use rtrb::{Consumer, Producer, RingBuffer};

use super::ledger::ShardIndex;
use crate::limits::plane::{CROSSING_BYTES_MAX, CROSSINGS_MAX};
use crate::turn::relayed_address::RelayPort;

/// A datagram between two relayed transport addresses of this daemon; its data travels beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crossing {
    /// Whose it is to be.
    pub(super) to: RelayPort,
    /// Relayed transport address of the sender.
    pub(super) from: SocketAddr,
    /// Bytes of data.
    pub(super) len: usize,
    /// DSCP and ECN it came with.
    pub(super) tos: u8,
}

/// One shard's ends of the rings.
#[derive(Debug)]
pub(super) struct Crossings {
    /// By shard; none to itself.
    outlets: Vec<Option<Outlet>>,
    inlets: Vec<Inlet>,
    sleep: Arc<Sleep>,
}

#[derive(Debug)]
struct Outlet {
    heads: Producer<Crossing>,
    data: Producer<u8>,
    reader: Arc<Sleep>,
    has_news: bool,
}

#[derive(Debug)]
struct Inlet {
    heads: Consumer<Crossing>,
    data: Consumer<u8>,
}

#[derive(Debug)]
struct Sleep {
    is_asleep: AtomicBool,
    wake: Arc<EventFd>,
}

/// The ends of all rings, by shard; `wakes` wakes each.
pub(super) fn between(wakes: &[Arc<EventFd>]) -> Vec<Crossings> {
    let sleep = |wake: &Arc<EventFd>| {
        Arc::new(Sleep { is_asleep: AtomicBool::new(false), wake: Arc::clone(wake) })
    };
    let mut all: Vec<_> = wakes
        .iter()
        .map(|wake| Crossings { outlets: Vec::new(), inlets: Vec::new(), sleep: sleep(wake) })
        .collect();
    for writer in 0..all.len() {
        for reader in 0..all.len() {
            let outlet = (writer != reader).then(|| {
                let (heads, their_heads) = RingBuffer::new(CROSSINGS_MAX);
                let (data, their_data) = RingBuffer::new(CROSSING_BYTES_MAX);
                all[reader].inlets.push(Inlet { heads: their_heads, data: their_data });
                let reader = Arc::clone(&all[reader].sleep);
                Outlet { heads, data, reader, has_news: false }
            });
            all[writer].outlets.push(outlet);
        }
    }
    all
}

impl Crossings {
    /// Hands a datagram to another shard; false if as much waits there as may.
    pub(super) fn send(&mut self, to: ShardIndex, crossing: Crossing, data: &[u8]) -> bool {
        debug_assert_eq!(crossing.len, data.len());
        let Some(Some(outlet)) = self.outlets.get_mut(usize::from(to.0)) else { return false };
        // The data goes first: who finds a head finds its data.
        let is_sent = !outlet.heads.is_full()
            && outlet.data.push_entire_slice(data).is_ok()
            && outlet.heads.push(crossing).is_ok();
        outlet.has_news |= is_sent;
        is_sent
    }

    /// Wakes those that sleep and were sent something since the last time.
    pub(super) fn announce(&mut self) {
        for outlet in self.outlets.iter_mut().flatten() {
            if !std::mem::take(&mut outlet.has_news) {
                continue;
            }
            // Either the reader sees what was written before it sleeps, or this sees it asleep.
            fence(Ordering::SeqCst);
            if outlet.reader.is_asleep.swap(false, Ordering::SeqCst) {
                // The counter of an eventfd cannot be full here.
                let _ = outlet.reader.wake.write(1);
            }
        }
    }

    /// How many shards may send here.
    pub(super) fn inlets(&self) -> usize {
        self.inlets.len()
    }

    /// The next datagram from one of them, and after it its data by [`Self::data`].
    pub(super) fn next(&mut self, inlet: usize) -> Option<Crossing> {
        self.inlets.get_mut(inlet)?.heads.pop().ok()
    }

    /// Data of the datagram that came last; `buffer` is exactly as long.
    pub(super) fn data(&mut self, inlet: usize, buffer: &mut [u8]) {
        let is_whole = self.inlets[inlet].data.pop_entire_slice(buffer).is_ok();
        debug_assert!(is_whole, "data is written before its head");
    }

    /// About to sleep: false if something waits, and then it does not.
    pub(super) fn fall_asleep(&self) -> bool {
        if self.inlets.is_empty() {
            return true;
        }
        self.sleep.is_asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let is_silent = self.inlets.iter().all(|inlet| inlet.heads.is_empty());
        if !is_silent {
            self.wake_up();
        }
        is_silent
    }

    /// Awake, whatever woke it.
    pub(super) fn wake_up(&self) {
        if !self.inlets.is_empty() {
            self.sleep.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::eventfd::EfdFlags;
    use std::os::fd::AsFd;

    use super::*;
    use crate::limits::DATAGRAM_BYTES_MAX;

    fn wakes(count: usize) -> Vec<Arc<EventFd>> {
        let one = || Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        (0..count).map(|_| one()).collect()
    }

    fn crossing(number: u16, len: usize) -> Crossing {
        let to = RelayPort { address: 0, number };
        Crossing { to, from: ([192, 0, 2, 1], number).into(), len, tos: 7 }
    }

    fn receive(crossings: &mut Crossings, inlet: usize) -> Option<(u16, Vec<u8>)> {
        let Crossing { to, len, tos: 7, .. } = crossings.next(inlet)? else { panic!() };
        let mut data = vec![0; len];
        crossings.data(inlet, &mut data);
        Some((to.number, data))
    }

    #[test]
    fn everything_arrives_where_it_was_sent_in_order() {
        let mut all = between(&wakes(3));
        let [a, b, c] = &mut all[..] else { panic!() };
        assert!(a.send(ShardIndex(1), crossing(1, 2), b"ab"));
        assert!(a.send(ShardIndex(1), crossing(2, 0), b""));
        assert!(c.send(ShardIndex(1), crossing(3, 1), b"c"));
        assert!(!a.send(ShardIndex(0), crossing(4, 1), b"d"), "to itself");
        assert!(!a.send(ShardIndex(3), crossing(4, 1), b"d"), "to nobody");
        assert_eq!((b.inlets(), receive(a, 0), receive(c, 1)), (2, None, None));
        assert_eq!(receive(b, 0), Some((1, b"ab".to_vec())));
        assert_eq!(receive(b, 0), Some((2, vec![])));
        assert_eq!(receive(b, 0), None);
        assert_eq!(receive(b, 1), Some((3, b"c".to_vec())));
    }

    #[test]
    fn a_full_ring_drops_whole_datagrams_and_goes_on() {
        let mut all = between(&wakes(2));
        let [a, b] = &mut all[..] else { panic!() };
        for number in 0..CROSSINGS_MAX as u16 {
            assert!(a.send(ShardIndex(1), crossing(number, 1), &[number as u8]));
        }
        assert!(!a.send(ShardIndex(1), crossing(9, 1), b"x"));
        for number in 0..CROSSINGS_MAX as u16 {
            assert_eq!(receive(b, 0), Some((number, vec![number as u8])));
        }
        // Likewise in bytes.
        let long = vec![1; DATAGRAM_BYTES_MAX];
        let fit = CROSSING_BYTES_MAX / long.len();
        for _ in 0..fit {
            assert!(a.send(ShardIndex(1), crossing(1, long.len()), &long));
        }
        assert!(!a.send(ShardIndex(1), crossing(1, long.len()), &long));
        for _ in 0..fit {
            assert_eq!(receive(b, 0), Some((1, long.clone())));
        }
        assert_eq!(receive(b, 0), None);
    }

    #[test]
    fn only_who_sleeps_is_woken_and_only_for_news() {
        let wakes = wakes(2);
        let mut all = between(&wakes);
        let [a, b] = &mut all[..] else { panic!() };
        let is_woken = || {
            let mut fds = [PollFd::new(wakes[1].as_fd(), PollFlags::POLLIN)];
            let woken = poll(&mut fds, PollTimeout::ZERO).unwrap() == 1;
            let _ = wakes[1].read();
            woken
        };
        assert!(a.send(ShardIndex(1), crossing(1, 0), b""));
        a.announce();
        assert!(!is_woken(), "it is awake");
        assert!(!b.fall_asleep(), "something waits");
        receive(b, 0).unwrap();
        assert!(b.fall_asleep());
        a.announce();
        assert!(!is_woken(), "no news");
        assert!(a.send(ShardIndex(1), crossing(1, 0), b""));
        a.announce();
        assert!(is_woken());
        assert!(a.send(ShardIndex(1), crossing(2, 0), b""));
        a.announce();
        assert!(!is_woken(), "it was woken already");
        receive(b, 0).unwrap();
        receive(b, 0).unwrap();
        assert!(b.fall_asleep());
        b.wake_up();
        assert!(a.send(ShardIndex(1), crossing(3, 0), b""));
        a.announce();
        assert!(!is_woken());
    }

    #[test]
    fn one_shard_alone_always_sleeps() {
        let all = between(&wakes(1));
        assert!(all[0].fall_asleep());
        assert_eq!(all[0].inlets(), 0);
    }
}
