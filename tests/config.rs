//! The configuration: every default, every sentence of refusal, both sides of every limit.

use std::path::Path;
use std::time::Duration;

use turnbell::auth::identity::{Role, TenantId};
use turnbell::call::options::TenantOptions;
use turnbell::call::request::WhenBusy;
use turnbell::config::{
    AddressPrivacy, ChannelNumbers, Config, DefaultRelayFamily, GuestRule, Host, IceLogin,
    IcePolicy, IcePosition, InviteRule, IssuerKeys, IssuerTenancy, LogFormat, Places, Source,
    Threads,
};

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const SHIPPED: &str = include_str!("../conf/turnbell.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("turnbell.toml"), text).map_err(|error| error.to_string())
}

fn accepted(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The only problem of `text`.
fn refusal(text: &str) -> String {
    let error = parse(text).expect_err(text);
    assert_eq!(error.lines().count(), 1, "{text}\n{error}");
    error
}

fn check_refused(text: &str, parts: &[&str]) {
    let error = refusal(text);
    for part in parts {
        assert!(error.contains(part), "{text}\nlacks {part:?} in\n{error}");
    }
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let defaults = Config { places: Places::default(), ..accepted(SHIPPED) };
    assert_eq!(defaults, accepted(""));
}

#[test]
fn the_shipped_file_is_valid_where_it_is_installed() {
    let config = Config::parse(Path::new("/etc/turnbell/turnbell.toml"), SHIPPED).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    if std::env::var_os("STATE_DIRECTORY").is_none() {
        assert_eq!(config.state_directory, Path::new("/var/lib/turnbell"));
    }
}

#[test]
fn the_shipped_file_names_every_key_and_no_other() {
    let mut section = String::new();
    let mut named = Vec::new();
    for line in SHIPPED.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            section = format!("{}.", header.trim_matches(['[', ']']));
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
        {
            named.push(format!("{section}{key}"));
        }
    }
    let mut known = Config::keys();
    assert!(known.len() > 30, "{known:?}");
    known.sort();
    named.sort();
    assert_eq!(named, known);
}

#[test]
fn every_key_of_the_shipped_file_follows_a_comment() {
    let mut before = "";
    for line in SHIPPED.lines() {
        let starts_paragraph = before.is_empty() && !line.is_empty() && !line.starts_with('[');
        assert!(!starts_paragraph || line.starts_with("# "), "no word about: {line}");
        before = line;
    }
}

#[test]
fn a_file_differs_from_the_embedded_default_only_in_local_access() {
    let mut embedded = Config::embedded();
    assert!(embedded.http.local_without_key);
    embedded.http.local_without_key = false;
    embedded.source = Source::File("turnbell.toml".into());
    assert_eq!(accepted(""), embedded);
}

#[test]
fn quotas_that_are_not_given_follow_the_port_range() {
    let quota = accepted("").quota;
    assert_eq!((quota.per_user, quota.per_source, quota.total), (64, 4096, 14_745));
    let quota = accepted("relay_ports = \"50000-50099\"").quota;
    assert_eq!((quota.per_user, quota.per_source, quota.total), (64, 25, 90));
    let quota = accepted("relay_ports = \"50000-50000\"").quota;
    assert_eq!((quota.per_source, quota.total), (1, 1));
    let quota = accepted("[quota]\nper_user = 1\nper_source = 2\ntotal = 3").quota;
    assert_eq!((quota.per_user, quota.per_source, quota.total), (1, 2, 3));
}

