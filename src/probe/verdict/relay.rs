//! Logins, allocations, and what passes through them.

use super::{Case, Code, Severity, Verdict};
use crate::policy::public::not_public;
use crate::probe::observation::{Direct, Fault, Step, TargetSeen, WaySeen};
use crate::probe::target::Carrier;

impl Case<'_> {
    pub(super) fn relay(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        for way in target.ways.iter().filter(|way| !way.is_inside) {
            if let Some(fault) = way.binding.fault().filter(|_| !way.allocate.is_done()) {
                found.extend(self.spoken(target, fault, true));
            }
            if let Some(fault) = way.allocate.fault() {
                found.extend(self.spoken(target, fault, false));
                found.extend(self.refused(target, way, fault));
            }
            if let Some(fault) = way.permit.fault() {
                found.extend(self.not_permitted(target, fault));
            }
            self.relayed(target, way, found);
        }
    }

    /// What came is not what a server would say.
    fn spoken(&self, target: &TargetSeen, fault: &Fault, is_binding: bool) -> Option<Verdict> {
        let host = &target.host;
        let (code, cause, cure) = match fault {
            Fault::NotStun => (
                Code::NotStun,
                format!("something answers at {}, but it is no STUN server", target.url),
                "put the port of the STUN/TURN listener into the URL; another program holds this one",
            ),
            Fault::Closed => (
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
            | Fault::NotPublic(_)
            | Fault::Error { .. }
            | Fault::OtherRealm(_)
            | Fault::NoChallenge
            | Fault::Empty
            | Fault::StrangeAddress(_)
            | Fault::Tls(_)
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
            Fault::Error { code: 508, .. } => capacity(host),
            Fault::Error { code: code @ (440 | 442), .. } => (
                Code::FamilyRefused,
                format!("{host} relays no UDP of the family that was asked for (error {code})"),
                "give the server a relay address of this family".to_owned(),
            ),
            Fault::NoChallenge => (
                Code::Unknown,
                format!(
                    "{host} answers an Allocate without asking for a login as a TURN server does"
                ),
                "look at the server's authentication settings".to_owned(),
            ),
            Fault::Silent => (
                Code::AllocateUnanswered,
                format!("{host} answers Binding, but not Allocate"),
                "look whether the server relays at all (coturn: stun-only), or drops requests of \
                 this address"
                    .to_owned(),
            ),
            Fault::NotBack
            | Fault::Refused
            | Fault::Unreachable
            | Fault::NoFamily
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
                format!("the credential for {host} ended {ago} s ago"),
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
                 use-auth-secret); a secret that was replaced may still stand in one of the two",
            );
        }
        error(
            Code::CredentialRefused,
            format!("{host} refuses the user name or the password"),
            "correct `username` and `credential` of this server",
        )
    }

    fn not_permitted(&self, target: &TargetSeen, fault: &Fault) -> Option<Verdict> {
        let host = &target.host;
        let (code, cause, cure) = match fault {
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
            | Fault::NotPublic(_)
            | Fault::Closed
            | Fault::NotStun
            | Fault::Error { .. }
            | Fault::OtherRealm(_)
            | Fault::Redirected(_)
            | Fault::NoChallenge
            | Fault::Forged
            | Fault::Empty
            | Fault::Flooded
            | Fault::StrangeAddress(_)
            | Fault::Tls(_)
            | Fault::Other(_) => return None,
        };
        Some(self.verdict(code, Severity::Error, target, cause, cure))
    }

    /// What passes through an allocation.
    fn relayed(&self, target: &TargetSeen, way: &WaySeen, found: &mut Vec<Verdict>) {
        let Some(allocated) = way.allocate.value() else { return };
        let (host, server, relayed) = (&target.host, way.address.ip(), allocated.relayed.ip());
        let mut say = |code, severity, cause: String, cure: &str| {
            found.push(self.verdict(code, severity, target, cause, cure));
        };
        if let Some(range) = not_public(relayed).filter(|_| not_public(server).is_none()) {
            say(
                Code::RelayAddressPrivate,
                Severity::Error,
                format!(
                    "{host} is reached at {server}, but tells clients {relayed} ({range}), which \
                         nobody outside can send to"
                ),
                "write the public address into `external` (coturn: external-ip)",
            );
        }
        let is_elsewhere = server != relayed
            && server.is_ipv4() == relayed.is_ipv4()
            && not_public(relayed).is_none()
            && not_public(server).is_none();
        let direct = way.direct.value();
        let passes = direct.is_some_and(|direct| direct.inbound && direct.outbound);
        let is_shut = direct.is_some_and(|direct| !direct.inbound && !direct.outbound);
        let is_lost = matches!(way.relayed.fault(), Some(Fault::Silent | Fault::NotBack));
        if is_shut && is_elsewhere {
            say(
                Code::ExternalAddressStale,
                Severity::Error,
                format!(
                    "{host} is reached at {server}, but tells clients {relayed}, and nothing \
                         arrives there"
                ),
                "write the address that is right into `external` (coturn: external-ip), or \
                 external_stun to have it followed",
            );
        } else if is_lost && passes {
            say(
                Code::HairpinMissing,
                Severity::Warning,
                format!(
                    "{host} relays to others, but not between two of its own relayed addresses"
                ),
                "the NAT in front of it does not lead packets from inside back in (hairpin): tell the \
                 server its private address, too (coturn: external-ip=PUBLIC/PRIVATE)",
            );
        } else if is_lost {
            say(
                Code::RelayBlocked,
                Severity::Error,
                format!("{host} makes allocations, but what is sent through them does not arrive"),
                "open the relay ports (UDP 49152-65535, unless the server says otherwise) in its \
                 firewall and in the one of its provider",
            );
        } else if let Some(Direct { inbound, outbound }) = direct.filter(|_| !passes) {
            let what = match (inbound, outbound) {
                (false, false) => "no datagram passes between here and its relay ports",
                (false, true) => "no datagram from here arrives at its relay ports",
                (true, _) => "datagrams from its relay ports do not arrive here",
            };
            say(
                Code::RelayBlocked,
                Severity::Error,
                format!("{host} makes allocations, but {what}"),
                "open the relay ports (UDP 49152-65535, unless the server says otherwise) in its \
                 firewall and in the one of its provider; a network here that lets out few UDP \
                 ports looks the same",
            );
        }
        if let Some(Fault::Error { code: 403, .. }) = way.direct.fault() {
            say(
                Code::PeerRefused,
                Severity::Note,
                format!(
                    "{host} does not relay to the address of this machine; harmless, for \
                         clients with public addresses are not concerned"
                ),
                "nothing is to be done; `turnbell explain peer ADDRESS` says which rule decides",
            );
        }
    }
}

fn quota(host: &str) -> (Code, String, String) {
    (
        Code::QuotaReached,
        format!("the user has as many allocations on {host} as one may have"),
        "raise the quota (`quota.per_user`; coturn: user-quota), or wait until old ones have ended"
            .to_owned(),
    )
}

fn capacity(host: &str) -> (Code, String, String) {
    (
        Code::CapacityReached,
        format!("{host} has no room for another allocation"),
        "widen its port range (`relay_ports`; coturn: min-port, max-port), raise its limits, or wait"
            .to_owned(),
    )
}
