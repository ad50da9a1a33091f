//! Reload: another config while calls are on, whole or not at all.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, PASSWORD, SECRET, USER};
use crate::turn_client::{TurnClient, receive};

/// Long enough for what happens at once, on a busy machine.
const SOON: Duration = Duration::from_secs(5);
const NEXT: &str = "tests-south-1b7d3a95c0e2f846";

/// `CONFIG` with this machine's loopback opened, and lines in front.
fn config(lines: &str) -> String {
    format!("{lines}\nallow_private_peers = [\"127.0.0.0/8\"]\n{CONFIG}")
}

fn write(daemon: &Daemon, config: &str) {
    std::fs::write(daemon.directory().path().join("turnbell.toml"), config).unwrap();
}

/// Writes a config and has it read; says what the command said.
#[track_caller]
fn reload(daemon: &Daemon, config: &str) -> String {
    write(daemon, config);
    let (code, text, error) = daemon.command(&["reload"]);
    assert_eq!((code, &*error), (Some(0), ""), "{text}");
    text
}

fn peer(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    let at = socket.local_addr().unwrap();
    (socket, at)
}

/// Credentials of one user by a secret, for an hour.
fn issued(secret: &str) -> (String, String) {
    let expires_at = Now::read().unix_s() + 3600;
    let issued = issue(&Secret::new(secret.to_owned()), &User::parse("bob").unwrap(), expires_at);
    (issued.username, issued.credential.expose().clone())
}

fn allocates(daemon: &Daemon, (username, password): (String, String)) -> Result<TurnClient, u16> {
    TurnClient::allocate(daemon.udp(), &username, &password)
}

#[test] // R28
fn a_newly_denied_peer_is_closed_within_a_second_and_the_call_beside_it_goes_on() {
    let daemon = Daemon::start(&config(""));
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    let ((denied, denied_at), (kept, kept_at)) = (peer("127.0.0.2:0"), peer("127.0.0.3:0"));
    for at in [denied_at, kept_at] {
        client.permit(at.ip()).unwrap();
    }
    client.bind_channel(0x4000, denied_at).unwrap();
    client.send(denied_at, b"before");
    assert!(receive(&denied, SOON).is_some());

    let told = Now::read().mono;
    let text = reload(&daemon, &config("deny_peers = [\"127.0.0.2\"]"));
    assert!(Now::read().mono - told < Duration::from_secs(1), "R28: within a second");
    assert!(text.contains("deny_peers: [] -> [\"127.0.0.2/32\"]"), "{text}");
    assert!(text.contains("1 permissions, 1 channels"), "{text}");

    denied.send_to(b"x", client.relayed).unwrap();
    assert_eq!(client.receive(), None, "nothing comes from the denied peer");
    client.send(denied_at, b"x");
    assert!(receive(&denied, crate::turn_client::SILENCE).is_none(), "nothing goes to it");
    assert_eq!(client.permit(denied_at.ip()), Err(403));
    assert_eq!(client.bind_channel(0x4000, denied_at), Err(403));
    client.send(kept_at, b"on");
    assert_eq!(receive(&kept, SOON), Some((client.relayed, b"on".to_vec())));
}

