//! From observations to verdicts: the table of P32, two causes at once, and healthy servers.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::probe::observation::{
    Allocated, CertificateFacts, Direct, DnsFault, Fault, Resolution, Step, TlsFault, Trust,
    WaySeen,
};
use crate::probe::target::Carrier;

const NOW_S: i64 = 1_900_000_000;

fn ok<T>(value: T) -> Step<T> {
    Step::Done { value, took: Duration::from_millis(3) }
}

fn no<T>(fault: Fault) -> Step<T> {
    Step::Failed { fault, took: Duration::from_millis(3) }
}

fn error<T>(code: u16) -> Step<T> {
    no(Fault::Error { code, realm: "example.org".to_owned() })
}

fn certificate() -> CertificateFacts {
    CertificateFacts {
        names: vec!["turn.example.org".to_owned()],
        last_issuer: "CN=R9".to_owned(),
        not_before: NOW_S - 86_400,
        not_after: NOW_S + 60 * 86_400,
        chain_length: 2,
        covers_name: true,
        is_self_signed: false,
        trust: Trust::Root,
    }
}

/// A way on which everything works.
fn way(carrier: Carrier, at: &str) -> WaySeen {
    let address: SocketAddr = at.parse().unwrap();
    let relayed = SocketAddr::new(address.ip(), 50_000);
    WaySeen {
        open: ok(()),
        tls: if carrier == Carrier::Tls { ok(certificate()) } else { Step::NotTried },
        binding: ok("192.0.2.1:999".parse().unwrap()),
        allocate: ok(Allocated {
            relayed,
            mapped: None,
            realm: "example.org".to_owned(),
            is_sha256: true,
        }),
        permit: ok(()),
        relayed: ok(Duration::from_millis(2)),
        release: ok(()),
        ..WaySeen::new(address, false)
    }
}

/// A way on which nothing comes back.
fn silent(carrier: Carrier, at: &str) -> WaySeen {
    let new = WaySeen::new(at.parse().unwrap(), false);
    match carrier {
        Carrier::Udp => WaySeen { open: ok(()), binding: no(Fault::Silent), ..new },
        Carrier::Tcp | Carrier::Tls => WaySeen { open: no(Fault::Silent), ..new },
    }
}

fn target(carrier: Carrier, ways: Vec<WaySeen>) -> TargetSeen {
    let scheme = if carrier == Carrier::Tls { "turns" } else { "turn" };
    TargetSeen {
        url: format!("{scheme}:turn.example.org?transport={}", carrier.code()),
        host: "turn.example.org".to_owned(),
        carrier,
        is_turn: true,
        is_ours: true,
        credential_ends: Some(NOW_S + 60),
        resolution: Resolution::Found {
            addresses: ways.iter().map(|way| way.address.ip()).collect(),
            took: Duration::ZERO,
        },
        ways,
    }
}

const V4: &str = "203.0.113.9:3478";
const V6_IP: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));
const V6: &str = "[2001:db8::9]:3478";

fn good(carrier: Carrier) -> TargetSeen {
    target(carrier, vec![way(carrier, V4)])
}

fn seen(vantage: Vantage, targets: Vec<TargetSeen>) -> Observations {
    Observations { vantage, started_at_unix_ms: 0, took: Duration::from_secs(1), targets }
}

fn facts() -> Facts {
    Facts {
        now_unix_ms: NOW_S * 1000,
        realm: Some("example.org".to_owned()),
        own_addresses: vec!["203.0.113.9".parse().unwrap()],
        told_addresses: vec!["203.0.113.9".parse().unwrap()],
        proven_outside_at: Some(NOW_S * 1000),
        ..Facts::default()
    }
}

