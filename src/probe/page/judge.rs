//! The verdicts, each from what both sides saw.

use super::lookup::lookup_error;
use super::told::told;
use super::{CallSaw, ServerSaw, UrlSeen};
use crate::auth::credential::AuthFailure;
use crate::probe::target::Carrier;
use crate::probe::verdict::{Code, Judgement, Severity, Verdict};

/// Loss over which a call sounds bad, percent.
const LOSS_BAD: u32 = 5;
/// Round trip over which people talk into each other, milliseconds.
const RTT_BAD_MS: u32 = 400;

/// What the page says in place of an `icecandidateerror` where no connection could be made of a URL.
const NOT_TAKEN: u16 = 0;

/// Says what was seen; the worst first, and never nothing.
#[must_use]
pub fn judge(seen: &[UrlSeen]) -> Judgement {
    // Of what is equally bad the whole comes before its parts.
    let mut verdicts = vec![summary(seen)];
    for url in seen {
        verdicts.extend(if url.works() { quality(url) } else { Some(broken(seen, url)) });
        verdicts.extend(harmless(url));
    }
    soften(seen, &mut verdicts);
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.severity));
    let overall = verdicts.iter().map(|verdict| verdict.severity).max().unwrap_or(Severity::Error);
    Judgement { overall, verdicts }
}

fn verdict(url: &UrlSeen, code: Code, severity: Severity, cause: String, cure: &str) -> Verdict {
    let urls = vec![url.url.clone()];
    Verdict { code, severity, urls, cause, cure: cure.to_owned(), observation: told(url) }
}

/// One plain sentence on top.
fn summary(seen: &[UrlSeen]) -> Verdict {
    let turn = || seen.iter().filter(|url| url.place.is_turn);
    let working: Vec<&UrlSeen> = turn().filter(|url| url.works()).collect();
    let over = |carrier| working.iter().any(|url| url.place.carrier == carrier);
    let is_udp_tried = turn().any(|url| url.place.carrier == Carrier::Udp);
    let urls = working.iter().map(|url| url.url.clone()).collect();
    let of = |code, severity, cause: &str, cure: &str| Verdict {
        code,
        severity,
        urls,
        cause: cause.to_owned(),
        cure: cure.to_owned(),
        observation: format!("{} of {} relay URLs work from here", working.len(), turn().count()),
    };
    if turn().next().is_none() {
        return of(
            Code::NothingHandedOut,
            Severity::Error,
            "no relay URL was handed out, so that calls work only where a direct way exists",
            "set `listen` and `advertise` on the server",
        );
    }
    if working.is_empty() {
        return of(
            Code::ServerSilent,
            Severity::Error,
            "no relay works from this network: calls from here will fail, or depend on luck",
            "the findings below say where each one ends; try another network to tell this one from \
             the server",
        );
    }
    if is_udp_tried && !over(Carrier::Udp) {
        return of(
            Code::UdpBlocked,
            Severity::Warning,
            "calls work from this network, but only over TCP: sound and picture will stutter when \
             packets are lost",
            "if the network is yours, let UDP out to the server's port",
        );
    }
    of(Code::Works, Severity::Ok, "calls work from this network", "nothing is to be done")
}

/// Where there is another way, one that is closed is no error.
fn soften(seen: &[UrlSeen], verdicts: &mut [Verdict]) {
    let is_relayed = seen.iter().any(|url| url.place.is_turn && url.works());
    for verdict in verdicts.iter_mut().filter(|_| is_relayed) {
        verdict.severity = verdict.severity.min(Severity::Warning);
    }
}

/// Why a URL does not work.
fn broken(seen: &[UrlSeen], url: &UrlSeen) -> Verdict {
    let error = |code, cause: String, cure: &str| verdict(url, code, Severity::Error, cause, cure);
    if let Some(text) = lookup_error(seen, url) {
        let said = if text.is_empty() { String::new() } else { format!(": {text}") };
        return error(
            Code::DnsMissing,
            format!("the browser finds no address for {}{said}", url.place.host),
            "correct the name in `advertise`, or add its record",
        );
    }
    if let Some((_, text)) = url.page.errors.iter().find(|(code, _)| *code == NOT_TAKEN) {
        return error(
            Code::UrlRefused,
            format!("the browser does not take this URL: {text}"),
            "hand out another port: browsers block some that other services use, Firefox those of \
             mail and SSH; or correct how the URL is written",
        );
    }
    match &url.server {
        Some(server) => with_server(seen, url, server),
        None => without_server(url),
    }
}

