//! `turnbell load` against a real coturn.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::coturn::missing;
use crate::daemon::{SECRET, eventually};
use crate::turn_client::receive;

/// A turnserver on a free port of 127.0.0.1 that knows a shared secret.
struct Coturn {
    child: Child,
    home: TempDir,
    at: SocketAddr,
}

impl Coturn {
    fn start() -> Self {
        for _ in 0..10 {
            let home = tempfile::tempdir().unwrap();
            let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let port = format!("--listening-port={}", at.port());
            let child = Command::new("turnserver")
                .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--realm=north.gov", &port])
                .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
                .args(["--allow-loopback-peers", "--use-auth-secret", "--log-file=log"])
                .args([&format!("--static-auth-secret={SECRET}"), "--pidfile=pid"])
                .current_dir(home.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| missing("turnserver", &error));
            let coturn = Self { child, home, at };
            if coturn.answers() {
                return coturn;
            }
        }
        panic!("turnserver does not answer");
    }

    fn answers(&self) -> bool {
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[0; 12]].concat();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let answer = || {
            socket.send_to(&request, self.at).unwrap();
            receive(&socket, Duration::from_millis(100))
        };
        eventually(answer).is_some()
    }

    fn load(&self, what: &str) -> (Option<i32>, Value, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_turnbell"))
            .arg("load")
            .args(what.split(' '))
            .args(["--json", "--pid", &self.child.id().to_string()])
            .current_dir(self.home.path())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report["load"].clone(), error)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_scenario_of_the_load_works_with_coturn() {
    let coturn = Coturn::start();
    let (udp, tcp) = (format!("turn:{}", coturn.at), format!("turn:{}?transport=tcp", coturn.at));
    let data = "data --clients 4 --seconds 1 --window 8";
    for (url, what) in [
        (&udp, format!("{data} --size 1200")),
        (&udp, format!("{data} --direction to-client --burst 4")),
        (&udp, format!("{data} --indications --size 33")),
        (&udp, format!("{data} --pair")),
        (&tcp, format!("{data} --burst 2 --size 45")),
        (&udp, "login --clients 20".to_owned()),
        (&udp, "allocate --clients 20".to_owned()),
        (&udp, "churn --clients 4 --seconds 1".to_owned()),
        (&udp, "stun --clients 4 --seconds 1 --window 4".to_owned()),
        (&udp, "idle --clients 4 --seconds 1".to_owned()),
    ] {
        let what = format!("{what} --url {url} --secret {SECRET}");
        let (code, report, error) = coturn.load(&what);
        assert_eq!(code, Some(0), "{what}: {error}");
        for count in ["lost", "reordered", "duplicated", "corrupted", "unverified"] {
            assert_eq!(report[count], 0, "{what}: {report}");
        }
        assert!(report["server"]["rss_bytes_after"].as_u64() > Some(1 << 20), "{report}");
        let is_idle = what.starts_with("idle");
        assert_eq!(report["measured"].as_u64() > Some(0), !is_idle, "{what}: {report}");
    }
    let wrong = format!("login --url {udp} --secret {SECRET}x");
    let (code, _, error) = coturn.load(&wrong);
    assert_eq!(code, Some(1));
    assert!(error.contains("Allocate was refused: 401"), "{error}");
}
