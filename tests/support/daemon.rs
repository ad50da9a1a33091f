//! The real binary in a directory of its own: started, asked, ended by pid, its log read as it comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;
use turnbell::time::Now;

/// No start, answer or end may take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// The shared secret of [`CONFIG`].
pub(crate) const SECRET: &str = "tests-north-7f3a9c51e2d8b604";
/// The static account of [`CONFIG`].
pub(crate) const USER: &str = "alice";
/// Her password.
pub(crate) const PASSWORD: &str = "wonderland-17";

/// Loopback only, free ports, one secret, one account. The first lines may be added to, the last
/// table is `[http]`.
pub(crate) const CONFIG: &str = r#"
state_directory = "state"
listen = ["127.0.0.1:0", "[::1]:0"]
listen_tcp = ["127.0.0.1:0", "[::1]:0"]
relay_addresses = ["127.0.0.1", "::1"]
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
auth.users = ["alice:wonderland-17"]
quota.per_user = 4096
http.listen = ["127.0.0.1:0"]
http.local_without_key = true
"#;

/// Where the state lies without a config file, and with [`CONFIG`].
const STATES: [&str; 2] = ["turnbell-data", "state"];

/// A daemon that ends with this value. Its log must be free of panics.
pub(crate) struct Daemon {
    directory: Arc<TempDir>,
    child: Child,
    output: Output,
    udp: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    http: Vec<SocketAddr>,
}

/// One allocation of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) username: String,
    pub(crate) client: String,
    pub(crate) relayed: String,
    pub(crate) end_reason: Option<String>,
    /// Packets, bytes.
    pub(crate) to_peers: (i64, i64),
    /// Packets, bytes.
    pub(crate) to_client: (i64, i64),
}

impl Daemon {
    /// Starts with this text as its `turnbell.toml` and waits until every port answers.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |_| {})
    }

    /// Starts; `prepare` may add to the command.
    pub(crate) fn start_with(config: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
        Self::start_in(directory, prepare)
    }

    /// Starts without any file: the built-in default, state in `turnbell-data`.
    pub(crate) fn start_embedded() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), |_| {})
    }

    /// Starts in a directory as it is. `prepare` may add to the command.
    pub(crate) fn start_in(directory: Arc<TempDir>, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut daemon = Self::launch(directory, prepare);
        daemon.wait_until_open();
        daemon
    }

    /// Starts and does not wait for anything.
    pub(crate) fn launch(directory: Arc<TempDir>, prepare: impl FnOnce(&mut Command)) -> Self {
        let [udp, tcp, tls, http] = [const { Vec::new() }; 4];
        for state in STATES {
            // Of a run that was killed; this one would remove it a moment later.
            let _ = std::fs::remove_file(directory.path().join(state).join("addresses.json"));
        }
        let (child, output) = spawn(directory.path(), prepare);
        Self { directory, child, output, udp, tcp, tls, http }
    }

    /// Waits until it has written down where it listens.
    #[track_caller]
    pub(crate) fn wait_until_open(&mut self) {
        let file = self.state().join("addresses.json");
        let text = self.output.wait_for(|_| std::fs::read_to_string(&file).ok());
        let Some(text) = text else { panic!("the daemon did not start:\n{}", self.log()) };
        let json: Value = serde_json::from_str(&text).unwrap();
        let list = |key: &str| {
            let addresses = json[key].as_array().unwrap().iter();
            addresses.map(|address| address.as_str().unwrap().parse().unwrap()).collect()
        };
        [self.udp, self.tcp, self.tls, self.http] = ["udp", "tcp", "tls", "http"].map(list);
    }

    /// Its directory, to start another one in.
    pub(crate) fn directory(&self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// Its state directory.
    pub(crate) fn state(&self) -> PathBuf {
        let given = self.directory.path().join("turnbell.toml").exists();
        self.directory.path().join(STATES[usize::from(given)])
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// The first UDP listener.
    pub(crate) fn udp(&self) -> SocketAddr {
        self.udp[0]
    }

    /// All of them.
    pub(crate) fn udp_all(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// The first TCP listener for TURN.
    pub(crate) fn tcp(&self) -> SocketAddr {
        self.tcp[0]
    }

    /// The first TLS listener.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls[0]
    }

    /// The first one over IPv6.
    pub(crate) fn tls6(&self) -> SocketAddr {
        *self.tls.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }

    /// The first one over IPv6.
    pub(crate) fn tcp6(&self) -> SocketAddr {
        *self.tcp.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }

    /// The first IPv6 listener.
    pub(crate) fn udp6(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }

    /// Everything it printed so far.
    pub(crate) fn log(&self) -> String {
        self.output.text()
    }

    /// Waits until it prints something with `word`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, word: &str) {
        let found = self.output.wait_for(|text| text.contains(word).then_some(()));
        assert!(found.is_some(), "{word:?} is not in the log:\n{}", self.log());
    }

    /// The first HTTP listener.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http[0]
    }

    /// A request from this machine.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        get(self.http[0], path)
    }

    /// A request with an API key.
    pub(crate) fn get_with_key(&self, path: &str, key: &str) -> (u16, Value) {
        get_with(self.http[0], path, &format!("Authorization: Bearer {key}\r\n"))
    }

    /// Username and credential that it hands out.
    pub(crate) fn issue(&self, user: &str) -> (String, String) {
        let (status, config) = self.get(&format!("/ice?user={user}"));
        assert_eq!(status, 200, "{config}");
        let servers = config["iceServers"].as_array().unwrap();
        let turn = servers.iter().find(|server| server["username"].is_string()).unwrap();
        let text = |key: &str| turn[key].as_str().unwrap().to_owned();
        (text("username"), text("credential"))
    }

    /// Runs one command of the binary in its directory; says exit code, stdout and stderr.
    pub(crate) fn command(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_turnbell"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("STATE_DIRECTORY")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What `/healthz` says of the record: whether it is well, what is wrong, rows lost.
    pub(crate) fn record_health(&self) -> (bool, String, u64) {
        let (status, health) = self.get("/healthz");
        assert_eq!((status, &health["ok"]), (200, &Value::Bool(true)), "{health}");
        let record = &health["record"];
        let problem = record["problem"].as_str().unwrap_or_default().to_owned();
        (record["ok"].as_bool().unwrap(), problem, record["dropped"].as_u64().unwrap())
    }

    /// One sample of `/metrics`, by its name with labels.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let (status, text) = fetch(self.http[0], "/metrics", "");
        assert_eq!(status, 200, "{text}");
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{sample}:\n{text}"))
    }

    /// The allocations in the record, oldest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        rows(&self.state())
    }

    /// Waits until the record has the rows that `wanted` is content with.
    #[track_caller]
    pub(crate) fn wait_for_rows(&self, wanted: impl Fn(&[Row]) -> bool) -> Vec<Row> {
        let mut last = Vec::new();
        eventually(|| {
            last = self.rows();
            wanted(&last).then_some(())
        })
        .unwrap_or_else(|| panic!("the record has:\n{last:#?}\nlog:\n{}", self.log()));
        last
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        assert!(self.output.wait_for_end(), "it does not end:\n{}", self.log());
        self.child.wait().unwrap()
    }

    /// SIGTERM, and the end that must follow.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_for_end()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the daemon:\n{}---", self.log());
        } else {
            assert!(!self.log().contains("panicked"), "the daemon panicked:\n{}", self.log());
        }
    }
}

