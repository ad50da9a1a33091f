//! Everybody comes back after a restart of the server, the way the client library does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::client::Trouble;
use super::run::Run;
use super::stage::{Counts, Stage, Tally, now, ticks};
use crate::limits::load::LOAD_PROGRESS;
use crate::load::{LoadError, Report};

/// Pauses before each try to come back, milliseconds, each 30 % more or less; the last one repeats.
const PAUSES_MS: [u64; 6] = [0, 300, 1000, 2000, 4000, 7000];

/// When the first one was lost, and the last one was back.
#[derive(Default)]
struct Away(Mutex<Option<(Instant, Instant)>>);

impl Away {
    fn lost(&self, at: Instant) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *away = Some(away.map_or((at, at), |(first, last)| (first.min(at), last)));
    }

    fn back(&self, at: Instant) {
        if let Some((_, last)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *last = at.max(*last);
        }
    }

    fn length(&self) -> Option<Duration> {
        let away = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.map(|(first, last)| last - first)
    }
}

/// `patience`: how long the restart, and then the last session, is waited for.
pub(super) async fn run(
    mut run: Run<'_>,
    sessions: u32,
    patience: Duration,
    needs: &str,
) -> Result<Report, LoadError> {
    let away = Arc::new(Away::default());
    for number in 0..sessions {
        run.add(session(Arc::clone(&run.stage), number, Arc::clone(&away)));
    }
    run.gather(sessions as usize, needs).await?;
    run.say(&format!(
        "all {sessions} are there: restart the server, within {} s",
        patience.as_secs()
    ));
    let wanted = u64::from(sessions);
    let count = |tally: &Tally| tally.received.load(std::sync::atomic::Ordering::Relaxed);
    let deadline = now() + patience;
    let (mut every, mut said_at) = (ticks(Duration::from_millis(50)), now());
    while now() < deadline && count(&run.stage.tally) < wanted {
        every.tick().await;
        if away.length().is_some() && now() > said_at + LOAD_PROGRESS {
            said_at = now();
            run.say(&format!("{} are back", count(&run.stage.tally)));
        }
    }
    // The server that is measured is another process by then.
    run.forget_server();
    let mut report = run.report("restart", sessions as usize).await?;
    report.all_back_s = away.length().map(|length| length.as_secs_f64());
    report.seconds = report.all_back_s.unwrap_or(patience.as_secs_f64());
    report.sent = wanted;
    report.lost = wanted.saturating_sub(report.received);
    Ok(report)
}

async fn session(stage: Arc<Stage>, number: u32, away: Arc<Away>) -> Result<(), Trouble> {
    let mut client = stage.arrive(number, "load").await?;
    stage.is_ready();
    let why = tokio::select! {
        () = stage.over() => {
            client.leave().await;
            return Ok(());
        }
        why = async {
            loop {
                if let Err(why) = client.pass_over().await {
                    return why;
                }
            }
        } => why,
    };
    let lost_at = now();
    away.lost(lost_at);
    stage.tally.note_end(&why);
    let resume = client.resume.clone();
    drop(client);
    let mut next = retry_in(&why).map(|after| lost_at + after);
    let mut tries = 0;
    let mut client = loop {
        let pause = PAUSES_MS[tries.min(PAUSES_MS.len() - 1)];
        let jitter = 70 + spread(number, tries) % 61;
        let pause = Duration::from_millis(pause * jitter / 100);
        let at = next.take().unwrap_or_else(|| now() + pause);
        tokio::select! {
            () = stage.over() => return Ok(()),
            () = sleep_until(at) => {}
        }
        tries += 1;
        match stage.arrive_with(number, "load", &resume).await {
            Ok(back) => break back,
            Err(why) => refused(&stage.tally.refused, &why),
        }
    };
    away.back(now());
    stage.tally.latency.add(now() - lost_at);
    Tally::one(&stage.tally.received);
    stage.rest(&mut client).await?;
    client.leave().await;
    Ok(())
}

fn refused(counts: &Counts, why: &Trouble) {
    counts.add(match why {
        Trouble::Refused { code, .. } => code.clone(),
        Trouble::Closed { code, .. } => code.to_string(),
        Trouble::Lost(_) => "nobody there".to_owned(),
        Trouble::Silent(what) => format!("no {what}"),
    });
}

/// What a server that goes says of when to come back.
fn retry_in(why: &Trouble) -> Option<Duration> {
    let Trouble::Closed { code: 4090, reason } = why else { return None };
    reason.strip_prefix("retry_in_ms=")?.parse().ok().map(Duration::from_millis)
}

/// A number that is another one for each client and try, and the same in each run.
fn spread(number: u32, tries: usize) -> u64 {
    let mixed = (u64::from(number) << 8 | tries as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed >> 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_away_comes_back_when_he_was_told() {
        let closed = |code, reason: &str| Trouble::Closed { code, reason: reason.to_owned() };
        let after = retry_in(&closed(4090, "retry_in_ms=1500"));
        assert_eq!(after, Some(Duration::from_millis(1500)));
        for other in [closed(4090, ""), closed(4000, "retry_in_ms=1"), Trouble::Silent("x")] {
            assert_eq!(retry_in(&other), None, "{other}");
        }
    }

    #[test]
    fn pauses_are_spread_evenly_enough() {
        let jitters: Vec<u64> = (0..10_000).map(|n| 70 + spread(n, 1) % 61).collect();
        let mean = jitters.iter().sum::<u64>() / 10_000;
        assert!((98..=102).contains(&mean), "{mean}");
        assert!(jitters.contains(&70) && jitters.contains(&130));
    }
}