#[test]
fn every_key_is_read() {
    let config = accepted(&format!(
        r#"
realm = "example"
state_directory = "/srv/turnbell"
listen = ["127.0.0.1:0"]
listen_tcp = ["127.0.0.1:3479"]
listen_tls = ["127.0.0.1:5350"]
proxy_protocol = ["127.0.0.1:3479"]
tls.cert = "cert.pem"
tls.key = "/etc/key.pem"
relay_addresses = ["127.0.0.1", "::1"]
relay_ports = "50000 - 50099"
external = ["203.0.113.7/10.0.0.5", "2001:db8::7"]
advertise = ["TURN.example.org.", "turn.example.org:443", "203.0.113.7", "[2001:db8::7]:3479", "2001:db8::7"]
default_relay_family = "client"
channel_numbers = "rfc5766"
carry_tos = "on"
batch_delay = "auto"
threads = 3
allow_private_peers = ["127.0.0.1", "10.0.0.0/8"]
deny_peers = ["0.0.0.0/0"]
alternate = ["203.0.113.9:5349/TURN2.example.org", "[2001:db8::9]:3478"]
[auth]
secrets = ["{SECRET}"]
users = ["alice:correct:horse"]
[http]
listen = []
cors_origins = ["https://app.example.org", "http://localhost:5173", "https://[2001:db8::1]:8443"]
local_without_key = true
rate_per_key = 7
trusted_proxies = ["127.0.0.1", "2001:db8::/32"]
base_path = "/calls/turnbell"
[ice]
ttl = "90s"
policy = "relay"
stun = false
[[ice.server]]
urls = ["stun:stun.example.org"]
[[ice.server]]
urls = ["turn:turn.example.org"]
username = "u"
credential = "c"
position = "before"
[[ice.server]]
urls = ["turns:turn.example.org"]
secret = "s"
[record]
retention_days = 7
bytes_max = "512 MiB"
addresses = "prefix"
[log]
level = "debug"
format = "json"
[metrics]
coturn_names = true
"#
    ));
    assert_eq!(config.realm, "example");
    assert_eq!(config.state_directory, Path::new("/srv/turnbell"));
    assert_eq!(config.listen, ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!(config.listen_tcp, ["127.0.0.1:3479".parse().unwrap()]);
    assert_eq!(config.listen_tls, ["127.0.0.1:5350".parse().unwrap()]);
    assert_eq!(config.proxy_protocol, config.listen_tcp);
    let tls = config.tls.unwrap();
    assert_eq!((&*tls.cert, &*tls.key), (Path::new("cert.pem"), Path::new("/etc/key.pem")));
    assert_eq!(config.relay_addresses.len(), 2);
    assert_eq!(config.relay_ports, 50_000..=50_099);
    assert_eq!(config.external[0].private, Some("10.0.0.5".parse().unwrap()));
    assert_eq!(config.external[1].private, None);
    assert_eq!(config.advertise[0].host, Host::Name("turn.example.org".to_owned()));
    assert_eq!(config.advertise[1].port, Some(443));
    assert_eq!(config.advertise[3].port, Some(3479));
    assert_eq!(config.advertise[4].host, Host::Address("2001:db8::7".parse().unwrap()));
    assert_eq!(config.default_relay_family, DefaultRelayFamily::Client);
    assert_eq!(config.channel_numbers, ChannelNumbers::Rfc5766);
    assert!(config.carry_tos && config.batch_delay);
    assert_eq!(config.threads, Threads::Count(3));
    assert_eq!(config.allow_private_peers[0], "127.0.0.1/32".parse().unwrap());
    assert_eq!(config.deny_peers[0].prefix_len(), 0);
    assert_eq!(config.alternate[0].domain.as_deref(), Some("turn2.example.org"));
    assert_eq!(config.alternate[1].server, "[2001:db8::9]:3478".parse().unwrap());
    assert_eq!(config.auth.secrets[0].expose(), SECRET);
    assert_eq!(config.auth.users[0].name, "alice");
    assert_eq!(config.auth.users[0].password.expose(), "correct:horse");
    assert_eq!((config.http.listen.len(), config.http.rate_per_key), (0, 7));
    assert_eq!(config.http.cors_origins.len(), 3);
    assert!(config.http.local_without_key);
    let proxies = ["127.0.0.1/32", "2001:db8::/32"].map(|net| net.parse().unwrap());
    assert_eq!(config.http.trusted_proxies, proxies);
    assert_eq!(config.http.base_path, "/calls/turnbell");
    assert_eq!((config.ice.ttl, config.ice.policy), (Duration::from_secs(90), IcePolicy::Relay));
    assert!(!config.ice.stun);
    let servers = &config.ice.servers;
    assert_eq!((&servers[0].login, servers[0].position), (&IceLogin::None, IcePosition::After));
    assert!(matches!(&servers[1].login, IceLogin::Fixed { username, .. } if username == "u"));
    assert_eq!(servers[1].position, IcePosition::Before);
    assert!(matches!(&servers[2].login, IceLogin::Shared(secret) if secret.expose() == "s"));
    assert_eq!((config.record.retention_days, config.record.bytes_max), (7, 512 << 20));
    assert_eq!(config.record.addresses, AddressPrivacy::Prefix);
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    assert_eq!((config.log.format, config.coturn_names), (LogFormat::Json, true));
}

#[test]
fn all_problems_are_shown_at_once_in_the_order_of_the_file() {
    let error = parse(
        "relm = \"x\"\nlisten = [\"0.0.0.0\", 5]\nrelay_ports = \"80-90\"\n\n[quota]\n\
         per_user = \"many\"\ntotal = -1\n[nonsense]\nx = 1\n[ice]\nttl = \"25h\"\n",
    )
    .unwrap_err();
    let starts = [
        "turnbell.toml:1: `relm`: ",
        "turnbell.toml:2: `listen`: ",
        "turnbell.toml:3: `relay_ports`: ",
        "turnbell.toml:6: `quota.per_user`: ",
        "turnbell.toml:7: `quota.total`: ",
        "turnbell.toml:8: `nonsense`: ",
        "turnbell.toml:11: `ice.ttl`: ",
    ];
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), starts.len(), "{error}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nshould start with {start}");
    }
}

#[test]
fn a_flood_of_problems_is_cut() {
    let lines = |count| (0..count).map(|n| format!("key{n} = 1\n")).collect::<String>();
    assert_eq!(parse(&lines(49)).unwrap_err().lines().count(), 49);
    assert!(parse(&lines(500)).unwrap_err().lines().count() <= 51);
}

#[test]
fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    check_refused("relm = \"x\"", &["turnbell.toml:1: `relm`", "did you mean `realm`?"]);
    check_refused("[qouta]\nper_user = 1", &["did you mean [quota]?"]);
    check_refused("[quota]\nper_usr = 1", &["turnbell.toml:2: `quota.per_usr`", "`per_user`?"]);
    check_refused("[log]\nexternal = []", &["`external` stands at the top of the file"]);
    check_refused("secrets = []", &["`secrets` stands in [auth]"]);
    check_refused("[ice]\nurls = []", &["`urls` stands in [[ice.server]]"]);
    check_refused("[[ice.server]]\nurl = []", &["`ice.server.url`", "did you mean `urls`?"]);
    check_refused("[log]\nfrobnicate = 1", &["[log] has level, format"]);
    check_refused("static-auth-secret = \"x\"", &["coturn", "the list `secrets` in [auth]"]);
    check_refused("min-port = 1", &["coturn", "`relay_ports`"]);
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_the_right_one() {
    check_refused("realm = 5", &[":1: `realm`: must be a text in quotes, found 5"]);
    check_refused("listen = \"x\"", &["must be a list", "found \"x\""]);
    check_refused("[quota]\nper_user = 1.5", &[":2:", "must be a whole number, found 1.5"]);
    check_refused("[ice]\nstun = \"yes\"", &["must be true or false, found \"yes\""]);
    check_refused("auth = 1", &["must be a section with keys of its own"]);
    check_refused("[ice]\nserver = 1", &["`ice.server`"]);
}

#[test]
fn broken_toml_is_named_by_its_line() {
    check_refused("realm = \"x\"\nlisten = [", &["turnbell.toml:2: this is not TOML"]);
    check_refused("realm = \"x\"\nrealm = \"y\"", &["turnbell.toml:2:", "duplicate key"]);
}

#[test]
fn a_secret_is_never_repeated_in_a_message_or_in_debug() {
    for text in [
        "[auth]\nsecrets = [\"hunter2\"]",
        "[auth]\nsecrets = \"hunter2\"",
        "[auth]\nsecrets = [\"x\", \"hunter2\", 5]",
        "[auth]\nusers = [\"hunter2\"]",
        "[auth]\nusers = [\"bob:hunter2\"]",
        "[auth]\nusers = \"bob:hunter2\"",
        "[[ice.server]]\nurls = [\"stun:a.example\"]\ncredential = \"hunter2\"",
        "[[ice.server]]\nurls = [\"stun:a.example\"]\nsecret = [\"hunter2\"]",
        "[auth]\nsecrets = [\"hunter2\"",
    ] {
        let error = parse(text).expect_err(text);
        assert!(!error.contains("hunter2"), "{error}");
    }
    let config = accepted(&format!(
        "[auth]\nsecrets = [\"{SECRET}\"]\nusers = [\"bob:hunter2hunter2\"]\n[[ice.server]]\n\
         urls = [\"turn:a.example\"]\nsecret = \"hunter2\""
    ));
    let debug = format!("{config:?}");
    assert!(!debug.contains("hunter2") && !debug.contains(SECRET), "{debug}");
}

