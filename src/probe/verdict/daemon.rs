//! The daemon as a whole: its record, certificate, clock and proxy, and what all URLs say together.

use std::net::IpAddr;
use std::time::Duration;

use super::{Case, Code, Severity, Upgrade, Verdict};
use crate::policy::public::not_public;
use crate::probe::observation::{TargetSeen, Vantage};

/// Clocks that differ by less are forgiven: credentials allow for as much.
const CLOCK_S_MAX: i64 = crate::limits::CREDENTIAL_SKEW_S;
/// A success outside counts for so long (P6).
const PROOF_MS: i64 = 30 * 24 * 3600 * 1000;

impl Case<'_> {
    pub(super) fn daemon(&self, found: &mut Vec<Verdict>) {
        if self.seen.targets.is_empty() {
            let why = self.facts.no_urls.as_ref().map_or_else(String::new, |w| format!(": {w}"));
            found.push(about(
                Code::NothingHandedOut,
                Severity::Error,
                format!("/ice hands out no URL, so no browser finds a relay{why}"),
                "let `listen` and `listen_tcp` name addresses that clients reach (0.0.0.0:3478 and \
                 [::]:3478 are all of this machine's); `turnbell check-config` on the server says more",
                "no URL",
            ));
        }
        if let Some(why) = &self.facts.record_problem {
            let is_full = ["full", "No space left"].iter().any(|word| why.contains(word));
            let (code, cure) = if is_full {
                (
                    Code::DiskFull,
                    "make room on the disk of the state directory, or lower `record.bytes_max`",
                )
            } else {
                (Code::RecordNotWritten, "look at the log of the daemon, which names the file")
            };
            let cause = format!("the record is not being written, calls go on: {why}");
            found.push(about(code, Severity::Warning, cause, cure, why));
        }
        if let Some(why) = &self.facts.certificate_problem {
            let (code, cure) = of_certificate(why);
            found.push(about(code, Severity::Error, why, cure, why));
        }
        self.relay_addresses(found);
        if let Some(ahead) = self.facts.clock_ahead_s.filter(|ahead| ahead.abs() > CLOCK_S_MAX) {
            let by = super::tls::span(ahead.abs());
            let word = if ahead > 0 { "ahead of" } else { "behind" };
            found.push(about(
                Code::ClockOff,
                Severity::Error,
                format!("the clock of the server is {by} {word} the one of this machine, and credentials end by the clock"),
                "set the one that is wrong (timedatectl set-ntp true)",
                format!("the server's HTTP answer is dated {by} {word} this machine's clock"),
            ));
        }
        match &self.facts.upgrade {
            None | Some(Upgrade::Works) => {}
            Some(Upgrade::Stripped(status)) => found.push(about(
                Code::UpgradesStripped,
                Severity::Error,
                "the proxy in front does not pass WebSocket upgrades, so pages cannot ring",
                "in nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
                 proxy_set_header Connection upgrade;",
                format!("a WebSocket upgrade was answered with {status}"),
            )),
            Some(Upgrade::Missing) => found.push(about(
                Code::UpgradesStripped,
                Severity::Error,
                "/ice is there, but the address of calls beside it, /v1/ws, is not (404), so pages cannot ring",
                "let the proxy pass all paths to turnbell, not /ice alone (nginx: location /)",
                "a WebSocket upgrade was answered with 404",
            )),
            Some(Upgrade::Held) => found.push(about(
                Code::ProxyBuffers,
                Severity::Error,
                "the upgrade to WebSocket is granted, but frames do not pass: something in front holds them back",
                "switch buffering off in the proxy (nginx: proxy_buffering off) and let it keep idle connections",
                "a WebSocket ping was not answered",
            )),
            Some(Upgrade::Failed(why)) => found.push(about(
                Code::Unknown,
                Severity::Warning,
                format!("a WebSocket did not come about: {why}"),
                "look at the logs of the proxy and of the daemon",
                why,
            )),
        }
    }

    /// Whether what we relay on is still there.
    fn relay_addresses(&self, found: &mut Vec<Verdict>) {
        for ip in self.gone() {
            let (cause, cure) = gone(ip);
            let seen = format!("no interface has {ip}");
            found.push(about(Code::RelayAddressGone, Severity::Error, cause, cure, seen));
        }
    }

    /// Relay addresses that no interface has.
    pub(super) fn gone(&self) -> impl Iterator<Item = IpAddr> {
        let own = &self.facts.own_addresses;
        let is_gone = |ip: &&IpAddr| !own.is_empty() && !own.contains(ip) && !ip.is_unspecified();
        self.facts.bound_addresses.iter().filter(is_gone).copied()
    }

    /// What others see of us beside what clients are told.
    pub(super) fn external(&self, found: &mut Vec<Verdict>) {
        if !self.is_here() {
            return;
        }
        let seen_as =
            self.seen.targets.iter().filter(|target| !target.is_ours).flat_map(|target| {
                target.ways.iter().filter_map(move |way| Some((target, way.binding.value()?.ip())))
            });
        for (target, public) in seen_as {
            let told = self.facts.told_addresses.iter().filter(|t| t.is_ipv4() == public.is_ipv4());
            let told: Vec<_> = told.collect();
            // An address of ours that another one is told for is no second line, it is the same one.
            let is_ours = self.facts.own_addresses.contains(&public);
            let is_translated = self.facts.bound_addresses.contains(&public);
            let is_known = told.contains(&&public) || is_ours && !is_translated;
            let (Some(first), true) = (told.first(), not_public(public).is_none() && !is_known)
            else {
                continue;
            };
            let (code, cause) = if not_public(**first).is_some() {
                (
                    Code::RelayAddressPrivate,
                    format!(
                        "clients are told {first}, which nobody outside can send to; {} sees this machine as {public}",
                        target.host
                    ),
                )
            } else {
                (
                    Code::ExternalAddressStale,
                    format!(
                        "clients are told {first}, but {} sees this machine as {public}",
                        target.host
                    ),
                )
            };
            let cure = if is_ours {
                format!(
                    "remove `external`: {public} is this machine's own address, no NAT is in front of it"
                )
            } else {
                format!(
                    "write external = [\"{public}\"] (behind a NAT \"{public}/PRIVATE\"), or external_stun to have it followed"
                )
            };
            found.push(self.verdict(code, Severity::Warning, target, cause, cure));
        }
    }

    pub(super) fn works(&self) -> Verdict {
        let targets = &self.seen.targets;
        let trips = targets.iter().flat_map(|t| t.ways.iter().filter_map(|w| w.relayed.value()));
        let fastest =
            trips.min().map_or_else(String::new, |trip| format!(", round trip {}", ms(*trip)));
        let count = match targets.len() {
            1 => "the one URL works".to_owned(),
            count => format!("all {count} URLs work"),
        };
        let whence = match self.seen.vantage {
            Vantage::ThisMachine => "on this machine",
            Vantage::AnotherMachine => "from this machine",
            Vantage::Browser => "from this browser",
        };
        Verdict {
            code: Code::Works,
            severity: Severity::Ok,
            urls: targets.iter().map(|target| target.url.clone()).collect(),
            cause: format!("{count} {whence}{fastest}"),
            cure: "nothing is to be done".to_owned(),
            observation: targets.iter().map(summary).collect::<Vec<_>>().join("; "),
        }
    }

    /// P6: a packet to one's own address never leaves the machine.
    pub(super) fn not_proven(&self) -> Option<Verdict> {
        let age = self.facts.proven_outside_at.map(|at| self.facts.now_unix_ms.saturating_sub(at));
        let is_proven = age.is_some_and(|age| age <= PROOF_MS);
        (self.is_here() && !is_proven).then(|| {
            about(
                Code::NotProvenOutside,
                Severity::Note,
                "works on this machine; not yet proven from outside, for packets to one's own \
                 address pass no firewall of a provider",
                "open the link of `turnbell verify --link` on a phone without Wi-Fi, or run `turnbell \
                 verify https://YOUR-HOST` on another machine",
                "no success from another machine or a browser in the last 30 days",
            )
        })
    }
}

