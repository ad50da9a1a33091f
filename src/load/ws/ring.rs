//! Calls that ring on many devices, of which one answers: how soon the others are silent.
//!
//! ```text
//! caller  invite ........................... hangup
//! device     ringing
//! winner     ringing ..... accept            <- latency counts from here
//! others     ringing ............ cancelled  <- until the last of these
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::client::{Frame, Trouble};
use super::run::Run;
use super::stage::{Sending, Stage, Tally, now};
use crate::load::{LoadError, Report};

/// From an invite to the accept.
const RING: Duration = Duration::from_millis(250);
/// From an invite to the end of the call.
const CALL: Duration = Duration::from_millis(600);
/// Between two calls of one pair: the end of the first one has happened by then.
const PAIR: Duration = Duration::from_millis(1000);

/// What the calls are to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    /// Calls a second.
    pub(super) rate: u32,
    pub(super) devices: u32,
}

impl Ring {
    /// Callers, and as many callees.
    pub(super) fn pairs(self) -> u32 {
        let pairs = f64::from(self.rate) * PAIR.as_secs_f64();
        (pairs.ceil() as u32).max(1)
    }

    pub(super) fn sessions(self) -> u32 {
        self.pairs() * (1 + self.devices)
    }

    /// When the `turn`th call of a pair is due.
    fn due(self, from: Instant, pair: u32, turn: u32) -> Instant {
        let number = u64::from(turn) * u64::from(self.pairs()) + u64::from(pair);
        from + Duration::from_secs_f64(number as f64 / f64::from(self.rate))
    }
}

/// For each call of a pair, how many devices have fallen silent.
type Silenced = Arc<Vec<AtomicU32>>;

pub(super) async fn run(
    mut run: Run<'_>,
    ring: Ring,
    length: Duration,
    needs: &str,
) -> Result<Report, LoadError> {
    let turns = (length.as_secs_f64() / PAIR.as_secs_f64()).ceil() as usize + 1;
    for pair in 0..ring.pairs() {
        let silenced: Silenced = Arc::new((0..turns).map(|_| AtomicU32::new(0)).collect());
        for device in 0..ring.devices {
            let silenced = Arc::clone(&silenced);
            run.add(answering(Arc::clone(&run.stage), ring, pair, device, silenced));
        }
        run.add(calling(Arc::clone(&run.stage), ring, pair));
    }
    let sessions = ring.sessions() as usize;
    run.gather(sessions, needs).await?;
    run.say(&format!("{} callees with {} devices each are there", ring.pairs(), ring.devices));
    run.put_on(length, super::signals::all_arrived).await?;
    run.report("ring", sessions).await
}

async fn calling(stage: Arc<Stage>, ring: Ring, pair: u32) -> Result<(), Trouble> {
    let mut client = stage.arrive(2 * pair, "caller").await?;
    let (from, until) = stage.begin(&mut client).await?;
    let over = stage.over();
    tokio::pin!(over);
    let (mut turn, mut hangup_at, mut call) = (0, None::<Instant>, None::<String>);
    let mut sending = Some(Sending::begin(&stage.tally));
    loop {
        let due = ring.due(from, pair, turn);
        if due >= until {
            sending = None;
        }
        tokio::select! {
            () = &mut over => break,
            text = client.next() => {
                let text = text?;
                let frame = client.read(&text)?;
                note(&stage, &frame);
                if frame.t == "ok" && call.is_none() {
                    call = frame.content::<OfCall>().map(|of| of.call);
                }
                client.acknowledge().await?;
            }
            () = at(hangup_at), if hangup_at.is_some() => {
                hangup_at = None;
                if let Some(call) = call.take() {
                    client.request("call.hangup", &json!({"call": call})).await?;
                }
            }
            () = sleep_until(due), if hangup_at.is_none() && sending.is_some() => {
                let invite = json!({
                    "to": {"user": Stage::user(2 * pair + 1)}, "media": {"audio": true},
                    "offer": {"type": "offer", "sdp": "v=0"},
                    "display": format!("{turn} {}", stage.stamp(due)),
                });
                stage.tally.late.add(now().saturating_duration_since(due));
                Tally::one(&stage.tally.sent);
                client.request("call.invite", &invite).await?;
                (turn, hangup_at, call) = (turn + 1, Some(due + CALL), None);
            }
        }
    }
    client.leave().await;
    Ok(())
}

