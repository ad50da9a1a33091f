//! What tests expect: everything that the world sees of one event, and nothing else.

use std::net::SocketAddr;

use turnbell::auth::credential::AuthFailure;
use turnbell::turn::contract::{Discard, Header};
use turnbell::turn::fact::EndReason;
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
    /// Data to a client.
    ToClient(SocketAddr, Header, Vec<u8>),
    /// A datagram discarded and counted.
    Discards(Discard),
    /// A relay socket is asked for.
    AsksForSocket(Family),
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

    /// The same about another client.
    pub(crate) fn at(mut self, at: SocketAddr) -> Self {
        for seen in &mut self.0 {
            if let Seen::Answer(client, _) | Seen::ToClient(client, _, _) = seen {
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

/// A relay socket is asked for, and the client waits.
pub(crate) fn asks_for_socket(family: Family) -> Expectation {
    Expectation(vec![Seen::AsksForSocket(family)])
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

/// Data to the client in a Data indication.
pub(crate) fn sends_data_indication(peer: SocketAddr, data: &[u8]) -> Expectation {
    Expectation(vec![Seen::ToClient(CLIENT, Header::DataIndication(peer), data.to_vec())])
}

/// Data to the client as ChannelData.
pub(crate) fn sends_channel_data(number: u16, data: &[u8]) -> Expectation {
    let number = ChannelNumber::new(number, ChannelRange::Rfc8656).expect("a channel number");
    Expectation(vec![Seen::ToClient(CLIENT, Header::Channel(number), data.to_vec())])
}
