//! Tests of the import as a whole: what comes out, and that everything typed is told of.

mod accounts;

use std::path::Path;

use proptest::prelude::*;

use super::options::names;
use super::*;
use crate::config::DefaultRelayFamily;
use crate::policy::peers::PeerPolicyOptions;

fn imported(text: &str) -> Imported {
    with_arguments(text, None)
}

fn with_arguments(text: &str, arguments: Option<&str>) -> Imported {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("turnserver.conf");
    std::fs::write(&file, text).unwrap();
    for name in ["cert.pem", "key.pem"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let wanted = Wanted {
        file: Some(file),
        arguments: arguments.map(str::to_owned),
        database: DatabaseChoice::Never,
    };
    import(&wanted, Path::new("turnbell.toml")).unwrap()
}

#[track_caller]
fn line<'a>(imported: &'a Imported, option: &str) -> &'a Line {
    let mut found = imported.report.lines.iter().filter(|line| line.option.starts_with(option));
    found.next().unwrap_or_else(|| panic!("{option}: {}", imported.report))
}

#[track_caller]
fn check(text: &str, option: &str, verdict: Verdict, says: &str) -> Imported {
    let imported = imported(text);
    let line = line(&imported, option);
    assert_eq!(line.verdict, verdict, "{line}");
    assert!(line.text.contains(says), "{line}");
    imported
}

const SECRET: &str = "0f1e2d3c4b5a69788796";

/// The file that most people have.
#[test]
fn a_usual_file_is_taken_over() {
    let text = format!(
        "listening-port=3479\ntls-listening-port=5350\nlistening-ip=192.0.2.1\nlistening-ip=2001:db8::1\n\
         external-ip=203.0.113.7/192.0.2.1\nmin-port=50000\nmax-port=50999\nfingerprint\nuse-auth-secret\n\
         static-auth-secret={SECRET}\nrealm=turn.example.org\nuser-quota=12\ntotal-quota=1200\n\
         max-bps=250000\nbps-capacity=12500000\nno-multicast-peers\ncert=cert.pem\npkey=key.pem\n\
         denied-peer-ip=10.0.0.0-10.255.255.255\nno-cli\nlog-file=/var/log/turn.log\nstale-nonce\n"
    );
    let Imported { config, report, text, .. } = imported(&text);
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(config.realm, "turn.example.org");
    assert_eq!(config.listen, [at("192.0.2.1:3479"), at("[2001:db8::1]:3479")]);
    assert_eq!(config.listen_tcp, config.listen);
    assert_eq!(config.listen_tls, [at("192.0.2.1:5350"), at("[2001:db8::1]:5350")]);
    assert_eq!(config.relay_addresses.len(), 2);
    assert_eq!(config.external.len(), 1);
    assert_eq!(config.relay_ports, 50_000..=50_999);
    assert_eq!(config.auth.secrets[0].expose(), SECRET);
    assert_eq!((config.quota.per_user, config.quota.total), (12, 1200));
    // Bytes there, bits here.
    assert_eq!(config.rates.per_allocation.bits, Some(2_000_000));
    assert_eq!(config.rates.total.bits, Some(100_000_000));
    assert_eq!(config.deny_peers, ["10.0.0.0/8".parse().unwrap()]);
    assert!(config.tls.is_some());
    assert_eq!(report.count(Verdict::Broken) + report.count(Verdict::NotSupported), 0, "{report}");
    // Where each value came from.
    assert!(text.contains("# turnserver.conf line 11, realm\nrealm = "), "{text}");
    assert!(text.contains("\"192.0.2.1:3479\", # turnserver.conf line 3, listening-ip"), "{text}");
}

#[test]
fn no_secret_is_in_the_report_nor_in_what_a_dry_run_shows() {
    let text = format!(
        "static-auth-secret={SECRET}\nuser=alice:correct-horse\nuser=bob:0x{KEY}\ncli-password=hunter22\n\
         pkey-pwd=hunter23\npsql-userdb=\"host=a password=hunter24\"\nredis-statsdb=hunter25\n\
         stateless-nonce-secret=hunter26\n4f1e2d3c4b5a697887964f1e2d3c\nunknown-thing=hunter27\n"
    );
    let imported = imported(&text);
    let shown = format!("{}{}", imported.report, imported.text_without_secrets);
    for secret in [SECRET, "correct-horse", KEY, "hunter2", "4f1e2d3c4b5a"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("static-auth-secret (set, 20 characters)"), "{shown}");
    assert!(shown.contains("unknown-thing (set, 8 characters)"), "{shown}");
}

