//! What a page tells.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The body of a report. Members may be added; unknown ones are left aside.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PageReport {
    /// One per URL that was tried.
    pub(super) urls: Vec<UrlReport>,
    /// How long it took, milliseconds.
    #[serde(default)]
    pub(super) took_ms: u32,
    /// Name and version of the browser, for people.
    #[serde(default)]
    pub(super) browser: String,
    /// Whether sound came from a microphone; absent if nobody tried.
    #[serde(default)]
    pub(super) microphone: Option<bool>,
}

/// What the page saw of one URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UrlReport {
    /// As it was handed out.
    pub(super) url: String,
    /// Of the server-reflexive candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mapped: Option<SocketAddr>,
    /// Of the relay candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) relayed: Option<SocketAddr>,
    /// `icecandidateerror`s.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<IceError>,
    /// How long the browser looked for candidates, milliseconds; absent if the page gave up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) gathered_ms: Option<u32>,
    /// A call through this relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) call: Option<CallReport>,
}

/// An `icecandidateerror`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct IceError {
    /// `errorCode`.
    pub(super) code: u16,
    /// `errorText`.
    #[serde(default)]
    pub(super) text: String,
}

/// A call through a relay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct CallReport {
    /// The data channel opened.
    pub(super) connected: bool,
    /// Median round trip, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rtt_ms: Option<f32>,
    /// Messages sent that are not sent again.
    #[serde(default)]
    pub(super) sent: u32,
    /// And those that arrived.
    #[serde(default)]
    pub(super) received: u32,
    /// One way, kilobits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kbit_s: Option<f32>,
}
