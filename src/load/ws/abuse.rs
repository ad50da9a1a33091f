//! People who talk, beside one who reads nothing and one who floods: what the people notice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep_until, timeout};

use super::client::{Client, Trouble};
use super::run::Run;
use super::signals::{self, Talk};
use super::stage::{Phase, Stage, now, ticks};
use crate::limits::call::SDP_BYTES_MAX;
use crate::limits::load::LOAD_PATIENCE;
use crate::load::{LoadError, Report};

/// How long the slow reader reads nothing; his server gives him up before.
const DEAF: Duration = Duration::from_secs(8);
/// Large messages for him.
const HEAP_EVERY: Duration = Duration::from_millis(50);
/// The flooder's requests come in heaps, so often.
const FLOOD_EVERY: Duration = Duration::from_millis(20);

/// What the flooder sends, requests a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abuse {
    pub(super) talk: Talk,
    pub(super) flood: u32,
}

pub(super) async fn run(
    mut run: Run<'_>,
    abuse: Abuse,
    length: Duration,
    needs: &str,
) -> Result<Report, LoadError> {
    signals::add_calls(&mut run, abuse.talk);
    let people = abuse.talk.calls as usize * 2;
    run.gather(people, needs).await?;
    let number = abuse.talk.calls * 2;
    run.add(until_over(Arc::clone(&run.stage), slow_reader(Arc::clone(&run.stage), number)));
    run.add(until_over(Arc::clone(&run.stage), pusher(Arc::clone(&run.stage), number + 1)));
    run.add(until_over(
        Arc::clone(&run.stage),
        flooder(Arc::clone(&run.stage), number + 2, abuse.flood),
    ));
    run.say(&format!("{} calls are on, a slow reader and a flooder come", abuse.talk.calls));
    run.put_on(length, signals::all_arrived).await?;
    run.report("abuse", people).await
}

async fn until_over(
    stage: Arc<Stage>,
    what: impl Future<Output = ()> + Send,
) -> Result<(), Trouble> {
    tokio::select! {
        () = what => {}
        () = stage.over() => {}
    }
    Ok(())
}

/// Takes a call and reads nothing more, again and again.
async fn slow_reader(stage: Arc<Stage>, number: u32) {
    let mut again = ticks(Duration::from_secs(1));
    while stage.phase() != Phase::Over {
        again.tick().await;
        let Ok(mut client) = stage.arrive(number, "slow").await else { continue };
        if signals::pick_up(&mut client).await.is_err() {
            continue;
        }
        sleep_until(now() + DEAF).await;
        let read = async { while client.pass_over().await.is_ok() {} };
        let why = match timeout(LOAD_PATIENCE, read).await {
            Ok(()) => client.next().await.err(),
            Err(_) => None,
        };
        stage.tally.closed.add(match why {
            Some(_) => "slow reader".to_owned(),
            None => "slow reader, not at all".to_owned(),
        });
    }
}

/// Sends him more than he takes.
async fn pusher(stage: Arc<Stage>, number: u32) {
    let mut again = ticks(Duration::from_secs(1));
    while stage.phase() != Phase::Over {
        again.tick().await;
        let Ok(mut client) = stage.arrive(number, "pusher").await else { continue };
        // Whatever goes wrong here is what the slow reader makes of it.
        let _ = push(&mut client, &Stage::user(number - 1)).await;
        client.leave().await;
    }
}

async fn push(client: &mut Client, slow: &str) -> Result<(), Trouble> {
    let call = signals::call(client, slow).await?;
    let sdp = "x".repeat(SDP_BYTES_MAX - 1024);
    let mut every = ticks(HEAP_EVERY);
    let until = now() + DEAF;
    let mut generation = 1;
    while now() < until {
        tokio::select! {
            _ = every.tick() => {
                generation += 1;
                let offer = json!({"call": call, "kind": "offer", "gen": generation, "sdp": sdp});
                client.request("call.signal", &offer).await?;
                if generation % OFFERS_AT_ONCE == 0 {
                    // Taken as the end of a negotiation: offers without one are limited.
                    let answer =
                        json!({"call": call, "kind": "answer", "gen": generation, "sdp": "v=0"});
                    client.request("call.signal", &answer).await?;
                }
            }
            passed = client.pass_over() => passed?,
        }
    }
    Ok(())
}

/// Fewer than the server lets be without an answer.
const OFFERS_AT_ONCE: u32 = crate::limits::call::OFFERS_UNANSWERED_MAX / 2;

/// Asks far more often than anybody may, and comes back as soon as he is thrown out.
async fn flooder(stage: Arc<Stage>, number: u32, flood: u32) {
    let mut again = ticks(Duration::from_secs(1));
    while stage.phase() != Phase::Over {
        again.tick().await;
        let Ok(mut client) = stage.arrive(number, "flooder").await else { continue };
        if let Err(why) = pour(&mut client, flood).await {
            stage.tally.closed.add(match why {
                Trouble::Closed { code, .. } => format!("flooder, {code}"),
                Trouble::Refused { .. } | Trouble::Lost(_) | Trouble::Silent(_) => {
                    "flooder".to_owned()
                }
            });
        }
    }
}

async fn pour(client: &mut Client, flood: u32) -> Result<(), Trouble> {
    let heap = (f64::from(flood) * FLOOD_EVERY.as_secs_f64()).ceil() as u32;
    let mut every = ticks(FLOOD_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {
                for _ in 0..heap {
                    client.feed(r#"{"t":"ping","id":"p"}"#.to_owned()).await?;
                }
                client.flush().await?;
            }
            passed = client.pass_over() => passed?,
        }
    }
}
