//! What is asked outside, and only where the config says so (R19): the public side of each relay
//! address, the NAT64 of the local network. For a moment at start, then at an interval and at every
//! reload, on no thread that a packet waits for.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};

use super::live::{InEffect, Live};
use crate::config::{Config, Host};
use crate::edge::json::ExternalHealth;
use crate::limits::outside::{
    FORMER_ADDRESSES_MAX, OUTSIDE_INTERVAL, OUTSIDE_RETRY, OUTSIDE_START_PATIENCE,
};
use crate::ops::external::{self, Found, Heard, StunServer, resolve_all};
use crate::ops::interfaces;
use crate::ops::relay_choice::{RelayAddress, ToldBy};
use crate::ops::resolve::{Lookup, resolve};
use crate::policy::nat64;
use crate::store::Entry;
use crate::time::Now;

/// What is known of the outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Public sides, one per relay address at the most.
    pub(super) found: Vec<Found>,
    /// NAT64 prefixes of the local network.
    pub(super) nat64: Vec<IpNet>,
    /// What clients were told before, and the index of the relay address it leads to; the newest
    /// last.
    pub(super) former: Vec<(IpAddr, u8)>,
    /// What a person should know, by relay address.
    pub(super) problems: Vec<(IpAddr, String)>,
}

/// What is to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    servers: Vec<StunServer>,
    from: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    nat64: bool,
}

/// What was heard in one round.
#[derive(Debug)]
pub(crate) struct Answers {
    addresses: Vec<Heard>,
    /// `None`: the resolver did not say.
    nat64: Option<Vec<IpNet>>,
}

impl Questions {
    /// What the operator wrote needs no asking.
    pub(crate) fn of(config: &Config, relay: &[RelayAddress]) -> Self {
        let server = |server: &crate::config::StunServer| StunServer {
            host: match &server.host {
                Host::Name(name) => name.clone(),
                Host::Address(ip) => ip.to_string(),
            },
            port: server.port,
        };
        let asked = relay.iter().filter(|relay| relay.told_by != ToldBy::Operator);
        Self {
            servers: config.external_stun.iter().map(server).collect(),
            from: asked.map(|relay| relay.bind).collect(),
            ports: config.relay_ports.clone(),
            nat64: config.discover_nat64,
        }
    }

    fn is_empty(&self) -> bool {
        (self.servers.is_empty() || self.from.is_empty()) && !self.nat64
    }

    /// Asks everything at once; what has no answer within `patience` counts as not known.
    async fn ask(&self, lookup: &Lookup, patience: Duration) -> Answers {
        let (addresses, nat64) =
            tokio::join!(self.ask_stun(lookup, patience), self.ask_nat64(lookup, patience));
        Answers { addresses, nat64 }
    }

    async fn ask_stun(&self, lookup: &Lookup, patience: Duration) -> Vec<Heard> {
        if self.servers.is_empty() {
            return Vec::new();
        }
        let until = (Now::read().mono + patience).into();
        let mut heard = Vec::new();
        if let Ok(servers) = timeout_at(until, resolve_all(lookup, &self.servers)).await {
            let servers = Arc::new(servers);
            let mut asking = JoinSet::new();
            for bind in self.from.clone() {
                let (servers, ports) = (Arc::clone(&servers), self.ports.clone());
                asking.spawn(async move { external::ask(bind, &ports, &servers).await });
            }
            while let Ok(Some(one)) = timeout_at(until, asking.join_next()).await {
                heard.extend(one.ok());
            }
        }
        let late = self.from.iter().filter(|bind| heard.iter().all(|heard| heard.bind != **bind));
        let late: Vec<Heard> = late.map(|bind| self.not_yet(*bind)).collect();
        heard.extend(late);
        heard.sort_by_key(|heard| self.from.iter().position(|bind| *bind == heard.bind));
        heard
    }

    fn not_yet(&self, bind: IpAddr) -> Heard {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        let problem = format!(
            "the public address of {bind} is not known yet: {} did not answer so far; it is asked on, \
             or write external = [\"PUBLIC/{bind}\"] in turnbell.toml",
            servers.join(", ")
        );
        Heard { bind, found: None, problem: Some(problem) }
    }

