//! Quotas and rates: both sides of every limit, counts that add up, rates that never drift.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use turnbell::policy::quota::{Quota, QuotaExceeded, QuotaLimits, SourcePrefix};
use turnbell::policy::rate::TokenBucket;
use turnbell::time::Now;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn quota_counts_are_conserved_whatever_is_taken_and_given_back(
        steps in proptest::collection::vec((any::<bool>(), 0_usize..4, 0_usize..6), 1..200),
    ) {
        let users = ["anna", "bert", "", "1893456000:x"];
        let sources = ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2a00::1", "2a00::2", "2a00:0:0:1::1"];
        let limits = QuotaLimits { per_user: 7, per_source: 9, total: 20 };
        let mut quota = Quota::new(limits);
        let mut model: Vec<(usize, usize)> = Vec::new();
        for (take, user, source) in steps {
            let (name, from) = (users[user], ip(sources[source]));
            if take {
                let of_user = model.iter().filter(|held| held.0 == user).count();
                let of_source = model
                    .iter()
                    .filter(|held| SourcePrefix::of(ip(sources[held.1])) == SourcePrefix::of(from))
                    .count();
                let expected = if of_user >= 7 { Err(QuotaExceeded::User) }
                    else if of_source >= 9 { Err(QuotaExceeded::Source) }
                    else if model.len() >= 20 { Err(QuotaExceeded::Total) }
                    else { Ok(()) };
                prop_assert_eq!(quota.take(name, from), expected);
                if expected.is_ok() {
                    model.push((user, source));
                }
            } else if let Some(held) = model.iter().position(|held| *held == (user, source)) {
                model.swap_remove(held);
                quota.give_back(name, from);
            }
            let mut by_user = BTreeMap::new();
            let mut by_source = BTreeMap::new();
            for (user, source) in &model {
                *by_user.entry(users[*user]).or_insert(0) += 1;
                *by_source.entry(SourcePrefix::of(ip(sources[*source]))).or_insert(0) += 1;
            }
            prop_assert_eq!(quota.held() as usize, model.len());
            prop_assert_eq!(quota.holders(), (by_user.len(), by_source.len()), "no zero is kept");
            for (user, held) in by_user {
                prop_assert_eq!(quota.held_by_user(user), held);
            }
            for (source, held) in by_source {
                prop_assert_eq!(quota.held_by_source(source), held);
            }
        }
        for (user, source) in model {
            quota.give_back(users[user], ip(sources[source]));
        }
        prop_assert_eq!((quota.held(), quota.holders()), (0, (0, 0)));
    }

    #[test]
    fn a_bucket_gives_exactly_its_rate_over_any_time_and_never_more_than_burst_and_rate(
        per_s in 1_u32..5_000_000,
        burst in 1_u32..1_000_000,
        pauses in proptest::collection::vec(0_u64..3_000_000_000, 1..50),
    ) {
        let start = Now::read().mono;
        let mut bucket = TokenBucket::new(per_s, burst);
        // The model counts in billionths of a token, from the start, without any rounding.
        let (mut at, mut level) = (start, u128::from(burst) * 1_000_000_000);
        for pause in pauses {
            at += Duration::from_nanos(pause);
            let full = u128::from(burst) * 1_000_000_000;
            level = (level + u128::from(pause) * u128::from(per_s)).min(full);
            let there = u32::try_from(level / 1_000_000_000).unwrap();
            prop_assert!(!bucket.take(at, there + 1), "one more than is there");
            let wanted = there / 2 + 1;
            prop_assert_eq!(bucket.take(at, wanted), wanted <= there);
            if wanted <= there {
                level -= u128::from(wanted) * 1_000_000_000;
            }
        }
    }
}

#[test]
fn who_has_eighty_percent_of_his_quota_is_near_it_and_who_has_less_is_not() {
    let from = ip("192.0.2.1");
    let limits = |per_user| QuotaLimits { per_user, per_source: 100, total: 100 };
    let mut quota = Quota::new(limits(10));
    for _ in 0..7 {
        quota.take("anna", from).unwrap();
    }
    assert_eq!(quota.near(9), (vec![], 0));
    quota.take("anna", from).unwrap();
    assert_eq!(quota.near(9), (vec![("anna".into(), 8)], 1));
    assert_eq!(quota.near(0), (vec![], 1), "counted, not named");
    quota.set_limits(limits(11));
    assert_eq!(quota.near(9).1, 0, "8 of 11");
    quota.set_limits(limits(10));
    quota.give_back("anna", from);
    assert_eq!(quota.near(9).1, 0);
    for (limit, told) in [(4, 0), (5, 1)] {
        let mut small = Quota::new(limits(limit));
        (0..limit).for_each(|_| small.take("bert", from).unwrap());
        assert_eq!(small.near(9).1, told, "a quota of {limit}");
    }
}

#[test]
fn each_quota_lets_its_last_allocation_in_and_the_next_out() {
    let source = |n: u8| IpAddr::from([9, 9, 9, n]);
    let mut quota = Quota::new(QuotaLimits { per_user: 2, per_source: 3, total: 5 });
    assert_eq!(quota.take("anna", source(1)), Ok(()));
    assert_eq!(quota.take("anna", source(1)), Ok(()));
    assert_eq!(quota.take("anna", source(2)), Err(QuotaExceeded::User));
    assert_eq!(quota.take("bert", source(1)), Ok(()));
    assert_eq!(quota.take("carl", source(1)), Err(QuotaExceeded::Source));
    assert_eq!(quota.take("carl", ip("::ffff:9.9.9.1")), Err(QuotaExceeded::Source));
    assert_eq!(quota.take("carl", source(2)), Ok(()));
    assert_eq!(quota.take("dora", source(3)), Ok(()));
    assert_eq!(quota.take("emil", source(4)), Err(QuotaExceeded::Total));
    assert_eq!(quota.holders(), (4, 3), "who was refused is not remembered");
    quota.give_back("dora", source(3));
    assert_eq!(quota.take("emil", source(4)), Ok(()));
    quota.set_limits(QuotaLimits { per_user: 1, per_source: 1, total: 1 });
    assert_eq!(quota.held(), 5, "nobody loses what he holds");
    assert_eq!(quota.take("fred", source(5)), Err(QuotaExceeded::Total));
}

