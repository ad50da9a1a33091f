//! What `/diagnostics` says, for programs and for its page. Times are Unix milliseconds (`_at`).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::edge::json::{ExternalHealth, ProxyHealth};
use crate::edge::operator_json::ConfigWord;

/// Everything that is known, and what of it needs somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Of turnbell.
    pub version: String,
    /// When this was found out.
    pub at: i64,
    /// Start of the daemon.
    pub started_at: i64,
    /// Seconds since then.
    pub uptime_s: u64,
    /// The worst of `items`.
    pub state: Light,
    /// One sentence for a person.
    pub verdict: String,
    /// What was judged, the worst first.
    pub items: Vec<Item>,
    /// All that the judgement stands on.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Green: nothing to do. Yellow: look at it. Red: something does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// Nothing to do.
    Green,
    /// Somebody should look at it.
    Yellow,
    /// Something does not work.
    Red,
}

/// One thing that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// A stable word; several items may have the same.
    pub id: String,
    /// For people.
    pub title: String,
    /// The judgement.
    pub state: Light,
    /// What is seen.
    pub says: String,
    /// What to do; always there where it is not green.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// What was measured and looked up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// The relay and its threads.
    pub relay: RelayWord,
    /// What is open.
    pub listeners: ListenersWord,
    /// What is relayed on, and what clients are told.
    pub addresses: Vec<AddressWord>,
    /// What STUN servers say about them.
    pub external: Vec<ExternalHealth>,
    /// The certificate; absent where none is configured.
    pub certificate: Option<CertificateWord>,
    /// Relay ports.
    pub ports: PortsWord,
    /// File descriptors.
    pub descriptors: UsedOf,
    /// Datagrams that the kernel threw away because a buffer was full.
    pub drops: DropsWord,
    /// This process.
    pub process: ProcessWord,
    /// The database.
    pub record: RecordWord,
    /// How much of each quota is taken.
    pub quota: QuotaWord,
    /// Live allocations.
    pub allocations: AllocationsWord,
    /// What is relayed.
    pub relayed: RelayedWord,
    /// Requests with credentials that were refused, by their true cause.
    pub refused: Vec<RefusedWord>,
    /// Who relays most, by what goes through at this moment.
    pub top_talkers: Vec<TalkerWord>,
    /// Calls of the last day.
    pub calls: CallsWord,
    /// How their media went, as far as clients said.
    pub relay_share: ShareWord,
    /// How they sounded, as far as clients said.
    pub quality: QualityWord,
    /// The last verification of each vantage: `this_machine`, `another_machine`, `browser`.
    pub verifications: Vec<VerificationWord>,
    /// How many calls this machine may carry.
    pub capacity: CapacityWord,
    /// Forwarding headers that are ignored; absent where there are none.
    pub proxies: Option<ProxyHealth>,
    /// What is in effect, with where it comes from; secrets are counted, not shown.
    pub config: Option<ConfigWord>,
    /// Sentences of start and reload that still hold.
    pub warnings: Vec<String>,
}

/// The relay and its threads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RelayWord {
    /// Every thread makes progress.
    pub alive: bool,
    /// It answers questions.
    pub answers: bool,
    /// No new allocations, and then the end.
    pub draining: bool,
    /// New work is refused for want of memory.
    pub short_of_memory: bool,
}

/// What is open, with the real ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListenersWord {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// Over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Over TLS.
    pub tls: Vec<SocketAddr>,
    /// HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTPS, at a port of `tls`.
    pub https: Vec<SocketAddr>,
}

/// An address that is relayed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressWord {
    /// Of this machine.
    pub address: String,
    /// What clients are told.
    pub told: String,
    /// Why this one, as the second half of a sentence.
    pub why: String,
    /// Who says what clients are told, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// Why the world cannot send to what clients are told, such as `private`; absent if it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_public: Option<String>,
}

/// The certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateWord {
    /// What it is for.
    pub hosts: String,
    /// Its end.
    pub expires_at: i64,
    /// Whole days until then; negative when it is over.
    pub days_left: i64,
    /// What is wrong with it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Relay ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PortsWord {
    /// As the config has them.
    pub range: String,
    /// Can be drawn.
    pub free: u64,
    /// Of live or opening allocations.
    pub used: u64,
    /// Held by another program when last tried.
    pub resting: u64,
    /// Bound and kept for a token.
    pub reserved: u64,
}

/// So much of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UsedOf {
    /// Taken.
    pub used: u64,
    /// All there is; 0 where nobody says.
    pub limit: u64,
}

/// Datagrams that the kernel threw away because a buffer was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DropsWord {
    /// At our listeners, since the start.
    pub listeners: u64,
    /// At the relay sockets that are open.
    pub relay_sockets: u64,
    /// At all sockets of this machine, since it was switched on.
    pub machine: u64,
    /// At our listeners and relay sockets within the last hour.
    pub last_hour: u64,
}

/// This process.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessWord {
    /// Memory in use.
    pub resident_bytes: u64,
    /// CPU time since the start, seconds.
    pub cpu_s: f64,
    /// Of one core, since the last sample.
    pub cpu_percent: f64,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordWord {
    /// It is being written.
    pub ok: bool,
    /// What is wrong and what cures it; absent if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_at: Option<i64>,
    /// Entries on disk since the start.
    pub stored: u64,
    /// Entries lost since the start.
    pub dropped: u64,
    /// Entries on their way.
    pub queued: u64,
    /// Where it is.
    pub path: String,
    /// Its size with the write-ahead log.
    pub file_bytes: u64,
    /// What the disk has left for us; absent where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Of the SQLite inside.
    pub sqlite_version: String,
}

/// How much of each quota is taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuotaWord {
    /// All allocations.
    pub total: UsedOf,
    /// Of one user at most.
    pub per_user: u64,
    /// Users with most.
    pub users: Vec<Holder>,
    /// Of one address at most (IPv6: a /64).
    pub per_source: u64,
    /// Addresses with most.
    pub sources: Vec<Holder>,
}

/// Who holds how many allocations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// A user or an address.
    pub name: String,
    /// How many.
    pub allocations: u64,
}

mod figures;
pub use figures::{
    AllocationsWord, Bound, CallsWord, CapacityWord, CountWord, FamiliesWord, History, Percentiles,
    QualityWord, RefusedWord, RelayedWord, ShareWord, TalkerWord, TransportsWord, VerificationWord,
};
