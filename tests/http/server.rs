//! A server on a free port, and a client that sends bytes as they are given.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turnbell::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope};
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::{IssuedNames, UserHash};
use turnbell::edge::api_keys::ApiKeys;
use turnbell::edge::ice::{IceOptions, Issuance};
use turnbell::edge::ice_urls::{RelayListener, UrlSources, UrlTransport};
use turnbell::edge::json::{Health, RecordHealth, RelayHealth};
use turnbell::edge::{self, Edge, Options};

pub(crate) const SECRET: &str = "north";
/// The key that every test server knows.
pub(crate) const KEY: &str = "tbk_test";
/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) keys: Arc<ApiKeys>,
    pub(crate) issued: Arc<Mutex<Vec<Issuance>>>,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) names: Arc<IssuedNames>,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

/// The embedded default of a daemon whose relay is open on port 3478 of everything.
pub(crate) fn options() -> Options {
    let any =
        |text: &str| RelayListener { transport: UrlTransport::Udp, addr: text.parse().unwrap() };
    let ice = IceOptions {
        secret: Secret::new(SECRET.into()),
        issued: Arc::new(IssuedNames::new("turnbell")),
        ttl_default: Duration::from_secs(3600),
        urls: UrlSources {
            relay_addresses: vec!["192.0.2.7".parse().unwrap()],
            listeners: vec![any("0.0.0.0:3478"), any("[::]:3478")],
            ..UrlSources::default()
        },
        relay_only: false,
        stun: false,
        foreign: Vec::new(),
    };
    Options::local(ice).expect("entropy")
}

/// A free port whose queue holds every connection that a test opens at once.
fn listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(2048).unwrap();
    socket.into()
}

impl Server {
    pub(crate) fn start(options: Options) -> Self {
        let listener = listener();
        let addr = listener.local_addr().unwrap();
        let keys = Arc::new(ApiKeys::default());
        keys.insert(ApiKeyHash::of(KEY), "k1", KeyGrant::of(KeyScope::Admin)).unwrap();
        let issued = Arc::new(Mutex::new(Vec::new()));
        let health = Arc::new(Mutex::new(Health {
            ok: true,
            draining: false,
            relay: RelayHealth { shards: 1, shards_alive: 1, allocations: 0 },
            record: RecordHealth { ok: true, problem: None, dropped: 0 },
            tls: None,
            external: Vec::new(),
            issuers: Vec::new(),
            proxies: None,
            verified: Vec::new(),
            quotas: None,
        }));
        let names = options.ice.issued.clone();
        let (issued_in, health_in) = (issued.clone(), health.clone());
        let edge = Edge::new(
            options,
            keys.clone(),
            Arc::new(move |issuance| issued_in.lock().unwrap().push(issuance)),
            Arc::new(move || health_in.lock().unwrap().clone()),
            Arc::new(|format, _, _| format!("{format:?}\n")),
        );
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (_, nothing_handed) = tokio::sync::mpsc::channel(1);
        let serving = runtime.spawn(edge::serve(vec![listener], nothing_handed, edge, async {
            let _ = stopped.await;
        }));
        let (runtime, stop, serving) = (Some(runtime), Some(stop), Some(serving));
        Self { addr, keys, issued, health, names, runtime, stop, serving }
    }

    pub(crate) fn local() -> Self {
        Self::start(options())
    }

    /// What `/healthz` tells those who may know.
    pub(crate) fn health(&self) -> Value {
        let answer = self.ask("GET /healthz", &[("Authorization", "Bearer tbk_test")]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Whether the relay recognises this username by its hash.
    pub(crate) fn recognises(&self, username: &str) -> bool {
        let hash = UserHash::of(username.as_bytes(), b"turnbell");
        self.names.name(&hash).as_deref() == Some(username)
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken on drop alone")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses early may close before everything is written.
        let _ = stream.write_all(bytes);
        Answer::read(&mut stream)
    }

    /// `line` is method and target; Host is `localhost` unless `headers` has one.
    pub(crate) fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_with_body(line, headers, "")
    }

    pub(crate) fn ask_with_body(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut text = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(format!("{text}\r\n{body}").as_bytes())
    }

    /// Ends the server as the daemon does; the listener is closed afterwards.
    pub(crate) fn stop(&mut self) {
        let (Some(stop), Some(serving)) = (self.stop.take(), self.serving.take()) else { return };
        let _ = stop.send(());
        self.runtime()
            .block_on(async { tokio::time::timeout(PATIENCE, serving).await })
            .expect("stops in time")
            .expect("does not panic")
            .expect("took its listener");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What came back until the server closed.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Status 0: closed without an answer.
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(why) if why.kind() == ErrorKind::ConnectionReset => {}
            Err(why) => panic!("no end of the answer: {why}; so far {bytes:?}"),
        }
        let text = String::from_utf8(bytes).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_eq!(text, "");
            return Self { status: 0, headers: Vec::new(), body: String::new() };
        };
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// Checks that this is a refusal in the one form that refusals have.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        let error = json["error"].as_object().expect("an object named error");
        assert_eq!(json.as_object().unwrap().len(), 1);
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        for (name, value) in error {
            assert!(["code", "message", "field", "hint"].contains(&name.as_str()), "{name}");
            assert!(value.is_string(), "{name}");
        }
        assert_eq!(self.header("cache-control"), Some("no-store"));
        Value::Object(error.clone())
    }
}
