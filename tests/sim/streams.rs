//! TCP and TLS connections: bytes in order, cut anywhere, ended in the middle of anything, and what
//! comes late of one that is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use turnbell::turn::fact::EndReason;
use turnbell::wire::channel_data::ChannelRange;
use turnbell::wire::framing::{Framing, first_frame};

use super::actor::Client;
use super::ask::{Intent, Packet, Wanted};
use super::net::Happening;
use super::origin::Origin;
use super::world::World;
use crate::support::v4;

/// The connections of a world, both ends of each.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    by_number: BTreeMap<u64, Connection>,
    gone: BTreeSet<u64>,
}

#[derive(Debug)]
struct Connection {
    origin: Origin,
    /// What the client holds back, to send it with what comes next.
    unsent: Vec<u8>,
    /// When the last of what is on its way arrives.
    last_ms: u64,
    /// What the server has of a message.
    rest: Vec<u8>,
    /// Messages of which the server has not seen all.
    sent: VecDeque<Packet>,
    /// The server reads no more.
    is_ended: bool,
}

/// What comes late of a connection that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    Closed,
    Channel,
    Send,
    Refresh,
}

impl Streams {
    /// Whether the server reads from it.
    pub(crate) fn is_open(&self, origin: Origin) -> bool {
        self.by_number.get(&origin.connection).is_some_and(|connection| !connection.is_ended)
    }

    /// Whether nothing waits for its end.
    pub(crate) fn are_settled(&self) -> bool {
        self.by_number.values().all(|connection| !connection.is_ended)
    }

    fn open_mut(&mut self, number: u64) -> Option<&mut Connection> {
        self.by_number.get_mut(&number).filter(|connection| !connection.is_ended)
    }
}

impl World {
    /// A client writes a message to its connection, which is opened by the first one.
    pub(super) fn write(&mut self, packet: Packet) {
        let origin = packet.client;
        let number = origin.connection;
        if self.streams.gone.contains(&number) {
            return;
        }
        let connection = self.streams.by_number.entry(number).or_insert(Connection {
            origin,
            unsent: Vec::new(),
            last_ms: 0,
            rest: Vec::new(),
            sent: VecDeque::new(),
            is_ended: false,
        });
        connection.unsent.extend(packet.bytes.iter());
        let count = connection.unsent.len();
        connection.sent.push_back(packet);
        let kept = if self.prng.chance(30) { self.prng.below(count as u64) as usize } else { 0 };
        self.flush(number, kept);
        if kept > 0 {
            self.net.plan(self.ms + self.prng.within(1, 300), Happening::Flush(number));
        }
    }

    /// Sends what a client holds back, but for the last `kept` bytes of it, in pieces.
    pub(super) fn flush(&mut self, number: u64, kept: usize) {
        let Some(connection) = self.streams.by_number.get_mut(&number) else { return };
        let end = connection.unsent.len().saturating_sub(kept);
        let mut bytes: Vec<u8> = connection.unsent.drain(..end).collect();
        while !bytes.is_empty() {
            let whole = self.prng.chance(60);
            let count =
                if whole { bytes.len() } else { 1 + self.prng.below(bytes.len() as u64) as usize };
            let piece = bytes.drain(..count).collect();
            self.send_in_order(number, Happening::Bytes(number, piece));
        }
    }

    /// A client goes; what it held back is never sent.
    pub(super) fn hang_up(&mut self, origin: Origin) {
        self.send_in_order(origin.connection, Happening::HungUp(origin.connection));
    }

    fn send_in_order(&mut self, number: u64, happening: Happening) {
        let Some(connection) = self.streams.by_number.get_mut(&number) else { return };
        let at_ms = self.net.arrives_ms(&mut self.prng, self.ms).max(connection.last_ms);
        connection.last_ms = at_ms;
        self.net.plan(at_ms, happening);
    }

