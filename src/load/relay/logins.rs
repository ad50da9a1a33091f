//! Clients taken through a row of requests, many at the same time: to log in, to leave, and for ever.

use std::time::{Duration, Instant};

use super::engine::{Engine, Hears, Outcome};
use super::session::{Refusal, Step};
use super::spans::Spans;
use super::{Mark, Pace};
use crate::limits::load::{LOAD_GRACE, LOAD_MOVES_MAX, LOAD_WARM_UP};
use crate::load::LoadError;
use crate::time::Now;

/// The `nth` request of client `at`; `None` behind its last one.
pub(super) type Plan<'p> = &'p dyn Fn(&Engine<'_>, usize, usize) -> Option<Step>;

/// A row of requests for each client.
pub(super) struct Course<'p> {
    pub(super) plan: Plan<'p>,
    /// So many clients at the same time, or so many begin a second.
    pub(super) pace: Pace,
    /// Whether each opens its socket first.
    pub(super) opens: bool,
    /// What they do, for a person.
    pub(super) what: &'static str,
}

/// What came of it.
pub(super) struct Travelled {
    /// That came to an end, good or bad.
    pub(super) begun: u64,
    /// To a good one.
    pub(super) done: u64,
    /// From the first request to the last answer.
    pub(super) spans: Spans,
    /// How late they began, where a rate is kept.
    pub(super) late: Spans,
    pub(super) length: Duration,
}

#[derive(Clone, Copy)]
struct Journey {
    nth: usize,
    /// How often it came again from another port.
    moves: u8,
    /// When it should have begun.
    due: Instant,
}

struct Travel<'t, 'p> {
    course: &'t Course<'p>,
    journeys: Vec<Journey>,
    begin: Instant,
    begun: u64,
    active: u64,
    found: Travelled,
}

/// Takes all `count` clients through it once.
///
/// # Errors
/// If one of them is refused or gets no answer: then this is no load, but a mistake.
pub(super) fn once(
    engine: &mut Engine<'_>,
    course: &Course<'_>,
    count: usize,
) -> Result<Travelled, LoadError> {
    let mut travel = Travel::new(course);
    let mut next_word = travel.begin + Duration::from_secs(1);
    while travel.found.done < count as u64 {
        let now = Now::read().mono;
        while travel.begun < count as u64 && travel.may_begin(now) {
            let at = travel.begun as usize;
            travel.start(engine, at, now)?;
        }
        engine.turn(travel.next(now), &mut Nobody)?;
        while let Some((at, outcome)) = engine.next_outcome() {
            match &outcome {
                Outcome::Done(_) => drop(travel.advance(engine, at)?),
                _ if travel.comes_again(engine, at, &outcome)? => {}
                Outcome::Refused(_) | Outcome::Unanswered(_) | Outcome::Broken => {
                    let of = (travel.found.done as usize, count);
                    return Err(stuck(engine, course.what, of, &outcome));
                }
            }
        }
        if now >= next_word {
            next_word = now + Duration::from_secs(1);
            (engine.progress)(&format!("{} of {count} {}", travel.found.done, course.what));
        }
    }
    travel.found.length = Now::read().mono - travel.begin;
    Ok(travel.found)
}

