//! What was used, added up by tenant, user and day.

use turnbell::auth::identity::TenantId;
use turnbell::call::media::MediaPath;
use turnbell::call::rows::{CallRow, Row};
use turnbell::call::ulid::{CallId, Ulid};
use turnbell::store::{Entry, Store, Usage, UsageBy, UsageQuery};
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};

use crate::call_rows::call;
use crate::support::{close, closed, open, opened, opened_by_page, until_stored};

const DAY_MS: i64 = 86_400_000;
const SESSION: &str = "01ARYZ6S410000000000000000";

fn talked(at: i64, tenant: &str, who: [&str; 2], path: Option<&str>) -> Entry {
    let Row::Call(row) = call(1, at, who[0], who[1]) else { unreachable!() };
    Entry::Call(Row::Call(Box::new(CallRow {
        call: CallId(Ulid::new(at, at.unsigned_abs().into())),
        tenant: TenantId::new(tenant).unwrap(),
        connected_at: Some(at),
        talk_ms: Some(60_000),
        path: path.and_then(MediaPath::from_code),
        ..*row
    })))
}

fn used(store: &Store, by: UsageBy, tenant: Option<&str>) -> Vec<(String, Usage)> {
    let tenant = tenant.and_then(TenantId::new);
    let query = UsageQuery { from_unix_ms: DAY_MS, to_unix_ms: 3 * DAY_MS, by, tenant };
    let answer = store.usage(&query).unwrap();
    let name = |key: turnbell::store::UsageKey| {
        format!("{}/{}/{}", key.tenant, key.user, key.day_unix_ms / DAY_MS)
    };
    let mut rows: Vec<_> = answer.rows.into_iter().map(|(key, usage)| (name(key), usage)).collect();
    rows.push(("all".to_owned(), answer.total));
    rows
}

#[test] // P30
fn calls_minutes_and_bytes_count_once_for_each_who_used_them() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(talked(DAY_MS, "default", ["alice", "bob"], Some("relay/srflx/udp")));
    store.record(talked(DAY_MS + 1, "default", ["bob", "carol"], Some("host/host/udp")));
    store.record(talked(2 * DAY_MS, "acme", ["alice", "zoe"], None));
    let missed = call(9, 2 * DAY_MS, "bob", "alice");
    let Row::Call(missed) = missed else { unreachable!() };
    let id = CallId(Ulid::new(2 * DAY_MS, 99));
    store.record(Entry::Call(Row::Call(Box::new(CallRow { call: id, ..*missed }))));
    // Before and behind the time that is asked for.
    store.record(talked(DAY_MS - 1, "default", ["alice", "bob"], None));
    store.record(talked(3 * DAY_MS, "default", ["alice", "bob"], None));
    let page = |user: &str| format!("{user}~{SESSION}");
    store.record(opened_by_page(1, DAY_MS, &page("default/alice")));
    store.record(opened_by_page(2, DAY_MS, &page("acme/Zo%C3%AB")));
    store.record(opened(3, 2 * DAY_MS, "alice"));
    store.record(opened(4, 2 * DAY_MS, "alice"));
    store.record(opened(5, DAY_MS - 1, "alice"));
    store.record(opened(6, 3 * DAY_MS, "alice"));
    for number in [1, 2, 5, 6] {
        store.record(closed(number, 4 * DAY_MS));
    }
    store.record(Entry::Relay(Fact::AllocationClosed {
        number: AllocationNumber(3),
        at_unix_ms: 4 * DAY_MS,
        reason: EndReason::Expired,
        traffic: Traffic::default(),
    }));
    until_stored(&store);
    let call = Usage { calls: 1, connected: 1, talk_ms: 60_000, ..Usage::default() };
    let bytes = |count: u64| (2 * count, 4 * count);
    let all = Usage {
        calls: 4,
        connected: 3,
        talk_ms: 180_000,
        direct: 1,
        relayed: 1,
        allocations: 4,
        gathered_only: 1,
        bytes_up: bytes(2).0,
        bytes_down: bytes(2).1,
    };
    let acme = Usage { allocations: 1, bytes_up: 2, bytes_down: 4, ..call };
    let rest = Usage {
        calls: 3,
        connected: 2,
        talk_ms: 120_000,
        allocations: 3,
        bytes_up: 2,
        bytes_down: 4,
        ..all
    };
    let of = |rows: &[(&str, Usage)]| -> Vec<(String, Usage)> {
        rows.iter().map(|(name, usage)| ((*name).to_owned(), *usage)).collect()
    };
    assert_eq!(
        used(&store, UsageBy::Tenant, None),
        of(&[("acme//0", acme), ("default//0", rest), ("all", all)])
    );
    assert_eq!(
        used(&store, UsageBy::Tenant, Some("acme")),
        of(&[("acme//0", acme), ("all", acme)])
    );
    let users = used(&store, UsageBy::User, Some("default"));
    let names: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["default/alice/0", "default/bob/0", "default/carol/0", "all"]);
    let alice = users[0].1;
    assert_eq!((alice.calls, alice.connected, alice.relayed, alice.direct), (2, 1, 1, 0));
    assert_eq!((alice.allocations, alice.gathered_only, alice.bytes_up), (3, 1, 2));
    assert_eq!(users[1].1.calls, 3, "on either side");
    let zoe = used(&store, UsageBy::User, Some("acme"));
    assert_eq!(zoe[0].0, "acme/Zoë/0", "as her token names her");
    let days = used(&store, UsageBy::Day, None);
    assert_eq!((days[0].0.as_str(), days[0].1.calls), ("//1", 2));
    assert_eq!((days[1].0.as_str(), days[1].1.calls, days[1].1.gathered_only), ("//2", 2, 1));
    close(&store, writer);
}
