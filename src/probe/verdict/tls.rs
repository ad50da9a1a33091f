//! Certificates and handshakes.

use super::{Case, Code, Severity, Verdict, seen};
use crate::probe::observation::{CertificateFacts, Fault, TargetSeen, TlsFault, Trust};

/// A certificate of at least so many days is told to end when fewer than [`SOON_DAYS`] are left:
/// whoever renews by a program does it before.
const LONG_DAYS: i64 = 30;
const SOON_DAYS: i64 = 7;
const DAY_S: i64 = 86_400;

impl Case<'_> {
    pub(super) fn tls(&self, target: &TargetSeen, found: &mut Vec<Verdict>) {
        // Families usually share a certificate: the first one that shook hands is told.
        let mut facts =
            target.ways.iter().filter(|way| !way.is_inside).filter_map(|w| w.tls.value());
        if let Some(facts) = facts.next() {
            self.certificate(target, facts, found);
        }
        let mut faults = target.ways.iter().filter_map(|way| way.tls.fault());
        if let Some(fault) = faults.next() {
            found.push(self.no_tls(target, fault));
        }
    }

    fn certificate(&self, target: &TargetSeen, facts: &CertificateFacts, found: &mut Vec<Verdict>) {
        let CertificateFacts { not_before, not_after, names, covers_name, .. } = facts;
        let (host, now) = (&target.host, self.facts.now_unix_ms.div_euclid(1000));
        let mut say = |code, severity, cause: String, cure: &str| {
            found.push(self.verdict(code, severity, target, cause, cure));
        };
        let left = not_after - now;
        if left <= 0 {
            say(
                Code::CertificateExpired,
                Severity::Error,
                format!("the certificate of {host} expired {} ago", days(-left)),
                "renew it, and have the server read it again; if it is not old at all, the clock of \
                 this machine is ahead",
            );
        } else if left < SOON_DAYS * DAY_S && not_after - not_before >= LONG_DAYS * DAY_S {
            say(
                Code::CertificateExpiresSoon,
                Severity::Warning,
                format!("the certificate of {host} ends in {}", days(left)),
                "look why it was not renewed",
            );
        }
        if now < *not_before {
            say(
                Code::CertificateNotYetValid,
                Severity::Error,
                format!("the certificate of {host} is valid in {} only", days(not_before - now)),
                "set the clock of this machine; if it is right, the certificate was made on a \
                 machine whose clock is ahead",
            );
        }
        if !covers_name {
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            say(
                Code::CertificateWrongName,
                Severity::Error,
                format!("TLS connects, but the certificate is for {names} and the URL says {host}"),
                "put a name of the certificate into the URL (`advertise`), or get a certificate for \
                 this one",
            );
        }
        let issuer = &facts.last_issuer;
        match &facts.trust {
            Trust::Root => {}
            Trust::NoRootsHere => say(
                Code::NoRootsHere,
                Severity::Note,
                "this machine has no root certificates, so nobody can say whether browsers trust \
                 the chain"
                    .to_owned(),
                "install the package ca-certificates",
            ),
            _ if facts.is_self_signed => say(
                Code::CertificateSelfSigned,
                Severity::Error,
                format!("the certificate of {host} signed itself, and browsers trust no such one"),
                "get one from a certificate authority; Let's Encrypt gives them for free",
            ),
            Trust::Incomplete => say(
                Code::CertificateIncomplete,
                Severity::Error,
                format!(
                    "the chain of {host} ends at a certificate signed by {issuer}, which was not \
                     sent and is no root of this machine"
                ),
                "serve the whole chain (fullchain.pem in place of cert.pem); if a private authority \
                 signed it, its root must be installed on every client",
            ),
            Trust::OwnRoot => say(
                Code::CertificateUntrusted,
                Severity::Warning,
                format!(
                    "the chain of {host} leads to {issuer}, a root that this machine does not know"
                ),
                "install that root on every client, or get a certificate from a public authority",
            ),
            Trust::Broken(why) => say(
                Code::CertificateUntrusted,
                Severity::Error,
                format!("the chain of {host} cannot be followed to a root: {why}"),
                "have the certificate made anew, and serve the whole chain",
            ),
        }
    }

    pub(super) fn no_tls(&self, target: &TargetSeen, fault: &Fault) -> Verdict {
        let host = &target.host;
        let (cause, cure) = match fault {
            Fault::Tls(TlsFault::NotTls) => (
                format!("what answers at the port of {} speaks no TLS", target.url),
                "put the port of a TLS listener into the URL (5349, or 443), or configure a \
                 certificate on the server"
                    .to_owned(),
            ),
            Fault::Tls(TlsFault::Alert(alert)) if alert.contains("CertificateRequired") => (
                format!("{host} wants a certificate from its clients, and browsers have none"),
                "let the TLS listener ask nobody for a certificate (nginx: ssl_verify_client off)"
                    .to_owned(),
            ),
            Fault::Tls(TlsFault::Alert(alert)) => (
                format!("{host} refuses the TLS handshake with {alert}"),
                "look at the server's log for this alert; it must have a certificate and speak \
                 TLS 1.2 or 1.3"
                    .to_owned(),
            ),
            Fault::Silent => (
                format!("{host} takes the TCP connection, but does not answer in TLS"),
                "look whether a proxy or firewall in front swallows TLS at this port".to_owned(),
            ),
            Fault::Tls(TlsFault::Other(_))
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
            | Fault::Other(_) => (
                format!("the TLS handshake with {host} fails: {}", seen::fault(fault)),
                "look at the server's log and certificate".to_owned(),
            ),
        };
        self.verdict(Code::NoTls, Severity::Error, target, cause, cure)
    }
}

/// A time for a sentence, rounded down.
pub(super) fn span(seconds: i64) -> String {
    if seconds < 120 { format!("{seconds} s") } else { days(seconds) }
}

fn days(seconds: i64) -> String {
    match seconds / DAY_S {
        0 if seconds < 7200 => format!("{} minutes", seconds / 60),
        0 => format!("{} hours", seconds / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
