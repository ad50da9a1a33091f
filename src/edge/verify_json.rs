//! A verification as JSON: the same over HTTP, over the control socket and in the record.
//!
//! Words in `code`, `verdict`, `severity`, `step` and `fault` stay; sentences may change. Members may
//! be added.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::probe::VERIFY_LARGE_BYTES;
use crate::probe::observation::{
    CertificateFacts, Observations, Resolution, Step, TargetSeen, Trust, WaySeen,
};
use crate::probe::verdict::{Judgement, Verdict, seen};

/// What a run saw, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// From where: `this_machine`, `another_machine` or `browser`.
    pub vantage: String,
    /// The worst severity: `ok`, `note`, `warning` or `error`.
    pub verdict: String,
    /// The worst verdict's cause.
    pub summary: String,
    /// When it began.
    pub started_at: i64,
    /// How long it took.
    pub took_ms: Ms,
    /// What was found, the worst first.
    pub verdicts: Vec<VerdictWord>,
    /// What was seen, one per URL in the order of `/ice`.
    #[serde(default)]
    pub urls: Vec<VerifiedUrl>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictWord {
    /// What it is.
    pub code: String,
    /// `ok`, `note`, `warning` or `error`.
    pub severity: String,
    /// The URLs it concerns; none: the daemon as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Why, one sentence.
    pub cause: String,
    /// What to do, one sentence.
    pub cure: String,
    /// What was seen.
    #[serde(default)]
    pub observation: String,
}

/// What was seen of one URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedUrl {
    /// As it is handed out.
    pub url: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Whether it is one of this daemon.
    pub own: bool,
    /// Whether all that was asked for works on one way at least.
    pub works: bool,
    /// The fastest round trip through the relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<Ms>,
    /// Addresses of its name; absent if it is an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Vec<String>>,
    /// Why the name has no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_problem: Option<String>,
    /// One per family.
    pub ways: Vec<VerifiedWay>,
}

/// What was seen on the way to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedWay {
    /// Where it leads.
    pub address: String,
    /// Whether it is the listener itself, tried because the public address did not answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inside: bool,
    /// What was tried, in order.
    pub steps: Vec<StepWord>,
    /// What the certificate says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateWord>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepWord {
    /// `connect`, `tls`, `binding`, `allocate`, `allocate_later`, `permission`, `relayed`, `direct`
    /// or `release`.
    pub step: String,
    /// Whether it worked; absent if the time ran out on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<Ms>,
    /// Why it failed, as a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What it brought, or why it failed, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateWord {
    /// For whom, the first few.
    pub names: Vec<String>,
    /// Whether the host of the URL is among them.
    pub covers_name: bool,
    /// Its end, Unix milliseconds.
    pub expires_at: i64,
    /// Certificates that were sent.
    pub chain_length: usize,
    /// `root`, `incomplete`, `self_signed`, `own_root`, `no_roots_here` or `broken`.
    pub trust: String,
}

/// A time in milliseconds, with its fraction in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ms(Duration);

/// The last verification, for `/healthz` and `turnbell status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationHealth {
    /// From where.
    pub vantage: String,
    /// When.
    pub at: i64,
    /// `ok`, `note`, `warning` or `error`.
    pub verdict: String,
    /// The worst verdict's cause.
    pub summary: String,
}

impl VerifyReport {
    /// Both sides of a run.
    #[must_use]
    pub fn of(seen: &Observations, judged: &Judgement) -> Self {
        Self {
            vantage: seen.vantage.code().to_owned(),
            verdict: judged.overall.code().to_owned(),
            summary: judged.verdicts.first().map(|v| v.cause.clone()).unwrap_or_default(),
            started_at: seen.started_at_unix_ms,
            took_ms: Ms(seen.took),
            verdicts: judged.verdicts.iter().map(VerdictWord::from).collect(),
            urls: seen.targets.iter().map(VerifiedUrl::from).collect(),
        }
    }

    /// What `turnbell status` shows of it.
    #[must_use]
    pub fn health(&self) -> VerificationHealth {
        VerificationHealth {
            vantage: self.vantage.clone(),
            at: self.started_at,
            verdict: self.verdict.clone(),
            summary: self.summary.clone(),
        }
    }
}

impl From<&Verdict> for VerdictWord {
    fn from(verdict: &Verdict) -> Self {
        let Verdict { code, severity, urls, cause, cure, observation } = verdict;
        Self {
            code: code.word().to_owned(),
            severity: severity.code().to_owned(),
            urls: urls.clone(),
            cause: cause.clone(),
            cure: cure.clone(),
            observation: observation.clone(),
        }
    }
}