#[test]
fn a_realm_has_1_to_24_bytes() {
    assert_eq!(accepted("realm = \"abcdefghijklmnopqrstuvwx\"").realm.len(), 24);
    check_refused(
        "realm = \"abcdefghijklmnopqrstuvwxy\"",
        &["at most 24 bytes long, found 25", "amplified more than 3 times"],
    );
    check_refused("realm = \"\"", &["must not be empty"]);
    check_refused("realm = 'a\"b'", &["quotes"]);
}

#[test]
fn relay_ports_lie_within_1024_to_65535() {
    assert_eq!(accepted("relay_ports = \"1024-65535\"").relay_ports, 1024..=65_535);
    for bad in ["1023-2000", "1024-65536", "49152", "a-b", "-", "+1024-2000", ""] {
        check_refused(&format!("relay_ports = \"{bad}\""), &["within 1024-65535", bad]);
    }
    check_refused("relay_ports = \"2001-2000\"", &["write \"2000-2001\""]);
}

#[test]
fn a_listener_is_an_address_with_a_port() {
    check_refused("listen = [\"0.0.0.0\"]", &["lacks a port: write \"0.0.0.0:3478\""]);
    check_refused("listen = [\"::\"]", &["write \"[::]:3478\""]);
    check_refused("listen = [\"3478\"]", &["such as \"0.0.0.0:3478\""]);
    check_refused("listen = [\"localhost:3478\"]", &["such as \"0.0.0.0:3478\""]);
    check_refused("listen = [\"[fe80::1%2]:3478\"]", &["zone ids"]);
    check_refused("listen = [\"224.0.0.1:3478\"]", &["multicast"]);
    check_refused("listen = []", &["must have 1 to 64 entries, found 0"]);
    assert_eq!(accepted("listen_tcp = []").listen_tcp, []);
    check_refused("listen_tcp = [\"::1\"]", &["write \"[::1]:3478\""]);
    check_refused("listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", &["stands there twice"]);
    check_refused("[http]\nlisten = [\"8080\"]", &["\"0.0.0.0:8080\""]);
}

#[test]
fn tls_needs_a_certificate_and_a_key_and_has_ports_of_its_own_then() {
    assert_eq!(accepted("").listen_tls, []);
    let pair = "[tls]\ncert = \"a\"\nkey = \"b\"";
    let everywhere = ["0.0.0.0:5349".parse().unwrap(), "[::]:5349".parse().unwrap()];
    assert_eq!(accepted(pair).listen_tls, everywhere);
    assert_eq!(accepted(&format!("listen_tls = []\n{pair}")).listen_tls, []);
    check_refused("listen_tls = [\"0.0.0.0:443\"]", &["listen_tls", "`cert` and `key` in [tls]"]);
    let both = "listen_tcp = [\"127.0.0.1:443\"]\nlisten_tls = [\"127.0.0.1:443\"]";
    check_refused(&format!("{both}\n{pair}"), &[":2:", "stands in `listen_tcp`, too"]);
    check_refused("[tls]\ncert = \"a\"", &[":2:", "both `cert` and `key`"]);
    check_refused("[tls]\nkey = \"a\"", &[":2:", "both `cert` and `key`"]);
    check_refused(&format!("listen_tls = [\"::\"]\n{pair}"), &["write \"[::]:5349\""]);
    check_refused("[tls]\ncert = \"\"\nkey = \"b\"", &["path of a PEM file"]);
}

#[test]
fn a_list_takes_its_bound_and_not_one_more() {
    let list = |count: usize| {
        let entries: Vec<String> = (1..=count).map(|n| format!("\"10.0.0.{n}\"")).collect();
        format!("relay_addresses = [{}]", entries.join(", "))
    };
    assert_eq!(accepted(&list(8)).relay_addresses.len(), 8);
    check_refused(&list(9), &["must have 0 to 8 entries, found 9"]);
}

#[test]
fn a_relay_address_is_one_address_of_a_machine() {
    check_refused("relay_addresses = [\"0.0.0.0\"]", &["leave the list empty"]);
    check_refused("relay_addresses = [\"ff02::1\"]", &["an address of this machine"]);
    check_refused("relay_addresses = [\"fe80::1\"]", &["link-local"]);
    check_refused("relay_addresses = [\"example.org\"]", &["is no IP address"]);
    check_refused("relay_addresses = [\"10.0.0.01\"]", &["leading zeros"]);
}

#[test]
fn external_is_public_then_private_one_per_family() {
    accepted("external = [\"203.0.113.7\", \"2001:db8::7\"]");
    check_refused("external = [\"203.0.113.7\", \"203.0.113.8\"]", &["one entry for IPv4"]);
    check_refused("external = [\"203.0.113.7/::1\"]", &["of one family"]);
    check_refused("external = [\"127.0.0.1\"]", &["must be the address the world sends to"]);
    check_refused("external = [\"203.0.113.7/\"]", &["is no IP address"]);
    check_refused("external = [\"203.0.113.7/0.0.0.0\"]", &["an address of this machine"]);
    check_refused("external = [\"turn.example.org\"]", &["is no IP address"]);
}

#[test]
fn an_advertised_host_has_no_scheme_and_a_port_that_browsers_take() {
    check_refused("advertise = [\"turn:turn.example.org\"]", &["without scheme"]);
    check_refused("advertise = [\"https://turn.example.org\"]", &["without scheme"]);
    check_refused("advertise = [\"turn.example.org:53\"]", &["port 53 is refused by browsers"]);
    check_refused("advertise = [\"turn.example.org:0\"]", &["port 0 is none"]);
    check_refused("advertise = [\"turn.example.org:65536\"]", &["without scheme"]);
    check_refused("advertise = [\"1.2.3\"]", &["without scheme"]);
    check_refused("advertise = [\"0.0.0.0\"]", &["that clients can reach"]);
    check_refused("advertise = [\"a b\"]", &["without scheme"]);
}

