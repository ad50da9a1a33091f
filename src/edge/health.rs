//! `/healthz`: whether it lives, one word for everyone, details for those who may know. `/readyz`:
//! whether new calls are welcome.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Request, StatusCode};

use super::Edge;
use super::json::{HealthWord, ReadyWord};
use crate::auth::api_key::KeyScope;
use crate::time::Now;

pub(crate) async fn get(State(edge): State<Arc<Edge>>, request: Request<Body>) -> Response {
    let health = edge.health();
    let status = if health.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let (parts, _) = request.into_parts();
    // A bad key is not worth an error here: a load balancer wants the word.
    let who = edge.identify(Now::read(), &edge.options.read(), &parts);
    let mut response = if who.and_then(|who| who.may_for_all(KeyScope::Log)).is_ok() {
        (status, Json(health)).into_response()
    } else {
        (status, Json(HealthWord { ok: health.ok, draining: health.draining })).into_response()
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let health = (edge.health)();
    let why = match (health.ok, health.draining) {
        (false, _) => Some("not_well"),
        (true, true) => Some("draining"),
        (true, false) => None,
    };
    let status = if why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(ReadyWord { ready: why.is_none(), why })).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
