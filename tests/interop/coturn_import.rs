//! A running coturn, imported: what passed against it passes against turnbell, what it refused is refused.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::coturn::{MESSAGES, Peer, missing, uclient};
use crate::daemon::{Daemon, eventually};
use crate::turn_client::receive;

/// Accounts as `turnadmin` makes them.
const NAME: &str = "ninefingers";
const PASSWORD: &str = "youhavetoberealistic";
pub(crate) const REALM: &str = "north.gov";
const SECRET: &str = "tests-north-7f3a9c51e2d8b604";

/// A turnserver on free ports of 127.0.0.1, with a file and a turndb in a directory of its own.
pub(crate) struct Coturn {
    child: Child,
    pub(crate) home: Arc<TempDir>,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
}

impl Coturn {
    pub(crate) fn start(options: &str) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let at = home.path();
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(at.join("cert.pem"), pair.cert.pem()).unwrap();
        std::fs::write(at.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        turnadmin(at, &["-a", "-u", NAME, "-p", PASSWORD, "-r", REALM]);
        for _ in 0..10 {
            let (plain, tls) = (free_port(), free_port());
            let file = format!(
                "# A file as people have it.\nlistening-ip=127.0.0.1\nlistening-port={}\n\
                 tls-listening-port={}\nrelay-ip=127.0.0.1\nrealm={REALM}\nfingerprint\nno-cli\n\
                 userdb={home}/turndb\ncert={home}/cert.pem\npkey={home}/key.pem\n\
                 allow-loopback-peers\nlog-file={home}/turn.log\npidfile=\"{home}/pid\"\n{options}",
                plain.port(),
                tls.port(),
                home = at.display(),
            );
            std::fs::write(at.join("turnserver.conf"), file).unwrap();
            let child = Command::new("turnserver")
                .args(["-c", &format!("{}/turnserver.conf", at.display())])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| missing("turnserver", &error));
            let coturn = Self { child, home: Arc::clone(&home), plain, tls };
            if coturn.answers() {
                return coturn;
            }
        }
        panic!("turnserver does not answer");
    }

    fn answers(&self) -> bool {
        // Binding request, no attributes.
        let mut request = [0; 20];
        request[1] = 1;
        request[4..8].copy_from_slice(&0x2112_a442_u32.to_be_bytes());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        eventually(|| {
            socket.send_to(&request, self.plain).unwrap();
            receive(&socket, Duration::from_millis(100))
        })
        .is_some()
    }

    /// Ends it and starts what the import makes of it, at the same ports.
    fn imported(mut self) -> Daemon {
        self.end();
        let home = Arc::clone(&self.home);
        let file = home.path().join("turnserver.conf");
        let report = run_import(home.path(), &[file.to_str().unwrap()]);
        assert!(report.contains("broken: 0"), "{report}");
        assert!(!report.contains(PASSWORD) && !report.contains(SECRET), "{report}");
        let config = home.path().join("turnbell.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}\n[http]\nlisten = [\"127.0.0.1:0\"]\n")).unwrap();
        let state = home.path().join("state");
        Daemon::start_in(home, |command| {
            command.env("STATE_DIRECTORY", state);
        })
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn free_port() -> SocketAddr {
    // For TCP and UDP both; it is taken a moment later, or another one is tried.
    loop {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if UdpSocket::bind(at).is_ok() {
            return at;
        }
    }
}

fn turnadmin(home: &Path, arguments: &[&str]) {
    let database = format!("{}/turndb", home.display());
    let output = Command::new("turnadmin")
        .args(arguments)
        .args(["-b", &database])
        .current_dir(home)
        .output()
        .unwrap_or_else(|error| missing("turnadmin", &error));
    assert!(output.status.success(), "{output:?}");
}

