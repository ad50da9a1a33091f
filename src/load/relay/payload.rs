//! What is sent through a relay: numbered, timed, and so written that nothing else passes for it.
//!
//! ```text
//! |run 4|flow 4|number 4|due, ns since the run began 8|CRC of these 20, 4|letters ...
//! ```
//! Which letters follow depends on flow and number: a relay that mixes up two of its buffers is seen.

/// Bytes in front of the letters.
const HEAD_BYTES: usize = 24;
/// Prime, so that neighbours differ; the letters begin again after so many.
const TURN: usize = 251;

/// Writes and checks payloads of one run.
pub(super) struct Payloads {
    run: u32,
    bytes: usize,
    letters: Vec<u8>,
}

/// Who sent it as which one, and when it should have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) flow: u32,
    pub(super) number: u32,
    pub(super) due_ns: u64,
}

impl Payloads {
    /// `run` tells its payloads from those of others; each has `bytes`.
    pub(super) fn new(run: u32, bytes: usize) -> Self {
        let letters = (0..TURN + bytes).map(|at| (at % TURN) as u8).collect();
        Self { run, bytes, letters }
    }

    /// Length of each.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// `into` has the length of a payload.
    pub(super) fn write(&self, into: &mut [u8], stamp: Stamp) {
        let Stamp { flow, number, due_ns } = stamp;
        into[..4].copy_from_slice(&self.run.to_be_bytes());
        into[4..8].copy_from_slice(&flow.to_be_bytes());
        into[8..12].copy_from_slice(&number.to_be_bytes());
        into[12..20].copy_from_slice(&due_ns.to_be_bytes());
        let crc = crc32fast::hash(&into[..20]);
        into[20..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
        into[HEAD_BYTES..].copy_from_slice(self.letters(stamp));
    }

    /// `None` for anything that was not written so.
    pub(super) fn read(&self, payload: &[u8]) -> Option<Stamp> {
        let head: &[u8; HEAD_BYTES] = payload.first_chunk()?;
        let word =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let due_ns = u64::from(word(12)) << 32 | u64::from(word(16));
        let stamp = Stamp { flow: word(4), number: word(8), due_ns };
        let is_right = payload.len() == self.bytes
            && word(0) == self.run
            && word(20) == crc32fast::hash(&head[..20])
            && payload[HEAD_BYTES..] == *self.letters(stamp);
        is_right.then_some(stamp)
    }

    fn letters(&self, Stamp { flow, number, .. }: Stamp) -> &[u8] {
        let from = (flow as usize % TURN * 17 + number as usize % TURN * 31) % TURN;
        &self.letters[from..from + self.bytes - HEAD_BYTES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { flow: 7, number: 300, due_ns: 5_000_000_123 };

    fn written(payloads: &Payloads, stamp: Stamp) -> Vec<u8> {
        let mut payload = vec![0; payloads.bytes()];
        payloads.write(&mut payload, stamp);
        payload
    }

    #[test]
    fn a_payload_is_read_as_it_was_written_and_no_changed_bit_passes() {
        for bytes in [32, 160, 1200] {
            let payloads = Payloads::new(9, bytes);
            let good = written(&payloads, STAMP);
            assert_eq!(payloads.read(&good), Some(STAMP));
            for bit in 0..bytes * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(payloads.read(&bad), None, "bit {bit}");
            }
            assert_eq!(payloads.read(&good[..bytes - 1]), None);
            assert_eq!(payloads.read(&[&good[..], &[0]].concat()), None);
            assert_eq!(payloads.read(&[]), None);
            assert_eq!(Payloads::new(10, bytes).read(&good), None, "of another run");
        }
    }

    #[test]
    fn the_end_of_one_payload_behind_the_head_of_another_does_not_pass() {
        let payloads = Payloads::new(9, 160);
        let good = written(&payloads, STAMP);
        for other in [Stamp { number: 301, ..STAMP }, Stamp { flow: 8, ..STAMP }] {
            let mixed = [&good[..HEAD_BYTES], &written(&payloads, other)[HEAD_BYTES..]].concat();
            assert_eq!(payloads.read(&mixed), None, "{other:?}");
        }
    }
}