#[test]
fn peer_networks_are_cidr_and_nothing_clever() {
    for (bad, part) in [
        ("010.0.0.0/8", "leading zeros"),
        ("10.0.0.1-10.0.0.9", "ranges are not understood"),
        ("fe80::1%eth0", "zone ids"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/08", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("::ffff:10.0.0.0/104", "write it as IPv4 (10.0.0.0)"),
        ("10.0.0", "is no IP address"),
        ("10.0.0.0/255.0.0.0", "from 0 to 32"),
    ] {
        check_refused(&format!("allow_private_peers = [\"{bad}\"]"), &[part]);
        check_refused(&format!("deny_peers = [\"{bad}\"]"), &[part]);
    }
    let config = accepted("deny_peers = [\"10.1.2.3/8\"]");
    assert_eq!(config.deny_peers, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.warnings, ["\"10.1.2.3/8\" means 10.0.0.0/8"]);
}

#[test]
fn one_line_cannot_open_everything() {
    accepted("allow_private_peers = [\"127.0.0.0/8\", \"fc00::/7\"]");
    check_refused("allow_private_peers = [\"10.0.0.0/7\"]", &["too wide: at least /8"]);
    check_refused("allow_private_peers = [\"fc00::/6\"]", &["too wide: at least /7"]);
    check_refused("allow_private_peers = [\"0.0.0.0\"]", &["never relayed to"]);
    check_refused("allow_private_peers = [\"224.0.0.0/8\"]", &["never relayed to"]);
    check_refused("allow_private_peers = [\"255.255.255.255\"]", &["never relayed to"]);
}

#[test]
fn secrets_and_passwords_that_can_be_guessed_are_refused_with_a_cure() {
    for bad in ["changeme", "CHANGE_ME", "north", "mysecret", "secret", "short", ""] {
        check_refused(
            &format!("[auth]\nsecrets = [\"{bad}\"]"),
            &["turnbell.toml:2: `auth.secrets`", "openssl rand -hex 32"],
        );
    }
    accepted("[auth]\nusers = [\"bob:k7Q2z9xw\"]");
    check_refused("[auth]\nusers = [\"bob:k7Q2z9x\"]", &["at least 8 bytes long, found 7"]);
    check_refused("[auth]\nusers = [\"bob:password\"]", &["is a well-known one"]);
    check_refused("[auth]\nusers = [\"bobby1234:bobby1234\"]", &["is a well-known one"]);
    check_refused("[auth]\nusers = [\"bob\"]", &["must be \"name:password\""]);
    check_refused("[auth]\nusers = [\":k7Q2z9xw\"]", &["the name must not be empty"]);
    check_refused("[auth]\nusers = [\"a/b:k7Q2z9xw\"]", &["must not contain '/'"]);
    let twice = "[auth]\nusers = [\"bob:k7Q2z9xw\", \"bob:w9z2Q7kx\"]";
    check_refused(twice, &["`auth.users`", "user \"bob\" stands there twice"]);
}

#[test]
fn an_account_may_be_known_by_the_key_of_its_realm() {
    const KEY: &str = "bc807ee29df3c9ffa736523fb2c4e8ee";
    let config = accepted(&format!("[auth]\nuser_keys = [\"bob:{KEY}\", \"eve:0x{KEY}\"]"));
    assert_eq!(config.auth.user_keys[0].name, "bob");
    assert_eq!(config.auth.user_keys[0].key.expose()[..2], [0xbc, 0x80]);
    assert_eq!(config.auth.user_keys[0].key, config.auth.user_keys[1].key);
    let refused = |entry: &str, says: &str| {
        check_refused(&format!("[auth]\nuser_keys = [\"{entry}\"]"), &["`auth.user_keys`", says]);
    };
    refused("bob", "must be \"name:key\"");
    refused(&format!("bob:{}", &KEY[1..]), "32 hex digits of md5(name:realm:password)");
    refused(&format!("bob:{KEY}0"), "32 hex digits");
    refused(&format!("bob:{}g", &KEY[1..]), "32 hex digits");
    refused(&format!("a/b:{KEY}"), "must not contain '/'");
    let both = format!("[auth]\nusers = [\"bob:k7Q2z9xw\"]\nuser_keys = [\"bob:{KEY}\"]");
    check_refused(&both, &["`auth.user_keys`", "user \"bob\" stands there twice"]);
}

#[test]
fn secrets_come_from_the_list_and_then_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turnbell.toml");
    let theirs = "ffeeddccbbaa99887766554433221100";
    std::fs::write(directory.path().join("turn.secret"), format!("{theirs}\n")).unwrap();
    let text = format!("[auth]\nsecrets = [\"{SECRET}\"]\nsecret_files = [\"turn.secret\"]\n");
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file).unwrap();
    let texts: Vec<&str> = config.auth.secrets.iter().map(|s| s.expose().as_str()).collect();
    assert_eq!(texts, [SECRET, theirs]);

    std::fs::remove_file(directory.path().join("turn.secret")).unwrap();
    let error = Config::load(&file).unwrap_err().to_string();
    assert!(error.contains(":3: `auth.secret_files`: \"turn.secret\": "), "{error}");
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn numbers_have_both_ends() {
    for (section, key, low, high) in [
        ("quota", "per_user", 1, 16_384 * 8),
        ("quota", "per_source", 0, 16_384 * 8),
        ("quota", "total", 0, 16_384 * 8),
        ("http", "rate_per_key", 1, 100_000),
        ("record", "retention_days", 1, 3650),
    ] {
        let text = |value: i64| format!("[{section}]\n{key} = {value}");
        accepted(&text(low));
        accepted(&text(high));
        for bad in [low - 1, high + 1, i64::MIN, i64::MAX] {
            let range = format!("must be from {low} to {high}, found {bad}");
            check_refused(&text(bad), &[&format!(":2: `{section}.{key}`"), &range]);
        }
    }
}

#[test]
fn a_verification_every_5_minutes_to_24_hours_or_never() {
    let every = |text: &str| accepted(&format!("[verify]\nevery = \"{text}\"")).verify.every;
    assert_eq!(accepted("").verify.every, Some(Duration::from_secs(3600)));
    assert_eq!(every("off"), None);
    assert_eq!(every("5m"), Some(Duration::from_secs(300)));
    assert_eq!(every("24h"), Some(Duration::from_secs(86_400)));
    for bad in ["299s", "86401s", "1d", "never", "", "3600"] {
        check_refused(
            &format!("[verify]\nevery = \"{bad}\""),
            &["from 5m to 24h", "or \"off\"", "`verify.every`"],
        );
    }
}