const KEY: &str = "bc807ee29df3c9ffa736523fb2c4e8ee";

#[test]
fn what_stands_behind_a_value_or_is_no_comment_of_coturns_is_pointed_at() {
    let imported = imported(&format!(
        "; an old comment\n// another\nlistening-port=3479 # fine\nstatic-auth-secret={SECRET} # app\n\
         No-Cli\n"
    ));
    // As coturn has it.
    assert_eq!(imported.config.auth.secrets[0].expose(), &format!("{SECRET} # app"));
    assert_eq!(imported.config.listen[0].port(), 3479);
    let report = imported.report.to_string();
    let looks: Vec<&str> = report.lines().filter(|line| line.contains("look at")).collect();
    assert_eq!(looks.len(), 1, "{report}");
    assert!(looks[0].contains("look at line 4, static-auth-secret: coturn knows comments only"));
    assert!(report.contains("line 1 a line that begins with \";\""), "{report}");
    assert!(report.contains("line 5 No-Cli: coturn knows no such option"), "{report}");
    assert_eq!(imported.report.count(Verdict::Broken), 1, "{report}");
}

#[test]
fn an_open_relay_is_never_made() {
    check("no-auth\n", "no-auth", Verdict::NotSupported, "an open relay is never made");
    check("server-relay\n", "server-relay", Verdict::NotSupported, "never");
    let nobody = imported("fingerprint\n");
    assert!(nobody.report.to_string().contains("coturn asked nobody who he is"));
    assert!(!imported("user=a:b\n").report.to_string().contains("asked nobody"));
}

#[test]
fn a_secret_that_everybody_knows_is_refused() {
    let imported = check(
        "use-auth-secret\nstatic-auth-secret=north\n",
        "static-auth-secret",
        Verdict::NotSupported,
        "well-known sample",
    );
    assert!(imported.config.auth.secrets.is_empty());
    assert!(imported.report.to_string().contains("turnbell makes one"));
}

#[test]
fn what_is_allowed_is_cut_out_of_what_is_denied() {
    let imported = imported(
        "denied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.0.0.0-10.127.255.255\n\
         denied-peer-ip=192.168.0.0/16\nallowed-peer-ip=203.0.113.5\nallowed-peer-ip=127.0.0.1\n\
         allowed-peer-ip=0.0.0.0-255.255.255.255x\ndenied-peer-ip=203.0.113.0-203.0.113.7\n\
         allowed-peer-ip=fc00::7\ndenied-peer-ip=fc00::-fcff::\n",
    );
    let config = &imported.config;
    let shown = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    let outside = ["203.0.113.0/30", "203.0.113.4/32", "203.0.113.6/31"];
    assert_eq!(shown(&config.deny_peers), [&["192.168.0.0/16"][..], &outside].concat());
    assert_eq!(shown(&config.allow_private_peers), ["10.0.0.0/9", "fc00::7/128"]);
    let policy = crate::policy::peers::PeerPolicy::new(PeerPolicyOptions {
        deny: config.deny_peers.clone(),
        allow_private: config.allow_private_peers.clone(),
        ..PeerPolicyOptions::default()
    });
    for (ip, is_open) in [
        ("10.0.0.1", true),
        ("10.127.255.255", true),
        ("10.128.0.0", false),
        ("10.255.255.255", false),
        ("192.168.0.1", false),
        ("203.0.113.4", false),
        ("fc00::7", true),
        ("fc00::8", false),
    ] {
        assert_eq!(policy.permit_address(ip.parse().unwrap()).is_ok(), is_open, "{ip}");
    }
    let report = imported.report.to_string();
    assert!(report.contains("line 3 denied-peer-ip=192.168.0.0/16: `deny_peers`; coturn reads no"));
    assert!(report.contains("line 1 denied-peer-ip=10.0.0.0-10.255.255.255, line 9"), "{report}");
    assert!(
        report.contains("allowed-peer-ip=127.0.0.1: coturn refuses loopback first"),
        "{report}"
    );
    assert_eq!(imported.report.count(Verdict::Broken), 1, "{report}");
}