#[track_caller]
fn check_with(
    facts: &Facts,
    vantage: Vantage,
    targets: Vec<TargetSeen>,
    codes: &[Code],
) -> Judgement {
    let judgement = judge(&seen(vantage, targets), facts);
    let mut found: Vec<Code> = judgement.verdicts.iter().map(|verdict| verdict.code).collect();
    let mut codes = codes.to_vec();
    found.sort();
    codes.sort();
    assert_eq!(found, codes, "{judgement:#?}");
    for verdict in &judgement.verdicts {
        assert!(!verdict.cause.is_empty() && !verdict.cure.is_empty(), "{verdict:?}");
        assert!(!verdict.observation.is_empty(), "{verdict:?}");
    }
    judgement
}

#[track_caller]
fn check(targets: Vec<TargetSeen>, codes: &[Code]) -> Judgement {
    check_with(&facts(), Vantage::AnotherMachine, targets, codes)
}

/// One thing is wrong on the one way of a URL over UDP.
#[track_caller]
fn check_way(change: impl FnOnce(&mut WaySeen), code: Code) -> Judgement {
    let mut one = way(Carrier::Udp, V4);
    change(&mut one);
    if !one.allocate.is_done() {
        (one.permit, one.relayed, one.release) = (Step::NotTried, Step::NotTried, Step::NotTried);
    }
    check(vec![target(Carrier::Udp, vec![one])], &[code])
}

#[test]
fn a_healthy_server_gets_no_warning_from_anywhere() {
    let all = || [Carrier::Udp, Carrier::Tcp, Carrier::Tls].map(good).to_vec();
    for vantage in [Vantage::ThisMachine, Vantage::AnotherMachine, Vantage::Browser] {
        let judgement = check_with(&facts(), vantage, all(), &[Code::Works]);
        assert_eq!(judgement.overall, Severity::Ok);
    }
}

#[test] // P6
fn this_machine_alone_is_never_green() {
    let never = Facts { proven_outside_at: None, ..facts() };
    let codes = [Code::Works, Code::NotProvenOutside];
    let judgement = check_with(&never, Vantage::ThisMachine, vec![good(Carrier::Udp)], &codes);
    assert_eq!(judgement.overall, Severity::Note);
    let day_ms = 86_400_000;
    let at = |days: i64| Facts { proven_outside_at: Some(NOW_S * 1000 - days * day_ms), ..facts() };
    check_with(&at(30), Vantage::ThisMachine, vec![good(Carrier::Udp)], &[Code::Works]);
    check_with(&at(31), Vantage::ThisMachine, vec![good(Carrier::Udp)], &codes);
    check_with(&never, Vantage::AnotherMachine, vec![good(Carrier::Udp)], &[Code::Works]);
}

#[test]
fn names_that_lead_nowhere_are_told_apart() {
    for (fault, code) in [
        (DnsFault::NoSuchName, Code::DnsMissing),
        (DnsFault::NoAnswer, Code::DnsNoAnswer),
        (DnsFault::Other("x".to_owned()), Code::DnsNoAnswer),
    ] {
        let mut target = target(Carrier::Udp, Vec::new());
        target.resolution = Resolution::Failed(fault);
        check(vec![target], &[code]);
    }
}

#[test]
fn a_name_of_ours_that_leads_to_another_machine_is_told() {
    let elsewhere = silent(Carrier::Udp, "198.51.100.4:3478");
    let here = Vantage::ThisMachine;
    let targets = vec![target(Carrier::Udp, vec![elsewhere])];
    check_with(&facts(), here, targets.clone(), &[Code::DnsWrong]);
    // Elsewhere nobody knows which addresses are ours.
    check(targets, &[Code::ServerSilent]);
    // Another server there, which does not know our secret.
    let mut other = way(Carrier::Udp, "198.51.100.4:3478");
    other.allocate = error(401);
    check_with(&facts(), here, vec![target(Carrier::Udp, vec![other])], &[Code::DnsWrong]);
    // Where our own listener answers inside, the record is wrong all the same.
    let mut inside = way(Carrier::Udp, "10.0.0.5:3478");
    inside.is_inside = true;
    let ways = vec![silent(Carrier::Udp, "198.51.100.4:3478"), inside];
    check_with(&facts(), here, vec![target(Carrier::Udp, ways)], &[Code::DnsWrong]);
    // Behind a NAT that we know nothing of it may well be ours.
    let mut behind = facts();
    behind.told_addresses = vec!["10.0.0.5".parse().unwrap()];
    behind.own_addresses = behind.told_addresses.clone();
    let targets = vec![target(Carrier::Udp, vec![silent(Carrier::Udp, V4)])];
    check_with(&behind, here, targets, &[Code::ServerSilent]);
}

