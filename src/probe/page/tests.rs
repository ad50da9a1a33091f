use super::*;
use crate::probe::target::Place;
use crate::probe::verdict::{Code, Severity};

const UDP: &str = "turn:turn.example:3478?transport=udp";
const TLS: &str = "turns:turn.example:443?transport=tcp";

fn url(url: &str, page: PageSaw, server: Option<ServerSaw>) -> UrlSeen {
    UrlSeen { url: url.to_owned(), place: Place::parse(url).unwrap(), page, server }
}

fn call(sent: u32, received: u32, rtt_ms: u32) -> PageSaw {
    let call =
        CallSaw { is_connected: true, rtt_ms: Some(rtt_ms), sent, received, kbit_s: Some(900) };
    let relayed = Some("192.0.2.1:50000".parse().unwrap());
    PageSaw { relayed, call: Some(call), ..PageSaw::default() }
}

fn well(text: &str) -> UrlSeen {
    let server =
        ServerSaw { bindings: 1, challenges: 1, opened: 2, packets: 812, ..ServerSaw::default() };
    url(text, call(100, 100, 20), Some(server))
}

/// A page that got nothing, beside a server that saw this.
fn nothing(text: &str, server: ServerSaw) -> UrlSeen {
    url(text, PageSaw::default(), Some(server))
}

fn codes(seen: &[UrlSeen]) -> Vec<(Code, Severity)> {
    judge(seen).verdicts.into_iter().map(|verdict| (verdict.code, verdict.severity)).collect()
}

#[test]
fn where_all_works_that_is_all_there_is_to_say() {
    let seen = [well(UDP), well(TLS)];
    assert_eq!(codes(&seen), [(Code::Works, Severity::Ok)]);
    assert_eq!(judge(&seen).overall, Severity::Ok);
}

#[test]
fn where_one_transport_ends_is_told_by_what_the_server_saw() {
    let saw = ServerSaw::default;
    let tls_fault = |text: &str| Some(text.to_owned());
    for (text, server, code) in [
        (UDP, saw(), Code::UdpBlocked),
        (TLS, saw(), Code::TcpBlocked),
        (UDP, ServerSaw { bindings: 3, ..saw() }, Code::AllocateUnanswered),
        (UDP, ServerSaw { challenges: 7, ..saw() }, Code::AllocateUnanswered),
        (UDP, ServerSaw { opened: 1, challenges: 1, ..saw() }, Code::AllocateUnanswered),
        (UDP, ServerSaw { unanswered: 2, ..saw() }, Code::Unknown),
        (TLS, ServerSaw { connections: 1, ..saw() }, Code::AllocateUnanswered),
        (
            UDP,
            ServerSaw { not_authenticated: Some(AuthFailure::Expired { ago_s: 40 }), ..saw() },
            Code::CredentialExpired,
        ),
        (
            UDP,
            ServerSaw { not_authenticated: Some(AuthFailure::WrongIntegrity), ..saw() },
            Code::SecretRefused,
        ),
        (UDP, ServerSaw { refused: Some(486), ..saw() }, Code::QuotaReached),
        (UDP, ServerSaw { refused: Some(508), ..saw() }, Code::CapacityReached),
        (
            TLS,
            ServerSaw {
                connections: 1,
                connection_fault: tls_fault("received fatal alert: UnknownCA"),
                ..saw()
            },
            Code::CertificateUntrusted,
        ),
        (
            TLS,
            ServerSaw {
                connections: 1,
                connection_fault: tls_fault("received fatal alert: CertificateExpired"),
                ..saw()
            },
            Code::CertificateExpired,
        ),
    ] {
        let other = if text == UDP { TLS } else { UDP };
        let seen = [nothing(text, server), well(other)];
        let found = codes(&seen);
        assert!(found.contains(&(code, Severity::Warning)), "{code:?}: {found:?}");
        assert!(judge(&seen).overall == Severity::Warning, "the other way works");
    }
}

#[test]
fn a_network_that_lets_nothing_out_is_an_error_and_so_is_said_on_top() {
    let seen = [nothing(UDP, ServerSaw::default()), nothing(TLS, ServerSaw::default())];
    let judged = judge(&seen);
    assert_eq!(judged.overall, Severity::Error);
    let found = codes(&seen);
    assert_eq!(found.iter().filter(|(code, _)| *code == Code::OutsideBlocked).count(), 2);
    assert!(found.contains(&(Code::ServerSilent, Severity::Error)));
}

#[test]
fn two_causes_at_once_are_both_named() {
    let expired = AuthFailure::Expired { ago_s: 5 };
    let seen = [
        nothing(UDP, ServerSaw::default()),
        nothing(
            TLS,
            ServerSaw { not_authenticated: Some(expired), connections: 1, ..ServerSaw::default() },
        ),
    ];
    let found = codes(&seen);
    assert!(found.contains(&(Code::UdpBlocked, Severity::Error)), "{found:?}");
    assert!(found.contains(&(Code::CredentialExpired, Severity::Error)), "{found:?}");
}