fn with_server(seen: &[UrlSeen], url: &UrlSeen, server: &ServerSaw) -> Verdict {
    let error = |code, cause: String, cure: &str| verdict(url, code, Severity::Error, cause, cure);
    let carrier = url.place.carrier;
    if let Some(cause) = server.not_authenticated {
        return not_authenticated(url, cause);
    }
    if let Some(code) = server.refused {
        return refused(url, code);
    }
    if server.opened > 0 {
        return if url.page.relayed.is_some() {
            let cause = format!(
                "a relay was given over {}, but no call came about through it",
                carrier.code()
            );
            let cure = "look at the peers that were refused, and whether an extension of the browser \
                        interferes";
            error(Code::RelayBlocked, cause, cure)
        } else {
            let cause =
                "the server gave a relay, and the browser never heard of it: answers get lost \
                         on the way back"
                    .to_owned();
            error(
                Code::AllocateUnanswered,
                cause,
                "look for a firewall that lets only one direction through",
            )
        };
    }
    if let Some(fault) = &server.connection_fault {
        return match carrier {
            Carrier::Tls => tls(url, fault),
            Carrier::Tcp | Carrier::Udp => error(
                Code::NotStun,
                format!("a connection came, and no STUN in it: {fault}"),
                "a proxy or a virus scanner of this network speaks in between",
            ),
        };
    }
    if server.challenges > 0 {
        let cause =
            "the first request came and was answered, and no second one followed: the answer \
                     does not reach the browser"
                .to_owned();
        return error(
            Code::AllocateUnanswered,
            cause,
            "look for a firewall that lets only one direction through",
        );
    }
    if server.bindings > 0 && url.place.is_turn {
        let cause =
            "Binding came and was answered, but no Allocate: something lets STUN through and \
                     stops TURN"
                .to_owned();
        return error(
            Code::AllocateUnanswered,
            cause,
            "a firewall that inspects packets does this; TLS on port 443 gets past it",
        );
    }
    if server.unanswered > 0 {
        let cause =
            "what came is no STUN that can be answered: something changes packets on the way"
                .to_owned();
        return error(Code::Unknown, cause, "look for an ALG in the router, and switch it off");
    }
    if server.connections > 0 {
        let cause = format!("a {} connection came, and nothing was said in it", carrier.code());
        return error(
            Code::AllocateUnanswered,
            cause,
            "a proxy of this network opens connections and passes nothing on",
        );
    }
    nothing_came(seen, url)
}

/// No packet of the page reached the server.
fn nothing_came(seen: &[UrlSeen], url: &UrlSeen) -> Verdict {
    let (place, is_udp) = (&url.place, url.place.carrier == Carrier::Udp);
    let protocol = if is_udp { "UDP" } else { "TCP" };
    let others = || seen.iter().filter(|other| other.place.host == place.host && *other != url);
    let reached = |other: &UrlSeen| other.server.as_ref().is_some_and(ServerSaw::anything);
    let port = place.port;
    if let Some(other) = others().find(|other| reached(other)) {
        let code = if is_udp { Code::UdpBlocked } else { Code::TcpBlocked };
        let cause = format!(
            "no packet came over {protocol} to port {port}, while {} reached the server: that is \
             blocked on the way",
            other.url
        );
        let cure = if is_udp {
            "many office and hotel networks let no UDP out: TURN over TLS on port 443 is the way \
             around; if no network gets through, open the port in the server's firewall"
        } else {
            "open the port in the server's firewall; if other networks get through, this one blocks it"
        };
        return verdict(url, code, Severity::Error, cause, cure);
    }
    let cause = format!("no packet of yours reached the server over {protocol} at port {port}");
    let cure = "open the port in the server's firewall and in the one of its provider, and look \
                whether the name leads to this server";
    verdict(url, Code::OutsideBlocked, Severity::Error, cause, cure)
}

fn not_authenticated(url: &UrlSeen, cause: AuthFailure) -> Verdict {
    let (code, cause, cure) = match cause {
        AuthFailure::Expired { ago_s } => (
            Code::CredentialExpired,
            format!("401: the credential had expired {ago_s} s ago"),
            "start again: a test's credential lasts a minute",
        ),
        AuthFailure::WrongIntegrity => (
            Code::SecretRefused,
            "401: the password was not made with a secret of this server".to_owned(),
            "another server answers at this address, or its secrets differ: give both the same",
        ),
        AuthFailure::UnknownRealm => (
            Code::RealmUnknown,
            "401: the browser came with another realm than ours".to_owned(),
            "two servers answer at this address: let one name lead to one server",
        ),
        AuthFailure::NoSuchUser => (
            Code::CredentialRefused,
            "401: the name is not known here".to_owned(),
            "another server issued it: let one name lead to one server",
        ),
        AuthFailure::Revoked => (
            Code::CredentialRefused,
            "401: the user is revoked".to_owned(),
            "`turnbell revoke --list` shows whom",
        ),
        AuthFailure::StaleNonce => (
            Code::NonceRejected,
            "438: the nonce was not made for this address".to_owned(),
            "the network changes the browser's address from packet to packet (a NAT with several \
             addresses): TCP and TLS get past it",
        ),
    };
    verdict(url, code, Severity::Error, cause, cure)
}

