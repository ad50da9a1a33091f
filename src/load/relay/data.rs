//! Data through the relay: who sends what to whom, and whether it arrives as it was sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::engine::{Engine, Hears};
use super::keeping::Keeper;
use super::lane::{Lane, Sender};
use super::line::Sending;
use super::logins::{Plan, due};
use super::payload::{Payloads, Stamp};
use super::seen::Arrival;
use super::spans::Spans;
use super::{Data, Direction, Mark, PAIR_CHANNEL, PEER_CHANNEL, Pace};
use crate::limits::load::{LOAD_GRACE, LOAD_LOST_AFTER, LOAD_SILENCE, LOAD_WARM_UP};
use crate::load::LoadError;
use crate::time::Now;
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::channel_data;
use crate::wire::message::{Class, Message, Method};

/// Sends before others have their turn.
const SENDS_MAX: u32 = 64;

/// What came of it.
pub(super) struct Flowed {
    pub(super) sent: u64,
    pub(super) delivered: u64,
    pub(super) reordered: u64,
    pub(super) duplicated: u64,
    pub(super) corrupted: u64,
    /// In the part that counts.
    pub(super) measured: u64,
    pub(super) length: Duration,
    pub(super) spans: Spans,
    pub(super) late: Spans,
}

impl Flowed {
    pub(super) fn new() -> Self {
        Self {
            sent: 0,
            delivered: 0,
            reordered: 0,
            duplicated: 0,
            corrupted: 0,
            measured: 0,
            length: Duration::ZERO,
            spans: Spans::new(),
            late: Spans::new(),
        }
    }
}

/// All flows of a run, as they are checked where they arrive.
struct Flows {
    lanes: Vec<Lane>,
    payloads: Payloads,
    data: Data,
    begin: Instant,
    peer: Option<SocketAddr>,
    delivered: u64,
    reordered: u64,
    duplicated: u64,
    corrupted: u64,
    last_at: Instant,
    spans: Spans,
    late: Spans,
    out: Vec<u8>,
}

/// Lets data flow for `length` after a warm-up.
///
/// # Errors
/// If nobody is left to send.
pub(super) fn run(
    engine: &mut Engine<'_>,
    data: Data,
    run: u32,
    length: Duration,
    keep: Plan<'_>,
    mark: &dyn Fn(Mark),
) -> Result<Flowed, LoadError> {
    let mut flows = Flows::new(engine, data, run);
    let mut keeper = Keeper::new(Now::read().mono, keep);
    let warm = flows.begin + LOAD_WARM_UP;
    flows.flow(engine, &mut keeper, warm, 0)?;
    flows.spans.clear();
    flows.late.clear();
    mark(Mark::Begin);
    let (from, before) = (Now::read().mono, flows.delivered);
    flows.flow(engine, &mut keeper, from + length, length.as_secs())?;
    let length = Now::read().mono - from;
    mark(Mark::End);
    let measured = flows.delivered - before;
    flows.drain(engine)?;
    Ok(Flowed {
        sent: flows.sent(),
        delivered: flows.delivered,
        reordered: flows.reordered,
        duplicated: flows.duplicated,
        corrupted: flows.corrupted,
        measured,
        length,
        spans: flows.spans,
        late: flows.late,
    })
}

impl Flows {
    fn new(engine: &Engine<'_>, data: Data, run: u32) -> Self {
        let senders: &[Sender] = match (data.is_pair, data.direction) {
            (true, _) => &[Sender::Pair],
            (false, Direction::ToPeer) => &[Sender::Client],
            (false, Direction::ToClient) => &[Sender::Peer],
            (false, Direction::Both) => &[Sender::Client, Sender::Peer],
        };
        let begin = Now::read().mono;
        let lanes = senders.iter().map(|sender| Lane::new(engine, data, *sender)).collect();
        Self {
            lanes,
            payloads: Payloads::new(run, data.bytes),
            data,
            begin,
            peer: engine.peer.as_ref().map(|peer| peer.at),
            delivered: 0,
            reordered: 0,
            duplicated: 0,
            corrupted: 0,
            last_at: begin,
            spans: Spans::new(),
            late: Spans::new(),
            out: Vec::new(),
        }
    }