#[test]
fn a_ttl_lasts_60_s_to_24_h_and_names_its_unit() {
    for (text, seconds) in [("60s", 60), ("1m", 60), ("24h", 86_400), ("1440m", 86_400)] {
        let config = accepted(&format!("[ice]\nttl = \"{text}\""));
        assert_eq!(config.ice.ttl, Duration::from_secs(seconds));
    }
    for bad in
        ["59s", "86401s", "25h", "3600", "1d", "", "h", "-1h", "1.5h", "99999999999999999999h"]
    {
        check_refused(&format!("[ice]\nttl = \"{bad}\""), &["from 1m to 24h", "\"12h\""]);
    }
}

#[test]
fn a_record_has_16_mib_to_1_tib() {
    for (text, bytes) in [("16MiB", 1 << 24), ("16384KiB", 1 << 24), ("1024GiB", 1 << 40)] {
        assert_eq!(accepted(&format!("[record]\nbytes_max = \"{text}\"")).record.bytes_max, bytes);
    }
    for bad in ["15MiB", "1025GiB", "1GB", "1073741824", "MiB", "99999999999999TiB"] {
        check_refused(&format!("[record]\nbytes_max = \"{bad}\""), &["\"16MiB\" to \"1TiB\""]);
    }
}

#[test]
fn words_are_listed_when_another_is_found() {
    check_refused("channel_numbers = \"all\"", &["\"rfc8656\" or \"rfc5766\""]);
    check_refused("carry_tos = \"yes\"", &["\"off\" or \"on\""]);
    for bad in ["0", "65", "-1", "\"all\"", "\"0\"", "1.5", "true"] {
        check_refused(&format!("threads = {bad}"), &["threads", "\"auto\" or "]);
    }
    check_refused("batch_delay = \"on\"", &["\"off\" or \"auto\""]);
    check_refused("default_relay_family = \"v4\"", &["\"ipv4\" or \"ipv6\" or \"client\""]);
    check_refused("[ice]\npolicy = \"none\"", &["\"all\" or \"relay\""]);
    check_refused("[record]\naddresses = \"hash\"", &["\"full\" or \"prefix\" or \"none\""]);
    check_refused("[log]\nlevel = \"verbose\"", &["\"error\" or \"warn\" or \"info\""]);
    check_refused("[log]\nformat = \"xml\"", &["\"text\" or \"json\" or \"journald\""]);
    check_refused("[metrics]\ncoturn_names = \"yes\"", &["must be true or false"]);
}

#[test]
fn an_origin_is_written_as_a_browser_writes_it() {
    for bad in [
        "*",
        "null",
        "https://app.example.org/",
        "https://App.example.org",
        "https://app.example.org:443",
        "http://app.example.org:80",
        "https://app.example.org:0",
        "https://app.example.org:08",
        "app.example.org",
        "ftp://app.example.org",
        "https://",
        "https://*.example.org",
        "https://[2001:DB8::1]",
        "https://[::1]x",
    ] {
        let text = format!("[http]\ncors_origins = [\"{bad}\"]");
        check_refused(&text, &[":2: `http.cors_origins`", "what a browser sends as Origin"]);
    }
    accepted("[http]\ncors_origins = [\"http://app.example.org:443\", \"http://127.0.0.1:5173\"]");
}

#[test]
fn a_base_path_begins_with_a_slash_ends_without_and_holds_nothing_that_could_be_read_twice() {
    let of = |path: &str| format!("[http]\nbase_path = \"{path}\"");
    let long = format!("/{}", "x".repeat(127));
    for good in ["", "/turnbell", "/a/b-c/d.e_f~1", "/...", &long] {
        assert_eq!(accepted(&of(good)).http.base_path, good);
    }
    for bad in [
        "/",
        "turnbell",
        "/turnbell/",
        "//turnbell",
        "/a//b",
        "/.",
        "/a/../b",
        "/a%2Fb",
        "/a b",
        "/a?b",
        "/a#b",
        "/a:b",
        "/\u{e9}",
        "https://example.org/turnbell",
        &format!("{long}x"),
    ] {
        check_refused(&of(bad), &[":2: `http.base_path`", "a path such as \"/turnbell\""]);
    }
}

#[test]
fn trusted_proxies_are_networks_and_never_everybody() {
    let of = |nets: &str| format!("[http]\ntrusted_proxies = [{nets}]");
    for good in ["", "\"10.0.0.0/8\"", "\"fc00::/7\"", "\"127.0.0.1\", \"::1\""] {
        assert_eq!(accepted(&of(good)).warnings, Vec::<String>::new());
    }
    let many = |count| (0..count).map(|n| format!("\"10.0.0.{n}\",")).collect::<String>();
    assert_eq!(accepted(&of(&many(64))).http.trusted_proxies.len(), 64);
    check_refused(&of(&many(65)), &["0 to 64 entries, found 65"]);
    for bad in ["0.0.0.0/0", "::/0", "10.0.0.0/7", "fc00::/6"] {
        check_refused(&of(&format!("\"{bad}\"")), &[":2: `http.trusted_proxies`", "too wide"]);
    }
    check_refused(&of("\"proxy.example.org\""), &["is no IP address"]);
    check_refused(&of("\"::ffff:10.0.0.1\""), &["write it as IPv4 (10.0.0.1)"]);
    assert!(accepted(&of("\"10.0.0.5/8\"")).warnings[0].contains("means 10.0.0.0/8"));
}

#[test]
fn a_foreign_server_is_complete_or_refused() {
    let server = |lines: &str| format!("realm = \"r\"\n[[ice.server]]\n{lines}");
    for (lines, part) in [
        ("", "needs `urls`"),
        ("urls = []", "must have 1 to 4 entries, found 0"),
        ("urls = [\"turn:a.example\"]", "need `username` and `credential`, or `secret`"),
        ("urls = [\"turn:a.example\"]\nusername = \"u\"", "`username` but no `credential`"),
        ("urls = [\"turn:a.example\"]\ncredential = \"c\"", "`credential` but no `username`"),
        (
            "urls = [\"turn:a.example\"]\nsecret = \"s\"\nusername = \"u\"\ncredential = \"c\"",
            "keep one way",
        ),
        ("urls = [\"stun:a.example\"]\nsecret = \"s\"", "takes no credential"),
        ("urls = [\"turn:a.example:53\"]\nsecret = \"s\"", "port 53"),
        ("urls = [\"stun:a.example\"]\nposition = \"first\"", "\"before\" or \"after\""),
    ] {
        check_refused(&server(lines), &[part]);
    }
}

