//! Logins, allocations, and what passes through them.

use std::net::IpAddr;

use super::{Case, Code, Severity, Verdict};
use crate::policy::public::not_public;
use crate::probe::observation::{Fault, Step, TargetSeen, WaySeen};
use crate::probe::target::Carrier;

impl Case<'_> {
    pub(super) fn relay(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        for way in target.ways.iter().filter(|way| !way.is_inside) {
            if let Some(fault) = way.binding.fault().filter(|_| !way.allocate.is_done()) {
                found.extend(self.spoken(target, way, fault));
            }
            if let Some(fault) = way.allocate.fault() {
                // What came to a Binding and an Allocate alike is told once.
                if way.binding.fault() != Some(fault) {
                    found.extend(self.spoken(target, way, fault));
                }
                found.extend(self.refused(target, way, fault));
            }
            if let Some(fault) = way.permit.fault() {
                found.extend(self.not_permitted(target, way, fault));
            }
            self.relayed(target, way, found);
        }
    }

    /// What came is not what a server would say.
    fn spoken(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Option<Verdict> {
        let host = &target.host;
        let is_binding = !way.binding.is_done();
        let (code, cause, cure) = match fault {
            Fault::NotStun => (
                Code::NotStun,
                format!("something answers at {}, but it is no STUN server", target.url),
                "put the port of the STUN/TURN listener into the URL; another program holds this one",
            ),
            Fault::Tls(_) => return Some(self.no_tls(target, fault)),
            Fault::Closed if is_binding => (
                Code::NotStun,
                format!("{host} closes the connection when STUN is spoken at {}", target.url),
                "put the port of the STUN/TURN listener into the URL; a proxy that passes only HTTP \
                 does this, too",
            ),
            Fault::Silent if is_binding && target.carrier != Carrier::Udp => (
                Code::NotStun,
                format!("{host} takes the connection at {}, but answers no STUN there", target.url),
                "put the port of the STUN/TURN listener into the URL; a proxy that waits for \
                 something else looks the same",
            ),
            Fault::Flooded => (
                Code::Flooded,
                format!("{host} sends more than any STUN server would"),
                "look what answers at this port",
            ),
            Fault::Forged => (
                Code::Forged,
                format!(
                    "answers come from {host} whose signature is wrong: whoever wrote them does \
                         not have the secret"
                ),
                "look whether something on the way changes packets (an ALG of a router does), or \
                 answers in the server's place",
            ),
            Fault::Redirected(to) => {
                let to = to.map_or_else(|| "another one".to_owned(), |to| to.to_string());
                let cause = format!("{host} sends clients to {to}; nobody was followed there");
                let cure = "hand out that server's URL, or end the redirect (`alternate`, a drain)";
                return Some(self.verdict(
                    Code::Redirected,
                    Severity::Warning,
                    target,
                    cause,
                    cure,
                ));
            }
            Fault::NotBack
            | Fault::Refused
            | Fault::Unreachable
            | Fault::NoFamily
            | Fault::Forbidden
            | Fault::NotPublic(_)
            | Fault::Error { .. }
            | Fault::OtherRealm(_)
            | Fault::NoChallenge
            | Fault::OpenRelay
            | Fault::Empty
            | Fault::StrangeAddress(_)
            | Fault::Closed
            | Fault::Other(_)
            | Fault::Silent => return None,
        };
        Some(self.verdict(code, Severity::Error, target, cause, cure))
    }

    /// An Allocate that was refused.
    fn refused(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Option<Verdict> {
        let host = &target.host;
        let (code, cause, cure) = match fault {
            Fault::Error { code: 401 | 441, realm } => {
                return Some(self.unauthenticated(target, way, realm));
            }
            Fault::OtherRealm(realm) => (
                Code::RealmUnknown,
                format!("{host} asks for the realm it named, and then for {realm}"),
                "give the server one realm; behind one address two servers with different realms \
                 may stand"
                    .to_owned(),
            ),
            Fault::Error { code: 438, .. } => (
                Code::NonceRejected,
                format!("{host} refuses the nonce that it gave a moment before"),
                "a balancer sends each packet to another server: keep clients with one, or share \
                 the nonce secret"
                    .to_owned(),
            ),
            Fault::Error { code: 486, .. } => quota(host),
            Fault::Error { code: 508, .. } => match self.gone().next().filter(|_| target.is_ours) {
                Some(ip) => {
                    let (cause, cure) = super::daemon::gone(ip);
                    (Code::RelayAddressGone, cause, cure.to_owned())
                }
                None => capacity(host),
            },
            Fault::Error { code: 440, .. } => (
                Code::FamilyRefused,
                format!("{host} relays nothing over IPv4 (error 440)"),
                "give the server a relay address of this family".to_owned(),
            ),
            Fault::Error { code: 442, .. } => (
                Code::RelayingOff,
                format!("{host} does not relay UDP, which all media is sent over (error 442)"),
                "switch relaying over UDP on (coturn: remove no-udp-relay)".to_owned(),
            ),
            Fault::OpenRelay => (
                Code::OpenRelay,
                format!(
                    "{host} makes allocations for anybody, without a login: strangers can send their traffic through it"
                ),
                "switch authentication on (coturn: remove no-auth, set use-auth-secret, \
                 static-auth-secret and realm); nothing more was tried there"
                    .to_owned(),
            ),
            Fault::NoChallenge => (
                Code::RealmUnknown,
                format!(
                    "{host} asks for a login, but names no realm, without which nobody can log in"
                ),
                "give the server a realm (coturn: realm=example.org)".to_owned(),
            ),
            Fault::Silent | Fault::Closed if way.binding.is_done() => (
                Code::AllocateUnanswered,
                if *fault == Fault::Closed {
                    format!("{host} answers Binding, and closes the connection at an Allocate")
                } else {
                    format!("{host} answers Binding, but not Allocate")
                },
                "look whether the server relays at all (coturn: stun-only), or whether \
                 something on the way drops its larger packets"
                    .to_owned(),
            ),
            Fault::NotBack
            | Fault::Silent
            | Fault::Refused
            | Fault::Unreachable
            | Fault::NoFamily
            | Fault::Forbidden
            | Fault::NotPublic(_)
            | Fault::Closed
            | Fault::NotStun
            | Fault::Error { .. }
            | Fault::Redirected(_)
            | Fault::Forged
            | Fault::Empty
            | Fault::Flooded
            | Fault::StrangeAddress(_)
            | Fault::Tls(_)
            | Fault::Other(_) => return None,
        };
        Some(self.verdict(code, Severity::Error, target, cause, cure))
    }

    fn unauthenticated(&self, target: &TargetSeen, way: &WaySeen, realm: &str) -> Verdict {
        let host = &target.host;
        let error = |code, cause: String, cure: &str| {
            self.verdict(code, Severity::Error, target, cause, cure)
        };
        let now = self.facts.now_unix_ms.div_euclid(1000);
        if let Some(ago) = target.credential_ends.map(|ends| now - ends).filter(|ago| *ago > 0) {
            return error(
                Code::CredentialExpired,
                format!("the credential for {host} ended {} ago", super::tls::span(ago)),
                "have a new one made; a fixed `username` that begins with a time must be replaced \
                 by the `secret` it was made with",
            );
        }
        if way.later.is_done() {
            return error(
                Code::ClockOff,
                format!(
                    "{host} refuses a credential that is good for a minute, and takes one of the same \
                     secret that is good for long: its clock is ahead of the one here"
                ),
                "set the clock that is wrong (timedatectl set-ntp true)",
            );
        }
        let is_other = |own: &String| !realm.is_empty() && own != realm;
        if target.is_ours && self.facts.realm.as_ref().is_some_and(is_other) {
            return error(
                Code::OtherServer,
                format!("at {} another server answers: its realm is {realm}", way.address),
                "let the name and the forwarded port lead to this machine, or end that server",
            );
        }
        if self.leads_elsewhere(target, way) {
            return error(
                Code::DnsWrong,
                format!(
                    "{host} leads to {}, which is no address of this machine, and the server \
                         there does not know our secret",
                    way.address.ip()
                ),
                "correct the record of that name",
            );
        }
        if target.is_ours || !matches!(way.later, Step::NotTried) {
            return error(
                Code::SecretRefused,
                format!(
                    "{host} refuses a credential that was just made: its secret is another one"
                ),
                "write the same secret here and there (coturn: static-auth-secret with \
                 use-auth-secret); a secret that was replaced may still stand in one of the two, and a space or a \
                 quote at its end counts",
            );
        }
        error(
            Code::CredentialRefused,
            format!("{host} refuses the user name or the password"),
            "correct `username` and `credential` of this server",
        )
    }

    fn not_permitted(&self, target: &TargetSeen, way: &WaySeen, fault: &Fault) -> Option<Verdict> {
        let host = &target.host;
        let relayed = way.allocate.value().map(|allocated| allocated.relayed.ip());
        let (code, cause, cure) = match fault {
            // Where it tells a private address that is told, and this follows from it.
            Fault::Error { code: 403, .. } if is_private_at_public(relayed, way) => {
                return None;
            }
            Fault::Error { code: 403, .. } => {
                let cause = format!("{host} allows no relaying between its own clients");
                let cure = "allow the server's own relay address as a peer; two clients that both \
                            need the relay cannot talk otherwise";
                return Some(self.verdict(
                    Code::PeerRefused,
                    Severity::Warning,
                    target,
                    cause,
                    cure,
                ));
            }
            Fault::Error { code: 486, .. } => quota(host),
            Fault::Error { code: 508, .. } => capacity(host),
            Fault::Silent
            | Fault::NotBack
            | Fault::Refused
            | Fault::Unreachable
            | Fault::NoFamily
            | Fault::Forbidden
            | Fault::NotPublic(_)
            | Fault::Closed
            | Fault::NotStun
            | Fault::Error { .. }
            | Fault::OtherRealm(_)
            | Fault::Redirected(_)
            | Fault::NoChallenge
            | Fault::OpenRelay
            | Fault::Forged
            | Fault::Empty
            | Fault::Flooded
            | Fault::StrangeAddress(_)
            | Fault::Tls(_)
            | Fault::Other(_) => return None,
        };
        Some(self.verdict(code, Severity::Error, target, cause, cure))
    }
}

/// A server that is reached at a public address and relays on a private one.
fn is_private_at_public(relayed: Option<IpAddr>, way: &WaySeen) -> bool {
    relayed.is_some_and(|ip| not_public(ip).is_some()) && not_public(way.address.ip()).is_none()
}

fn quota(host: &str) -> (Code, String, String) {
    (
        Code::QuotaReached,
        format!("{host} refuses another allocation: a quota is used up (error 486)"),
        "raise `quota.per_user` and `quota.per_source`, which is by itself a quarter of \
         `relay_ports` (coturn: user-quota, total-quota), or wait until old allocations have ended"
            .to_owned(),
    )
}

fn capacity(host: &str) -> (Code, String, String) {
    (
        Code::CapacityReached,
        format!("{host} says that it has no room for another allocation (error 508)"),
        "widen its port range (`relay_ports`; coturn: min-port, max-port) or raise its limits; if \
         hardly anybody uses it, the address it relays on is none of its own (`relay_addresses`; \
         coturn: relay-ip)"
            .to_owned(),
    )
}
