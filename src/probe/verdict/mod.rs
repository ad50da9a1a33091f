//! What the observations of a verification mean: for each thing that is wrong a stable code, a
//! sentence of cause, a sentence of cure, and what was seen. A pure function; where nothing that is
//! known explains what was seen, the verdict is that (P32).

mod code;
mod daemon;
mod network;
mod passing;
mod relay;
pub mod seen;
#[cfg(test)]
mod tests;
mod tls;

use std::net::IpAddr;

pub use code::Code;

use super::observation::{Observations, TargetSeen, Vantage};

/// How bad it is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It works.
    Ok,
    /// Nothing is wrong; something is worth knowing.
    Note,
    /// Some clients will have trouble.
    Warning,
    /// Calls fail.
    Error,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// The URLs it concerns; none: the daemon as a whole.
    pub urls: Vec<String>,
    /// Why, one sentence.
    pub cause: String,
    /// What to do, one sentence.
    pub cure: String,
    /// What was seen.
    pub observation: String,
}

/// All that was found, the worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The worst severity.
    pub overall: Severity,
    /// Never empty.
    pub verdicts: Vec<Verdict>,
}

/// What is known beside the observations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// When it is judged, Unix milliseconds.
    pub now_unix_ms: i64,
    /// Our own realm; `None` where the server is not this one.
    pub realm: Option<String>,
    /// Addresses of this machine's interfaces.
    pub own_addresses: Vec<IpAddr>,
    /// Addresses that clients are told as relayed ones.
    pub told_addresses: Vec<IpAddr>,
    /// Addresses that relay sockets are bound to.
    pub bound_addresses: Vec<IpAddr>,
    /// Why no URL is handed out.
    pub no_urls: Option<String>,
    /// Why the record is not being written.
    pub record_problem: Option<String>,
    /// What is wrong with our own certificate.
    pub certificate_problem: Option<String>,
    /// Seconds that the server's clock is ahead of ours, by its HTTP answer.
    pub clock_ahead_s: Option<i64>,
    /// What a WebSocket upgrade came to.
    pub upgrade: Option<Upgrade>,
    /// Where `/ice` answered, from another machine.
    pub asked_at: Option<IpAddr>,
    /// URLs that worked when the daemon looked at itself.
    pub worked_inside: Vec<String>,
    /// URLs that did not.
    pub failed_inside: Vec<String>,
    /// When somebody outside last had success, Unix milliseconds.
    pub proven_outside_at: Option<i64>,
}

/// What a WebSocket upgrade came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// It was granted, and a ping answered.
    Works,
    /// The server never saw that one was asked for (426), or answered as if none had been.
    Stripped(u16),
    /// There is nothing at the address of calls (404), where `/ice` is.
    Missing,
    /// It was granted, but no answer to a ping came.
    Held,
    /// Something else.
    Failed(String),
}

/// Says what the observations mean.
#[must_use]
pub fn judge(seen: &Observations, facts: &Facts) -> Judgement {
    let case = Case { seen, facts };
    let mut found = Vec::new();
    case.daemon(&mut found);
    for target in &seen.targets {
        case.name(target, &mut found);
        case.network(target, &mut found);
        case.tls(target, &mut found);
        case.relay(target, &mut found);
    }
    case.external(&mut found);
    case.unexplained(&mut found);
    let mut verdicts = gathered(found);
    let is_well = |verdict: &Verdict| verdict.severity < Severity::Warning;
    if verdicts.iter().all(is_well) && !seen.targets.is_empty() {
        verdicts.push(case.works());
        verdicts.extend(case.not_proven());
    }
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.severity));
    let overall = verdicts.iter().map(|verdict| verdict.severity).max();
    Judgement { overall: overall.unwrap_or(Severity::Error), verdicts }
}

/// What is judged.
struct Case<'a> {
    seen: &'a Observations,
    facts: &'a Facts,
}

impl Case<'_> {
    /// The other URLs of the same host.
    fn siblings<'b>(&'b self, target: &'b TargetSeen) -> impl Iterator<Item = &'b TargetSeen> {
        self.seen.targets.iter().filter(move |other| other.host == target.host && *other != target)
    }

    /// What does not work and has no verdict yet gets one that says what was seen, and no more.
    fn unexplained(&self, found: &mut Vec<Verdict>) {
        for target in self.seen.targets.iter().filter(|target| !target.works()) {
            let is_explained = |verdict: &Verdict| verdict.urls.contains(&target.url);
            if found.iter().any(is_explained) {
                continue;
            }
            let is_cut = target.ways.iter().any(seen::is_unfinished) || target.ways.is_empty();
            let (code, cause, cure) = if is_cut {
                (
                    Code::Unfinished,
                    "there was not enough time to find out".to_owned(),
                    "run it again; if it stays so, something on the way loses packets or the name \
                     server is slow",
                )
            } else {
                (
                    Code::Unknown,
                    "it does not work, and nothing that is known explains what was seen".to_owned(),
                    "look at the server's log for the moment of this run, and ask with what was seen",
                )
            };
            let severity = if is_cut { Severity::Warning } else { Severity::Error };
            found.push(self.verdict(code, severity, target, cause, cure));
        }
    }

    /// About one URL, with what was seen of it.
    fn verdict(
        &self,
        code: Code,
        severity: Severity,
        target: &TargetSeen,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Verdict {
        Verdict {
            code,
            severity,
            urls: vec![target.url.clone()],
            cause: cause.into(),
            cure: cure.into(),
            observation: seen::told(target),
        }
    }

    fn is_here(&self) -> bool {
        self.seen.vantage == Vantage::ThisMachine
    }
}

/// The same thing seen at several URLs is told once.
fn gathered(found: Vec<Verdict>) -> Vec<Verdict> {
    let mut gathered: Vec<Verdict> = Vec::new();
    for verdict in found {
        let is_same = |known: &&mut Verdict| {
            (known.code, &known.cause, &known.cure) == (verdict.code, &verdict.cause, &verdict.cure)
        };
        match gathered.iter_mut().find(is_same) {
            Some(known) => {
                let news = verdict.urls.into_iter().filter(|url| !known.urls.contains(url));
                let news: Vec<_> = news.collect();
                if !news.is_empty() {
                    known.observation = format!("{}; {}", known.observation, verdict.observation);
                    known.urls.extend(news);
                }
            }
            None => gathered.push(verdict),
        }
    }
    gathered
}

impl Severity {
    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The inverse of `code`.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let all = [Self::Ok, Self::Note, Self::Warning, Self::Error];
        all.into_iter().find(|severity| severity.code() == code)
    }
}
