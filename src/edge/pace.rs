//! How often somebody may ask: a source, an API key, all local requests together.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use crate::policy::rate::TokenBucket;
use crate::policy::shield::{Budgets, Shield, ShieldOptions};
use crate::time::Now;

/// So many answers a second for each source, ten seconds' worth at once.
pub(super) fn per_source(answers_per_source: u32) -> Mutex<Shield> {
    Mutex::new(Shield::new(&ShieldOptions {
        // TCP sources are not forged: there is no total to hold.
        budgets: Budgets { answers_per_source, bits_total: u64::from(u32::MAX) },
        seed: [(); 2].map(|()| RandomState::new().hash_one(0)),
    }))
}

/// What one key, or all local requests together, may take: so much a second, twice as much at once.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Made at the first request, and anew for another rate.
    bucket: Option<(u32, TokenBucket)>,
}

impl Rate {
    pub(super) fn take(&mut self, now: Now, per_s: u32) -> bool {
        let new = || (per_s, TokenBucket::new(per_s, per_s.saturating_mul(2)));
        let (rate, bucket) = self.bucket.get_or_insert_with(new);
        if *rate != per_s {
            (*rate, *bucket) = new();
        }
        bucket.take(now.mono, 1)
    }
}
