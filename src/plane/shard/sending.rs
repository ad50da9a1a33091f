//! The part of a shard's turn that sends: headers are written in place, datagrams are collected and
//! leave many a call.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::Shard;
use crate::plane::sys::{self, Transmit};
use crate::time::Now;
use crate::turn::contract::{Discard, Header};
use crate::turn::five_tuple::FiveTuple;
use crate::turn::relay::Relay;
use crate::wire::channel_data::{self, CHANNEL_DATA_HEADER_BYTES};
use crate::wire::data_indication;
use crate::wire::message::TransactionId;

impl Shard {
    /// Writes the header in place and collects the datagram; the range is one of `slots`.
    pub(super) fn toward_client(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        header: Header,
        range: Range<usize>,
        tos: u8,
    ) {
        if tuple.is_stream() {
            return self.toward_stream(now, tuple, header, range);
        }
        let Some(at) = self.listeners.iter().position(|l| l.serves(tuple.server)) else {
            return self.relay.discard(Discard::NotSent);
        };
        let Some(range) = self.write_header(header, range) else {
            return self.relay.discard(Discard::TooLong);
        };
        let from = self.listeners[at].source(tuple.server);
        self.to_clients[at].push(Transmit { range, to: tuple.client, from, tos });
    }

    pub(super) fn write_header(
        &mut self,
        header: Header,
        data: Range<usize>,
    ) -> Option<Range<usize>> {
        match header {
            Header::Channel(number) => {
                let length = u16::try_from(data.len()).ok()?;
                let start = data.start - CHANNEL_DATA_HEADER_BYTES;
                self.slots.bytes_mut()[start..data.start]
                    .copy_from_slice(&channel_data::header(number, length));
                Some(start..data.end)
            }
            Header::DataIndication(peer) => {
                let id = self.next_transaction_id();
                data_indication::write(self.slots.bytes_mut(), data, peer, id)
            }
        }
    }

    // Nobody answers an indication, so its id has to be different, not secret.
    fn next_transaction_id(&mut self) -> TransactionId {
        self.next_transaction += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.next_transaction.to_be_bytes());
        TransactionId(id)
    }

    /// Answers are few; they go at once.
    pub(super) fn send(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        if tuple.is_stream() {
            return self.answer_stream(tuple, bytes);
        }
        let Some(listener) = self.listeners.iter().find(|l| l.serves(tuple.server)) else {
            return self.relay.discard(Discard::NotSent);
        };
        let from = listener.source(tuple.server);
        let transmit = Transmit { range: 0..bytes.len(), to: tuple.client, from, tos: 0 };
        if sys::send_batch(listener.fd(), bytes, &[transmit]).is_err() {
            self.relay.discard(Discard::NotSent);
        }
    }

    /// Sends first what the slots hold if fewer than `needed` are free.
    pub(super) fn make_room(&mut self, now: Now, needed: usize) {
        if self.slots.free() < needed {
            self.send_collected(now);
            self.slots.reuse();
        }
    }

    /// Leaves the slots alone: datagrams of the same batch may still be to be decided.
    pub(super) fn send_collected(&mut self, now: Now) {
        self.flush_streams(now);
        let Self { listeners, sockets, slots, to_clients, to_peers, relay, .. } = self;
        for (listener, transmits) in listeners.iter().zip(to_clients) {
            send_all(listener.fd(), slots.bytes(), transmits, relay);
            transmits.clear();
        }
        let mut run = Vec::new();
        let mut rest = to_peers.drain(..).peekable();
        while let Some((port, transmit)) = rest.next() {
            run.push(transmit);
            if rest.peek().is_none_or(|(next, _)| *next != port) {
                match sockets.socket(port) {
                    Some(socket) => send_all(socket.as_fd(), slots.bytes(), &run, relay),
                    None => run.iter().for_each(|_| relay.discard(Discard::NotSent)),
                }
                run.clear();
            }
        }
    }
}

/// Sends everything; what the kernel does not take is discarded and counted, never waited for.
fn send_all(fd: BorrowedFd<'_>, bytes: &[u8], transmits: &[Transmit], relay: &mut Relay) {
    let mut rest = transmits;
    while !rest.is_empty() {
        let sent = match sys::send_batch(fd, bytes, rest) {
            Ok(sent) => sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            // It concerns the first one: a full buffer, no route, a firewall, too long.
            Err(_) => {
                relay.discard(Discard::NotSent);
                1
            }
        };
        rest = &rest[sent..];
    }
}