#[test]
fn a_new_secret_issues_at_once_the_old_one_verifies_while_listed_and_live_calls_keep_theirs() {
    let daemon = Daemon::start(&config(""));
    let client = allocates(&daemon, issued(SECRET)).unwrap();
    assert_eq!(allocates(&daemon, issued(NEXT)).unwrap_err(), 401);

    let both = CONFIG.replace(&format!("\"{SECRET}\""), &format!("\"{NEXT}\", \"{SECRET}\""));
    let text = reload(&daemon, &config("").replace(CONFIG, &both));
    assert!(text.contains("auth.secrets: 1 secret -> 2 secrets"), "{text}");
    allocates(&daemon, issued(NEXT)).unwrap();
    allocates(&daemon, issued(SECRET)).unwrap();
    let (username, credential) = daemon.issue("carol");
    allocates(&daemon, (username, credential)).unwrap();

    let text = reload(&daemon, &config("").replace(SECRET, NEXT));
    assert!(!text.contains(NEXT) && !daemon.log().contains(NEXT), "{text}");
    allocates(&daemon, issued(NEXT)).unwrap();
    assert_eq!(allocates(&daemon, issued(SECRET)).unwrap_err(), 401);
    allocates(&daemon, daemon.issue("carol")).unwrap();
    let (code, by_hand, _) = daemon.command(&["credential", "--user", "dave", "--json"]);
    assert_eq!(code, Some(0));
    let by_hand: Value = serde_json::from_str(&by_hand).unwrap();
    let word = |key: &str| by_hand["credential"][key].as_str().unwrap().to_owned();
    allocates(&daemon, (word("username"), word("credential"))).unwrap();
    // The call that the old secret began refreshes and permits as before.
    client.permit("127.0.0.2".parse().unwrap()).unwrap();
    client.release().unwrap();
}

#[test]
fn usernames_as_coturn_takes_them_pass_from_one_reload_to_the_next() {
    let daemon = Daemon::start(&config(""));
    let credentials = ["1899999999", "bob:1899999999"].map(|name| (name.to_owned(), made(name)));
    let allocate = || credentials.clone().map(|one| allocates(&daemon, one).map(drop));
    assert_eq!(allocate(), [Err(401), Err(401)]);
    let text = reload(&daemon, &config("auth.rest_usernames = \"coturn\""));
    assert!(text.contains("auth.rest_usernames: \"strict\" -> \"coturn\""), "{text}");
    assert_eq!(allocate(), [Ok(()), Ok(())]);
    allocates(&daemon, issued(SECRET)).unwrap();
    reload(&daemon, &config(""));
    assert_eq!(allocate(), [Err(401), Err(401)]);
}

