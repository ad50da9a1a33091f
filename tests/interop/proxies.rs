//! Behind Debian's nginx and caddy, with the very lines that the README gives (P13).
//!
//! The server has its own network: its proxy listens on 443, the daemon on 127.0.0.1:8080. Two clients
//! are at the other end of a cable.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::daemon::{Daemon, eventually, record};
use crate::network::{Network, in_own_network};
use crate::web::{Answer, Web};

const README: &str = include_str!("../../README.md");
pub(crate) const NAME: &str = "turn.example.org";
pub(crate) const SERVER: &str = "198.51.100.1";
const CLIENT: &str = "198.51.100.9";
const OTHER: &str = "198.51.100.10";

/// Loopback and free ports for all but HTTP.
const BASE: &str = r#"
state_directory = "state"
listen = ["127.0.0.1:0"]
listen_tcp = []
relay_addresses = ["127.0.0.1"]
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
}

/// The block of the README's section in this language.
pub(crate) fn snippet(language: &str) -> &'static str {
    let (_, section) = README.split_once("\n## Behind nginx or Caddy\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("sections behind it");
    let (_, block) = section.split_once(&format!("```{language}\n")).expect("the block");
    block.split_once("```").expect("its end").0
}

/// A proxy in the network of the caller; it ends with this value.
pub(crate) struct Proxy {
    directory: TempDir,
    child: Child,
    /// Whoever signed its certificate.
    pub(crate) root: PathBuf,
}

impl Proxy {
    /// With the README's lines, changed by `change`.
    pub(crate) fn start(kind: Kind, change: impl Fn(String) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (mut command, root) = match kind {
            Kind::Nginx => {
                write_pair(directory.path());
                let folder = format!("/etc/letsencrypt/live/{NAME}");
                let lines = change(snippet("nginx").to_owned());
                let lines = lines.replace(&folder, &directory.path().display().to_string());
                (nginx(directory.path(), &lines), at("fullchain.pem"))
            }
            Kind::Caddy => {
                // No authority outside is asked for a certificate.
                let lines = change(snippet("caddyfile").to_owned());
                let text = format!("{{\nlocal_certs\nskip_install_trust\n}}\n{lines}");
                std::fs::write(at("Caddyfile"), text).unwrap();
                let mut command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(at("Caddyfile"));
                (command, at("caddy/pki/authorities/local/root.crt"))
            }
        };
        for variable in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(variable, directory.path());
        }
        let log = std::fs::File::create(at("log")).unwrap();
        command.current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let why = "nginx and caddy are in Debian's packages of the same name";
        let child = command.spawn().expect(why);
        let mut proxy = Self { directory, child, root };
        // Its certificate comes last.
        let serves = |proxy: &Self| {
            Web::try_tls(SERVER, &format!("{SERVER}:443"), NAME, &proxy.root).is_ok()
        };
        let open = eventually(|| {
            let ended = proxy.child.try_wait().unwrap().is_some();
            (ended || serves(&proxy)).then_some(!ended)
        });
        assert_eq!(open, Some(true), "no proxy:\n{}", proxy.log());
        proxy
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn connect(&self, from: &str) -> Web {
        Web::tls(from, &format!("{SERVER}:443"), NAME, &self.root)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the proxy:\n{}---", self.log());
        }
    }
}

fn write_pair(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("fullchain.pem"), cert.pem()).unwrap();
    std::fs::write(directory.join("privkey.pem"), key.serialize_pem()).unwrap();
}

