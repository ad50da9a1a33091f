//! Each judgement on both sides of its line.

use super::super::json::{
    AddressWord, AllocationsWord, CallsWord, CapacityWord, CertificateWord, CountWord, Facts,
    Holder, Item, Light, PortsWord, QuotaWord, RecordWord, RefusedWord, RelayWord, ShareWord,
    UsedOf, VerificationWord,
};
use super::judge;
use crate::edge::operator_json::{ConfigWord, SettingWord};
use crate::time::Now;

fn now() -> Now {
    Now { unix_ms: 1_000_000_000_000, ..Now::read() }
}

/// A server that is well, and was seen from outside an hour ago.
fn well() -> Facts {
    Facts {
        relay: RelayWord { alive: true, answers: true, ..RelayWord::default() },
        record: RecordWord {
            ok: true,
            path: "/var/lib/turnbell/turnbell.db".into(),
            disk_free_bytes: Some(1 << 30),
            ..RecordWord::default()
        },
        certificate: Some(certificate(30)),
        ports: PortsWord {
            range: "50000-50099".into(),
            free: 90,
            used: 10,
            ..PortsWord::default()
        },
        descriptors: UsedOf { used: 20, limit: 1024 },
        quota: QuotaWord {
            total: UsedOf { used: 10, limit: 90 },
            per_user: 64,
            per_source: 25,
            ..QuotaWord::default()
        },
        allocations: AllocationsWord { live: 10, ..AllocationsWord::default() },
        verifications: vec![seen("browser", true)],
        capacity: CapacityWord { calls: Some(400), says: "About 400".into(), bounds: Vec::new() },
        config: Some(ConfigWord { file: Some("turnbell.toml".into()), settings: Vec::new() }),
        ..Facts::default()
    }
}

fn certificate(days_left: i64) -> CertificateWord {
    let hosts = "turn.example.org".to_owned();
    CertificateWord { hosts, expires_at: 0, days_left, problem: None }
}

fn seen(vantage: &str, ok: bool) -> VerificationWord {
    VerificationWord {
        vantage: vantage.to_owned(),
        at: Some(now().unix_ms - 3_600_000),
        ok: Some(ok),
        severity: Some(if ok { "ok" } else { "error" }.to_owned()),
        verdict: Some("UDP 3478 does not answer.".into()),
    }
}

/// The only item of this name.
#[track_caller]
fn item(facts: Facts, id: &str) -> Item {
    let found = judge(now(), "1.2.3", now().unix_ms - 5000, facts);
    assert_eq!(found.state, found.items[0].state, "the worst comes first");
    assert!(found.items.iter().all(|item| item.state == Green || item.cure.is_some()));
    let mut of_id = found.items.into_iter().filter(|item| item.id == id);
    let item = of_id.next().unwrap_or_else(|| panic!("no item {id}"));
    assert_eq!(of_id.next(), None);
    item
}

#[track_caller]
fn check(id: &str, expected: Light, change: impl FnOnce(&mut Facts)) -> Item {
    let mut facts = well();
    change(&mut facts);
    let item = item(facts, id);
    assert_eq!(item.state, expected, "{item:?}");
    item
}

use Light::{Green, Red, Yellow};

#[test]
fn a_server_that_is_well_is_green_altogether() {
    let found = judge(now(), "1.2.3", now().unix_ms - 5000, well());
    assert_eq!((found.state, found.uptime_s), (Green, 5), "{:?}", found.items);
    assert_eq!(found.verdict, "Everything that was looked at is well.");
}

#[test]
fn the_verdict_names_the_worst_and_counts_its_like() {
    let mut facts = well();
    facts.quota.total.used = 90;
    let one = judge(now(), "", 0, facts.clone()).verdict;
    assert!(one.starts_with("It works; look at this: All 90 allocations are taken"), "{one}");
    facts.descriptors.used = 1000;
    facts.relay.answers = false;
    let two = judge(now(), "", 0, facts).verdict;
    assert!(two.starts_with("2 things do not work, first of all: The thread that relays"), "{two}");
}