/// The password that a backend makes for a username.
fn made(username: &str) -> String {
    use base64::Engine;
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[test]
fn accounts_quotas_and_the_edge_follow_and_what_needs_a_restart_is_listed_each_time() {
    let daemon = Daemon::start(&config(""));
    let text = reload(
        &daemon,
        &config("realm = \"other\"\nadvertise = [\"127.0.0.1:9999\"]")
            .replace("alice:wonderland-17", "carol:correct-horse-9")
            .replace("quota.per_user = 4096", "quota.per_user = 1\nice.ttl = \"90s\"")
            .replace(
                "local_without_key = true",
                "local_without_key = true\n[log]\nlevel = \"error\"",
            ),
    );
    for line in [
        "  advertise: [] -> [\"127.0.0.1:9999\"]",
        "  auth.users: 1 account -> 1 account (others)",
        "  quota.per_user: 4096 -> 1",
        "  ice.ttl: \"12h\" -> \"90s\"",
        "  log.level: \"info\" -> \"error\"",
        "Needs a restart:\n  realm: \"turnbell\" -> \"other\"",
    ] {
        assert!(text.contains(line), "{line:?} is not in:\n{text}");
    }
    assert_eq!(TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap_err(), 401);
    let carol = || TurnClient::allocate(daemon.udp(), "carol", "correct-horse-9");
    let _first = carol().unwrap();
    assert_eq!(carol().unwrap_err(), 486);
    let (_, ice) = daemon.get("/ice");
    assert_eq!(ice["ttl"], 90);
    // What is in effect is compared, so the realm is told again and nothing else.
    let (_, text, _) = daemon.command(&["reload"]);
    assert!(text.contains("Needs a restart:\n  realm: "), "{text}");
    assert!(!text.contains("Applied"), "{text}");
    let text = reload(&daemon, &config(""));
    assert!(text.contains("quota.per_user: 1 -> 4096") && !text.contains("realm"), "{text}");
    // Two reloads said nothing in the log, the third is told again.
    daemon.wait_for_log("reloaded file=");
    assert_eq!(daemon.log().matches("reloaded file=").count(), 1, "{}", daemon.log());
}

#[test]
fn a_broken_file_changes_nothing_and_says_all_that_is_wrong() {
    let daemon = Daemon::start(&config(""));
    let broken = config("relam = \"x\"\ndeny_peers = [\"127.0.0.2\"]\nadvertise = [\"http://x\"]");
    write(&daemon, &broken);
    let (code, text, error) = daemon.command(&["reload"]);
    assert_eq!((code, &*text), (Some(1), ""), "{error}");
    for part in ["turnbell.toml:1: `relam`", "turnbell.toml:3: `advertise`", "nothing was changed"]
    {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("not reloaded: turnbell.toml:1: `relam`");
    daemon.wait_for_log("not reloaded: turnbell.toml:3: `advertise`");
    let client = TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap();
    client.permit("127.0.0.2".parse().unwrap()).unwrap();

    // Good to read, impossible on this machine: no part of it counts either.
    let impossible = config("deny_peers = [\"127.0.0.2\"]").replace(
        "relay_addresses = [\"127.0.0.1\", \"::1\"]",
        "relay_addresses = [\"198.51.100.77\"]",
    );
    write(&daemon, &impossible);
    let (code, text, error) = daemon.command(&["reload"]);
    assert_eq!((code, &*text), (Some(1), ""), "{error}");
    assert!(error.contains("198.51.100.77"), "{error}");
    client.permit("127.0.0.2".parse().unwrap()).unwrap();
}

#[test]
fn rows_written_after_a_reload_keep_as_much_of_an_address_as_the_new_config_says() {
    let daemon = Daemon::start(&config(""));
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap().release().unwrap();
    daemon.wait_for_rows(|rows| rows.len() == 1 && rows[0].client.starts_with("127.0.0.1:"));
    reload(&daemon, &config("record.addresses = \"prefix\""));
    TurnClient::allocate(daemon.udp(), USER, PASSWORD).unwrap().release().unwrap();
    daemon.wait_for_rows(|rows| rows.len() == 2 && rows[1].client == "127.0.0.0/24");
}

#[test]
fn a_copy_that_systemd_made_is_replaced_by_what_the_command_of_root_reads() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let copies = directory.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let text = config("").replace("\"state\"", &format!("{:?}", directory.path().join("state")));
    let text = text.replace("auth.secrets = [", "auth.secret_files = [\"shared\"]\n#");
    for directory in [directory.path(), &copies] {
        std::fs::write(directory.join("turnbell.toml"), &text).unwrap();
        std::fs::write(directory.join("shared"), SECRET).unwrap();
    }
    let daemon = Daemon::start_in(Arc::clone(&directory), |command| {
        command.args(["run", "--config"]).arg(copies.join("turnbell.toml"));
        command.env("CREDENTIALS_DIRECTORY", &copies);
    });
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("is systemd's copy of the config, made at start");
    daemon.wait_for_log("systemctl reload turnbell");

    std::fs::write(directory.path().join("shared"), NEXT).unwrap();
    let text = reload(&daemon, &text.replace("quota.per_user = 4096", "quota.per_user = 7"));
    assert!(text.starts_with("Read turnbell.toml.\n"), "{text}");
    assert!(text.contains("auth.secret_files: [\"shared\"] (1 secret) -> "), "{text}");
    assert!(text.contains("quota.per_user: 4096 -> 7"), "{text}");
    allocates(&daemon, issued(NEXT)).unwrap();
    assert_eq!(allocates(&daemon, issued(SECRET)).unwrap_err(), 401);
}

#[test]
fn without_a_daemon_there_is_nothing_to_reload() {
    let mut daemon = Daemon::start(CONFIG);
    daemon.terminate();
    let (code, text, error) = daemon.command(&["reload"]);
    assert_eq!((code, &*text), (Some(1), ""));
    assert_eq!(error, "turnbell: no turnbell runs on state, which turnbell.toml names\n");
}
