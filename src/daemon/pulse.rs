//! Whether the daemon is well: what `/healthz` and the service manager's watchdog are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::jwks::Jwks;
use super::quotas::Near;
use crate::edge::commands::Issuer;
use crate::edge::ice_urls::UrlSources;
use crate::edge::json::{
    ExternalHealth, Health, IssuerHealth, RecordHealth, RelayHealth, TlsHealth,
};
use crate::edge::snapshot::Snapshot;
use crate::edge::verify_json::VerificationHealth;
use crate::edge::{HealthProbe, MetricsFormat, MetricsProbe};
use crate::limits::{ANSWER_PATIENCE, TURN_IDLE_MAX};
use crate::ops::call_counts::CallCounter;
use crate::ops::metrics::{self, IssuerKeys, Ports, Reading, Verified};
use crate::ops::socket_drops::{self, SocketDrops};
use crate::ops::{links, process, systemd};
use crate::plane::handle::Handle;
use crate::probe::observation::Vantage;
use crate::probe::verdict::Severity;
use crate::store::{Store, StoreState};
use crate::time::Now;

/// A shard that finished no turn for this long is not well; it turns at least once a second.
const STALL: Duration = TURN_IDLE_MAX.saturating_mul(3);

/// When a shard was last seen to finish a turn.
struct Pulse {
    turns: u64,
    seen: Instant,
}

impl Pulse {
    fn is_alive(&mut self, now: Now, turns: u64) -> bool {
        if turns != self.turns {
            *self = Self { turns, seen: now.mono };
        }
        now.mono.saturating_duration_since(self.seen) < STALL
    }
}

/// Reads relay and record for `/healthz`. The record's state is shown but does not decide.
/// `issuer`: its URLs say whether `turns:` is handed out.
pub(super) fn health_probe(
    handle: Handle,
    store: Store,
    issuer: Arc<Snapshot<Issuer>>,
    draining: Arc<AtomicBool>,
    external: Arc<Snapshot<Vec<ExternalHealth>>>,
    near: Near,
    jwks: Arc<Jwks>,
) -> HealthProbe {
    let start = Now::read().mono;
    let pulses = handle.turns().into_iter().map(|turns| Pulse { turns, seen: start });
    let pulses = Mutex::new(pulses.collect::<Vec<_>>());
    Arc::new(move || {
        let (now, turns) = (Now::read(), handle.turns());
        let mut pulses = pulses.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = pulses
            .iter_mut()
            .zip(&turns)
            .filter_map(|(one, turns)| one.is_alive(now, *turns).then_some(()));
        let alive = alive.count();
        drop(pulses);
        let record = store.health();
        let problem = match record.state {
            StoreState::Ok => None,
            StoreState::Degraded { why, since_unix_ms: _ } => Some(why),
        };
        Health {
            ok: alive == turns.len(),
            draining: draining.load(Ordering::Relaxed),
            relay: RelayHealth {
                shards: turns.len(),
                shards_alive: alive,
                allocations: handle.allocation_count(),
            },
            record: RecordHealth { ok: problem.is_none(), problem, dropped: record.dropped },
            tls: tls_health(Now::read(), &issuer.read().urls),
            external: external.read().to_vec(),
            issuers: jwks.health(),
            // The edge adds what it sees.
            proxies: None,
            verified: Vec::new(),
            quotas: near.read(&handle),
        }
    })
}

/// What the kernel threw away.
pub(super) fn drops_of(handle: &Handle) -> SocketDrops {
    let (listeners, relay_sockets) = handle.socket_drops();
    SocketDrops { listeners, relay_sockets, machine: socket_drops::of_machine() }
}

/// What `/metrics` is read from.
pub(super) struct Measured {
    pub(super) handle: Handle,
    pub(super) store: Store,
    pub(super) health: HealthProbe,
    pub(super) calls: CallCounter,
}

/// Reads everything that `/metrics` shows.
pub(super) fn metrics_probe(measured: Measured) -> MetricsProbe {
    let Measured { handle, store, health, calls } = measured;
    Arc::new(move |format, verified, coturn_realm| {
        let health = health();
        let (ports, record) = (handle.port_count(), store.health());
        let reading = Reading {
            version: env!("CARGO_PKG_VERSION"),
            shards: (health.relay.shards as u64, health.relay.shards_alive as u64),
            draining: health.draining,
            near: health.quotas.map_or([0; 3], |near| [near.users, near.total, near.tenants]),
            short_of_memory: handle.is_short_of_memory(),
            relay: handle.statistics(ANSWER_PATIENCE).ok(),
            ports: Ports {
                free: ports.free as u64,
                resting: ports.resting as u64,
                used: ports.used as u64,
            },
            disk_free_bytes: record.path.parent().and_then(links::disk_free),
            record,
            issuers: health.issuers.iter().map(keys_of).collect(),
            verified: verified.iter().filter_map(metrics_of).collect(),
            process: process::read(),
            certificate: health.tls.map(|tls| (tls.expires_at, tls.ok)),
            allocations_max: handle.quota().total.into(),
            drops: drops_of(&handle),
            calls: calls.read(),
            coturn_realm: coturn_realm.map(ToOwned::to_owned),
        };
        match format {
            MetricsFormat::Plain => metrics::plain(reading),
            MetricsFormat::OpenMetrics => metrics::open_metrics(reading),
        }
    })
}

fn metrics_of(health: &VerificationHealth) -> Option<Verified> {
    Some(Verified {
        vantage: Vantage::from_code(&health.vantage)?.code(),
        severity: Severity::from_code(&health.verdict)? as u64,
        at_unix_s: u64::try_from(health.at / 1000).unwrap_or(0),
    })
}

fn keys_of(health: &IssuerHealth) -> IssuerKeys {
    IssuerKeys {
        issuer: health.issuer.clone(),
        keys: health.keys as u64,
        is_well: health.problem.is_none() && health.fetched_at.is_some(),
    }
}

/// A certificate that does not serve is shown, but does not decide either.
fn tls_health(now: Now, urls: &UrlSources) -> Option<TlsHealth> {
    let certificates = urls.certificates.as_ref()?;
    let expires_at = certificates.current().not_after();
    let problem = certificates.problem().or_else(|| urls.turns_problem(now));
    Some(TlsHealth { ok: problem.is_none(), problem, expires_at })
}

/// Feeds the watchdog as long as every shard finishes turns between two looks (R22).
pub(super) async fn feed_watchdog(handle: Handle) {
    let Some(interval) = systemd::watchdog_interval() else { return };
    let mut look = tokio::time::interval(interval.max(TURN_IDLE_MAX));
    let mut turns = handle.turns();
    loop {
        look.tick().await;
        let latest = handle.turns();
        if latest.iter().zip(&turns).all(|(latest, before)| latest != before) {
            turns = latest;
            systemd::watchdog();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_without_a_turn_for_three_seconds_is_not_well() {
        let start = Now::read();
        let later = |ms| start.after(Duration::from_millis(ms));
        let mut pulse = Pulse { turns: 5, seen: start.mono };
        assert!(pulse.is_alive(later(2_999), 5));
        assert!(!pulse.is_alive(later(3_000), 5));
        assert!(pulse.is_alive(later(3_001), 6));
        assert!(pulse.is_alive(later(6_000), 6));
        assert!(!pulse.is_alive(later(6_001), 6));
    }
}
