//! A map by relay port, looked into for every datagram of a peer.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::relayed_address::RelayPort;

/// By relay port. Its hash is no secret: the ports in it were drawn by us, so that nobody else can
/// choose many that meet.
pub type PortMap<V> = HashMap<RelayPort, V, BuildHasherDefault<PortHasher>>;

/// Hashes the one word that a [`RelayPort`] is.
#[derive(Debug, Default)]
pub struct PortHasher(u64);

impl Hasher for PortHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    /// Fibonacci hashing; its upper half, where all bits of the word meet, comes to where maps look
    /// first.
    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0 ^ u64::from(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn ports_of_any_pattern_spread_over_buckets_and_tags() {
        let patterns: [fn(u16) -> u16; 3] =
            [|n| 49_152 + n, |n| 49_152 + 2 * n, |n| n * 37 + 1_024];
        for (pattern, address) in patterns.into_iter().zip([0, 3, 255]) {
            // As the map has them: buckets by the lower bits, tags by the upper seven.
            let (mut buckets, mut tags) = (vec![0_u32; 1_024], vec![0_u32; 128]);
            for number in (0..1_024).map(pattern) {
                let port = RelayPort { address, number };
                let hash = BuildHasherDefault::<PortHasher>::default().hash_one(port);
                buckets[hash as usize % 1_024] += 1;
                tags[(hash >> 57) as usize] += 1;
            }
            // Drawn by lot, a bucket would have 1 in the mean and 6 at most, a tag 8 and 20.
            assert!(buckets.iter().max() <= Some(&6), "{:?}", buckets.iter().max());
            assert!(tags.iter().max() <= Some(&20), "{:?}", tags.iter().max());
        }
    }
}
