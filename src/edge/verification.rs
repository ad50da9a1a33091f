//! `/ice-verify`: the last verification, a new one, and what others saw (P6, P8, P20).
//!
//! One run at a time, of configured servers only: no request names whom to ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderValue, RETRY_AFTER, VARY};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::Edge;
use super::access::Access;
use super::error::ApiError;
use super::ice::json_body;
use super::page;
use super::verify_json::{VerificationHealth, VerifyReport};
use super::verify_runs::RunReport;
use crate::auth::api_key::KeyScope;
use crate::limits::ANSWER_PATIENCE;
use crate::limits::probe::{
    VERIFY_ANSWER_PATIENCE, VERIFY_FRESH, VERIFY_PAUSE, VERIFY_VERDICTS_MAX,
};
use crate::probe::observation::Vantage;
use crate::probe::verdict::Severity;
use crate::store::{Acknowledge, Entry, Store, StoreError, VerificationRow};
use crate::time::Now;

/// Carries out one run; takes a bounded time.
pub type Run = Box<dyn Fn() -> BoxFuture<'static, Result<VerifyReport, String>> + Send + Sync>;

/// Runs one verification at a time, and keeps what came of the last ones.
#[derive(Clone)]
pub struct Verifications {
    run: Arc<Run>,
    state: watch::Sender<Progress>,
    store: Store,
    runtime: tokio::runtime::Handle,
    /// The last of each vantage, from the record at first.
    last: Arc<Mutex<Vec<VerificationHealth>>>,
}

/// Where it stands.
#[derive(Debug, Clone, Default)]
struct Progress {
    is_running: bool,
    began: Option<Instant>,
    last: Option<Arc<VerifyReport>>,
    problem: Option<String>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyAnswer {
    /// A run is on; ask again in a moment.
    pub running: bool,
    /// The last one of this daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<VerifyReport>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The last one of each vantage.
    #[serde(default)]
    pub last: Vec<VerificationHealth>,
}

impl Verifications {
    /// Puts the parts together. `runtime`: where runs go on when whoever asked is gone.
    #[must_use]
    pub fn new(run: Run, store: Store, runtime: tokio::runtime::Handle) -> Self {
        let last = store.last_verifications().unwrap_or_default();
        let last = last.into_iter().map(|row| VerificationHealth {
            vantage: row.vantage,
            at: row.at_unix_ms,
            verdict: row.verdict,
            summary: row.summary,
        });
        Self {
            run: Arc::new(run),
            state: watch::Sender::new(Progress::default()),
            store,
            runtime,
            last: Arc::new(Mutex::new(last.collect())),
        }
    }

    /// The last of each vantage.
    #[must_use]
    pub fn last(&self) -> Vec<VerificationHealth> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a run, unless one is on or began less than `pause` ago.
    pub fn start(&self, now: Now, pause: Duration) {
        let is_first = self.state.send_if_modified(|state| {
            let age = state.began.map(|began| now.mono.saturating_duration_since(began));
            if state.is_running || age.is_some_and(|age| age < pause) {
                return false;
            }
            state.is_running = true;
            state.began = Some(now.mono);
            true
        });
        if !is_first {
            return;
        }
        let this = self.clone();
        self.runtime.spawn(async move {
            let _over = Over(this.state.clone());
            match (this.run)().await {
                Ok(report) => {
                    this.keep(&report);
                    this.state.send_modify(|state| {
                        (state.last, state.problem) = (Some(Arc::new(report)), None);
                    });
                }
                Err(problem) => this.state.send_modify(|state| state.problem = Some(problem)),
            }
        });
    }

    /// Waits until none is on, but not for long.
    pub async fn answer(&self, patience: Duration) -> VerifyAnswer {
        let mut state = self.state.subscribe();
        let _ = tokio::time::timeout(patience, state.wait_for(|state| !state.is_running)).await;
        let Progress { is_running, began: _, last, problem } = self.state.borrow().clone();
        let report = last.map(|report| (*report).clone());
        VerifyAnswer { running: is_running, report, problem, last: self.last() }
    }

    /// The same for threads that may wait.
    #[must_use]
    pub fn answer_blocking(&self, patience: Duration) -> VerifyAnswer {
        self.runtime.block_on(self.answer(patience))
    }

    /// Puts the report of a page on record, where whoever has the id finds it. False if it is not
    /// there yet, and may never be: the record is not written at this moment.
    pub(super) async fn keep_shared(&self, vantage: &str, report: &RunReport) -> bool {
        if vantage == Vantage::Browser.code() {
            self.note(VerificationHealth {
                vantage: vantage.to_owned(),
                at: report.started_at,
                verdict: report.verdict.clone(),
                summary: report.summary.clone(),
            });
        }
        let row = Entry::Verified(VerificationRow {
            at_unix_ms: report.started_at,
            vantage: vantage.to_owned(),
            verdict: report.verdict.clone(),
            summary: report.summary.clone(),
            shared_as: Some(report.report.clone()),
            report: serde_json::to_string(report).unwrap_or_default(),
        });
        let (told, written) = oneshot::channel();
        let done = Acknowledge::new(move |result| {
            let _ = told.send(result.is_ok());
        });
        self.store.record_acknowledged(row, done);
        matches!(tokio::time::timeout(ANSWER_PATIENCE, written).await, Ok(Ok(true)))
    }

    /// The report that was shared under this id. Blocks for as long as the disk takes.
    pub(super) fn shared(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.store.shared_verification(id)
    }

    fn note(&self, health: VerificationHealth) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.retain(|known| known.vantage != health.vantage);
        last.push(health);
    }

