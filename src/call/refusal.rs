//! `Refusal`: why a request is not done, in a stable code and a sentence.

use std::time::Duration;

use super::ulid::CallId;

macro_rules! codes {
    ($($variant:ident = $code:literal, $doc:literal;)*) => {
        /// Why not. The words are part of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(#[doc = $doc] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable word.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", "The request makes no sense, or none in this state of the call.";
    UnknownType = "unknown_type", "Nobody knows this kind of request.";
    Unauthenticated = "unauthenticated", "The token is missing or not good.";
    TokenExpired = "token_expired", "The token was good once.";
    Forbidden = "forbidden", "He may not do that.";
    TenantSuspended = "tenant_suspended", "The tenant is unknown or switched off.";
    FeatureDisabled = "feature_disabled", "The tenant has no voice calls.";
    NotFound = "not_found", "There is no such call, or it is somebody else's.";
    CalleeOffline = "callee_offline", "No device of the callee answers.";
    CalleeBusy = "callee_busy", "The callee is in another call.";
    CalleeDnd = "callee_dnd", "The callee does not want to be disturbed.";
    AlreadyAnswered = "already_answered", "Another device was first.";
    CallEnded = "call_ended", "The call is over.";
    NotParty = "not_party", "This session has no part in the call, or not that part.";
    TooLarge = "too_large", "Something in it is longer than allowed.";
    RateLimited = "rate_limited", "Too often; `retry_after` says when to try again.";
    QuotaExceeded = "quota_exceeded", "As many as may be are there.";
    StoreUnavailable = "store_unavailable", "The record does not take it.";
    Draining = "draining", "The server is about to stop: reconnect, then try again.";
    Internal = "internal", "Our fault.";
}

/// A refused request. Nothing has changed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for whoever reads the console.
    pub message: Box<str>,
    /// When it may go through, if time helps: with [`ErrorCode::RateLimited`].
    pub retry_after: Option<Duration>,
    /// Which field is wrong, if one is.
    pub field: Option<&'static str>,
    /// The call that stands in the record although it came to nothing.
    pub call: Option<CallId>,
    /// Whoever goes on like this is sent away.
    pub is_flood: bool,
}

impl Refusal {
    /// A refusal with a sentence.
    #[must_use]
    pub fn new(code: ErrorCode, message: &str) -> Self {
        let message = message.into();
        Self { code, message, retry_after: None, field: None, call: None, is_flood: false }
    }

    /// The request is wrong in `field`.
    #[must_use]
    pub fn bad(field: &'static str, message: &str) -> Self {
        Self { field: Some(field), ..Self::new(ErrorCode::BadRequest, message) }
    }

    /// `field` is longer than allowed.
    #[must_use]
    pub fn too_large(field: &'static str) -> Self {
        let message = format!("{field} is longer than allowed");
        Self { field: Some(field), ..Self::new(ErrorCode::TooLarge, &message) }
    }

    /// Too often.
    #[must_use]
    pub fn too_often(what: &str, retry_after: Duration) -> Self {
        let message = format!("too many {what}; try again later");
        let refusal = Self::new(ErrorCode::RateLimited, &message);
        Self { retry_after: Some(retry_after), is_flood: true, ..refusal }
    }
}