    fn sent(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.sent).sum()
    }

    /// Keeps the pace until `end`.
    fn flow(
        &mut self,
        engine: &mut Engine<'_>,
        keeper: &mut Keeper<'_>,
        end: Instant,
        seconds: u64,
    ) -> Result<(), LoadError> {
        let from = Now::read().mono;
        let mut next_word = from + Duration::from_secs(1);
        let mut next_look = from + LOAD_LOST_AFTER;
        let mut told = self.delivered;
        loop {
            let now = Now::read().mono;
            if now >= end {
                return Ok(());
            }
            let next = self.fill(engine, now);
            engine.turn(next.min(end), self)?;
            keeper.look(engine, now)?;
            if now >= next_look {
                next_look = now + LOAD_LOST_AFTER;
                self.lanes.iter_mut().for_each(Lane::forget_what_is_lost);
                if !engine.is_anybody_left() {
                    let cure = "its log says why";
                    let why = "it closed all connections".to_owned();
                    return Err(LoadError::NotLetIn { address: engine.server.address, why, cure });
                }
            }
            if now >= next_word && seconds > 0 {
                next_word = now + Duration::from_secs(1);
                let (passed, rate) = ((now - from).as_secs(), self.delivered - told);
                told = self.delivered;
                let under_way = self.sent().saturating_sub(self.delivered);
                (engine.progress)(&format!(
                    "{passed} of {seconds} s: {rate} datagrams a second, {under_way} under way or lost"
                ));
            }
        }
    }

    /// Sends what may be sent; returns when there is more to do.
    fn fill(&mut self, engine: &mut Engine<'_>, now: Instant) -> Instant {
        let burst = u64::from(self.data.burst);
        match self.data.pace {
            Pace::Window(window) => {
                let each = (u64::from(window) / self.lanes.len() as u64).max(burst);
                for at in 0..self.lanes.len() {
                    while self.lanes[at].under_way + burst <= each {
                        if self.send(engine, at, now) == Sending::Full {
                            break;
                        }
                    }
                }
                now + LOAD_LOST_AFTER
            }
            Pace::Rate(rate) => {
                for _ in 0..SENDS_MAX {
                    let sent = self.sent();
                    let at = due(self.begin, sent, rate);
                    if now < at {
                        return at;
                    }
                    let lane = (sent / burst) as usize % self.lanes.len();
                    if self.send(engine, lane, at) == Sending::Full {
                        break;
                    }
                    self.late.add(now - at);
                }
                now
            }
        }
    }

    /// One burst of the next flow of a lane.
    fn send(&mut self, engine: &mut Engine<'_>, lane: usize, due: Instant) -> Sending {
        let due_ns = due.saturating_duration_since(self.begin).as_nanos() as u64;
        let Self { lanes, payloads, out, data, .. } = self;
        let lane_number = lane as u32;
        let lane = &mut lanes[lane];
        out.clear();
        let flow = lane.next;
        for nth in 0..data.burst {
            let number = lane.flows[flow].sent + nth;
            let stamp = Stamp { flow: flow as u32 * 2 + lane_number, number, due_ns };
            let start = out.len() + lane.head(flow).len();
            out.extend_from_slice(lane.head(flow));
            out.resize(out.len() + payloads.bytes(), 0);
            payloads.write(&mut out[start..], stamp);
            out.resize(out.len() + lane.padding, 0);
        }
        let each = out.len() / data.burst as usize;
        let sending = match lane.sender {
            Sender::Client | Sender::Pair => engine.send(flow, out, each),
            Sender::Peer => match (&mut engine.peer, lane.relayed[flow]) {
                // What is not taken for another reason is lost.
                (Some(peer), to) => peer.socket.send(out, each, Some(to)).unwrap_or(Sending::Taken),
                (None, _) => Sending::Taken,
            },
        };
        if sending == Sending::Taken {
            lane.flows[flow].sent += data.burst;
            lane.next = (flow + 1) % lane.flows.len();
            lane.sent += u64::from(data.burst);
            lane.under_way += u64::from(data.burst);
        }
        sending
    }

    /// Hears what is still under way, until nothing came for a while.
    fn drain(&mut self, engine: &mut Engine<'_>) -> Result<(), LoadError> {
        let end = Now::read().mono + LOAD_GRACE;
        self.last_at = Now::read().mono;
        while self.delivered < self.sent() {
            let now = Now::read().mono;
            if now >= end || now.saturating_duration_since(self.last_at) >= LOAD_SILENCE {
                break;
            }
            engine.turn(now + LOAD_LOST_AFTER, self)?;
        }
        Ok(())
    }

    /// A payload came to where `is_right` says that the flow leads.
    fn arrived(
        &mut self,
        lane_number: usize,
        payload: &[u8],
        now: Instant,
        is_right: impl FnOnce(&Lane, usize) -> bool,
    ) {
        let stamp = self.payloads.read(payload);
        let found = stamp.filter(|stamp| stamp.flow as usize % 2 == lane_number);
        let (Some(stamp), Some(lane)) = (found, self.lanes.get_mut(lane_number)) else {
            self.corrupted += 1;
            return;
        };
        let flow = stamp.flow as usize / 2;
        let is_sent = lane.flows.get(flow).is_some_and(|flow| stamp.number < flow.sent);
        if !is_sent || !is_right(lane, flow) {
            self.corrupted += 1;
            return;
        }
        match lane.flows[flow].seen.arrived(stamp.number) {
            Arrival::Again => {
                self.duplicated += 1;
                return;
            }
            Arrival::Late => self.reordered += 1,
            Arrival::Next { skipped } => lane.leave(1 + u64::from(skipped)),
        }
        self.delivered += 1;
        self.last_at = now;
        let at_ns = now.saturating_duration_since(self.begin).as_nanos() as u64;
        self.spans.add_ns(at_ns.saturating_sub(stamp.due_ns));
    }
}

