//! Simulated users against a total: what R18 promises, held over any 2 s.

use std::time::Duration;

use super::*;
use crate::time::Now;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }
}

/// How somebody sends.
#[derive(Debug, Clone, Copy)]
struct Habit {
    /// Bytes a second while he sends.
    rate: u64,
    /// Bytes of a datagram.
    size: u64,
    /// Milliseconds between two frames, which are sent at once.
    every_ms: u64,
    /// Milliseconds in which he sends and in which he does not; none: always.
    on_off_ms: Option<(u64, u64)>,
    /// From when on.
    from_ms: u64,
}

#[derive(Debug)]
struct User {
    habit: Habit,
    member: Member,
    owed: u64,
    /// By tenth of a second.
    sent: Vec<u64>,
    got: Vec<u64>,
}

const TENTH_MS: u64 = 100;
/// Tenths in the 2 s over which shares are judged.
const SPAN: usize = 20;

struct World {
    total: u64,
    users: Vec<User>,
}

impl World {
    /// Runs `habits` against a total of so many bytes a second.
    fn run(total: u64, habits: &[Habit], seconds: u64, random: &mut Random) -> Self {
        let start = Now::read().mono;
        let mut share = FairShare::of_bytes(Lease::of(total, 0, 1));
        let tenths = (seconds * 1000 / TENTH_MS) as usize;
        let user = |habit: &Habit| User {
            habit: *habit,
            member: Member::default(),
            owed: 0,
            sent: vec![0; tenths],
            got: vec![0; tenths],
        };
        let mut users: Vec<User> = habits.iter().map(user).collect();
        for ms in 0..seconds * 1000 {
            let now = start + Duration::from_millis(ms);
            // Nobody is always first.
            let first = random.next() as usize % users.len();
            for at in 0..users.len() {
                let count = users.len();
                let user = &mut users[(first + at) % count];
                for _ in 0..user.datagrams(ms) {
                    let tenth = (ms / TENTH_MS) as usize;
                    user.sent[tenth] += user.habit.size;
                    if share.is_open(now, &mut user.member) {
                        share.charge(&mut user.member, user.habit.size);
                        user.got[tenth] += user.habit.size;
                    }
                }
            }
        }
        Self { total, users }
    }

    /// R18: everybody who sends all the time gets 80 % of his share, or what he asks for; and all
    /// together get the total, and no more than was saved up beside it.
    #[track_caller]
    fn check(&self, told: &str) {
        let tenths = self.users[0].sent.len();
        for first in 0..=tenths - SPAN {
            let span = first..first + SPAN;
            let sum = |tenths: &[u64]| tenths[span.clone()].iter().sum::<u64>();
            let active = self.users.iter().filter(|user| sum(&user.sent) > 0).count() as u64;
            let share = 2 * self.total / active.max(1);
            for user in &self.users {
                if user.sent[span.clone()].contains(&0) {
                    continue;
                }
                let wanted = sum(&user.sent).min(share);
                let got = sum(&user.got) + user.habit.size;
                assert!(
                    got * 10 >= wanted * 8,
                    "{told}: {got} of {wanted} from {first}, {active} share: {:?}",
                    user.habit
                );
            }
            let all: u64 = self.users.iter().map(|user| sum(&user.got)).sum();
            // What nobody wanted to send in a tenth of a second cannot be made up for later.
            let of_tenth = |at: usize| self.users.iter().map(|user| user.sent[at]).sum::<u64>();
            let wanted: u64 = span.clone().map(|at| of_tenth(at).min(self.total / 10)).sum();
            // A quarter second of credit, more where few were active before, and the pool.
            let saved = self.total * 45 / 100 + self.users.len() as u64 * 4500;
            assert!(all <= 2 * self.total + saved, "{told}: {all} in all from {first}");
            let is_busy = wanted >= self.total;
            assert!(
                !is_busy || all * 10 >= wanted * 8,
                "{told}: only {all} of {wanted} from {first}"
            );
        }
    }

    /// R18: who stays below his share loses under 1 %.
    #[track_caller]
    fn check_modest(&self, told: &str) {
        let share = self.total / self.users.len() as u64;
        for user in self.users.iter().filter(|user| user.habit.rate * 100 <= share * 98) {
            // What can be saved up; more at once is more than his share.
            if user.habit.rate * user.habit.every_ms / 1000 > share / 8 {
                continue;
            }
            let (sent, got): (u64, u64) = (user.sent.iter().sum(), user.got.iter().sum());
            assert!((sent - got) * 100 <= sent, "{told}: {got} of {sent}: {:?}", user.habit);
        }
    }
}

impl User {
    fn datagrams(&mut self, ms: u64) -> u64 {
        let Habit { rate, size, every_ms, on_off_ms, from_ms } = self.habit;
        let is_on = on_off_ms.is_none_or(|(on, off)| ms % (on + off) < on);
        if ms < from_ms || !is_on {
            return 0;
        }
        self.owed += rate;
        if !ms.is_multiple_of(every_ms) {
            return 0;
        }
        let due = self.owed / (1000 * size);
        self.owed -= due * 1000 * size;
        due
    }
}

fn steady(rate: u64) -> Habit {
    Habit { rate, size: 1000, every_ms: 1, on_off_ms: None, from_ms: 0 }
}

const TOTAL: u64 = 2_500_000;

