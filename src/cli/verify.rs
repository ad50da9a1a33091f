//! `turnbell verify`: tries every URL that `/ice` hands out, from the daemon or from here, and says
//! what is wrong and what to do.

use std::fmt::Write as _;

use clap::Args;

use super::ask::{self, Format, Question};
use super::banner::wrapped;
use super::verify_remote::Remote;
use super::{CouldNotRun, print, verify_link};
use crate::config::Config;
use crate::edge::control::{self, ControlError};
use crate::edge::control_json::{Request, Response};
use crate::edge::verification::VerifyAnswer;
use crate::edge::verify_json::{
    CertificateWord, StepWord, VerdictWord, VerifiedUrl, VerifiedWay, VerifyReport,
};
use crate::limits::probe::{VERIFY_ANSWER_PATIENCE, VERIFY_PATIENCE};
use crate::ops::log::printable;
use crate::ops::state_directory::CONTROL_SOCKET;
use crate::probe::verdict::Code;
use crate::time::utc::utc;

#[derive(Debug, Args)]
#[command(after_help = "\
Without an address the daemon that runs here verifies itself: it uses each URL as a browser would,
over UDP, TCP and TLS, and sends a datagram through the relay and back. That proves little about the
outside: with an address, the same is done from here with what that server's /ice hands out. Run it on
another machine; no config is needed there. Or have a browser prove it: --link prints a link (and, in a
terminal, a QR code) that opens the page /ice-verify for a day, for a phone or for the user who says
that calls fail. Its key stands behind the `#`, which browsers send to no server, and opens nothing
else; `turnbell key list` shows it, `turnbell key revoke` takes it back.

Examples:
  turnbell verify                                          on the server
  turnbell verify --link                                   for a phone, or for a user
  turnbell verify https://calls.example.org --key tbk_...  on a laptop elsewhere
  turnbell verify -v                                       every step, with times

Exit code 0 if no error was found, 1 if one was, 2 if it could not run.")]
pub(super) struct Verify {
    /// Address of a turnbell's HTTP side, for a verification from here
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// API key for that server's /ice
    #[arg(
        long,
        value_name = "KEY",
        requires = "url",
        env = "TURNBELL_KEY",
        hide_env_values = true
    )]
    key: Option<String>,
    /// Token of a user, in place of a key
    #[arg(long, value_name = "TOKEN", requires = "url", conflicts_with = "key")]
    token: Option<String>,
    /// Print a link that lets somebody verify in a browser, for 24 hours
    #[arg(long, conflicts_with_all = ["url", "verbose"])]
    link: bool,
    /// Tell every step on every way
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    format: Format,
}

impl Verify {
    pub(super) fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        let Self { url, key, token, link, verbose, format } = self;
        if link {
            return Question { request: Request::VerifyLink { fresh: true }, format }
                .ask(&config()?);
        }
        let mut outside = None;
        let (report, note) = match url {
            Some(url) => Remote { url, is_key: key.is_some(), bearer: key.or(token) }
                .verify()
                .map_err(CouldNotRun)?,
            None => {
                let config = config().map_err(|error| CouldNotRun(error.to_string()))?;
                let report = by_daemon(&config).map_err(CouldNotRun)?;
                if !format.is_json() && is_to_be_proven(&report) {
                    outside = link_to_prove(&config);
                }
                (report, None)
            }
        };
        if format.is_json() {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            let outside = outside.map_or_else(String::new, |link| format!("\n{link}"));
            print(&(shown(&report, verbose) + &outside))?;
        }
        if let Some(note) = note {
            super::note(&note);
        }
        if report.verdict == "error" {
            anyhow::bail!("{}", printable(&report.summary));
        }
        Ok(())
    }
}

/// Has the daemon verify, and waits for it.
fn by_daemon(config: &Config) -> Result<VerifyReport, String> {
    let socket = config.state_directory.join(CONTROL_SOCKET);
    let asks = VERIFY_PATIENCE.as_secs() * 2 / VERIFY_ANSWER_PATIENCE.as_secs() + 1;
    for ask in 0..=asks {
        let response = control::call(&socket, &Request::Verify { fresh: ask == 0 });
        let answer = match response {
            Ok(Response::Verified(answer)) => *answer,
            Ok(Response::Error(error)) => return Err(error.message.into_owned()),
            Ok(_) => return Err("the turnbell that runs answers something else".to_owned()),
            Err(ControlError::NotRunning(_)) => {
                return Err(format!(
                    "{}; to verify a server from here: turnbell verify https://HOST",
                    ask::not_running(config)
                ));
            }
            Err(error) => return Err(error.to_string()),
        };
        let VerifyAnswer { running, report, problem, last: _ } = answer;
        match (running, report, problem) {
            (true, _, _) => {}
            (false, _, Some(problem)) => return Err(problem),
            (false, Some(report), None) => return Ok(report),
            (false, None, None) => return Err("the verification ended without a result".to_owned()),
        }
    }
    Err("the verification does not come to an end; the log of the daemon may say why".to_owned())
}

