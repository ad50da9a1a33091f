//! `/metrics`: what is counted, for those who may know what `/healthz` tells in detail.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use super::error::ApiError;
use super::verification::Verifications;
use super::{Edge, MetricsFormat};
use crate::auth::api_key::KeyScope;
use crate::time::Now;

pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let options = edge.options.read();
    let now = Now::read();
    edge.identify(now, &options, &parts)
        .map_err(|refusal| edge.refused(now, &parts, refusal))?
        .may_for_all(KeyScope::Log)?;
    let mut accepted = parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.any(|list| list.contains("application/openmetrics-text"));
    let (format, content_type) = if open {
        let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (MetricsFormat::OpenMetrics, open)
    } else {
        (MetricsFormat::Plain, "text/plain; version=0.0.4; charset=utf-8")
    };
    let probe = Arc::clone(&edge.metrics);
    let verified = edge.verifications().map(Verifications::last).unwrap_or_default();
    let text = tokio::task::spawn_blocking(move || {
        probe(format, &verified, options.coturn_realm.as_deref())
    });
    let text = text.await;
    let mut response = text.map_err(|_| ApiError::internal())?.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
