//! Binding requests: what a server does for anybody.
//!
//! ```text
//! |number 4|due, us since the run began 5|CRC of run, client and these, 3|   a transaction id
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::data::Flowed;
use super::engine::{Engine, Hears};
use super::lane::Flow;
use super::line::Sending;
use super::logins::due;
use super::seen::Arrival;
use super::{Mark, Pace};
use crate::limits::load::{LOAD_GRACE, LOAD_LOST_AFTER, LOAD_SILENCE, LOAD_WARM_UP};
use crate::load::LoadError;
use crate::time::Now;
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

struct Asking {
    run: u32,
    begin: Instant,
    flows: Vec<Flow>,
    /// What each client looks like from the server, by its first answer.
    mapped: Vec<Option<SocketAddr>>,
    next: usize,
    sent: u64,
    sent_before: u64,
    under_way: u64,
    last_at: Instant,
    found: Flowed,
}

/// Asks for `length` after a warm-up.
///
/// # Errors
/// If the kernel has no entropy.
pub(super) fn run(
    engine: &mut Engine<'_>,
    pace: Pace,
    run: u32,
    length: Duration,
    mark: &dyn Fn(Mark),
) -> Result<Flowed, LoadError> {
    let mut asking = Asking::new(engine, run);
    let warm = asking.begin + LOAD_WARM_UP;
    asking.flow(engine, pace, warm, 0)?;
    asking.found.spans.clear();
    asking.found.late.clear();
    mark(Mark::Begin);
    let (from, before) = (Now::read().mono, asking.found.delivered);
    asking.flow(engine, pace, from + length, length.as_secs())?;
    asking.found.length = Now::read().mono - from;
    mark(Mark::End);
    asking.found.measured = asking.found.delivered - before;
    let end = Now::read().mono + LOAD_GRACE;
    asking.last_at = Now::read().mono;
    while asking.found.delivered < asking.sent {
        let now = Now::read().mono;
        if now >= end || now.saturating_duration_since(asking.last_at) >= LOAD_SILENCE {
            break;
        }
        engine.turn(now + LOAD_LOST_AFTER, &mut asking)?;
    }
    asking.found.sent = asking.sent;
    Ok(asking.found)
}

impl Asking {
    fn new(engine: &Engine<'_>, run: u32) -> Self {
        let begin = Now::read().mono;
        let clients = engine.clients.len();
        Self {
            run,
            begin,
            flows: vec![Flow::default(); clients],
            mapped: vec![None; clients],
            next: 0,
            sent: 0,
            sent_before: 0,
            under_way: 0,
            last_at: begin,
            found: Flowed::new(),
        }
    }

    fn flow(
        &mut self,
        engine: &mut Engine<'_>,
        pace: Pace,
        end: Instant,
        seconds: u64,
    ) -> Result<(), LoadError> {
        let from = Now::read().mono;
        let mut next_word = from + Duration::from_secs(1);
        let mut next_look = from + LOAD_LOST_AFTER;
        let mut told = self.found.delivered;
        loop {
            let now = Now::read().mono;
            if now >= end {
                return Ok(());
            }
            let next = self.fill(engine, pace, now);
            engine.turn(next.min(end), self)?;
            if now >= next_look {
                next_look = now + LOAD_LOST_AFTER;
                self.under_way = self.under_way.min(self.sent - self.sent_before);
                self.sent_before = self.sent;
            }
            if now >= next_word && seconds > 0 {
                next_word = now + Duration::from_secs(1);
                let (passed, rate) = ((now - from).as_secs(), self.found.delivered - told);
                told = self.found.delivered;
                (engine.progress)(&format!("{passed} of {seconds} s: {rate} answers a second"));
            }
        }
    }

    fn fill(&mut self, engine: &mut Engine<'_>, pace: Pace, now: Instant) -> Instant {
        match pace {
            Pace::Window(window) => {
                while self.under_way < u64::from(window) && self.ask(engine, now) == Sending::Taken
                {
                }
                now + LOAD_LOST_AFTER
            }
            Pace::Rate(rate) => loop {
                let at = due(self.begin, self.sent, rate);
                if now < at {
                    return at;
                }
                if self.ask(engine, at) == Sending::Full {
                    return now;
                }
                self.found.late.add(now - at);
            },
        }
    }

    fn ask(&mut self, engine: &mut Engine<'_>, due: Instant) -> Sending {
        let at = self.next;
        let due_us = due.saturating_duration_since(self.begin).as_micros() as u64;
        let id = id(self.run, at as u32, self.flows[at].sent, due_us);
        let request = MessageWriter::new(Class::Request, Method::BINDING, id).finish(None, false);
        let sending = engine.send(at, &request, request.len());
        if sending == Sending::Taken {
            self.flows[at].sent += 1;
            self.next = (at + 1) % self.flows.len();
            self.sent += 1;
            self.under_way += 1;
        }
        sending
    }

    /// Number and time of the request that this answers, if it answers one.
    fn answered(&mut self, at: usize, message: &[u8]) -> Option<(u32, u64)> {
        let message = Message::parse(message).ok()?;
        let id = message.transaction_id();
        let [n0, n1, n2, n3, t0, t1, t2, t3, t4, ..] = id.0;
        let number = u32::from_be_bytes([n0, n1, n2, n3]);
        let due_us = u64::from_be_bytes([0, 0, 0, t0, t1, t2, t3, t4]);
        let is_ours = self::id(self.run, at as u32, number, due_us) == id
            && self.flows.get(at)?.sent > number
            && (message.class(), message.method()) == (Class::SuccessResponse, Method::BINDING);
        let value = message.attribute(AttributeType::XOR_MAPPED_ADDRESS)?;
        let mapped = XorAddress::decode(value, &id)?;
        let known = self.mapped.get_mut(at)?.get_or_insert(mapped);
        (is_ours && *known == mapped).then_some((number, due_us))
    }
}

impl Hears for Asking {
    fn client(&mut self, at: usize, message: &[u8], now: Instant) {
        let Some((number, due_us)) = self.answered(at, message) else {
            self.found.corrupted += 1;
            return;
        };
        match self.flows[at].seen.arrived(number) {
            Arrival::Again => {
                self.found.duplicated += 1;
                return;
            }
            Arrival::Late => self.found.reordered += 1,
            Arrival::Next { skipped } => {
                self.under_way = self.under_way.saturating_sub(1 + u64::from(skipped));
            }
        }
        self.found.delivered += 1;
        self.last_at = now;
        let due = Duration::from_micros(due_us);
        self.found.spans.add(now.saturating_duration_since(self.begin).saturating_sub(due));
    }

    fn peer(&mut self, _from: SocketAddr, _datagram: &[u8], _now: Instant) {}
}

fn id(run: u32, client: u32, number: u32, due_us: u64) -> TransactionId {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id[4..9].copy_from_slice(&due_us.to_be_bytes()[3..]);
    let mut whole = [0; 17];
    whole[..9].copy_from_slice(&id[..9]);
    whole[9..13].copy_from_slice(&run.to_be_bytes());
    whole[13..].copy_from_slice(&client.to_be_bytes());
    id[9..].copy_from_slice(&crc32fast::hash(&whole).to_be_bytes()[1..]);
    TransactionId(id)
}
