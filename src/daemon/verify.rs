//! Verifies what `/ice` hands out: by itself at an interval, and whenever somebody asks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::live::Live;
use crate::auth::credential::User;
use crate::edge::verification::{Run, Verifications};
use crate::edge::verify_json::VerifyReport;
use crate::limits::probe::VERIFY_FIRST;
use crate::ops::prober::roots::Roots;
use crate::ops::resolve::Lookup;
use crate::ops::{interfaces, prober};
use crate::probe::observation::Vantage;
use crate::probe::target::Guard;
use crate::probe::verdict::{Facts, Judgement, Severity, Verdict, judge};
use crate::probe::verify::Plan;
use crate::store::StoreState;
use crate::time::Now;

/// Opens `/ice-verify`.
pub(super) fn open(live: &Arc<Live>, lookup: Lookup) -> Verifications {
    let weak = Arc::downgrade(live);
    let told = Arc::<Told>::default();
    let run: Run = Box::new(move || {
        let (weak, lookup, told) = (Weak::clone(&weak), Arc::clone(&lookup), Arc::clone(&told));
        Box::pin(async move { verify(&weak, &lookup, &told).await })
    });
    let runtime = live.operator.runtime.clone();
    let verifications = Verifications::new(run, live.store.clone(), runtime);
    live.edge.open_verifications(verifications.clone());
    verifications
}

/// Verifies by itself, as often as the config says, the first time a minute after the start.
pub(super) async fn keep_verifying(live: Weak<Live>, verifications: Verifications) {
    let mut minute = interval(VERIFY_FIRST);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once.
    minute.tick().await;
    loop {
        minute.tick().await;
        let Some(live) = live.upgrade() else { return };
        if let Some(every) = live.verifies_every() {
            verifications.start(Now::read(), every);
        }
    }
}

async fn verify(live: &Weak<Live>, lookup: &Lookup, told: &Told) -> Result<VerifyReport, String> {
    let gone = || "the daemon is ending".to_owned();
    let (plan, roots) = {
        let live = live.upgrade().ok_or_else(gone)?;
        let prepared = tokio::task::spawn_blocking(move || {
            let here = own_addresses();
            Ok::<_, String>((live.plan(&here)?, Roots::of_system()))
        });
        prepared.await.map_err(|_| gone())??
    };
    let seen = prober::run(plan, lookup, &roots)
        .await
        .map_err(|error| format!("the verification did not run: {error}"))?;
    let live = live.upgrade().ok_or_else(gone)?;
    let facts = tokio::task::spawn_blocking(move || live.facts(own_addresses()));
    let facts = facts.await.map_err(|_| gone())?;
    let judged = judge(&seen, &facts);
    told.tell(&judged);
    Ok(VerifyReport::of(&seen, &judged))
}

fn own_addresses() -> Vec<IpAddr> {
    interfaces::all().unwrap_or_default().into_iter().map(|a| a.address).collect()
}

impl Live {
    fn verifies_every(&self) -> Option<Duration> {
        let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        held.config.verify.every
    }

    fn plan(&self, here: &[IpAddr]) -> Result<Plan, String> {
        let user =
            User::of_verification().map_err(|_| "the kernel gives no random bytes".to_owned())?;
        let is_draining = self.edge.is_draining();
        let options = self.edge.options();
        Ok(Plan {
            vantage: Vantage::ThisMachine,
            targets: options.ice.targets(Now::read(), &user, here, is_draining),
            guard: Guard::Configured,
        })
    }

    /// Why a browser is told of no relay over UDP, if that is so.
    fn why_no_urls(&self) -> Option<String> {
        let explained = self.edge.options().ice.urls.explain(Now::read());
        explained.into_iter().find(|one| one.url.is_none()).map(|one| one.why)
    }

    /// Waits for the disk.
    fn facts(&self, own_addresses: Vec<IpAddr>) -> Facts {
        let (realm, told_addresses, bound_addresses) = {
            let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
            let relays = held.opened.relay_addresses.iter();
            let (told, bound) = relays.map(|relay| (relay.advertised, relay.bind)).unzip();
            (held.config.realm.clone(), told, bound)
        };
        let record_problem = match self.store.health().state {
            StoreState::Ok => None,
            StoreState::Degraded { why, since_unix_ms: _ } => Some(why),
        };
        Facts {
            now_unix_ms: Now::read().unix_ms,
            realm: Some(realm),
            own_addresses,
            told_addresses,
            bound_addresses,
            no_urls: self.why_no_urls(),
            record_problem,
            certificate_problem: self.edge.health().tls.and_then(|tls| tls.problem),
            clock_ahead_s: None,
            upgrade: None,
            asked_at: None,
            worked_inside: Vec::new(),
            failed_inside: Vec::new(),
            proven_outside_at: self.store.proven_outside().ok().flatten(),
        }
    }
}

/// What the log was told: each thing once when it comes, and once that all is well again.
#[derive(Default)]
struct Told(Mutex<Vec<(&'static str, Vec<String>)>>);

impl Told {
    fn tell(&self, judged: &Judgement) {
        let is_bad = |verdict: &&Verdict| verdict.severity >= Severity::Warning;
        let bad: Vec<_> = judged.verdicts.iter().filter(is_bad).collect();
        let key = |verdict: &Verdict| (verdict.code.word(), verdict.urls.clone());
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for verdict in bad.iter().filter(|verdict| !told.contains(&key(verdict))) {
            let Verdict { code, cause, cure, .. } = verdict;
            tracing::warn!(code = code.word(), "verification: {cause}; {cure}");
        }
        if bad.is_empty() && !told.is_empty() {
            tracing::info!("verification: all is well again");
        }
        *told = bad.into_iter().map(key).collect();
    }
}
