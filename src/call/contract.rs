//! What goes into the switchboard and what comes out: closed types, and nothing of any protocol.

use std::sync::Arc;
use std::time::Duration;

use super::event::Message;
use super::fact::Fact;
use super::media::Media;
use super::options::Tenants;
use super::refusal::Refusal;
use super::request::{Frame, Hello};
use super::rows::{BlockRow, Row, UnfinishedCall};
use super::ulid::CallId;
use crate::auth::identity::{Identity, TenantId, UserId};

/// A socket, numbered by the edge; a number is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Ties an answer to its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the switchboard is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A socket said `hello` with a good token. Answered with a welcome, or refused and closed.
    Connected {
        /// Over which socket.
        connection: ConnectionId,
        /// What it said.
        hello: Box<Hello>,
    },
    /// A frame came. One from a connection that is closed, or unknown, does nothing.
    Frame {
        /// Over which socket.
        connection: ConnectionId,
        /// What it says.
        frame: Frame,
    },
    /// So many of the messages that were to be sent have been written to the socket. Without it
    /// the switchboard stops sending after a few (it keeps the queue).
    Sent {
        /// To which socket.
        connection: ConnectionId,
        /// How many, since the last time.
        count: usize,
    },
    /// The socket is gone, whoever closed it. Not needed after [`Output::Close`], nor wrong.
    SessionLost {
        /// Which.
        connection: ConnectionId,
    },
    /// The answer to [`Output::Store`].
    Stored {
        /// Which.
        ticket: Ticket,
        /// Whether the row is durable.
        result: Result<(), StoreFailed>,
    },
    /// The answer to [`Output::Ask`].
    Answered {
        /// Which.
        ticket: Ticket,
        /// What the backend says; `Err` if it could not be asked.
        result: Result<Verdict, AskFailed>,
    },
    /// Somebody in charge, or the daemon, wants something.
    Command {
        /// With it, the outcome is told by [`Output::Done`].
        ticket: Option<Ticket>,
        /// What.
        command: Command,
    },
    /// Time went by; due when [`super::switchboard::Switchboard::deadline`] has come.
    Tick,
}

/// What is asked of the switchboard from outside the clients' connections.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Goes on with other tenants. Those that are gone or suspended lose sessions and calls.
    Tenants(Arc<Tenants>),
    /// Ends the user's sessions (close 4003) and calls.
    RevokeUser {
        /// His tenant.
        tenant: TenantId,
        /// Who.
        user: UserId,
    },
    /// Every session gets a fresh ICE config (a secret was changed).
    RefreshIce,
    /// Clients are sent away (close 4090) and no new ones let in; the calls stay in the record for
    /// the next start.
    Drain {
        /// Each is told to come back after a random part of this.
        spread: Duration,
    },
    /// Ends a call, as `POST /v1/calls/{id}/end` asks.
    EndCall {
        /// Who asks.
        by: Actor,
        /// Which.
        call: CallId,
    },
    /// Rejects a ringing call for its callee, as `POST /v1/calls/{id}/reject` asks.
    RejectCall {
        /// Who asks.
        by: Actor,
        /// Which.
        call: CallId,
    },
    /// Takes up who has blocked whom. Once, before the first connection.
    LoadBlocks(Vec<BlockRow>),
    /// Takes up what the record holds as not over. Once, before the first connection (P4).
    Restore(Vec<UnfinishedCall>),
}

/// Who wants something done to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever runs the daemon: any tenant.
    Operator,
    /// A key of this tenant.
    Tenant(TenantId),
    /// A user: his own calls, or those of his tenant if he governs them.
    User(Box<Identity>),
}

/// What the switchboard wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write this to the socket, and report it by [`Input::Sent`] when it is written.
    Send {
        /// To which.
        connection: ConnectionId,
        /// What.
        message: Message,
    },
    /// Close the socket, after what was to be sent before.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        code: CloseCode,
        /// With [`CloseCode::Draining`]: reconnect after this long.
        retry_in: Option<Duration>,
    },
    /// Write a row; always answered by [`Input::Stored`], at once if the record is full or broken.
    Store {
        /// To be repeated in the answer.
        ticket: Ticket,
        /// What.
        row: Row,
    },
    /// Ask the tenant's backend; answered by [`Input::Answered`].
    Ask {
        /// To be repeated in the answer.
        ticket: Ticket,
        /// What.
        question: Authorize,
    },
    /// The outcome of a command that came with a ticket.
    Done {
        /// Its ticket.
        ticket: Ticket,
        /// Done, or why not.
        result: Result<(), Refusal>,
    },
    /// Something to count or log; may be dropped and counted if nobody keeps up.
    Fact(Fact),
}

/// May this call be made?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// In which tenant.
    pub tenant: TenantId,
    /// Who calls.
    pub caller: UserId,
    /// Whom.
    pub callee: UserId,
    /// With what.
    pub media: Media,
    /// What the caller added.
    pub metadata: Option<Box<str>>,
}

/// What a backend says to [`Authorize`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may, for as long as this at the most.
    Allow {
        /// `None`: as long as any call.
        longest: Option<Duration>,
    },
    /// It may not.
    Deny,
}

/// Nobody could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AskFailed;

/// The record is full, locked or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreFailed;

/// Why a socket is closed. After `Auth`, `Revoked` and `Replaced` a client must not reconnect by
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseCode {
    /// The client said `bye`.
    Bye,
    /// The token is not good.
    Auth,
    /// The token expired.
    TokenExpired,
    /// The user may not be here.
    Revoked,
    /// The tenant is unknown or suspended.
    Tenant,
    /// No `hello` in time; for the edge.
    NoHello,
    /// A newer socket took the session over.
    Replaced,
    /// A frame that is none of this protocol; for the edge.
    Protocol,
    /// A frame is too big; for the edge.
    TooBig,
    /// The client reads too slowly: its queue is full. The session may be resumed.
    SlowConsumer,
    /// Too many requests, or too many sessions.
    Rate,
    /// The server stops.
    Draining,
}

impl CloseCode {
    /// The number in the WebSocket's close frame.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Bye => 4000,
            Self::Auth => 4001,
            Self::TokenExpired => 4002,
            Self::Revoked => 4003,
            Self::Tenant => 4004,
            Self::NoHello => 4008,
            Self::Replaced => 4009,
            Self::Protocol => 4010,
            Self::TooBig => 4011,
            Self::SlowConsumer => 4013,
            Self::Rate => 4029,
            Self::Draining => 4090,
        }
    }
}
