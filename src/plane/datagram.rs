//! Datagrams as they come and go, and which of them travel together.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::limits::{BURST_BYTES_MAX, BURST_LEN_MAX, BURST_SEGMENT_V4_MAX, BURST_SEGMENT_V6_MAX};

/// What came with a received datagram, or with several of one flow that the kernel put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// Bytes of it.
    pub(super) len: usize,
    /// Its source.
    pub(super) from: SocketAddr,
    /// The address of ours that it was sent to, where the socket reports it.
    pub(super) to: Option<IpAddr>,
    /// DSCP and ECN (IPv4 TOS, IPv6 traffic class), where the socket reports them, else 0.
    pub(super) tos: u8,
    /// Bytes of each datagram but the last, which may be shorter; 0 if it is just one.
    pub(super) segment: usize,
}

/// A datagram to send; the range lies in the buffer given to [`super::sys::send_batch`].
#[derive(Debug, Clone)]
pub(super) struct Transmit {
    /// Where the bytes are.
    pub(super) range: Range<usize>,
    /// Where they go.
    pub(super) to: SocketAddr,
    /// Source address, for sockets that are bound to the wildcard.
    pub(super) from: Option<IpAddr>,
    /// DSCP and ECN; 0 leaves the socket's own.
    pub(super) tos: u8,
}

impl Received {
    /// Whether it is made of several.
    pub(super) fn is_aggregate(&self) -> bool {
        (1..self.len).contains(&self.segment)
    }

    /// How many datagrams it is.
    pub(super) fn count(&self) -> usize {
        if self.is_aggregate() { self.len.div_ceil(self.segment) } else { 1 }
    }

    /// Where each lies, given where all of it lies.
    pub(super) fn parts(&self, whole: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let step = if self.is_aggregate() { self.segment } else { whole.len() };
        let count = self.count();
        (0..count).map(move |n| {
            let start = whole.start + n * step;
            start..(start + step).min(whole.end)
        })
    }
}

impl Transmit {
    fn segment_max(&self) -> usize {
        if self.to.is_ipv4() { BURST_SEGMENT_V4_MAX } else { BURST_SEGMENT_V6_MAX }
    }
}

/// How many datagrams from the front leave as one message: to one destination, alike in source and
/// DSCP, of one length but for a shorter last one (R5). At least 1.
///
/// # Panics
/// If there is none.
pub(super) fn burst(transmits: &[Transmit]) -> usize {
    let first = &transmits[0];
    let segment = first.range.len();
    if segment == 0 || segment > first.segment_max() {
        return 1;
    }
    let most = (BURST_BYTES_MAX / segment).min(BURST_LEN_MAX);
    let mut len = 1;
    for next in &transmits[1..transmits.len().min(most)] {
        let is_alike = next.to == first.to && next.from == first.from && next.tos == first.tos;
        if !is_alike || !(1..=segment).contains(&next.range.len()) {
            break;
        }
        len += 1;
        if next.range.len() < segment {
            break;
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmits(to: &str, lens: &[usize]) -> Vec<Transmit> {
        let transmit = |len: &usize| Transmit {
            range: 7..7 + len,
            to: to.parse().unwrap(),
            from: None,
            tos: 0,
        };
        lens.iter().map(transmit).collect()
    }

    fn check(to: &str, lens: &[usize], expected: usize) {
        assert_eq!(burst(&transmits(to, lens)), expected, "{lens:?}");
    }

    #[test]
    fn datagrams_of_one_length_leave_together_and_a_shorter_one_ends_it() {
        let v4 = "192.0.2.1:1";
        check(v4, &[160], 1);
        check(v4, &[160, 160, 160], 3);
        check(v4, &[160, 160, 20, 20], 3);
        check(v4, &[160, 161, 160], 1);
        check(v4, &[160, 0], 1);
        check(v4, &[0, 0], 1);
    }

    #[test] // R5: 64 segments, 65,507 bytes, with headers within 1,500
    fn a_burst_keeps_to_what_the_kernel_takes() {
        let (v4, v6) = ("192.0.2.1:1", "[2001:db8::1]:1");
        check(v4, &[10; 100], 64);
        check(v4, &[1_200; 100], 54);
        check(v4, &[1_472; 3], 3);
        check(v4, &[1_473; 3], 1);
        check(v6, &[1_452; 3], 3);
        check(v6, &[1_453; 3], 1);
    }

    #[test]
    fn one_that_differs_in_anything_is_sent_by_itself() {
        let same = transmits("192.0.2.1:1", &[9; 3]);
        let changes: [fn(&mut Transmit); 3] =
            [|t| t.to.set_port(2), |t| t.from = Some([192, 0, 2, 9].into()), |t| t.tos = 1];
        for change in changes {
            let mut other = same.clone();
            change(&mut other[1]);
            assert_eq!(burst(&other), 1);
            let mut other = same.clone();
            change(&mut other[2]);
            assert_eq!(burst(&other), 2);
        }
    }

    #[test]
    fn what_the_kernel_put_together_is_taken_apart() {
        let received = |len, segment| {
            let from = ([192, 0, 2, 1], 1).into();
            Received { len, from, to: None, tos: 0, segment }
        };
        let lens = |len, segment| {
            let one = received(len, segment);
            let parts: Vec<_> = one.parts(50..50 + len).collect();
            assert_eq!((parts.len(), parts[0].start), (one.count(), 50));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            parts.into_iter().map(|part| part.len()).collect::<Vec<_>>()
        };
        assert_eq!(lens(10, 4), [4, 4, 2]);
        assert_eq!(lens(8, 4), [4, 4]);
        assert_eq!(lens(4, 4), [4]);
        assert_eq!(lens(4, 0), [4]);
        assert_eq!(lens(4, 9), [4]);
        assert_eq!(lens(0, 0), [0]);
    }
}