#[test]
fn a_record_that_cannot_be_written_is_red_with_the_cure_of_its_cause() {
    for (problem, cure) in [
        ("the disk is full", "Make room on the disk of /var/lib/turnbell/turnbell.db"),
        ("attempt to write a readonly database", "Let the user turnbell runs as write"),
        ("database disk image is malformed", "a new record is begun"),
        ("it says so; mount it", "mount it"),
    ] {
        let item = check("record", Red, |facts| {
            facts.record.ok = false;
            facts.record.problem = Some(problem.to_owned());
        });
        assert!(item.cure.unwrap().contains(cure), "{problem}");
        assert!(item.says.contains("calls go on"), "{}", item.says);
    }
    check("record", Yellow, |facts| facts.record.dropped = 1);
    let left = |bytes| move |facts: &mut Facts| facts.record.disk_free_bytes = Some(bytes);
    check("record", Green, left(256 << 20));
    check("record", Yellow, left((256 << 20) - 1));
}

#[test]
fn a_quota_is_yellow_when_it_is_full_or_nearly() {
    let used = |used| move |facts: &mut Facts| facts.quota.total = UsedOf { used, limit: 100 };
    check("quota", Green, used(79));
    check("quota", Yellow, used(80));
    assert!(check("quota", Yellow, used(100)).says.contains("refused (508)"));
    let holds = |allocations| vec![Holder { name: "alice".into(), allocations }];
    let found = judge(
        now(),
        "",
        0,
        Facts {
            quota: QuotaWord { users: holds(63), sources: holds(24), ..well().quota },
            ..well()
        },
    );
    assert_eq!(found.state, Green);
    assert!(check("quota_user", Yellow, |f| f.quota.users = holds(64)).says.contains("alice"));
    check("quota_source", Yellow, |f| f.quota.sources = holds(25));
}

#[test]
fn ports_and_descriptors_are_red_when_nothing_is_left() {
    let free = |free| move |f: &mut Facts| (f.ports.free, f.ports.used) = (free, 100 - free);
    check("ports", Green, free(21));
    check("ports", Yellow, free(20));
    check("ports", Red, free(0));
    let used = |used| move |f: &mut Facts| f.descriptors = UsedOf { used, limit: 100 };
    check("descriptors", Green, used(79));
    check("descriptors", Yellow, used(80));
    check("descriptors", Red, used(95));
}

#[test]
fn a_certificate_is_looked_at_two_weeks_before_its_end() {
    let left = |days| move |f: &mut Facts| f.certificate = Some(certificate(days));
    check("certificate", Green, left(14));
    check("certificate", Yellow, left(13));
    check("certificate", Yellow, left(0));
    assert!(check("certificate", Red, left(-1)).says.contains("expired 1 day ago"));
    check("certificate", Green, |f| f.certificate = None);
    let problem = Some("it covers calls.example.org; name a host of it".to_owned());
    let item = check("certificate", Red, |f| {
        f.certificate = Some(CertificateWord { problem, ..certificate(30) });
    });
    assert_eq!(item.cure.as_deref(), Some("name a host of it"));
}

#[test] // P6: a probe of oneself proves little
fn it_is_yellow_until_it_was_seen_from_outside() {
    let from = |seen: Vec<VerificationWord>| move |f: &mut Facts| f.verifications = seen;
    check("verification", Yellow, from(Vec::new()));
    let item = check("verification", Yellow, from(vec![seen("this_machine", true)]));
    assert!(item.says.starts_with("Works on this machine. Not yet proven"), "{}", item.says);
    check("verification", Green, from(vec![seen("another_machine", true)]));
    let bad = check("verification", Red, from(vec![seen("browser", false)]));
    assert_eq!(bad.says, "From a browser: UDP 3478 does not answer.");
    let some = VerificationWord { severity: Some("warning".into()), ..seen("this_machine", true) };
    let some = check("verification", Yellow, from(vec![seen("browser", true), some]));
    assert_eq!(some.says, "From this machine: UDP 3478 does not answer.");
    // What is wrong with the certificate has an item of its own.
    let both = |f: &mut Facts| {
        f.verifications = vec![seen("this_machine", false)];
        let problem = Some("UDP 3478 does not answer; mend it".to_owned());
        f.certificate = Some(CertificateWord { problem, ..certificate(30) });
    };
    check("verification", Yellow, both);
    let days = |days: i64| now().unix_ms - days * 86_400_000;
    let old = |at| vec![VerificationWord { at: Some(at), ..seen("browser", true) }];
    check("verification", Green, from(old(days(30) + 1)));
    check("verification", Yellow, from(old(days(30))));
}

