//! Answers to those who have proven nothing: how many one source gets, and all of them together.
//!
//! A datagram's source address may be forged, and the answer then hits whoever it belongs to. So
//! each /32 or /64 has a budget of answers and the daemon one of bits. The tables are made once
//! and never grow, whatever is sent.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Instant;

use super::quota::SourcePrefix;
use super::rate::Meter;
use crate::limits::{SHIELD_BURST_S, SHIELD_SETS, SHIELD_TOTAL_BURST_MS, SHIELD_WAYS};

/// What a shield lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Answers a second of each kind to one source; ten seconds' worth at once.
    pub answers_per_source: u32,
    /// Bits a second on the wire to all of them, both kinds together.
    pub bits_total: u64,
}

/// What a shield is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShieldOptions {
    /// What it lets through.
    pub budgets: Budgets,
    /// Random, made new at each start: where a source lies in the table depends on it, so nobody
    /// can choose addresses that meet.
    pub seed: [u64; 2],
}

/// What is answered. The kinds have budgets of their own: a flood of one leaves the other alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// The success of a Binding.
    Binding,
    /// Any error, the first 401 of every client among them.
    Error,
}

/// Which budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The source's.
    Source,
    /// The daemon's.
    Total,
}

/// That one answer may be sent; [`Shield::sent`] takes it back with the answer's size.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    paid_by: AnswerKind,
}

/// The budgets, in 16 bytes a source.
///
/// A source is looked for in one small set of the table. Two sources share a budget only if they
/// agree in set and tag, 45 random bits; then each gets what the other leaves. Where a set is full,
/// the source that used its budget least is forgotten and would start anew: a flood from many
/// addresses may so be answered more often than each budget says, never more than the total.
#[derive(Debug)]
pub struct Shield {
    sets: Box<[[Source; SHIELD_WAYS]]>,
    seed: [u64; 2],
    budgets: Budgets,
    started: Option<Instant>,
    binding: Meter,
    error: Meter,
}

/// Tag 0 is a free place. What is left is in thousandths of an answer, by [`AnswerKind`].
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    tag: u32,
    /// Milliseconds since the start, which wrap after 49 days: a source that comes back after
    /// exactly so long finds less than it might, for a moment.
    at_ms: u32,
    left: [u32; 2],
}

const ANSWER: u32 = 1000;

impl Shield {
    /// Makes the tables.
    #[must_use]
    pub fn new(options: &ShieldOptions) -> Self {
        Self {
            sets: vec![[Source::default(); SHIELD_WAYS]; SHIELD_SETS].into(),
            seed: options.seed,
            budgets: options.budgets,
            started: None,
            binding: meter(options.budgets),
            error: meter(options.budgets),
        }
    }

    /// Goes by other budgets from here on; what a source has used up stays used up.
    pub fn set_budgets(&mut self, budgets: Budgets) {
        if budgets.bits_total != self.budgets.bits_total {
            (self.binding, self.error) = (meter(budgets), meter(budgets));
        }
        self.budgets = budgets;
    }

    /// Judges whether `source` may be answered, and takes one answer from its budget.
    ///
    /// # Errors
    /// The budget that is used up; nothing is taken then.
    pub fn admit(&mut self, now: Instant, kind: AnswerKind, source: IpAddr) -> Result<Permit, Cut> {
        let (own, other) = match kind {
            AnswerKind::Binding => (&mut self.binding, &mut self.error),
            AnswerKind::Error => (&mut self.error, &mut self.binding),
        };
        let paid_by = if own.is_open(now) {
            kind
        } else if other.is_half_full(now) {
            kind.other()
        } else {
            return Err(Cut::Total);
        };
        let now_ms = now.saturating_duration_since(*self.started.get_or_insert(now)).as_millis();
        if self.take(now_ms as u32, kind, source) {
            Ok(Permit { paid_by })
        } else {
            Err(Cut::Source)
        }
    }

    /// Takes what was sent from the daemon's budget: `bytes` with IP and UDP headers.
    pub fn sent(&mut self, permit: Permit, bytes: usize) {
        let meter = match permit.paid_by {
            AnswerKind::Binding => &mut self.binding,
            AnswerKind::Error => &mut self.error,
        };
        meter.charge(bytes as u64);
    }

