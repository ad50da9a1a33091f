//! Which path is answered by what, and what every request passes on its way there.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use hyper::Request;
use hyper::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::error::ApiError;
use super::signaling::upgrade;
use super::{
    Edge, assets, calls, cors, entrance, health, ice, identity, invites, metrics, page, why,
};

/// The whole tree, behind its entrance. Layers stand innermost first.
///
/// What changes the path of a request must stand before the tree that looks it up, so the entrance
/// is a layer around a router that has nothing but that tree.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    Router::new()
        .fallback_service(tree(&edge))
        .layer(from_fn_with_state(edge, entrance::enter))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(CatchPanicLayer::custom(panicked))
}

fn tree(edge: &Arc<Edge>) -> Router {
    let page = |router: Router<Arc<Edge>>, path| router.route(path, reading(get(page::get)));
    let slash = |router: Router<Arc<Edge>>, path| router.route(path, reading(get(page::add_slash)));
    let pages = page::WITHOUT_SLASH.into_iter().fold(Router::new(), slash);
    page::paths()
        .fold(pages, page)
        .route("/ice", issuing())
        .route("/v1/ice", issuing())
        .route("/v1/config", reading(get(identity::config)))
        .route("/v1/guests", posting(post(identity::guests)))
        .route("/v1/invites", posting(post(invites::post)))
        .route("/v1/invites/redeem", posting(post(invites::redeem)))
        .route("/v1/calls", reading(get(calls::list)))
        .route("/v1/calls/{id}", reading(get(calls::one)))
        .route("/v1/calls/{id}/timeline", reading(get(calls::timeline)))
        .route("/v1/calls/{id}/end", posting(post(calls::end)))
        .route("/v1/calls/{id}/reject", posting(post(calls::reject)))
        .route("/v1/why", reading(get(why::get)))
        .route("/v1/ws", reading(get(upgrade::get)))
        .route("/healthz", reading(get(health::get)))
        .route("/metrics", reading(get(metrics::get)))
        .route("/readyz", reading(get(health::ready)))
        .route("/favicon.ico", reading(get(page::favicon)))
        .fallback(async || ApiError::not_found())
        .with_state(Arc::clone(edge))
        .layer(from_fn_with_state(Arc::clone(edge), in_time))
        .layer(cors::layer(Arc::clone(edge)))
        // Outside of those layers: every origin may load the library.
        .route(assets::PATH, reading(get(assets::get)))
}

/// A path that hands out a credential: HEAD is refused, for a safe method must leave no trace.
fn issuing() -> MethodRouter<Arc<Edge>> {
    on(MethodFilter::GET, ice::get)
        .on(MethodFilter::POST, ice::post)
        .on(MethodFilter::HEAD, async || ApiError::method_not_allowed("GET, POST, OPTIONS"))
        .fallback(async || ApiError::method_not_allowed("GET, POST, OPTIONS"))
}

fn posting(methods: MethodRouter<Arc<Edge>>) -> MethodRouter<Arc<Edge>> {
    methods.fallback(async || ApiError::method_not_allowed("POST, OPTIONS"))
}

fn reading<S: Clone + Send + Sync + 'static>(methods: MethodRouter<S>) -> MethodRouter<S> {
    methods.fallback(async || ApiError::method_not_allowed("GET, HEAD, OPTIONS"))
}

/// Ends what takes too long.
async fn in_time(State(edge): State<Arc<Edge>>, request: Request<Body>, next: Next) -> Response {
    tokio::time::timeout(edge.options.read().request_timeout, next.run(request))
        .await
        .unwrap_or_else(|_| ApiError::request_timeout().into_response())
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made the HTTP side panic; this is a bug");
    ApiError::internal().into_response()
}
