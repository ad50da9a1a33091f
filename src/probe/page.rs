//! What a page saw, beside what the server saw of it at the same time, and what both mean (P7).
//!
//! A browser says little: a candidate came or it did not, and now and then an error. The server's
//! side says where it ended: no packet, a Binding and no Allocate, a refusal with its true cause, a
//! TLS alert, an allocation and its bytes.

mod judge;
mod lookup;
#[cfg(test)]
mod tests;
mod told;

use std::net::{IpAddr, SocketAddr};

use super::target::Place;
use crate::auth::credential::AuthFailure;

pub use judge::judge;

/// What was seen of one URL, from both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSeen {
    /// As it was handed out.
    pub url: String,
    /// What it says.
    pub place: Place,
    /// What the page saw.
    pub page: PageSaw,
    /// What the server saw; `None` for another's server, or if nobody looked.
    pub server: Option<ServerSaw>,
}

/// What a page saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageSaw {
    /// A server-reflexive candidate came: so this server sees the page.
    pub mapped: Option<SocketAddr>,
    /// A relay candidate came.
    pub relayed: Option<SocketAddr>,
    /// `icecandidateerror`: code and text, the first few.
    pub errors: Vec<(u16, String)>,
    /// How long the browser looked for candidates, milliseconds; `None`: longer than the page waited.
    pub gathered_ms: Option<u128>,
    /// What became of a call through this relay; `None` if there was no relay to call through.
    pub call: Option<CallSaw>,
}

/// What became of a call whose both ends lie in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallSaw {
    /// The data channel opened.
    pub is_connected: bool,
    /// Median round trip, milliseconds.
    pub rtt_ms: Option<u32>,
    /// Messages sent that do not retransmit.
    pub sent: u32,
    /// And those that arrived.
    pub received: u32,
    /// Throughput one way, kilobits a second.
    pub kbit_s: Option<u32>,
}

/// What the server saw over the URL's transport, by credential or by address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSaw {
    /// TCP connections that came.
    pub connections: u32,
    /// How the last one ended that failed: a TLS alert, as a sentence.
    pub connection_fault: Option<String>,
    /// Answered Binding requests.
    pub bindings: u32,
    /// First requests, answered 401 as always.
    pub challenges: u32,
    /// Why credentials were refused, the last time.
    pub not_authenticated: Option<AuthFailure>,
    /// Code of the last Allocate that was refused for another reason.
    pub refused: Option<u16>,
    /// Requests that were left without an answer.
    pub unanswered: u32,
    /// Allocations made.
    pub opened: u32,
    /// Packets relayed, both ways.
    pub packets: u64,
    /// Peers that policy refused.
    pub refused_peers: Vec<IpAddr>,
}

impl ServerSaw {
    /// Whether anything came at all.
    #[must_use]
    pub fn anything(&self) -> bool {
        self.connections + self.bindings + self.challenges + self.opened + self.unanswered > 0
            || self.not_authenticated.is_some()
            || self.refused.is_some()
    }
}

impl UrlSeen {
    /// Whether what the URL is for works.
    #[must_use]
    pub fn works(&self) -> bool {
        if self.place.is_turn {
            self.page.call.is_some_and(|call| call.is_connected)
        } else {
            // Without a NAT in between the answer brings no candidate that is not there already; and a
            // family that the name lacks is an error where all is well (701).
            let is_answered = self.server.as_ref().is_some_and(|server| server.bindings > 0);
            let is_well = self.page.gathered_ms.is_some()
                && self.page.errors.iter().all(|(code, _)| *code == 701)
                || self.page.errors.is_empty();
            self.page.mapped.is_some() || is_answered && is_well
        }
    }
}
