//! Both sides of a page's run in one report, and what it means.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::body::{CallReport, PageReport, UrlReport};
use super::lines::{self, LineWord};
use super::{Run, client_of, private};
use crate::auth::credential::AuthFailure;
use crate::auth::secret::{hex, random_bytes};
use crate::edge::Edge;
use crate::edge::error::ApiError;
use crate::edge::verify_json::VerdictWord;
use crate::edge::watching::{Noted, Opened, Sight};
use crate::limits::probe::{VERIFY_ERRORS_MAX, VERIFY_TEXT_BYTES_MAX};
use crate::policy::public::not_public;
use crate::policy::watch::Certainty;
use crate::probe::page::{CallSaw, PageSaw, ServerSaw, UrlSeen, judge};
use crate::probe::target::{Carrier, Place};
use crate::probe::verdict::Code;
use crate::time::Now;
use crate::turn::fact::Transport;
use crate::turn::watch::What;
use crate::wire::message::Method;

/// A report of both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Under what it is read again.
    pub report: String,
    /// The worst severity: `ok`, `note`, `warning` or `error`.
    pub verdict: String,
    /// The worst verdict's cause.
    pub summary: String,
    /// When the run began.
    pub started_at: i64,
    /// How long it took, milliseconds, as the page says.
    pub took_ms: u32,
    /// What was found, the worst first.
    pub verdicts: Vec<VerdictWord>,
    /// What the page saw.
    urls: Vec<UrlReport>,
    /// What the server saw.
    server: Vec<LineWord>,
    /// Name and version of the browser.
    browser: String,
    /// Whether sound came from a microphone; null if nobody tried.
    microphone: Option<bool>,
}

/// A report, and where it stands in the record.
pub(super) struct Kept {
    pub(super) vantage: &'static str,
    pub(super) report: RunReport,
}

pub(super) fn of(now: Now, run: &Run, told: PageReport, sight: &Sight) -> Result<Kept, ApiError> {
    let shared_as = hex(&random_bytes::<16>().map_err(|_| ApiError::internal())?);
    let is_asked = |report: &UrlReport| run.urls.iter().any(|url| url.url == report.url);
    let mut urls: Vec<UrlReport> = told.urls.into_iter().filter(is_asked).collect();
    urls.dedup_by(|a, b| a.url == b.url);
    urls.truncate(run.urls.len());
    urls.iter_mut().for_each(bound);
    if urls.is_empty() {
        let none = "urls must name at least one URL of this run, as it was handed out";
        return Err(ApiError::field("urls", none));
    }
    let seen: Vec<UrlSeen> = urls.iter().filter_map(|url| both_sides(run, url, sight)).collect();
    let judged = judge(&seen);
    let mut browser = told.browser;
    cut(&mut browser);
    let report = RunReport {
        report: shared_as,
        verdict: judged.overall.code().to_owned(),
        summary: judged.verdicts.first().map(|v| v.cause.clone()).unwrap_or_default(),
        started_at: run.began.unix_ms,
        took_ms: told
            .took_ms
            .min(u32::try_from((now.unix_ms - run.began.unix_ms).max(0)).unwrap_or(0)),
        verdicts: judged.verdicts.iter().map(VerdictWord::from).collect(),
        urls,
        server: sight.events.iter().map(lines::line).collect(),
        browser,
        microphone: told.microphone,
    };
    let vantage = if is_proof(run, sight) { "browser" } else { "browser_here" };
    Ok(Kept { vantage, report })
}

/// Whether this run says something about the world outside: a page's word is not enough for that,
/// but its credential was seen to come from there.
fn is_proof(run: &Run, sight: &Sight) -> bool {
    let from_outside = |address: IpAddr| not_public(address).is_none();
    run.client.is_some_and(from_outside)
        && sight.events.iter().any(|(certainty, noted)| match noted {
            Noted::Message(event) => {
                *certainty == Certainty::Certain
                    && matches!(event.what, What::Opened { .. })
                    && from_outside(event.client.ip())
            }
            Noted::Connection(_) => false,
        })
}

fn both_sides(run: &Run, report: &UrlReport, sight: &Sight) -> Option<UrlSeen> {
    let place = Place::parse(&report.url)?;
    let own = run.urls.iter().any(|url| url.url == report.url && url.own);
    let server = own.then(|| server_saw(sight, place.carrier));
    Some(UrlSeen { url: report.url.clone(), place, page: page_saw(report), server })
}

