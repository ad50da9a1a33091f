//! Finds out what `/diagnostics` says: asks every part, and measures every ten seconds.

mod calls;
mod holders;

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use holders::Before;

use super::live::{InEffect, Live};
use super::pulse::drops_of;
use crate::config::Source;
use crate::edge::diagnostics::capacity::{self, Known};
use crate::edge::diagnostics::json::{
    AddressWord, CapacityWord, CertificateWord, Diagnostics, DropsWord, Facts, ListenersWord,
    PortsWord, ProcessWord, QuotaWord, RecordWord, RefusedWord, RelayWord, RelayedWord, TalkerWord,
    UsedOf, VerificationWord,
};
use crate::edge::diagnostics::ring::Totals;
use crate::edge::diagnostics::{Diagnosing, Lately, judge};
use crate::edge::verify_json::VerificationHealth;
use crate::limits::ANSWER_PATIENCE;
use crate::limits::diagnose::SAMPLE_EVERY;
use crate::ops::kernel::Kernel;
use crate::ops::relay_choice::RelayAddress;
use crate::ops::socket_drops::SocketDrops;
use crate::ops::{links, process};
use crate::policy::public::not_public;
use crate::probe::observation::Vantage;
use crate::probe::verdict::Severity;
use crate::store::{StoreHealth, StoreState};
use crate::time::Now;
use crate::turn::allocation::AllocationView;
use crate::turn::counters::{Counters, Statistics};
use crate::turn::fact::Transport;

/// Opens `/diagnostics`, and measures for as long as the daemon runs.
pub(super) fn open(live: &Arc<Live>) -> Arc<Diagnosing> {
    let started = Now::read();
    let finder = Arc::new(Finder { live: Arc::clone(live), started, before: Mutex::default() });
    let probe = Arc::clone(&finder);
    let diagnosing =
        Arc::new(Diagnosing::new(Arc::new(move |now, lately| probe.find(now, lately))));
    live.edge.open_diagnostics(Arc::clone(&diagnosing));
    live.operator.runtime.spawn(measure(finder, Arc::clone(&diagnosing)));
    diagnosing
}

async fn measure(finder: Arc<Finder>, diagnosing: Arc<Diagnosing>) {
    let mut look = tokio::time::interval(SAMPLE_EVERY);
    loop {
        look.tick().await;
        let finder = Arc::clone(&finder);
        let totals = tokio::task::spawn_blocking(move || finder.totals(Now::read())).await;
        // A relay that does not answer leaves a gap in the plot.
        if let Ok(Some(totals)) = totals {
            diagnosing.note(totals);
        }
    }
}

struct Finder {
    live: Arc<Live>,
    started: Now,
    /// What each allocation had relayed when it was looked at last.
    before: Mutex<Option<(Instant, Before)>>,
}

impl Finder {
    fn totals(&self, now: Now) -> Option<Totals> {
        let statistics = self.live.handle.statistics(ANSWER_PATIENCE).ok()?;
        let (process, traffic) = (process::read(), statistics.traffic);
        let drops = drops_of(&self.live.handle);
        Some(Totals {
            at: now.unix_ms,
            mono_ms: millis(now, self.started),
            allocations: self.live.handle.allocation_count(),
            bytes_to_peers: traffic.bytes_to_peers,
            bytes_to_clients: traffic.bytes_to_client,
            packets: traffic.packets_to_peers + traffic.packets_to_client,
            refused: statistics.counters.auth_failures().map(|(_, count)| count).collect(),
            drops: drops.listeners + drops.relay_sockets,
            cpu_s: process.cpu_s,
            resident_bytes: process.resident_bytes,
        })
    }

    fn find(&self, now: Now, lately: &Lately) -> Diagnostics {
        let facts = self.facts(now, lately);
        judge::judge(now, env!("CARGO_PKG_VERSION"), self.started.unix_ms, facts)
    }

