//! What a verification saw, step by step: plain data, no opinion.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::target::Carrier;

/// From where it was looked (P6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Vantage {
    /// The daemon itself: its packets to its own addresses never leave the machine.
    ThisMachine,
    /// The same program somewhere else.
    AnotherMachine,
    /// A page.
    Browser,
}

/// All that one run saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observations {
    /// From where.
    pub vantage: Vantage,
    /// When it began, Unix milliseconds.
    pub started_at_unix_ms: i64,
    /// How long it took.
    pub took: Duration,
    /// One per URL, in the order of `/ice`.
    pub targets: Vec<TargetSeen>,
}

/// What was seen of one URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSeen {
    /// As it is handed out.
    pub url: String,
    /// Its host.
    pub host: String,
    /// Over what.
    pub carrier: Carrier,
    /// Whether a relay is asked for, or STUN alone.
    pub is_turn: bool,
    /// Whether it is a URL of the daemon that is verified.
    pub is_ours: bool,
    /// When the credential ends, if its username says so; Unix seconds.
    pub credential_ends: Option<i64>,
    /// Where its host leads.
    pub resolution: Resolution,
    /// One per family; last, where nothing else worked, the listener inside.
    pub ways: Vec<WaySeen>,
}

/// Where a host leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Nobody has answered yet.
    Pending,
    /// It is an address.
    Literal,
    /// It is a name of these addresses.
    Found {
        /// As the resolver orders them.
        addresses: Vec<IpAddr>,
        /// How long it took.
        took: Duration,
    },
    /// It is a name, and nobody knows where it leads.
    Failed(DnsFault),
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsFault {
    /// There is no such name, or it has no address.
    NoSuchName,
    /// The resolver does not answer.
    NoAnswer,
    /// Something else; in its words.
    Other(String),
}

/// What was seen on the way to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaySeen {
    /// Where it leads.
    pub address: SocketAddr,
    /// Whether it is the listener itself, tried because the public address does not answer.
    pub is_inside: bool,
    /// The socket, or the TCP connection.
    pub open: Step<()>,
    /// The TLS handshake.
    pub tls: Step<CertificateFacts>,
    /// Binding; how we are seen.
    pub binding: Step<SocketAddr>,
    /// Allocate, with its challenge.
    pub allocate: Step<Allocated>,
    /// Allocate with the credential that ends later, where the first was refused.
    pub later: Step<Allocated>,
    /// A second allocation, and permissions for each other.
    pub permit: Step<()>,
    /// A datagram from one allocation to the other and back; the round trip.
    pub relayed: Step<Duration>,
    /// The same with one as large as those of media, where a small one passes.
    pub large: Step<()>,
    /// A datagram from a socket of ours straight to the relayed address, and one back.
    pub direct: Step<Direct>,
    /// The end of the allocations.
    pub release: Step<()>,
}

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<T> {
    /// It was not its turn, or is not part of this way.
    NotTried,
    /// It had begun when the time of the run was over.
    Unfinished,
    /// It worked.
    Done {
        /// What it brought.
        value: T,
        /// How long it took.
        took: Duration,
    },
    /// It did not.
    Failed {
        /// Why.
        fault: Fault,
        /// How long it took to know.
        took: Duration,
    },
}

/// What an Allocate brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// XOR-RELAYED-ADDRESS.
    pub relayed: SocketAddr,
    /// XOR-MAPPED-ADDRESS.
    pub mapped: Option<SocketAddr>,
    /// REALM of the challenge.
    pub realm: String,
    /// Whether SHA-256 was used.
    pub is_sha256: bool,
}

/// Whether datagrams pass between a socket of ours and the relayed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direct {
    /// From outside to the relayed address.
    pub inbound: bool,
    /// From the relayed address to outside.
    pub outbound: bool,
    /// Where that one came from, if not from the address that clients are told.
    pub came_from: Option<IpAddr>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing came back.
    Silent,
    /// A relayed datagram came to the other end, its answer did not come back.
    NotBack,
    /// Nobody listens there: TCP reset, ICMP port unreachable.
    Refused,
    /// A router on the way, or this machine, says that there is no way.
    Unreachable,
    /// This machine has no address of that family.
    NoFamily,
    /// This machine itself lets nothing out there.
    Forbidden,
    /// The address is in a range that a stranger must not point us at.
    NotPublic(&'static str),
    /// The other end closed.
    Closed,
    /// What came is no STUN.
    NotStun,
    /// An error response.
    Error {
        /// Its code; 0 if it has none.
        code: u16,
        /// REALM in it, as far as it can be shown.
        realm: String,
    },
    /// 401 to a signed request, for another realm than the one of its challenge.
    OtherRealm(String),
    /// 300: another server is to be asked. Nobody followed.
    Redirected(Option<SocketAddr>),
    /// A challenge without REALM or NONCE.
    NoChallenge,
    /// An allocation for somebody who did not say who he is.
    OpenRelay,
    /// Answers came, but none that who has the secret could have written.
    Forged,
    /// A success that lacks what it should hold.
    Empty,
    /// More came than anybody would send.
    Flooded,
    /// The relayed address is one that nothing is sent to: private, or another server's port.
    StrangeAddress(SocketAddr),
    /// TLS did not come about.
    Tls(TlsFault),
    /// The system says something else.
    Other(String),
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// What came is no TLS.
    NotTls,
    /// The server sent this alert.
    Alert(String),
    /// Something else, in the library's words.
    Other(String),
}

