//! How the datagrams of a socket come: how many buffers a read of it needs, and whether they come in
//! bursts, so that receiving them aggregated pays.
//!
//! A buffer that is laid out for a datagram which does not come costs a few percent of one that does,
//! and most reads of a relay socket find just one.
//!
//! Where nothing comes together, aggregation costs 5 to 10 % a datagram, and it cannot be switched
//! off again (see [`super::sys::aggregate`]). So it begins when bursts were seen again and again: a
//! video frame is 5 to 30 datagrams of one length, sent at once; audio never looks like that.

use super::datagram::Received;
use super::sys::BATCH_MAX;
use crate::limits::AGGREGATE_BATCH;

/// Datagrams of one source and length in a row that look like a burst.
const RUN: usize = 4;
/// So many more batches of bursts than others, of those that could be bursts.
const BATCHES_SEEN: u8 = 8;

/// What is known of a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    is_on: bool,
    seen: u8,
    /// Buffers of the next read, less one.
    more: u8,
    /// The turn of the last one.
    turn: u32,
}

impl Arrivals {
    pub(super) fn is_on(self) -> bool {
        self.is_on
    }

    /// How many buffers to read into, at most `most`: twice as many as came last, so that a burst
    /// like it is seen whole; one where one came again and again.
    pub(super) fn batch(self, most: usize) -> usize {
        let most = if self.is_on { AGGREGATE_BATCH } else { most };
        (1 + usize::from(self.more)).min(most)
    }

    /// Looks at what came into `batch` buffers in this turn; true once, when aggregation is to
    /// begin.
    pub(super) fn note(&mut self, turn: u32, batch: usize, received: &[Received]) -> bool {
        // One in one buffer says nothing, unless the socket was read just before, too.
        let is_full = received.len() == batch && (batch > 1 || turn.wrapping_sub(self.turn) == 1);
        self.turn = turn;
        let is_more = is_full || received.len() > 1;
        let next = if is_more { 2 * received.len() } else { batch / 2 };
        self.more = next.clamp(1, BATCH_MAX) as u8 - 1;
        if self.is_on || received.len() < RUN {
            return false;
        }
        let is_alike = |a: &Received, b: &Received| a.from == b.from && a.len == b.len;
        let runs = received.chunk_by(is_alike).map(<[_]>::len).filter(|run| *run >= RUN);
        if runs.sum::<usize>() * 2 < received.len() {
            self.seen = self.seen.saturating_sub(1);
            return false;
        }
        self.seen += 1;
        self.is_on = self.seen >= BATCHES_SEEN;
        self.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(flows: &[(u16, usize)]) -> Vec<Received> {
        let one = |&(port, len): &(u16, usize)| {
            let from = ([192, 0, 2, 1], port).into();
            Received { len, from, to: None, tos: 0, segment: 0 }
        };
        flows.iter().map(one).collect()
    }

    #[test]
    fn it_begins_once_after_eight_batches_of_bursts() {
        let mut arrivals = Arrivals::default();
        let burst = batch(&[(1, 1_200), (1, 1_200), (1, 1_200), (1, 1_200), (1, 300)]);
        for _ in 1..BATCHES_SEEN {
            assert!(!arrivals.note(0, 5, &burst));
        }
        assert_eq!(arrivals.batch(64), 10);
        assert!(arrivals.note(0, 5, &burst));
        assert!(arrivals.is_on());
        assert_eq!(arrivals.batch(64), AGGREGATE_BATCH);
        assert!(!arrivals.note(0, 5, &burst), "once");
    }

    #[test]
    fn many_flows_or_lengths_at_once_are_no_burst_and_few_datagrams_say_nothing() {
        let mut arrivals = Arrivals::default();
        let burst = batch(&[(1, 9); 4]);
        let others: Vec<_> = (0..16).map(|n| (n, 160)).collect();
        let lengths: Vec<_> = (0..16).map(|n| (1, 160 + n)).collect();
        for n in 0..100 {
            assert!(!arrivals.note(n, 64, &burst));
            assert!(!arrivals.note(n, 64, &batch(&[(1, 9); 3])));
            let other = if n % 2 == 0 { &others } else { &lengths };
            assert!(!arrivals.note(n, 64, &batch(other)));
        }
    }

    /// Buffers of each read of a socket in which `waiting` datagrams lie, one read in each turn.
    fn reads(arrivals: &mut Arrivals, turn: &mut u32, mut waiting: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        while waiting > 0 {
            let asked = arrivals.batch(64);
            let flows: Vec<_> = (0..waiting.min(asked) as u16).map(|n| (n, 160)).collect();
            arrivals.note(*turn, asked, &batch(&flows));
            *turn += 1;
            waiting -= flows.len();
            sizes.push(asked);
        }
        sizes
    }

    #[test]
    fn buffers_double_while_more_is_there_and_one_is_enough_for_single_datagrams() {
        let (mut arrivals, mut turn) = (Arrivals::default(), 7);
        for _ in 0..3 {
            assert_eq!(reads(&mut arrivals, &mut turn, 1), [1]);
            turn += 1;
        }
        // Many at once are read in few turns, and the next time in fewer.
        assert_eq!(reads(&mut arrivals, &mut turn, 30), [1, 1, 2, 4, 8, 16]);
        assert_eq!(reads(&mut arrivals, &mut turn, 200), [28, 56, 64, 64]);
        // What it took for them is given up again as quickly.
        let mut single = || {
            turn += 1;
            reads(&mut arrivals, &mut turn, 1)[0]
        };
        assert_eq!([(); 7].map(|()| single()), [64, 32, 16, 8, 4, 2, 1]);
    }

    #[test]
    fn bursts_are_seen_however_few_came_before() {
        let (mut arrivals, mut turn) = (Arrivals::default(), 0);
        for _ in 0..12 {
            let mut waiting = 5;
            while waiting > 0 {
                let asked = arrivals.batch(16);
                let came = batch(&vec![(1, 1_200); waiting.min(asked)]);
                waiting -= came.len();
                arrivals.note(turn, asked, &came);
                turn += 1;
            }
            turn += 1;
        }
        assert!(arrivals.is_on());
    }
}
