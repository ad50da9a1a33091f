//! Servers that are set up well, in many ways: not one warning, here or from outside (P32).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::daemon::{Daemon, SECRET, eventually};
use crate::line::{BASE, CLIENT, HTTP, Line, SERVER, SERVER_6, admin_key};
use crate::network::in_own_network;
use crate::verify::{Authority, Found};

const NAME: &str = "turn.example.org";

#[test] // P6, P32
fn ten_servers_that_are_set_up_well_get_no_warning() {
    in_own_network(|| {
        let line = Line::new();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("hosts");
        std::fs::write(&file, format!("{SERVER} {NAME}\n{SERVER_6} {NAME}\n")).unwrap();
        let mount = ["--bind", file.to_str().unwrap(), "/etc/hosts"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let _coturn = crate::foreign::Coturn::at(
            &line.client,
            3478,
            &["--use-auth-secret", &format!("--static-auth-secret={SECRET}"), "--realm=south"],
        );
        let coturn = format!(
            "[[ice.server]]\nurls = [\"turn:{CLIENT}:3478?transport=udp\", \
             \"turn:{CLIENT}:3478?transport=tcp\"]\nsecret = \"{SECRET}\"\n"
        );
        let named = format!("advertise = [\"{NAME}\"]\n");
        let tls = format!("{named}tls.cert = \"cert.pem\"\ntls.key = \"key.pem\"\n");
        let here = |line: &str| (line.to_owned(), String::new());
        // Lines before the tables, and after them.
        for (lines, tables) in [
            (String::new(), String::new()),
            here(&named),
            here("relay_addresses = [\"5.44.20.1\"]\nlisten = [\"0.0.0.0:3478\"]\nlisten_tcp = []"),
            here(&format!(
                "relay_addresses = [\"{SERVER_6}\"]\nlisten = [\"[::]:3478\"]\n\
                 listen_tcp = [\"[::]:3478\"]\ndefault_relay_family = \"client\""
            )),
            here(&tls),
            here(&format!(
                "{tls}listen = [\"0.0.0.0:40000\", \"[::]:40000\"]\n\
                 listen_tcp = [\"0.0.0.0:40000\", \"[::]:40000\"]\n\
                 listen_tls = [\"0.0.0.0:443\", \"[::]:443\"]"
            )),
            here("auth.users = [\"alice:wonderland-17\"]\nauth.expiry = \"strict\""),
            (String::new(), "[verify]\nevery = \"off\"\n".to_owned()),
            (named.clone(), "[ice]\npolicy = \"relay\"\nstun = false\nttl = \"60s\"\n".to_owned()),
            (String::new(), coturn),
            (
                "rate.per_allocation = [\"10Mbit\"]\nquota.per_user = 8\ncarry_tos = \"on\""
                    .to_owned(),
                "[record]\naddresses = \"none\"\n[metrics]\ncoturn_names = true\n".to_owned(),
            ),
        ] {
            let config = format!("{lines}\n{BASE}{HTTP}{tables}");
            let authority = Authority::new("north");
            let daemon = started(&config, &authority);
            let found = Found::by(&daemon);
            assert_eq!(found.codes(""), ["not_proven_outside", "works"], "{lines}{tables}");
            let (key, root) = (admin_key(&daemon), authority.root());
            for from in [SERVER.to_owned(), format!("[{SERVER_6}]")] {
                let url = format!("http://{from}:8080");
                let found = line.ask(&daemon, &url, &key, Some(&root));
                assert_eq!(found.codes(""), ["works"], "{lines}{tables}{:#}", found.report);
            }
            // The reports are on record in a moment.
            let proven = eventually(|| (Found::by(&daemon).codes("") == ["works"]).then_some(()));
            assert!(proven.is_some(), "{lines}{tables}");
        }
    });
}

#[test]
fn a_machine_that_has_no_way_into_ipv6_does_not_blame_the_server() {
    in_own_network(|| {
        let line = Line::new();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("hosts");
        std::fs::write(&file, format!("{SERVER} {NAME}\n{SERVER_6} {NAME}\n")).unwrap();
        let mount = ["--bind", file.to_str().unwrap(), "/etc/hosts"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let daemon = Daemon::start(&format!("advertise = [\"{NAME}\"]\n{BASE}{HTTP}"));
        let key = admin_key(&daemon);
        // It keeps an address, as a laptop does whose router has no IPv6.
        line.client.ip("-6 route del default");
        let found = line.ask(&daemon, &format!("http://{SERVER}:8080"), &key, None);
        assert_eq!((found.code, found.verdict()), (Some(0), "note"), "{:#}", found.report);
        found.check("", &["family_not_tested", "works"]);
    });
}

/// With a certificate in its directory, wanted or not.
fn started(config: &str, authority: &Authority) -> Daemon {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let write = |path: &Path| authority.write(path, &[NAME], 2020..2100);
    write(home.path());
    std::fs::write(home.path().join("turnbell.toml"), config).unwrap();
    let root = authority.root();
    Daemon::start_in(home, |command| {
        command.env("SSL_CERT_FILE", root);
    })
}