/// What a certificate and its chain say, each judged by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// For whom: SAN names and addresses, the first few.
    pub names: Vec<String>,
    /// Who signed the last one that was sent.
    pub last_issuer: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
    /// Certificates that were sent.
    pub chain_length: usize,
    /// Whether the name in the URL is one of its names.
    pub covers_name: bool,
    /// Whether it was signed by itself.
    pub is_self_signed: bool,
    /// Whether the chain leads to a root, dates left aside.
    pub trust: Trust,
}

/// Where a chain leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// To a root of this machine.
    Root,
    /// To nobody known: its last certificate was signed by somebody who was not sent.
    Incomplete,
    /// To a root of its own that this machine does not have.
    OwnRoot,
    /// There are no roots on this machine to compare with.
    NoRootsHere,
    /// It is broken in another way, in the library's words.
    Broken(String),
}

impl Vantage {
    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ThisMachine => "this_machine",
            Self::AnotherMachine => "another_machine",
            Self::Browser => "browser",
        }
    }

    /// The inverse of `code`.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        let all = [Self::ThisMachine, Self::AnotherMachine, Self::Browser];
        all.into_iter().find(|vantage| vantage.code() == code)
    }
}

impl Fault {
    /// A stable word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NotBack => "not_back",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::NoFamily => "no_family",
            Self::Forbidden => "forbidden",
            Self::NotPublic(_) => "not_public",
            Self::Closed => "closed",
            Self::NotStun => "not_stun",
            Self::Error { .. } => "error",
            Self::OtherRealm(_) => "other_realm",
            Self::Redirected(_) => "redirected",
            Self::NoChallenge => "no_challenge",
            Self::OpenRelay => "open_relay",
            Self::Forged => "forged",
            Self::Empty => "empty",
            Self::Flooded => "flooded",
            Self::StrangeAddress(_) => "strange_address",
            Self::Tls(_) => "tls",
            Self::Other(_) => "other",
        }
    }
}

impl<T> Step<T> {
    /// What it brought.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Done { value, .. } => Some(value),
            Self::NotTried | Self::Unfinished | Self::Failed { .. } => None,
        }
    }

    /// Why it failed.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Failed { fault, .. } => Some(fault),
            Self::NotTried | Self::Unfinished | Self::Done { .. } => None,
        }
    }

    /// Whether it worked.
    pub fn is_done(&self) -> bool {
        self.value().is_some()
    }
}

impl WaySeen {
    /// A way that nobody has gone yet.
    #[must_use]
    pub fn new(address: SocketAddr, is_inside: bool) -> Self {
        Self {
            address,
            is_inside,
            open: Step::NotTried,
            tls: Step::NotTried,
            binding: Step::NotTried,
            allocate: Step::NotTried,
            later: Step::NotTried,
            permit: Step::NotTried,
            relayed: Step::NotTried,
            large: Step::NotTried,
            direct: Step::NotTried,
            release: Step::NotTried,
        }
    }

    /// Whether a server answered, whatever it said.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let said_something = |fault: Option<&Fault>| matches!(fault, Some(Fault::Error { .. }));
        self.binding.is_done()
            || self.allocate.is_done()
            || said_something(self.binding.fault())
            || said_something(self.allocate.fault())
            || matches!(self.allocate.fault(), Some(Fault::Redirected(_)))
    }

    /// The first fault on it, in the order of the steps, with the step's name.
    #[must_use]
    pub fn first_fault(&self) -> Option<(&'static str, &Fault)> {
        let steps = [
            ("open", self.open.fault()),
            ("tls", self.tls.fault()),
            // Some servers give no Binding to who has not logged in: the Allocate decides.
            ("binding", self.binding.fault().filter(|_| !self.allocate.is_done())),
            ("allocate", self.allocate.fault()),
            ("permit", self.permit.fault()),
            ("relayed", self.relayed.fault()),
            ("large", self.large.fault()),
            ("release", self.release.fault()),
        ];
        steps.into_iter().find_map(|(name, fault)| Some((name, fault?)))
    }
}

impl TargetSeen {
    /// Whether everything that was asked for works on one way at least, the inside left aside.
    #[must_use]
    pub fn works(&self) -> bool {
        let is_whole = |way: &WaySeen| {
            if self.is_turn && self.credential_is_there() {
                way.relayed.is_done()
            } else {
                way.binding.is_done()
            }
        };
        self.ways.iter().any(|way| !way.is_inside && is_whole(way))
    }

    /// Whether anybody answered on any way, the inside left aside.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.ways.iter().any(|way| !way.is_inside && way.is_answered())
    }

    fn credential_is_there(&self) -> bool {
        self.ways.iter().any(|way| !matches!(way.allocate, Step::NotTried))
    }
}
