//! coturn's own test client and echo peer (Debian package coturn).
//!
//! `-c` keeps the client from asking for pairs of ports. Without it every Allocate has EVEN-PORT
//! or RESERVATION-TOKEN; with it every other one still has EVEN-PORT, whatever the flags.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};

use crate::daemon::{CONFIG, Daemon, PASSWORD, Row, SECRET, USER, eventually};
use crate::turn_client::receive;

pub(crate) const MESSAGES: i64 = 10;
/// Its default length of a message.
const MESSAGE_BYTES: i64 = 100;
/// Over TLS a start has one chance in a few.
const STARTS_MAX: usize = 400;
/// The client itself gives up after less; a run that works takes 5 s.
const RUN_S_MAX: &str = "60";

/// What one run of `turnutils_uclient` came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Run {
    /// The last `name=number` it printed.
    fn number(&self, name: &str) -> Option<i64> {
        let (_, rest) = self.text.rsplit_once(&format!("{name}="))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    #[track_caller]
    pub(crate) fn check_no_loss(&self, messages: i64) {
        assert_eq!(self.code, Some(0), "{}", self.text);
        assert_eq!(self.number("tot_send_msgs"), Some(messages), "{}", self.text);
        assert_eq!(self.number("tot_recv_msgs"), Some(messages), "{}", self.text);
        assert!(self.text.contains("Total lost packets 0 "), "{}", self.text);
    }
}

/// An echo peer on a loopback address that ends with this value.
pub(crate) struct Peer {
    child: Child,
    pub(crate) at: SocketAddr,
}

impl Peer {
    pub(crate) fn start(ip: &str) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        for _ in 0..10 {
            // It takes no port 0. A port that is free now may be taken a moment later.
            let at = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
            let child = Command::new("turnutils_peer")
                .args(["-L", &ip.to_string(), "-p", &at.port().to_string()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| missing("turnutils_peer", &error));
            let peer = Self { child, at };
            if peer.echoes() {
                return peer;
            }
        }
        panic!("turnutils_peer does not echo");
    }

