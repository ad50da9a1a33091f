//! Calls whose two sides send each other candidates, each at its times.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::client::{Client, Frame, Trouble};
use super::run::Run;
use super::stage::{Sending, Stage, Tally, now};
use crate::limits::call::CANDIDATES_PER_GENERATION_MAX;
use crate::load::{LoadError, Report};

/// Signals of one side between two offers, with room for those that come late.
const SIGNALS_PER_OFFER: u64 = CANDIDATES_PER_GENERATION_MAX as u64 * 9 / 10;

/// What the calls are to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    pub(super) calls: u32,
    /// Signals a second, of all together.
    pub(super) rate: u32,
    /// Of each signal.
    pub(super) bytes: usize,
}

pub(super) async fn run(
    mut run: Run<'_>,
    talk: Talk,
    length: Duration,
    needs: &str,
) -> Result<Report, LoadError> {
    add_calls(&mut run, talk);
    let sessions = talk.calls as usize * 2;
    run.gather(sessions, needs).await?;
    run.say(&format!("{} calls are on", talk.calls));
    run.put_on(length, all_arrived).await?;
    run.report("signals", sessions).await
}

pub(super) fn all_arrived(tally: &Tally) -> bool {
    let count = |of: &std::sync::atomic::AtomicU64| of.load(std::sync::atomic::Ordering::Relaxed);
    count(&tally.received) >= count(&tally.sent)
}

pub(super) fn add_calls(run: &mut Run<'_>, talk: Talk) {
    for call in 0..talk.calls {
        run.add(callee(Arc::clone(&run.stage), talk, call));
        run.add(caller(Arc::clone(&run.stage), talk, call));
    }
}

async fn callee(stage: Arc<Stage>, talk: Talk, number: u32) -> Result<(), Trouble> {
    let mut client = stage.arrive(2 * number + 1, "load").await?;
    let call = pick_up(&mut client).await?;
    speak(&stage, &mut client, talk, Side { call, number, is_caller: false }).await?;
    client.leave().await;
    Ok(())
}

async fn caller(stage: Arc<Stage>, talk: Talk, number: u32) -> Result<(), Trouble> {
    let mut client = stage.arrive(2 * number, "load").await?;
    let call = call(&mut client, &Stage::user(2 * number + 1)).await?;
    speak(&stage, &mut client, talk, Side { call: call.clone(), number, is_caller: true }).await?;
    let _ = client.ask("call.hangup", &json!({"call": call})).await;
    client.leave().await;
    Ok(())
}

/// Takes the call that comes.
pub(super) async fn pick_up(client: &mut Client) -> Result<Value, Trouble> {
    let call = client.event("call.incoming").await?["call"].clone();
    client.ask("call.ringing", &json!({"call": call})).await?;
    let answer = json!({"type": "answer", "sdp": "v=0"});
    client.ask("call.accept", &json!({"call": call, "answer": answer})).await?;
    Ok(call)
}

/// Calls somebody, who may not be there yet, until he takes it.
pub(super) async fn call(client: &mut Client, user: &str) -> Result<Value, Trouble> {
    let offer = json!({"type": "offer", "sdp": "v=0"});
    let invite = json!({"to": {"user": user}, "media": {"audio": true}, "offer": offer});
    let mut again = super::stage::ticks(AGAIN);
    let deadline = now() + crate::limits::load::LOAD_PATIENCE;
    let call = loop {
        again.tick().await;
        match client.ask("call.invite", &invite).await {
            Ok(view) => break view["call"].clone(),
            Err(Trouble::Refused { code, .. }) if code == "callee_offline" && now() < deadline => {}
            Err(why) => return Err(why),
        }
    };
    loop {
        let view = client.event("call.state").await?;
        match view["state"].as_str() {
            Some("connecting" | "active") => return Ok(call),
            Some("ended") => return Err(Trouble::Silent("answered call")),
            Some(_) | None => {}
        }
    }
}

/// Invites of one user have a rate.
const AGAIN: Duration = Duration::from_secs(3);

struct Side {
    call: Value,
    number: u32,
    is_caller: bool,
}

/// One side's signals and when they are due.
struct Beat {
    every: Duration,
    /// Signals in a second.
    per_s: u64,
    first: Instant,
}

impl Beat {
    fn new(talk: Talk, side: &Side, from: Instant) -> Self {
        let sides = f64::from(talk.calls) * 2.0;
        let every = Duration::from_secs_f64(sides / f64::from(talk.rate));
        let place = f64::from(2 * side.number + u32::from(side.is_caller)) / sides;
        let per_s = u64::from(talk.rate) / u64::from(2 * talk.calls);
        Self { every, per_s, first: from + every.mul_f64(place) }
    }