fn page_saw(report: &UrlReport) -> PageSaw {
    PageSaw {
        mapped: report.mapped,
        relayed: report.relayed,
        errors: report.errors.iter().map(|error| (error.code, error.text.clone())).collect(),
        gathered_ms: report.gathered_ms.map(u128::from),
        call: report.call.map(|call| CallSaw {
            is_connected: call.connected,
            rtt_ms: call.rtt_ms.map(whole),
            sent: call.sent,
            received: call.received,
            kbit_s: call.kbit_s.map(whole),
        }),
    }
}

/// Negative and NaN become 0.
fn whole(number: f32) -> u32 {
    number.round() as u32
}

fn server_saw(sight: &Sight, carrier: Carrier) -> ServerSaw {
    let mut saw = ServerSaw::default();
    for (_, noted) in &sight.events {
        match noted {
            Noted::Message(event) if carrier_of(event.transport) == carrier => {
                count(&mut saw, &event.what);
            }
            Noted::Connection(connection)
                if carrier == if connection.is_tls { Carrier::Tls } else { Carrier::Tcp } =>
            {
                match &connection.end {
                    // The page itself came this way.
                    Opened::Http => {}
                    Opened::Turn => saw.connections += 1,
                    Opened::Failed(why) => {
                        saw.connections += 1;
                        saw.connection_fault = Some(why.to_string());
                    }
                    Opened::Silent => saw.connections += 1,
                }
            }
            Noted::Message(_) | Noted::Connection(_) => {}
        }
    }
    // The browser asks again with the new nonce by itself.
    if saw.opened > 0 && saw.not_authenticated == Some(AuthFailure::StaleNonce) {
        saw.not_authenticated = None;
    }
    saw
}

fn count(saw: &mut ServerSaw, what: &What) {
    match what {
        What::Bound => saw.bindings += 1,
        What::Challenged(_) => saw.challenges += 1,
        What::NotAuthenticated { cause, .. } => saw.not_authenticated = Some(*cause),
        What::Refused { method, code, .. } if *method == Method::ALLOCATE => {
            saw.refused = Some(*code)
        }
        What::Refused { code: 403, peers, .. } => {
            for ip in peers.iter().map(SocketAddr::ip) {
                if !saw.refused_peers.contains(&ip) {
                    saw.refused_peers.push(ip);
                }
            }
        }
        What::Refused { .. } | What::Done(_) => {}
        What::Opened { .. } => saw.opened += 1,
        What::Ended { traffic, .. } => {
            saw.packets += traffic.packets_to_peers + traffic.packets_to_client;
        }
        What::Unanswered(_) => saw.unanswered += 1,
    }
}

fn carrier_of(transport: Transport) -> Carrier {
    match transport {
        Transport::Udp => Carrier::Udp,
        Transport::Tcp => Carrier::Tcp,
        Transport::Tls => Carrier::Tls,
    }
}

/// Nothing of a page is kept beyond bounds.
fn bound(url: &mut UrlReport) {
    url.errors.truncate(VERIFY_ERRORS_MAX);
    url.errors.iter_mut().for_each(|error| cut(&mut error.text));
    if let Some(CallReport { sent, received, .. }) = &mut url.call {
        *received = (*received).min(*sent);
    }
}

fn cut(text: &mut String) {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= VERIFY_TEXT_BYTES_MAX);
    let end = end.last().unwrap_or(0);
    text.truncate(end);
}

/// `GET /api/ice-verify/reports/{id}`: whoever has the id may read it; addresses but his own are
/// shortened for who is no admin (P8).
pub(crate) async fn shared(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let now = Now::read();
    let who = edge.identify(now, &edge.options(), &parts);
    let sees_all = who.is_ok_and(|who| who.is_admin());
    if !sees_all && !edge.page_may(now, &parts) {
        return Err(ApiError::too_many("this address asks for more than pages need"));
    }
    let verifications = edge.verifications().ok_or_else(ApiError::not_found)?.clone();
    let found = tokio::task::spawn_blocking(move || verifications.shared(&id));
    let found = found.await.map_err(|_| ApiError::internal())?;
    let text = found.map_err(|_| ApiError::store_unavailable())?;
    let text =
        text.ok_or_else(|| ApiError::gone("no_such_report", "there is no such report (any more)"))?;
    let mut report: RunReport = serde_json::from_str(&text).map_err(|_| ApiError::internal())?;
    if !sees_all {
        report.shorten(client_of(&parts));
    }
    Ok(private(StatusCode::OK, report))
}

