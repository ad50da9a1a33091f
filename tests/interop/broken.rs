//! What admins break, made for real around the real daemon: firewalls, addresses, NATs, ports. `turnbell
//! verify` names the cause, from the machine itself and from another one.

use crate::daemon::{Daemon, eventually};
use crate::line::{BASE, HTTP, Line, SERVER, admin_key, filter, firewall};
use crate::network::in_own_network;
use crate::verify::Found;

const FROM_OUTSIDE: &str = "http://5.44.20.1:8080";

/// The cause of the first verdict of this code.
#[track_caller]
fn cause<'a>(found: &'a Found, code: &str) -> &'a str {
    let mut verdicts = found.report["verdicts"].as_array().unwrap().iter();
    let verdict = verdicts.find(|verdict| verdict["code"] == code);
    verdict.unwrap_or_else(|| panic!("{code}: {:#}", found.report))["cause"].as_str().unwrap()
}

/// All codes, each once.
fn codes(found: &Found) -> Vec<&str> {
    let mut codes = found.codes("");
    codes.dedup();
    codes
}

#[test] // P32
fn a_firewall_that_rejects_or_lets_half_of_it_through_is_named_wherever_it_stands() {
    in_own_network(|| {
        let line = Line::new();
        let daemon = Daemon::start(&format!("{BASE}{HTTP}"));
        let key = admin_key(&daemon);
        let ask = || line.ask(&daemon, FROM_OUTSIDE, &key, None);
        let on_server = |rules: &[&str]| firewall(&line.server, &filter("input", rules));
        let both = "meta l4proto { tcp, udp } th dport 3478";
        for (rules, wanted, words) in [
            (&["iif far udp dport 3478 reject"][..], "udp_blocked", "is rejected on the way"),
            (&["iif far tcp dport 3478 reject with tcp reset"], "tcp_blocked", "rejected"),
            (
                &[&*format!("iif far {both} reject with icmp type admin-prohibited")],
                "outside_blocked",
                "works on the server itself",
            ),
            (&["iif far udp dport 50000-59999 reject"], "relay_blocked", "from here arrives at"),
        ] {
            on_server(rules);
            let found = ask();
            assert_eq!((found.code, codes(&found)), (Some(1), vec![wanted]), "{rules:?}");
            assert!(cause(&found, wanted).contains(words), "{:#}", found.report);
        }
        // A tunnel on the way that is narrower than anybody says.
        firewall(&line.router, &filter("forward", &["meta l4proto udp meta length > 1000 drop"]));
        firewall(&line.server, "");
        assert_eq!(codes(&ask()), ["large_lost"]);
        firewall(&line.router, "");
        // What the server may not send by itself.
        firewall(&line.server, &filter("output", &["oif far udp sport 50000-59999 drop"]));
        let found = ask();
        assert_eq!(codes(&found), ["relay_blocked"], "{:#}", found.report);
        assert!(cause(&found, "relay_blocked").contains("do not arrive here"));
        // The usual one, which lets answers in: a peer that was permitted and spoken to first.
        let stateful =
            ["ct state established,related accept", "iif far udp dport 50000-59999 drop"];
        on_server(&stateful);
        assert_eq!(codes(&ask()), ["works"]);
        // The one of the machine that asks says nothing about the server.
        firewall(&line.server, "");
        firewall(&line.client, &filter("output", &["ip protocol udp drop"]));
        let found = ask();
        assert_eq!((found.code, codes(&found)), (Some(1), vec!["udp_blocked"]));
        assert!(cause(&found, "udp_blocked").contains("this machine itself lets no UDP out"));
    });
}

#[test] // P32
fn addresses_and_ports_that_cannot_be_used_are_named_on_the_machine_itself() {
    in_own_network(|| {
        let line = Line::new();
        let daemon = Daemon::start(&format!(
            "listen = [\"127.0.0.1:3478\"]\nlisten_tcp = [\"127.0.0.1:3478\"]\n\
             advertise = [\"{SERVER}\"]\n{BASE}{HTTP}"
        ));
        let found = Found::by(&daemon);
        found.check("", &["nothing_handed_out"]);
        let why = "`listen` listens on loopback only, where 5.44.20.1 does not lead";
        assert!(cause(&found, "nothing_handed_out").contains(why), "{:#}", found.report);
        drop(daemon);

        line.server.ip("address add 5.44.20.7/24 dev far");
        let daemon = Daemon::start(&format!(
            "relay_addresses = [\"5.44.20.7\"]\nadvertise = [\"{SERVER}\"]\n{BASE}{HTTP}"
        ));
        line.server.ip("address del 5.44.20.7/24 dev far");
        let found = Found::by(&daemon);
        assert_eq!((found.code, codes(&found)), (Some(1), vec!["relay_address_gone"]));
        let (_, doctor, _) = daemon.command(&["doctor"]);
        assert!(doctor.contains("the relay address 5.44.20.7 is not on this machine"), "{doctor}");
        // What is mended is seen at once.
        line.server.ip("address add 5.44.20.7/24 dev far");
        Found::by(&daemon).check("", &["not_proven_outside", "works"]);
        drop(daemon);

        let few = BASE.replace("50000-59999", "50000-50001");
        let found = Found::by(&Daemon::start(&format!("{few}{HTTP}")));
        assert_eq!((found.code, codes(&found)), (Some(1), vec!["quota_reached"]));
    });
}