#[test]
fn one_family_that_is_broken_is_told_as_that() {
    for carrier in [Carrier::Udp, Carrier::Tls] {
        let pair = |v4, v6| vec![target(carrier, vec![v4, v6])];
        check(pair(way(carrier, V4), silent(carrier, V6)), &[Code::Ipv6Broken]);
        check(pair(silent(carrier, V4), way(carrier, V6)), &[Code::Ipv4Broken]);
    }
    let mut none = WaySeen::new(V6.parse().unwrap(), false);
    none.open = no(Fault::NoFamily);
    let targets = vec![target(Carrier::Udp, vec![way(Carrier::Udp, V4), none.clone()])];
    let judgement = check(targets, &[Code::Works, Code::FamilyNotTested]);
    assert_eq!(judgement.overall, Severity::Note);
    check(vec![target(Carrier::Udp, vec![none])], &[Code::FamilyNotTested]);
}

#[test]
fn blocked_ways_are_told_apart_by_what_passes() {
    let lost = |carrier| target(carrier, vec![silent(carrier, V4)]);
    let (udp, tcp, tls) = (Carrier::Udp, Carrier::Tcp, Carrier::Tls);
    check(vec![lost(udp), good(tcp)], &[Code::UdpBlocked]);
    check(vec![good(udp), lost(tcp), lost(tls)], &[Code::TcpBlocked]);
    let judgement = check(vec![lost(udp), lost(tcp)], &[Code::ServerSilent, Code::ServerSilent]);
    assert_eq!(judgement.overall, Severity::Error);
    let inside = Facts { worked_inside: vec![lost(udp).url, lost(tcp).url], ..facts() };
    let outside = Vantage::AnotherMachine;
    let both = [Code::OutsideBlocked, Code::OutsideBlocked];
    check_with(&inside, outside, vec![lost(udp), lost(tcp)], &both);
    // What listens there, as the server saw, is not closed: a firewall rejects.
    let rejected = |carrier| {
        let new = WaySeen::new(V4.parse().unwrap(), false);
        let way = match carrier {
            Carrier::Udp => WaySeen { open: ok(()), binding: no(Fault::Refused), ..new },
            Carrier::Tcp | Carrier::Tls => WaySeen { open: no(Fault::Refused), ..new },
        };
        target(carrier, vec![way])
    };
    let blocked = |targets, code| {
        let judgement = check_with(&inside, outside, targets, &[code]);
        assert!(judgement.verdicts[0].cause.contains("is rejected on the way"), "{judgement:#?}");
    };
    blocked(vec![rejected(udp), good(tcp)], Code::UdpBlocked);
    blocked(vec![rejected(tcp), good(udp)], Code::TcpBlocked);
    check(vec![rejected(udp), good(tcp)], &[Code::PortClosed]);
    // This machine's own firewall says nothing about the server.
    let mut forbidden = lost(udp);
    forbidden.ways[0].binding = no(Fault::Forbidden);
    let judgement = check(vec![forbidden, good(tcp)], &[Code::UdpBlocked]);
    assert!(judgement.verdicts[0].cause.contains("this machine itself"), "{judgement:#?}");
    for (fault, code) in
        [(Fault::Refused, Code::PortClosed), (Fault::Unreachable, Code::ServerUnreachable)]
    {
        let mut way = silent(tcp, V4);
        way.open = no(fault);
        check(vec![target(tcp, vec![way]), good(udp)], &[code]);
    }
}

