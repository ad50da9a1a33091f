//! What all clients of a run share: where they go, where the run stands, what is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Watching;
use super::client::{Client, Trouble};
use crate::limits::load::{LOAD_ACK_PAUSE, LOAD_OPENING_MAX};
use crate::load::samples::Samples;
use crate::load::{Signer, Target};
use crate::time::Now;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients come.
    Gathering,
    /// They do what they are there for, between these.
    On { from: Instant, until: Instant },
    /// They may go.
    Over,
}

/// Shared by all clients.
pub(super) struct Stage {
    pub(super) target: Target,
    signer: Signer,
    watching: Watching,
    population: u32,
    doors: Semaphore,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) ready: AtomicUsize,
    epoch: Instant,
    pub(super) tally: Tally,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Clients that have more to send.
    pub(super) sending: AtomicU64,
    /// Frames of any kind, sent or received.
    pub(super) frames: AtomicU64,
    pub(super) latency: Samples,
    pub(super) ring: Samples,
    pub(super) late: Samples,
    pub(super) refused: Counts,
    pub(super) closed: Counts,
}

/// So many of each.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    pub(super) fn add(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A client that has more to send, for as long as it is there.
pub(super) struct Sending<'a>(&'a Tally);

impl<'a> Sending<'a> {
    pub(super) fn begin(tally: &'a Tally) -> Self {
        Tally::one(&tally.sending);
        Self(tally)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    pub(super) fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection has ended.
    pub(super) fn note_end(&self, why: &Trouble) {
        self.closed.add(match why {
            Trouble::Closed { code, .. } => code.to_string(),
            Trouble::Refused { code, .. } => code.clone(),
            Trouble::Lost(_) => "lost".to_owned(),
            Trouble::Silent(what) => format!("no {what}"),
        });
    }
}

impl Stage {
    pub(super) fn new(
        target: Target,
        signer: Signer,
        population: u32,
        watching: Watching,
    ) -> Arc<Self> {
        Arc::new(Self {
            target,
            signer,
            watching,
            population,
            doors: Semaphore::new(LOAD_OPENING_MAX),
            phase: watch::Sender::new(Phase::Gathering),
            ready: AtomicUsize::new(0),
            epoch: now(),
            tally: Tally::default(),
        })
    }

    /// The user of this number.
    pub(super) fn user(number: u32) -> String {
        format!("load-{number}")
    }

    /// A client of the user of this number, once it is its turn; it has heard who of its contacts
    /// is there.
    pub(super) async fn arrive(&self, number: u32, device: &str) -> Result<Client, Trouble> {
        self.arrive_with(number, device, &serde_json::Value::Null).await
    }

    /// The same, going on with a session if there is one to.
    pub(super) async fn arrive_with(
        &self,
        number: u32,
        device: &str,
        resume: &serde_json::Value,
    ) -> Result<Client, Trouble> {
        let user = Self::user(number);
        let token = self.signer.token(&user).ok_or(Trouble::Silent("token"))?;
        let _place = self.doors.acquire().await;
        let mut hello =
            json!({"token": token, "device": {"id": device, "kind": "load", "label": device}});
        if !resume.is_null() {
            hello["resume"] = resume.clone();
        }
        let mut client = Client::connect(&self.target, hello).await?;
        let whom = match self.watching {
            Watching::Contacts(0) => None,
            Watching::Contacts(count) => {
                let count = count.min(self.population.saturating_sub(1));
                let others = (1..=count).map(|n| Self::user((number + n) % self.population));
                Some(json!({"users": others.collect::<Vec<String>>()}))
            }
            Watching::Everybody => Some(json!({"role": "member"})),
        };
        if let Some(whom) = whom {
            client.request("presence.subscribe", &whom).await?;
            client.event("presence.snapshot").await?;
        }
        client.acknowledge_all().await?;
        Ok(client)
    }

    pub(super) fn is_ready(&self) {
        self.ready.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Keeps a client alive until the load begins; says from when until when it is on.
    pub(super) async fn begin(&self, client: &mut Client) -> Result<(Instant, Instant), Trouble> {
        self.is_ready();
        let mut phase = self.phase.subscribe();
        loop {
            tokio::select! {
                found = phase.wait_for(|phase| *phase != Phase::Gathering) => {
                    return match found.as_deref() {
                        Ok(Phase::On { from, until }) => Ok((*from, *until)),
                        Ok(Phase::Gathering | Phase::Over) | Err(_) => Err(Trouble::Silent("start")),
                    };
                }
                passed = client.pass_over() => passed?,
            }
        }
    }

    /// Comes back when all may go.
    pub(super) async fn over(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == Phase::Over).await;
    }

    /// Keeps a client alive until all may go.
    pub(super) async fn rest(&self, client: &mut Client) -> Result<(), Trouble> {
        let over = self.over();
        tokio::pin!(over);
        let mut quiet = ticks(LOAD_ACK_PAUSE);
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                _ = quiet.tick() => client.acknowledge_rest().await?,
                passed = client.pass_over() => {
                    Tally::one(&self.tally.frames);
                    passed?;
                }
            }
        }
    }

    /// Microseconds since the run began, as messages carry them.
    pub(super) fn stamp(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }

    /// How long ago that was.
    pub(super) fn since(&self, stamp: u64) -> Duration {
        now().saturating_duration_since(self.epoch + Duration::from_micros(stamp))
    }
}

/// The clock.
pub(super) fn now() -> Instant {
    Now::read().mono.into()
}

/// At these distances, but never in bursts.
pub(super) fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
