//! Every refusal as JSON: `{"error":{"code","message","field"?,"hint"?}}`.

use std::borrow::Cow;

use axum::Json;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, HeaderValue, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};

use super::json::{ErrorBody, ErrorWord};
use crate::call::refusal::{ErrorCode, Refusal};
use crate::limits::{DRAIN_RETRY_AFTER_S, RETRY_AFTER_S};

/// A refusal. The text goes to the person who reads the answer; nothing in it is secret.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    field: Option<&'static str>,
    hint: Option<&'static str>,
    header: Option<Header>,
    /// What follows on this connection cannot be trusted to be a request.
    close: bool,
}

/// The one header that explains a status.
#[derive(Debug, Clone, Copy)]
enum Header {
    Allow(&'static str),
    Bearer,
    RetryAfter(u64),
    Upgrade,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { status, code, message, field: None, hint: None, header: None, close: false }
    }

    /// 400, a parameter that is not in its range.
    pub(crate) fn field(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "bad_request", message);
        error.field = Some(field);
        error
    }

    /// 400, the request as a whole.
    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 400 and the end of the connection: its framing could be read in two ways.
    pub(crate) fn framing(message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_framing", message).closing()
    }

    /// 401.
    pub(crate) fn unauthorized(message: &'static str, hint: &'static str) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        error.hint = Some(hint);
        error.header = Some(Header::Bearer);
        error
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        let mut error = Self::new(StatusCode::NOT_FOUND, "not_found", "nothing lives at this path");
        error.hint = Some("ICE configs are at /ice");
        error
    }

    /// 405; `allow` as the header lists methods.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this path takes {allow}"),
        );
        error.header = Some(Header::Allow(allow));
        error
    }

    /// 408.
    pub(crate) fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the request took too long to arrive or to be answered",
        )
        .closing()
    }

    /// 413.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("a request body may have at most {limit} bytes"),
        )
        .closing()
    }

    /// 415.
    pub(crate) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "a request body must be application/json",
        )
    }

    /// 429.
    pub(crate) fn too_many(what: &'static str) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", what);
        error.header = Some(Header::RetryAfter(RETRY_AFTER_S));
        error
    }

    /// 431.
    pub(crate) fn head_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            format!("request line and headers may have at most {limit} bytes together"),
        )
        .closing()
    }

    /// 500. What happened stands in the log, not in the answer.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the log of the daemon says what",
        )
    }

    /// 503, no new calls here.
    pub(crate) fn draining() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "this relay is being taken out of service and hands out no new configs",
        );
        error.hint = Some("ask another node, or this one again in a while");
        error.header = Some(Header::RetryAfter(DRAIN_RETRY_AFTER_S));
        error
    }

    /// 401, a token that does not count. Whoever sends one learns whether it was good once.
    pub(crate) fn bad_token(is_expired: bool) -> Self {
        let (code, message) = if is_expired {
            ("token_expired", "the token has expired")
        } else {
            ("unauthenticated", "the token is not good here")
        };
        let mut error = Self::new(StatusCode::UNAUTHORIZED, code, message);
        error.header = Some(Header::Bearer);
        error
    }

    /// 503, a token that cannot be judged before its issuer can be reached.
    pub(crate) fn no_keys_yet() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "issuer_unavailable",
            "the keys of this token's issuer cannot be fetched at the moment",
        );
        error.hint = Some("`turnbell status` says why; try again in a while");
        error.header = Some(Header::RetryAfter(RETRY_AFTER_S));
        error
    }

    /// 403, somebody who may not do that.
    pub(crate) fn forbidden(message: &'static str, hint: &'static str) -> Self {
        let mut error = Self::new(StatusCode::FORBIDDEN, "forbidden", message);
        error.hint = Some(hint);
        error
    }

    /// 403, a page of an origin that is not listed.
    pub(crate) fn foreign_origin() -> Self {
        let mut error = Self::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "pages of this origin may not connect here",
        );
        error.hint = Some("list it in http.cors_origins");
        error
    }

    /// 426, a WebSocket path was asked for without the upgrade.
    pub(crate) fn upgrade_required() -> Self {
        let mut error =
            Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", "this path is a WebSocket");
        error.hint = Some(
            "if a page connected, the proxy in front does not pass WebSocket upgrades; in nginx: \
             proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
             proxy_set_header Connection upgrade;",
        );
        error.header = Some(Header::Upgrade);
        error
    }

    /// 503, as many WebSockets as may be.
    pub(crate) fn crowded() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "crowded",
            "as many clients are connected as may be",
        );
        error.header = Some(Header::RetryAfter(RETRY_AFTER_S));
        error
    }

    /// 410, an invite that is none any more.
    pub(crate) fn gone(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::GONE, code, message)
    }

    /// 404, also for a call of somebody else.
    pub(crate) fn no_such_call() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such call")
    }

    /// 409.
    pub(crate) fn call_ended() -> Self {
        Self::new(StatusCode::CONFLICT, ErrorCode::CallEnded.code(), "the call is over")
    }

    /// 503, the record.
    pub(crate) fn store_unavailable() -> Self {
        let message = "the record cannot be read; the log of the daemon says why";
        let mut error =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::StoreUnavailable.code(), message);
        error.header = Some(Header::RetryAfter(RETRY_AFTER_S));
        error
    }

    /// What the switchboard refuses.
    pub(crate) fn of_refusal(refusal: &Refusal) -> Self {
        let status = match refusal.code {
            ErrorCode::BadRequest | ErrorCode::UnknownType => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthenticated | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden
            | ErrorCode::TenantSuspended
            | ErrorCode::FeatureDisabled
            | ErrorCode::NotParty => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => return Self::no_such_call(),
            ErrorCode::CalleeOffline
            | ErrorCode::CalleeBusy
            | ErrorCode::CalleeDnd
            | ErrorCode::AlreadyAnswered
            | ErrorCode::CallEnded => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::RateLimited | ErrorCode::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::StoreUnavailable | ErrorCode::Draining | ErrorCode::Internal => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::new(status, refusal.code.code(), refusal.message.to_string())
    }

    /// What a command over HTTP came to.
    pub(crate) fn of_command(word: ErrorWord) -> Self {
        let (status, code) = match &*word.code {
            "bad_request" => (StatusCode::BAD_REQUEST, "bad_request"),
            "revocations_full" => (StatusCode::TOO_MANY_REQUESTS, "revocations_full"),
            "not_recorded" => (StatusCode::SERVICE_UNAVAILABLE, "not_recorded"),
            "no_answer" => (StatusCode::SERVICE_UNAVAILABLE, "no_answer"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::StoreUnavailable.code()),
        };
        Self::new(status, code, word.message)
    }

    fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<ApiError> for ErrorWord {
    fn from(error: ApiError) -> Self {
        let ApiError { code, message, field, hint, .. } = error;
        let (field, hint) = (field.map(Into::into), hint.map(Into::into));
        Self { code: code.into(), message, field, hint }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, header, close) = (self.status, self.header, self.close);
        let body = ErrorBody { error: self.into() };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match header {
            Some(Header::Allow(methods)) => {
                headers.insert(ALLOW, HeaderValue::from_static(methods));
            }
            Some(Header::Bearer) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Some(Header::RetryAfter(seconds)) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Some(Header::Upgrade) => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            }
            None => {}
        }
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