#[test]
fn a_public_address_that_is_not_reached_from_inside_is_no_proof_of_anything_else() {
    let mut inside = way(Carrier::Udp, "10.0.0.5:3478");
    inside.is_inside = true;
    let ways = vec![silent(Carrier::Udp, V4), inside];
    let judgement = check_with(
        &facts(),
        Vantage::ThisMachine,
        vec![target(Carrier::Udp, ways)],
        &[Code::HairpinMissing],
    );
    assert_eq!(judgement.overall, Severity::Warning);
    // A router that has the public address itself refuses.
    let mut refused = silent(Carrier::Udp, V4);
    refused.binding = no(Fault::Refused);
    let inside = WaySeen { is_inside: true, ..way(Carrier::Udp, "10.0.0.5:3478") };
    let refused = vec![target(Carrier::Udp, vec![refused, inside])];
    check_with(&facts(), Vantage::ThisMachine, refused, &[Code::HairpinMissing]);
    // Over TCP the router says so, over UDP nobody does: it is one thing.
    let both = [Carrier::Udp, Carrier::Tcp].map(|carrier| {
        let mut outer = silent(carrier, V4);
        if carrier == Carrier::Tcp {
            outer.open = no(Fault::Unreachable);
        }
        let inside = WaySeen { is_inside: true, ..way(carrier, "10.0.0.5:3478") };
        target(carrier, vec![outer, inside])
    });
    check_with(&facts(), Vantage::ThisMachine, both.to_vec(), &[Code::HairpinMissing]);
}

#[test]
fn an_address_that_is_out_of_reach_is_told_once_for_all_protocols() {
    let mut tcp = silent(Carrier::Tcp, V4);
    tcp.open = no(Fault::Unreachable);
    let targets = [(Carrier::Udp, silent(Carrier::Udp, V4)), (Carrier::Tcp, tcp)];
    let targets = targets.map(|(carrier, way)| target(carrier, vec![way])).to_vec();
    check(targets.clone(), &[Code::ServerUnreachable]);
    // It is no address of the server, which answers over HTTP and did not reach it itself.
    let asked = Facts {
        asked_at: Some("198.51.100.4".parse().unwrap()),
        failed_inside: targets.iter().map(|target| target.url.clone()).collect(),
        ..facts()
    };
    let elsewhere = Vantage::AnotherMachine;
    check_with(&asked, elsewhere, targets.clone(), &[Code::DnsWrong]);
    let literal = targets.iter().cloned().map(|mut target| {
        target.resolution = Resolution::Literal;
        target
    });
    check_with(&asked, elsewhere, literal.clone().collect(), &[Code::ExternalAddressStale]);
    let works = Facts { failed_inside: Vec::new(), ..asked.clone() };
    check_with(&works, elsewhere, literal.clone().collect(), &[Code::ServerUnreachable]);
    let same = Facts { asked_at: Some("203.0.113.9".parse().unwrap()), ..asked };
    check_with(&same, elsewhere, literal.collect(), &[Code::ServerUnreachable]);
}

#[test]
fn a_name_that_leads_to_loopback_here_is_a_note() {
    let ways = vec![way(Carrier::Udp, "127.0.1.1:3478")];
    let targets = vec![target(Carrier::Udp, ways)];
    let codes = [Code::Works, Code::PrivateAddress];
    let judgement = check_with(&facts(), Vantage::ThisMachine, targets.clone(), &codes);
    assert_eq!(judgement.overall, Severity::Note);
    // A relay for this machine alone is meant so.
    let local = Facts { told_addresses: vec!["127.0.0.1".parse().unwrap()], ..facts() };
    check_with(&local, Vantage::ThisMachine, targets, &[Code::Works]);
}