impl RunReport {
    /// Addresses of the page become networks, but for the reader's `own`.
    fn shorten(&mut self, own: Option<IpAddr>) {
        let is_own = |ip: IpAddr| own == Some(ip);
        for mapped in self.urls.iter_mut().filter_map(|url| url.mapped.as_mut()) {
            if !is_own(mapped.ip()) {
                *mapped = SocketAddr::new(network(mapped.ip()), 0);
            }
        }
        for verdict in &mut self.verdicts {
            verdict.observation.clear();
            if verdict.code == Code::PeerRefused.word() {
                let shortened = networks(&verdict.cause, own);
                // The worst one's is on top, too.
                if self.summary == verdict.cause {
                    self.summary.clone_from(&shortened);
                }
                verdict.cause = shortened;
            }
        }
        for line in &mut self.server {
            line.text = networks(&line.text, own);
            let from = line.from.parse::<SocketAddr>().ok();
            if !from.is_some_and(|from| is_own(from.ip())) {
                line.from = from.map_or_else(String::new, |from| network(from.ip()).to_string());
            }
        }
    }
}

/// Addresses without a port, which are those that a page named as peers, become networks.
fn networks(text: &str, own: Option<IpAddr>) -> String {
    let shortened = text.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ':', ';', '.']);
        match bare.parse::<IpAddr>() {
            Ok(ip) if own != Some(ip) => format!("{}{}", network(ip), &word[bare.len()..]),
            Ok(_) | Err(_) => word.to_owned(),
        }
    });
    shortened.collect::<Vec<_>>().join(" ")
}

/// Its /24, or its /48.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & 0xFFFF_FF00).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 80)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: &str = "203.0.113.9:4711";
    const OWN: &str = "198.51.100.7:4711";

    fn report() -> RunReport {
        let line = |from: &str, text: &str| {
            serde_json::json!({"at": 1, "certainty": "certain", "from": from, "transport": "udp",
                "code": "peer_refused", "text": text})
        };
        let refused =
            "permission was refused for 192.168.1.7, 198.51.100.7, 2001:db8:1:2::3: harmless";
        let verdict = |code: &str, cause: &str| {
            serde_json::json!({"code": code, "severity": "note", "cause": cause, "cure": "",
                "observation": "it came from 203.0.113.9"})
        };
        serde_json::from_value(serde_json::json!({
            "report": "r", "verdict": "note", "summary": refused, "started_at": 1, "took_ms": 1,
            "verdicts": [verdict("peer_refused", refused), verdict("works", "calls work")],
            "urls": [{"url": "turn:192.0.2.1", "mapped": OTHER}, {"url": "turn:192.0.2.2", "mapped": OWN}],
            "server": [line(OTHER, "a relay was given: 192.0.2.1:50000"), line(OWN, refused)],
            "browser": "", "microphone": null,
        }))
        .unwrap()
    }

    #[test] // P8
    fn a_reader_who_is_no_admin_sees_networks_but_for_his_own_address() {
        let mut shown = report();
        shown.shorten(Some("198.51.100.7".parse().unwrap()));
        let text = serde_json::to_string(&shown).unwrap();
        for hidden in ["203.0.113.9", "192.168.1.7", "2001:db8:1:2::3"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
        let refused =
            "permission was refused for 192.168.1.0, 198.51.100.7, 2001:db8:1::: harmless";
        assert_eq!((&*shown.summary, &*shown.verdicts[0].cause), (refused, refused));
        assert_eq!(shown.urls[0].mapped, "203.0.113.0:0".parse().ok());
        assert_eq!(shown.urls[1].mapped, OWN.parse().ok());
        let from: Vec<&str> = shown.server.iter().map(|line| &*line.from).collect();
        assert_eq!(from, ["203.0.113.0", OWN]);
        // What is the server's own stays what it is.
        assert_eq!(shown.server[0].text, "a relay was given: 192.0.2.1:50000");
        let mut of_nobody = report();
        of_nobody.shorten(None);
        assert!(!serde_json::to_string(&of_nobody).unwrap().contains("198.51.100.7"));
    }
}
