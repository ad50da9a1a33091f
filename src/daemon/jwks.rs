//! Keys of issuers that are fetched (`jwks_url`): each by a task of its own, the last good set kept
//! whatever happens to its server.

mod schedule;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::DaemonError;
use crate::auth::key_ring::KeyRing;
use crate::auth::token::TokenKey;
use crate::config::{Config, IssuerKeys, KeysUrl};
use crate::edge::identity::{FetchKeys, Fetching};
use crate::edge::json::IssuerHealth;
use crate::limits::keys::{FETCHES_MAX, KEY_WAIT_MAX, KEY_WAITERS_MAX};
use crate::ops::fetch::{Fetch, Fetched};
use crate::ops::resolve::{self, Lookup};
use crate::time::Now;
use schedule::Schedule;

/// All of them. Keys that two configs name alike are the same before and after a reload.
pub(crate) struct Jwks {
    runtime: Handle,
    lookup: Lookup,
    /// Fetches at once: the resolver has few places.
    places: Arc<Semaphore>,
    line_by_source: Mutex<BTreeMap<Source, Arc<Line>>>,
}

/// Whose keys, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    issuer: String,
    at: KeysUrl,
}

/// One issuer's keys.
struct Line {
    source: Source,
    ring: KeyRing,
    state: Mutex<State>,
    /// Somebody wants them at once.
    wanted: Notify,
    /// Counts fetches that are over.
    rounds: watch::Sender<u64>,
    waiters: Arc<Semaphore>,
    /// Set once, right after it was spawned.
    task: Mutex<Option<AbortHandle>>,
}

struct State {
    schedule: Schedule,
    etag: Option<String>,
    fetched_at: Option<i64>,
    problem: Option<String>,
}