/// The router translates `public` to the server at 10.0.0.5, in from the client's side, and from the
/// server's too where it can.
fn translate(line: &Line, public: &str, hairpin: bool) {
    let from = if hairpin { "" } else { "iif near " };
    firewall(
        &line.router,
        &format!(
            "add table ip t; \
             add chain ip t pre {{ type nat hook prerouting priority -100; }}; \
             add chain ip t post {{ type nat hook postrouting priority 100; }}; \
             add rule ip t pre {from}ip daddr {public} dnat to 10.0.0.5; \
             add rule ip t post ip saddr 10.0.0.5 snat to {public}"
        ),
    );
}

#[test] // P32: hairpin missing, stale external address; and the healthy server behind a NAT
fn behind_a_nat_a_missing_way_back_in_and_an_old_public_address_are_told_apart() {
    in_own_network(|| {
        let line = Line::new();
        line.server.ip("route del default");
        line.server.ip("address del 5.44.20.1/24 dev far");
        line.server.ip("address add 10.0.0.5/24 dev far");
        line.server.ip("route add default via 10.0.0.1");
        // It has both itself, and nothing listens there but what it translates.
        line.router.ip("address add 5.44.99.1/32 dev lo");
        line.router.ip("address add 5.44.99.2/32 dev lo");
        let start = |more: &str| {
            Daemon::start(&format!("external = [\"5.44.99.1/10.0.0.5\"]\n{BASE}{HTTP}{more}"))
        };
        let daemon = start("");
        let key = admin_key(&daemon);
        let ask = |public| line.ask(&daemon, &format!("http://{public}:8080"), &key, None);

        translate(&line, "5.44.99.1", false);
        let found = Found::by(&daemon);
        assert_eq!((found.code, codes(&found)), (Some(0), vec!["hairpin_missing"]));
        let (_, doctor, _) = daemon.command(&["doctor"]);
        assert!(doctor.contains("From this machine: the server answers at 10.0.0.5"), "{doctor}");
        assert!(!doctor.contains("another port was tried"), "{doctor}");
        assert_eq!(codes(&ask("5.44.99.1")), ["works"]);

        translate(&line, "5.44.99.1", true);
        // The report from outside is on record in a moment.
        let works = eventually(|| (codes(&Found::by(&daemon)) == ["works"]).then_some(()));
        assert!(works.is_some(), "{:#}", Found::by(&daemon).report);

        // The provider gives another address; the page is still reached by a name or a proxy.
        translate(&line, "5.44.99.2", true);
        assert_eq!(codes(&Found::by(&daemon)), ["hairpin_missing"]);
        let found = ask("5.44.99.2");
        assert_eq!((found.code, codes(&found)), (Some(1), vec!["external_address_stale"]));
        let said = cause(&found, "external_address_stale");
        assert!(said.contains("hands out 5.44.99.1") && said.contains("5.44.99.2"), "{said}");
        drop(daemon);

        // The URL is right, what clients are told as relayed address is not.
        let stun = format!("[[ice.server]]\nurls = [\"stun:{}:3478\"]\n", crate::line::CLIENT);
        let daemon = Daemon::start(&format!(
            "external = [\"5.44.99.1/10.0.0.5\"]\nadvertise = [\"5.44.99.2\"]\n{BASE}{HTTP}{stun}"
        ));
        let key = admin_key(&daemon);
        let _coturn = crate::foreign::Coturn::at(&line.client, 3478, &["--stun-only"]);
        let found = line.ask(&daemon, "http://5.44.99.2:8080", &key, None);
        assert_eq!((found.code, codes(&found)), (Some(1), vec!["external_address_stale"]));
        let said = cause(&found, "external_address_stale");
        assert!(said.contains("comes from 5.44.99.2"), "{said}");
        let found = Found::by(&daemon);
        assert_eq!(codes(&found), ["external_address_stale"], "{:#}", found.report);
    });
}