    fn facts(&self, now: Now, lately: &Lately) -> Facts {
        let live = &self.live;
        let health = live.edge.health();
        let statistics = live.handle.statistics(ANSWER_PATIENCE).ok();
        let allocations = live.handle.allocations(ANSWER_PATIENCE).unwrap_or_default();
        let (process, store) = (process::read(), live.store.health());
        let drops = drops_of(&self.live.handle);
        let (calls, relay_share, quality) = calls::figures(now, &live.store);
        let config = live.config_word();
        let in_effect = live.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = Facts {
            relay: RelayWord {
                alive: health.ok,
                answers: statistics.is_some(),
                draining: live.draining.begun.load(Ordering::Relaxed),
                short_of_memory: live.handle.is_short_of_memory(),
            },
            listeners: listeners(&in_effect),
            addresses: in_effect.opened.relay_addresses.iter().map(address).collect(),
            external: health.external,
            certificate: self.certificate(now, health.tls.and_then(|tls| tls.problem)),
            ports: self.ports(&in_effect),
            descriptors: UsedOf { used: process.open_fds, limit: process.max_fds },
            process: ProcessWord {
                resident_bytes: process.resident_bytes,
                cpu_s: process.cpu_s,
                cpu_percent: lately.latest.map_or(0.0, |sample| sample.cpu_percent),
            },
            drops: dropped(drops, lately),
            record: record(store),
            quota: QuotaWord {
                total: UsedOf {
                    used: live.handle.allocation_count(),
                    limit: in_effect.config.quota.total.into(),
                },
                per_user: in_effect.config.quota.per_user.into(),
                per_source: in_effect.config.quota.per_source.into(),
                users: holders::users(&allocations),
                sources: holders::sources(&allocations),
            },
            allocations: holders::shape(&allocations),
            top_talkers: self.talkers(now, &allocations),
            calls,
            relay_share,
            quality,
            verifications: [Vantage::ThisMachine, Vantage::AnotherMachine, Vantage::Browser]
                .map(|vantage| verification(&health.verified, vantage.code()))
                .into(),
            proxies: health.proxies,
            config: Some(config),
            warnings: warnings(&in_effect),
            ..Facts::default()
        };
        facts.capacity = capacity(&in_effect, &facts, lately, statistics.as_ref());
        drop(in_effect);
        if let Some(statistics) = statistics {
            counted(&mut facts, &statistics, lately);
        }
        facts
    }

    fn certificate(&self, now: Now, problem: Option<String>) -> Option<CertificateWord> {
        let current = self.live.certificates.as_ref()?.current();
        let left_s = current.not_after() - now.unix_s();
        Some(CertificateWord {
            hosts: current.to_string(),
            expires_at: current.not_after().saturating_mul(1000),
            days_left: left_s.div_euclid(86_400),
            problem,
        })
    }

    fn ports(&self, in_effect: &InEffect) -> PortsWord {
        let (count, range) = (self.live.handle.port_count(), &in_effect.config.relay_ports);
        PortsWord {
            range: format!("{}-{}", range.start(), range.end()),
            free: count.free as u64,
            used: count.used as u64,
            resting: count.resting as u64,
            reserved: count.reserved as u64,
        }
    }

    fn talkers(&self, now: Now, allocations: &[AllocationView]) -> Vec<TalkerWord> {
        let mut held = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.take().map(|(at, before)| (now.mono.duration_since(at), before));
        let talkers = holders::talkers(now, allocations, before.as_ref());
        *held = Some((now.mono, holders::before(allocations)));
        talkers
    }
}

fn capacity(
    in_effect: &InEffect,
    facts: &Facts,
    lately: &Lately,
    statistics: Option<&Statistics>,
) -> CapacityWord {
    let bind: Vec<IpAddr> = in_effect.opened.relay_addresses.iter().map(|a| a.bind).collect();
    let measured = lately.an_hour_ago.as_ref().zip(statistics).map(|(then, now)| {
        let packets = now.traffic.packets_to_peers + now.traffic.packets_to_client;
        (facts.process.cpu_s - then.cpu_s, packets.saturating_sub(then.packets))
    });
    let PortsWord { free, used, resting, reserved, .. } = &facts.ports;
    capacity::estimate(&Known {
        link: links::slowest(&bind),
        rate_total: in_effect.config.rates.total.bits,
        quota_total: in_effect.config.quota.total.into(),
        ports: free + used + resting + reserved,
        descriptors: facts.descriptors.limit,
        tracked_flows: Kernel::read().tracked_flows_max,
        cpu: measured.unwrap_or_default(),
    })
}

fn millis(now: Now, since: Now) -> u64 {
    u64::try_from(now.mono.saturating_duration_since(since.mono).as_millis()).unwrap_or(u64::MAX)
}

