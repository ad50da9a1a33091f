//! The part of a shard's turn that reads sockets and decides every datagram.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::Shard;
use crate::limits::plane::CROSSINGS_PER_TURN;
use crate::limits::{LISTENER_BATCH, RELAY_BATCH};
use crate::plane::crossing::Crossing;
use crate::plane::datagram::{Received, Transmit};
use crate::plane::relay_sockets::is_empty;
use crate::plane::{drops, sys};
use crate::time::Now;
use crate::turn::contract::{Discard, Forward, Input};
use crate::turn::five_tuple::FiveTuple;
use crate::turn::relayed_address::{PeerAddr, RelayPort};

/// Whether a header may be written in front of a datagram and padding behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It has a slot of its own.
    Own,
    /// It is part of an aggregate: others lie right before and behind.
    Shared,
}

impl Shard {
    pub(super) fn read_listener(&mut self, now: Now, at: usize) {
        self.make_room(now, LISTENER_BATCH);
        let Some(listener) = self.listeners.get(at) else { return };
        let batch = listener.arrivals.batch(LISTENER_BATCH);
        let is_on = listener.arrivals.is_on();
        let has_reports = self.carry_tos || listener.is_wildcard() || is_on;
        let buffers = self.slots.receive_into().take(batch);
        if let Err(error) = receive(listener.fd(), has_reports, batch, buffers, &mut self.received)
        {
            if !is_empty(&error) {
                tracing::trace!(%error, "receiving on a listener failed");
            }
            return;
        }
        let received = std::mem::take(&mut self.received);
        self.datagrams += received.len();
        for datagram in &received {
            let whole = self.slots.take(datagram.len);
            let server = self.listeners[at].server_address(datagram.to);
            let tuple = FiveTuple::udp(datagram.from, server);
            let room = room_of(datagram);
            for part in datagram.parts(whole) {
                self.route_client(now, tuple, part, datagram.tos, room);
            }
        }
        let turn = self.turn();
        let listener = &mut self.listeners[at];
        if drops::may_be(received.len(), batch) {
            listener.count_drops(&self.drops.listeners);
        }
        if listener.arrivals.note(turn, batch, &received) {
            aggregate(listener.fd());
        }
        self.received = received;
    }

    /// `tos` is what the datagram came with; 0 from a stream (RFC 8656 §15).
    pub(super) fn route_client(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        whole: Range<usize>,
        tos: u8,
        room: Room,
    ) {
        let datagram = &self.slots.bytes()[whole.clone()];
        let within = |range: Range<usize>| whole.start + range.start..whole.start + range.end;
        match self.relay.forward_client(now, tuple, datagram) {
            Forward::ToPeer { relay, peer, range, dont_fragment } => {
                let transmit = Transmit { range: within(range), to: peer, from: None, tos };
                self.toward_peer(now, relay, transmit, dont_fragment);
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel, dont_fragment } => {
                let range = within(range);
                match self.ledger.owner(to) {
                    Some(owner) if owner == self.index => {
                        let forward = self.relay.forward_relay(now, to, PeerAddr(from), range);
                        if let Forward::ToClient { tuple, header, range } = forward {
                            let range = self.with_room(now, range, room);
                            self.toward_client(now, tuple, header, range, tos);
                        }
                    }
                    Some(owner) => {
                        let crossing = Crossing { to, from, len: range.len(), tos };
                        if !self.crossings.send(owner, crossing, &self.slots.bytes()[range]) {
                            self.relay.discard(Discard::CrossingFull);
                        }
                    }
                    None if else_kernel => {
                        let transmit = Transmit { range, to: peer, from: None, tos };
                        self.toward_peer(now, relay, transmit, dont_fragment);
                    }
                    None => self.relay.discard(Discard::NoSuchRelay),
                }
            }
            Forward::Handle => {
                let input = Input::Datagram { tuple, bytes: datagram };
                self.relay.handle(now, input);
                self.drain(now);
            }
            Forward::ToClient { .. } | Forward::Discard(_) => {}
        }
    }

    /// Data that other shards sent to relayed transport addresses of this one.
    pub(super) fn take_crossings(&mut self, now: Now) {
        for inlet in 0..self.crossings.inlets() {
            for _ in 0..CROSSINGS_PER_TURN {
                let Some(Crossing { to, from, len, tos }) = self.crossings.next(inlet) else {
                    break;
                };
                self.datagrams += 1;
                self.make_room_for_part(now, len);
                let data = self.slots.take_part(len);
                self.crossings.data(inlet, &mut self.slots.bytes_mut()[data.clone()]);
                let forward = self.relay.forward_relay(now, to, PeerAddr(from), data);
                if let Forward::ToClient { tuple, header, range } = forward {
                    self.toward_client(now, tuple, header, range, tos);
                }
            }
        }
    }

    pub(super) fn read_relay(&mut self, now: Now, relay: RelayPort) {
        self.make_room(now, RELAY_BATCH);
        let turn = self.turn();
        let Some(one) = self.sockets.get_mut(relay) else { return };
        let batch = one.arrivals.batch(RELAY_BATCH);
        let has_reports = self.carry_tos || one.arrivals.is_on();
        let buffers = self.slots.receive_into().take(batch);
        let (fd, received) = (one.socket.as_fd(), &mut self.received);
        if let Err(error) = receive(fd, has_reports, batch, buffers, received) {
            if !is_empty(&error) {
                tracing::trace!(%error, port = relay.number, "receiving on a relay socket failed");
            }
            return;
        }
        if one.arrivals.note(turn, batch, &self.received) {
            aggregate(one.socket.as_fd());
        }
        let received = std::mem::take(&mut self.received);
        self.datagrams += received.len();
        let (mut count, mut unpermitted) = (0, 0);
        for datagram in &received {
            let whole = self.slots.take(datagram.len);
            let room = room_of(datagram);
            for part in datagram.parts(whole) {
                let bytes = &self.slots.bytes()[part.clone()];
                let forward = self.relay.forward_peer(now, relay, PeerAddr(datagram.from), bytes);
                count += 1;
                unpermitted += usize::from(forward == Forward::Discard(Discard::NoPermission));
                if let Forward::ToClient { tuple, header, range: _ } = forward {
                    let data = self.with_room(now, part, room);
                    self.toward_client(now, tuple, header, data, datagram.tos);
                }
            }
        }
        if drops::may_be(received.len(), batch) {
            self.count_drops_of(relay);
        }
        self.sieve_if_flooded(now, relay, count, unpermitted);
        self.received = received;
    }
}

/// Reads up to `batch` datagrams, for which there are as many buffers.
fn receive<'a>(
    fd: BorrowedFd<'_>,
    has_reports: bool,
    batch: usize,
    mut buffers: impl Iterator<Item = &'a mut [u8]>,
    received: &mut Vec<Received>,
) -> io::Result<()> {
    if batch > 1 || has_reports {
        return sys::recv_batch(fd, has_reports, buffers, received).map(|_| ());
    }
    received.clear();
    if let Some(buffer) = buffers.next() {
        received.push(sys::recv_one(fd, buffer)?);
    }
    Ok(())
}

fn room_of(received: &Received) -> Room {
    if received.is_aggregate() { Room::Shared } else { Room::Own }
}

/// From here on datagrams of a flow may come as one. Without it they come one by one, as before.
fn aggregate(fd: BorrowedFd<'_>) {
    match sys::aggregate(fd) {
        Ok(()) => tracing::debug!("datagrams come in bursts: received aggregated from here on"),
        Err(error) => tracing::debug!(%error, "bursts are received one by one"),
    }
}
