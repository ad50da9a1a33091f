//! A verification by a page (P7, P8): it gets a credential of a minute and is watched, tells what it
//! saw, and hears what both sides mean together.
//!
//! - `POST /api/ice-verify/runs` begins one: `{run, ends_at, ice, urls, seen_from, bytes_max}`.
//! - `GET /api/ice-verify/runs/{id}`: what the server saw so far.
//! - `POST /api/ice-verify/runs/{id}/addresses` `{"addresses":["203.0.113.9"]}`: known by these, too.
//! - `POST /api/ice-verify/runs/{id}/report`: what the page saw; answered with the verdict, and kept
//!   under an id that can be handed on (201; 202 while the record cannot be written, and it may be
//!   kept later). A run has one report.
//! - `GET /api/ice-verify/reports/{id}`: that report.

mod body;
mod lines;
mod report;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::Edge;
use super::error::ApiError;
use super::forwarded::HttpClient;
use super::ice::{Wanted, json_body, json_body_within};
use super::json::IceConfig;
use super::watching::{CannotWatch, Sight};
use crate::auth::credential::User;
use crate::auth::secret::{hex, random_bytes};
use crate::limits::ANSWER_PATIENCE;
use crate::limits::probe::{PAGE_RUN_BYTES_MAX, VERIFY_REPORT_BODY_BYTES_MAX, VERIFY_TTL};
use crate::limits::watch::{WATCH_ADDRESSES_MAX, WATCH_TIME, WATCHES_MAX};
use crate::policy::watch::{NotWatched, WatchId, Wish};
use crate::time::Now;
pub use report::RunReport;
pub(crate) use report::shared;

/// The runs that are on. Each has a watch, whose number is bounded, and ends with it.
#[derive(Debug, Default)]
pub struct Runs {
    run_by_id: Mutex<HashMap<Box<str>, Run>>,
}

/// A page that verifies.
#[derive(Debug, Clone)]
struct Run {
    watch: WatchId,
    username: Box<str>,
    began: Now,
    until: std::time::Instant,
    urls: Vec<RunUrl>,
    /// The page's address, as far as it is known.
    client: Option<IpAddr>,
    is_reported: bool,
}

/// A URL that the page is to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RunUrl {
    url: String,
    /// Whether it is one of this daemon.
    own: bool,
}

#[derive(Serialize)]
struct Begun {
    run: String,
    /// Until when it is watched, unless it is asked for again; Unix milliseconds.
    ends_at: i64,
    ice: IceConfig,
    urls: Vec<RunUrl>,
    /// The page's address, as this server sees it.
    seen_from: Option<IpAddr>,
    /// Bytes that all its allocations may relay together; a call through two of them counts twice.
    bytes_max: u64,
}

#[derive(Deserialize)]
struct Addresses {
    addresses: Vec<IpAddr>,
}

impl Runs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Run>> {
        self.run_by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, now: Now, id: &str, run: Run) -> Result<(), ApiError> {
        let mut runs = self.lock();
        runs.retain(|_, run| run.until > now.mono);
        if runs.len() >= WATCHES_MAX {
            return Err(too_many());
        }
        runs.insert(id.into(), run);
        Ok(())
    }

    fn get(&self, now: Now, id: &str) -> Result<Run, ApiError> {
        let runs = self.lock();
        let found = runs.get(id).filter(|run| run.until > now.mono);
        found.cloned().ok_or_else(over)
    }

    /// Notes that its report came; of several, one gets through. It is read on, until it is over.
    fn report(&self, now: Now, id: &str) -> Result<(), ApiError> {
        let mut runs = self.lock();
        let run = runs.get_mut(id).filter(|run| run.until > now.mono).ok_or_else(over)?;
        if std::mem::replace(&mut run.is_reported, true) {
            let again = "this run has its report; start another one";
            return Err(ApiError::gone("run_over", again));
        }
        Ok(())
    }

    fn prolong(&self, now: Now, id: &str) {
        if let Some(run) = self.lock().get_mut(id) {
            run.until = now.mono + WATCH_TIME;
        }
    }
}

fn over() -> ApiError {
    ApiError::gone("run_over", "this run is over; start another one")
}

fn too_many() -> ApiError {
    ApiError::too_many("as many verifications as may be are running")
}

fn too_many_addresses() -> ApiError {
    let most = format!("a run has at most {WATCH_ADDRESSES_MAX} addresses, all calls together");
    ApiError::field("addresses", most)
}

