//! Who holds allocations, and who relays most: from the live ones, named only up to a bound.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::edge::diagnostics::json::{AllocationsWord, FamiliesWord, Holder, TalkerWord};
use crate::limits::diagnose::NAMED_MAX;
use crate::policy::quota::SourcePrefix;
use crate::time::Now;
use crate::turn::allocation::AllocationView;

/// Bytes by the number of the allocation.
pub(super) type Before = BTreeMap<u64, u64>;

pub(super) fn before(allocations: &[AllocationView]) -> Before {
    allocations.iter().map(|view| (view.number.0, bytes(view))).collect()
}

pub(super) fn users(allocations: &[AllocationView]) -> Vec<Holder> {
    most(allocations.iter().map(|view| view.user.to_string()))
}

pub(super) fn sources(allocations: &[AllocationView]) -> Vec<Holder> {
    most(allocations.iter().map(|view| source(view.tuple.client.ip())))
}

/// What the quota counts as one.
fn source(ip: IpAddr) -> String {
    SourcePrefix::of(ip).to_string()
}

fn most(names: impl Iterator<Item = String>) -> Vec<Holder> {
    let mut count_by_name = BTreeMap::<String, u64>::new();
    for name in names {
        *count_by_name.entry(name).or_default() += 1;
    }
    let holder = |(name, allocations)| Holder { name, allocations };
    let mut holders: Vec<Holder> = count_by_name.into_iter().map(holder).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.allocations));
    holders.truncate(NAMED_MAX);
    holders
}

pub(super) fn shape(allocations: &[AllocationView]) -> AllocationsWord {
    let mut by_family = FamiliesWord::default();
    for view in allocations {
        match (view.relayed_other, view.relayed.is_ipv4()) {
            (Some(_), _) => by_family.both += 1,
            (None, true) => by_family.ipv4 += 1,
            (None, false) => by_family.ipv6 += 1,
        }
    }
    AllocationsWord { live: allocations.len() as u64, by_family, ..AllocationsWord::default() }
}

/// By what went through since `before`, and how long ago that was; else since each was made.
pub(super) fn talkers(
    now: Now,
    allocations: &[AllocationView],
    before: Option<&(Duration, Before)>,
) -> Vec<TalkerWord> {
    let mut by_user = BTreeMap::<&str, TalkerWord>::new();
    for view in allocations {
        let of_user = by_user.entry(&view.user).or_insert_with(|| TalkerWord {
            user: view.user.to_string(),
            allocations: 0,
            bytes: 0,
            bits_per_s: 0,
        });
        of_user.allocations += 1;
        of_user.bytes += bytes(view);
        of_user.bits_per_s += bits_per_s(now, view, before);
    }
    let mut talkers: Vec<TalkerWord> =
        by_user.into_values().filter(|talker| talker.bytes > 0).collect();
    talkers.sort_by_key(|talker| std::cmp::Reverse((talker.bits_per_s, talker.bytes)));
    talkers.truncate(NAMED_MAX);
    talkers
}

fn bits_per_s(now: Now, view: &AllocationView, before: Option<&(Duration, Before)>) -> u64 {
    let age_ms = u64::try_from(now.unix_ms - view.opened_at_unix_ms).unwrap_or(0);
    let (then, ms) = match before {
        Some((ago, before)) => {
            let ago_ms = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            let known = before.get(&view.number.0);
            (known.copied().unwrap_or(0), if known.is_some() { ago_ms } else { age_ms.min(ago_ms) })
        }
        None => (0, age_ms),
    };
    bytes(view).saturating_sub(then).saturating_mul(8000) / ms.max(1)
}

fn bytes(view: &AllocationView) -> u64 {
    view.traffic.bytes_to_peers + view.traffic.bytes_to_client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fact::{AllocationNumber, Traffic};
    use crate::turn::five_tuple::FiveTuple;

    fn view(number: u64, user: &str, client: &str, bytes: u64) -> AllocationView {
        AllocationView {
            number: AllocationNumber(number),
            user: user.into(),
            tuple: FiveTuple::udp(client.parse().unwrap(), "192.0.2.1:3478".parse().unwrap()),
            relayed: "192.0.2.1:50000".parse().unwrap(),
            relayed_other: None,
            opened_at_unix_ms: 0,
            expires_in_s: 600,
            traffic: Traffic { bytes_to_client: bytes, ..Traffic::default() },
        }
    }

    #[test]
    fn who_holds_most_comes_first_and_a_64_is_one_source() {
        let views = [
            view(1, "bob", "198.51.100.1:1", 0),
            view(2, "alice", "[2001:db8::1]:1", 0),
            view(3, "alice", "[2001:db8::2]:1", 0),
        ];
        let first = |holders: Vec<Holder>| (holders[0].name.clone(), holders[0].allocations);
        assert_eq!(first(users(&views)), ("alice".into(), 2));
        assert_eq!(first(sources(&views)), ("2001:db8::/64".into(), 2));
        let many: Vec<_> =
            (0..=NAMED_MAX).map(|n| view(n as u64, &format!("u{n}"), "192.0.2.9:1", 0)).collect();
        assert_eq!(users(&many).len(), NAMED_MAX);
    }

    #[test]
    fn who_relays_at_this_moment_comes_before_who_did_once() {
        let now = Now { unix_ms: 100_000, ..Now::read() };
        let once = [view(1, "once", "192.0.2.9:1", 9_000_000), view(2, "now", "192.0.2.9:2", 0)];
        let held = (Duration::from_secs(10), before(&once));
        let views = [
            view(1, "once", "192.0.2.9:1", 9_000_000),
            view(2, "now", "192.0.2.9:2", 12_500),
            view(3, "silent", "192.0.2.9:3", 0),
        ];
        let told = talkers(now, &views, Some(&held));
        let words: Vec<_> = told.iter().map(|told| (&*told.user, told.bits_per_s)).collect();
        assert_eq!(words, [("now", 10_000), ("once", 0)]);
        // Nothing is known of before: the mean of its life.
        assert_eq!(talkers(now, &views[..1], None)[0].bits_per_s, 720_000);
    }
}