#[test]
fn more_than_4_urls_for_one_client_are_warned_about() {
    let with = |urls: &str| accepted(&format!("[[ice.server]]\nurls = [{urls}]")).warnings;
    assert_eq!(with("\"stun:a.example\", \"stun:b.example\""), Vec::<String>::new());
    let warnings = with("\"stun:a.example\", \"stun:b.example\", \"stun:c.example\"");
    assert!(warnings[0].contains("is handed 5 URLs"), "{warnings:?}");
}

#[test]
fn what_is_legal_and_dangerous_is_warned_about() {
    for (text, part) in [
        ("[http]\nlisten = [\"0.0.0.0:8080\"]", "without encryption"),
        ("[http]\nlocal_without_key = true", "reverse proxy"),
        ("allow_private_peers = [\"10.0.0.0/8\"]", "clients can reach 10.0.0.0/8"),
        ("listen = [\"0.0.0.0:50000\"]", "port 50000 lies in relay_ports"),
    ] {
        let warnings = accepted(text).warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(part), "{text}: {warnings:?}");
    }
    let secret = format!("[auth]\nsecrets = [\"{SECRET}\"]");
    assert_eq!(accepted(&secret).warnings, Vec::<String>::new());
    assert_eq!(Config::embedded().warnings, Vec::<String>::new());
}

#[test]
fn relative_paths_start_at_the_file() {
    let path = Path::new("/srv/relay/turnbell.toml");
    let config = Config::parse(path, "state_directory = \"data\"").unwrap();
    assert_eq!(config.state_directory, Path::new("/srv/relay/data"));
    check_refused("state_directory = \"\"", &["must be a path"]);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_not_the_default() {
    let error = Config::find(Some(Path::new("/nonexistent/turnbell.toml"))).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/turnbell.toml: cannot be read"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let error = Config::load(directory.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    let file = directory.path().join("a.toml");
    std::fs::write(&file, b"realm = \"\xFF\"").unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("is not UTF-8"));
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    std::fs::write(&file, comment(1024 * 1024)).unwrap();
    assert!(Config::load(&file).is_ok());
    std::fs::write(&file, comment(1024 * 1024 + 1)).unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().contains("larger than 1048576"));
}

#[test]
fn an_alternate_server_is_an_address_with_a_port() {
    for wrong in [
        "turn2.example.org:3478",
        "203.0.113.9",
        "203.0.113.9:0",
        "0.0.0.0:3478",
        "203.0.113.9:1/-x",
    ] {
        check_refused(&format!("alternate = [{wrong:?}]"), &["`alternate`", "address and port"]);
    }
    let nine: Vec<String> = (1..=9).map(|n| format!("\"203.0.113.{n}:3478\"")).collect();
    check_refused(&format!("alternate = [{}]", nine.join(", ")), &["0 to 8 entries, found 9"]);
    accepted(&format!("alternate = [{}]", nine[..8].join(", ")));
}

#[test]
fn the_shield_has_defaults_and_ranges() {
    let shield = accepted("").shield;
    assert_eq!((shield.answers_per_source, shield.answers_total), (200, 20_000_000));
    let shield = accepted("[shield]\nanswers_per_source = 1\nanswers_total = \"64kbit\"").shield;
    assert_eq!((shield.answers_per_source, shield.answers_total), (1, 64_000));
    assert_eq!(accepted("shield.answers_per_source = 100000").shield.answers_per_source, 100_000);
    for count in [0, 100_001] {
        check_refused(
            &format!("shield.answers_per_source = {count}"),
            &["`shield.answers_per_source`: must be from 1 to 100000"],
        );
    }
    check_refused("shield.answers_total = \"20\"", &["shield.answers_total", "such as \"20Mbit\""]);
    check_refused(
        "shield.answers_total = 20",
        &["`shield.answers_total`: must be a text in quotes"],
    );
}

#[test]
fn reflection_ports_are_ports_and_ranges() {
    let ports = |text: &str| accepted(&format!("reflection_ports = \"{text}\"")).reflection_ports;
    assert_eq!(ports(""), []);
    assert_eq!(ports("0 53  137-139 65535"), [0..=0, 53..=53, 137..=139, 65_535..=65_535]);
    let many = |count: usize| "7 ".repeat(count);
    assert_eq!(ports(&many(256)).len(), 256);
    for text in ["53,123", "65536", "-1", "139-137", "1-", "x", "0x35", &many(257)] {
        check_refused(
            &format!("reflection_ports = \"{text}\""),
            &["`reflection_ports`", "such as \"53 123 137-139\""],
        );
    }
}

#[test]
fn rates_have_units_and_are_off_by_default() {
    assert_eq!(accepted("").rates, turnbell::config::Rates::default());
    let rates = accepted(
        "[rate]\nper_allocation = [\"100Mbit\", \"10kpps\"]\nper_user = [\"5kpps\"]\ntotal = [\"1Gbit\"]",
    )
    .rates;
    let of = |rate: turnbell::config::Rate| (rate.bits, rate.packets);
    assert_eq!(of(rates.per_allocation), (Some(100_000_000), Some(10_000)));
    assert_eq!(of(rates.per_user), (None, Some(5000)));
    assert_eq!(of(rates.total), (Some(1_000_000_000), None));
    for key in ["per_allocation", "per_user", "total"] {
        check_refused(
            &format!("rate.{key} = [\"20\"]"),
            &[&format!("`rate.{key}`"), "\"20Mbit\" or \"5kpps\""],
        );
        check_refused(
            &format!("rate.{key} = [\"1Mbit\", \"2Mbit\"]"),
            &[&format!("`rate.{key}`"), "one rate in bits and one in packets"],
        );
    }
}

#[test]
fn expiry_is_judged_at_allocate_or_strictly() {
    use turnbell::config::CredentialExpiry;
    assert_eq!(accepted("").auth.expiry, CredentialExpiry::Allocate);
    assert_eq!(accepted("auth.expiry = \"allocate\"").auth.expiry, CredentialExpiry::Allocate);
    assert_eq!(accepted("auth.expiry = \"strict\"").auth.expiry, CredentialExpiry::Strict);
    check_refused("auth.expiry = \"never\"", &["`auth.expiry`", "\"allocate\"", "\"strict\""]);
}

