//! `/diagnostics`: the page, the JSON behind it, and what is measured as it comes (P9, P20).

pub mod capacity;
pub mod json;
pub mod judge;
pub mod ring;

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::access::bearer;
use super::error::ApiError;
use super::page_keys::{PageKeys, is_of_a_link};
use super::{Edge, page};
use crate::limits::diagnose::{
    DASHBOARD_PAGE_TTL, DIAGNOSTICS_AGE_MAX, DIAGNOSTICS_STREAMS_MAX, STREAM_COMMENT_EVERY,
};
use crate::time::Now;
use json::Diagnostics;
use ring::{Ring, Sample, Totals};

/// Finds everything out; waits for the relay and the record.
pub type Probe = Arc<dyn Fn(Now, &Lately) -> Diagnostics + Send + Sync>;

/// What was measured lately.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lately {
    /// The last sample.
    pub latest: Option<Sample>,
    /// Counters at the beginning of the last hour.
    pub an_hour_ago: Option<Totals>,
}

/// Everything behind the page.
pub struct Diagnosing {
    probe: Probe,
    ring: Mutex<Ring>,
    /// Whoever reads waits for whoever finds out.
    found: Mutex<Option<(Instant, Arc<Diagnostics>)>>,
    samples: watch::Sender<Option<Sample>>,
    streams: Arc<Semaphore>,
    is_over: AtomicBool,
    /// Of links that `turnbell dashboard` prints, and of the pages they open.
    pub keys: PageKeys,
}

impl Diagnosing {
    /// Finds out by this probe.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            ring: Mutex::default(),
            found: Mutex::default(),
            samples: watch::Sender::new(None),
            streams: Arc::new(Semaphore::new(DIAGNOSTICS_STREAMS_MAX)),
            is_over: AtomicBool::new(false),
            keys: PageKeys::default(),
        }
    }

    /// Takes a reading in, and tells it to all pages.
    pub fn note(&self, totals: Totals) {
        let sample = self.ring().push(totals);
        if sample.is_some() {
            self.samples.send_replace(sample);
        }
    }

    /// Everything, at most [`DIAGNOSTICS_AGE_MAX`] old. Waits.
    #[must_use]
    pub fn read(&self, now: Now) -> Arc<Diagnostics> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, known)) = &*found
            && now.mono.saturating_duration_since(*at) < DIAGNOSTICS_AGE_MAX
        {
            return Arc::clone(known);
        }
        let ring = self.ring();
        let lately = Lately { latest: ring.latest(), an_hour_ago: ring.an_hour_ago().cloned() };
        drop(ring);
        let fresh = Arc::new((self.probe)(now, &lately));
        *found = Some((now.mono, Arc::clone(&fresh)));
        fresh
    }

    /// Ends all streams, so that nothing keeps the daemon from ending.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.samples.send_modify(|_| {});
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/diagnostics`: the page for who takes HTML, else JSON.
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let mut response = if takes_html(&parts.headers) {
        page::html("/diagnostics")
    } else {
        answer(edge, &parts).await.into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// `/api/diagnostics`.
pub(crate) async fn api(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    answer(edge, &parts).await
}

/// `POST /api/diagnostics/open`: the key of a page for the key of a link.
pub(crate) async fn open(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let now = Now::read();
    let diagnosing = edge.diagnosing().ok_or_else(ApiError::internal)?;
    let link = bearer(&parts.headers).unwrap_or_default();
    let key = diagnosing.keys.open(now, link).map_err(|_| ApiError::internal())?;
    let key = key.ok_or_else(|| edge.refused(now, &parts, used_link()))?;
    let ttl_ms = i64::try_from(DASHBOARD_PAGE_TTL.as_millis()).unwrap_or(i64::MAX);
    let opened = Opened { key: key.expose(), expires_at: now.unix_ms.saturating_add(ttl_ms) };
    Ok((NO_STORE, Json(opened)).into_response())
}

#[derive(Serialize)]
struct Opened<'a> {
    key: &'a str,
    expires_at: i64,
}

/// `/api/diagnostics/stream`: what was measured, and what is, as it comes.
pub(crate) async fn stream(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    admit(&edge, &parts)?;
    let diagnosing = Arc::clone(edge.diagnosing().ok_or_else(ApiError::internal)?);
    let place = Arc::clone(&diagnosing.streams).try_acquire_owned();
    let place = place.map_err(|_| ApiError::crowded())?;
    let told = Told { samples: diagnosing.samples.subscribe(), diagnosing, place, begun: false };
    let events = futures_util::stream::unfold(told, Told::next);
    const HEADERS: [(HeaderName, &str); 3] = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        // nginx would keep events back until its buffer is full.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((HEADERS, Body::from_stream(events)).into_response())
}

/// What one page is told.
struct Told {
    diagnosing: Arc<Diagnosing>,
    samples: watch::Receiver<Option<Sample>>,
    /// Held for as long as the page listens.
    #[expect(dead_code, reason = "dropped with the rest")]
    place: OwnedSemaphorePermit,
    begun: bool,
}

impl Told {
    /// The next bytes of the stream; `None`: the daemon ends.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            event(&mut text, "history", &self.diagnosing.ring().history());
        } else {
            match timeout(STREAM_COMMENT_EVERY, self.samples.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
            }
            if self.diagnosing.is_over.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(sample) = *self.samples.borrow_and_update() {
                event(&mut text, "sample", &sample);
            }
        }
        let diagnosing = Arc::clone(&self.diagnosing);
        let found = tokio::task::spawn_blocking(move || diagnosing.read(Now::read())).await;
        if let Ok(found) = found {
            event(&mut text, "diagnostics", &*found);
        }
        Some((Ok(Bytes::from(text)), self))
    }
}

/// One event. JSON on one line holds no line end.
fn event(text: &mut String, name: &str, data: &impl Serialize) {
    if let Ok(data) = serde_json::to_string(data) {
        let _ = write!(text, "event: {name}\ndata: {data}\n\n");
    }
}

const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

async fn answer(edge: Arc<Edge>, parts: &Parts) -> Result<Response, ApiError> {
    admit(&edge, parts)?;
    let diagnosing = Arc::clone(edge.diagnosing().ok_or_else(ApiError::internal)?);
    let found = tokio::task::spawn_blocking(move || diagnosing.read(Now::read())).await;
    let found = found.map_err(|_| ApiError::internal())?;
    Ok((NO_STORE, Json(&*found)).into_response())
}

/// Admins: a page that was opened by a link, a key, or a truly local request.
fn admit(edge: &Edge, parts: &Parts) -> Result<(), ApiError> {
    let now = Now::read();
    let key = bearer(&parts.headers);
    if key.is_some_and(is_of_a_link) {
        return Err(edge.refused(now, parts, unopened_link()));
    }
    let keys = edge.diagnosing().map(|diagnosing| &diagnosing.keys);
    if key.is_some_and(|key| keys.is_some_and(|keys| keys.passes(now, key))) {
        return Ok(());
    }
    edge.admin(now, parts)
}

fn takes_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|list| list.split(',').any(|kind| kind.trim().starts_with("text/html")))
}

fn used_link() -> ApiError {
    ApiError::unauthorized(
        "this link was opened before, or is older than ten minutes",
        "`turnbell dashboard` makes a new one",
    )
}

fn unopened_link() -> ApiError {
    ApiError::unauthorized("this is the key of a link", "open the link in a browser")
}