/// One process, so that ending it ends all; what it keeps lies in the directory.
fn nginx(directory: &Path, server: &str) -> Command {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {}/{name};\n", directory.display()));
    let text = format!(
        "user root; daemon off; master_process off; pid {0}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{1}{server}}}\n",
        directory.display(),
        temp.concat()
    );
    std::fs::write(directory.join("nginx.conf"), text).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(directory).args(["-c", "nginx.conf"]);
    // It is not on everybody's path.
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

/// The network that the clients are in.
pub(crate) fn clients() -> Network {
    let clients = Network::new();
    let address = |ip: &str| format!("{ip}/24");
    let (one, other) = (address(CLIENT), address(OTHER));
    Network::here().cable("eth0", &[&address(SERVER)], &clients, &[&one, &other]);
    clients
}

/// With the README's table and what a test adds to it.
fn daemon(lines: &str) -> Daemon {
    Daemon::start(&config(snippet("toml"), lines))
}

fn config(table: &str, lines: &str) -> String {
    format!("{BASE}{table}{lines}")
}

pub(crate) fn key(daemon: &Daemon) -> String {
    let (code, text, error) =
        daemon.command(&["key", "add", "proxied", "--scope", "ice,log", "--json"]);
    assert_eq!((code, &*error), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    format!("Bearer {}", json["key_added"]["key"].as_str().unwrap())
}

/// From where the credential of `user` was asked for, once it is on record.
fn client_of(daemon: &Daemon, user: &str) -> Option<String> {
    let row = || {
        let record = record(&daemon.state());
        let select = "SELECT client FROM credentials_issued WHERE user = ?1";
        record.query_row(select, [user], |row| row.get::<_, Option<String>>(0)).ok()
    };
    eventually(row).unwrap_or_else(|| panic!("{user} is not on record"))
}

pub(crate) const BOTH: [Kind; 2] = [Kind::Nginx, Kind::Caddy];

#[test]
fn through_both_proxies_the_client_is_the_one_at_the_other_end_whatever_it_says() {
    in_own_network(|| {
        let clients = clients();
        let daemon = daemon("cors_origins = [\"https://app.example.org\"]\n");
        let key = key(&daemon);
        for kind in BOTH {
            let proxy = Proxy::start(kind, |lines| lines);
            clients.visit(|| {
                let mut web = proxy.connect(CLIENT);
                let bearer = ("Authorization", &*key);
                for (number, forged) in [
                    &[][..],
                    &[("X-Forwarded-For", "127.0.0.1")],
                    &[
                        ("X-Forwarded-For", "203.0.113.5, 127.0.0.1"),
                        ("X-Forwarded-For", "unknown"),
                    ],
                    &[("Forwarded", "for=127.0.0.1"), ("X-Real-IP", "127.0.0.1")],
                    &[("Forwarded", "for=\"open")],
                ]
                .into_iter()
                .enumerate()
                {
                    let user = format!("{kind:?}{number}");
                    let headers = [&[("Host", NAME), bearer], forged].concat();
                    let answer = web.ask(&format!("GET /ice?user={user}"), &headers, "");
                    assert_eq!(answer.status, 200, "{answer:?}");
                    assert!(answer.json()["iceServers"].is_array());
                    let client = client_of(&daemon, &user);
                    assert_eq!(client.as_deref(), Some(CLIENT), "{kind:?} {forged:?}");
                }
                check_bodies(&mut web, bearer);
                check_preflight(&mut web);
                let page = web.ask("GET /", &[("Host", NAME)], "");
                assert!(page.status == 200 && page.body.contains("components.js"), "{page:?}");
                check_websocket(web);
            });
        }
    });
}

/// What is no frame of ours is closed with 4010: frames pass both ways.
fn check_websocket(mut web: Web) {
    let origin = format!("https://{NAME}");
    let headers = [
        ("Host", NAME),
        ("Origin", &*origin),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "turnbell.v1"),
    ];
    let answer = web.ask("GET /v1/ws", &headers, "");
    assert_eq!(answer.status, 101, "{answer:?}");
    // One text frame, masked with zeros (RFC 6455 §5.3).
    web.send(b"\x81\x84\0\0\0\0what");
    let close = web.bytes(4);
    assert_eq!((close[0], &close[2..]), (0x88, &4010_u16.to_be_bytes()[..]), "{close:?}");
}

fn check_bodies(web: &mut Web, bearer: (&str, &str)) {
    let headers = [("Host", NAME), ("Content-Type", "application/json"), bearer];
    let body = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
    assert_eq!(web.ask("POST /ice", &headers, &body(4096)).status, 200);
    let answer = web.ask("POST /ice", &headers, &body(500_000));
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(answer.json()["error"]["code"], "body_too_large");
    assert_eq!(web.ask("POST /ice", &headers, "{}").status, 200, "the connection goes on");
}

fn check_preflight(web: &mut Web) {
    let ask = |web: &mut Web, origin| {
        let asks = ("Access-Control-Request-Headers", "authorization");
        let method = ("Access-Control-Request-Method", "GET");
        web.ask("OPTIONS /ice", &[("Host", NAME), ("Origin", origin), method, asks], "")
    };
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    let listed = ask(web, "https://app.example.org");
    assert_eq!(listed.status, 200, "{listed:?}");
    assert_eq!(allowed(&listed).as_deref(), Some("https://app.example.org"));
    assert_eq!(allowed(&ask(web, "https://evil.example")), None);
}

#[test]
fn who_is_refused_too_often_behind_a_proxy_is_bounded_and_nobody_else_behind_it() {
    in_own_network(|| {
        let clients = clients();
        let daemon = daemon("");
        let key = key(&daemon);
        for kind in BOTH {
            let proxy = Proxy::start(kind, |lines| lines);
            clients.visit(|| {
                let ask = |web: &mut Web, key: &str| {
                    web.ask("GET /ice", &[("Host", NAME), ("Authorization", key)], "").status
                };
                // All of it over one connection.
                let mut web = proxy.connect(CLIENT);
                let first = (0..5000).find(|_| ask(&mut web, "Bearer tbk_wrong") == 429);
                assert!(first.is_some(), "no bound");
                let mut other = proxy.connect(OTHER);
                assert_eq!(ask(&mut other, "Bearer tbk_wrong"), 401, "{kind:?}");
                assert_eq!(ask(&mut web, &key), 200, "a valid key");
            });
        }
    });
}

#[test]
fn a_proxy_that_is_not_listed_is_not_believed_and_one_line_and_a_reload_change_that() {
    in_own_network(|| {
        let clients = clients();
        let listed = config(snippet("toml"), "");
        let table: String = listed
            .lines()
            .filter(|line| !line.starts_with("trusted_proxies"))
            .fold(String::new(), |text, line| text + line + "\n");
        let daemon = Daemon::start(&table);
        let key = key(&daemon);
        for kind in BOTH {
            std::fs::write(daemon.directory().path().join("turnbell.toml"), &table).unwrap();
            daemon.command(&["reload"]);
            let proxy = Proxy::start(kind, |lines| lines);
            let ask = |user: &str| {
                clients.visit(|| {
                    let mut web = proxy.connect(CLIENT);
                    let headers = [("Host", NAME), ("Authorization", &*key)];
                    assert_eq!(web.ask(&format!("GET /ice?user={user}"), &headers, "").status, 200);
                    web.ask("GET /healthz", &headers, "").json()
                })
            };
            let health = ask(&format!("{kind:?}-before"));
            assert_eq!(
                client_of(&daemon, &format!("{kind:?}-before")).as_deref(),
                Some("127.0.0.1")
            );
            let hint = health["proxies"]["hint"].as_str().unwrap();
            assert!(hint.contains("trusted_proxies = [\"127.0.0.1\"]"), "{hint}");
            let (_, status, _) = daemon.command(&["status"]);
            assert!(status.contains(hint), "{status}");

            std::fs::write(daemon.directory().path().join("turnbell.toml"), &listed).unwrap();
            let (code, text, _) = daemon.command(&["reload"]);
            assert_eq!(code, Some(0), "{text}");
            assert!(
                text.contains("http.trusted_proxies: [] -> [\"127.0.0.1/32\", \"::1/128\"]"),
                "{text}"
            );
            assert!(!text.contains("Needs a restart"), "{text}");
            let health = ask(&format!("{kind:?}-after"));
            assert_eq!(client_of(&daemon, &format!("{kind:?}-after")).as_deref(), Some(CLIENT));
            assert_eq!(health.get("proxies"), None);
        }
        let told = daemon.log().matches("a forwarding header from 127.0.0.1 is ignored").count();
        assert_eq!(told, 1, "{}", daemon.log());
    });
}

/// Without the two lines that name the client, as in a hundred tutorials.
fn silent(lines: String) -> String {
    let kept = lines.lines().filter(|line| !line.contains("proxy_set_header"));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn through_a_proxy_that_says_nothing_nobody_outside_is_local() {
    in_own_network(|| {
        let clients = clients();
        let refused = |proxy: &Proxy, why: &str| {
            clients.visit(|| {
                for host in [NAME, "localhost", "127.0.0.1:8080"] {
                    let forged = ("X-Forwarded-For", "unknown");
                    for headers in [&[("Host", host)][..], &[("Host", host), forged]] {
                        let answer = proxy.connect(CLIENT).ask("GET /ice", headers, "");
                        assert_eq!(answer.status, 401, "{why}: {headers:?} {answer:?}");
                    }
                }
            });
        };
        // The built-in default, and nginx as it speaks when it is told nothing: HTTP/1.0.
        let daemon = Daemon::start_embedded();
        assert_eq!(daemon.get("/ice").0, 200);
        let old =
            Proxy::start(Kind::Nginx, |lines| silent(lines).replace("proxy_http_version 1.1;", ""));
        refused(&old, "embedded");
        drop((daemon, old));
        // HTTP/1.1 cannot be told from a program of this machine. A config file asks all for a key.
        let proxy = Proxy::start(Kind::Nginx, silent);
        let daemon = Daemon::start(&config("[http]\nlisten = [\"127.0.0.1:8080\"]\n", ""));
        refused(&proxy, "a config file");
        drop(daemon);
        // Where somebody switched that off, listing the proxy is enough.
        let daemon = self::daemon("local_without_key = true\n");
        refused(&proxy, "listed");
        drop(daemon);
    });
}

#[test]
fn a_client_of_the_proxy_that_is_on_the_server_itself_is_local() {
    in_own_network(|| {
        let clients = clients();
        let daemon = daemon("local_without_key = true\n");
        let proxy = Proxy::start(Kind::Nginx, |lines| lines);
        let mut here = Web::tls("127.0.0.1", "127.0.0.1:443", NAME, &proxy.root);
        let local = here.ask("GET /ice", &[("Host", "localhost")], "");
        assert_eq!(local.status, 200, "{local:?}");
        assert_eq!(here.ask("GET /ice", &[("Host", NAME)], "").status, 401);
        clients.visit(|| {
            let mut web = proxy.connect(CLIENT);
            for forged in ["127.0.0.1", "::1", "127.0.0.1, 127.0.0.1"] {
                let headers = [("Host", "localhost"), ("X-Forwarded-For", forged)];
                assert_eq!(web.ask("GET /ice", &headers, "").status, 401, "{forged}");
            }
        });
        drop(daemon);
    });
}

#[test]
fn under_a_prefix_both_proxies_serve_all_of_it_and_nothing_else() {
    in_own_network(|| {
        let clients = clients();
        let daemon = daemon("base_path = \"/turnbell\"\n");
        for kind in BOTH {
            let proxy = Proxy::start(kind, |lines| {
                let below = lines.replace("location / {", "location /turnbell {");
                below.replace("reverse_proxy ", "reverse_proxy /turnbell* ")
            });
            clients.visit(|| {
                let mut web = proxy.connect(CLIENT);
                let mut ask = |path: &str| web.ask(&format!("GET {path}"), &[("Host", NAME)], "");
                let page = ask("/turnbell/");
                assert!(page.status == 200 && page.body.contains("\"client/"), "{page:?}");
                assert_eq!(ask("/turnbell/client/turnbell.js").status, 200);
                assert_eq!(ask("/turnbell/healthz").json(), serde_json::json!({"ok": true}));
                assert_eq!(ask("/turnbell/ice").status, 401);
                let bare = ask("/turnbell?x=1");
                assert_eq!((bare.status, bare.header("location")), (307, Some("turnbell/?x=1")));
                assert!(!ask("/ice").body.contains("iceServers"));
                assert_eq!(ask("/turnbellx").status, 404);
            });
        }
        let mut direct = Web::plain("127.0.0.1", "127.0.0.1:8080");
        assert_eq!(direct.ask("GET /healthz", &[("Host", "localhost")], "").status, 404);
        drop(daemon);
    });
}
