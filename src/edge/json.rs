//! Every type that goes out or comes in as JSON over HTTP; `control_json` has the control socket's.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::verify_json::VerificationHealth;

/// What `new RTCPeerConnection()` takes, and when to ask again.
#[derive(Debug, Serialize)]
pub struct IceConfig {
    /// Servers in the order the browser should try them.
    #[serde(rename = "iceServers")]
    pub ice_servers: Vec<IceServer>,
    /// `all` or `relay`, as the config says.
    #[serde(rename = "iceTransportPolicy")]
    pub ice_transport_policy: &'static str,
    /// Lifetime of the credential, seconds.
    pub ttl: u64,
    /// Its end, Unix seconds.
    pub expires_at: i64,
    /// Seconds after which a long-lived page should ask again (80 % of `ttl`).
    pub refresh_after: u64,
}

/// One entry of `iceServers`.
#[derive(Debug, Clone, Serialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URLs, never empty.
    pub urls: Vec<String>,
    /// Absent for plain STUN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Absent for plain STUN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Body of `POST /ice`; the same words as the query of `GET /ice`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct IceRequest {
    /// Name after the expiry in the username; random without one.
    pub(crate) user: Option<String>,
    /// Lifetime, seconds.
    pub(crate) ttl: Option<u64>,
}

/// `{"error":{...}}`
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorWord,
}

/// What went wrong, for programs (`code`, `field`) and for people (`message`, `hint`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorWord {
    /// A stable word.
    pub code: Cow<'static, str>,
    /// A sentence.
    pub message: Cow<'static, str>,
    /// The parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'static, str>>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Cow<'static, str>>,
}

/// `/healthz` for everyone.
#[derive(Debug, Serialize)]
pub(crate) struct HealthWord {
    pub(crate) ok: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) draining: bool,
}

/// `/readyz`.
#[derive(Debug, Serialize)]
pub(crate) struct ReadyWord {
    /// New calls are welcome.
    pub(crate) ready: bool,
    /// `draining` or `not_well`; absent if nothing keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'static str>,
}

/// `/healthz` for those who may know, and `turnbell status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Every shard makes progress. The record does not count: relaying goes on without it.
    pub ok: bool,
    /// No new allocation is made, and it will end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// What the relay says.
    pub relay: RelayHealth,
    /// What the record says.
    pub record: RecordHealth,
    /// What is wrong with the certificate; absent where none is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsHealth>,
    /// Public addresses that are asked for; empty where `external_stun` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalHealth>,
    /// Issuers whose keys are fetched; empty where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<IssuerHealth>,
    /// Proxies whose word is ignored; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyHealth>,
    /// The last verification of each vantage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<VerificationHealth>,
    /// Who has nearly all he may have; absent where nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<QuotaHealth>,
}

/// Quotas that are nearly used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaHealth {
    /// Users near `quota.per_user`.
    pub users: usize,
    /// Whether all together are near `quota.total`: 1 or 0.
    pub total: usize,
    /// Tenants near their `calls`.
    pub tenants: usize,
    /// The first of them, by name.
    pub near: Vec<QuotaWord>,
}

/// Somebody who has nearly all he may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaWord {
    /// `allocations` of a user, `all_allocations`, or `calls` of a tenant.
    pub quota: String,
    /// Who; empty for all together.
    pub who: String,
    /// What he has.
    pub used: u64,
    /// What he may have.
    pub limit: u64,
}

/// Keys that are fetched from an issuer. Nothing else waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerHealth {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub url: String,
    /// How many count.
    pub keys: usize,
    /// When they were fetched, Unix milliseconds; absent while they never came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<i64>,
    /// Why they did not come the last time; absent if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Forwarding headers that came from addresses outside `http.trusted_proxies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyHealth {
    /// Requests since the start whose header was ignored.
    pub ignored: u64,
    /// The addresses they came from, the first few.
    pub sources: Vec<IpAddr>,
    /// What to do if these are proxies of ours.
    pub hint: String,
}

/// State of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHealth {
    /// Shards that were started.
    pub shards: usize,
    /// Shards that finished a turn since the last look.
    pub shards_alive: usize,
    /// Live allocations.
    pub allocations: u64,
}

/// What STUN servers say about a relay address. Relaying goes on whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalHealth {
    /// The address of this machine.
    pub address: String,
    /// What clients are told in its place; absent while nobody knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Since when it is known, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<i64>,
    /// What is wrong, in words; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// State of the certificate. Relaying without TLS goes on whatever it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsHealth {
    /// The newest certificate is in use and `turns:` is handed out where there is a port for it.
    pub ok: bool,
    /// What is wrong, in words; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its end, Unix seconds.
    pub expires_at: i64,
}

/// State of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHealth {
    /// Rows reach the disk.
    pub ok: bool,
    /// What is wrong, in words without paths; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Rows lost since the start.
    pub dropped: u64,
}
