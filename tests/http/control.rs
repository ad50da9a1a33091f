//! The control socket: the command line's way to the daemon, and what bad lines get.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turnbell::edge::commands::{Commands, Issuer, Running};
use turnbell::edge::control::{ControlError, ControlSocket, call};
use turnbell::edge::control_json::{LogWord, Relayed, Request, Response, Session};
use turnbell::edge::diagnostics::Diagnosing;
use turnbell::edge::identity::IdentityOptions;
use turnbell::edge::key_json::KeyWanted;
use turnbell::edge::revoke::Told;
use turnbell::edge::snapshot::Snapshot;
use turnbell::edge::verification::Verifications;
use turnbell::edge::verify_links::ShownLink;
use turnbell::store::{AddressPrivacy, Entry, Options, Store, WriterHandle};
use turnbell::time::Now;
use turnbell::turn::allocation::AllocationView;
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};
use turnbell::turn::five_tuple::FiveTuple;

use crate::server::{Server, options};

const TRAFFIC: Traffic = Traffic {
    packets_to_peers: 1,
    bytes_to_peers: 200,
    packets_to_client: 3,
    bytes_to_client: 400,
};

/// A daemon's HTTP side and control socket over one record.
struct Daemon {
    http: Server,
    store: Store,
    record: Option<WriterHandle>,
    live: Arc<Mutex<Option<Vec<AllocationView>>>>,
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
    _directory: TempDir,
}

