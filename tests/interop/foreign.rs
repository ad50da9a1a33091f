//! Real coturns, set up as people set them up wrongly, as foreign servers in `/ice`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use turnbell::wire::message::{Class, Method, TransactionId};
use turnbell::wire::writer::MessageWriter;

use crate::daemon::{Daemon, SECRET, eventually};
use crate::line::{BASE, CLIENT, HTTP, Line};
use crate::network::{Network, in_own_network};
use crate::turn_client::receive;
use crate::verify::Found;

/// A coturn in a network of its own, which ends with this value.
pub(crate) struct Coturn {
    child: Child,
    _home: TempDir,
}

impl Coturn {
    /// Listens on the client's address of a line, whose network that is.
    pub(crate) fn at(network: &Network, port: u16, words: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = network.visit(|| {
            Command::new("turnserver")
                .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout"])
                .args(["--relay-threads=1", "--listening-ip", CLIENT])
                .arg(format!("--listening-port={port}"))
                .arg(format!("--userdb={}", home.path().join("db").display()))
                .arg(format!("--pidfile={}", home.path().join("pid").display()))
                .args(words)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("turnserver is in Debian's coturn")
        });
        // A full pipe would hold it up.
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().for_each(drop));
        let coturn = Self { child, _home: home };
        // One or the other may be switched off.
        let ask = |method| {
            let id = TransactionId([7; 12]);
            let writer = MessageWriter::new(Class::Request, method, id);
            let transport = turnbell::wire::attribute::AttributeType::REQUESTED_TRANSPORT;
            writer.u32(transport, 17 << 24).finish(None, true)
        };
        let questions = [ask(Method::BINDING), ask(Method::ALLOCATE)];
        let socket = network.udp(&format!("{CLIENT}:0"));
        let answers = eventually(|| {
            for question in &questions {
                // Nobody may listen yet.
                let _ = socket.send_to(question, (CLIENT, port));
            }
            receive(&socket, Duration::from_millis(200))
        });
        assert!(answers.is_some(), "turnserver {words:?} does not answer");
        coturn
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test] // P32, P12
fn a_coturn_that_is_set_up_wrongly_is_told_by_what_is_wrong_with_it() {
    in_own_network(|| {
        let line = Line::new();
        let secret = format!("--static-auth-secret={SECRET}");
        let login = ["--use-auth-secret", &*secret];
        let realm = [&login[..], &["--realm=south"]].concat();
        let relay = "--relay-ip=5.44.10.2";
        let with = |words: &[&'static str]| [&realm[..], words].concat();
        let cases = [
            (with(&[relay]), &[][..]),
            (with(&[relay, "--no-stun"]), &[]),
            (with(&[relay, "--no-udp-relay"]), &["relaying_off"]),
            (with(&["--relay-ip=127.0.0.1"]), &["relay_address_private"]),
            (with(&[relay, "--external-ip=5.44.77.7"]), &["external_address_stale"]),
            (with(&[relay, "--total-quota=1"]), &["quota_reached"]),
            (with(&[relay, "--min-port=50000", "--max-port=50000"]), &["capacity_reached"]),
            (with(&[relay, "--denied-peer-ip=5.44.10.2"]), &["peer_refused"]),
            (with(&[relay, "--alternate-server=5.44.66.6:3478"]), &["redirected"]),
            (vec![relay, "--realm=south", "--no-auth"], &["open_relay"]),
            ([&login[..], &[relay]].concat(), &["realm_unknown"]),
            (vec!["--stun-only"], &["allocate_unanswered"]),
        ];
        let ports = 3501_u16..;
        // They start beside each other: none of them is quick.
        let coturns: Vec<_> = std::thread::scope(|scope| {
            let client = &line.client;
            let starts = ports.clone().zip(&cases);
            let starts = starts
                .map(|(port, (words, _))| scope.spawn(move || Coturn::at(client, port, words)));
            let starts: Vec<_> = starts.collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let entries = ports.clone().zip(&cases).map(|(port, _)| {
            let url = format!("turn:{CLIENT}:{port}?transport=udp");
            format!("[[ice.server]]\nurls = [\"{url}\"]\nsecret = \"{SECRET}\"\n")
        });
        let config = format!("{BASE}{HTTP}{}", entries.collect::<String>());
        let found = Found::by(&Daemon::start(&config));
        for (port, (words, codes)) in ports.zip(&cases) {
            assert_eq!(
                found.codes(&format!("{CLIENT}:{port}")),
                *codes,
                "{words:?}: {:#}",
                found.report
            );
        }
        drop(coturns);
    });
}