    fn due(&self, n: u64) -> Instant {
        self.first + Duration::from_secs_f64(self.every.as_secs_f64() * n as f64)
    }

    /// The callee is in the next negotiation a second before the caller's offer begins it: what is
    /// late is not yet out of date.
    fn generation(&self, n: u64, is_caller: bool) -> u64 {
        let ahead = if is_caller { 0 } else { self.per_s.max(1) };
        1 + (n + ahead) / SIGNALS_PER_OFFER
    }
}

async fn speak(stage: &Stage, client: &mut Client, talk: Talk, side: Side) -> Result<(), Trouble> {
    let (from, until) = stage.begin(client).await?;
    let beat = Beat::new(talk, &side, from);
    let over = stage.over();
    tokio::pin!(over);
    let (mut n, mut sending) = (0, Some(Sending::begin(&stage.tally)));
    loop {
        let due = beat.due(n);
        if due >= until {
            sending = None;
        }
        tokio::select! {
            () = &mut over => return Ok(()),
            text = client.next() => {
                let text = text?;
                let frame = client.read(&text)?;
                heard(stage, &frame);
                client.acknowledge().await?;
            }
            () = sleep_until(due), if sending.is_some() => {
                if side.is_caller && n > 0 && n.is_multiple_of(SIGNALS_PER_OFFER) {
                    let generation = beat.generation(n, true);
                    let offer = json!({"call": side.call, "kind": "offer", "gen": generation,
                        "sdp": "v=0"});
                    client.request("call.signal", &offer).await?;
                }
                let generation = beat.generation(n, side.is_caller);
                let signal = json!({"call": side.call, "kind": "candidates", "gen": generation,
                    "cands": [{"candidate": padded(stage.stamp(due), talk.bytes)}]});
                stage.tally.late.add(now().saturating_duration_since(due));
                Tally::one(&stage.tally.sent);
                Tally::one(&stage.tally.frames);
                client.request("call.signal", &signal).await?;
                n += 1;
            }
        }
    }
}

/// Counts what came.
pub(super) fn heard(stage: &Stage, frame: &Frame<'_>) {
    let tally = &stage.tally;
    Tally::one(&tally.frames);
    if let Some(code) = frame.refusal() {
        return tally.refused.add(code);
    }
    let signal = (frame.t == "call.signal").then(|| frame.content::<Signal>()).flatten();
    if let Some(stamp) = signal.and_then(|signal| stamp(&signal.cands.first()?.candidate)) {
        Tally::one(&tally.received);
        tally.latency.add(stage.since(stamp));
    }
}

#[derive(Deserialize)]
struct Signal {
    cands: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Candidate {
    candidate: String,
}

/// `at 12345678 ....`
fn padded(stamp: u64, bytes: usize) -> String {
    format!("{:.<bytes$}", format!("at {stamp} "))
}

fn stamp(text: &str) -> Option<u64> {
    text.strip_prefix("at ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_size_and_says_when_it_was_due() {
        let text = padded(1_234_567, 300);
        assert_eq!((text.len(), stamp(&text)), (300, Some(1_234_567)));
        assert_eq!(stamp(&padded(7, 1)), Some(7));
        assert_eq!(stamp("candidate:1 1 udp"), None);
    }

    #[test]
    fn all_sides_together_keep_the_rate_and_none_begins_with_another() {
        let talk = Talk { calls: 250, rate: 5000, bytes: 300 };
        let from = now();
        let side = |number, is_caller| Side { call: Value::Null, number, is_caller };
        let first = Beat::new(talk, &side(0, false), from);
        assert_eq!((first.every, first.per_s), (Duration::from_millis(100), 10));
        assert_eq!(first.due(600) - from, Duration::from_secs(60));
        let second = Beat::new(talk, &side(0, true), from);
        assert_eq!(second.due(0) - first.due(0), Duration::from_micros(200));
    }

    #[test]
    fn the_callee_is_never_behind_the_callers_offer_and_never_two_ahead() {
        let talk = Talk { calls: 1, rate: 20, bytes: 300 };
        let side = Side { call: Value::Null, number: 0, is_caller: true };
        let beat = Beat::new(talk, &side, now());
        for n in 0..1000 {
            let (caller, callee) = (beat.generation(n, true), beat.generation(n, false));
            assert!(callee == caller || callee == caller + 1, "{n}: {caller} {callee}");
            assert!(callee == beat.generation(n + 10, true), "{n}");
        }
    }
}