/// Writes `turnbell.toml` into `home`; returns the report.
pub(crate) fn run_import(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_turnbell"))
        .arg("import-coturn")
        .args(arguments)
        .current_dir(home)
        .env_remove("STATE_DIRECTORY")
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// A command line of coturn's client, and whether it must pass.
type Line<'a> = (SocketAddr, &'a [&'a str], bool);

#[track_caller]
fn check(lines: &[Line<'_>]) {
    std::thread::scope(|scope| {
        for (server, arguments, passes) in lines {
            scope.spawn(move || {
                let run = uclient(*server, arguments);
                if *passes {
                    run.check_no_loss(2 * MESSAGES);
                } else {
                    assert_ne!(run.code, Some(0), "{arguments:?}: {}", run.text);
                }
            });
        }
    });
}

#[test]
fn static_accounts_pass_after_the_import_by_the_keys_that_turnadmin_made() {
    let coturn = Coturn::start("lt-cred-mech\nuser=alice:wonderland-17\nuser=phone7:7h2k\n");
    let (plain, tls) = (coturn.plain, coturn.tls);
    let of = |user, password| ["-u", user, "-w", password, "-y", "-c", "-m", "2"];
    let (key, typed) = (of(NAME, PASSWORD), of("alice", "wonderland-17"));
    let short = of("phone7", "7h2k");
    let over_tcp = [&key[..], &["-t"]].concat();
    let wrong = of(NAME, "youhavetobedreaming");
    let lines: [Line<'_>; 5] = [
        (plain, &key, true),
        (plain, &typed, true),
        (plain, &short, true),
        (plain, &over_tcp, true),
        (plain, &wrong, false),
    ];
    // One connection, as each draws its version of TLS, and old ones are refused.
    let peer = Peer::start("127.0.0.1");
    let port = peer.at.port().to_string();
    let over_tls = ["-u", NAME, "-w", PASSWORD, "-c", "-m", "1", "-t", "-S"];
    let over_tls = [&over_tls[..], &["-e", "127.0.0.1", "-r", &port]].concat();
    check(&lines);
    uclient(tls, &over_tls).check_no_loss(MESSAGES);
    let _daemon = coturn.imported();
    check(&lines);
    uclient(tls, &over_tls).check_no_loss(MESSAGES);
}

#[test]
fn shared_secrets_pass_after_the_import_and_static_accounts_beside_them_do_not() {
    let coturn = Coturn::start(&format!("use-auth-secret\nstatic-auth-secret={SECRET}\n"));
    let plain = coturn.plain;
    // What Prosody makes, and what backends made before the order was settled.
    let (lone, behind) = (made("1999999999"), made("bob:1999999999"));
    let lines: [Line<'_>; 5] = [
        (plain, &["-u", "bob", "-W", SECRET, "-y", "-c", "-m", "2"], true),
        (plain, &["-u", "1999999999", "-w", &lone, "-y", "-c", "-m", "2"], true),
        (plain, &["-u", "bob:1999999999", "-w", &behind, "-y", "-c", "-m", "2"], true),
        (plain, &["-u", "bob", "-W", "tests-south-7f3a9c51e2d8b604", "-y", "-c", "-m", "2"], false),
        (plain, &["-u", NAME, "-w", PASSWORD, "-y", "-c", "-m", "2"], false),
    ];
    check(&lines);
    let _daemon = coturn.imported();
    check(&lines);
}

/// The password that a backend makes for a username.
fn made(username: &str) -> String {
    use base64::Engine;
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[test] // A realm is repeated in every 401; those over 24 bytes would amplify.
fn shared_secrets_pass_under_another_realm_where_coturns_is_too_long() {
    let realm = "turn.a-rather-long-name.example.org";
    let coturn =
        Coturn::start(&format!("use-auth-secret\nstatic-auth-secret={SECRET}\nrealm={realm}\n"));
    let lines: [Line<'_>; 1] =
        [(coturn.plain, &["-u", "bob", "-W", SECRET, "-y", "-c", "-m", "2"], true)];
    check(&lines);
    let daemon = coturn.imported();
    let (_, shown, _) = daemon.command(&["print-config"]);
    assert!(shown.contains("realm = \"turnbell\""), "{shown}");
    check(&lines);
}

#[test]
fn peers_that_were_denied_are_denied_and_those_allowed_among_them_are_not() {
    let coturn = Coturn::start(
        "lt-cred-mech\ndenied-peer-ip=127.0.0.2-127.0.0.9\nallowed-peer-ip=127.0.0.3\n",
    );
    let server = coturn.plain;
    let (denied, allowed) = (Peer::start("127.0.0.2"), Peer::start("127.0.0.3"));
    let run_all = || {
        for (peer, passes) in [(&denied, false), (&allowed, true)] {
            let (ip, port) = (peer.at.ip().to_string(), peer.at.port().to_string());
            let to = ["-u", NAME, "-w", PASSWORD, "-c", "-m", "1", "-e", &ip, "-r", &port];
            let run = uclient(server, &to);
            if passes {
                run.check_no_loss(MESSAGES);
            } else {
                assert!(run.text.contains("403"), "{}", run.text);
                assert_ne!(run.code, Some(0), "{}", run.text);
            }
        }
    };
    run_all();
    let _daemon = coturn.imported();
    run_all();
}

#[test]
fn a_users_quota_is_the_same_after_the_import() {
    check_quota("user-quota=4\nmax-bps=125000\n", &["per_user = 4", "\"1Mbit\""], "486");
}

#[test]
fn the_quota_of_all_together_is_the_same_after_the_import() {
    // Whoever comes is not at fault, so it is 508 here (RFC 8656 §7.2).
    check_quota("total-quota=4\n", &["total = 4"], "508");
}

/// Two clients pass, sixteen do not, before and after.
#[track_caller]
fn check_quota(options: &str, becomes: &[&str], code_here: &str) {
    let coturn = Coturn::start(&format!("lt-cred-mech\n{options}"));
    let plain = coturn.plain;
    let many = ["-u", NAME, "-w", PASSWORD, "-y", "-c", "-m", "16"];
    let few: [Line<'_>; 1] = [(plain, &["-u", NAME, "-w", PASSWORD, "-y", "-c", "-m", "2"], true)];
    let check_both = |code: &str| {
        check(&few);
        let run = uclient(plain, &many);
        assert_ne!(run.code, Some(0), "{}", run.text);
        assert!(run.text.contains(&format!("error {code}")), "{}", run.text);
    };
    check_both("486");
    let daemon = coturn.imported();
    let (_, shown, _) = daemon.command(&["print-config"]);
    assert!(becomes.iter().all(|key| shown.contains(key)), "{shown}");
    check_both(code_here);
}

#[test]
fn clients_that_were_sent_elsewhere_are_served_here() {
    let elsewhere = Coturn::start("lt-cred-mech\n");
    let coturn = Coturn::start(&format!("lt-cred-mech\nalternate-server={}\n", elsewhere.plain));
    let lines: [Line<'_>; 1] =
        [(coturn.plain, &["-u", NAME, "-w", PASSWORD, "-y", "-c", "-m", "2"], true)];
    check(&lines);
    let daemon = coturn.imported();
    let (_, shown, _) = daemon.command(&["print-config"]);
    assert!(shown.contains(&elsewhere.plain.to_string()), "{shown}");
    check(&lines);
}

#[test]
fn turnbell_runs_straight_from_coturns_file_and_reads_it_again() {
    let mut coturn = Coturn::start("lt-cred-mech\nprod\n");
    coturn.end();
    let home = Arc::clone(&coturn.home);
    let file = home.path().join("turnserver.conf");
    let state = home.path().join("turnbell-data");
    // Nothing else of the tests listens there.
    let text = std::fs::read_to_string(&file).unwrap();
    let port = free_port().port();
    std::fs::write(&file, format!("{text}prometheus\nprometheus-port={port}\nno-udp-relay=0\n"))
        .unwrap();
    let daemon = Daemon::start_in(home, |command| {
        command.env("STATE_DIRECTORY", state).args(["run", "--coturn-config"]).arg(&file);
    });
    check(&[(coturn.plain, &["-u", NAME, "-w", PASSWORD, "-y", "-c", "-m", "2"], true)]);
    daemon.wait_for_log("turnserver.conf, which is coturn's");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}user=alice:wonderland-17\nmobility\n")).unwrap();
    let (code, told, error) = daemon.command(&["reload"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(told.contains("auth.users: 0 accounts -> 1 account"), "{told}");
    daemon.wait_for_log("Not supported: a client that changes networks");
    // A database that is away for a moment takes nobody's account.
    let (there, away) =
        (daemon.directory().path().join("turndb"), daemon.directory().path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let (code, _, error) = daemon.command(&["reload"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(
        error.contains("user database was not read, and what it holds would be gone"),
        "{error}"
    );
    std::fs::rename(&away, &there).unwrap();
    let (code, told, error) = daemon.command(&["reload"]);
    assert_eq!((code, told.contains("0 account")), (Some(0), false), "{told}{error}");
}

#[test]
fn every_option_of_coturns_own_example_is_known() {
    let home = tempfile::tempdir().unwrap();
    let example = "/usr/share/doc/coturn/examples/etc/turnserver.conf";
    let text = std::fs::read_to_string(example).unwrap_or_else(|error| missing(example, &error));
    // Every option that stands there, in use or as an example, one a line.
    let options: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| {
            let name = line.split(['=', ' ']).next().unwrap_or_default();
            let is_option = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !name.is_empty()
                && name.chars().all(is_option)
                && name.contains('-') | line.contains('=') | (line.len() == name.len())
                && name.starts_with(|c: char| c.is_ascii_lowercase() || c == 'C')
        })
        .collect();
    assert!(options.len() > 90, "{options:?}");
    let file = home.path().join("turnserver.conf");
    std::fs::write(&file, options.join("\n")).unwrap();
    let report =
        run_import(home.path(), &[file.to_str().unwrap(), "--turndb", "none", "--dry-run"]);
    assert!(!report.contains("no such option"), "{report}");
    assert!(report.contains("broken: 0"), "{report}");
}
