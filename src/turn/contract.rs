//! The words between the relay and the world: what goes in, what comes out, what to do with a datagram.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use super::drain::Alternate;
use super::fact::Fact;
use super::five_tuple::FiveTuple;
use super::icmp::IcmpError;
use super::relayed_address::RelayPort;
use super::replace::Replacement;
use super::reservation::{Ports, ReservationToken};
use super::revocation::Revocation;
use crate::wire::address::Family;
use crate::wire::channel_data::ChannelNumber;

/// One mutation of the relay.
#[derive(Debug)]
pub enum Input<'a> {
    /// A client sent this, and `forward_client` said [`Forward::Handle`].
    Datagram {
        /// From where to where.
        tuple: FiveTuple,
        /// The whole datagram.
        bytes: &'a [u8],
    },
    /// The answer to [`Output::OpenRelaySocket`].
    RelaySocketOpened {
        /// Which question.
        token: Token,
        /// What was opened, or why nothing was.
        result: Result<Opened, Why>,
    },
    /// ICMP came back for what a relay socket had sent to `peer`.
    PeerUnreachable {
        /// From which relayed transport address it was sent.
        relay: RelayPort,
        /// To whom; port 0 if the kernel does not say.
        peer: SocketAddr,
        /// What it says.
        error: IcmpError,
    },
    /// A TCP or TLS connection is gone: its allocation ends with it.
    StreamClosed {
        /// Whose.
        tuple: FiveTuple,
    },
    /// Something the operator or the daemon wants.
    Command(Command),
    /// Time went by; due when [`super::relay::Relay::deadline`] has come.
    Tick,
}

/// What is asked of a relay from outside the packet path.
#[derive(Debug, Clone)]
pub enum Command {
    /// Goes on with other rules; what they refuse of live allocations is closed (R28).
    Replace(Replacement),
    /// Refuses new allocations, naming these servers, and serves the live ones on.
    Drain(Arc<[Alternate]>),
    /// Closes every allocation with reason `shutdown` and refuses new ones.
    Stop,
    /// Closes every allocation of a user with reason `revoked` and refuses his credentials from
    /// then on.
    Revoke(Revocation),
    /// Closes allocations of a user with reason `ended`; his credentials stay good.
    End {
        /// User by which quotas count.
        user: Box<str>,
        /// Only those made in this session of signaling.
        session: Option<Box<str>>,
    },
    /// Lets him in again.
    Restore {
        /// User by which quotas count.
        user: Box<str>,
    },
}

/// Ties an answer to its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Why no relay socket could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The user has as many allocations as he may (486).
    UserQuota,
    /// The source prefix has as many allocations as it may (486).
    SourceQuota,
    /// All allocations together are as many as may be (508).
    TotalQuota,
    /// The token is unknown, expired or used (508).
    Reservation,
    /// No port is left, or 16 were tried and found taken (508).
    Ports,
    /// The kernel refused a socket: files, memory, address (508).
    Bind,
    /// Memory is short, and there are as many allocations as when it became so (508).
    Memory,
}

/// Which relayed transport addresses an Allocate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One of this family.
    One(Family, Ports),
    /// One of each family, or the one that can be had (RFC 8656 §7.2 step 9).
    Both {
        /// Whether their ports must be even.
        even: bool,
    },
    /// The one that was reserved under this token.
    Reserved(ReservationToken),
}

/// The relay sockets that were opened for an Allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The first or only one.
    pub relay: RelayPort,
    /// For [`Wanted::Both`]: the one of the other family, or why there is none.
    pub other: Option<Result<RelayPort, Why>>,
    /// For [`Ports::EvenAndReserve`]: what the next higher port is kept under.
    pub reserved: Option<ReservationToken>,
}

/// What the relay wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes to `tuple.client` from `tuple.server`, or over its connection.
    Send {
        /// The answer goes back the way the request came.
        tuple: FiveTuple,
        /// A whole STUN message.
        bytes: Vec<u8>,
    },
    /// Count one allocation against the quotas, choose ports, bind sockets; answer with
    /// [`Input::RelaySocketOpened`].
    OpenRelaySocket {
        /// To be repeated in the answer.
        token: Token,
        /// Whose quota.
        user: Box<str>,
        /// Whose source quota.
        source: std::net::IpAddr,
        /// Which sockets.
        wanted: Wanted,
    },
    /// Close the socket and give its port back.
    CloseRelaySocket {
        /// Which one.
        relay: RelayPort,
        /// Whose quota.
        user: Box<str>,
        /// Whose source quota.
        source: std::net::IpAddr,
        /// Whether the allocation ends with it: then its count goes back, too.
        is_last: bool,
    },
    /// Close this TCP or TLS connection: its allocation is over, or nobody can say where its next
    /// message begins. [`Input::StreamClosed`] may follow, and changes nothing.
    CloseStream {
        /// Which one.
        tuple: FiveTuple,
    },
    /// Something to keep; may be dropped and counted if nobody keeps up.
    Fact(Fact),
}