fn store_options(directory: &TempDir) -> Options {
    Options {
        directory: directory.path().to_owned(),
        retention_days: 0,
        bytes_max: 0,
        addresses: AddressPrivacy::Full,
        version: "test",
    }
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, record) = Store::open(store_options(&directory));
        let http = Server::local();
        let live = Arc::new(Mutex::new(Some(Vec::new())));
        let path = directory.path().join("control.sock");
        let (live_in, health) = (live.clone(), http.health.clone());
        let commands = Arc::new(Commands {
            store: store.clone(),
            issuer: Some(Arc::new(Snapshot::new(issuer()))),
            identity: Some(Arc::new(|| IdentityOptions::none().expect("entropy"))),
            daemon: Some(Running {
                keys: http.keys.clone(),
                issued: http.names.clone(),
                live: Arc::new(move || live_in.lock().unwrap().clone()),
                health: Arc::new(move || health.lock().unwrap().clone()),
                tell: Arc::new(|_| Told::Done(0)),
                revoked: Arc::default(),
                end_sessions: Arc::new(|_, _| true),
                reload: Arc::new(|_| Err("not of this test".to_owned())),
                drain: Arc::new(|limit| Ok(limit.as_secs())),
                explain_peer: Arc::new(|_, _| panic!("not of this test")),
                verifications: Verifications::new(
                    Box::new(|| Box::pin(async { Err("not of this test".to_owned()) })),
                    store.clone(),
                    http.runtime().handle().clone(),
                ),
                config: Arc::new(|| panic!("not of this test")),
                diagnosing: Arc::new(Diagnosing::new(Arc::new(|_, _| panic!("not of this test")))),
                shown_link: ShownLink::default(),
            }),
        });
        let socket = ControlSocket::bind(&path).unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = http.runtime().spawn(socket.serve(commands, async {
            let _ = stopped.await;
        }));
        let (record, stop, serving) = (Some(record), Some(stop), Some(serving));
        Self { http, store, record, live, path, stop, serving, _directory: directory }
    }

    #[track_caller]
    fn ask(&self, request: Request) -> Response {
        call(&self.path, &request).unwrap()
    }

    /// Sends bytes as they are; what comes back until the end.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut text = Vec::new();
        match stream.read_to_end(&mut text) {
            Ok(_) => {}
            // How it ends where the server did not read everything; the answer came before.
            Err(why) if why.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(why) => panic!("{why}; so far {text:?}"),
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until everything handed to the record is stored.
    fn settle(&self) {
        let deadline = Now::read().mono + Duration::from_secs(10);
        while self.store.health().queued > 0 {
            assert!(Now::read().mono < deadline, "the record does not settle");
            std::thread::yield_now();
        }
    }

    fn stop(&mut self) {
        let (Some(stop), Some(serving)) = (self.stop.take(), self.serving.take()) else { return };
        let _ = stop.send(());
        self.http.runtime().block_on(serving).unwrap().unwrap();
        if let Some(record) = self.record.take() {
            record.close();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn issuer() -> Issuer {
    let ice = options().ice;
    Issuer { secret: ice.secret, ttl_default: ice.ttl_default, urls: ice.urls }
}

#[track_caller]
fn error_code(response: &Response) -> String {
    let Response::Error(error) = response else { panic!("{response:?}") };
    assert!(!error.message.is_empty());
    error.code.to_string()
}

fn add_key(name: &str) -> Request {
    Request::KeyAdd(KeyWanted { name: name.to_owned(), ..KeyWanted::default() })
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[test]
fn a_key_made_by_a_command_works_at_once_until_a_command_ends_it() {
    let daemon = Daemon::start();
    let Response::KeyAdded { id, name, key, .. } = daemon.ask(add_key("shop")) else { panic!() };
    assert_eq!(name, "shop");
    assert!(key.starts_with("tbk_"));
    let ask = || daemon.http.ask("GET /ice", &[("Authorization", &bearer(&key))]).status;
    assert_eq!(ask(), 200);

    let listed = daemon.ask(Request::KeyList {});
    assert!(!format!("{listed:?}").contains(&key), "the list shows a key's text");
    let Response::Keys(keys) = listed else { panic!() };
    assert_eq!((keys.len(), &keys[0].id, keys[0].revoked_at), (1, &id, None));

    let again = daemon.ask(add_key("shop"));
    assert_eq!(error_code(&again), "bad_request");
    let other = daemon.ask(Request::KeyRevoke { key: "other".into() });
    assert_eq!(error_code(&other), "no_such_key");
    assert_eq!(ask(), 200);
    let revoked = daemon.ask(Request::KeyRevoke { key: "shop".into() });
    assert_eq!(revoked, Response::KeyRevoked { id, name: "shop".into() });
    assert_eq!(ask(), 401);
    let twice = daemon.ask(Request::KeyRevoke { key: "shop".into() });
    assert_eq!(error_code(&twice), "no_such_key");
    let Response::Keys(keys) = daemon.ask(Request::KeyList {}) else { panic!() };
    assert!(keys[0].revoked_at.is_some());
}

#[test]
fn a_key_can_be_revoked_by_its_id_and_by_its_leaked_text() {
    let daemon = Daemon::start();
    for by_id in [true, false] {
        let added = daemon.ask(add_key("n"));
        let Response::KeyAdded { id, key, .. } = added else { panic!("{added:?}") };
        let wanted = if by_id { id } else { key.clone() };
        assert!(matches!(
            daemon.ask(Request::KeyRevoke { key: wanted }),
            Response::KeyRevoked { .. }
        ));
        let answer = daemon.http.ask("GET /ice", &[("Authorization", &bearer(&key))]);
        assert_eq!(answer.status, 401);
    }
}

#[test]
fn a_name_of_a_key_is_1_to_128_printable_bytes() {
    let daemon = Daemon::start();
    let add = |name: String| daemon.ask(add_key(&name));
    for bad in [String::new(), "x".repeat(129), "a\nb".into(), "\u{1b}[2J".into()] {
        let Response::Error(error) = add(bad) else { panic!() };
        assert_eq!(error.field.as_deref(), Some("name"));
    }
    assert!(matches!(add("x".repeat(128)), Response::KeyAdded { .. }));
}

#[test]
fn a_key_that_could_not_be_stored_opens_nothing_and_a_revoked_one_opens_nothing_more() {
    let mut daemon = Daemon::start();
    let added = daemon.ask(add_key("shop"));
    let Response::KeyAdded { key, .. } = added else { panic!("{added:?}") };
    daemon.record.take().unwrap().close();
    let refused = daemon.ask(add_key("late"));
    assert_eq!(error_code(&refused), "store_unavailable");
    let ask = || daemon.http.ask("GET /ice", &[("Authorization", &bearer(&key))]).status;
    assert_eq!(ask(), 200, "keys go on without the record");
    let revoked = daemon.ask(Request::KeyRevoke { key: "shop".into() });
    assert_eq!(error_code(&revoked), "not_recorded");
    assert_eq!(ask(), 401);
}

fn view(number: u64, user: &str) -> AllocationView {
    AllocationView {
        number: AllocationNumber(number),
        user: user.into(),
        tuple: FiveTuple::udp("192.0.2.1:5000".parse().unwrap(), "192.0.2.7:3478".parse().unwrap()),
        relayed: "192.0.2.7:50000".parse().unwrap(),
        relayed_other: Some("[2001:db8::7]:50001".parse().unwrap()),
        opened_at_unix_ms: 1_800_000_000_000,
        expires_in_s: 599,
        traffic: TRAFFIC,
    }
}

fn opened(number: u64, user: &str) -> Entry {
    let view = view(number, user);
    Entry::Relay(Fact::AllocationOpened {
        number: view.number,
        at_unix_ms: view.opened_at_unix_ms,
        user: user.into(),
        username: format!("1:{user}").into(),
        client: view.tuple.client,
        server: view.tuple.server,
        transport: view.tuple.transport,
        relayed: view.relayed,
        relayed_other: view.relayed_other,
        lifetime_s: 600,
    })
}

fn closed(number: u64) -> Entry {
    Entry::Relay(Fact::AllocationClosed {
        number: AllocationNumber(number),
        at_unix_ms: 1_800_000_001_000,
        reason: EndReason::Client,
        traffic: TRAFFIC,
    })
}

#[track_caller]
fn sessions(response: Response) -> Vec<Session> {
    let Response::Sessions(sessions) = response else { panic!("{response:?}") };
    sessions
}

#[test]
fn sessions_are_the_live_ones_with_their_counters_or_all_with_their_ends() {
    let daemon = Daemon::start();
    for entry in [opened(1, "ann"), closed(1), opened(2, "bob"), opened(3, "ann")] {
        daemon.store.record(entry);
    }
    daemon.settle();
    *daemon.live.lock().unwrap() = Some(vec![view(2, "bob"), view(3, "ann")]);
    let ask = |user: Option<&str>, all, limit| {
        let user = user.map(ToOwned::to_owned);
        sessions(daemon.ask(Request::Sessions { user, all, limit }))
    };
    let numbers = |sessions: Vec<Session>| sessions.iter().map(|s| s.number).collect::<Vec<_>>();

    assert_eq!(
        ask(Some("bob"), false, None),
        [Session {
            number: 2,
            user: "bob".into(),
            client: Some("192.0.2.1:5000".into()),
            server: "192.0.2.7:3478".into(),
            transport: "udp".into(),
            relayed: "192.0.2.7:50000".into(),
            relayed_other: Some("[2001:db8::7]:50001".into()),
            opened_at: 1_800_000_000_000,
            ended_at: None,
            end_reason: None,
            expires_in_s: Some(599),
            traffic: Some(Relayed {
                packets_to_peers: 1,
                bytes_to_peers: 200,
                packets_to_client: 3,
                bytes_to_client: 400,
            }),
        }]
    );
    assert_eq!(numbers(ask(None, false, None)), [3, 2]);
    assert_eq!(numbers(ask(None, false, Some(1))), [3]);
    assert_eq!(numbers(ask(None, true, None)), [3, 2, 1]);
    let ann = ask(Some("ann"), true, None);
    assert_eq!(ann[0].expires_in_s, Some(599), "a live one on record shows its counters");
    assert_eq!(ann[1].end_reason.as_deref(), Some("client"));
    assert_eq!(ann[1].traffic.unwrap().bytes_to_client, 400);

    // A relay that does not answer in time: the record knows what is open, not its bytes.
    *daemon.live.lock().unwrap() = None;
    let open = ask(None, false, None);
    assert!(open.iter().all(|session| session.traffic.is_none()));
    assert_eq!(numbers(open), [3, 2]);
}

#[test]
fn the_log_holds_a_credential_issued_by_hand_and_filters_by_user_kind_and_time() {
    let daemon = Daemon::start();
    let before = Now::read().unix_ms;
    let issued = daemon.ask(Request::Credential { user: Some("bob".into()), ttl: Some(60) });
    let Response::Credential { urls, username, credential, ttl, expires_at } = issued else {
        panic!("{issued:?}")
    };
    assert_eq!(urls, ["turn:192.0.2.7:3478?transport=udp"]);
    assert_eq!(username, format!("{expires_at}:bob"));
    assert_eq!((credential.len(), ttl), (28, 60));
    assert!(daemon.http.recognises(&username), "RFC 8489 §14.4: by its hash");
    daemon.store.record(opened(1, "ann"));
    daemon.settle();

    let log = |user: Option<&str>, kind: Option<&str>, since_at| {
        let (user, kind) = (user.map(ToOwned::to_owned), kind.map(ToOwned::to_owned));
        let response = daemon.ask(Request::Log { user, kind, since_at, limit: None });
        let Response::Log(lines) = response else { panic!("{response:?}") };
        lines.into_iter().map(|line| line.event).collect::<Vec<_>>()
    };
    let credential = LogWord::Credential {
        user: "bob".into(),
        username,
        expires_at,
        ttl: 60,
        by: "command".into(),
        key: None,
        client: None,
    };
    assert_eq!(log(Some("bob"), None, Some(before)), std::slice::from_ref(&credential));
    assert_eq!(log(None, Some("credential"), None), [credential]);
    assert!(matches!(log(Some("ann"), None, None)[..], [LogWord::Opened(_)]));
    assert_eq!(log(Some("bob"), Some("opened"), None), []);
    assert!(matches!(log(None, Some("run"), None)[..], [LogWord::RunStarted { .. }]));
    let unknown =
        Request::Log { user: None, kind: Some("nonsense".into()), since_at: None, limit: None };
    let Response::Error(error) = daemon.ask(unknown) else { panic!() };
    assert_eq!(error.field.as_deref(), Some("kind"));
}

#[test]
fn a_credential_by_hand_obeys_the_same_limits_as_ice() {
    let daemon = Daemon::start();
    let ask = |user: &str, ttl| daemon.ask(Request::Credential { user: Some(user.into()), ttl });
    assert!(matches!(ask("a", Some(86400)), Response::Credential { .. }));
    for (user, ttl, field) in [
        ("a", Some(86401), "ttl"),
        ("a", Some(59), "ttl"),
        ("a/b", None, "user"),
        ("", None, "user"),
    ] {
        let Response::Error(error) = ask(user, ttl) else { panic!("{user} {ttl:?}") };
        assert_eq!(error.field.as_deref(), Some(field));
    }
}

#[test]
fn status_is_what_healthz_knows() {
    let daemon = Daemon::start();
    daemon.http.health.lock().unwrap().record.problem = Some("the disk is full".into());
    let Response::Status(health) = daemon.ask(Request::Status {}) else { panic!() };
    assert_eq!(health, *daemon.http.health.lock().unwrap());
}

#[test]
fn a_line_that_is_no_request_gets_an_error_and_the_next_one_its_answer() {
    let daemon = Daemon::start();
    let long = format!("{{\"cmd\":\"key_add\",\"name\":\"{}\"}}\n", "x".repeat(16 * 1024));
    for bad in [
        "\n",
        "nonsense\n",
        "{}\n",
        "[]\n",
        "{\"cmd\":\"reboot\"}\n",
        "{\"cmd\":\"key_add\"}\n",
        "{\"cmd\":\"key_add\",\"name\":1}\n",
        "{\"cmd\":\"key_list\",\"nmae\":\"x\"}\n",
        "{\"cmd\":\"key_list\"}",
        "",
        &long,
        "\u{0}\u{1}\n",
    ] {
        let text = daemon.raw(bad.as_bytes());
        let response: Response = serde_json::from_str(&text).unwrap_or_else(|why| {
            panic!("{why}: {bad:.40} was answered {text:?}");
        });
        assert_eq!(error_code(&response), "bad_request", "{bad:.40}");
    }
    assert_eq!(daemon.raw(b"{\"cmd\":\"key_list\"}\n"), "{\"keys\":[]}\n");
}

#[test]
fn idle_connections_do_not_keep_a_command_out_for_ever_once_they_end() {
    let daemon = Daemon::start();
    let idle: Vec<_> = (0..16).map(|_| UnixStream::connect(&daemon.path).unwrap()).collect();
    let path = daemon.path.clone();
    let asking = std::thread::spawn(move || call(&path, &Request::KeyList {}));
    drop(idle);
    assert!(matches!(asking.join().unwrap(), Ok(Response::Keys(_))));
}

#[test]
fn the_socket_is_its_owners_alone_replaces_a_dead_one_and_goes_with_the_daemon() {
    let mut daemon = Daemon::start();
    let mode = std::fs::metadata(&daemon.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    daemon.stop();
    assert!(!daemon.path.exists());
    let path = daemon.path.clone();
    let none = call(&path, &Request::KeyList {});
    assert!(matches!(none, Err(ControlError::NotRunning(_))), "{none:?}");

    // What a crash leaves: a socket file nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let dead = call(&path, &Request::KeyList {});
    assert!(matches!(dead, Err(ControlError::NotRunning(_))), "{dead:?}");
    drop(ControlSocket::bind(&path).unwrap());
    assert!(!path.exists());

    std::fs::write(&path, "a file").unwrap();
    let in_the_way = ControlSocket::bind(&path);
    assert!(matches!(in_the_way, Err(ControlError::InTheWay(_))), "{in_the_way:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[test]
fn without_a_daemon_the_same_commands_work_on_the_record() {
    let directory = tempfile::tempdir().unwrap();
    let (store, record) = Store::open_for_commands(store_options(&directory)).unwrap();
    let commands = Commands {
        store,
        issuer: Some(Arc::new(Snapshot::new(issuer()))),
        identity: None,
        daemon: None,
    };
    let execute = |request| commands.execute(Now::read(), request);
    let added = execute(add_key("shop"));
    assert!(matches!(added, Response::KeyAdded { .. }), "{added:?}");
    let Response::Keys(keys) = execute(Request::KeyList {}) else { panic!() };
    assert_eq!(keys.len(), 1);
    assert!(
        sessions(execute(Request::Sessions { user: None, all: false, limit: None })).is_empty()
    );
    assert_eq!(error_code(&execute(Request::Status {})), "not_running");
    let revoked = execute(Request::KeyRevoke { key: "shop".into() });
    assert!(matches!(revoked, Response::KeyRevoked { .. }), "{revoked:?}");
    record.close();
}
