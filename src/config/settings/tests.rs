//! Every key is listed, no secret is shown, and what a reload cannot change stays as it was.

use std::path::Path;

use super::*;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn config(text: &str) -> Config {
    Config::parse(Path::new("turnbell.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

/// Another value for every key.
fn all_changed(directory: &Path) -> Config {
    std::fs::write(directory.join("secret.txt"), SECRET).unwrap();
    let text = format!(
        r#"
realm = "other"
state_directory = "/elsewhere"
listen = ["127.0.0.1:0"]
listen_tcp = []
listen_tls = ["127.0.0.1:5349"]
proxy_protocol = ["127.0.0.1:5349"]
tls.cert = "chain.pem"
tls.key = "key.pem"
relay_addresses = ["127.0.0.1"]
relay_ports = "50000-50099"
external = ["203.0.113.7/10.0.0.5"]
external_stun = ["stun.example.org"]
advertise = ["turn.example.org:443"]
default_relay_family = "client"
channel_numbers = "rfc5766"
carry_tos = "on"
batch_delay = "auto"
threads = "2"
allow_private_peers = ["10.0.0.0/8"]
deny_peers = ["203.0.113.0/24"]
alternate = ["203.0.113.9:5349/turn2.example.org"]
auth.secrets = ["a{SECRET}"]
auth.secret_files = ["secret.txt"]
auth.rest_usernames = "coturn"
reflection_ports = "0 137-139"
auth.expiry = "strict"
shield.answers_per_source = 7
shield.answers_total = "64kbit"
rate.per_allocation = ["100Mbit", "10kpps"]
rate.per_user = ["11pps"]
rate.total = ["1Gbit"]
auth.users = ["alice:correct-horse"]
auth.user_keys = ["bob:bc807ee29df3c9ffa736523fb2c4e8ee"]
quota = {{ per_user = 1, per_source = 2, total = 3 }}
[http]
listen = []
cors_origins = ["https://app.example.org"]
local_without_key = true
rate_per_key = 7
trusted_proxies = ["127.0.0.1"]
base_path = "/turnbell"
public_url = "https://calls.example.org"
[identity]
guests = "anyone"
invites = "off"
issuer = [{{ issuer = "https://id.example.org", secret = "issuer-{SECRET}" }}]
[tenant.acme]
[ice]
ttl = "90s"
policy = "relay"
stun = false
server = [{{ urls = ["turn:turn.example.net"], username = "u", credential = "battery-staple" }}]
[verify]
every = "2h"
[record]
retention_days = 7
bytes_max = "512MiB"
addresses = "prefix"
[metrics]
coturn_names = true
[log]
level = "debug"
format = "json"
"#
    );
    let path = directory.join("turnbell.toml");
    Config::parse(&path, &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_key_is_listed_once_and_no_other() {
    let mut listed: Vec<&str> = config("").settings().iter().map(|s| s.key).collect();
    let mut known = Config::keys();
    for repeated in ["ice.server", "identity.issuer", "tenant"] {
        known.retain(|key| !key.starts_with(&format!("{repeated}.")));
        known.push(repeated.to_owned());
    }
    listed.sort_unstable();
    known.sort();
    assert_eq!(listed, known);
}

#[test]
fn the_keys_that_differ_are_told_with_both_values_and_nothing_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (config(""), all_changed(directory.path()));
    assert_eq!(changes(&old, &old), []);
    assert_eq!(changes(&new, &new), []);
    let told = changes(&old, &new);
    let keys: Vec<&str> = old.settings().iter().map(|s| s.key).collect();
    assert_eq!(told.iter().map(|change| change.key).collect::<Vec<_>>(), keys);
    let value = |key: &str| {
        let change = told.iter().find(|change| change.key == key).unwrap();
        (change.old.as_str(), change.new.as_str())
    };
    assert_eq!(value("realm"), ("\"turnbell\"", "\"other\""));
    assert_eq!(value("quota.per_user"), ("64", "1"));
    assert_eq!(value("auth.secrets"), ("0 secrets", "1 secret"));
    assert_eq!(value("auth.secret_files"), ("[]", "[\"secret.txt\"] (1 secret)"));
    assert_eq!(value("auth.rest_usernames"), ("\"strict\"", "\"coturn\""));
    assert_eq!(value("auth.users"), ("0 accounts", "1 account"));
    assert_eq!(value("auth.user_keys"), ("0 accounts", "1 account"));
    assert_eq!(value("rate.per_allocation"), ("[]", "[\"100Mbit\", \"10kpps\"]"));
    assert_eq!(value("rate.per_user"), ("[]", "[\"11pps\"]"));
    assert_eq!(value("shield.answers_total"), ("\"20Mbit\"", "\"64kbit\""));
    assert_eq!(value("reflection_ports").1, "\"0 137-139\"");
    assert_eq!(value("record.bytes_max"), ("\"1GiB\"", "\"512MiB\""));
    assert_eq!(value("ice.server"), ("[]", "[\"turn:turn.example.net as \\\"u\\\" (after)\"]"));
    let all = format!("{told:?} {:?}", new.settings());
    for secret in [SECRET, "correct-horse", "battery-staple"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn another_secret_of_the_same_number_is_a_change_that_shows_nothing() {
    let of = |secret: &str| config(&format!("auth.secrets = [\"{secret}\"]"));
    let told = changes(&of(SECRET), &of(&format!("b{SECRET}")));
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].old, &*told[0].new), ("1 secret", "1 secret (others)"));
}

#[test]
fn what_needs_a_restart_stays_and_the_rest_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (config(""), all_changed(directory.path()));
    let effective = new.reloaded_into(&old);
    let settings = old.settings().into_iter().zip(new.settings());
    for ((old, new), effective) in settings.zip(effective.settings()) {
        let expected = match new.takes {
            Takes::Reload => new.value,
            Takes::Restart => old.value,
        };
        assert_eq!(effective.value, expected, "{}", new.key);
    }
    assert!(changes(&effective, &new).iter().all(|change| change.takes == Takes::Restart));
}

#[test]
fn sizes_are_shown_as_they_are_written() {
    for (bytes, shown) in [(1 << 30, "1GiB"), (3 << 29, "1536MiB"), (16 << 20, "16MiB")] {
        assert_eq!(size(bytes), shown);
    }
}
