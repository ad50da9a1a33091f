//! `/v1/calls`: who called whom, what happened in a call, and its end by somebody in charge (P26).
//!
//! A user's token sees his own calls, an owner's or admin's the tenant's, an API key and a truly
//! local request all. What one may not see is not there: 404.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, oneshot};

use super::Edge;
use super::access::Access;
use super::calls_json::{CallItem, Eyes, Page, TimelineItem};
use super::error::ApiError;
use super::signaling::exchange::Exchange;
use crate::auth::identity::{Identity, UserId};
use crate::call::contract::{Actor, Command};
use crate::call::refusal::ErrorCode;
use crate::call::state::CallStatus;
use crate::call::ulid::CallId;
use crate::limits::record::{CALL_QUERIES_MAX, CALLS_PAGE_DEFAULT, CALLS_PAGE_MAX};
use crate::store::{Acknowledge, CallQuery, CallRecord, Store, StoreError};
use crate::time::Now;

/// What is needed to tell of calls and to end them.
pub struct Calls {
    store: Store,
    exchange: Exchange,
    /// Reading the disk takes a thread each.
    places: Arc<Semaphore>,
}

impl Calls {
    /// Puts the parts together.
    #[must_use]
    pub fn new(store: Store, exchange: Exchange) -> Self {
        Self { store, exchange, places: Arc::new(Semaphore::new(CALL_QUERIES_MAX)) }
    }

    /// Asks the record where waiting is allowed.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = self.places.clone().acquire_owned().await;
        let store = self.store.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&store);
            // Whoever asked may be gone; the thread is not free before.
            drop(place);
            answer
        });
        let answer = answer.await.map_err(|_| ApiError::internal())?;
        answer.map_err(|why| {
            tracing::warn!(%why, "calls cannot be read from the record");
            ApiError::store_unavailable()
        })
    }

    /// Waits until what was handed to the record before is durable; `false` if that is not known.
    async fn written(&self) -> bool {
        let (told, written) = oneshot::channel();
        self.store.when_written(Acknowledge::new(move |result| {
            let _ = told.send(result.is_ok());
        }));
        written.await.unwrap_or(false)
    }

    /// The call, if the viewer may see it.
    async fn visible(&self, viewer: &Viewer, id: &str) -> Result<CallRecord, ApiError> {
        let id = CallId::parse(id).ok_or_else(ApiError::no_such_call)?;
        let found = self.ask(move |store| store.call(id)).await?;
        found.filter(|record| viewer.sees(record)).ok_or_else(ApiError::no_such_call)
    }
}

/// Who asks, by what he may see.
enum Viewer {
    Everything,
    Tenant(Box<Identity>),
    User(Box<Identity>),
}

impl Viewer {
    fn of(edge: &Edge, parts: &Parts) -> Result<Self, ApiError> {
        Ok(match edge.reader(Now::read(), parts)? {
            Access::Key { .. } | Access::Local => Self::Everything,
            Access::Token(identity) if identity.role.governs_calls() => Self::Tenant(identity),
            Access::Token(identity) => Self::User(identity),
        })
    }

    fn sees(&self, record: &CallRecord) -> bool {
        let CallRecord { call, .. } = record;
        match self {
            Self::Everything => true,
            Self::Tenant(identity) => call.tenant == identity.tenant,
            Self::User(identity) => {
                call.tenant == identity.tenant
                    && [&call.caller, &call.callee].contains(&&identity.user)
            }
        }
    }

    fn eyes(&self) -> Eyes<'_> {
        match self {
            Self::Everything => Eyes::default(),
            Self::Tenant(identity) => Eyes { side: Some(&identity.user), devices_of: None },
            Self::User(identity) => {
                Eyes { side: Some(&identity.user), devices_of: Some(&identity.user) }
            }
        }
    }

    fn actor(&self) -> Actor {
        match self {
            Self::Everything => Actor::Operator,
            Self::Tenant(identity) | Self::User(identity) => Actor::User(identity.clone()),
        }
    }

    /// What he sees of what he asks for.
    fn narrow(&self, mut query: CallQuery) -> CallQuery {
        match self {
            Self::Everything => {}
            Self::Tenant(identity) => query.tenant = Some(identity.tenant.clone()),
            Self::User(identity) => {
                query.tenant = Some(identity.tenant.clone());
                if query.users.first() != Some(&identity.user) {
                    query.users.insert(0, identity.user.clone());
                }
            }
        }
        query
    }
}

/// `GET /v1/calls?user=&status=&since_at=&limit=&cursor=`
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts)?;
    let asked = query(&parts)?;
    let wanted = asked.users.first().cloned();
    let limit = asked.limit;
    // One more says whether there are more.
    let narrowed = viewer.narrow(CallQuery { limit: limit + 1, ..asked });
    let mut found = calls.ask(move |store| store.calls(&narrowed)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);
    let next_cursor = last.map(|record| record.call.call.to_string());
    let eyes = match &viewer {
        Viewer::Everything => Eyes { side: wanted.as_ref(), devices_of: None },
        Viewer::Tenant(_) if wanted.is_some() => Eyes { side: wanted.as_ref(), devices_of: None },
        Viewer::Tenant(_) | Viewer::User(_) => viewer.eyes(),
    };
    let items = found.iter().map(|record| CallItem::of(record, eyes)).collect();
    Ok(private(StatusCode::OK, Page { items, next_cursor }))
}

