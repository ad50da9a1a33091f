//! What `check-config --json` prints.

use serde::Serialize;

/// What a config means on this machine, and what came of trying it.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// Everything would work.
    pub ok: bool,
    /// The file; absent where the built-in default counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Addresses that would be relayed on.
    pub relay: Vec<RelayWord>,
    /// What was tried, listener by listener.
    pub tried: Vec<TriedWord>,
    /// Keys of issuers that are fetched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeysWord>,
    /// What `/ice` would hand out to somebody elsewhere, and what not.
    pub urls: Vec<UrlWord>,
    /// What would not work, a sentence each.
    pub problems: Vec<String>,
    /// What would work, but perhaps not as meant.
    pub warnings: Vec<String>,
}

/// An address that would be relayed on.
#[derive(Debug, Serialize)]
pub struct RelayWord {
    /// Of this machine.
    pub address: String,
    /// What clients would be told.
    pub told: String,
    /// Where that comes from, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// Why this address.
    pub why: String,
}

/// Keys of an issuer.
#[derive(Debug, Serialize)]
pub struct KeysWord {
    /// `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub url: String,
    /// How many came; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
}

/// Two clients that found each other through the relay, or did not.
#[derive(Debug, Serialize)]
pub struct TriedWord {
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// As the config has it.
    pub listener: String,
    /// `ipv4` or `ipv6`, of the relayed address.
    pub family: &'static str,
    /// What a client would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relayed: Option<String>,
    /// What did not work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A URL, or why there is none.
#[derive(Debug, Serialize)]
pub struct UrlWord {
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// As a client would get it; absent: it is not handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why.
    pub why: String,
}