#[test]
fn a_relay_address_that_is_gone_is_told_in_place_of_what_follows_from_it() {
    let mut full = way(Carrier::Udp, V4);
    full.allocate = error(508);
    (full.permit, full.relayed, full.release) = (Step::NotTried, Step::NotTried, Step::NotTried);
    let targets = || vec![target(Carrier::Udp, vec![full.clone()])];
    let here = Vantage::ThisMachine;
    let bound = |ip: &str| Facts { bound_addresses: vec![ip.parse().unwrap()], ..facts() };
    check_with(&bound("203.0.113.9"), here, targets(), &[Code::CapacityReached]);
    check_with(&bound("203.0.113.10"), here, targets(), &[Code::RelayAddressGone]);
}

#[test]
fn a_refused_login_is_told_by_its_cause() {
    check_way(|way| way.allocate = error(401), Code::SecretRefused);
    let clock = |way: &mut WaySeen| {
        way.later = way.allocate.clone();
        way.allocate = error(401);
    };
    check_way(clock, Code::ClockOff);
    check_way(|way| way.allocate = no(Fault::OtherRealm("b".to_owned())), Code::RealmUnknown);
    check_way(|way| way.allocate = error(438), Code::NonceRejected);
    check_way(|way| way.allocate = error(486), Code::QuotaReached);
    check_way(|way| way.allocate = error(508), Code::CapacityReached);
    check_way(|way| way.allocate = error(440), Code::FamilyRefused);
    check_way(|way| way.allocate = error(442), Code::RelayingOff);
    check_way(|way| way.allocate = no(Fault::OpenRelay), Code::OpenRelay);
    check_way(|way| way.allocate = no(Fault::NoChallenge), Code::RealmUnknown);
    check_way(|way| way.allocate = no(Fault::Closed), Code::AllocateUnanswered);
    check_way(|way| way.allocate = no(Fault::Forged), Code::Forged);
    check_way(|way| way.allocate = no(Fault::Silent), Code::AllocateUnanswered);
    check_way(|way| way.allocate = no(Fault::Redirected(None)), Code::Redirected);
    check_way(|way| way.allocate = error(499), Code::Unknown);

    let refused = || {
        let mut way = way(Carrier::Udp, V4);
        way.allocate = error(401);
        target(Carrier::Udp, vec![way])
    };
    let mut fixed = refused();
    (fixed.is_ours, fixed.credential_ends) = (false, None);
    check(vec![fixed], &[Code::CredentialRefused]);
    let mut late = refused();
    late.credential_ends = Some(NOW_S - 1);
    check(vec![late.clone()], &[Code::CredentialExpired]);
    late.credential_ends = Some(NOW_S);
    check(vec![late], &[Code::SecretRefused]);
    let other = Facts { realm: Some("ours".to_owned()), ..facts() };
    check_with(&other, Vantage::ThisMachine, vec![refused()], &[Code::OtherServer]);
}