fn listeners(in_effect: &InEffect) -> ListenersWord {
    let opened = &in_effect.opened;
    ListenersWord {
        udp: opened.udp.clone(),
        tcp: opened.tcp.clone(),
        tls: opened.tls.clone(),
        http: opened.http.clone(),
        https: opened.https.clone(),
    }
}

fn address(relay: &RelayAddress) -> AddressWord {
    AddressWord {
        address: relay.bind.to_string(),
        told: relay.advertised.to_string(),
        why: relay.why.clone(),
        told_by: relay.origin(),
        not_public: not_public(relay.advertised).map(ToOwned::to_owned),
    }
}

fn dropped(drops: SocketDrops, lately: &Lately) -> DropsWord {
    let SocketDrops { listeners, relay_sockets, machine } = drops;
    let then = lately.an_hour_ago.as_ref().map_or(0, |then| then.drops);
    let last_hour = (listeners + relay_sockets).saturating_sub(then);
    DropsWord { listeners, relay_sockets, machine, last_hour }
}

fn record(health: StoreHealth) -> RecordWord {
    let (problem, since_at) = match health.state {
        StoreState::Ok => (None, None),
        StoreState::Degraded { why, since_unix_ms } => (Some(why), Some(since_unix_ms)),
    };
    RecordWord {
        ok: problem.is_none(),
        problem,
        since_at,
        stored: health.stored,
        dropped: health.dropped,
        queued: health.queued,
        disk_free_bytes: health.path.parent().and_then(links::disk_free),
        path: health.path.display().to_string(),
        file_bytes: health.file_bytes,
        sqlite_version: health.sqlite_version.to_owned(),
    }
}

/// What the relay counted.
fn counted(facts: &mut Facts, statistics: &Statistics, lately: &Lately) {
    let Statistics { counters, live, traffic } = statistics;
    facts.allocations.opened = counters.allocations;
    for (transport, count) in live {
        let of = &mut facts.allocations.by_transport;
        match transport {
            Transport::Udp => of.udp = *count,
            Transport::Tcp => of.tcp = *count,
            Transport::Tls => of.tls = *count,
        }
    }
    let latest = lately.latest.unwrap_or_default();
    facts.relayed = RelayedWord {
        bits_per_s_to_peers: latest.bits_to_peers,
        bits_per_s_to_clients: latest.bits_to_clients,
        packets_per_s: latest.packets,
        bytes: traffic.bytes_to_peers + traffic.bytes_to_client,
        packets: traffic.packets_to_peers + traffic.packets_to_client,
    };
    facts.refused = refused(counters, lately);
}

fn refused(counters: &Counters, lately: &Lately) -> Vec<RefusedWord> {
    let then = lately.an_hour_ago.as_ref().map_or(&[][..], |then| &then.refused);
    let word = |(at, (cause, count)): (usize, (&str, u64))| RefusedWord {
        cause: cause.to_owned(),
        means: meaning(cause).to_owned(),
        count,
        last_hour: count.saturating_sub(then.get(at).copied().unwrap_or(0)),
    };
    counters.auth_failures().enumerate().map(word).collect()
}

fn meaning(cause: &str) -> &'static str {
    match cause {
        "no_such_user" => "neither an account of auth.users nor a time-limited name",
        "expired" => "the credential was good and is over",
        "wrong_integrity" => "wrong password, or made with a secret that is not in auth.secrets",
        "unknown_realm" => "the client names another realm",
        "stale_nonce" => "an old nonce; harmless, the client goes on with a new one",
        "revoked" => "the user was revoked by `turnbell revoke`",
        _ => "",
    }
}

/// The last verification from there; without a time, if there was none.
fn verification(known: &[VerificationHealth], vantage: &str) -> VerificationWord {
    let last = known.iter().find(|one| one.vantage == vantage);
    VerificationWord {
        vantage: vantage.to_owned(),
        at: last.map(|one| one.at),
        ok: last.map(|one| one.verdict != Severity::Error.code()),
        severity: last.map(|one| one.verdict.clone()),
        verdict: last.map(|one| one.summary.clone()),
    }
}

/// Warnings that nothing else says already.
fn warnings(in_effect: &InEffect) -> Vec<String> {
    let is_said =
        |warning: &str| warning.contains("turns: URL") || warning.starts_with("relay address ");
    // Somebody tries it out, and has read them a moment ago.
    let counts = in_effect.config.source != Source::Embedded;
    let all = in_effect.warned.iter().filter(|warning| counts && !is_said(warning));
    all.cloned().collect()
}