/// Takes `count` clients through it again and again for `length`, after a warm-up. Refusals are
/// counted.
///
/// # Errors
/// If a socket cannot be opened.
pub(super) fn again_and_again(
    engine: &mut Engine<'_>,
    course: &Course<'_>,
    count: usize,
    length: Duration,
    mark: &dyn Fn(Mark),
) -> Result<Travelled, LoadError> {
    let mut travel = Travel::new(course);
    let mut free: Vec<usize> = (0..count).rev().collect();
    let mut next_word = travel.begin + Duration::from_secs(1);
    let mut measured_from = None;
    let mut end = travel.begin + LOAD_WARM_UP + length;
    loop {
        let now = Now::read().mono;
        if measured_from.is_none() && now >= travel.begin + LOAD_WARM_UP {
            mark(Mark::Begin);
            measured_from = Some(now);
            end = now + length;
            travel.found.take();
        }
        if now >= end {
            break;
        }
        while !free.is_empty() && travel.may_begin(now) {
            let Some(at) = free.pop() else { break };
            // The first time they come in order, so that each finds its place.
            travel.start(engine, at, now)?;
        }
        engine.turn(travel.next(now).min(end), &mut Nobody)?;
        while let Some((at, outcome)) = engine.next_outcome() {
            let is_over = match &outcome {
                Outcome::Done(_) => travel.advance(engine, at)?,
                _ if travel.comes_again(engine, at, &outcome)? => false,
                Outcome::Refused(_) | Outcome::Unanswered(_) | Outcome::Broken => {
                    engine.count_refused(&outcome);
                    travel.fail();
                    true
                }
            };
            if is_over {
                free.push(at);
            }
        }
        if now >= next_word {
            next_word = now + Duration::from_secs(1);
            let done = travel.found.done;
            (engine.progress)(&format!("{done} {}, {} under way", course.what, travel.active));
        }
    }
    mark(Mark::End);
    let mut found = travel.found.take();
    found.length = Now::read().mono - measured_from.unwrap_or(travel.begin);
    // What is under way comes to its end, so that no allocation is left, and is not counted.
    let end = Now::read().mono + LOAD_GRACE;
    while travel.active > 0 && Now::read().mono < end {
        engine.turn(end, &mut Nobody)?;
        while let Some((at, outcome)) = engine.next_outcome() {
            match outcome {
                Outcome::Done(_) => drop(travel.advance(engine, at)?),
                Outcome::Refused(_) | Outcome::Unanswered(_) | Outcome::Broken => travel.fail(),
            }
        }
    }
    Ok(found)
}

impl<'t, 'p> Travel<'t, 'p> {
    fn new(course: &'t Course<'p>) -> Self {
        let begin = Now::read().mono;
        let found = Travelled::new();
        Self { course, journeys: Vec::new(), begin, begun: 0, active: 0, found }
    }

    fn may_begin(&self, now: Instant) -> bool {
        match self.course.pace {
            Pace::Window(window) => self.active < u64::from(window),
            Pace::Rate(rate) => now >= due(self.begin, self.begun, rate),
        }
    }

    /// When something is to be done next.
    fn next(&self, now: Instant) -> Instant {
        match self.course.pace {
            Pace::Window(_) => now + Duration::from_secs(1),
            Pace::Rate(rate) => due(self.begin, self.begun, rate),
        }
    }

    fn start(&mut self, engine: &mut Engine<'_>, at: usize, now: Instant) -> Result<(), LoadError> {
        if self.course.opens {
            engine.open(at)?;
        }
        let due = match self.course.pace {
            Pace::Window(_) => now,
            Pace::Rate(rate) => due(self.begin, self.begun, rate),
        };
        self.found.late.add(now.saturating_duration_since(due));
        let journey = Journey { nth: 0, moves: 0, due };
        self.journeys.resize(self.journeys.len().max(at + 1), journey);
        self.journeys[at] = journey;
        self.begun += 1;
        self.active += 1;
        match (self.course.plan)(engine, at, 0) {
            Some(step) => engine.ask(at, step),
            None => {
                self.finish(at);
                Ok(())
            }
        }
    }

    /// Whether it has come to its end.
    fn advance(&mut self, engine: &mut Engine<'_>, at: usize) -> Result<bool, LoadError> {
        let Some(journey) = self.journeys.get_mut(at) else { return Ok(false) };
        journey.nth += 1;
        if let Some(step) = (self.course.plan)(engine, at, journey.nth) {
            engine.ask(at, step)?;
            return Ok(false);
        }
        self.finish(at);
        Ok(true)
    }

