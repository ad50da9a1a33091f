//! `turnbell verify` against real servers, certificates and blocked networks: each verdict is made for
//! real, the daemon's own and a coturn's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use turnbell::wire::message::{Class, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{CONFIG, Daemon, PATIENCE, SECRET, eventually, record};
use crate::network::{Network, in_own_network};
use crate::turn_client::receive;

/// What a run found.
pub(crate) struct Found {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
    pub(crate) said: String,
}

impl Found {
    pub(crate) fn by(daemon: &Daemon) -> Self {
        Self::of(daemon.command(&["verify", "--json"]))
    }

    pub(crate) fn of((code, text, said): (Option<i32>, String, String)) -> Self {
        let report = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { code, report, said }
    }

    pub(crate) fn verdict(&self) -> &str {
        self.report["verdict"].as_str().unwrap_or_else(|| panic!("no report: {}", self.said))
    }

    /// Codes that concern a URL with this in it; all codes for "".
    pub(crate) fn codes(&self, url: &str) -> Vec<&str> {
        let verdicts = self.report["verdicts"].as_array().expect("verdicts");
        let concerns = |verdict: &&Value| {
            let urls = verdict["urls"].as_array();
            url.is_empty()
                || urls.is_some_and(|u| u.iter().any(|u| u.as_str().unwrap().contains(url)))
        };
        let codes = verdicts.iter().filter(concerns).map(|v| v["code"].as_str().unwrap());
        let mut codes: Vec<_> = codes.collect();
        codes.sort_unstable();
        codes
    }

    #[track_caller]
    pub(crate) fn check(&self, url: &str, codes: &[&str]) {
        assert_eq!(self.codes(url), codes, "{url}: {:#}", self.report);
    }
}

