//! API keys as JSON, over the control socket.

use serde::{Deserialize, Serialize};

/// A key that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyWanted {
    /// What people call it.
    pub name: String,
    /// What it is to open (`auth::api_key::KeyScope`); `ice` if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The one tenant it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Pages that may use it, as browsers write their origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

/// What an API key opens, for whom and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyOpens {
    /// `ice`, `calls`, `log`, `verify`, `admin`.
    pub scopes: Vec<String>,
    /// The one tenant it is for; null: all of them.
    pub tenant: Option<String>,
    /// Pages that may use it; empty: servers.
    pub origins: Vec<String>,
}

/// An API key without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its short name in the record.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it opens.
    #[serde(flatten)]
    pub opens: KeyOpens,
    /// When it was made.
    pub created_at: i64,
    /// When it ends by itself, as a link of `turnbell verify --link` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<i64>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<i64>,
}