#[test]
fn two_greedy_users_and_a_modest_one_get_their_shares() {
    let habits = [steady(10 * TOTAL), steady(TOTAL), steady(TOTAL / 4)];
    let world = World::run(TOTAL, &habits, 10, &mut Random(1));
    world.check("three");
    world.check_modest("three");
}

#[test]
fn one_alone_has_the_total_and_not_more() {
    let world = World::run(TOTAL, &[steady(4 * TOTAL)], 10, &mut Random(1));
    world.check("alone");
    let got: u64 = world.users[0].got.iter().sum();
    assert!((TOTAL * 99 / 10..=TOTAL * 104 / 10).contains(&got), "{got}");
}

#[test]
fn nobody_loses_anything_while_demand_is_below_the_total() {
    let habits: Vec<Habit> = (1..=10).map(|n| steady(TOTAL * n / 60)).collect();
    let world = World::run(TOTAL, &habits, 10, &mut Random(1));
    for user in &world.users {
        assert_eq!(user.sent, user.got, "{:?}", user.habit);
    }
}

#[test]
fn who_stays_gets_the_share_of_those_who_left() {
    let leaver = |_| Habit { on_off_ms: Some((3000, 60_000)), ..steady(TOTAL) };
    let mut habits: Vec<Habit> = (0..100).map(leaver).collect();
    habits.extend([steady(50 * TOTAL), steady(TOTAL * 6 / 10)]);
    World::run(TOTAL, &habits, 8, &mut Random(1)).check("left");
}

#[test]
fn a_hundred_random_worlds_are_fair() {
    for seed in 0..100 {
        let mut random = Random(seed);
        let total = random.within(1, 100) * 125_000;
        let count = random.within(2, 30);
        let habits: Vec<Habit> = (0..count)
            .map(|_| Habit {
                // From a tenth of his share to ten times of it.
                rate: total / count * random.within(10, 1000) / 100,
                size: random.within(100, 1400),
                every_ms: [1, 1, 5, 20, 33][random.within(0, 4) as usize],
                on_off_ms: (random.within(0, 2) == 0)
                    .then(|| (random.within(100, 3000), random.within(100, 3000))),
                from_ms: if random.within(0, 3) == 0 { random.within(0, 4000) } else { 0 },
            })
            .collect();
        let world = World::run(total, &habits, 6, &mut random);
        let told = format!("seed {seed}, total {total}, {count} users");
        world.check(&told);
        world.check_modest(&told);
    }
}

#[test]
fn a_thousand_users_share_a_small_total() {
    let mut random = Random(7);
    let habits: Vec<Habit> = (0..1000).map(|n| steady(TOTAL / 1000 * (5 + n % 40) / 10)).collect();
    let world = World::run(TOTAL, &habits, 4, &mut random);
    // Of 5,000 bytes in 2 s a datagram of 1,000 is much; over 4 s it evens out.
    for user in &world.users {
        let (sent, got): (u64, u64) = (user.sent.iter().sum(), user.got.iter().sum());
        let wanted = sent.min(4 * TOTAL / 1000);
        assert!((got + 1000) * 10 >= wanted * 8, "{got} of {wanted}: {:?}", user.habit);
    }
}

#[test]
fn leases_of_all_shards_are_the_total() {
    let whole = Lease::of(12_345_678, 0, 1).per_window;
    for shards in [1, 2, 3, 7, 255] {
        let parts: u64 = (0..shards).map(|at| Lease::of(12_345_678, at, shards).per_window).sum();
        assert_eq!(parts, whole, "{shards}");
    }
}

#[test]
fn a_renewed_lease_counts_from_the_next_window_on() {
    let start = Now::read().mono;
    let mut share = FairShare::of_packets(Lease::of(1000, 0, 1));
    let mut member = Member::default();
    let mut drain = |share: &mut FairShare, ms| {
        let now = start + Duration::from_millis(ms);
        let open = || share.is_open(now, &mut member).then(|| share.charge(&mut member, 1));
        std::iter::from_fn(open).count()
    };
    assert!(drain(&mut share, 0) > 0);
    // 10 datagrams a window, but for what was sent on credit.
    let before: usize = (1..=100).map(|n| drain(&mut share, n * 10)).sum();
    share.renew(Lease::of(2000, 0, 1));
    let after: usize = (101..=200).map(|n| drain(&mut share, n * 10)).sum();
    assert!((990..=1010).contains(&before), "{before}");
    assert!((1980..=2020).contains(&after), "{after}");
}

#[test]
fn users_count_for_a_quarter_second_and_not_after_they_left() {
    let start = Now::read().mono;
    let mut share = FairShare::of_bytes(Lease::of(TOTAL, 0, 1));
    let mut members = vec![Member::default(); 3];
    for member in &mut members {
        assert!(share.is_open(start, member));
    }
    assert_eq!(share.active(), 3);
    share.leave(&members[0]);
    assert_eq!(share.active(), 2);
    let at = |ms| start + Duration::from_millis(ms);
    share.is_open(at(249), &mut members[1]);
    assert_eq!(share.active(), 2);
    share.is_open(at(250), &mut members[1]);
    assert_eq!(share.active(), 1);
    share.leave(&members[2]);
    assert_eq!(share.active(), 1);
    // However long nobody sent.
    for hours in [1, 1000] {
        share.is_open(at(hours * 3_600_000), &mut members[1]);
        assert_eq!(share.active(), 1);
    }
}