/// Starts a daemon that must refuse to; returns its exit code and what it said.
pub(crate) fn refused(directory: &Path) -> (Option<i32>, String) {
    let (mut child, output) = spawn(directory, |_| {});
    if !output.wait_for_end() {
        let _ = child.kill();
    }
    (child.wait().unwrap().code(), output.text())
}

/// The allocations in the record of a state directory, oldest first.
pub(crate) fn rows(state: &Path) -> Vec<Row> {
    let connection = record(state);
    let mut select = connection
        .prepare(
            "SELECT username, client, relayed, end_reason, packets_to_peers, bytes_to_peers,
                    packets_to_client, bytes_to_client
             FROM allocations ORDER BY run, number",
        )
        .unwrap();
    let rows = select.query_map([], |row| {
        Ok(Row {
            username: row.get(0)?,
            client: row.get(1)?,
            relayed: row.get(2)?,
            end_reason: row.get(3)?,
            to_peers: (row.get(4)?, row.get(5)?),
            to_client: (row.get(6)?, row.get(7)?),
        })
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// The record, for reading.
pub(crate) fn record(state: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(state.join("turnbell.db"), flags).unwrap()
}

/// One GET over a connection of its own.
pub(crate) fn get(http: SocketAddr, path: &str) -> (u16, Value) {
    get_with(http, path, "")
}

/// `headers` are whole lines.
fn get_with(http: SocketAddr, path: &str, headers: &str) -> (u16, Value) {
    let (status, body) = fetch(http, path, headers);
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// The same for an answer that is no JSON.
fn fetch(http: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&http, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = format!("Host: localhost:{}\r\n", http.port());
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Asks again and again, until there is an answer or [`PATIENCE`] is over.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Now::read().mono + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Now::read().mono >= deadline {
            return None;
        }
        // What is asked has no event to wait for: a row, a file, a number under /proc.
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn spawn(directory: &Path, prepare: impl FnOnce(&mut Command)) -> (Child, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnbell"));
    command.current_dir(directory).stdin(Stdio::null());
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY"] {
        command.env_remove(variable);
    }
    prepare(&mut command);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = Output::default();
    output.collect(child.stdout.take().expect("it is piped"));
    output.collect(child.stderr.take().expect("it is piped"));
    (child, output)
}

/// What a process prints on both of its streams.
#[derive(Default, Clone)]
struct Output(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    open_streams: usize,
}

impl Output {
    fn collect(&self, mut stream: impl Read + Send + 'static) {
        self.0.0.lock().unwrap().open_streams += 1;
        let shared = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                shared.0.lock().unwrap().bytes.extend_from_slice(&buffer[..count]);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().open_streams -= 1;
            shared.1.notify_all();
        });
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// Asks whenever something was printed, and now and then; `None` at the end or out of patience.
    fn wait_for<T>(&self, ask: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Now::read().mono + PATIENCE;
        let mut printed = self.0.0.lock().unwrap();
        loop {
            if let Some(answer) = ask(&String::from_utf8_lossy(&printed.bytes)) {
                return Some(answer);
            }
            if printed.open_streams == 0 || Now::read().mono >= deadline {
                return None;
            }
            printed = self.0.1.wait_timeout(printed, Duration::from_millis(20)).unwrap().0;
        }
    }

    /// Both streams are closed, as they are when the process has ended.
    fn wait_for_end(&self) -> bool {
        let printed = self.0.0.lock().unwrap();
        let open = |printed: &mut Printed| printed.open_streams > 0;
        let (_printed, waited) = self.0.1.wait_timeout_while(printed, PATIENCE, open).unwrap();
        !waited.timed_out()
    }
}