    /// Puts a report on record.
    fn keep(&self, report: &VerifyReport) {
        self.note(report.health());
        self.store.record(Entry::Verified(VerificationRow {
            at_unix_ms: report.started_at,
            vantage: report.vantage.clone(),
            verdict: report.verdict.clone(),
            summary: report.summary.clone(),
            shared_as: None,
            report: serde_json::to_string(report).unwrap_or_default(),
        }));
    }
}

/// Says that a run is over, also where it ended by a bug.
struct Over(watch::Sender<Progress>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.is_running = false);
    }
}

/// `GET /ice-verify`: the page for browsers, else as [`get`].
pub(crate) async fn page_or_json(
    state: State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    if page::is_asked_for(request.headers()) {
        Ok(page::ice_verify())
    } else {
        get(state, request).await
    }
}

/// `GET /ice-verify`, `GET /api/ice-verify`: the last result; a new one if it is too old.
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    ask(&edge, &request.into_parts().0, VERIFY_FRESH).await
}

/// `POST` on the same paths: a new one, unless the last is a moment old.
pub(crate) async fn post(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    ask(&edge, &request.into_parts().0, VERIFY_PAUSE).await
}

async fn ask(edge: &Edge, parts: &Parts, pause: Duration) -> Result<Response, ApiError> {
    let now = Now::read();
    edge.verifier(now, parts).await?;
    let verifications = edge.verifications().ok_or_else(ApiError::not_found)?;
    verifications.start(now, pause);
    let answer = verifications.answer(VERIFY_ANSWER_PATIENCE).await;
    let status = if answer.running { StatusCode::ACCEPTED } else { StatusCode::OK };
    let is_running = answer.running;
    let mut response = (status, Json(answer)).into_response();
    private(response.headers_mut());
    if is_running {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// `POST /api/ice-verify/reports`: what was seen from another machine.
pub(crate) async fn report(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let access = edge.reader(Now::read(), &parts, KeyScope::Ice).await?;
    // A request from here proves nothing about the outside, and a guest's word is not enough.
    if !matches!(access, Access::Key { .. }) {
        return Err(ApiError::forbidden(
            "a report from outside needs an API key",
            "`turnbell verify https://HOST --key tbk_...` sends one along",
        ));
    }
    let verifications = edge.verifications().ok_or_else(ApiError::not_found)?;
    let mut report: VerifyReport = json_body(&parts.headers, body, "a report").await?;
    let is_outside =
        Vantage::from_code(&report.vantage).is_some_and(|vantage| vantage != Vantage::ThisMachine);
    if !is_outside {
        return Err(ApiError::field("vantage", "vantage must be another_machine or browser"));
    }
    if Severity::from_code(&report.verdict).is_none() {
        return Err(ApiError::field("verdict", "verdict must be ok, note, warning or error"));
    }
    report.verdicts.truncate(VERIFY_VERDICTS_MAX);
    // Its clock may be anything; ours dates the row.
    report.started_at = Now::read().unix_ms;
    verifications.keep(&report);
    let mut response = (StatusCode::CREATED, Json(report.health())).into_response();
    private(response.headers_mut());
    Ok(response)
}

fn private(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("Accept"));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::super::verify_json::VerifyReport;
    use super::*;
    use crate::store::{AddressPrivacy, Options};

    fn report() -> VerifyReport {
        let text = r#"{"vantage":"this_machine","verdict":"ok","summary":"","started_at":5,
            "took_ms":1.25,"verdicts":[]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn store(directory: &std::path::Path) -> Store {
        let directory = directory.to_owned();
        let addresses = AddressPrivacy::Full;
        let (store, writer) = Store::open(Options {
            directory,
            retention_days: 0,
            bytes_max: 0,
            addresses,
            version: "test",
        });
        std::mem::forget(writer);
        store
    }

    #[tokio::test]
    async fn whoever_asks_while_a_run_is_on_waits_for_that_one() {
        let directory = tempfile::tempdir().unwrap();
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (counted, held) = (Arc::clone(&runs), Arc::clone(&gate));
        let run: Run = Box::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let held = Arc::clone(&held);
            Box::pin(async move {
                held.acquire().await.unwrap().forget();
                Ok(report())
            })
        });
        let store = store(directory.path());
        let handle = tokio::runtime::Handle::current();
        let verifications = Verifications::new(run, store, handle);
        let now = Now::read();
        verifications.start(now, VERIFY_PAUSE);
        verifications.start(now, Duration::ZERO);
        let answer = verifications.answer(Duration::from_millis(1)).await;
        assert!(answer.running && answer.report.is_none(), "{answer:?}");
        gate.add_permits(1);
        let answer = verifications.answer(Duration::from_secs(60)).await;
        assert_eq!((answer.running, answer.report), (false, Some(report())));
        assert_eq!(answer.last, [report().health()]);
        // The next one begins after the pause, counted from the beginning of the last.
        verifications.start(now.after(VERIFY_PAUSE - Duration::from_millis(1)), VERIFY_PAUSE);
        assert!(!verifications.answer(Duration::ZERO).await.running);
        verifications.start(now.after(VERIFY_PAUSE), VERIFY_PAUSE);
        assert!(verifications.answer(Duration::from_millis(1)).await.running);
        gate.add_permits(1);
        assert!(!verifications.answer(Duration::from_secs(60)).await.running);
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn times_survive_json_to_the_microsecond_and_nonsense_is_no_time() {
        let text = serde_json::to_string(&report()).unwrap();
        assert!(text.contains("\"took_ms\":1.25"), "{text}");
        assert_eq!(serde_json::from_str::<VerifyReport>(&text).unwrap(), report());
        for odd in ["-5", "1e300"] {
            let odd = text.replace("1.25", odd);
            let read: VerifyReport = serde_json::from_str(&odd).unwrap();
            assert_eq!(read.took_ms.to_string(), "0.0 ms");
        }
    }
}
