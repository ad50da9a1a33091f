//! What is asked and said about invites, over HTTP and the control socket alike.

use serde::{Deserialize, Serialize};

/// `POST /v1/invites`, and `turnbell invite`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InviteWanted {
    /// Who is called by whoever opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whose guest that becomes; `default` without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// How long it is good, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// How often it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
}

/// An invite that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteMade {
    /// The link.
    pub url: String,
    /// Where the link's first part comes from, for a person.
    pub url_from: String,
    /// What stands behind its `#`.
    pub token: String,
    /// Under which it is revoked.
    pub id: String,
    /// Whose guest the bearer becomes.
    pub tenant: String,
    /// Who is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Unix milliseconds.
    pub expires_at: i64,
    /// How often it may be used.
    pub uses: u32,
}

/// An invite on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteWord {
    /// Under which it is revoked.
    pub id: String,
    /// Whose guest the bearer becomes.
    pub tenant: String,
    /// Who is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub expires_at: i64,
    /// How often it may be used.
    pub uses: u32,
    /// How often it was.
    pub used: u32,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<i64>,
}

/// `POST /v1/invites/redeem`.
#[derive(Debug, Deserialize)]
pub(super) struct Redeem {
    pub(super) token: String,
    #[serde(default)]
    pub(super) name: String,
}

/// Its answer: who the bearer is from here on.
#[derive(Debug, Serialize)]
pub(super) struct Redeemed {
    pub(super) token: String,
    pub(super) user: String,
    pub(super) name: Box<str>,
    pub(super) tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<String>,
    /// Unix milliseconds.
    pub(super) expires_at: i64,
}
