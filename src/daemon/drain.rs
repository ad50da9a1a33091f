//! Drain: out of service without cutting a call. Ends when nothing is relayed, or after a limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::live::Live;
use super::signaling;
use crate::config;
use crate::edge::commands::Drain;
use crate::ops::systemd;
use crate::plane::handle::NoAnswer;
use crate::time::Now;
use crate::turn::drain::Alternate;

/// How far a drain is.
#[derive(Debug, Default)]
pub(super) struct Draining {
    until: Mutex<Option<Instant>>,
    /// Read for `/healthz`.
    pub(super) begun: Arc<AtomicBool>,
    /// What the service manager was told last: allocations and minutes.
    told: Mutex<(u64, u64)>,
}

impl Live {
    /// What `turnbell drain` does.
    pub(super) fn on_drain(self: &Arc<Self>) -> Drain {
        let live = Arc::clone(self);
        Arc::new(move |limit| live.drain(limit).map_err(|error| error.to_string()))
    }

    /// Refuses new allocations from here on and hands out no URL of this node. A second call sets
    /// another limit.
    ///
    /// # Errors
    /// If the relay cannot be told; nothing changes then.
    pub(super) fn drain(&self, limit: Duration) -> Result<u64, NoAnswer> {
        let in_effect = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle.drain(alternates(&in_effect.config.alternate))?;
        drop(in_effect);
        self.edge.drain();
        self.operator.tell(vec![signaling::drain()]);
        self.draining.begun.store(true, Ordering::Relaxed);
        let left = self.left();
        *lock(&self.draining.until) = Some(Now::read().mono + limit);
        tracing::info!(allocations = left, limit_s = limit.as_secs(), "draining");
        Ok(left)
    }

    /// Whether the daemon may end; tells the service manager how far it is.
    pub(super) fn is_drained(&self, now: Now) -> bool {
        let Some(until) = *lock(&self.draining.until) else { return false };
        let left = self.left();
        let time = until.saturating_duration_since(now.mono);
        if left == 0 {
            tracing::info!("drained: nothing is relayed any more");
            return true;
        }
        if time.is_zero() {
            tracing::warn!(allocations = left, "the drain has lasted as long as it may");
            return true;
        }
        let minutes = time.as_secs().div_ceil(60);
        let mut told = lock(&self.draining.told);
        if *told != (left, minutes) {
            *told = (left, minutes);
            systemd::status(&format!("draining: {left} left, ends within {minutes} min"));
        }
        false
    }

    fn left(&self) -> u64 {
        self.handle.port_count().used as u64
    }
}

pub(super) fn alternates(configured: &[config::Alternate]) -> Arc<[Alternate]> {
    let alternate = |a: &config::Alternate| Alternate {
        server: a.server,
        domain: a.domain.as_deref().map(Into::into),
    };
    configured.iter().map(alternate).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Plain values: a panic elsewhere leaves them whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