#[test]
fn calls_over_tcp_alone_work_and_are_warned_of() {
    let seen = [nothing(UDP, ServerSaw::default()), well(TLS)];
    let judged = judge(&seen);
    assert_eq!(judged.overall, Severity::Warning);
    assert!(judged.verdicts.iter().any(|v| v.cause.contains("only over TCP")), "{judged:?}");
}

#[test]
fn refused_private_peers_are_harmless() {
    let mut seen = well(UDP);
    let refused_peers = vec!["192.168.1.7".parse().unwrap()];
    seen.server = seen.server.map(|server| ServerSaw { refused_peers, ..server });
    let judged = judge(&[seen]);
    assert_eq!(judged.overall, Severity::Note);
    let note = judged.verdicts.iter().find(|v| v.code == Code::PeerRefused).unwrap();
    assert_eq!(note.cause, "permission was refused for 192.168.1.7: harmless");
    assert!(note.observation.contains("812 packets relayed"), "{}", note.observation);
}

#[test]
fn bad_quality_is_said_on_both_sides_of_the_bounds() {
    for (page, is_bad) in [
        (call(100, 95, 400), false),
        (call(100, 94, 20), true),
        (call(100, 100, 401), true),
        (call(0, 0, 20), false),
    ] {
        let found = codes(&[url(UDP, page, None)]);
        assert_eq!(found.contains(&(Code::RelayPoor, Severity::Warning)), is_bad);
    }
}

/// A page that was told this and looked for so long.
fn says(code: u16, text: &str, gathered_ms: Option<u128>) -> PageSaw {
    PageSaw { errors: vec![(code, text.to_owned())], gathered_ms, ..PageSaw::default() }
}

#[test]
fn a_name_without_an_address_is_told_from_one_that_lacks_a_family_and_from_silence() {
    const TCP: &str = "turn:turn.example:3478?transport=tcp";
    let lookup = "TURN host lookup received error.";
    let both = |udp: PageSaw, tcp: PageSaw| {
        codes(&[
            url(UDP, udp, Some(ServerSaw::default())),
            url(TCP, tcp, Some(ServerSaw::default())),
        ])
    };
    let found = |found: Vec<(Code, Severity)>| {
        found.iter().filter(|(code, _)| *code == Code::DnsMissing).count()
    };
    // Chromium says it, Firefox says nothing but that it is over.
    for (text, tcp) in [(lookup, lookup), ("", "")] {
        let at = |ms| says(701, text, Some(ms));
        assert_eq!(found(both(at(20), says(701, tcp, Some(20)))), 2, "{text:?}");
        assert_eq!(found(both(at(6000), says(701, tcp, Some(20)))), 2, "{text:?}");
        // A phone with IPv6 where the name has IPv4 alone, and UDP does not pass.
        assert_eq!(found(both(says(701, text, None), PageSaw::default())), 0, "{text:?}");
        assert_eq!(found(both(at(6001), PageSaw::default())), 0, "{text:?}");
        let seen = [url(UDP, at(20), Some(ServerSaw::default())), well(TCP)];
        assert_eq!(found(codes(&seen)), 0, "somebody was reached by this name: {text:?}");
    }
    // Over TCP a closed port looks the same.
    assert_eq!(found(both(says(701, "", None), says(701, "", Some(20)))), 0);
    let literal = "turn:192.0.2.1:3478?transport=udp";
    let seen = [url(literal, says(701, "", Some(20)), Some(ServerSaw::default()))];
    assert_eq!(found(codes(&seen)), 0);
}

#[test]
fn a_stun_server_that_answered_works_though_its_name_lacks_a_family() {
    let seen = |code, gathered_ms, bindings| {
        let server = ServerSaw { bindings, ..ServerSaw::default() };
        url("stun:turn.example:3478", says(code, "", gathered_ms), Some(server)).works()
    };
    assert!(seen(701, Some(20), 1));
    assert!(!seen(701, Some(20), 0) && !seen(701, None, 1) && !seen(400, Some(20), 1));
}

#[test]
fn of_anothers_server_the_browsers_word_is_all_there_is() {
    let says = |code, text: &str| says(code, text, None);
    for (page, code) in [
        (says(401, "Unauthorized"), Code::CredentialRefused),
        (says(701, "TURN allocate request timed out."), Code::ServerSilent),
        (says(0, "'turn:turn.example:993' uses a port that is blocked."), Code::UrlRefused),
        (says(486, "Allocation Quota Reached"), Code::Unknown),
        (PageSaw::default(), Code::ServerSilent),
        (PageSaw { call: None, ..call(0, 0, 0) }, Code::RelayBlocked),
    ] {
        let found = codes(&[url(UDP, page, None), well(TLS)]);
        assert!(found.contains(&(code, Severity::Warning)), "{code:?}: {found:?}");
    }
}