    fn take(&mut self, now_ms: u32, kind: AnswerKind, source: IpAddr) -> bool {
        let (set, tag) = self.place(source);
        let per_s = self.budgets.answers_per_source;
        let full = per_s.saturating_mul(SHIELD_BURST_S).saturating_mul(ANSWER);
        let set = &mut self.sets[set];
        let fill = |place: &Source| place.filled(now_ms, per_s, full);
        let at = set.iter().position(|place| place.tag == tag).unwrap_or_else(|| {
            // A free place, else the one that loses least.
            let most = |at: &usize| match set[*at].tag {
                0 => u64::MAX,
                _ => fill(&set[*at]).left.iter().map(|left| u64::from(*left)).sum(),
            };
            let at = (0..SHIELD_WAYS).max_by_key(most).unwrap_or(0);
            set[at] = Source { tag, at_ms: now_ms, left: [full; 2] };
            at
        });
        set[at] = fill(&set[at]);
        let left = &mut set[at].left[kind as usize];
        let enough = left.checked_sub(ANSWER);
        *left = enough.unwrap_or(*left);
        enough.is_some()
    }

    fn place(&self, source: IpAddr) -> (usize, u32) {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        SourcePrefix::of(source).hash(&mut hasher);
        let hash = hasher.finish();
        // 0 marks a free place.
        (hash as usize % SHIELD_SETS, ((hash >> 32) as u32).max(1))
    }
}

/// Half of all bits for each kind, and more as long as the other one does not need its half.
fn meter(budgets: Budgets) -> Meter {
    let bytes_per_s = (budgets.bits_total / 16).max(1);
    Meter::new(bytes_per_s, bytes_per_s * SHIELD_TOTAL_BURST_MS / 1000)
}

impl Source {
    fn filled(&self, now_ms: u32, per_s: u32, full: u32) -> Self {
        // So many thousandths come with each millisecond.
        let gained = now_ms.wrapping_sub(self.at_ms).saturating_mul(per_s);
        let left = self.left.map(|left| left.saturating_add(gained).min(full));
        Self { at_ms: now_ms, left, ..*self }
    }
}

impl AnswerKind {
    fn other(self) -> Self {
        match self {
            Self::Binding => Self::Error,
            Self::Error => Self::Binding,
        }
    }
}