/// `POST /api/ice-verify/runs`
pub(crate) async fn begin(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, _) = request.into_parts();
    let access = edge.verifier(now, &parts).await?;
    if !edge.page_may(now, &parts) {
        return Err(ApiError::too_many("this address verifies more often than pages need"));
    }
    let no_entropy = |_| ApiError::internal();
    let user = User::of_page_run().map_err(no_entropy)?;
    let vantage = edge.vantage(&parts);
    let client = client_of(&parts);
    let ttl_s = VERIFY_TTL.as_secs();
    let wanted = Wanted { user: &user, ttl_s, vantage, has_turn: true };
    let ice = edge.ice_config(now, wanted, access, client).ok_or_else(ApiError::draining)?;
    let own = edge.options().ice.own_urls(now, vantage);
    let of_server = |server: &super::json::IceServer| server.urls.clone();
    let urls: Vec<RunUrl> = ice
        .ice_servers
        .iter()
        .flat_map(of_server)
        .map(|url| RunUrl { own: own.contains(&url), url })
        .collect();
    let username = format!("{}:{}", ice.expires_at, user.as_str());
    let id = hex(&random_bytes::<16>().map_err(no_entropy)?);
    let watch = WatchId(u64::from_le_bytes(random_bytes::<8>().map_err(no_entropy)?));
    let wish = Wish {
        id: watch,
        username: username.as_str().into(),
        addresses: client.into_iter().collect(),
    };
    watch_for(&edge, now, wish).await?;
    let until = now.mono + WATCH_TIME;
    let run = Run {
        watch,
        username: username.into(),
        began: now,
        until,
        urls: urls.clone(),
        client,
        is_reported: false,
    };
    edge.runs().begin(now, &id, run)?;
    let ends_at = now.unix_ms.saturating_add_unsigned(WATCH_TIME.as_millis() as u64);
    let begun =
        Begun { run: id, ends_at, ice, urls, seen_from: client, bytes_max: PAGE_RUN_BYTES_MAX };
    Ok(private(StatusCode::CREATED, begun))
}

/// `POST /api/ice-verify/runs/{id}/addresses`
pub(crate) async fn addresses(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    edge.verifier(now, &parts).await?;
    let told: Addresses = json_body(&parts.headers, body, "`addresses` (a list)").await?;
    if told.addresses.len() > WATCH_ADDRESSES_MAX {
        return Err(too_many_addresses());
    }
    let run = edge.runs().get(now, &id)?;
    let wish = Wish { id: run.watch, username: run.username, addresses: told.addresses };
    watch_for(&edge, now, wish).await?;
    edge.runs().prolong(now, &id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/ice-verify/runs/{id}`
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    edge.verifier(now, &request.into_parts().0).await?;
    let run = edge.runs().get(now, &id)?;
    let sight = sight(&edge, now, run.watch).await?;
    Ok(private(StatusCode::OK, lines::told(&sight)))
}

/// `POST /api/ice-verify/runs/{id}/report`
pub(crate) async fn report(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let now = Now::read();
    let (parts, body) = request.into_parts();
    edge.verifier(now, &parts).await?;
    let most = VERIFY_REPORT_BODY_BYTES_MAX;
    let told: body::PageReport =
        json_body_within(most, &parts.headers, body, "`urls` (a list)").await?;
    let run = edge.runs().get(now, &id)?;
    let sight = sight(&edge, now, run.watch).await?;
    let report = report::of(now, &run, told, &sight)?;
    let verifications = edge.verifications().ok_or_else(ApiError::not_found)?;
    // One run leaves one row.
    edge.runs().report(now, &id)?;
    let is_stored = verifications.keep_shared(report.vantage, &report.report).await;
    let status = if is_stored { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    Ok(private(status, &report.report))
}

async fn watch_for(edge: &Arc<Edge>, now: Now, wish: Wish) -> Result<(), ApiError> {
    let watching = edge.watching().ok_or_else(ApiError::not_found)?.clone();
    let done = tokio::task::spawn_blocking(move || watching.open(now, wish, ANSWER_PATIENCE));
    match done.await.map_err(|_| ApiError::internal())? {
        Ok(()) => Ok(()),
        Err(CannotWatch::Full(NotWatched::TooManyAddresses)) => Err(too_many_addresses()),
        Err(CannotWatch::Full(NotWatched::TooMany)) => Err(too_many()),
        Err(CannotWatch::Relay(why)) => {
            tracing::warn!(%why, "a verification cannot be watched");
            Err(ApiError::internal())
        }
    }
}

async fn sight(edge: &Arc<Edge>, now: Now, watch: WatchId) -> Result<Sight, ApiError> {
    let watching = edge.watching().ok_or_else(ApiError::not_found)?.clone();
    let seen = tokio::task::spawn_blocking(move || watching.read(now, watch, ANSWER_PATIENCE));
    let seen = seen.await.map_err(|_| ApiError::internal())?;
    seen.map_err(|_| ApiError::internal())?.ok_or_else(over)
}

fn client_of(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<HttpClient>().map(|client| client.address)
}

fn private(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