#[test]
fn what_does_not_pass_through_an_allocation_is_told_by_what_does() {
    let direct = |inbound, outbound| ok(Direct { inbound, outbound, came_from: None });
    check_way(|way| way.relayed = no(Fault::Silent), Code::RelayBlocked);
    check_way(|way| way.direct = direct(false, false), Code::RelayBlocked);
    check_way(|way| way.direct = direct(false, true), Code::RelayBlocked);
    check_way(|way| way.direct = direct(true, true), Code::Works);
    let hairpin = |way: &mut WaySeen| {
        (way.relayed, way.direct) = (no(Fault::NotBack), direct(true, true));
    };
    check_way(hairpin, Code::HairpinMissing);
    let told = |at: &str| Allocated {
        relayed: at.parse().unwrap(),
        mapped: None,
        realm: String::new(),
        is_sha256: false,
    };
    check_way(|way| way.allocate = ok(told("10.0.0.5:50000")), Code::RelayAddressPrivate);
    let stale = |way: &mut WaySeen| {
        (way.allocate, way.direct) = (ok(told("198.51.100.7:50000")), direct(false, false));
    };
    check_way(stale, Code::ExternalAddressStale);
    // What it relays says where it really is, whether or not another run knows.
    let from = |ip: &str| {
        let came_from = Some(ip.parse().unwrap());
        ok(Direct { inbound: false, outbound: true, came_from })
    };
    let told_old = |way: &mut WaySeen| {
        (way.allocate, way.direct) = (ok(told("198.51.100.7:50000")), from("203.0.113.9"));
    };
    let judgement = check_way(told_old, Code::ExternalAddressStale);
    assert!(judgement.verdicts[0].cure.contains("write 203.0.113.9 into"), "{judgement:#?}");
    check_way(|way| way.direct = from("10.0.0.5"), Code::HairpinMissing);
    let two_lines = Direct { inbound: true, outbound: true, came_from: Some(V6_IP) };
    check_way(|way| way.direct = ok(two_lines), Code::Works);
    let private = |way: &mut WaySeen| {
        (way.allocate, way.permit) = (ok(told("10.0.0.5:50000")), error(403));
    };
    check_way(private, Code::RelayAddressPrivate);
    check_way(|way| way.permit = error(403), Code::PeerRefused);
    check_way(|way| way.large = no(Fault::Silent), Code::LargeLost);
    check_way(|way| way.large = no(Fault::NotBack), Code::LargeLost);
    check_way(|way| way.large = ok(()), Code::Works);
    let harmless = check(
        vec![target(Carrier::Udp, vec![WaySeen { direct: error(403), ..way(Carrier::Udp, V4) }])],
        &[Code::Works, Code::PeerRefused],
    );
    assert_eq!(harmless.overall, Severity::Note);
}

#[test]
fn a_server_in_a_network_of_its_own_may_tell_its_private_address() {
    check(vec![target(Carrier::Udp, vec![way(Carrier::Udp, "10.0.0.5:3478")])], &[Code::Works]);
}

#[test]
fn what_others_see_of_us_is_compared_with_what_clients_are_told() {
    let mut stun = good(Carrier::Udp);
    (stun.is_ours, stun.is_turn, stun.host) = (false, false, "stun.example.net".to_owned());
    stun.url = "stun:stun.example.net".to_owned();
    stun.ways[0].allocate = Step::NotTried;
    let seen_as = |ip: &str| {
        let mut stun = stun.clone();
        stun.ways[0].binding = ok(SocketAddr::new(ip.parse().unwrap(), 999));
        vec![good(Carrier::Udp), stun]
    };
    let here = Vantage::ThisMachine;
    check_with(&facts(), here, seen_as("203.0.113.9"), &[Code::Works]);
    check_with(&facts(), here, seen_as("9.9.9.9"), &[Code::ExternalAddressStale]);
    // Another line of this machine is none of its relay; the address it relays on is.
    let second = |bound: &[&str]| Facts {
        own_addresses: vec!["203.0.113.9".parse().unwrap(), "9.9.9.9".parse().unwrap()],
        bound_addresses: bound.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..facts()
    };
    check_with(&second(&["203.0.113.9"]), here, seen_as("9.9.9.9"), &[Code::Works]);
    check_with(&second(&["9.9.9.9"]), here, seen_as("9.9.9.9"), &[Code::ExternalAddressStale]);
    check_with(&facts(), here, seen_as("10.0.0.5"), &[Code::Works]);
    let behind = Facts { told_addresses: vec!["10.0.0.5".parse().unwrap()], ..facts() };
    check_with(&behind, here, seen_as("9.9.9.9"), &[Code::RelayAddressPrivate]);
    check_with(&facts(), Vantage::AnotherMachine, seen_as("9.9.9.9"), &[Code::Works]);
}