/// `GET /v1/calls/{id}`
pub(crate) async fn one(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let viewer = Viewer::of(&edge, &request.into_parts().0)?;
    let record = calls.visible(&viewer, &id).await?;
    Ok(private(StatusCode::OK, CallItem::whole(&record, viewer.eyes())))
}

/// `GET /v1/calls/{id}/timeline?limit=&cursor=`, in order: a story is read from its beginning.
pub(crate) async fn timeline(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts)?;
    let (mut limit, mut after) = (CALLS_PAGE_MAX, 0);
    for (name, value) in pairs(&parts)? {
        match name.as_str() {
            "limit" => limit = page_limit(&value)?,
            "cursor" => after = value.parse().map_err(|_| bad_cursor())?,
            _ => {}
        }
    }
    let record = calls.visible(&viewer, &id).await?;
    let call = record.call.call;
    let mut rows = calls.ask(move |store| store.timeline(call, after, limit + 1)).await?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| row.number.to_string());
    let item = |row| TimelineItem::of(row, &record, viewer.eyes());
    let items = rows.into_iter().map(item).collect();
    Ok(private(StatusCode::OK, Page { items, next_cursor }))
}

/// `POST /v1/calls/{id}/end`
pub(crate) async fn end(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    carry_out(edge, id, request, |by, call| Command::EndCall { by, call }).await
}

/// `POST /v1/calls/{id}/reject`
pub(crate) async fn reject(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    carry_out(edge, id, request, |by, call| Command::RejectCall { by, call }).await
}

/// Answers with the call as it stands on record then: 200. 202 if it is done and the record is
/// behind.
async fn carry_out(
    edge: Arc<Edge>,
    id: String,
    request: Request<Body>,
    command: impl FnOnce(Actor, CallId) -> Command,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts)?;
    let call = CallId::parse(&id).ok_or_else(ApiError::no_such_call)?;
    if let Err(refusal) = calls.exchange.command(command(viewer.actor(), call)).await {
        // The switchboard has forgotten a call that is over; the record has not.
        if refusal.code == ErrorCode::NotFound {
            let record = calls.visible(&viewer, &id).await?;
            if record.call.status.is_final() {
                return Err(ApiError::call_ended());
            }
        }
        return Err(ApiError::of_refusal(&refusal));
    }
    if calls.written().await
        && let Ok(record) = calls.visible(&viewer, &id).await
    {
        return Ok(private(StatusCode::OK, CallItem::whole(&record, viewer.eyes())));
    }
    Ok(private(StatusCode::ACCEPTED, Done { call: id }))
}

#[derive(Serialize)]
struct Done {
    call: String,
}

fn query(parts: &Parts) -> Result<CallQuery, ApiError> {
    let mut query = CallQuery { limit: CALLS_PAGE_DEFAULT, ..CallQuery::default() };
    for (name, value) in pairs(parts)? {
        match name.as_str() {
            "user" => {
                let user = UserId::new(&value).ok_or_else(|| {
                    ApiError::field(
                        "user",
                        "a user id has 1 to 128 bytes and no control characters",
                    )
                })?;
                query.users = vec![user];
            }
            "status" => {
                let status = CallStatus::from_code(&value);
                let no_status = "status is one of INITIATED, RINGING, ANSWERED, COMPLETED, MISSED, \
                                 REJECTED, BUSY, FAILED";
                query.status = Some(status.ok_or_else(|| ApiError::field("status", no_status))?);
            }
            "since_at" => {
                let since = value.parse().map_err(|_| {
                    ApiError::field(
                        "since_at",
                        "since_at must be a whole number: Unix milliseconds",
                    )
                })?;
                query.since_unix_ms = Some(since);
            }
            "limit" => query.limit = page_limit(&value)?,
            "cursor" => query.before = Some(CallId::parse(&value).ok_or_else(bad_cursor)?),
            _ => {}
        }
    }
    Ok(query)
}

pub(super) fn pairs(parts: &Parts) -> Result<Vec<(String, String)>, ApiError> {
    let malformed = || ApiError::bad_request("the query is not of the form name=value&...");
    let Query(pairs) = Query::try_from_uri(&parts.uri).map_err(|_| malformed())?;
    Ok(pairs)
}

fn page_limit(text: &str) -> Result<usize, ApiError> {
    let found = text.parse().ok().filter(|limit| (1..=CALLS_PAGE_MAX).contains(limit));
    let range = || format!("limit must be a whole number from 1 to {CALLS_PAGE_MAX}");
    found.ok_or_else(|| ApiError::field("limit", range()))
}

fn bad_cursor() -> ApiError {
    ApiError::field("cursor", "cursor must be the next_cursor of an answer before")
}

pub(super) fn private(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