impl Hears for Flows {
    fn client(&mut self, at: usize, message: &[u8], now: Instant) {
        let is_pair = self.data.is_pair;
        let lane = self.lanes.len() - 1;
        let (channel, sender) = match is_pair {
            true => (PAIR_CHANNEL, at ^ 1),
            false => (PEER_CHANNEL, at),
        };
        let (payload, from) = match opened(message) {
            Some(Opened::Channel(number, payload)) if number == channel => (payload, None),
            Some(Opened::Data(from, payload)) => (payload, Some(from)),
            Some(Opened::Channel(..)) | None => {
                self.corrupted += 1;
                return;
            }
        };
        let peer = self.peer;
        self.arrived(lane, payload, now, |lane, flow| {
            // A Data indication names the peer, a channel stands for it.
            let right = if is_pair { lane.relayed.get(flow).copied() } else { peer };
            let leads_here = lane.sender != Sender::Client && flow == sender;
            leads_here && from.is_none_or(|from| Some(from) == right)
        });
    }

    fn peer(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        self.arrived(0, datagram, now, |lane, flow| {
            lane.sender == Sender::Client && lane.relayed.get(flow) == Some(&from)
        });
    }
}

enum Opened<'m> {
    Channel(u16, &'m [u8]),
    Data(SocketAddr, &'m [u8]),
}

fn opened(message: &[u8]) -> Option<Opened<'_>> {
    let range = channel_data::ChannelRange::Rfc8656;
    if channel_data::is_channel_data(message, range) {
        let (number, data) = channel_data::parse(message, range)?;
        return Some(Opened::Channel(number.number(), &message[data]));
    }
    let message = Message::parse(message).ok()?;
    if (message.class(), message.method()) != (Class::Indication, Method::DATA) {
        return None;
    }
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS)?;
    let peer = XorAddress::decode(peer, &message.transaction_id())?;
    Some(Opened::Data(peer, message.attribute(AttributeType::DATA)?))
}
