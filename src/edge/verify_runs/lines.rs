//! What the server saw, in words.

use serde::{Deserialize, Serialize};

use crate::edge::watching::{Connection, Noted, Opened, Sight};
use crate::policy::watch::Certainty;
use crate::turn::watch::{Event, What};
use crate::wire::message::Method;

/// What the server saw so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    /// Oldest first.
    pub(super) lines: Vec<LineWord>,
    /// Lines beyond what is kept.
    pub(super) dropped: u64,
    /// Packets that the live allocations relayed so far, both ways.
    pub(super) relaying_packets: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineWord {
    /// Unix milliseconds.
    pub(super) at: i64,
    /// `certain`: its credential was seen; `likely`: the same address.
    pub(super) certainty: String,
    /// From where.
    pub(super) from: String,
    /// `udp`, `tcp` or `tls`.
    pub(super) transport: String,
    /// What happened, as a word.
    pub(super) code: String,
    /// What happened.
    pub(super) text: String,
}

pub(super) fn told(sight: &Sight) -> Told {
    let Sight { events, dropped, live } = sight;
    Told {
        lines: events.iter().map(line).collect(),
        dropped: *dropped,
        relaying_packets: live.packets_to_peers + live.packets_to_client,
    }
}

pub(super) fn line((certainty, noted): &(Certainty, Noted)) -> LineWord {
    let certainty = match certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
    };
    let (from, transport, (code, text)) = match noted {
        Noted::Message(event) => (event.client, event.transport.code(), message(event)),
        Noted::Connection(connection) => {
            let transport = if connection.is_tls { "tls" } else { "tcp" };
            (connection.client, transport, opened(connection))
        }
    };
    LineWord {
        at: noted.at_unix_ms(),
        certainty: certainty.to_owned(),
        from: from.to_string(),
        transport: transport.to_owned(),
        code: code.to_owned(),
        text,
    }
}

fn message(event: &Event) -> (&'static str, String) {
    match &event.what {
        What::Bound => ("binding", "Binding came and was answered".to_owned()),
        What::Challenged(method) => (
            "challenged",
            format!(
                "{} without a login came and was answered 401, as the first one always is",
                name(*method)
            ),
        ),
        What::NotAuthenticated { method, cause } => {
            ("not_authenticated", format!("{} was refused: {cause}", name(*method)))
        }
        What::Refused { method, code, peers } if peers.is_empty() => {
            ("refused", format!("{} was refused with {code}", name(*method)))
        }
        What::Refused { method, code, peers } => {
            let peers: Vec<String> = peers.iter().map(|peer| peer.ip().to_string()).collect();
            let harmless = if *code == 403 { "; harmless, browsers try every address" } else { "" };
            let peers = peers.join(", ");
            (
                "peer_refused",
                format!("{} for {peers} was refused with {code}{harmless}", name(*method)),
            )
        }
        What::Done(method) => ("done", format!("{} succeeded", name(*method))),
        What::Opened { relayed } => ("allocated", format!("a relay was given: {relayed}")),
        What::Ended { reason, traffic } => {
            let packets = traffic.packets_to_peers + traffic.packets_to_client;
            (
                "ended",
                format!("the relay ended ({}); {packets} packets went through it", reason.code()),
            )
        }
        What::Unanswered(reason) => (
            "unanswered",
            format!("something came that is not answered: {}", reason.code().replace('_', " ")),
        ),
    }
}

fn opened(connection: &Connection) -> (&'static str, String) {
    let what = if connection.is_tls { "a TLS connection" } else { "a TCP connection" };
    let to = connection.server;
    match &connection.end {
        Opened::Turn => ("connected", format!("{what} to {to} speaks TURN")),
        Opened::Http => ("http", format!("{what} to {to} speaks HTTP")),
        Opened::Failed(why) => ("connection_failed", format!("{what} to {to} failed: {why}")),
        Opened::Silent => {
            ("connection_silent", format!("{what} to {to} came, and nothing was said in it"))
        }
    }
}

fn name(method: Method) -> &'static str {
    match method {
        Method::ALLOCATE => "Allocate",
        Method::REFRESH => "Refresh",
        Method::CREATE_PERMISSION => "CreatePermission",
        Method::CHANNEL_BIND => "ChannelBind",
        Method::BINDING => "Binding",
        _ => "a request",
    }
}
