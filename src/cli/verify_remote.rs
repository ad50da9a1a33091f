//! `turnbell verify https://...`: asks that server's `/ice` and tries from here what it hands out.

use std::net::IpAddr;

use serde::Deserialize;

use crate::auth::secret::Secret;
use crate::edge::verification::VerifyAnswer;
use crate::edge::verify_json::VerifyReport;
use crate::limits::probe::VERIFY_SENT_BYTES_MAX;
use crate::ops::prober::roots::Roots;
use crate::ops::web::{Answer, Web};
use crate::ops::{interfaces, prober, resolve};
use crate::probe::observation::Vantage;
use crate::probe::target::{Guard, Login, Place, Target};
use crate::probe::verdict::{Facts, judge};
use crate::probe::verify::Plan;
use crate::time::Now;

/// Another turnbell.
pub(super) struct Remote {
    pub(super) url: String,
    /// Whether `bearer` is an API key, which may send a report along.
    pub(super) is_key: bool,
    pub(super) bearer: Option<String>,
}

/// What `/ice` answers, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Handed {
    #[serde(rename = "iceServers")]
    ice_servers: Vec<HandedServer>,
}

#[derive(Debug, Deserialize)]
struct HandedServer {
    urls: Urls,
    username: Option<String>,
    credential: Option<String>,
}

/// Some servers write a single one without a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    All(Vec<String>),
}

impl Remote {
    /// The report, and a sentence about what became of it.
    ///
    /// # Errors
    /// Why it could not run, one sentence.
    pub(super) fn verify(self) -> Result<(VerifyReport, Option<String>), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let done = runtime.block_on(self.run());
        // A resolver that hangs is left behind.
        runtime.shutdown_background();
        done
    }

    async fn run(self) -> Result<(VerifyReport, Option<String>), String> {
        let Self { url, is_key, bearer } = self;
        let bearer_given = bearer.is_some();
        let roots = Roots::of_system();
        let web = Web::new(&url, bearer, roots.clone())?;
        let before = Now::read();
        let answer = web.ask("/ice", None).await?;
        let asked_s = (before.unix_s() + Now::read().unix_s()) / 2;
        let handed = read(&url, &answer, bearer_given)?;
        let here = interfaces::all().unwrap_or_default();
        let is_here = answer.from.is_loopback() || here.iter().any(|a| a.address == answer.from);
        let vantage = if is_here { Vantage::ThisMachine } else { Vantage::AnotherMachine };
        let itself = self_report(&web).await;
        let own: Vec<_> = itself.iter().flat_map(|report| &report.urls).filter(|u| u.own).collect();
        let is_ours = |url: &str, place: &Place| match itself {
            Some(_) => own.iter().any(|known| known.url == url),
            None => place.host == web.host(),
        };
        let targets = targets(&handed, is_here, is_ours)?;
        let plan = Plan { vantage, targets, guard: guard(is_here, answer.from) };
        let seen = prober::run(plan, &resolve::system(), &roots)
            .await
            .map_err(|error| format!("the verification did not run: {error}"))?;
        let facts = Facts {
            now_unix_ms: Now::read().unix_ms,
            clock_ahead_s: answer.date_unix_s.map(|date| date - asked_s),
            upgrade: Some(web.upgrade("/v1/ws").await),
            asked_at: Some(answer.from).filter(|_| !is_here),
            worked_inside: own.iter().filter(|u| u.works).map(|u| u.url.clone()).collect(),
            failed_inside: own.iter().filter(|u| !u.works).map(|u| u.url.clone()).collect(),
            ..Facts::default()
        };
        let report = VerifyReport::of(&seen, &judge(&seen, &facts));
        let note = if is_key && !is_here { Some(sent(&web, &report).await) } else { None };
        Ok((report, note))
    }
}

/// A server told by a stranger must lead to the outside, or back to him; one that is here may lead
/// anywhere, for whoever runs it is asking.
fn guard(is_here: bool, from: IpAddr) -> Guard {
    if is_here { Guard::Configured } else { Guard::ToldBy(from) }
}

fn read(url: &str, answer: &Answer, has_bearer: bool) -> Result<Handed, String> {
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|error| {
            format!(
                "{url}/ice answers something that is no ICE config ({error}); is that the address of \
                 a turnbell, and does the proxy in front lead to it?"
            )
        }),
        status @ (401 | 403) if has_bearer => Err(format!(
            "{url}/ice refuses the key or token ({status}): it is wrong, has ended or is for other \
             things (`turnbell key list` there shows the keys), or a proxy takes the Authorization \
             header off"
        )),
        401 | 403 => Err(format!(
            "{url}/ice asks who is there ({}): give --key (made there by `turnbell key add NAME`) \
             or --token",
            answer.status
        )),
        404 => Err(format!("there is no /ice at {url}; is that the address of a turnbell?")),
        status @ (502..=504) => Err(format!(
            "{url}/ice answers {status}: a proxy is there, and the turnbell behind it does not answer; \
             look whether it runs, and whether the proxy leads to an address in `http.listen`"
        )),
        400 => Err(format!("{url}/ice answers 400; is that port for https:// (or http://)?")),
        status => Err(format!("{url}/ice answers {status}; the server's log may say why")),
    }
}

fn targets(
    handed: &Handed,
    is_here: bool,
    is_ours: impl Fn(&str, &Place) -> bool,
) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for HandedServer { urls, username, credential } in &handed.ice_servers {
        let urls = match urls {
            Urls::One(url) => std::slice::from_ref(url),
            Urls::All(urls) => urls.as_slice(),
        };
        let login = username.as_ref().zip(credential.as_ref()).map(|(username, credential)| {
            Login { username: username.clone(), password: Secret::new(credential.clone()) }
        });
        for url in urls {
            let short: String = url.chars().take(200).collect();
            let place = Place::parse(url)
                .ok_or_else(|| format!("/ice hands out {short:?}, which no browser takes"))?;
            targets.push(Target {
                url: url.clone(),
                is_ours: is_ours(url, &place),
                login: login.clone().filter(|_| place.is_turn),
                later_login: None,
                inside: Vec::new(),
                is_tried_directly: place.is_turn && !is_here,
                place,
            });
        }
    }
    Ok(targets)
}

/// What the server sees of itself at this moment, if it tells us.
async fn self_report(web: &Web) -> Option<VerifyReport> {
    let answer = web.ask("/api/ice-verify", Some(b"{}".to_vec())).await.ok()?;
    serde_json::from_slice::<VerifyAnswer>(&answer.body).ok()?.report
}

/// Lets the server know what it looks like from here; a sentence about what came of it.
async fn sent(web: &Web, report: &VerifyReport) -> String {
    let mut short = VerifyReport { urls: Vec::new(), ..report.clone() };
    for verdict in &mut short.verdicts {
        verdict.observation.clear();
    }
    let mut body = serde_json::to_vec(&short).unwrap_or_default();
    while body.len() > VERIFY_SENT_BYTES_MAX && short.verdicts.pop().is_some() {
        body = serde_json::to_vec(&short).unwrap_or_default();
    }
    match web.ask("/api/ice-verify/reports", Some(body)).await {
        Ok(Answer { status: 201, .. }) => "the server keeps this result".to_owned(),
        Ok(Answer { status, .. }) => format!("the server does not keep this result ({status})"),
        Err(why) => format!("the server does not keep this result: {why}"),
    }
}
