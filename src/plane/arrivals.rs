//! Whether the datagrams of a socket come in bursts, so that receiving them aggregated pays.
//!
//! Where nothing comes together, aggregation costs 5 to 10 % a datagram, and it cannot be switched
//! off again (see [`super::sys::aggregate`]). So it begins when bursts were seen again and again: a
//! video frame is 5 to 30 datagrams of one length, sent at once; audio never looks like that.

use super::datagram::Received;
use crate::limits::AGGREGATE_BATCH;

/// Datagrams of one source and length in a row that look like a burst.
const RUN: usize = 4;
/// So many more batches of bursts than others, of those that could be bursts.
const BATCHES_SEEN: u8 = 8;

/// What is known of a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Aggregation {
    is_on: bool,
    seen: u8,
}

impl Aggregation {
    pub(super) fn is_on(self) -> bool {
        self.is_on
    }

    /// How many buffers to read into, where `most` is right for single datagrams.
    pub(super) fn batch(self, most: usize) -> usize {
        if self.is_on { AGGREGATE_BATCH } else { most }
    }

    /// Looks at a batch; true once, when aggregation is to begin.
    pub(super) fn note(&mut self, received: &[Received]) -> bool {
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
        let mut aggregation = Aggregation::default();
        let burst = batch(&[(1, 1_200), (1, 1_200), (1, 1_200), (1, 1_200), (1, 300)]);
        for _ in 1..BATCHES_SEEN {
            assert!(!aggregation.note(&burst));
        }
        assert_eq!(aggregation.batch(64), 64);
        assert!(aggregation.note(&burst));
        assert!(aggregation.is_on());
        assert_eq!(aggregation.batch(64), AGGREGATE_BATCH);
        assert!(!aggregation.note(&burst), "once");
    }

    #[test]
    fn many_flows_or_lengths_at_once_are_no_burst_and_few_datagrams_say_nothing() {
        let mut aggregation = Aggregation::default();
        let burst = batch(&[(1, 9); 4]);
        let others: Vec<_> = (0..16).map(|n| (n, 160)).collect();
        let lengths: Vec<_> = (0..16).map(|n| (1, 160 + n)).collect();
        for n in 0..100 {
            assert!(!aggregation.note(&burst));
            assert!(!aggregation.note(&batch(&[(1, 9); 3])));
            let other = if n % 2 == 0 { &others } else { &lengths };
            assert!(!aggregation.note(&batch(other)));
        }
    }
}