#[test]
fn each_fault_of_a_certificate_is_told_by_itself() {
    let with = |change: &dyn Fn(&mut CertificateFacts)| {
        let mut facts = certificate();
        change(&mut facts);
        let mut way = way(Carrier::Tls, V4);
        way.tls = ok(facts);
        vec![target(Carrier::Tls, vec![way])]
    };
    let day = 86_400;
    check(with(&|c| c.not_after = NOW_S), &[Code::CertificateExpired]);
    check(with(&|c| c.not_after = NOW_S + 1), &[Code::Works]);
    let long = |c: &mut CertificateFacts| c.not_before = NOW_S - 60 * day;
    check(
        with(&|c| {
            long(c);
            c.not_after = NOW_S + 7 * day - 1;
        }),
        &[Code::CertificateExpiresSoon],
    );
    check(
        with(&|c| {
            long(c);
            c.not_after = NOW_S + 7 * day;
        }),
        &[Code::Works],
    );
    check(with(&|c| c.not_before = NOW_S + 1), &[Code::CertificateNotYetValid]);
    check(with(&|c| c.not_before = NOW_S), &[Code::Works]);
    check(with(&|c| c.covers_name = false), &[Code::CertificateWrongName]);
    check(with(&|c| c.trust = Trust::Incomplete), &[Code::CertificateIncomplete]);
    check(with(&|c| c.trust = Trust::OwnRoot), &[Code::CertificateUntrusted]);
    check(with(&|c| c.trust = Trust::Broken("x".to_owned())), &[Code::CertificateUntrusted]);
    let own = |c: &mut CertificateFacts| (c.is_self_signed, c.trust) = (true, Trust::OwnRoot);
    check(with(&|c| own(c)), &[Code::CertificateSelfSigned]);
    check(with(&|c| c.trust = Trust::NoRootsHere), &[Code::Works, Code::NoRootsHere]);
    let two = [Code::CertificateExpired, Code::CertificateWrongName];
    check(
        with(&|c| {
            c.not_after = 0;
            c.covers_name = false;
        }),
        &two,
    );

    // TLS 1.3 says so after the handshake.
    let alert = no(Fault::Tls(TlsFault::Alert("CertificateRequired".to_owned())));
    let late = WaySeen { tls: ok(certificate()), binding: alert, ..silent(Carrier::Tls, V4) };
    let late = WaySeen { open: ok(()), ..late };
    let judgement = check(vec![target(Carrier::Tls, vec![late])], &[Code::NoTls]);
    assert!(judgement.verdicts[0].cause.contains("from its clients"), "{judgement:#?}");

    for fault in [
        Fault::Tls(TlsFault::NotTls),
        Fault::Tls(TlsFault::Alert("UnknownCA".to_owned())),
        Fault::Tls(TlsFault::Other("x".to_owned())),
        Fault::Silent,
        Fault::Closed,
    ] {
        let new = WaySeen::new(V4.parse().unwrap(), false);
        let way = WaySeen { open: ok(()), tls: no(fault), ..new };
        check(vec![target(Carrier::Tls, vec![way])], &[Code::NoTls]);
    }
}

#[test]
fn what_is_no_stun_server_is_told_as_that() {
    for fault in [Fault::Silent, Fault::NotStun, Fault::Closed] {
        let new = WaySeen::new(V4.parse().unwrap(), false);
        let way = WaySeen { open: ok(()), binding: no(fault), ..new };
        check(vec![target(Carrier::Tcp, vec![way]), good(Carrier::Udp)], &[Code::NotStun]);
    }
}