/// Cause and cure where a relay address is on no interface.
pub(super) fn gone(ip: IpAddr) -> (String, &'static str) {
    (
        format!(
            "the relay address {ip} is not on this machine any more, so nobody gets one of its ports"
        ),
        "bring its interface up again, or correct `relay_addresses` (and `external`) and restart \
         turnbell",
    )
}

/// The sentence is the certificate's own; which of its faults it names decides.
fn of_certificate(why: &str) -> (Code, &'static str) {
    let has = |words: &str| why.contains(words);
    if has("expired") {
        let cure =
            "renew it (certbot renew, or what made it); turnbell reads the new one by itself";
        (Code::CertificateExpired, cure)
    } else if has("is valid in") {
        let cure = "set the clock of this machine (timedatectl set-ntp true); if it is right, the \
                    certificate was made on a machine whose clock is ahead";
        (Code::CertificateNotYetValid, cure)
    } else if has("certificate covers") {
        let cure = "name a host of the certificate in `advertise`, or get one for the host that \
                    stands there";
        (Code::CertificateWrongName, cure)
    } else {
        let cure = "correct the files of tls.cert and tls.key, which are read again by themselves; \
                    `turnbell check-config` tells more";
        (Code::CertificateUnreadable, cure)
    }
}

fn about(
    code: Code,
    severity: Severity,
    cause: impl Into<String>,
    cure: impl Into<String>,
    observation: impl Into<String>,
) -> Verdict {
    let (cause, cure, observation) = (cause.into(), cure.into(), observation.into());
    Verdict { code, severity, urls: Vec::new(), cause, cure, observation }
}

fn summary(target: &TargetSeen) -> String {
    let trip = target.ways.iter().find_map(|way| way.relayed.value());
    let trip = trip.map_or_else(|| "answers".to_owned(), |trip| format!("relays in {}", ms(*trip)));
    format!("{} {trip}", target.url)
}

fn ms(trip: Duration) -> String {
    format!("{:.1} ms", trip.as_secs_f64() * 1000.0)
}