    async fn ask_nat64(&self, lookup: &Lookup, patience: Duration) -> Option<Vec<IpNet>> {
        if !self.nat64 {
            return None;
        }
        // A network without NAT64 answers with IPv4 alone; no answer at all changes nothing.
        let answer = timeout(patience, resolve(lookup, nat64::NAME, 0)).await.ok()?.ok()?;
        let v6 = answer.iter().filter_map(|at| match at {
            SocketAddr::V6(at) => Some(*at.ip()),
            SocketAddr::V4(_) => None,
        });
        let prefixes = nat64::prefixes(&v6.collect::<Vec<_>>());
        Some(prefixes.into_iter().map(IpNet::from).collect())
    }
}

impl Outside {
    /// Asks for a moment, before anything is answered.
    pub(crate) async fn at_start(questions: &Questions, lookup: &Lookup) -> Self {
        let mut outside = Self::default();
        if !questions.is_empty() {
            outside.take(questions.ask(lookup, OUTSIDE_START_PATIENCE).await);
        }
        outside
    }

    /// Sentences for a person.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|(_, sentence)| sentence.clone())
    }

    /// What was found.
    pub(crate) fn found(&self) -> &[Found] {
        &self.found
    }

    /// Takes over what was heard; what nobody knew this time stays what it was.
    fn take(&mut self, answers: Answers) {
        let Answers { addresses, nat64 } = answers;
        self.problems.clear();
        for Heard { bind, found, problem } in addresses {
            self.problems.extend(problem.map(|problem| (bind, problem)));
            let Some(found) = found else { continue };
            let twin = self.found.iter().find(|f| f.public == found.public && f.bind != bind);
            if let Some(twin) = twin {
                let (public, other) = (found.public, twin.bind);
                let sentence = format!(
                    "{other} and {bind} are both seen as {public}: only {other} is told to clients as \
                     that; name one of them in `relay_addresses`"
                );
                self.problems.push((bind, sentence));
                self.found.retain(|known| known.bind != bind);
                continue;
            }
            match self.found.iter_mut().find(|known| known.bind == bind) {
                // Since when it is known says more than when it was confirmed.
                Some(known) if known.public == found.public => {}
                Some(known) => *known = found,
                None => self.found.push(found),
            }
        }
        if let Some(nat64) = nat64 {
            self.nat64 = nat64;
        }
    }

    /// Forgets what the config asks for no longer.
    pub(super) fn forget(&mut self, config: &Config) {
        if config.external_stun.is_empty() {
            self.found.clear();
            self.problems.clear();
        }
        if !config.discover_nat64 {
            self.nat64.clear();
        }
    }

    /// Notes what clients were told until this moment.
    pub(super) fn note_former(&mut self, before: &[RelayAddress], after: &[RelayAddress]) {
        for (index, (old, new)) in before.iter().zip(after).enumerate() {
            if old.advertised != new.advertised {
                self.former.push((old.advertised, index as u8));
            }
        }
        self.former.retain(|(ip, _)| after.iter().all(|relay| relay.advertised != *ip));
        // Of two mentions the newer one counts.
        let mut seen = Vec::new();
        self.former.reverse();
        self.former.retain(|(ip, _)| {
            let is_first = !seen.contains(ip);
            seen.push(*ip);
            is_first
        });
        self.former.truncate(FORMER_ADDRESSES_MAX);
        self.former.reverse();
    }

    /// For `/healthz` and `turnbell status`; nothing where nobody is asked.
    pub(super) fn health(&self, config: &Config, relay: &[RelayAddress]) -> Vec<ExternalHealth> {
        if config.external_stun.is_empty() {
            return Vec::new();
        }
        let asked = relay.iter().filter(|relay| relay.told_by != ToldBy::Operator);
        let health = |relay: &RelayAddress| {
            let found = self.found.iter().find(|found| found.bind == relay.bind);
            let problem = self.problems.iter().find(|(bind, _)| *bind == relay.bind);
            ExternalHealth {
                address: relay.bind.to_string(),
                public: found.map(|found| found.public.to_string()),
                server: found.map(|found| found.server.clone()),
                found_at: found.map(|found| found.at_unix_ms),
                problem: problem.map(|(_, sentence)| sentence.clone()),
            }
        };
        asked.map(health).collect()
    }

    fn is_well(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Asks on for as long as the daemon runs; at once, if the start brought no answer.
pub(super) async fn keep_asking(live: Arc<Live>, lookup: Lookup) {
    let mut pause = live.first_pause();
    loop {
        let _ = timeout(pause, live.asking.notified()).await;
        let (generation, questions) = live.questions();
        pause = OUTSIDE_INTERVAL;
        if questions.is_empty() {
            continue;
        }
        // A silent server takes 39.5 s; names come on top of that.
        let answers = questions.ask(&lookup, OUTSIDE_INTERVAL).await;
        let live = Arc::clone(&live);
        // It waits for the relay, and may read a file.
        let learnt = tokio::task::spawn_blocking(move || live.learn(generation, answers)).await;
        if !learnt.unwrap_or(false) {
            pause = OUTSIDE_RETRY;
        }
    }
}

impl Live {
    fn first_pause(&self) -> Duration {
        let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        if held.outside.is_well() { OUTSIDE_INTERVAL } else { Duration::ZERO }
    }

    /// Puts on record what was found at start.
    pub(super) fn note_found(&self, now: Now) {
        let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        for relay in &held.opened.relay_addresses {
            if matches!(relay.told_by, ToldBy::Stun(_)) && relay.advertised != relay.bind {
                self.note_change(now, "external", &relay.bind.to_string(), &pair(relay), "stun");
            }
        }
    }

    /// Puts on record that a value counts from here on; never waits.
    pub(super) fn note_change(&self, now: Now, key: &str, old: &str, new: &str, by: &'static str) {
        self.store.record(Entry::ConfigChanged {
            at_unix_ms: now.unix_ms,
            key: key.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
            by,
        });
    }

    fn questions(&self) -> (u64, Questions) {
        let held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        (held.generation, Questions::of(&held.config, &held.opened.relay_addresses))
    }

    /// Has what was heard take effect; whether all is well.
    fn learn(&self, generation: u64, answers: Answers) -> bool {
        let mut held = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        if held.generation != generation {
            // A reload came between question and answer, and asks again.
            return true;
        }
        let mut outside = held.outside.clone();
        outside.take(answers);
        for (bind, sentence) in &outside.problems {
            if !held.outside.problems.contains(&(*bind, sentence.clone())) {
                tracing::warn!("{sentence}");
            }
        }
        let mut opened = held.opened.clone();
        for relay in &mut opened.relay_addresses {
            relay.learn(&outside.found);
        }
        outside.note_former(&held.opened.relay_addresses, &opened.relay_addresses);
        let is_well = outside.is_well();
        let is_news = outside.nat64 != held.outside.nat64
            || opened.relay_addresses != held.opened.relay_addresses;
        if is_news && let Err(why) = self.follow(&mut held, &opened, &outside) {
            tracing::warn!("what was found outside does not count yet: {why}");
            return false;
        }
        self.external.replace(outside.health(&held.config, &opened.relay_addresses));
        (held.opened, held.outside) = (opened, outside);
        is_well
    }

    /// Has other public addresses and denied prefixes count: for new allocations and from the next
    /// `/ice` on.
    fn follow(
        &self,
        held: &mut InEffect,
        opened: &super::Opened,
        outside: &Outside,
    ) -> Result<(), String> {
        let here = interfaces::all().map_err(|error| format!("reading addresses: {error}"))?;
        let made = self.make(&held.config, opened, outside, &here, &mut Vec::new())?;
        let policy = Arc::clone(&made.replacement.policy);
        self.put_in_force(made)?;
        held.policy = policy;
        let now = Now::read();
        for (old, new) in held.opened.relay_addresses.iter().zip(&opened.relay_addresses) {
            if old.advertised != new.advertised {
                tracing::info!("{new}; live allocations keep {}", old.advertised);
                let (old, new) = (pair(old), pair(new));
                self.note_change(now, "external", &old, &new, "stun");
            }
        }
        if held.outside.nat64 != outside.nat64 {
            let list = |nets: &[IpNet]| {
                let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
                format!("[{}]", nets.join(", "))
            };
            let (old, new) = (list(&held.outside.nat64), list(&outside.nat64));
            tracing::info!("NAT64 prefixes of this network, denied as peers: {old} -> {new}");
            self.note_change(now, "discover_nat64", &old, &new, "dns");
        }
        Ok(())
    }
}

/// As `external` has it.
fn pair(relay: &RelayAddress) -> String {
    if relay.advertised == relay.bind {
        return relay.bind.to_string();
    }
    format!("{}/{}", relay.advertised, relay.bind)
}

#[cfg(test)]
mod tests;