    /// The server reads: every whole message is one that was sent, in the same order.
    pub(super) fn read_stream(&mut self, number: u64, piece: &[u8]) {
        let Some(connection) = self.streams.open_mut(number) else { return };
        connection.rest.extend(piece);
        // A message may end its connection.
        while let Some(connection) = self.streams.open_mut(number) {
            match first_frame(&connection.rest, ChannelRange::Rfc8656) {
                Framing::Partial => return,
                Framing::Frame { len, taken } => {
                    let mut packet = connection.sent.pop_front().expect("somebody sent it");
                    assert_eq!(connection.rest[..taken], packet.bytes[..], "what was sent");
                    connection.rest.drain(..taken);
                    packet.bytes = packet.bytes[..len].into();
                    self.at_server(&packet);
                    self.told.frames += 1;
                }
                Framing::Malformed => {
                    let garbage = connection.sent.front().expect("somebody sent it");
                    let is_garbage = match garbage.intent {
                        Intent::Garbage => true,
                        Intent::Channel { number, .. } => !(0x4000..0x5000).contains(&number),
                        Intent::Ask(_) | Intent::Send { .. } | Intent::Unknown => false,
                    };
                    assert!(is_garbage, "{garbage:?}");
                    self.told.malformed += 1;
                    self.end_stream(number);
                }
            }
        }
    }

    /// The server reads no more and says a little later that the connection is gone.
    pub(super) fn end_stream(&mut self, number: u64) {
        if let Some(connection) = self.streams.open_mut(number) {
            connection.is_ended = true;
            let delay_ms = self.prng.pick(&[0, 0, 1, 50]);
            self.net.plan(self.ms + delay_ms, Happening::StreamEnds(number));
        }
    }

    /// The connection is gone, and its allocation with it.
    pub(super) fn stream_ends(&mut self, number: u64) {
        let connection = self.streams.by_number.remove(&number).expect("it ends once");
        let origin = connection.origin;
        self.streams.gone.insert(number);
        self.told.cut_off += u64::from(!connection.rest.is_empty());
        self.told.abandoned += u64::from(self.model.pending(origin).is_some());
        let was_there = self.model.disconnect(origin);
        let now = self.now();
        let seen = self.shards.stream_closed(&mut self.prng, now, origin);
        let expected: Vec<_> =
            was_there.then_some((origin, EndReason::Disconnected)).into_iter().collect();
        assert_eq!(seen.closed, expected);
        seen.check_nothing_else();
        self.told.disconnected += u64::from(was_there);
        let heard_ms = self.net.arrives_ms(&mut self.prng, self.ms);
        self.net.plan(heard_ms, Happening::ConnectionLost(origin));
        let late = *self.prng.pick(&[Late::Closed, Late::Channel, Late::Send, Late::Refresh]);
        let late_ms = *self.prng.pick(&[0, 1, 100, 3000, 20_000]);
        self.net.plan(self.ms + late_ms, Happening::ComesLate(origin, late));
    }

    /// Something of a connection that is gone: the allocation of a new one is not touched.
    pub(super) fn comes_late(&mut self, origin: Origin, late: Late) {
        self.told.late += 1;
        match late {
            Late::Closed => {
                let now = self.now();
                let seen = self.shards.stream_closed(&mut self.prng, now, origin);
                assert!(seen.closed.is_empty(), "closed twice: {seen:?}");
                seen.check_nothing_else();
            }
            Late::Channel => self.at_server(&Packet::channel(origin, 0x4000, b"late".to_vec())),
            Late::Send => {
                let peer = v4([192, 0, 2, 1], 5000);
                self.at_server(&Packet::send(origin, peer, b"late".to_vec()));
            }
            Late::Refresh => {
                let is_next = |c: &&Client| {
                    (c.origin.address, c.origin.transport) == (origin.address, origin.transport)
                };
                let Some(next) = self.clients.iter().find(is_next) else { return };
                let Some(nonce) = next.nonce.clone() else { return };
                let wanted = Wanted::Refresh { lifetime_s: Some(0), family: None };
                let ask = next.ask_with(&mut self.prng, wanted, nonce);
                self.at_server(&Packet::ask(origin, &ask));
            }
        }
    }
}
