//! The part of a shard's turn that sends: headers are written in place, datagrams are collected and
//! leave many a call.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use super::Shard;
use super::reading::Room;
use crate::plane::datagram::{Transmit, burst};
use crate::plane::sys;
use crate::time::Now;
use crate::turn::contract::{Discard, Header};
use crate::turn::five_tuple::FiveTuple;
use crate::turn::relay::Relay;
use crate::turn::relayed_address::RelayPort;
use crate::wire::channel_data::{self, CHANNEL_DATA_HEADER_BYTES};
use crate::wire::data_indication;
use crate::wire::message::TransactionId;

/// Datagrams collected for peers in order of arrival, so that a flow's stand together.
#[derive(Debug, Default)]
pub(super) struct ToPeers {
    pub(super) transmits: Vec<Transmit>,
    /// From which relay socket each leaves.
    pub(super) ports: Vec<RelayPort>,
}

/// Where the kernel takes bursts as one message. Given up where a device cannot cut them up (R5).
#[derive(Debug)]
pub(super) struct Bursts {
    by_listener: Vec<bool>,
    by_relay_address: Vec<bool>,
}

impl Bursts {
    pub(super) fn new(does_kernel: bool, listeners: usize, relay_addresses: usize) -> Self {
        Self {
            by_listener: vec![does_kernel; listeners],
            by_relay_address: vec![does_kernel; relay_addresses],
        }
    }
}

impl Shard {
    /// The same data where a header may be written before it and padding behind.
    pub(super) fn with_room(&mut self, now: Now, data: Range<usize>, room: Room) -> Range<usize> {
        match room {
            Room::Own => data,
            Room::Shared => {
                self.make_room_for_part(now, data.len());
                self.slots.part(data)
            }
        }
    }

    /// Sends first what the room for parts holds if there is none left for one so long.
    pub(super) fn make_room_for_part(&mut self, now: Now, len: usize) {
        if !self.slots.has_room_for_part(len) {
            self.send_collected(now);
            self.slots.reuse_parts();
        }
    }

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
        if sys::send_batch(listener.fd(), bytes, &[transmit], false).is_err() {
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
        let Self { listeners, sockets, slots, to_clients, to_peers, bursts, relay, .. } = self;
        let has_bursts = bursts.by_listener.iter_mut();
        for ((listener, transmits), has_bursts) in listeners.iter().zip(to_clients).zip(has_bursts)
        {
            send_all(listener.fd(), slots.bytes(), transmits, has_bursts, relay);
            transmits.clear();
        }
        let ToPeers { transmits, ports } = to_peers;
        let mut rest = &transmits[..];
        for run in ports.chunk_by(|one, next| one == next) {
            let (now, later) = rest.split_at(run.len());
            rest = later;
            match sockets.socket(run[0]) {
                Some(socket) => {
                    let has_bursts = &mut bursts.by_relay_address[usize::from(run[0].address)];
                    send_all(socket.as_fd(), slots.bytes(), now, has_bursts, relay);
                }
                None => now.iter().for_each(|_| relay.discard(Discard::NotSent)),
            }
        }
        transmits.clear();
        ports.clear();
    }
}

/// Sends everything; what the kernel does not take is discarded and counted, never waited for. A
/// burst that it does not take as one is sent one by one (R5).
fn send_all(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    transmits: &[Transmit],
    has_bursts: &mut bool,
    relay: &mut Relay,
) {
    let mut rest = transmits;
    let mut one_by_one = 0;
    while !rest.is_empty() {
        let is_burst = *has_bursts && one_by_one == 0;
        let now = if is_burst || one_by_one == 0 { rest } else { &rest[..one_by_one] };
        let sent = match sys::send_batch(fd, bytes, now, is_burst) {
            Ok(sent) => sent.max(1),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) if is_burst && burst(now) > 1 => {
                one_by_one = burst(now);
                if error.raw_os_error() == Some(Errno::EIO as i32) {
                    *has_bursts = false;
                    let why =
                        "a network device cannot cut bursts up; datagrams go one by one there";
                    tracing::info!(%error, to = %now[0].to, "{why}");
                }
                continue;
            }
            // It concerns the first one: a full buffer, no route, a firewall, too long.
            Err(_) => {
                relay.discard(Discard::NotSent);
                1
            }
        };
        one_by_one = one_by_one.saturating_sub(sent);
        rest = &rest[sent..];
    }
}