    fn echoes(&self) -> bool {
        let socket = UdpSocket::bind((self.at.ip(), 0)).unwrap();
        eventually(|| {
            socket.send_to(b"are you there?", self.at).unwrap();
            receive(&socket, std::time::Duration::from_millis(100))
        })
        .is_some()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn missing(tool: &str, error: &std::io::Error) -> ! {
    panic!("{tool} cannot be started ({error}); install Debian's package coturn")
}

/// Starts the client until it happens to use no TLS of before 1.2.
pub(crate) fn uclient(server: SocketAddr, arguments: &[&str]) -> Run {
    repeat_by_chance(|| uclient_once(server, arguments))
}

fn repeat_by_chance(start: impl Fn() -> Run) -> Run {
    for _ in 0..STARTS_MAX {
        let run = start();
        // Each of its connections draws a TLS version; those before 1.2 are refused.
        let is_by_chance = run.text.contains("tls_connect: cannot connect");
        if run.code == Some(0) || !is_by_chance {
            return run;
        }
    }
    panic!("{STARTS_MAX} starts, and each drew what is refused");
}

fn uclient_once(server: SocketAddr, arguments: &[&str]) -> Run {
    let count = MESSAGES.to_string();
    run(Command::new("timeout")
        .args([RUN_S_MAX, "turnutils_uclient", "-p", &server.port().to_string(), "-n", &count])
        .args(arguments)
        .arg(server.ip().to_string()))
}

fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.code() == Some(127) {
        missing("turnutils_uclient", &std::io::ErrorKind::NotFound.into());
    }
    Run { code: output.status.code(), text }
}

/// For a daemon that this client can work with: it binds channel numbers that RFC 8656 took away.
fn config() -> String {
    format!(
        "channel_numbers = \"rfc5766\"\nallow_private_peers = [\"127.0.0.1\", \"::1\"]\n{CONFIG}"
    )
}

fn daemon() -> Daemon {
    Daemon::start(&config())
}

/// Two of its clients talk to each other, both relayed.
fn client_to_client(server: SocketAddr, more: &[&str]) -> Run {
    uclient(server, &[&["-u", USER, "-w", PASSWORD, "-y", "-c", "-m", "2"], more].concat())
}

/// One client and `turnutils_peer`.
fn through_peer(server: SocketAddr, login: &[&str], more: &[&str]) -> Run {
    let peer = Peer::start(&server.ip().to_string());
    let (ip, port) = (peer.at.ip().to_string(), peer.at.port().to_string());
    let family = if server.is_ipv6() { "-x" } else { "-X" };
    let to_peer = ["-c", "-m", "1", "-e", &ip, "-r", &port, family];
    uclient(server, &[login, &to_peer, more].concat())
}

const LOGIN: [&str; 4] = ["-u", USER, "-w", PASSWORD];

/// `clients` allocations have relayed every message out and back and were ended by their client.
#[track_caller]
fn check_record(daemon: &Daemon, clients: usize) -> Vec<Row> {
    check_record_of(daemon, clients, MESSAGE_BYTES)
}

/// The same with messages of `length` bytes.
#[track_caller]
fn check_record_of(daemon: &Daemon, clients: usize, length: i64) -> Vec<Row> {
    let sent = (MESSAGES, MESSAGES * length);
    let is_done = |row: &&Row| {
        row.to_peers == sent && row.to_client == sent && row.end_reason.as_deref() == Some("client")
    };
    let rows = daemon.wait_for_rows(|rows| rows.iter().filter(is_done).count() == clients);
    let others = rows.iter().filter(|row| !is_done(row));
    for row in others {
        assert_eq!((row.to_peers.0, row.to_client.0), (0, 0), "{rows:#?}");
    }
    rows.iter().filter(is_done).cloned().collect()
}

#[test]
fn uclient_to_uclient_over_channels_on_ipv4() {
    let daemon = daemon();
    client_to_client(daemon.udp(), &[]).check_no_loss(2 * MESSAGES);
    let rows = check_record(&daemon, 2);
    assert!(rows.iter().all(|row| row.username == USER), "{rows:#?}");
    assert!(rows.iter().all(|row| row.relayed.starts_with("127.0.0.1:")), "{rows:#?}");
}

#[test]
fn uclient_to_uclient_over_indications_on_ipv4() {
    let daemon = daemon();
    client_to_client(daemon.udp(), &["-s"]).check_no_loss(2 * MESSAGES);
    check_record(&daemon, 2);
}

#[test]
fn uclient_to_uclient_over_channels_on_ipv6() {
    let daemon = daemon();
    client_to_client(daemon.udp6(), &["-x"]).check_no_loss(2 * MESSAGES);
    let rows = check_record(&daemon, 2);
    assert!(rows.iter().all(|row| row.relayed.starts_with("[::1]:")), "{rows:#?}");
}

#[test]
fn uclient_to_uclient_over_indications_on_ipv6() {
    let daemon = daemon();
    client_to_client(daemon.udp6(), &["-x", "-s"]).check_no_loss(2 * MESSAGES);
    check_record(&daemon, 2);
}

#[test]
fn uclient_to_a_peer_over_channels_on_ipv4() {
    let daemon = daemon();
    through_peer(daemon.udp(), &LOGIN, &[]).check_no_loss(MESSAGES);
    check_record(&daemon, 1);
}

#[test]
fn uclient_to_a_peer_over_indications_on_ipv4() {
    let daemon = daemon();
    through_peer(daemon.udp(), &LOGIN, &["-s"]).check_no_loss(MESSAGES);
    check_record(&daemon, 1);
}

#[test]
fn uclient_to_a_peer_over_channels_on_ipv6() {
    let daemon = daemon();
    through_peer(daemon.udp6(), &LOGIN, &[]).check_no_loss(MESSAGES);
    check_record(&daemon, 1);
}

#[test]
fn uclient_to_a_peer_over_indications_on_ipv6() {
    let daemon = daemon();
    through_peer(daemon.udp6(), &LOGIN, &["-s"]).check_no_loss(MESSAGES);
    check_record(&daemon, 1);
}

/// Every mode over one kind of stream; `flags` choose it.
fn check_streams(daemon: &Daemon, v4: SocketAddr, v6: SocketAddr, flags: &[&str]) {
    let with = |more: &[&'static str]| [flags, more].concat();
    client_to_client(v4, &with(&[])).check_no_loss(2 * MESSAGES);
    client_to_client(v6, &with(&["-x", "-s"])).check_no_loss(2 * MESSAGES);
    through_peer(v4, &LOGIN, &with(&["-s"])).check_no_loss(MESSAGES);
    through_peer(v6, &LOGIN, &with(&[])).check_no_loss(MESSAGES);
    check_record(daemon, 6);
}

#[test]
fn uclient_over_tcp_in_channels_and_indications_on_both_families() {
    let daemon = daemon();
    check_streams(&daemon, daemon.tcp(), daemon.tcp6(), &["-t"]);
}

#[test]
fn uclient_over_tls_in_channels_and_indications_on_both_families() {
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(home.path().join("cert.pem"), pair.cert.pem()).unwrap();
    std::fs::write(home.path().join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    let tls = "tls.cert = \"cert.pem\"\ntls.key = \"key.pem\"\n\
               listen_tls = [\"127.0.0.1:0\", \"[::1]:0\"]\n";
    std::fs::write(home.path().join("turnbell.toml"), format!("{tls}{}", config())).unwrap();
    let daemon = Daemon::start_in(home, |_| {});
    check_streams(&daemon, daemon.tls(), daemon.tls6(), &["-t", "-S"]);
}

/// Runs at the same time, two of its clients each; none loses a message of `length` bytes.
fn check_together(daemon: &Daemon, length: i64, runs: &[(SocketAddr, &[&str])]) {
    let bytes = length.to_string();
    std::thread::scope(|scope| {
        for (server, more) in runs {
            let more = [&["-l", &bytes], *more].concat();
            scope.spawn(move || client_to_client(*server, &more).check_no_loss(2 * MESSAGES));
        }
    });
    check_record_of(daemon, 2 * runs.len(), length);
}

#[test]
fn uclient_with_messages_as_long_as_a_packet_over_udp_and_tcp_on_both_families() {
    let daemon = daemon();
    let runs: [(_, &[_]); 4] = [
        (daemon.udp(), &[]),
        (daemon.udp6(), &["-x", "-s"]),
        (daemon.tcp(), &["-t"]),
        (daemon.tcp6(), &["-t", "-x", "-s"]),
    ];
    check_together(&daemon, 1400, &runs);
}

#[test]
fn uclient_with_padding_that_none_asks_for_whole_datagrams_and_needless_requests() {
    let daemon = daemon();
    // Not a multiple of four.
    let runs: [(_, &[_]); 5] = [
        (daemon.udp(), &["-D"]),
        (daemon.tcp(), &["-D", "-t"]),
        (daemon.udp(), &["-g", "-s"]),
        (daemon.udp(), &["-G"]),
        (daemon.tcp6(), &["-G", "-t", "-x"]),
    ];
    check_together(&daemon, 101, &runs);
}

#[test] // RFC 8656 §7.2: a transport that is not relayed
fn uclient_hears_442_for_relaying_over_tcp() {
    let daemon = daemon();
    let run = uclient(daemon.tcp(), &["-u", USER, "-w", PASSWORD, "-T"]);
    assert_ne!(run.code, Some(0), "{}", run.text);
    assert!(run.text.contains("error 442"), "{}", run.text);
    assert_eq!(daemon.rows(), []);
}

#[test]
fn uclient_makes_its_own_credential_from_the_shared_secret() {
    let daemon = daemon();
    through_peer(daemon.udp(), &["-u", "bob", "-W", SECRET], &[]).check_no_loss(MESSAGES);
    let rows = check_record(&daemon, 1);
    assert!(rows[0].username.ends_with(":bob"), "{rows:#?}");
}

#[test]
fn uclient_comes_in_with_what_ice_handed_out() {
    let daemon = daemon();
    let (username, credential) = daemon.issue("carol");
    let login = ["-u", &username, "-w", &credential];
    through_peer(daemon.udp(), &login, &[]).check_no_loss(MESSAGES);
    assert_eq!(check_record(&daemon, 1)[0].username, username);
}

#[test]
fn the_command_line_that_credential_prints_works_as_it_stands() {
    // Without old channel numbers and without allowed peers: the defaults must do.
    let daemon = Daemon::start(CONFIG);
    let (code, text, error) = daemon.command(&["credential", "--user", "dave"]);
    assert_eq!(code, Some(0), "{error}");
    let line = text.lines().find(|line| line.trim().starts_with("turnutils_uclient"));
    let line = line.unwrap_or_else(|| panic!("no command line: {text}"));
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let run = run(Command::new("timeout").arg(RUN_S_MAX).args(&words));
    assert_eq!(run.code, Some(0), "{}", run.text);
    assert!(run.number("tot_recv_msgs") > Some(0), "{}", run.text);
    assert_eq!(run.number("tot_recv_msgs"), run.number("tot_send_msgs"), "{}", run.text);
}

#[test]
fn uclient_stays_outside_with_a_wrong_password_and_the_record_says_why() {
    let daemon = daemon();
    let run = uclient(daemon.udp(), &["-u", USER, "-w", "wonderland-18", "-y", "-c"]);
    assert_ne!(run.code, Some(0), "{}", run.text);
    assert!(run.text.contains("Cannot complete Allocation"), "{}", run.text);
    let cause = eventually(|| {
        let sql = "SELECT cause FROM auth_failures WHERE username = ?1 LIMIT 1";
        let record = crate::daemon::record(&daemon.state());
        record.query_row(sql, [USER], |row| row.get::<_, String>(0)).ok()
    });
    assert_eq!(cause.as_deref(), Some("wrong_integrity"));
    assert_eq!(daemon.rows(), []);
}

#[test]
fn uclient_stays_outside_with_a_wrong_secret() {
    let daemon = daemon();
    let run =
        uclient(daemon.udp(), &["-u", USER, "-W", "tests-south-7f3a9c51e2d8b604", "-y", "-c"]);
    assert_ne!(run.code, Some(0), "{}", run.text);
    assert_eq!(daemon.rows(), []);
}

#[test] // RFC 8656 §7.2: EVEN-PORT with R, and the RTCP half by RESERVATION-TOKEN
fn uclient_gets_pairs_of_ports_and_redeems_the_second_of_each() {
    let daemon = daemon();
    for (server, family) in [(daemon.udp(), "-X"), (daemon.udp6(), "-x")] {
        let run = uclient(server, &["-u", USER, "-w", PASSWORD, "-y", "-m", "2", family]);
        // Two clients, each with a pair.
        run.check_no_loss(4 * MESSAGES);
    }
    check_record(&daemon, 8);
    // It leaves an even port or two without traffic; odd ones come by tokens only.
    let relayed: Vec<SocketAddr> =
        daemon.rows().iter().map(|row| row.relayed.parse().unwrap()).collect();
    let odd: Vec<_> = relayed.iter().filter(|at| !at.port().is_multiple_of(2)).collect();
    assert_eq!(odd.len(), 4, "{relayed:?}");
    for at in odd {
        let even = SocketAddr::new(at.ip(), at.port() - 1);
        assert!(relayed.contains(&even), "{relayed:?}");
    }
}