#[test]
fn a_source_is_one_ipv4_address_or_the_first_64_bits_of_an_ipv6_address() {
    let of = |text: &str| SourcePrefix::of(ip(text));
    assert_eq!(of("2a00:1:2:3::1"), of("2a00:1:2:3:ffff:ffff:ffff:ffff"));
    assert_ne!(of("2a00:1:2:3::1"), of("2a00:1:2:4::1"));
    assert_ne!(of("9.9.9.8"), of("9.9.9.9"));
    assert_eq!(of("::ffff:9.9.9.9"), of("9.9.9.9"));
    assert_ne!(of("::ffff:9.9.9.8"), of("::ffff:9.9.9.9"));
}

#[test]
#[should_panic(expected = "given back once")]
fn giving_back_what_was_never_taken_is_a_broken_invariant() {
    let mut quota = Quota::new(QuotaLimits { per_user: 2, per_source: 3, total: 5 });
    quota.take("anna", ip("9.9.9.1")).unwrap();
    quota.give_back("anna", ip("9.9.9.2"));
}

#[test]
fn default_quotas_are_64_a_user_a_quarter_a_source_and_nine_tenths_in_all() {
    let limits = QuotaLimits::for_range(&(49_152..=65_535));
    assert_eq!(limits, QuotaLimits { per_user: 64, per_source: 4_096, total: 14_745 });
    let all = QuotaLimits::for_range(&(0..=u16::MAX));
    assert_eq!(all, QuotaLimits { per_user: 64, per_source: 16_384, total: 58_982 });
    let one = QuotaLimits::for_range(&(50_000..=50_000));
    assert_eq!((one.per_source, one.total), (1, 1), "a tiny range still relays");
}

#[test]
fn a_bucket_gives_its_burst_at_once_and_a_token_exactly_when_it_is_due() {
    let start = Now::read().mono;
    let ms = |n| start + Duration::from_millis(n);
    let mut bucket = TokenBucket::new(20, 200);
    assert!(!bucket.take(start, 201), "more than the burst");
    assert!(bucket.take(start, 200));
    assert!(!bucket.take(start, 1));
    assert!(!bucket.take(ms(50) - Duration::from_nanos(1), 1));
    assert!(bucket.take(ms(50), 1));
    assert!(!bucket.take(ms(50), 1));
    assert!(bucket.take(ms(50), 0));
    // A second later 20, an hour later the burst and not one more.
    assert!(!bucket.take(ms(1050), 21));
    assert!(bucket.take(ms(1050), 20));
    assert!(!bucket.take(ms(3_600_000), 201));
    assert!(bucket.take(ms(3_600_000), 200));
}

#[test]
fn a_rate_that_does_not_divide_a_second_is_exact_over_a_day() {
    for per_s in [3_u32, 7, 999, 44_100, 1_000_003] {
        let start = Now::read().mono;
        let mut bucket = TokenBucket::new(per_s, 2 * per_s);
        assert!(bucket.take(start, 2 * per_s), "empty from here on");
        // Odd steps that never fall on a whole token, always taking all that is there.
        let (step, mut at, mut given) = (Duration::from_nanos(777_777_777), start, 0_u64);
        while at + step <= start + Duration::from_secs(86_400) {
            at += step;
            given += drain(&mut bucket, at, 2 * per_s);
        }
        let elapsed = (at - start).as_nanos();
        assert_eq!(u128::from(given), elapsed * u128::from(per_s) / 1_000_000_000, "{per_s}/s");
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_neither_fills_nor_empties_a_bucket() {
    let start = Now::read().mono + Duration::from_secs(100);
    let mut bucket = TokenBucket::new(10, 10);
    assert!(bucket.take(start, 10));
    for _ in 0..1_000 {
        assert!(!bucket.take(start, 1));
        assert!(!bucket.take(start - Duration::from_secs(50), 1));
    }
    assert!(!bucket.take(start + Duration::from_millis(99), 1), "the step back was not credited");
    assert!(bucket.take(start + Duration::from_millis(100), 1));
}

#[test]
fn extreme_buckets_neither_overflow_nor_give_what_they_do_not_have() {
    let start = Now::read().mono;
    let mut largest = TokenBucket::new(u32::MAX, u32::MAX);
    let year = start + Duration::from_secs(31_536_000);
    assert!(largest.take(start, u32::MAX) && !largest.take(start, 1));
    assert!(largest.take(year, u32::MAX) && !largest.take(year, 1));
    let mut never = TokenBucket::new(u32::MAX, 0);
    assert!(!never.take(start, 1) && !never.take(year, 1));
    let mut once = TokenBucket::new(0, 1);
    assert!(once.take(start, 1) && !once.take(year, 1));
}

/// Takes all whole tokens, a binary digit at a time.
fn drain(bucket: &mut TokenBucket, at: Instant, most: u32) -> u64 {
    let mut given = 0;
    for digit in (0..=most.ilog2()).rev() {
        if bucket.take(at, 1 << digit) {
            given += 1 << digit;
        }
    }
    assert!(!bucket.take(at, 1));
    given
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
