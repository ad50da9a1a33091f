//! What happened, with named fields. The record, metrics and diagnostics read facts; a full reader
//! costs a counted fact, never a packet.

use std::net::SocketAddr;

use crate::auth::credential::AuthFailure;

/// Number of an allocation, unique within one run of the daemon, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationNumber(pub u64);

/// How a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Plain UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// A stable word for the record and for people.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// What keeps the nonces of transports apart: the IANA protocol number, the top bit set where
    /// TLS lies above it.
    #[must_use]
    pub fn protocol(self) -> u8 {
        match self {
            Self::Udp => 17,
            Self::Tcp => 6,
            Self::Tls => 0x80 | 6,
        }
    }
}

/// What an allocation relayed: application bytes, without any header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Datagrams from the client to peers.
    pub packets_to_peers: u64,
    /// Their payload, bytes.
    pub bytes_to_peers: u64,
    /// Datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Their payload, bytes.
    pub bytes_to_client: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets_to_peers += other.packets_to_peers;
        self.bytes_to_peers += other.bytes_to_peers;
        self.packets_to_client += other.packets_to_client;
        self.bytes_to_client += other.bytes_to_client;
    }
}

/// Why an allocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The client said so (Refresh with lifetime 0).
    Client,
    /// Its lifetime ran out without a refresh.
    Expired,
    /// The credential that made it expired, and the config says that this ends it.
    CredentialExpired,
    /// The operator revoked the user.
    Revoked,
    /// The operator ended the call that it served, or all that its user had.
    Ended,
    /// The TCP or TLS connection it was made over is gone (RFC 8656 §7.2).
    Disconnected,
    /// The daemon stopped.
    Shutdown,
}

impl EndReason {
    /// A stable word for the record. The store adds `crash` for rows it finds open at start.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Expired => "expired",
            Self::CredentialExpired => "credential_expired",
            Self::Revoked => "revoked",
            Self::Ended => "ended",
            Self::Disconnected => "disconnected",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Something a reader may want to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A client was given a relayed transport address.
    AllocationOpened {
        /// Which one.
        number: AllocationNumber,
        /// Milliseconds since 1970.
        at_unix_ms: i64,
        /// User by which quotas count.
        user: Box<str>,
        /// USERNAME as the client sent it.
        username: Box<str>,
        /// The client's side of the five-tuple.
        client: SocketAddr,
        /// Our side of the five-tuple.
        server: SocketAddr,
        /// How the client reaches us.
        transport: Transport,
        /// Relayed transport address as the client was told.
        relayed: SocketAddr,
        /// Of a dual allocation: the one of the other family.
        relayed_other: Option<SocketAddr>,
        /// Granted lifetime, seconds.
        lifetime_s: u32,
    },
    /// An allocation is gone.
    AllocationClosed {
        /// Which one.
        number: AllocationNumber,
        /// Milliseconds since 1970.
        at_unix_ms: i64,
        /// Why.
        reason: EndReason,
        /// What it relayed in all.
        traffic: Traffic,
    },
    /// A request with credentials was refused.
    AuthenticationFailed {
        /// Milliseconds since 1970.
        at_unix_ms: i64,
        /// Where it came from.
        client: SocketAddr,
        /// How it came.
        transport: Transport,
        /// USERNAME as claimed: unverified text from the network, cut to a bound, may hold anything.
        username: Box<str>,
        /// The true cause, which the client is not told.
        cause: AuthFailure,
        /// Failures since the previous such fact that were not turned into facts (flood bound).
        suppressed: u64,
    },
}
