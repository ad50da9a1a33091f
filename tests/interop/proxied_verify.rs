//! `turnbell verify https://...` through proxies: good ones, and those that break calls (P13, P32).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::daemon::Daemon;
use crate::network::{Network, in_own_network};
use crate::proxies::{BOTH, Kind, NAME, Proxy, SERVER, clients, key, snippet};
use crate::verify::Found;

const RELAY: &str = r#"
state_directory = "state"
listen_tcp = []
relay_addresses = ["198.51.100.1"]
relay_ports = "50000-59999"
advertise = ["turn.example.org"]
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
"#;

fn ask(clients: &Network, daemon: &Daemon, url: &str, key: &str, root: &std::path::Path) -> Found {
    let output = clients.visit(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnbell"));
        command.args(["verify", url, "--key", key, "--json"]).env("SSL_CERT_FILE", root);
        command.current_dir(daemon.directory().path()).output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Found::of((output.status.code(), text(output.stdout), text(output.stderr)))
}

/// Something in front of the daemon that passes heads on, and nothing behind an upgrade. It ends with
/// the process.
fn holding_proxy() {
    let listener = TcpListener::bind((SERVER, 8088)).unwrap();
    let pass = |mut client: TcpStream| {
        let mut daemon = TcpStream::connect("127.0.0.1:8080").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if client.read(&mut byte).unwrap_or(0) == 0 {
                return;
            }
            head.push(byte[0]);
        }
        daemon.write_all(&head).unwrap();
        let is_upgrade =
            String::from_utf8_lossy(&head).to_lowercase().contains("upgrade: websocket");
        let (mut from_client, mut to_daemon) =
            (client.try_clone().unwrap(), daemon.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut swallowed = Vec::new();
            // Its body; after an upgrade what comes is held until the end.
            let _ = match is_upgrade {
                true => from_client.read_to_end(&mut swallowed),
                false => {
                    std::io::copy(&mut from_client, &mut to_daemon).map(|count| count as usize)
                }
            };
        });
        let _ = std::io::copy(&mut daemon, &mut client);
    };
    std::thread::spawn(move || {
        for client in listener.incoming() {
            std::thread::spawn(move || pass(client.unwrap()));
        }
    });
}

#[test]
fn a_proxy_that_breaks_calls_is_named_by_who_verifies_through_it_and_a_good_one_is_not() {
    in_own_network(|| {
        let clients = clients();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("hosts");
        std::fs::write(&file, format!("127.0.0.1 localhost\n{SERVER} {NAME}\n")).unwrap();
        let mount = ["--bind", file.to_str().unwrap(), "/etc/hosts"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());

        let daemon = Daemon::start(&format!("{RELAY}{}", snippet("toml")));
        let bearer = key(&daemon);
        let key = bearer.strip_prefix("Bearer ").unwrap();
        let url = format!("https://{NAME}");
        for kind in BOTH {
            let proxy = Proxy::start(kind, |lines| lines);
            let found = ask(&clients, &daemon, &url, key, &proxy.root);
            // The clients are in a network that nobody relays to, which harms nobody else.
            assert_eq!((found.code, found.verdict()), (Some(0), "note"), "{kind:?}");
            assert_eq!(found.codes(""), ["peer_refused", "works"], "{kind:?}: {:#}", found.report);
        }
        let without = |words: &'static str| {
            move |lines: String| {
                let kept = lines.lines().filter(|line| !line.contains(words));
                kept.fold(String::new(), |text, line| text + line + "\n")
            }
        };
        let proxy = Proxy::start(Kind::Nginx, without("pgrade"));
        let found = ask(&clients, &daemon, &url, key, &proxy.root);
        assert_eq!(
            (found.code, found.codes("")),
            (Some(1), vec!["peer_refused", "upgrades_stripped"])
        );
        drop(proxy);
        let proxy = Proxy::start(Kind::Nginx, |lines| lines.replace("location /", "location /ice"));
        let found = ask(&clients, &daemon, &url, key, &proxy.root);
        assert_eq!(
            (found.code, found.codes("")),
            (Some(1), vec!["peer_refused", "upgrades_stripped"])
        );
        assert!(found.said.contains("the address of calls"), "{}", found.said);
        drop(proxy);
        let authorization = "proxy_set_header Authorization \"\";\nproxy_set_header Host";
        let proxy =
            Proxy::start(Kind::Nginx, |l| l.replace("proxy_set_header Host", authorization));
        let found = ask(&clients, &daemon, &url, key, &proxy.root);
        assert_eq!(found.code, Some(2));
        assert!(found.said.contains("takes the Authorization header off"), "{}", found.said);
        drop(proxy);

        holding_proxy();
        let root = home.path().join("none");
        let found = ask(&clients, &daemon, &format!("http://{SERVER}:8088"), key, &root);
        assert_eq!(
            (found.code, found.codes("")),
            (Some(1), vec!["peer_refused", "proxy_buffers"]),
            "{}",
            found.said
        );

        // Nothing behind it.
        drop(daemon);
        let elsewhere = Daemon::start(&format!("{RELAY}[http]\nlisten = [\"127.0.0.1:8081\"]\n"));
        let proxy = Proxy::start(Kind::Caddy, |lines| lines);
        let found = ask(&clients, &elsewhere, &url, key, &proxy.root);
        assert_eq!(found.code, Some(2), "{}", found.said);
        assert!(found.said.contains("answers 502: a proxy is there"), "{}", found.said);
    });
}