/// A call on one device.
struct Ringing {
    call: String,
    turn: usize,
    /// When it was due.
    stamp: u64,
}

async fn answering(
    stage: Arc<Stage>,
    ring: Ring,
    pair: u32,
    device: u32,
    silenced: Silenced,
) -> Result<(), Trouble> {
    let mut client = stage.arrive(2 * pair + 1, &format!("device {device}")).await?;
    stage.begin(&mut client).await?;
    let over = stage.over();
    tokio::pin!(over);
    let (mut ringing, mut accept_at) = (None::<Ringing>, None::<Instant>);
    loop {
        tokio::select! {
            () = &mut over => break,
            text = client.next() => {
                let text = text?;
                let frame = client.read(&text)?;
                note(&stage, &frame);
                if frame.t == "call.incoming"
                    && let Some(comes) = frame.content::<Incoming>().and_then(Incoming::ringing)
                {
                    stage.tally.ring.add(stage.since(comes.stamp));
                    let is_winner = comes.turn % ring.devices as usize == device as usize;
                    let rung = now().checked_sub(stage.since(comes.stamp));
                    accept_at = rung.filter(|_| is_winner).map(|rung| rung + RING);
                    let d = json!({"call": comes.call});
                    ringing = Some(comes);
                    client.request("call.ringing", &d).await?;
                } else if frame.t == "call.cancelled" {
                    silent(&stage, ring, ringing.take(), &frame, &silenced);
                }
                client.acknowledge().await?;
            }
            () = at(accept_at), if accept_at.is_some() => {
                accept_at = None;
                if let Some(Ringing { call, .. }) = ringing.take() {
                    let answer = json!({"type": "answer", "sdp": "v=0"});
                    client.request("call.accept", &json!({"call": call, "answer": answer})).await?;
                }
            }
        }
    }
    client.leave().await;
    Ok(())
}

/// The last device of a call that falls silent ends its measurement.
fn silent(
    stage: &Stage,
    ring: Ring,
    ringing: Option<Ringing>,
    frame: &Frame<'_>,
    silenced: &Silenced,
) {
    let Some(ringing) = ringing else { return };
    let reason = frame.content::<Cancelled>().filter(|said| said.call == ringing.call);
    if reason.is_none_or(|said| said.reason != "answered_elsewhere") {
        return;
    }
    let Some(count) = silenced.get(ringing.turn) else { return };
    if count.fetch_add(1, Ordering::Relaxed) + 2 == ring.devices {
        Tally::one(&stage.tally.received);
        stage.tally.latency.add(stage.since(ringing.stamp).saturating_sub(RING));
    }
}

fn note(stage: &Stage, frame: &Frame<'_>) {
    // What was sent was counted when its answer comes.
    let is_answer = frame.t == "ok" || frame.t == "error";
    Tally::one(&stage.tally.frames);
    if is_answer {
        Tally::one(&stage.tally.frames);
    }
    if let Some(code) = frame.refusal() {
        stage.tally.refused.add(code);
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

#[derive(Deserialize)]
struct OfCall {
    call: String,
}

#[derive(Deserialize)]
struct Cancelled {
    call: String,
    reason: String,
}

#[derive(Deserialize)]
struct Incoming {
    call: String,
    from: From,
}

#[derive(Deserialize)]
struct From {
    display: Option<String>,
}

impl Incoming {
    fn ringing(self) -> Option<Ringing> {
        let display = self.from.display?;
        let (turn, stamp) = display.split_once(' ')?;
        Some(Ringing { call: self.call, turn: turn.parse().ok()?, stamp: stamp.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_the_rate_and_a_pair_has_one_at_a_time() {
        let ring = Ring { rate: 100, devices: 10 };
        assert_eq!((ring.pairs(), ring.sessions()), (100, 1100));
        let from = now();
        assert_eq!(ring.due(from, 7, 0) - from, Duration::from_millis(70));
        assert_eq!(ring.due(from, 7, 3) - ring.due(from, 7, 2), PAIR);
        assert!(RING < CALL && CALL < PAIR);
        assert_eq!(Ring { rate: 1, devices: 2 }.pairs(), 1);
    }
}