#[test]
fn dashboards_of_coturns_exporter_find_its_port_and_names_on_this_machine() {
    let text = "prometheus\nprometheus-port=9700\nprometheus-address=0.0.0.0\n";
    let imported = check(text, "prometheus", Verdict::Mapped, "key add prometheus --scope log");
    let listen: Vec<String> = imported.config.http.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:8080", "127.0.0.1:9700"]);
    assert!(imported.config.coturn_names);
    assert!(!self::imported("fingerprint\n").config.coturn_names);
}

#[test]
fn a_list_that_allows_everything_opens_nothing() {
    let text = "allowed-peer-ip=0.0.0.0-255.255.255.255\n";
    let imported = check(text, "allowed-peer-ip", Verdict::NotSupported, "too wide");
    assert!(imported.config.allow_private_peers.is_empty());
}

#[test]
fn the_last_one_counts_and_the_command_line_comes_last() {
    let imported = with_arguments(
        "realm=a\nrealm=b\nlistening-port=3480\n",
        Some("turnserver --realm=c -p 3481"),
    );
    assert_eq!((&*imported.config.realm, imported.config.listen[0].port()), ("c", 3481));
    assert_eq!(line(&imported, "realm=a").text, "the last one counts: argument 2");
    assert!(imported.text.contains("# argument 2, realm"), "{}", imported.text);
}

#[test]
fn switches_know_coturns_words_and_nothing_else() {
    for (word, count) in
        [("", 0), ("=1", 0), ("=yes", 0), ("=on", 0), ("=off", 2), ("=0", 2), ("=No", 2)]
    {
        let imported = imported(&format!("no-tcp{word}\n"));
        assert_eq!(imported.config.listen_tcp.len(), count, "{word}");
    }
    check("no-tcp=maybe\n", "no-tcp", Verdict::Broken, "coturn does not start with it");
}

#[test]
fn the_family_where_a_client_names_none_comes_over() {
    let family = |line: &str| imported(line).config.default_relay_family;
    for (line, expected) in [
        ("keep-address-family", DefaultRelayFamily::Client),
        ("keep-address-family=off", DefaultRelayFamily::Ipv4),
        ("allocation-default-address-family=keep", DefaultRelayFamily::Client),
        ("allocation-default-address-family=\"ipv6\"", DefaultRelayFamily::Ipv6),
        ("allocation-default-address-family=ipv5", DefaultRelayFamily::Ipv4),
    ] {
        assert_eq!(family(line), expected, "{line}");
    }
}

#[test]
fn relay_threads_come_over_as_far_as_there_can_be_so_many() {
    let threads = |line: &str| imported(line).config.threads.to_string();
    for (line, expected) in [
        ("relay-threads=1", "1"),
        ("relay-threads=64", "64"),
        ("relay-threads=65", "64"),
        ("relay-threads=0", "auto"),
        ("relay-threads", "auto"),
        ("cpus=4", "auto"),
    ] {
        assert_eq!(threads(line), expected, "{line}");
    }
}

#[test]
fn a_certificate_that_is_missing_is_left_out_by_name() {
    let text = "cert=/nonexistent/cert.pem\npkey=key.pem\ntls-listening-port=5349\n";
    let imported = check(text, "cert", Verdict::NotSupported, "there is no such file");
    assert!(imported.config.tls.is_none() && imported.config.listen_tls.is_empty());
    check(text, "pkey", Verdict::NotSupported, "the other file is missing");
}

#[test]
fn tls_and_plain_text_at_one_port_become_tls() {
    let imported =
        imported("listening-port=443\ntls-listening-port=443\ncert=cert.pem\npkey=key.pem\n");
    assert_eq!(imported.config.listen_tcp, []);
    assert_eq!(imported.config.listen_tls.len(), 2);
    assert!(imported.report.to_string().contains("came in at one port"));
}

#[test]
fn a_file_that_is_broken_in_places_names_them_and_goes_on() {
    let report = imported(
        "listening-ip=nowhere\nexternal-ip=1.2.3\nmin-port=9\nmax-port=5\nbogus\nrealm=fine\n",
    )
    .report;
    assert_eq!(report.count(Verdict::Broken), 5, "{report}");
    assert_eq!(report.count(Verdict::TakenOver), 1, "{report}");
    assert!(report.to_string().contains("line 5 bogus"), "{report}");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let failed = |path: &Path| {
        let wanted = Wanted { file: Some(path.to_owned()), ..Wanted::default() };
        import(&wanted, Path::new("turnbell.toml")).unwrap_err().to_string()
    };
    assert!(failed(Path::new("/dev/zero")).contains("is no file"));
    assert!(failed(Path::new("/nonexistent")).contains("cannot be read"));
    let directory = tempfile::tempdir().unwrap();
    let circle = directory.path().join("circle");
    std::os::unix::fs::symlink(&circle, &circle).unwrap();
    assert!(failed(&circle).contains("cannot be read"));
    let large = directory.path().join("large");
    std::fs::write(&large, vec![b'a'; 1024 * 1024 + 1]).unwrap();
    assert!(failed(&large).contains("larger than"));
    std::fs::write(&large, [b'a', 0]).unwrap();
    assert!(failed(&large).contains("zero bytes"));
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert!(with_cure(&denied).ends_with("; run it as root"));
    let nothing = import(&Wanted::default(), Path::new("a.toml")).unwrap_err().to_string();
    assert!(nothing.contains("name coturn's file"));
}

