//! What each scenario does: who logs in, what flows, and what is given back at the end.

use std::time::{Duration, Instant};

use super::data::{self, Flowed};
use super::during::During;
use super::engine::{self, Engine};
use super::keeping::Keeper;
use super::logins::{self, Course, Nobody, Plan, Travelled};
use super::session::Step;
use super::{Data, Direction, Mark, Options, PAIR_CHANNEL, PEER_CHANNEL, Pace, Scenario, bindings};
use crate::auth::secret::random_bytes;
use crate::limits::load::LOAD_LOGINS_AT_ONCE;
use crate::load::LoadError;
use crate::time::Now;
use crate::wire::address::Family;

/// What a scenario came to.
pub(super) struct Found {
    pub(super) flowed: Flowed,
    /// When all clients were there.
    pub(super) ready_at: Instant,
}

/// Logs in whom the scenario needs, and does what it says.
///
/// # Errors
/// If clients do not get in.
pub(super) fn put_on(
    scenario: Scenario,
    options: &Options,
    engine: &mut Engine<'_>,
    family: Family,
    during: &During<'_>,
) -> Result<Found, LoadError> {
    let count = options.clients as usize;
    let mark = |mark| during.mark(mark);
    let run = random_bytes::<4>().map(u32::from_be_bytes).map_err(engine::entropy)?;
    let whole = |engine: &Engine<'_>, _: usize, nth: usize| login_step(engine, family, true, nth);
    let bare = |engine: &Engine<'_>, _: usize, nth: usize| login_step(engine, family, false, nth);
    let churned = |engine: &Engine<'_>, _: usize, nth: usize| match nth {
        2 => Some(Step::Release),
        nth => login_step(engine, family, false, nth),
    };
    let course = |plan, pace, what| Course { plan, pace, opens: true, what };
    match scenario {
        Scenario::Data(data) => {
            let channels = !data.indications;
            let mine = |engine: &Engine<'_>, _: usize, nth: usize| {
                let (lets_peer, nth) = (!data.is_pair, nth);
                let is_bind = nth == 3;
                if nth >= 2 && !lets_peer || is_bind && !channels {
                    return None;
                }
                login_step(engine, family, true, nth)
            };
            let ready = Course { opens: true, ..course(&mine, AT_ONCE, "clients are in") };
            logins::once(engine, &ready, count)?;
            refuse_strange_relays(engine, data)?;
            let neighbours = |engine: &Engine<'_>, at: usize, nth: usize| {
                neighbour_step(engine, at, channels, nth)
            };
            if data.is_pair {
                let pairs =
                    Course { opens: false, ..course(&neighbours, AT_ONCE, "pairs are made") };
                logins::once(engine, &pairs, count)?;
            }
            let keep = |engine: &Engine<'_>, at: usize, nth: usize| match nth {
                0 => Some(Step::Keep),
                nth if data.is_pair => neighbours(engine, at, nth - 1),
                nth => mine(engine, at, nth + 1),
            };
            let ready_at = Now::read().mono;
            let flowed = data::run(engine, data, run, options.length, &keep, &mark)?;
            Ok(Found { flowed, ready_at })
        }
        Scenario::Stun(pace) => {
            for at in 0..count {
                engine.open(at)?;
            }
            let ready_at = Now::read().mono;
            let flowed = bindings::run(engine, pace, run, options.length, &mark)?;
            Ok(Found { flowed, ready_at })
        }
        Scenario::Login(pace) | Scenario::Allocate(pace) => {
            let is_login = matches!(scenario, Scenario::Login(_));
            let plan: Plan<'_> = if is_login { &whole } else { &bare };
            during.mark(Mark::Begin);
            let travelled = logins::once(engine, &course(plan, pace, "clients are in"), count)?;
            during.mark(Mark::End);
            Ok(Found { flowed: Flowed::of(travelled), ready_at: Now::read().mono })
        }
        Scenario::Churn(pace) => {
            let ready_at = Now::read().mono;
            let course = course(&churned, pace, "allocations came and went");
            let length = options.length;
            let travelled = logins::again_and_again(engine, &course, count, length, &mark)?;
            Ok(Found { flowed: Flowed::of(travelled), ready_at })
        }
        Scenario::Idle => {
            let all = course(&whole, AT_ONCE, "clients are in");
            logins::once(engine, &all, count)?;
            let ready_at = Now::read().mono;
            let keep = |engine: &Engine<'_>, at: usize, nth: usize| match nth {
                0 => Some(Step::Keep),
                nth => whole(engine, at, nth + 1),
            };
            let length = rest(engine, options.length, &keep, &mark)?;
            Ok(Found { flowed: Flowed { length, ..Flowed::new() }, ready_at })
        }
    }
}