#[test]
fn usernames_without_a_user_in_front_are_taken_only_if_the_config_says_so() {
    use turnbell::config::RestUsernames;
    assert_eq!(accepted("").auth.rest_usernames, RestUsernames::Strict);
    let config = accepted("auth.rest_usernames = \"strict\"");
    assert_eq!(config.auth.rest_usernames, RestUsernames::Strict);
    let config = accepted("auth.rest_usernames = \"coturn\"");
    assert_eq!(config.auth.rest_usernames, RestUsernames::Coturn);
    check_refused(
        "auth.rest_usernames = \"any\"",
        &["`auth.rest_usernames`: \"any\": must be", "\"strict\" or \"coturn\""],
    );
}

#[test]
fn http_at_a_port_with_tls_is_https_and_nothing_is_warned_about() {
    let shared = |list: &str| {
        accepted(&format!(
            "{list} = [\"0.0.0.0:443\"]\n[tls]\ncert = \"a\"\nkey = \"b\"\n[http]\nlisten = \
             [\"0.0.0.0:443\", \"127.0.0.1:0\"]"
        ))
    };
    let config = shared("listen_tls");
    let (at, any) = ("0.0.0.0:443".parse().unwrap(), "127.0.0.1:0".parse().unwrap());
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(config.is_shared(at) && config.shares_http(at) && !config.is_shared(any));
    let config = shared("listen_tcp");
    assert!(config.warnings[0].contains("without encryption"), "{:?}", config.warnings);
    assert!(config.is_shared(at) && config.shares_http(at));
}

#[test]
fn a_proxy_header_is_asked_for_at_ports_that_there_are() {
    let config = accepted("proxy_protocol = [\"0.0.0.0:3478\"]");
    assert!(config.warnings[0].contains("can claim any address"), "{:?}", config.warnings);
    check_refused("proxy_protocol = [\"0.0.0.0:443\"]", &["neither in `listen_tcp` nor in"]);
}

#[test] // R19: nothing outside is asked unless it is configured
fn stun_servers_are_names_or_addresses_and_bring_the_look_for_nat64_with_them() {
    let config = accepted("");
    assert!(config.external_stun.is_empty() && !config.discover_nat64);
    let shown = |text: &str| {
        let settings = accepted(text).settings();
        let of = |key: &str| settings.iter().find(|s| s.key == key).unwrap().value.to_string();
        (of("external_stun"), of("discover_nat64"))
    };
    for (written, meant) in [
        ("stun.example.org", "stun.example.org:3478"),
        ("Stun.Example.org:19302", "stun.example.org:19302"),
        ("192.0.2.7", "192.0.2.7:3478"),
        ("192.0.2.7:53", "192.0.2.7:53"),
        ("2001:db8::7", "[2001:db8::7]:3478"),
        ("[2001:db8::7]:19302", "[2001:db8::7]:19302"),
    ] {
        let both = shown(&format!("external_stun = [\"{written}\"]"));
        assert_eq!(both, (format!("[\"{meant}\"]"), "true".to_owned()));
    }
    let without = "external_stun = [\"192.0.2.7\"]\ndiscover_nat64 = false";
    assert!(!accepted(without).discover_nat64);
    assert!(accepted("discover_nat64 = true").discover_nat64);
    for bad in [
        "stun:stun.example.org",
        "stun.example.org:0",
        "192.0.2.7:0",
        "stun.example.org:65536",
        "stun.example.org:",
        "0.0.0.0",
        "[::]:3478",
        "224.0.0.1",
        "",
        "a b",
    ] {
        let text = format!("external_stun = [\"{bad}\"]");
        check_refused(&text, &[":1: `external_stun`", "such as \"stun.example.org:3478\""]);
    }
    let servers = |count: usize| {
        let servers: Vec<String> = (1..=count).map(|n| format!("\"192.0.2.{n}\"")).collect();
        format!("external_stun = [{}]", servers.join(", "))
    };
    assert_eq!(accepted(&servers(4)).external_stun.len(), 4);
    check_refused(&servers(5), &["must have 0 to 4 entries, found 5"]);
}

const ISSUER: &str = "[[identity.issuer]]\nissuer = \"https://id.example.org\"\n";

#[test]
fn issuers_and_tenants_are_read() {
    let config = accepted(&format!(
        "{ISSUER}audience = [\"calls\", \"chat\"]\ntenant = \"acme\"\nrole_claim = \"app.role\"\n\
         secret = \"{SECRET}\"\n[tenant.acme]\nvoice_enabled = false\nturn_enabled = false\n\
         calls_max = 3\ninvites_per_minute = 4\nsessions_max = 5\nsessions_per_user_max = 6\n\
         when_busy = \"wait\"\nallow = [\"visitor>agent\"]\nsuspended = true\n\
         [identity]\nguests = \"off\"\n"
    ));
    let issuer = &config.identity.issuers[0];
    assert_eq!(issuer.name, "https://id.example.org");
    assert_eq!(issuer.audiences, ["calls", "chat"]);
    assert_eq!(issuer.role_claim.as_deref(), Some("app.role"));
    let acme = TenantId::new("acme").unwrap();
    assert_eq!(issuer.tenancy, IssuerTenancy::One(acme.clone()));
    assert!(matches!(&issuer.keys, IssuerKeys::Secret(secret) if secret.expose() == SECRET));
    assert_eq!(config.identity.guests, GuestRule::Off);
    let options = &config.tenants[&acme];
    assert!(options.is_suspended && !options.voice_enabled && !options.turn_enabled);
    assert_eq!((options.calls_max, options.invites_per_minute), (3, 4));
    assert_eq!((options.sessions_max, options.sessions_per_user_max), (5, 6));
    assert_eq!(options.when_busy, WhenBusy::Wait);
    assert_eq!(options.allow, Some(vec![(Role::Visitor, Role::Agent)]));
    let fetched = accepted(&format!("{ISSUER}jwks_url = \"https://ID.example.org:443/keys\""));
    let IssuerKeys::JwksUrl(at) = &fetched.identity.issuers[0].keys else { panic!() };
    assert_eq!((&*at.url, &at.authority), ("https://id.example.org/keys", &None));
    // Whatever is named, `default` exists, and an issuer that names no tenant is of it.
    assert_eq!(config.tenants.len(), 2);
    let plain = accepted(&format!("{ISSUER}secret = \"{SECRET}\""));
    let default = TenantId::default_tenant();
    assert_eq!(plain.identity.issuers[0].tenancy, IssuerTenancy::One(default.clone()));
    assert_eq!(plain.tenants[&default], TenantOptions::default());
}

