//! What may be put on record, and the one row that is not a fact: an API key.

use std::net::IpAddr;

use super::verifications::VerificationRow;
use crate::auth::api_key::{ApiKeyHash, KeyGrant};
use crate::call::rows::Row;
use crate::turn::fact::Fact;

/// Something to keep. The queue holds these.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// What the relay did.
    Relay(Fact),
    /// What a call leaves.
    Call(Row),
    /// A client was handed a time-limited credential. Not a durable write (R8).
    CredentialIssued {
        /// Milliseconds since 1970.
        at_unix_ms: i64,
        /// Whom it is for.
        user: String,
        /// `"<expiry>:<user>"`, as the client will send it.
        username: String,
        /// Unix seconds.
        expires_at: i64,
        /// Lifetime asked for and granted, seconds.
        ttl_s: u32,
        /// Who asked.
        by: IssuedBy,
        /// Where the request came from; `None` for a command on this machine.
        client: Option<IpAddr>,
    },
    /// A verification is over.
    Verified(VerificationRow),
    /// Another value of a key counts: by a reload, or because something was found outside.
    ConfigChanged {
        /// Milliseconds since 1970.
        at_unix_ms: i64,
        /// Its path, such as `quota.per_user`.
        key: String,
        /// What counted before, without secrets.
        old: String,
        /// What counts from here on, without secrets.
        new: String,
        /// `reload`, `stun` or `dns`.
        by: &'static str,
    },
}

/// Who asked for a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuedBy {
    /// A truly local HTTP request, which needs no key.
    Local,
    /// The holder of the API key with this id.
    ApiKey(String),
    /// `turnbell credential`.
    Command,
    /// A page, with the token of a user.
    Token,
}

impl IssuedBy {
    /// A stable word for the record.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::ApiKey(_) => "api_key",
            Self::Command => "command",
            Self::Token => "token",
        }
    }

    /// Id of the key, if it was one.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        match self {
            Self::ApiKey(id) => Some(id),
            Self::Local | Self::Command | Self::Token => None,
        }
    }

    /// The inverse of `code` and `key_id`.
    pub(super) fn from_columns(code: &str, key_id: Option<String>) -> Self {
        match (code, key_id) {
            ("api_key", id) => Self::ApiKey(id.unwrap_or_default()),
            ("command", _) => Self::Command,
            ("token", _) => Self::Token,
            (_, _) => Self::Local,
        }
    }
}

/// An API key as it is stored: never its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Short, unique, made by the program.
    pub id: String,
    /// Chosen by a person; unique among the keys that are not revoked.
    pub name: String,
    /// SHA-256 of the key's text.
    pub hash: ApiKeyHash,
    /// What it opens.
    pub grant: KeyGrant,
    /// Milliseconds since 1970.
    pub created_at_unix_ms: i64,
    /// Milliseconds since 1970; `None` while the key opens doors.
    pub revoked_at_unix_ms: Option<i64>,
}

/// A user whose credentials are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// User by which quotas count.
    pub user: String,
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// Milliseconds since 1970; `None`: until it is undone.
    pub until_unix_ms: Option<i64>,
}
