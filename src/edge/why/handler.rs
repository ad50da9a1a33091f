//! `GET /v1/why?user=|call=|at=|about=&since_at=`: for those in charge of the whole server.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::{Request, StatusCode};

use super::WhyWanted;
use crate::edge::Edge;
use crate::edge::access::Access;
use crate::edge::calls::{pairs, private};
use crate::edge::error::ApiError;
use crate::time::Now;

/// Tells the story. 404 where the call that is asked about is not on record.
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let now = Now::read();
    match edge.reader(now, &parts)? {
        Access::Key { .. } | Access::Local => {}
        // The story tells addresses and names of others.
        Access::Token(_) => {
            let hint = "ask with an API key; a user's own calls stand at /v1/calls";
            return Err(ApiError::forbidden("a user's token does not read the record", hint));
        }
    }
    let wanted = wanted(&pairs(&parts)?)?;
    let told = calls.ask(move |store| super::told(store, now, &wanted)).await?;
    told.map(|why| private(StatusCode::OK, why)).ok_or_else(ApiError::no_such_call)
}

fn wanted(pairs: &[(String, String)]) -> Result<WhyWanted, ApiError> {
    let mut wanted = WhyWanted { about: String::new(), is_user: false, since_at: None };
    for (name, value) in pairs {
        match name.as_str() {
            "about" | "call" | "at" | "user" => {
                if !wanted.about.is_empty() {
                    return Err(ApiError::bad_request(
                        "ask about one thing: a user, a call or a time",
                    ));
                }
                wanted.about.clone_from(value);
                wanted.is_user = name == "user";
            }
            "since_at" => {
                let since = value.parse().map_err(|_| {
                    ApiError::field(
                        "since_at",
                        "since_at must be a whole number: Unix milliseconds",
                    )
                })?;
                wanted.since_at = Some(since);
            }
            _ => {}
        }
    }
    if wanted.about.trim().is_empty() {
        return Err(ApiError::field(
            "about",
            "say user=, call= or at= (10:02, or 2026-11-20T10:02Z)",
        ));
    }
    Ok(wanted)
}