#[test]
fn the_largest_file_with_the_most_lines_is_still_done() {
    let text = "user=a:b\n".repeat(29_999);
    assert_eq!(imported(&text).report.lines.len(), 29_999);
    let ranges: String =
        (0..20_000).map(|n| format!("denied-peer-ip=10.{}.{}.1\n", n / 256, n % 256)).collect();
    let imported = imported(&ranges);
    assert!(imported.config.deny_peers.len() <= 1024);
    assert!(
        imported
            .config
            .deny_peers
            .iter()
            .any(|net| net.contains(&"10.78.31.1".parse::<std::net::IpAddr>().unwrap()))
    );
}

#[test]
fn every_option_alone_has_one_line_with_any_value() {
    for name in names() {
        for value in ["", "=1", "=0", "=a", "=203.0.113.7", "=203.0.113.7:3478", "=\"\"", "=-1"] {
            let imported = imported(&format!("{name}{value}\n"));
            let typed = imported
                .report
                .lines
                .iter()
                .filter(|line| line.origin == Origin::Typed(Place::Line(1)));
            let lines: Vec<String> = typed.map(ToString::to_string).collect();
            assert_eq!(lines.len(), 1, "{name}{value}: {lines:?}");
            assert!(!lines[0].contains("has no effect here"), "{lines:?}");
            assert!(!lines[0].contains("no such option"), "{lines:?}");
        }
    }
}

fn some_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        20 => proptest::sample::select(names().collect::<Vec<_>>()).prop_map(str::to_owned),
        1 => "[#;A-Za-z-]{1,12}",
    ];
    let separator = proptest::sample::select(vec!["=", " ", "\t", " = ", "\t=\t", "==", "=\""]);
    let value = prop_oneof![
        Just(String::new()),
        "[0-9]{1,6}",
        "-?[0-9]{15,25}",
        "[a-z0-9.:/-]{0,20}",
        "10\\.[0-9]\\.0\\.1(-10\\.[0-9]\\.9\\.9)?",
        "[0-9a-f:]{2,20}(-[0-9a-f:]{2,20}|/[0-9]{1,3})?",
        "[a-z]{1,6}:(0x)?[0-9a-f]{32}",
        "[a-z/~]{0,3}:[a-z:]{0,9}",
        "(on|off|yes|no|true|false)",
        "\\PC{0,12}",
    ];
    let end = proptest::sample::select(vec!["", "", "", "\r", "  ", " # why", "\"", ";"]);
    (name, separator, value, end)
        .prop_map(|(name, separator, value, end)| format!("{name}{separator}{value}{end}"))
}

/// 300, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(300);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_is_typed_has_a_line_and_what_comes_out_passes_our_check(
        lines in proptest::collection::vec(some_line(), 0..40),
        words in proptest::collection::vec(some_line(), 0..4),
    ) {
        let text = lines.join("\n");
        let words = words.iter().map(|word| format!("'--{}'", word.replace('\'', "")));
        let words = words.collect::<Vec<_>>().join(" ");
        let imported = with_arguments(&text, Some(&words));
        let told: Vec<Origin> = imported.report.lines.iter().map(|line| line.origin).collect();
        let mut typed = syntax::file(text.as_bytes()).unwrap();
        typed.extend(syntax::command_line(&words).unwrap().statements);
        for statement in typed {
            let place = Origin::Typed(statement.place);
            let count = told.iter().filter(|origin| **origin == place).count();
            prop_assert_eq!(count, 1, "{:?} in {}", statement, imported.report);
        }
        let again = Config::parse(Path::new("turnbell.toml"), &imported.text);
        prop_assert!(again.is_ok(), "{:?}", again);
    }
}