/// What to do with a datagram on the hot path. Ranges are offsets into the caller's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// Send the range from the relay socket to a peer outside.
    ToPeer {
        /// From which relayed transport address.
        relay: RelayPort,
        /// To whom.
        peer: SocketAddr,
        /// Whether this one datagram must not be fragmented (RFC 8656 §14).
        dont_fragment: bool,
        /// The application data.
        range: Range<usize>,
    },
    /// Send the range, with this header in front, to the client.
    ToClient {
        /// To `tuple.client`, from `tuple.server`.
        tuple: FiveTuple,
        /// The header to write.
        header: Header,
        /// The application data.
        range: Range<usize>,
    },
    /// Hand the range to `forward_relay` of whoever owns `to`, as if it had come from `from`.
    ToRelay {
        /// The sender's own port, for the case that the kernel must carry it.
        relay: RelayPort,
        /// The receiver's port.
        to: RelayPort,
        /// The sender's relayed transport address, which is the peer that the receiver sees.
        from: SocketAddr,
        /// The receiver's transport address.
        peer: SocketAddr,
        /// The application data.
        range: Range<usize>,
        /// If nobody owns `to`: send it through the kernel (the operator opened this address),
        /// or else discard it as [`Discard::NoSuchRelay`].
        else_kernel: bool,
        /// Through the kernel it must not be fragmented.
        dont_fragment: bool,
    },
    /// Nothing; counted by reason.
    Discard(Discard),
    /// It is STUN and not a plain Send indication: give it to `handle`.
    Handle,
}

/// The header in front of data that goes to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A channel is bound to the peer (RFC 8656 §12.7).
    Channel(ChannelNumber),
    /// None is: a Data indication naming the peer (RFC 8656 §11.3).
    DataIndication(SocketAddr),
}

macro_rules! discards {
    ($($variant:ident = $code:literal, $doc:literal;)*) => {
        /// Why a datagram got neither an answer nor a way on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Discard {
            $(#[doc = $doc] $variant,)*
        }

        impl Discard {
            /// Every reason, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// A stable word for counters.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

discards! {
    NotStun = "not_stun", "Neither STUN nor ChannelData, or a truncated header.";
    NoCookie = "no_cookie", "STUN without the magic cookie (RFC 3489).";
    BadLength = "bad_length", "The length field disagrees with the datagram.";
    AttributeOverrun = "attribute_overrun", "An attribute runs past the end.";
    BadFingerprint = "bad_fingerprint", "FINGERPRINT is wrong or misplaced.";
    Response = "response", "A response: answering one would make two servers talk forever.";
    UselessIndication = "useless_indication", "An indication that asks for nothing.";
    UnknownMethod = "unknown_method", "A request of a method this server does not know.";
    BadSource = "bad_source", "Source port 0, or our own listening address.";
    MalformedChannelData = "malformed_channel_data", "Number out of range or too short.";
    MalformedSend = "malformed_send", "A Send indication without peer or data, or with an unknown required attribute.";
    NoAllocation = "no_allocation", "Data on a five-tuple without an allocation.";
    NoChannel = "no_channel", "ChannelData on a number that is not bound.";
    NoPermission = "no_permission", "No live permission for the peer.";
    PeerForbidden = "peer_forbidden", "Policy refuses the peer of a Send indication.";
    FamilyMismatch = "family_mismatch", "There is no relayed address of the peer's family.";
    NoSuchRelay = "no_such_relay", "An own relay address and port that no live allocation has.";
    OwnAddressOutside = "own_address_outside", "From one of our own addresses, but through the kernel.";
    TooLong = "too_long", "With its header it would not fit a datagram.";
    TooBigForPath = "too_big_for_path", "It must not be fragmented and is longer than the next link takes.";
    UselessIcmp = "useless_icmp", "ICMP of a type that clients are not told of.";
    IcmpPaced = "icmp_paced", "ICMP beyond what a client is told of.";
    NewPeersPaced = "new_peers_paced", "Too many new peer addresses at once; the retransmission is welcome.";
    AllocationInProgress = "allocation_in_progress", "A second Allocate while the first one's socket is being opened.";
    OverAllocationRate = "over_allocation_rate", "More than one allocation may relay.";
    OverUserRate = "over_user_rate", "More than one user may relay.";
    OverTotalRate = "over_total_rate", "More than everybody may relay, and more than this user's share.";
    OverRunBytes = "over_run_bytes", "More than one verification of a page may relay.";
    ShieldSource = "shield_source", "This source was sent all the answers it gets without a nonce of ours.";
    ShieldTotal = "shield_total", "All sources were sent all the bits they get without a nonce of ours.";
    MalformedStream = "malformed_stream", "A stream that says what is no message; it is closed.";
    SlowStream = "slow_stream", "A client does not read its stream fast enough.";
    CrossingFull = "crossing_full", "Another relay thread has as many datagrams waiting as may be.";
    NotSent = "not_sent", "The kernel did not take it (full socket buffer, no route).";
}
