//! Randomness from a seed: the switchboard asks nobody, so one seed gives one run.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 over seed and counter, 32 bytes a time.
pub(super) struct Entropy {
    seed: [u8; 32],
    counter: u64,
}

impl Entropy {
    /// `seed`: 32 bytes that nobody else knows; resume tokens are made from it.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next 32 bytes.
    pub(super) fn bytes(&mut self) -> [u8; 32] {
        let counter = self.counter.to_be_bytes();
        self.counter += 1;
        Sha256::new().chain_update(self.seed).chain_update(counter).finalize().into()
    }

    /// 128 bits.
    pub(super) fn bits(&mut self) -> u128 {
        let bytes = self.bytes();
        bytes[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
