//! Three machines in a row for verifications: a server, a router, a client that verifies it from there.
//!
//! `5.44.x.x` and `2a0e:44::/32` are public to the policy; these networks reach nobody.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::network::Network;
use crate::verify::Found;

pub(crate) const SERVER: &str = "5.44.20.1";
pub(crate) const SERVER_6: &str = "2a0e:44:20::1";
pub(crate) const CLIENT: &str = "5.44.10.2";

/// What every daemon of these tests has; `[http]` is the last table.
pub(crate) const BASE: &str = r#"
state_directory = "state"
relay_ports = "50000-59999"
auth.secrets = ["tests-north-7f3a9c51e2d8b604"]
"#;
pub(crate) const HTTP: &str = r#"
[http]
listen = ["0.0.0.0:8080", "[::]:8080"]
local_without_key = true
"#;

pub(crate) struct Line {
    pub(crate) server: Network,
    pub(crate) router: Network,
    pub(crate) client: Network,
}

impl Line {
    /// The caller's network is the server's.
    pub(crate) fn new() -> Self {
        let (server, router, client) = (Network::here(), Network::new(), Network::new());
        let near = ["5.44.10.1/24", "2a0e:44:10::1/64"];
        router.cable("near", &near, &client, &["5.44.10.2/24", "2a0e:44:10::2/64"]);
        let far = ["5.44.20.2/24", "10.0.0.1/24", "2a0e:44:20::2/64"];
        router.cable("far", &far, &server, &["5.44.20.1/24", "2a0e:44:20::1/64"]);
        router.visit(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
        client.ip("route add default via 5.44.10.1");
        client.ip("-6 route add default via 2a0e:44:10::1");
        server.ip("route add default via 5.44.20.2");
        server.ip("-6 route add default via 2a0e:44:20::2");
        Self { server, router, client }
    }

    /// `turnbell verify URL` on the client, with a key that may know all and a root to trust.
    pub(crate) fn ask(
        &self,
        daemon: &Daemon,
        url: &str,
        key: &str,
        root: Option<&PathBuf>,
    ) -> Found {
        let ask = self.client.visit(|| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_turnbell"));
            command.args(["verify", url, "--key", key, "--json"]);
            if let Some(root) = root {
                command.env("SSL_CERT_FILE", root);
            }
            command.current_dir(daemon.directory().path()).output().unwrap()
        });
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Found::of((ask.status.code(), text(ask.stdout), text(ask.stderr)))
    }
}

/// A key for reports.
pub(crate) fn admin_key(daemon: &Daemon) -> String {
    let (_, text, _) = daemon.command(&["key", "add", "outside", "--scope", "admin", "--json"]);
    let key: Value = serde_json::from_str(&text).unwrap();
    key["key_added"]["key"].as_str().unwrap().to_owned()
}

/// Has nftables read this in a network, in place of what it had.
#[track_caller]
pub(crate) fn firewall(network: &Network, rules: &str) {
    let output = network.visit(|| {
        let script = "PATH=$PATH:/usr/sbin:/sbin; exec nft \"flush ruleset; $0\"";
        Command::new("sh").args(["-c", script, rules]).output().unwrap()
    });
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{rules}: {error}(`nft` is in Debian's nftables)");
}

/// One chain of a table of its own, with these rules.
pub(crate) fn filter(hook: &str, rules: &[&str]) -> String {
    let rules = rules.iter().map(|rule| format!("add rule inet f {hook} {rule}; "));
    format!(
        "add table inet f; add chain inet f {hook} {{ type filter hook {hook} priority 0; }}; {}",
        rules.collect::<String>()
    )
}
