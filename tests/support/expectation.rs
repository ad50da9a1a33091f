//! What tests expect: everything that the world sees of one event, and nothing else.

use std::net::SocketAddr;

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::contract::{Discard, Header, Wanted};
use turnbell::turn::fact::EndReason;
use turnbell::turn::reservation::Ports;
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::{ChannelNumber, ChannelRange};

use super::CLIENT;
use super::answer::Answer;

/// One thing that the world sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// An answer to a client's request.
    Answer(SocketAddr, Answer),
    /// Data to a peer outside; the harness checked from which relay socket.
    ToPeer(SocketAddr, Vec<u8>),
    /// The same, which must not be fragmented.
    ToPeerWhole(SocketAddr, Vec<u8>),
    /// Data to a client.
    ToClient(SocketAddr, Header, Vec<u8>),
    /// Word of an unreachable peer to a client: type, code, error data.
    Icmp(SocketAddr, SocketAddr, (u8, u8, u32)),
    /// A datagram discarded and counted.
    Discards(Discard),
    /// A relay socket is asked for.
    AsksForSocket(Wanted),
    /// An Allocate success says why there is none of this family.
    AddressError(Family, u16),
    /// An Allocate success names a token for the next higher port.
    Reserved,
    /// One is closed.
    ClosesSocket,
    /// A client's connection is closed.
    ClosesStream(SocketAddr),
    /// Fact: an allocation began.
    Opened,
    /// Fact: an allocation ended.
    Closed(EndReason),
    /// Fact: somebody was refused.
    AuthenticationFailed(AuthFailure),
}

/// All that is to be seen, in any order.
#[derive(Debug, Clone)]
pub(crate) struct Expectation(pub(crate) Vec<Seen>);

impl Expectation {
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// In an order that depends on nothing but what is seen.
    pub(crate) fn sorted(mut self) -> Vec<Seen> {
        self.0.sort_by_cached_key(|seen| format!("{seen:?}"));
        self.0
    }

    /// The same about another client.
    pub(crate) fn at(mut self, at: SocketAddr) -> Self {
        for seen in &mut self.0 {
            if let Seen::Answer(client, _)
            | Seen::ToClient(client, _, _)
            | Seen::Icmp(client, _, _) = seen
            {
                *client = at;
            }
        }
        self
    }
}

/// Nothing at all, not even a counted discard.
pub(crate) fn nothing() -> Expectation {
    Expectation(Vec::new())
}

/// An answer to the client that every test has.
pub(crate) fn answers(answer: Answer) -> Expectation {
    Expectation(vec![Seen::Answer(CLIENT, answer)])
}

/// Success of CreatePermission or ChannelBind.
pub(crate) fn succeeds() -> Expectation {
    answers(Answer::Done)
}

/// Success of Binding.
pub(crate) fn maps() -> Expectation {
    answers(Answer::Mapped)
}

/// An error response.
pub(crate) fn rejects(code: u16) -> Expectation {
    answers(Answer::Error(code))
}

/// 420 that names these.
pub(crate) fn rejects_unknown(kinds: &[u16]) -> Expectation {
    answers(Answer::Unknown(kinds.to_vec()))
}

/// An error response, and the true cause as a fact.
pub(crate) fn refuses(code: u16, cause: AuthFailure) -> Expectation {
    rejects(code).and(Expectation(vec![Seen::AuthenticationFailed(cause)]))
}

/// A new allocation over IPv4 from beginning to end.
pub(crate) fn allocates(lifetime_s: u32) -> Expectation {
    allocates_family(Family::V4, lifetime_s)
}

/// A new allocation of this family.
pub(crate) fn allocates_family(family: Family, lifetime_s: u32) -> Expectation {
    asks_for_socket(family).and(begins(lifetime_s))
}

/// A new allocation with both families.
pub(crate) fn allocates_both(lifetime_s: u32) -> Expectation {
    asks_for(Wanted::Both { even: false }).and(begins(lifetime_s))
}

/// A token in an Allocate success.
pub(crate) fn reserves() -> Expectation {
    Expectation(vec![Seen::Reserved])
}

/// An Allocate success without one of the families that were asked for.
pub(crate) fn lacks(family: Family, code: u16) -> Expectation {
    Expectation(vec![Seen::AddressError(family, code)])
}

/// A relay socket is asked for, and the client waits.
pub(crate) fn asks_for_socket(family: Family) -> Expectation {
    asks_for(Wanted::One(family, Ports::Any))
}

/// Relay sockets are asked for, and the client waits.
pub(crate) fn asks_for(wanted: Wanted) -> Expectation {
    Expectation(vec![Seen::AsksForSocket(wanted)])
}

/// The answer to an Allocate whose socket was opened.
pub(crate) fn begins(lifetime_s: u32) -> Expectation {
    Expectation(vec![Seen::Opened]).and(repeats(lifetime_s))
}

/// The answer to an Allocate that was answered before.
pub(crate) fn repeats(lifetime_s: u32) -> Expectation {
    answers(Answer::Allocated { lifetime_s })
}

/// A Refresh.
pub(crate) fn refreshes(lifetime_s: u32) -> Expectation {
    answers(Answer::Refreshed { lifetime_s })
}

/// One family of a dual allocation ends.
pub(crate) fn closes_socket() -> Expectation {
    Expectation(vec![Seen::ClosesSocket])
}

/// An allocation's end.
pub(crate) fn ends(reason: EndReason) -> Expectation {
    Expectation(vec![Seen::ClosesSocket, Seen::Closed(reason)])
}

/// A discarded datagram.
pub(crate) fn discards(reason: Discard) -> Expectation {
    Expectation(vec![Seen::Discards(reason)])
}

/// Data to a peer outside.
pub(crate) fn sends_to_peer(peer: SocketAddr, data: &[u8]) -> Expectation {
    Expectation(vec![Seen::ToPeer(peer, data.to_vec())])
}

/// Data to a peer outside that must not be fragmented.
pub(crate) fn sends_whole_to_peer(peer: SocketAddr, data: &[u8]) -> Expectation {
    Expectation(vec![Seen::ToPeerWhole(peer, data.to_vec())])
}

/// Data to the client in a Data indication.
pub(crate) fn sends_data_indication(peer: SocketAddr, data: &[u8]) -> Expectation {
    Expectation(vec![Seen::ToClient(CLIENT, Header::DataIndication(peer), data.to_vec())])
}

/// Word of an unreachable peer to the client.
pub(crate) fn tells_icmp(peer: SocketAddr, kind: u8, code: u8, data: u32) -> Expectation {
    Expectation(vec![Seen::Icmp(CLIENT, peer, (kind, code, data))])
}

/// Data to the client as ChannelData.
pub(crate) fn sends_channel_data(number: u16, data: &[u8]) -> Expectation {
    let number = ChannelNumber::new(number, ChannelRange::Rfc8656).expect("a channel number");
    Expectation(vec![Seen::ToClient(CLIENT, Header::Channel(number), data.to_vec())])
}