/// Somebody who signs certificates, and a file with his own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    home: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("root.pem"), issuer.pem()).unwrap();
        Self { issuer, home }
    }

    pub(crate) fn root(&self) -> std::path::PathBuf {
        self.home.path().join("root.pem")
    }

    /// Writes a pair that it signed.
    pub(crate) fn write(&self, directory: &Path, names: &[&str], days: std::ops::Range<i32>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(days.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(days.end, 1, 1);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

const TLS: &str =
    "tls.cert = \"cert.pem\"\ntls.key = \"key.pem\"\nlisten_tls = [\"127.0.0.1:0\"]\n";

/// A daemon with a certificate that `write` puts into its directory.
fn with_certificate(config: &str, root: &Path, write: impl FnOnce(&Path)) -> Daemon {
    let home = Arc::new(tempfile::tempdir().unwrap());
    write(home.path());
    std::fs::write(home.path().join("turnbell.toml"), format!("{TLS}{config}")).unwrap();
    Daemon::start_in(home, |command| {
        command.env("SSL_CERT_FILE", root);
    })
}

/// A request with a body; the status.
fn post(http: SocketAddr, path: &str, headers: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("Host: localhost:{}\r\nContent-Type: application/json\r\n", http.port());
    write!(
        stream,
        "POST {path} HTTP/1.1\r\n{head}{headers}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

#[test]
fn a_healthy_daemon_works_over_every_transport_and_is_not_proven_from_outside() {
    let authority = Authority::new("north");
    let daemon = with_certificate(CONFIG, &authority.root(), |home| {
        authority.write(home, &["127.0.0.1"], 2020..2100);
    });
    let found = Found::by(&daemon);
    assert_eq!((found.code, found.verdict()), (Some(0), "note"), "{:#}", found.report);
    found.check("", &["not_proven_outside", "works"]);
    let urls = found.report["urls"].as_array().unwrap();
    let transports: Vec<_> = urls.iter().map(|url| url["transport"].as_str().unwrap()).collect();
    assert_eq!(transports, ["udp", "udp", "tcp", "tls"], "{urls:#?}");
    assert!(urls.iter().all(|url| url["works"] == true && url["own"] == true), "{urls:#?}");
    assert!(urls[1]["round_trip_ms"].is_f64());

    // The same over HTTP, where the last one is a moment old: nothing runs again.
    let (status, answer) = daemon.get("/api/ice-verify");
    assert_eq!((status, &answer["report"]), (200, &found.report));
    assert_eq!(daemon.get("/ice-verify").0, 200);

    // Somebody outside must have a key, and cannot speak for this machine.
    let report = |vantage: &str| {
        format!(
            "{{\"vantage\":\"{vantage}\",\"verdict\":\"ok\",\"summary\":\"\",\"started_at\":0,\
             \"took_ms\":1.5,\"verdicts\":[]}}"
        )
    };
    let path = "/api/ice-verify/reports";
    assert_eq!(post(daemon.http(), path, "", &report("another_machine")), 403);
    let (_, text, _) = daemon.command(&["key", "add", "outside", "--scope", "admin", "--json"]);
    let key: Value = serde_json::from_str(&text).unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", key["key_added"]["key"].as_str().unwrap());
    assert_eq!(post(daemon.http(), path, &bearer, &report("this_machine")), 400);
    assert_eq!(post(daemon.http(), path, &bearer, &report("another_machine")), 201);
    let sample = "turnbell_verification_severity{vantage=\"another_machine\"}";
    assert!(daemon.metric(sample).abs() < 0.1);
    let (_, status, _) = daemon.command(&["status"]);
    assert!(status.contains("verify  note from this machine at "), "{status}");
    assert!(status.contains("verify  ok from another machine at "), "{status}");
    let rows = eventually(|| {
        let sql = "SELECT count(*) FROM verifications";
        let count: i64 = record(&daemon.state()).query_row(sql, [], |row| row.get(0)).ok()?;
        (count == 2).then_some(())
    });
    assert!(rows.is_some(), "both are on record");

    // What it took is given back, and told from people.
    let rows = daemon.wait_for_rows(|rows| rows.iter().all(|row| row.end_reason.is_some()));
    assert_eq!(rows.len(), 6, "{rows:#?}");
    assert!(rows.iter().all(|row| row.username.contains(":turnbell-verify~")), "{rows:#?}");
}

#[test]
fn what_is_wrong_with_a_certificate_is_named_each_by_itself() {
    let (authority, unknown) = (Authority::new("north"), Authority::new("south"));
    let root = authority.root();
    let server = |write: &dyn Fn(&Path)| with_certificate(CONFIG, &root, write);
    let good = server(&|home| authority.write(home, &["localhost"], 2020..2100));
    let late = server(&|home| authority.write(home, &["localhost"], 2020..2021));
    let early = server(&|home| authority.write(home, &["localhost"], 2099..2100));
    let foreign = server(&|home| unknown.write(home, &["localhost"], 2020..2021));
    let own = server(&|home| {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(home.join("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(home.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    });
    let mut urls = vec![format!("turns:127.0.0.1:{}", good.tls().port())];
    for daemon in [&good, &late, &early, &foreign, &own] {
        urls.push(format!("turns:localhost:{}", daemon.tls().port()));
    }
    // What answers there speaks no TLS.
    urls.push(format!("turns:127.0.0.1:{}", good.http().port()));
    let entry =
        |urls: &[String]| format!("[[ice.server]]\nurls = {urls:?}\nsecret = \"{SECRET}\"\n");
    let entries: String = urls.chunks(4).map(entry).collect();
    let config = format!("{CONFIG}{entries}");
    let asking = Daemon::start_with(&config, |command| {
        command.env("SSL_CERT_FILE", &root);
    });
    let found = Found::by(&asking);
    assert_eq!((found.code, found.verdict()), (Some(1), "error"));
    for (url, codes) in urls.iter().zip([
        &["certificate_wrong_name"][..],
        &[],
        &["certificate_expired"],
        &["certificate_not_yet_valid"],
        // Two causes at once: its authority was not sent and is unknown here.
        &["certificate_expired", "certificate_incomplete"],
        &["certificate_self_signed"],
        &["no_tls"],
    ]) {
        found.check(url, codes);
    }
    // The relay behind a bad certificate is tried all the same.
    let works = found.report["urls"].as_array().unwrap().iter().filter(|u| u["works"] == true);
    assert_eq!(works.count(), 3 + 6, "{:#}", found.report);
}

#[test]
fn what_is_wrong_with_a_login_is_named_by_its_cause() {
    let other = Daemon::start(CONFIG);
    let scarce = Daemon::start(&CONFIG.replace("per_user = 4096", "per_user = 1"));
    let (other, scarce) = (other.udp().port(), scarce.udp().port());
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let entry = |url: String, login: &str| format!("[[ice.server]]\nurls = [\"{url}\"]\n{login}\n");
    let fixed = |name: &str| format!("username = \"{name}\"\ncredential = \"no-such-password\"");
    let secret = "secret = \"tests-south-7f3a9c51e2d8b604\"";
    let config = [
        CONFIG.to_owned(),
        entry(format!("turn:127.0.0.1:{other}"), secret),
        entry(format!("turn:127.0.0.2:{other}"), &fixed("alice")),
        entry(format!("turn:localhost:{other}?transport=udp"), &fixed("1000000000:alice")),
        entry(format!("turn:127.0.0.1:{scarce}"), &format!("secret = \"{SECRET}\"")),
        entry(format!("turn:127.0.0.1:{closed}"), secret),
        entry("stun:no-such-name.invalid".to_owned(), ""),
    ];
    let found = Found::by(&Daemon::start(&config.concat()));
    found.check(&format!("turn:127.0.0.1:{other}"), &["secret_refused"]);
    found.check(&format!("localhost:{other}"), &["credential_expired"]);
    found.check(&format!("127.0.0.1:{scarce}"), &["quota_reached"]);
    found.check(&format!("127.0.0.1:{closed}"), &["port_closed"]);
    let name = found.codes("no-such-name.invalid");
    // Without a network there is no name server either.
    assert!(["dns_missing", "dns_no_answer"].contains(&name[0]) && name.len() == 1, "{name:?}");
    // It listens on 127.0.0.1 alone.
    found.check(&format!("127.0.0.2:{other}"), &["port_closed"]);
}

/// A coturn on a loopback address that ends with this value.
struct Coturn {
    child: Child,
    port: u16,
    _home: TempDir,
}

impl Coturn {
    fn start(before: &[&str]) -> Self {
        for _ in 0..10 {
            // It takes no port 0. A port that is free now may be taken a moment later.
            let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let home = tempfile::tempdir().unwrap();
            let words = [before, &["turnserver"]].concat();
            let mut child = Command::new(words[0])
                .args(&words[1..])
                .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"])
                .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=south"])
                .args(["--use-auth-secret", "--allow-loopback-peers", "--relay-threads=1"])
                .arg(format!("--static-auth-secret={SECRET}"))
                .arg(format!("--listening-port={}", at.port()))
                .arg(format!("--userdb={}", home.path().join("db").display()))
                .arg(format!("--pidfile={}", home.path().join("pid").display()))
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                // faketime starts it as a child of its own, which is to end with it.
                .process_group(0)
                .spawn()
                .unwrap_or_else(|error| panic!("{words:?}: {error}; install coturn, faketime"));
            // A full pipe would hold it up.
            let output = BufReader::new(child.stdout.take().unwrap());
            std::thread::spawn(move || output.lines().for_each(drop));
            let coturn = Self { child, port: at.port(), _home: home };
            if coturn.answers() {
                return coturn;
            }
        }
        panic!("turnserver does not answer");
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let id = TransactionId([7; 12]);
        let question = MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, true);
        eventually(|| {
            socket.send_to(&question, ("127.0.0.1", self.port)).unwrap();
            receive(&socket, Duration::from_millis(100))
        })
        .is_some()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[test]
fn a_coturn_as_a_foreign_server_is_verified_and_its_clock_told_from_its_secret() {
    let (right, ahead) = (Coturn::start(&[]), Coturn::start(&["faketime", "-f", "+3h"]));
    let entry = |url: String, secret: &str| {
        format!("[[ice.server]]\nurls = [\"{url}\"]\nsecret = \"{secret}\"\n")
    };
    let urls = [
        format!("turn:127.0.0.1:{}?transport=udp", right.port),
        format!("turn:127.0.0.1:{}?transport=tcp", right.port),
        format!("turn:localhost:{}?transport=udp", right.port),
        format!("turn:127.0.0.1:{}?transport=udp", ahead.port),
    ];
    let [udp, tcp, wrong, late] = urls.clone();
    let config = [
        CONFIG.to_owned(),
        entry(udp, SECRET),
        entry(tcp, SECRET),
        entry(wrong, "tests-south-7f3a9c51e2d8b604"),
        entry(late, SECRET),
    ];
    let found = Found::by(&Daemon::start(&config.concat()));
    for (url, codes) in urls.iter().zip([&[][..], &[], &["secret_refused"], &["clock_off"]]) {
        found.check(url, codes);
    }
    let all = found.report["urls"].as_array().unwrap();
    let works = |url: &String| all.iter().any(|u| u["url"] == **url && u["works"] == true);
    assert_eq!(urls.iter().map(works).collect::<Vec<_>>(), [true, true, false, false]);
}

/// Blocks what a client sends to these ports.
fn block(router: &Network, protocol: &str, ports: &str) {
    router.ip(&format!("rule add priority 9 iif near ipproto {protocol} dport {ports} blackhole"));
}

fn unblock(router: &Network) {
    while router.visit(|| {
        let script = "PATH=$PATH:/usr/sbin:/sbin; exec ip rule del priority 9";
        let ended = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).status();
        ended.unwrap().success()
    }) {}
}

#[test] // P6, P32
fn what_a_firewall_on_the_way_blocks_is_named_from_another_machine_and_only_from_there() {
    in_own_network(|| {
        let (server, router, client) = (Network::here(), Network::new(), Network::new());
        router.cable("near", &["5.44.10.1/24"], &client, &["5.44.10.2/24"]);
        router.cable("far", &["5.44.20.2/24"], &server, &["5.44.20.1/24"]);
        router.visit(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        client.ip("route add default via 5.44.10.1");
        server.ip("route add default via 5.44.20.2");
        let daemon = Daemon::start(
            "state_directory = \"state\"\nlisten = [\"0.0.0.0:3478\"]\n\
             listen_tcp = [\"0.0.0.0:3478\"]\nrelay_addresses = [\"5.44.20.1\"]\n\
             relay_ports = \"50000-59999\"\n\
             auth.secrets = [\"tests-north-7f3a9c51e2d8b604\"]\n\
             http.listen = [\"0.0.0.0:8080\"]\nhttp.local_without_key = true\n",
        );
        let (_, text, _) = daemon.command(&["key", "add", "outside", "--scope", "admin", "--json"]);
        let key: Value = serde_json::from_str(&text).unwrap();
        let key = key["key_added"]["key"].as_str().unwrap();
        let from_client = || {
            let ask = ["verify", "http://5.44.20.1:8080", "--key", key, "--json"];
            Found::of(client.visit(|| daemon.command(&ask)))
        };
        let found = from_client();
        assert_eq!((found.code, found.verdict()), (Some(0), "ok"), "{:#}", found.report);
        assert!(found.said.contains("the server keeps this result"), "{}", found.said);
        for (blocked, codes) in [
            (&[("udp", "3478")][..], &["udp_blocked"][..]),
            (&[("tcp", "3478")], &["tcp_blocked"]),
            (&[("udp", "50000-59999")], &["relay_blocked"]),
            (&[("tcp", "3478"), ("udp", "50000-59999")], &["relay_blocked", "tcp_blocked"]),
            (&[("udp", "3478"), ("tcp", "3478")], &["outside_blocked"]),
        ] {
            for (protocol, ports) in blocked {
                block(&router, protocol, ports);
            }
            let found = from_client();
            assert_eq!((found.code, found.verdict()), (Some(1), "error"), "{blocked:?}");
            let mut codes_found = found.codes("");
            codes_found.dedup();
            assert_eq!(codes_found, codes, "{blocked:?}: {:#}", found.report);
            unblock(&router);
        }
        // Where nobody answers at all nothing can be said.
        let (code, _, said) =
            client.visit(|| daemon.command(&["verify", "http://5.44.20.1:8081", "--key", key]));
        assert_eq!(code, Some(2), "{said}");
    });
}