impl From<&TargetSeen> for VerifiedUrl {
    fn from(target: &TargetSeen) -> Self {
        let (resolved, dns_problem) = match &target.resolution {
            Resolution::Literal => (None, None),
            Resolution::Pending => (None, Some("the name server had not answered".to_owned())),
            Resolution::Found { addresses, took: _ } => {
                (Some(addresses.iter().map(ToString::to_string).collect()), None)
            }
            Resolution::Failed(fault) => (None, Some(seen::dns(fault))),
        };
        let trips = target.ways.iter().filter(|way| !way.is_inside);
        let trips = trips.filter_map(|way| way.relayed.value());
        Self {
            url: target.url.clone(),
            transport: target.carrier.code().to_owned(),
            own: target.is_ours,
            works: target.works(),
            round_trip_ms: trips.min().copied().map(Ms),
            resolved,
            dns_problem,
            ways: target.ways.iter().map(VerifiedWay::from).collect(),
        }
    }
}

impl From<&WaySeen> for VerifiedWay {
    fn from(way: &WaySeen) -> Self {
        let yes = |came| if came { "arrives" } else { "does not arrive" };
        let steps = [
            word("connect", &way.open, |()| String::new()),
            word("tls", &way.tls, |facts| format!("certificate for {}", facts.names.join(", "))),
            word("binding", &way.binding, |at| format!("we are seen as {at}")),
            word("allocate", &way.allocate, |got| format!("relayed address {}", got.relayed)),
            word("allocate_later", &way.later, |got| format!("relayed address {}", got.relayed)),
            word("permission", &way.permit, |()| String::new()),
            word("relayed", &way.relayed, |trip| format!("there and back in {}", Ms(*trip))),
            word("relayed_large", &way.large, |()| format!("{VERIFY_LARGE_BYTES} bytes")),
            word("direct", &way.direct, |d| {
                format!("to the relay port {}, from it {}", yes(d.inbound), yes(d.outbound))
            }),
            word("release", &way.release, |()| String::new()),
        ];
        Self {
            address: way.address.to_string(),
            inside: way.is_inside,
            steps: steps.into_iter().flatten().collect(),
            certificate: way.tls.value().map(CertificateWord::from),
        }
    }
}

fn word<T>(name: &str, step: &Step<T>, detail: impl Fn(&T) -> String) -> Option<StepWord> {
    let (ok, took, fault, detail) = match step {
        Step::NotTried => return None,
        Step::Unfinished => (None, None, None, "not finished".to_owned()),
        Step::Done { value, took } => (Some(true), Some(*took), None, detail(value)),
        Step::Failed { fault, took } => {
            (Some(false), Some(*took), Some(fault.code().to_owned()), seen::fault(fault))
        }
    };
    Some(StepWord { step: name.to_owned(), ok, took_ms: took.map(Ms), fault, detail })
}

impl From<&CertificateFacts> for CertificateWord {
    fn from(facts: &CertificateFacts) -> Self {
        let trust = match &facts.trust {
            Trust::Root => "root",
            Trust::NoRootsHere => "no_roots_here",
            Trust::Incomplete | Trust::OwnRoot | Trust::Broken(_) if facts.is_self_signed => {
                "self_signed"
            }
            Trust::Incomplete => "incomplete",
            Trust::OwnRoot => "own_root",
            Trust::Broken(_) => "broken",
        };
        Self {
            names: facts.names.clone(),
            covers_name: facts.covers_name,
            expires_at: facts.not_after.saturating_mul(1000),
            chain_length: facts.chain_length,
            trust: trust.to_owned(),
        }
    }
}

impl std::fmt::Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_secs_f64() * 1000.0;
        if ms < 10.0 { write!(f, "{ms:.1} ms") } else { write!(f, "{ms:.0} ms") }
    }
}

impl Serialize for Ms {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Microseconds are as fine as it is measured.
        to.serialize_f64(self.0.as_micros() as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Ms {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const DAY_MS: f64 = 86_400_000.0;
        let ms = f64::deserialize(from)?;
        // NaN, too, is no time.
        let ms = if (0.0..=DAY_MS).contains(&ms) { ms } else { 0.0 };
        Ok(Self(Duration::from_micros((ms * 1000.0).round() as u64)))
    }
}