#[test]
fn refused_clients_are_told_apart_by_the_true_cause() {
    let refused = |cause: &str, last_hour| {
        let (cause, means) = (cause.to_owned(), String::new());
        vec![RefusedWord { cause, means, count: last_hour, last_hour }]
    };
    let of = |cause: &'static str, n| move |f: &mut Facts| f.refused = refused(cause, n);
    check("credentials", Green, of("wrong_integrity", 19));
    let wrong = check("credentials", Yellow, of("wrong_integrity", 20));
    assert!(wrong.cure.unwrap().contains("auth.secrets"));
    let expired = check("credentials", Yellow, of("expired", 20));
    assert!(expired.cure.unwrap().contains("timedatectl"));
    check("credentials", Green, of("stale_nonce", 1000));
}

#[test]
fn calls_that_fail_name_the_reason_and_a_lack_of_udp_is_told() {
    let word = |code: &str, count| CountWord { code: code.to_owned(), count };
    let calls = |failed| {
        move |f: &mut Facts| {
            f.calls = CallsWord {
                total: 10,
                by_status: vec![word("COMPLETED", 10 - failed), word("FAILED", failed)],
                by_reason: vec![word("hangup", 10 - failed), word("ice_failed", failed)],
                ..CallsWord::default()
            };
        }
    };
    check("calls", Green, calls(2));
    assert!(check("calls", Yellow, calls(3)).says.contains("most often ice_failed"));
    check("calls", Yellow, |f| f.calls.problem = Some("it is broken".into()));
    let share = |tcp| ShareWord { direct: 100, udp: 10 - tcp, tcp, tls: 0 };
    assert!(judge(now(), "", 0, Facts { relay_share: share(1), ..well() }).state == Green);
    check("without_udp", Yellow, |f| f.relay_share = share(2));
}

#[test]
fn what_the_config_means_for_strangers_and_waits_for_a_restart_is_yellow() {
    let setting = |key: &str, value: &str| SettingWord {
        key: key.to_owned(),
        value: value.into(),
        from: "file".to_owned(),
        line: None,
        note: None,
        after_restart: None,
    };
    let with = |settings: Vec<SettingWord>| {
        move |f: &mut Facts| f.config = Some(ConfigWord { file: Some("x".into()), settings })
    };
    check("config", Green, with(vec![setting("identity.guests", "local")]));
    check("guests", Yellow, with(vec![setting("identity.guests", "anyone")]));
    let waiting = SettingWord { after_restart: Some("\"b\"".into()), ..setting("realm", "a") };
    assert!(check("config", Yellow, with(vec![waiting])).says.starts_with("realm = \"b\""));
    let told = |file: Option<&str>, not_public: Option<&str>| {
        let file = file.map(ToOwned::to_owned);
        let address = AddressWord {
            address: "10.0.0.5".into(),
            told: "10.0.0.5".into(),
            why: String::new(),
            told_by: None,
            not_public: not_public.map(ToOwned::to_owned),
        };
        move |f: &mut Facts| {
            f.addresses = vec![address];
            f.config = Some(ConfigWord { file, settings: Vec::new() });
        }
    };
    check("addresses", Green, told(Some("x"), None));
    check("addresses", Green, told(None, Some("private")));
    let item = check("addresses", Yellow, told(Some("x"), Some("private")));
    assert!(item.cure.unwrap().contains("external = [\"PUBLIC/10.0.0.5\"]"));
}
