//! `GET /v1/usage?from=&to=&by=`: calls, minutes and relayed bytes, as JSON or CSV, and the same for
//! `turnbell usage`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Request, StatusCode};

use super::Edge;
use super::calls::{Viewer, page_limit, pairs, private};
use super::commands::{Commands, wrong};
use super::control_json;
use super::error::ApiError;
use super::json::ErrorWord;
use super::usage_json::UsageWord;
use crate::auth::api_key::KeyScope;
use crate::auth::identity::TenantId;
use crate::limits::record::{CALLS_PAGE_MAX, USAGE_RANGE_DEFAULT, USAGE_RANGE_MAX};
use crate::store::{UsageBy, UsageQuery};
use crate::time::{Now, utc};

const WHEN: &str =
    "a day or time such as 2026-11-20 or 2026-11-20 10:02 (UTC), or Unix milliseconds";

/// `GET /v1/usage?from=&to=&by=tenant|user|day&tenant=&format=json|csv&limit=&cursor=`
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let calls = edge.calls().ok_or_else(ApiError::not_found)?;
    let (parts, _) = request.into_parts();
    let viewer = Viewer::of(&edge, &parts, KeyScope::Log).await?;
    let accepts = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let mut is_csv = accepts.is_some_and(|accept| accept.trim_start().starts_with("text/csv"));
    let [mut from, mut to, mut by, mut tenant] = [const { None }; 4];
    let (mut limit, mut begin) = (CALLS_PAGE_MAX, 0);
    for (name, value) in pairs(&parts)? {
        match name.as_str() {
            "from" => from = Some(value),
            "to" => to = Some(value),
            "by" => by = Some(value),
            "tenant" => tenant = Some(value),
            "format" if value == "csv" => is_csv = true,
            "format" if value == "json" => is_csv = false,
            "format" => return Err(ApiError::field("format", "format must be json or csv")),
            "limit" => limit = page_limit(&value)?,
            "cursor" => {
                let no_cursor = "cursor must be the next_cursor of an answer before";
                begin = value.parse().map_err(|_| ApiError::field("cursor", no_cursor))?;
            }
            _ => {}
        }
    }
    let mut query = query(Now::read(), from.as_deref(), to.as_deref(), by.as_deref())
        .map_err(|(field, message)| ApiError::field(field, message))?;
    query.tenant = match (&viewer, tenant) {
        (Viewer::Everything, None) => None,
        (Viewer::Everything, Some(tenant)) => Some(known(&edge, &tenant)?),
        (Viewer::Keyed(own), tenant) => {
            if tenant.is_some_and(|tenant| tenant != own.as_str()) {
                return Err(no_such_tenant());
            }
            Some(own.clone())
        }
        (Viewer::Tenant(own), tenant)
            if tenant.as_deref().is_none_or(|t| t == own.tenant.as_str()) =>
        {
            Some(own.tenant.clone())
        }
        (Viewer::Tenant(_), Some(_) | None) => return Err(no_such_tenant()),
        (Viewer::User(_), _) => {
            return Err(ApiError::forbidden(
                "this token may not see what others used",
                "owners and admins see their tenant's usage; an API key all",
            ));
        }
    };
    let UsageQuery { from_unix_ms, to_unix_ms, by, .. } = query;
    let answer = calls.ask(move |store| store.usage(&query)).await?;
    let mut word = UsageWord::of(from_unix_ms, to_unix_ms, by, &answer);
    if is_csv {
        let head = [
            (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
            (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=usage.csv")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (VARY, HeaderValue::from_static("Accept")),
        ];
        return Ok((StatusCode::OK, head, word.csv()).into_response());
    }
    let all = word.items.len();
    word.items = word.items.into_iter().skip(begin).take(limit).collect();
    let next = begin.saturating_add(limit);
    word.next_cursor = (next < all).then(|| next.to_string());
    let mut response = private(StatusCode::OK, word);
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

impl Commands {
    pub(super) fn usage(
        &self,
        now: Now,
        from: Option<&str>,
        to: Option<&str>,
        by: Option<&str>,
    ) -> Result<control_json::Response, ErrorWord> {
        let query = query(now, from, to, by).map_err(|(field, message)| wrong(field, message))?;
        let answer = self.store.usage(&query)?;
        let UsageQuery { from_unix_ms, to_unix_ms, by, .. } = query;
        Ok(control_json::Response::Usage(UsageWord::of(from_unix_ms, to_unix_ms, by, &answer)))
    }
}

type Wrong = (&'static str, String);

fn query(
    now: Now,
    from: Option<&str>,
    to: Option<&str>,
    by: Option<&str>,
) -> Result<UsageQuery, Wrong> {
    let moment = |field: &'static str, text: Option<&str>| {
        let read = |text: &str| moment(text).ok_or_else(|| (field, format!("{field} is {WHEN}")));
        text.map(read).transpose()
    };
    let ms = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    // Until the end of this millisecond: what was written just now is in.
    let to_unix_ms = moment("to", to)?.unwrap_or_else(|| now.unix_ms.saturating_add(1));
    let default = to_unix_ms.saturating_sub(ms(USAGE_RANGE_DEFAULT));
    let from_unix_ms = moment("from", from)?.unwrap_or(default);
    if from_unix_ms >= to_unix_ms {
        return Err(("to", "to must be later than from".to_owned()));
    }
    if to_unix_ms.saturating_sub(from_unix_ms) > ms(USAGE_RANGE_MAX) {
        let days = USAGE_RANGE_MAX.as_secs() / 86_400;
        return Err(("from", format!("usage is told of at most {days} days at once")));
    }
    let words = "by must be tenant, user or day";
    let by = by.map(|by| UsageBy::parse(by).ok_or_else(|| ("by", words.to_owned())));
    let by = by.transpose()?.unwrap_or(UsageBy::Day);
    Ok(UsageQuery { from_unix_ms, to_unix_ms, by, tenant: None })
}

/// Unix milliseconds. Not before 1970: nothing happened there.
fn moment(text: &str) -> Option<i64> {
    let number = text.parse::<i64>().ok().filter(|at| *at >= 0);
    // A day begins at midnight; a time of day alone is of no day.
    let day = || utc::parse(&format!("{text} 00:00"), 0);
    number.or_else(day).or_else(|| text.contains('-').then(|| utc::parse(text, 0)).flatten())
}

pub(super) fn known(edge: &Edge, tenant: &str) -> Result<TenantId, ApiError> {
    edge.options().identity.known_tenant(tenant).ok_or_else(no_such_tenant)
}

pub(super) fn no_such_tenant() -> ApiError {
    ApiError::field("tenant", "there is no such tenant")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: &str, to: &str) -> Result<(i64, i64), &'static str> {
        let now = Now { unix_ms: 0, ..Now::read() };
        let query = query(now, Some(from), Some(to), None).map_err(|(field, _)| field)?;
        Ok((query.from_unix_ms, query.to_unix_ms))
    }

    #[test]
    fn a_time_is_given_by_days_or_milliseconds_and_has_a_bound() {
        assert_eq!(asked("2026-11-01", "2026-11-02"), Ok((1_793_491_200_000, 1_793_577_600_000)));
        assert_eq!(asked("1", "2"), Ok((1, 2)));
        assert_eq!(asked("0", "1970-01-01 10:02"), Ok((0, 36_120_000)));
        assert_eq!(asked("0", "10:02"), Err("to"));
        assert_eq!(asked("2", "2"), Err("to"));
        assert_eq!(asked("yesterday", "2"), Err("from"));
        assert_eq!(asked("1", "2026-02-30"), Err("to"));
        assert_eq!(asked("-1", "2"), Err("from"));
        let most = USAGE_RANGE_MAX.as_millis();
        assert!(asked("0", &most.to_string()).is_ok());
        assert_eq!(asked("0", &(most + 1).to_string()), Err("from"));
    }
}
