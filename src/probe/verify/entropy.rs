//! Numbers nobody can guess, from one seed that is handed in.

use sha2::{Digest, Sha256};

use crate::wire::message::TransactionId;

/// A stream of them.
pub(super) struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(super) fn transaction_id(&mut self) -> TransactionId {
        TransactionId(self.bytes())
    }

    pub(super) fn bytes(&mut self) -> [u8; 12] {
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes());
        self.drawn += 1;
        let hash: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 12];
        bytes.copy_from_slice(&hash[..12]);
        bytes
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}