#[test]
fn the_daemon_itself_is_judged_too() {
    let with = |change: &dyn Fn(&mut Facts), codes: &[Code]| {
        let mut facts = facts();
        change(&mut facts);
        check_with(&facts, Vantage::AnotherMachine, vec![good(Carrier::Udp)], codes);
    };
    with(&|f| f.record_problem = Some("database or disk is full".to_owned()), &[Code::DiskFull]);
    with(&|f| f.record_problem = Some("it is locked".to_owned()), &[Code::RecordNotWritten]);
    with(&|f| f.certificate_problem = Some("x".to_owned()), &[Code::CertificateUnreadable]);
    for (why, code) in [
        ("the certificate expired 3 days ago", Code::CertificateExpired),
        ("the certificate is valid in 2 days only", Code::CertificateNotYetValid),
        ("the certificate covers a.example, but not b.example", Code::CertificateWrongName),
    ] {
        let why = format!("/ice hands out no turns: URL: {why}");
        with(&|f| f.certificate_problem = Some(why.clone()), &[code]);
    }
    with(&|f| f.clock_ahead_s = Some(31), &[Code::ClockOff]);
    with(&|f| f.clock_ahead_s = Some(-31), &[Code::ClockOff]);
    with(&|f| f.clock_ahead_s = Some(30), &[Code::Works]);
    with(&|f| f.upgrade = Some(Upgrade::Works), &[Code::Works]);
    with(&|f| f.upgrade = Some(Upgrade::Stripped(426)), &[Code::UpgradesStripped]);
    with(&|f| f.upgrade = Some(Upgrade::Missing), &[Code::UpgradesStripped]);
    with(&|f| f.upgrade = Some(Upgrade::Held), &[Code::ProxyBuffers]);
    check(Vec::new(), &[Code::NothingHandedOut]);
}

#[test]
fn two_causes_at_once_are_both_named() {
    let mut expired = certificate();
    expired.not_after = NOW_S - 1;
    let mut tls = way(Carrier::Tls, V4);
    tls.tls = ok(expired);
    let udp = target(Carrier::Udp, vec![silent(Carrier::Udp, V4)]);
    let full = Facts { record_problem: Some("disk is full".to_owned()), ..facts() };
    let codes = [Code::UdpBlocked, Code::CertificateExpired, Code::DiskFull];
    let targets = vec![udp, target(Carrier::Tls, vec![tls])];
    check_with(&full, Vantage::AnotherMachine, targets, &codes);
}

#[test]
fn one_cause_at_several_urls_is_told_once_with_all_of_them() {
    let refused = |carrier| {
        let mut way = way(carrier, V4);
        way.allocate = error(401);
        target(carrier, vec![way])
    };
    let targets = vec![refused(Carrier::Udp), refused(Carrier::Tcp)];
    let judgement = check(targets, &[Code::SecretRefused]);
    assert_eq!(judgement.verdicts[0].urls.len(), 2);
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Silent),
        Just(Fault::NotBack),
        Just(Fault::Refused),
        Just(Fault::Unreachable),
        Just(Fault::NoFamily),
        Just(Fault::NotPublic("private")),
        Just(Fault::Closed),
        Just(Fault::NotStun),
        (300..700u16).prop_map(|code| Fault::Error { code, realm: String::new() }),
        Just(Fault::NoChallenge),
        Just(Fault::OpenRelay),
        Just(Fault::Forbidden),
        Just(Fault::Forged),
        Just(Fault::Empty),
        Just(Fault::Flooded),
        Just(Fault::Other("odd".to_owned())),
    ]
}

proptest! {
    /// Nothing that fails goes without a warning, wherever it fails.
    #[test]
    fn what_does_not_work_has_a_verdict(fault in any_fault(), step in 0..6u8, carrier in 0..3u8) {
        let carrier = [Carrier::Udp, Carrier::Tcp, Carrier::Tls][usize::from(carrier)];
        let mut one = way(carrier, V4);
        match step {
            0 => one = WaySeen { open: no(fault), ..WaySeen::new(one.address, false) },
            1 => one.tls = no(fault),
            2 => (one.binding, one.allocate) = (no(fault), Step::NotTried),
            3 => one.allocate = no(fault),
            4 => one.permit = no(fault),
            _ => one.relayed = no(fault),
        }
        if step != 5 && step != 1 {
            one.relayed = Step::NotTried;
        }
        let targets = vec![target(carrier, vec![one])];
        let is_well = targets[0].works() && step != 1;
        let judgement = judge(&seen(Vantage::AnotherMachine, targets), &facts());
        prop_assert!(is_well || judgement.overall >= Severity::Warning, "{judgement:#?}");
    }
}