fn refused(url: &UrlSeen, code: u16) -> Verdict {
    let (what, cause, cure) = match code {
        486 => (
            Code::QuotaReached,
            "486: as many relays as allowed are in use".to_owned(),
            "raise quota.per_user or quota.per_source: behind one NAT many people share a source",
        ),
        508 => (
            Code::CapacityReached,
            "508: the server has no room for another relay".to_owned(),
            "`turnbell status` says what is used up: ports, files or memory",
        ),
        300 => (
            Code::Redirected,
            "300: the server sends clients to another one".to_owned(),
            "it drains, or is full; the other one's URL should be handed out",
        ),
        440 => (
            Code::FamilyRefused,
            "440: the server has no relay address of the family that was asked for".to_owned(),
            "set relay_addresses to one of each family",
        ),
        code => (
            Code::Unknown,
            format!("the relay was refused with error {code}"),
            "look at the server's log for this moment",
        ),
    };
    verdict(url, what, Severity::Error, cause, cure)
}

fn tls(url: &UrlSeen, fault: &str) -> Verdict {
    let lower = fault.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let host = &url.place.host;
    let (code, cause, cure) = if has(&["unknownca", "unknown_ca", "unknown ca"]) {
        (
            Code::CertificateUntrusted,
            format!(
                "the browser does not trust who signed the certificate of {host} (alert unknown_ca)"
            ),
            "serve the whole chain (fullchain.pem), signed by an authority that browsers know",
        )
    } else if has(&["expired"]) {
        (
            Code::CertificateExpired,
            format!("the browser finds the certificate of {host} expired"),
            "renew it; turnbell takes a new file up by itself",
        )
    } else if has(&[
        "badcertificate",
        "bad_certificate",
        "certificateunknown",
        "certificate_unknown",
    ]) {
        (
            Code::CertificateWrongName,
            format!("the browser refuses the certificate of {host} ({fault})"),
            "it is for another name, or its chain has a gap: `turnbell verify` says which",
        )
    } else {
        (
            Code::NoTls,
            format!("TLS does not come about: {fault}"),
            "a proxy of this network speaks in between, or the port is another protocol's",
        )
    };
    verdict(url, code, Severity::Error, cause, cure)
}

/// Another's server, or nobody looked: the browser's word is all there is.
fn without_server(url: &UrlSeen) -> Verdict {
    let error = |code, cause: String, cure: &str| verdict(url, code, Severity::Error, cause, cure);
    let host = &url.place.host;
    let said = url.page.errors.iter().find(|(code, _)| (300..700).contains(code));
    match said {
        Some((401, _)) => error(
            Code::CredentialRefused,
            format!("{host} refuses the name or password (401)"),
            "correct username and credential, or the secret, in [[ice.server]]",
        ),
        Some((code, text)) => error(
            Code::Unknown,
            format!("{host} answers with error {code}: {text}"),
            "look at that server's log",
        ),
        None if url.page.relayed.is_some() => error(
            Code::RelayBlocked,
            format!("{host} gave a relay, but no call came about through it"),
            "that server may refuse its own relayed addresses as peers, or its relay ports are closed",
        ),
        None => error(
            Code::ServerSilent,
            format!("nothing came back from {host} at port {}", url.place.port),
            "that server is down, or this network blocks the way to it",
        ),
    }
}

/// A call that works, and badly.
fn quality(url: &UrlSeen) -> Option<Verdict> {
    let CallSaw { sent, received, rtt_ms, .. } = url.page.call?;
    let loss =
        (sent > 0).then(|| 100 - (u64::from(received) * 100 / u64::from(sent)).min(100) as u32);
    let note = |cause: String, cure: &str| {
        Some(verdict(url, Code::RelayPoor, Severity::Warning, cause, cure))
    };
    match (loss, rtt_ms) {
        (Some(loss), _) if loss > LOSS_BAD => note(
            format!("{loss} % of the packets through this relay are lost"),
            "a crowded network or Wi-Fi; compare with another one",
        ),
        (_, Some(rtt)) if rtt > RTT_BAD_MS => note(
            format!("a round trip through this relay takes {rtt} ms"),
            "the relay is far away, or the network is crowded",
        ),
        (_, _) => None,
    }
}

/// Peers that policy refuses are tried by every browser, and mean nothing.
fn harmless(url: &UrlSeen) -> Option<Verdict> {
    let peers = &url.server.as_ref()?.refused_peers;
    if peers.is_empty() {
        return None;
    }
    let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
    let cause = format!("permission was refused for {}: harmless", peers.join(", "));
    let cure =
        "browsers try every address of the other side; private networks are never relayed to";
    Some(verdict(url, Code::PeerRefused, Severity::Note, cause, cure))
}
