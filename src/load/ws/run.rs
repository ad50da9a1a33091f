//! The one who watches a run: lets it begin, says how it goes, and what came of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout_at;

use super::client::Trouble;
use super::stage::{Phase, Stage, Tally, now, ticks};
use crate::limits::load::{LOAD_GRACE, LOAD_PATIENCE, LOAD_PROGRESS};
use crate::load::server::{Reading, load_average};
use crate::load::{LoadError, Progress, Report, ServerUse};

/// Watches a run.
pub(super) struct Run<'a> {
    pub(super) stage: Arc<Stage>,
    tasks: JoinSet<Result<(), Trouble>>,
    progress: Progress<'a>,
    pid: Option<u32>,
    first: Option<Reading>,
    at_begin: Option<Reading>,
    seconds: f64,
    sessions_lost: u64,
}

impl<'a> Run<'a> {
    /// # Errors
    /// If there is no process of that number.
    pub(super) fn new(
        stage: Arc<Stage>,
        progress: Progress<'a>,
        pid: Option<u32>,
    ) -> Result<Self, LoadError> {
        let first = pid.map(Reading::of).transpose()?;
        Ok(Self {
            stage,
            tasks: JoinSet::new(),
            progress,
            pid,
            first,
            at_begin: None,
            seconds: 0.0,
            sessions_lost: 0,
        })
    }

    pub(super) fn say(&self, text: &str) {
        (self.progress)(text);
    }

    /// Adds a client.
    pub(super) fn add(
        &mut self,
        client: impl Future<Output = Result<(), Trouble>> + Send + 'static,
    ) {
        self.tasks.spawn(client);
    }

    /// Waits until so many clients are ready.
    ///
    /// # Errors
    /// If one ends before, or nothing goes on.
    pub(super) async fn gather(&mut self, wanted: usize, needs: &str) -> Result<(), LoadError> {
        let mut ticks = ticks(Duration::from_millis(50));
        let (mut before, mut moved_at, mut said_at) = (0, now(), now());
        loop {
            let ready = self.stage.ready.load(Ordering::Relaxed);
            if ready >= wanted {
                return Ok(());
            }
            let stuck =
                |why: String| LoadError::Stuck { ready, wanted, why, needs: needs.to_owned() };
            if ready > before {
                (before, moved_at) = (ready, now());
            } else if now() > moved_at + 2 * LOAD_PATIENCE {
                return Err(stuck(Trouble::Silent("progress").to_string()));
            }
            if now() > said_at + LOAD_PROGRESS {
                said_at = now();
                self.say(&format!("{ready} of {wanted} clients are ready"));
            }
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = self.tasks.join_next() => {
                    if let Err(why) = ended.unwrap_or(Err(Trouble::Silent("task"))) {
                        return Err(stuck(why.to_string()));
                    }
                }
            }
        }
    }

    /// The load is on for so long. Then the last messages are waited for, until `is_done`.
    pub(super) async fn put_on(
        &mut self,
        length: Duration,
        is_done: impl Fn(&Tally) -> bool,
    ) -> Result<(), LoadError> {
        self.at_begin = self.reading()?;
        let from = now() + Duration::from_millis(100);
        let until = from + length;
        self.stage.phase.send_replace(Phase::On { from, until });
        let mut said_at = from;
        let mut ticks = ticks(Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = self.tasks.join_next() => self.note(ended),
            }
            let is_sent = self.stage.tally.sending.load(Ordering::Relaxed) == 0;
            let is_over = now() >= until && is_sent && is_done(&self.stage.tally);
            if is_over || now() >= until + LOAD_GRACE {
                break;
            }
            if now() >= said_at + LOAD_PROGRESS {
                said_at = now();
                self.say(&self.how_it_goes(now() - from));
            }
        }
        self.seconds = length.as_secs_f64();
        Ok(())
    }

    fn how_it_goes(&self, since: Duration) -> String {
        let Tally { sent, received, latency, .. } = &self.stage.tally;
        let latency = latency
            .quantiles()
            .map(|q| format!(", p50 {:.1} ms, p99 {:.1} ms", q.p50, q.p99))
            .unwrap_or_default();
        format!(
            "{} s: {} sent, {} received{latency}",
            since.as_secs(),
            sent.load(Ordering::Relaxed),
            received.load(Ordering::Relaxed),
        )
    }

    pub(super) fn note(&mut self, ended: Result<Result<(), Trouble>, JoinError>) {
        if let Err(why) = ended.unwrap_or(Err(Trouble::Silent("task"))) {
            self.sessions_lost += 1;
            self.stage.tally.note_end(&why);
            if self.sessions_lost == 1 {
                self.say(&format!("a session was lost: {why}"));
            }
        }
    }

    /// What the server uses is not asked any more.
    pub(super) fn forget_server(&mut self) {
        self.pid = None;
    }

    fn reading(&self) -> Result<Option<Reading>, LoadError> {
        self.pid.map(Reading::of).transpose()
    }

    /// Lets all go, and says what came of it.
    ///
    /// # Errors
    /// If the server's process is gone.
    pub(super) async fn report(
        mut self,
        scenario: &'static str,
        sessions: usize,
    ) -> Result<Report, LoadError> {
        let server = match (self.reading()?, self.first, self.at_begin) {
            (Some(last), Some(first), Some(begin)) => {
                Some(used(first, begin, last, sessions, self.seconds, &self.stage.tally))
            }
            _ => None,
        };
        let load_average = load_average();
        self.stage.phase.send_replace(Phase::Over);
        let deadline = now() + LOAD_PATIENCE;
        while let Ok(Some(ended)) = timeout_at(deadline, self.tasks.join_next()).await {
            self.note(ended);
        }
        let tally = &self.stage.tally;
        let (sent, received) =
            (tally.sent.load(Ordering::Relaxed), tally.received.load(Ordering::Relaxed));
        Ok(Report {
            scenario,
            url: self.stage.target.url().to_owned(),
            sessions,
            seconds: self.seconds,
            sent,
            received,
            lost: sent.saturating_sub(received),
            refused: tally.refused.all(),
            closed: tally.closed.all(),
            sessions_lost: self.sessions_lost,
            latency_ms: tally.latency.quantiles(),
            ring_ms: tally.ring.quantiles(),
            all_back_s: None,
            generator_late_ms: tally.late.quantiles(),
            server,
            load_average,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

fn used(
    first: Reading,
    begin: Reading,
    last: Reading,
    sessions: usize,
    seconds: f64,
    tally: &Tally,
) -> ServerUse {
    let grown = |of: fn(&Reading) -> u64| of(&last) as f64 - of(&first) as f64;
    let each = sessions.max(1) as f64;
    let cpu_us = last.cpu_us.saturating_sub(begin.cpu_us) as f64;
    let frames = tally.frames.load(Ordering::Relaxed);
    ServerUse {
        rss_bytes_before: first.rss_bytes,
        rss_bytes_after: last.rss_bytes,
        rss_bytes_per_session: grown(|reading| reading.rss_bytes) / each,
        kernel_bytes_per_session: grown(|reading| reading.kernel_bytes) / each,
        cores: cpu_us / 1e6 / seconds.max(0.001),
        cpu_us_per_message: (frames > 0).then(|| cpu_us / frames as f64),
    }
}
