//! The numbers among them: what is relayed, how calls went, what this machine may carry.

use serde::{Deserialize, Serialize};

use crate::edge::diagnostics::ring::Sample;

/// Live allocations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AllocationsWord {
    /// All.
    pub live: u64,
    /// Given since the start.
    pub opened: u64,
    /// By the way their client comes.
    pub by_transport: TransportsWord,
    /// By the family of what they relay on.
    pub by_family: FamiliesWord,
}

/// A count for each transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TransportsWord {
    /// UDP.
    pub udp: u64,
    /// TCP.
    pub tcp: u64,
    /// TLS over TCP.
    pub tls: u64,
}

/// A count for each address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FamiliesWord {
    /// IPv4 alone.
    pub ipv4: u64,
    /// IPv6 alone.
    pub ipv6: u64,
    /// Both in one allocation.
    pub both: u64,
}

/// What is relayed, payload only; the rates are those of the last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelayedWord {
    /// Bits a second from clients to peers.
    pub bits_per_s_to_peers: u64,
    /// Bits a second from peers to clients.
    pub bits_per_s_to_clients: u64,
    /// Datagrams a second, both ways.
    pub packets_per_s: u64,
    /// Bytes since the start, both ways.
    pub bytes: u64,
    /// Datagrams since the start, both ways.
    pub packets: u64,
}

/// Requests with credentials that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedWord {
    /// A stable word.
    pub cause: String,
    /// What it means.
    pub means: String,
    /// Since the start.
    pub count: u64,
    /// Within the last hour.
    pub last_hour: u64,
}

/// Somebody who relays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkerWord {
    /// User by which quotas count.
    pub user: String,
    /// Live ones.
    pub allocations: u64,
    /// What they relayed so far, both ways.
    pub bytes: u64,
    /// What they relay at this moment, both ways.
    pub bits_per_s: u64,
}

/// How many of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountWord {
    /// A stable word.
    pub code: String,
    /// How many.
    pub count: u64,
}

/// Calls of the last day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallsWord {
    /// From this moment on.
    pub since_at: i64,
    /// That are not over.
    pub live: u64,
    /// All.
    pub total: u64,
    /// By the status on record.
    pub by_status: Vec<CountWord>,
    /// Those that are over, by the reason.
    pub by_reason: Vec<CountWord>,
    /// Why they cannot be counted; absent if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How the media of calls went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ShareWord {
    /// From one to the other.
    pub direct: u64,
    /// Through the relay, reached over UDP.
    pub udp: u64,
    /// Reached over TCP.
    pub tcp: u64,
    /// Reached over TLS.
    pub tls: u64,
}

/// How calls sounded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct QualityWord {
    /// Reports that this is made of.
    pub reports: u64,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<Percentiles>,
    /// Jitter, milliseconds.
    pub jitter_ms: Option<Percentiles>,
    /// Datagrams lost, per cent.
    pub loss_percent: Option<Percentiles>,
    /// Mean opinion score, 1 to 4.5; here 95 % are at least as good as `p95`.
    pub mos: Option<Percentiles>,
}

/// The middle, and what only one in twenty is worse than.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them are better.
    pub p50: f64,
    /// 95 % of them are better.
    pub p95: f64,
}

/// The last verification from one vantage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationWord {
    /// `this_machine`, `another_machine` or `browser`.
    pub vantage: String,
    /// When; absent: not yet.
    pub at: Option<i64>,
    /// Whether nothing was an error.
    pub ok: Option<bool>,
    /// `ok`, `note`, `warning` or `error`.
    pub severity: Option<String>,
    /// One sentence.
    pub verdict: Option<String>,
}

/// How many calls this machine may carry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CapacityWord {
    /// Relayed calls of 1 Mbit/s each way; absent where nothing is known that would bound them.
    pub calls: Option<u64>,
    /// One sentence for a person.
    pub says: String,
    /// What bounds them, the tightest first.
    pub bounds: Vec<Bound>,
}

/// One thing that bounds the number of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// A stable word: `link`, `rate`, `cpu`, `quota`, `ports`, `descriptors`, `conntrack`.
    pub of: String,
    /// So many calls at the most.
    pub calls: u64,
    /// What this was estimated from.
    pub from: String,
}

/// What was measured, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    /// Every 10 seconds.
    pub hour: Vec<Sample>,
    /// Every 5 minutes.
    pub day: Vec<Sample>,
}