/// Where logging in is not what is measured.
const AT_ONCE: Pace = Pace::Window(LOAD_LOGINS_AT_ONCE);

/// 401, allocation and, if that is wanted, permission and channel to the peer.
fn login_step(engine: &Engine<'_>, family: Family, is_whole: bool, nth: usize) -> Option<Step> {
    match (nth, &engine.peer) {
        (0, _) => Some(Step::Challenge),
        (1, _) => Some(Step::Allocate(family)),
        (2, Some(peer)) if is_whole => Some(Step::Permit(peer.at.ip())),
        (3, Some(peer)) if is_whole => Some(Step::Bind(PEER_CHANNEL, peer.at)),
        _ => None,
    }
}

/// Permission and channel to the neighbour's relayed address.
fn neighbour_step(engine: &Engine<'_>, at: usize, channels: bool, nth: usize) -> Option<Step> {
    let neighbour = engine.clients.get(at ^ 1)?.session.relayed()?;
    match nth {
        0 => Some(Step::Permit(neighbour.ip())),
        1 if channels => Some(Step::Bind(PAIR_CHANNEL, neighbour)),
        _ => None,
    }
}

/// A server that nobody vouched for does not choose whom the peer sends to.
fn refuse_strange_relays(engine: &Engine<'_>, data: Data) -> Result<(), LoadError> {
    if data.is_pair || data.direction == Direction::ToPeer {
        return Ok(());
    }
    let mut relayed = engine.clients.iter().filter_map(|client| client.session.relayed());
    match relayed.find(|relayed| !engine.may_send_to(*relayed)) {
        Some(address) => Err(LoadError::Foreign { address }),
        None => Ok(()),
    }
}

fn rest(
    engine: &mut Engine<'_>,
    length: Duration,
    keep: Plan<'_>,
    mark: &dyn Fn(Mark),
) -> Result<Duration, LoadError> {
    let from = Now::read().mono;
    let mut keeper = Keeper::new(from, keep);
    mark(Mark::Begin);
    let mut next_word = from;
    loop {
        let now = Now::read().mono;
        let passed = now - from;
        if passed >= length {
            break;
        }
        if now >= next_word {
            next_word = now + Duration::from_secs(1);
            let (passed, all) = (passed.as_secs(), length.as_secs());
            (engine.progress)(&format!("{passed} of {all} s: all are in, and nobody sends"));
        }
        engine.turn(from + length, &mut Nobody)?;
        keeper.look(engine, now)?;
    }
    mark(Mark::End);
    Ok(Now::read().mono - from)
}

/// Leaves nothing behind that a server would have to keep until it expires.
///
/// # Errors
/// If the kernel has no entropy.
pub(super) fn give_back(engine: &mut Engine<'_>) -> Result<(), LoadError> {
    while engine.next_outcome().is_some() {}
    let release = |engine: &Engine<'_>, at: usize, nth: usize| {
        let session = &engine.clients.get(at)?.session;
        (nth == 0 && session.relayed().is_some()).then_some(Step::Release)
    };
    let (plan, what) = (&release, "clients are out");
    let course = Course { plan, pace: AT_ONCE, opens: false, what };
    let count = engine.clients.len();
    match logins::once(engine, &course, count) {
        // What a server that is gone kept is gone, too.
        Ok(_) | Err(LoadError::Relay { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

impl Flowed {
    fn of(travelled: Travelled) -> Self {
        let Travelled { begun, done, spans, late, length } = travelled;
        Self { sent: begun, delivered: done, measured: done, length, spans, late, ..Self::new() }
    }
}