/// Whether all is well as far as this machine can tell, and nobody else told (P6).
fn is_to_be_proven(report: &VerifyReport) -> bool {
    let code = Code::NotProvenOutside.word();
    report.verdict != "error" && report.verdicts.iter().any(|verdict| verdict.code == code)
}

/// How a browser proves it; `None` where the record keeps no key, and the rest is as true.
fn link_to_prove(config: &Config) -> Option<String> {
    let socket = config.state_directory.join(CONTROL_SOCKET);
    match control::call(&socket, &Request::VerifyLink { fresh: false }) {
        Ok(Response::VerifyLink(link)) => Some(verify_link::to_be_opened(&link)),
        Ok(_) | Err(_) => None,
    }
}

/// The answer of the control socket, as it is.
pub(super) fn shown_answer(answer: &VerifyAnswer) -> String {
    match &answer.report {
        Some(report) => shown(report, false),
        None => "no verification has ended yet\n".to_owned(),
    }
}

/// The verdict first, then a line for each URL.
fn shown(report: &VerifyReport, verbose: bool) -> String {
    let VerifyReport { vantage, verdict, started_at, took_ms, verdicts, urls, .. } = report;
    let head = match verdict.as_str() {
        "ok" => "WORKS",
        "note" => "WORKS, with a note",
        "warning" => "WORKS FOR SOME",
        _ if urls.iter().any(|url| url.works) => "DOES NOT ALL WORK",
        _ => "DOES NOT WORK",
    };
    let whence = printable(vantage).replace('_', " ");
    let mut text = format!("{head} (seen from {whence}, {} UTC, {took_ms})\n", utc(*started_at));
    for VerdictWord { code, severity, urls, cause, cure, observation } in verdicts {
        let mark = mark(severity);
        text.push('\n');
        let cause = format!("{}  [{}]", printable(cause), printable(code));
        text.push_str(&wrapped(&format!("{mark} "), "  ", &cause));
        if severity != "ok" {
            text.push_str(&wrapped("  -> ", "     ", &printable(cure)));
        }
        if verbose || code == "unknown" {
            text.push_str(&wrapped("  seen: ", "        ", &printable(observation)));
        }
        if verbose {
            for url in urls {
                let _ = writeln!(text, "  at {}", printable(url));
            }
        }
    }
    if !urls.is_empty() {
        text.push('\n');
    }
    for url in urls {
        text.push_str(&one_url(url, verbose));
    }
    text
}

fn mark(severity: &str) -> &'static str {
    match severity {
        "ok" => "✓",
        "note" => "i",
        "warning" => "!",
        _ => "✗",
    }
}

fn one_url(url: &VerifiedUrl, verbose: bool) -> String {
    let VerifiedUrl { url, works, round_trip_ms, resolved, dns_problem, ways, .. } = url;
    let mark = if *works { "✓" } else { "✗" };
    let trip = round_trip_ms.map_or_else(String::new, |trip| format!("  {trip}"));
    let mut text = format!("{mark} {}{trip}\n", printable(url));
    if let Some(problem) = dns_problem {
        let _ = writeln!(text, "    name: {}", printable(problem));
    }
    if !verbose {
        return text;
    }
    if let Some(addresses) = resolved {
        let _ = writeln!(text, "    name: {}", printable(&addresses.join(", ")));
    }
    for VerifiedWay { address, inside, steps, certificate } in ways {
        let inside = if *inside { " (inside)" } else { "" };
        let _ = writeln!(text, "    {}{inside}", printable(address));
        for StepWord { step, ok, took_ms, fault: _, detail } in steps {
            let mark = match ok {
                Some(true) => "✓",
                Some(false) => "✗",
                None => "?",
            };
            let took = took_ms.map_or_else(String::new, |took| took.to_string());
            let line =
                format!("      {mark} {:<15}{took:>9}  {}", printable(step), printable(detail));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(CertificateWord { names, expires_at, chain_length, trust, .. }) = certificate {
            let _ = writeln!(
                text,
                "        certificate for {}, until {} UTC, {chain_length} in the chain, {}",
                printable(&names.join(", ")),
                utc(*expires_at),
                printable(trust).replace('_', " ")
            );
        }
    }
    text
}
