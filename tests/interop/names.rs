//! Names that lead nowhere, elsewhere or half way: `/etc/resolv.conf` of a mount namespace asks a name
//! server of the test's own in each network.

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::daemon::Daemon;
use crate::line::{BASE, HTTP, Line, SERVER, SERVER_6, admin_key};
use crate::network::{Network, in_own_network};
use crate::verify::Found;

const NAME: &str = "turn.example.org";
const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;

/// What it answers: addresses, or a code (RFC 1035 §4.1.1).
type Answers = Arc<Mutex<HashMap<&'static str, Result<Vec<IpAddr>, u8>>>>;

/// Starts a name server at port 53 of the loopback address; it ends with the process.
fn serve(network: &Network, answers: &Answers) {
    let (socket, answers) = (network.udp("127.0.0.1:53"), Arc::clone(answers));
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut question) {
            answer(&socket, &question[..count], &answers, from);
        }
    });
}

/// Answers a question for addresses of one family.
fn answer(socket: &UdpSocket, asked: &[u8], answers: &Answers, from: std::net::SocketAddr) {
    let mut labels = Vec::new();
    let mut at = 12;
    while asked[at] != 0 {
        let end = at + 1 + usize::from(asked[at]);
        labels.push(String::from_utf8_lossy(&asked[at + 1..end]).into_owned());
        at = end;
    }
    let (name, kind) = (labels.join("."), asked[at + 2]);
    let known = answers.lock().unwrap().get(name.as_str()).cloned().unwrap_or(Err(NO_SUCH_NAME));
    let (code, found) = known.map_or_else(|code| (code, Vec::new()), |found| (NO_ERROR, found));
    let mut records = Vec::new();
    let mut count = 0;
    for ip in found {
        let (of, bytes) = match ip {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (28, ip.octets().to_vec()),
        };
        if of == kind {
            records.extend([0xC0, 12, 0, of, 0, 1, 0, 0, 0, 60, 0, bytes.len() as u8]);
            records.extend(bytes);
            count += 1;
        }
    }
    let head = [asked[0], asked[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
    let message = [&head, &asked[12..at + 5], &records].concat();
    socket.send_to(&message, from).unwrap();
}

#[test] // P32
fn a_name_that_is_missing_wrong_or_half_broken_is_told_from_both_sides() {
    in_own_network(|| {
        let line = Line::new();
        let answers = Answers::default();
        for network in [&line.server, &line.client] {
            serve(network, &answers);
        }
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("resolv.conf");
        std::fs::write(&file, "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n").unwrap();
        let mount = ["--bind", file.to_str().unwrap(), "/etc/resolv.conf"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());

        let daemon = Daemon::start(&format!("advertise = [\"{NAME}\"]\n{BASE}{HTTP}"));
        let key = admin_key(&daemon);
        let url = format!("http://{SERVER}:8080");
        let ip = |text: &&str| text.parse::<IpAddr>().unwrap();
        let to = |all: &[&str]| Ok(all.iter().map(ip).collect());
        // What the machine itself says, and the other one afterwards. The other addresses are the
        // router's.
        for (leads, here, there) in [
            (Err(NO_SUCH_NAME), &["dns_missing"][..], &["dns_missing"][..]),
            (Err(SERVER_FAILURE), &["dns_no_answer"], &["dns_no_answer"]),
            (to(&["5.44.20.2"]), &["dns_wrong"], &["dns_wrong"]),
            (to(&[SERVER, "2a0e:44:20::2"]), &["ipv6_broken"], &["ipv6_broken"]),
            (
                to(&["127.0.1.1"]),
                &["not_proven_outside", "private_address", "works"],
                &["private_address"],
            ),
            (to(&["10.0.0.1"]), &["dns_wrong"], &["private_address"]),
            (to(&[SERVER, SERVER_6]), &["not_proven_outside", "works"], &["works"]),
        ] {
            answers.lock().unwrap().insert(NAME, leads.clone());
            Found::by(&daemon).check("", here);
            line.ask(&daemon, &url, &key, None).check("", there);
        }
    });
}