#[test]
fn an_issuer_that_could_not_work_or_be_trusted_is_refused_with_the_cure() {
    let with = |more: &str| format!("{ISSUER}{more}");
    let good = format!("secret = \"{SECRET}\"");
    for (more, parts) in [
        (String::new(), &["identity.issuer", "exactly one of `secret`, `secret_file`"][..]),
        (format!("{good}\njwks_file = \"x\""), &["exactly one of"]),
        (
            "secret = \"0f1e2d3c4b5a69788796a5b4c3d2e1f\"".into(),
            &[
                "identity.issuer.secret",
                "at least 32 bytes long to sign tokens with HS256, found 31",
                "openssl",
            ],
        ),
        (
            "secret = \"super-secret-jwt-token-with-at-least-32-characters-long\"".into(),
            &["well-known sample"],
        ),
        ("jwks_file = \"/nonexistent\"".into(), &["identity.issuer.jwks_file", "cannot be read"]),
        (format!("{good}\njwks_url = \"https://a.example/k\""), &["exactly one of"]),
        ("jwks_url = \"http://a.example/k\"".into(), &["identity.issuer.jwks_url", "only https"]),
        ("jwks_url = \"https://u:p@a.example/k\"".into(), &["identity.issuer.jwks_url", "such as"]),
        (format!("{good}\njwks_ca_file = \"x\""), &["jwks_ca_file", "jwks_url, which is missing"]),
        (
            "jwks_url = \"https://a.example/k\"\njwks_ca_file = \"/nonexistent\"".into(),
            &["identity.issuer.jwks_ca_file", "cannot be read"],
        ),
        (
            "jwks_url = \"https://a.example/k\"\njwks_ca_file = \"/dev/null\"".into(),
            &["identity.issuer.jwks_ca_file", "holds no certificate"],
        ),
        (
            "secret_file = \"/nonexistent\"".into(),
            &["identity.issuer.secret_file", "cannot be read"],
        ),
        (format!("{good}\ntenant = \"acme\""), &["identity.issuer.tenant", "[tenant.acme]"]),
        (format!("{good}\ntenant = \"A\""), &["a-z, 0-9 and -"]),
        (format!("{good}\ntenant_claim = \"t\""), &["`tenant_claim` and `tenants` together"]),
        (format!("{good}\ntenants = [\"default\"]"), &["`tenant_claim` and `tenants` together"]),
        (
            format!("{good}\ntenant = \"default\"\ntenant_claim = \"t\"\ntenants = [\"default\"]"),
            &["either `tenant`"],
        ),
        (format!("{good}\ntenant_claim = \"t\"\ntenants = []"), &["identity.issuer.tenants"]),
        (format!("{good}\n{}", with(&good)), &["two of the name", "secret_file"]),
        (format!("{good}\nsecre = \"x\""), &["did you mean `secret`?"]),
    ] {
        check_refused(&with(&more), parts);
    }
    let named = |name: &str| format!("[[identity.issuer]]\nissuer = \"{name}\"\n{good}");
    check_refused(&named("turnbell"), &["identity.issuer.issuer", "reserved"]);
    check_refused(&named(""), &["1 to 256 bytes"]);
    check_refused(&format!("[[identity.issuer]]\n{good}"), &["needs `issuer`"]);
    accepted(&named(&"x".repeat(256)));
    check_refused(&named(&"x".repeat(257)), &["1 to 256 bytes"]);
    // No secret is repeated in a message.
    assert!(!refusal(&with("secret = \"hunter2hunter2hunter2\"")).contains("hunter2"));
}

#[test]
fn a_tenant_that_makes_no_sense_is_refused() {
    for (text, parts) in [
        ("[tenant.Acme]", &["tenant", "a-z, 0-9 and -"][..]),
        ("[tenant.a]\ncalls_max = 0", &["tenant.a.calls_max", "from 1 to"]),
        ("[tenant.a]\nwhen_busy = \"maybe\"", &["tenant.a.when_busy", "\"refuse\" or \"wait\""]),
        ("[tenant.a]\nallow = [\"member\"]", &["tenant.a.allow", "caller>callee"]),
        ("[tenant.a]\nallow = [\"member>root\"]", &["portal_customer"]),
        ("[tenant.a]\nvoice_enable = true", &["did you mean `voice_enabled`?"]),
        (
            "[identity]\nguests = \"all\"",
            &["identity.guests", "\"local\" or \"anyone\" or \"off\""],
        ),
        (
            "[identity]\ninvites = \"all\"",
            &["identity.invites", "\"members\" or \"local\" or \"anyone\" or \"off\""],
        ),
    ] {
        check_refused(text, parts);
    }
}

#[test]
fn letting_anybody_in_is_warned_about() {
    let warnings = accepted("identity.guests = \"anyone\"").warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("identity.guests:")), "{warnings:?}");
    assert_eq!(accepted("").identity.invites, InviteRule::Members);
    let anyone = accepted("identity.invites = \"anyone\"");
    assert_eq!(anyone.identity.invites, InviteRule::Anyone);
    let warned = |warning: &String| warning.starts_with("identity.invites:");
    assert!(anyone.warnings.iter().any(warned), "{:?}", anyone.warnings);
}

#[test]
fn the_public_url_is_what_a_browser_opens() {
    let of = |url: &str| accepted(&format!("http.public_url = \"{url}\"")).http.public_url;
    assert_eq!(of(""), None);
    for (typed, meant) in [
        ("https://calls.example.org/", "https://calls.example.org"),
        ("https://calls.example.org:8443/turn", "https://calls.example.org:8443/turn"),
        ("http://localhost:8080", "http://localhost:8080"),
    ] {
        assert_eq!(of(typed).as_deref(), Some(meant));
    }
    for bad in ["calls.example.org", "https://", "ftp://a.b", "https://a.b/?x", "https://a.b/#x"] {
        check_refused(
            &format!("http.public_url = \"{bad}\""),
            &["http.public_url", "https://calls"],
        );
    }
}