impl Jwks {
    pub(super) fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            lookup: resolve::system(),
            places: Arc::new(Semaphore::new(FETCHES_MAX)),
            line_by_source: Mutex::default(),
        }
    }

    /// The keys of an issuer, which are fetched from here on.
    pub(super) fn ring(&self, issuer: &str, at: &KeysUrl) -> KeyRing {
        self.line(issuer, at).ring.clone()
    }

    fn line(&self, issuer: &str, at: &KeysUrl) -> Arc<Line> {
        let source = Source { issuer: issuer.to_owned(), at: at.clone() };
        let mut lines = self.lines();
        if let Some(line) = lines.get(&source) {
            return Arc::clone(line);
        }
        let line = Arc::new(Line {
            source: source.clone(),
            ring: KeyRing::fetched(),
            state: Mutex::new(State {
                schedule: Schedule::new(Now::read()),
                etag: None,
                fetched_at: None,
                problem: None,
            }),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
            waiters: Arc::new(Semaphore::new(KEY_WAITERS_MAX)),
            task: Mutex::default(),
        });
        let (of_task, lookup) = (Arc::clone(&line), Arc::clone(&self.lookup));
        let places = Arc::clone(&self.places);
        let task = self.runtime.spawn(async move { of_task.keep_fetching(&lookup, &places).await });
        *line.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        lines.insert(source, Arc::clone(&line));
        line
    }

    /// What a token with an unknown key waits for, by this config.
    pub(super) fn on_demand(&self, config: &Config) -> FetchKeys {
        let lines = config.identity.issuers.iter().filter_map(|issuer| match &issuer.keys {
            IssuerKeys::JwksUrl(at) => Some((issuer.name.clone(), self.line(&issuer.name, at))),
            IssuerKeys::Secret(_) | IssuerKeys::SecretFile { .. } | IssuerKeys::JwksFile { .. } => {
                None
            }
        });
        let lines: BTreeMap<String, Arc<Line>> = lines.collect();
        Arc::new(move |issuer| lines.get(issuer).and_then(Line::wait))
    }

    /// Fetches no longer what this config does not name.
    pub(super) fn forget_others(&self, config: &Config) {
        let is_named = |source: &Source| {
            config.identity.issuers.iter().any(|issuer| {
                matches!(&issuer.keys, IssuerKeys::JwksUrl(at)
                    if *at == source.at && issuer.name == source.issuer)
            })
        };
        self.lines().retain(|source, line| {
            let stays = is_named(source);
            if !stays {
                line.stop();
            }
            stays
        });
    }

    /// How they are, for `/healthz`.
    pub(super) fn health(&self) -> Vec<IssuerHealth> {
        self.lines().values().map(|line| line.health()).collect()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<Source, Arc<Line>>> {
        self.line_by_source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    async fn keep_fetching(&self, lookup: &Lookup, places: &Semaphore) {
        loop {
            let pause = self.state().schedule.wait(Now::read());
            if !pause.is_zero() {
                let _ = timeout(pause, self.wanted.notified()).await;
                continue;
            }
            self.state().schedule.begin();
            let place = places.acquire().await;
            self.fetch(lookup).await;
            drop(place);
            self.rounds.send_modify(|rounds| *rounds += 1);
        }
    }

    async fn fetch(&self, lookup: &Lookup) {
        let etag = self.state().etag.clone();
        let fetched = fetch(&self.source.at).get(lookup, etag.as_deref()).await;
        let now = Now::read();
        let keys = match fetched {
            Ok(Fetched { body: None, etag, keep_for }) => Ok((None, etag, keep_for)),
            Ok(Fetched { body: Some(body), etag, keep_for }) => TokenKey::of_jwk_set(&body)
                .map(|keys| (Some(keys), etag, keep_for))
                .map_err(|why| format!("holds nothing to verify tokens with: {why}")),
            Err(why) => Err(why.to_string()),
        };
        let Source { issuer, at: KeysUrl { url, .. } } = &self.source;
        match keys {
            Ok((keys, etag, keep_for)) => {
                if let Some(keys) = keys {
                    self.ring.replace(keys);
                }
                let mut state = self.state();
                let keep_for = state.schedule.succeeded(now, keep_for);
                let is_news = state.problem.take().is_some() || state.fetched_at.is_none();
                (state.etag, state.fetched_at) = (etag, Some(now.unix_ms));
                drop(state);
                let (keys, keep_for_s) = (self.ring.read().len(), keep_for.as_secs());
                if is_news {
                    tracing::info!(issuer, url, keys, keep_for_s, "the issuer's keys are fetched");
                } else {
                    tracing::debug!(issuer, url, keys, keep_for_s, "the issuer's keys are fetched");
                }
            }
            Err(why) => {
                let mut state = self.state();
                let again_in = state.schedule.failed(now);
                let was_well = state.problem.replace(why.clone()).is_none();
                drop(state);
                // Once: `turnbell status` goes on saying it.
                if was_well {
                    tracing::warn!("{}", sentence(issuer, url, &why, self.ring.read().len()));
                } else {
                    tracing::debug!(issuer, url, why, ?again_in, "the issuer's keys do not come");
                }
            }
        }
    }

    /// `None`: whoever asks need not wait, for nothing new comes at once.
    fn wait(self: &Arc<Self>) -> Option<Fetching> {
        let place = Arc::clone(&self.waiters).try_acquire_owned().ok()?;
        // Before the wish, so that no round is missed.
        let mut rounds = self.rounds.subscribe();
        if !self.state().schedule.want(Now::read()) {
            return None;
        }
        self.wanted.notify_one();
        Some(Box::pin(async move {
            let _ = timeout(KEY_WAIT_MAX, rounds.changed()).await;
            drop(place);
        }))
    }

    fn health(&self) -> IssuerHealth {
        let state = self.state();
        IssuerHealth {
            issuer: self.source.issuer.clone(),
            url: self.source.at.url.clone(),
            keys: self.ring.read().len(),
            fetched_at: state.fetched_at,
            problem: state.problem.clone(),
        }
    }

    fn stop(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fetch(at: &KeysUrl) -> Fetch {
    let authority = at.authority.as_ref().map(|authority| authority.pem.clone());
    Fetch { url: at.url.clone(), authority }
}

fn sentence(issuer: &str, url: &str, why: &str, kept: usize) -> String {
    let what_counts = match kept {
        0 => "its users cannot sign in until they come".to_owned(),
        1 => "the key that was fetched before counts on".to_owned(),
        kept => format!("the {kept} keys that were fetched before count on"),
    };
    format!("the keys of the issuer {issuer:?} do not come: {url} {why}; {what_counts}")
}

/// What came of trying an issuer's address once: how many keys, or a sentence.
pub(crate) struct Tried {
    /// Whose.
    pub(crate) issuer: String,
    /// Where.
    pub(crate) url: String,
    /// What.
    pub(crate) keys: Result<usize, String>,
}

/// Fetches everything once, for `check-config`.
///
/// # Errors
/// Only where there can be no runtime.
pub(crate) fn try_once(config: &Config) -> Result<Vec<Tried>, DaemonError> {
    if config.identity.issuers.iter().all(|of| !matches!(of.keys, IssuerKeys::JwksUrl(_))) {
        return Ok(Vec::new());
    }
    Ok(super::runtime()?.block_on(try_all(config)))
}

async fn try_all(config: &Config) -> Vec<Tried> {
    let lookup = resolve::system();
    let mut all = Vec::new();
    for issuer in &config.identity.issuers {
        let IssuerKeys::JwksUrl(at) = &issuer.keys else { continue };
        let fetched = fetch(at).get(&lookup, None).await.map_err(|why| why.to_string());
        let keys = fetched.and_then(|fetched| {
            let keys = TokenKey::of_jwk_set(&fetched.body.unwrap_or_default());
            keys.map(|keys| keys.len()).map_err(|why| why.to_string())
        });
        let keys = keys.map_err(|why| sentence(&issuer.name, &at.url, &why, 0));
        all.push(Tried { issuer: issuer.name.clone(), url: at.url.clone(), keys });
    }
    all
}