    /// Where the server remembers an allocation of whoever had this port before (437), a client
    /// comes again from another one.
    fn comes_again(
        &mut self,
        engine: &mut Engine<'_>,
        at: usize,
        outcome: &Outcome,
    ) -> Result<bool, LoadError> {
        let Some(journey) = self.journeys.get_mut(at) else { return Ok(false) };
        let is_taken = matches!(
            outcome,
            Outcome::Refused(Refusal { step: Step::Challenge | Step::Allocate(_), code: 437, .. })
        );
        if !is_taken || !self.course.opens || journey.moves >= LOAD_MOVES_MAX {
            return Ok(false);
        }
        let Some(step) = (self.course.plan)(engine, at, 0) else { return Ok(false) };
        (journey.nth, journey.moves) = (0, journey.moves + 1);
        engine.counts.repeated += 1;
        engine.open_elsewhere(at)?;
        engine.ask(at, step)?;
        Ok(true)
    }

    fn fail(&mut self) {
        self.active = self.active.saturating_sub(1);
        self.found.begun += 1;
    }

    fn finish(&mut self, at: usize) {
        self.active = self.active.saturating_sub(1);
        self.found.begun += 1;
        self.found.done += 1;
        self.found.spans.add(Now::read().mono.saturating_duration_since(self.journeys[at].due));
    }
}

impl Travelled {
    fn new() -> Self {
        let (spans, late) = (Spans::new(), Spans::new());
        Self { begun: 0, done: 0, spans, late, length: Duration::ZERO }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }
}

/// When the `nth` of so many a second is due.
pub(super) fn due(begin: Instant, nth: u64, rate: u32) -> Instant {
    let ns = u128::from(nth) * 1_000_000_000 / u128::from(rate.max(1));
    begin + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

/// What keeps a client out, and what helps.
fn stuck(
    engine: &Engine<'_>,
    what: &'static str,
    (ready, wanted): (usize, usize),
    outcome: &Outcome,
) -> LoadError {
    let (why, cure) = match outcome {
        Outcome::Done(step) => (step.name().to_owned(), ""),
        Outcome::Refused(Refusal { step, code, reason }) => {
            let (space, code_text) = match code {
                0 => ("", String::new()),
                code => (if reason.is_empty() { "" } else { " " }, code.to_string()),
            };
            (format!("{} was refused: {code_text}{space}{reason}", step.name()), cure(*code))
        }
        Outcome::Unanswered(step) if engine.counts.unverified > 0 => (
            format!("no answer to {} was signed with the client's password", step.name()),
            "is this the server that knows the credential?",
        ),
        Outcome::Unanswered(step) => (
            format!("no answer to {}", step.name()),
            "is it running, and does a firewall let this in?",
        ),
        Outcome::Broken => (
            "it closed the connection, or what it sent is no TURN".to_owned(),
            "is this its port for TURN, and may one address have as many connections?",
        ),
    };
    LoadError::Relay { address: engine.server.address, ready, wanted, what, why, cure }
}

fn cure(code: u16) -> &'static str {
    match code {
        300 => "it is draining, or sends clients elsewhere (`alternate`)",
        401 => {
            "does it know this credential? --user NAME:PASSWORD is an account of it, --secret or \
             --secret-file a shared secret, and its clock must agree with ours"
        }
        403 => {
            "it lets no client reach this peer: `allow_private_peers` (coturn: \
             --allow-loopback-peers), or another --peer; `--print-config` says what turnbell needs"
        }
        437 => "it remembers allocations of earlier clients for long: try again later",
        438 => "it takes none of its own nonces: its log says more",
        440 | 443 => "it has no relayed address of this family: name a --peer of the other",
        486 => "its quota is smaller than --clients; `--print-config` says what turnbell needs",
        508 => "it has no more ports to relay with: `relay_ports`, `quota.total`",
        _ => "its log says more",
    }
}

/// What arrives while nobody sends data belongs to nobody.
pub(super) struct Nobody;

impl Hears for Nobody {
    fn client(&mut self, _at: usize, _message: &[u8], _now: Instant) {}

    fn peer(&mut self, _from: std::net::SocketAddr, _datagram: &[u8], _now: Instant) {}
}
