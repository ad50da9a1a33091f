//! One way of the data: its flows, what stands before each payload, and what is under way.

use std::net::SocketAddr;

use super::engine::Engine;
use super::seen::Seen;
use super::{Data, PAIR_CHANNEL, PEER_CHANNEL};
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A client, to the peer.
    Client,
    /// The peer, to a client's relayed address.
    Peer,
    /// A client, to its neighbour's relayed address.
    Pair,
}

/// All flows that go one way.
pub(super) struct Lane {
    pub(super) sender: Sender,
    /// Relayed address of each client.
    pub(super) relayed: Vec<SocketAddr>,
    pub(super) flows: Vec<Flow>,
    /// Whose turn it is.
    pub(super) next: usize,
    pub(super) sent: u64,
    pub(super) under_way: u64,
    /// Bytes behind each payload.
    pub(super) padding: usize,
    sent_before: u64,
    /// What stands before a payload: of each flow, or the same of all.
    heads: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    pub(super) sent: u32,
    pub(super) seen: Seen,
}

impl Lane {
    /// Every client has a relayed address.
    pub(super) fn new(engine: &Engine<'_>, data: Data, sender: Sender) -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let clients = &engine.clients;
        let relayed: Vec<SocketAddr> =
            clients.iter().map(|client| client.session.relayed().unwrap_or(nobody)).collect();
        let peer = engine.peer.as_ref().map_or(nobody, |peer| peer.at);
        let (heads, is_padded) = match (sender, data.indications) {
            (Sender::Peer, _) => (vec![Vec::new()], false),
            (Sender::Client, true) => (vec![send_indication(peer, data.bytes)], true),
            (Sender::Pair, true) => {
                let head = |at: usize| send_indication(relayed[at ^ 1], data.bytes);
                ((0..relayed.len()).map(head).collect(), true)
            }
            (Sender::Client | Sender::Pair, false) => {
                let is_stream = clients.first().is_some_and(|client| client.line.is_padded());
                let channel = if sender == Sender::Pair { PAIR_CHANNEL } else { PEER_CHANNEL };
                let (channel, length) = (channel.to_be_bytes(), (data.bytes as u16).to_be_bytes());
                (vec![[channel, length].concat()], is_stream)
            }
        };
        let padding = data.bytes.next_multiple_of(4) - data.bytes;
        Self {
            sender,
            flows: vec![Flow::default(); relayed.len()],
            relayed,
            next: 0,
            sent: 0,
            under_way: 0,
            padding: if is_padded { padding } else { 0 },
            sent_before: 0,
            heads,
        }
    }

    pub(super) fn head(&self, flow: usize) -> &[u8] {
        self.heads.get(flow).unwrap_or(&self.heads[0])
    }

    /// So many are no longer under way.
    pub(super) fn leave(&mut self, count: u64) {
        self.under_way = self.under_way.saturating_sub(count);
    }

    /// What was sent before the last look is lost or has arrived: its places are free.
    pub(super) fn forget_what_is_lost(&mut self) {
        self.under_way = self.under_way.min(self.sent - self.sent_before);
        self.sent_before = self.sent;
    }
}

/// Everything of a Send indication but the data, whose length is known.
fn send_indication(peer: SocketAddr, bytes: usize) -> Vec<u8> {
    let id = TransactionId(*b"turnbellload");
    let whole = MessageWriter::new(Class::Indication, Method::SEND, id)
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
        .attribute(AttributeType::DATA, &vec![0; bytes])
        .finish(None, false);
    whole[..whole.len() - bytes.next_multiple_of(4)].to_vec()
}