const _: () = assert!(size_of::<Source>() == 16);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::time::Now;

    const PER_SOURCE: u32 = 200;
    const MBIT: u64 = 1_000_000;
    /// A 401 on the wire.
    const BYTES: usize = 136;

    struct Clock(Instant);

    impl Clock {
        fn at_ms(&self, ms: u64) -> Instant {
            self.0 + Duration::from_millis(ms)
        }
    }

    fn shield(bits_total: u64) -> (Shield, Clock) {
        let options = ShieldOptions {
            budgets: Budgets { answers_per_source: PER_SOURCE, bits_total },
            seed: [0x7475, 0x726e],
        };
        (Shield::new(&options), Clock(Now::read().mono))
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(0x0B00_0000 + number).into()
    }

    fn ask(shield: &mut Shield, now: Instant, kind: AnswerKind, source: IpAddr) -> bool {
        let Ok(permit) = shield.admit(now, kind, source) else { return false };
        shield.sent(permit, BYTES);
        true
    }

    fn count(shield: &mut Shield, now: Instant, kind: AnswerKind, source: IpAddr, n: u32) -> u32 {
        (0..n).map(|_| u32::from(ask(shield, now, kind, source))).sum()
    }

    #[test]
    fn a_source_gets_2000_answers_at_once_and_200_a_second_from_then_on() {
        let (mut shield, clock) = shield(1000 * MBIT);
        let mut ask = |ms, n| count(&mut shield, clock.at_ms(ms), AnswerKind::Error, v4(1), n);
        assert_eq!(ask(0, 2001), 2000);
        assert_eq!(ask(4, 10), 0);
        assert_eq!(ask(5, 10), 1);
        assert_eq!(ask(1005, 1000), 200);
        assert_eq!(ask(3_600_000, 3000), 2000);
    }

    #[test]
    fn bindings_and_errors_have_budgets_of_their_own() {
        let (mut shield, clock) = shield(1000 * MBIT);
        let now = clock.at_ms(0);
        assert_eq!(count(&mut shield, now, AnswerKind::Binding, v4(1), 3000), 2000);
        assert_eq!(count(&mut shield, now, AnswerKind::Error, v4(1), 3000), 2000);
    }

    #[test]
    fn an_ipv4_address_and_an_ipv6_64_are_one_source() {
        let (mut shield, clock) = shield(1000 * MBIT);
        let now = clock.at_ms(0);
        let mut ask =
            |ip: &str, n| count(&mut shield, now, AnswerKind::Error, ip.parse().unwrap(), n);
        assert_eq!(ask("203.0.113.1", 2001), 2000);
        assert_eq!(ask("::ffff:203.0.113.1", 1), 0);
        assert_eq!(ask("203.0.113.2", 1), 1);
        assert_eq!(ask("2001:db8:1:2::1", 2001), 2000);
        assert_eq!(ask("2001:db8:1:2:ffff::9", 1), 0);
        assert_eq!(ask("2001:db8:1:3::1", 1), 1);
    }

    #[test]
    fn a_flood_that_names_one_address_is_cut_while_others_lose_nothing() {
        let (mut shield, clock) = shield(20 * MBIT);
        let (mut flooded, mut others) = (0, 0);
        // 100,000 a second to one, and one a millisecond from somebody else each.
        for ms in 0..5000 {
            let now = clock.at_ms(ms);
            flooded += count(&mut shield, now, AnswerKind::Error, v4(0), 100);
            others += count(&mut shield, now, AnswerKind::Error, v4(1 + ms as u32), 1);
        }
        assert_eq!(others, 5000);
        assert!((2990..=3000).contains(&flooded), "{flooded}");
    }

    #[test]
    fn a_flood_that_names_100_000_addresses_is_held_to_the_total() {
        let (mut shield, clock) = shield(20 * MBIT);
        let mut answers = 0;
        for ms in 0..10_000_u32 {
            let now = clock.at_ms(u64::from(ms));
            for n in 0..100 {
                answers +=
                    count(&mut shield, now, AnswerKind::Error, v4((ms * 100 + n) % 100_000), 1);
            }
        }
        // Ten seconds of all bits, what there is at once included.
        let bits = u64::from(answers) * BYTES as u64 * 8;
        assert!(bits <= 200 * MBIT + 10 * MBIT, "{bits}");
        // And the budget is used: errors get what Bindings do not need.
        assert!(bits >= 190 * MBIT, "{bits}");
    }

    #[test]
    fn a_flood_of_bindings_leaves_half_of_the_total_to_errors() {
        let (mut shield, clock) = shield(20 * MBIT);
        let mut errors = 0;
        for ms in 0..10_000_u32 {
            let now = clock.at_ms(u64::from(ms));
            for n in 0..100 {
                ask(&mut shield, now, AnswerKind::Binding, v4((ms * 100 + n) % 100_000));
            }
            // Some 9 Mbit/s of clients' first requests.
            errors += count(&mut shield, now, AnswerKind::Error, v4(200_000 + ms), 8);
        }
        assert_eq!(errors, 80_000);
    }

    #[test]
    fn a_full_set_forgets_the_source_that_used_least() {
        let (mut shield, clock) = shield(1000 * MBIT);
        let now = clock.at_ms(0);
        let (set, _) = shield.place(v4(0));
        let mates: Vec<IpAddr> =
            (0..).map(v4).filter(|ip| shield.place(*ip).0 == set).take(SHIELD_WAYS + 1).collect();
        // The first uses all it has, the others less and less.
        for (rank, ip) in mates[..SHIELD_WAYS].iter().enumerate() {
            count(&mut shield, now, AnswerKind::Error, *ip, 2000 / (1 + rank as u32));
        }
        assert!(ask(&mut shield, now, AnswerKind::Error, mates[SHIELD_WAYS]));
        assert!(!ask(&mut shield, now, AnswerKind::Error, mates[0]), "the flood is remembered");
        // The one that had most left starts anew.
        assert_eq!(count(&mut shield, now, AnswerKind::Error, mates[SHIELD_WAYS - 1], 3000), 2000);
    }

    #[test]
    fn another_seed_puts_sources_elsewhere() {
        let place = |seed| {
            let options = ShieldOptions {
                budgets: Budgets { answers_per_source: PER_SOURCE, bits_total: MBIT },
                seed,
            };
            let shield = Shield::new(&options);
            (0..64).map(|n| shield.place(v4(n)).0).collect::<Vec<_>>()
        };
        assert_eq!(place([1, 2]), place([1, 2]));
        let same = place([1, 2]).iter().zip(place([1, 3])).filter(|(a, b)| **a == *b).count();
        assert!(same < 8, "{same}");
    }
}
