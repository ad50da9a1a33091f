//! Reload: another config for a running daemon, whole or not at all, without a call that notices.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::drain::{self, Draining};
use super::outside::Outside;
use super::signaling::{self, Operator, Own};
use super::{Opened, Plan, guard, parts};
use crate::auth::user_hash::IssuedNames;
use crate::call::contract::Command;
use crate::config::coturn::{Report, Verdict};
use crate::config::{Change, Config, Source, Takes, changes};
use crate::edge::certificates::Certificates;
use crate::edge::commands::{Issuer, Reload};
use crate::edge::json::ExternalHealth;
use crate::edge::operator_json::{Changed, Handed, Reloaded};
use crate::edge::snapshot::Snapshot;
use crate::edge::{self, Edge};
use crate::limits::ANSWER_PATIENCE;
use crate::limits::identity::GOODBYE_PATIENCE;
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::kernel::Kernel;
use crate::ops::state_directory::StateDirectory;
use crate::ops::{interfaces, log, systemd};
use crate::plane::handle::{Closed, Handle, Pending};
use crate::policy::peers::PeerPolicy;
use crate::store::Store;
use crate::time::Now;
use crate::turn::relayed_address::RelayAddresses;
use crate::turn::replace::Replacement;

/// Everything that a reload changes, and what it needs to know.
pub(super) struct Live {
    /// A reload holds it from beginning to end.
    pub(super) in_effect: Mutex<InEffect>,
    pub(super) state: Arc<StateDirectory>,
    pub(super) handle: Handle,
    pub(super) edge: Arc<Edge>,
    pub(super) issuer: Arc<Snapshot<Issuer>>,
    /// The same before and after a reload.
    pub(super) own: Own,
    /// Who tells signaling.
    pub(super) operator: Operator,
    pub(super) store: Store,
    pub(super) draining: Draining,
    /// The same before and after a reload: names that were handed out stay known.
    pub(super) issued: Arc<IssuedNames>,
    /// Swapped by themselves when their files change.
    pub(super) certificates: Option<Arc<Certificates>>,
    /// What is asked outside is asked again.
    pub(super) asking: Notify,
    /// What came of it, for `/healthz`.
    pub(super) external: Arc<Snapshot<Vec<ExternalHealth>>>,
}

/// The config, as far as it counts.
pub(super) struct InEffect {
    pub(super) config: Config,
    /// What the file says; more than that where it waits for a restart.
    pub(super) written: Config,
    /// The peer rules of the relay.
    pub(super) policy: Arc<PeerPolicy>,
    /// What a person was told of it already.
    pub(super) warned: Vec<String>,
    /// What is open, and what clients are told of it.
    pub(super) opened: Opened,
    /// What is known of the outside.
    pub(super) outside: Outside,
    /// Counts reloads.
    pub(super) generation: u64,
}

/// What the parts go by, made anew and not yet in force.
pub(super) struct Made {
    pub(super) replacement: Replacement,
    issuer: Issuer,
    edge_options: edge::Options,
}

impl InEffect {
    pub(super) fn at_start(
        config: Config,
        policy: Arc<PeerPolicy>,
        opened: &Opened,
        outside: Outside,
    ) -> Self {
        Self {
            written: config.clone(),
            config,
            policy,
            warned: opened.warnings.clone(),
            opened: opened.clone(),
            outside,
            generation: 0,
        }
    }
}

impl Live {
    /// What `turnbell reload` does.
    pub(super) fn on_command(self: &Arc<Self>) -> Reload {
        let live = Arc::clone(self);
        Arc::new(move |handed| live.reload(handed))
    }

    /// Reads the config again, has it take effect, and tells log and service manager.
    ///
    /// # Errors
    /// Everything that is wrong, a line each; nothing has changed then.
    pub(super) fn reload(&self, handed: Option<&Handed>) -> Result<Reloaded, String> {
        let mut in_effect = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        systemd::reloading();
        let done = self.take_effect(&mut in_effect, handed);
        systemd::reloaded();
        drop(in_effect);
        match &done {
            Ok(reloaded) => tell(reloaded),
            Err(why) => {
                for line in why.lines() {
                    tracing::warn!("not reloaded: {line}");
                }
            }
        }
        done
    }

    fn take_effect(
        &self,
        in_effect: &mut InEffect,
        handed: Option<&Handed>,
    ) -> Result<Reloaded, String> {
        // Everything that can fail comes first.
        let old = &in_effect.config;
        let state_only = handed.is_some_and(|handed| handed.state_only);
        let handed = handed.filter(|_| copy_of_systemd(&old.source).is_some() && !state_only);
        let new = if state_only { in_effect.written.clone() } else { read_again(old, handed)? };
        let here = interfaces::all().map_err(|error| format!("reading addresses: {error}"))?;
        let mut warnings = match Plan::with(&new, &here, in_effect.outside.found()) {
            Ok(plan) => plan.warnings,
            // An address that went away is no reason to refuse another secret.
            Err(why) if is_same_wish(&new, old) => why.0,
            Err(why) => return Err(why.to_string()),
        };
        let changes = changes(old, &new);
        let effective = new.reloaded_into(old);
        let (mut opened, mut outside) = (in_effect.opened.clone(), in_effect.outside.clone());
        outside.forget(&effective);
        for relay in &mut opened.relay_addresses {
            relay.learn(outside.found());
        }
        outside.note_former(&in_effect.opened.relay_addresses, &opened.relay_addresses);
        warnings.extend(parts::too_small(&effective, &Kernel::read()));
        let made = self.make(&effective, &opened, &outside, &here, &mut warnings)?;
        if new.tls != old.tls {
            // It waits for a restart, which must not fail for it.
            parts::certificates(&new).map_err(|error| error.to_string())?;
        }
        let policy = Arc::clone(&made.replacement.policy);
        // The last thing that can fail; what follows only swaps.
        let asked = self.put_in_force(made)?;
        self.own.forget_others(&effective);
        self.tell_signaling(old, &effective);
        self.handle.set_quota(parts::quota_limits(&effective));
        self.store.keep(parts::keeping(&effective));
        log::set_level(effective.log.level);
        let file = effective.source.file().map(|path| path.display().to_string());
        self.external.replace(outside.health(&effective, &opened.relay_addresses));
        (in_effect.config, in_effect.written, in_effect.policy) = (effective, new, policy);
        (in_effect.opened, in_effect.outside) = (opened, outside);
        in_effect.generation += 1;
        self.asking.notify_one();
        let closed = asked.wait(ANSWER_PATIENCE).unwrap_or_else(|error| {
            warnings.push(format!("{error}: it goes by the new rules as soon as it can"));
            Default::default()
        });
        let news = warnings.iter().filter(|w| !in_effect.warned.contains(w)).cloned().collect();
        in_effect.warned = warnings;
        for change in changes.iter().filter(|change| change.takes == Takes::Reload) {
            self.note_change(Now::read(), change.key, &change.old, &change.new, "reload");
        }
        let of = |takes: Takes| {
            let those = changes.iter().filter(move |change| change.takes == takes);
            those.map(changed).collect()
        };
        Ok(Reloaded {
            file,
            handed: handed.is_some(),
            applied: of(Takes::Reload),
            needs_restart: of(Takes::Restart),
            permissions_closed: closed.permissions,
            channels_closed: closed.channels,
            warnings: news,
        })
    }
}

impl Live {
    /// Makes everything that depends on the config and on what is known of the outside; nothing
    /// changes yet.
    pub(super) fn make(
        &self,
        config: &Config,
        opened: &Opened,
        outside: &Outside,
        here: &[InterfaceAddress],
        warnings: &mut Vec<String>,
    ) -> Result<Made, String> {
        let secrets = parts::secrets(config, &self.state, warnings)
            .map_err(|error| error.to_string())?
            .noted_in(&self.issued);
        let told = opened.relay_addresses.iter().map(|relay| relay.advertised).collect();
        let replacement = Replacement {
            verifier: Arc::new(parts::verifier(config, &secrets)),
            policy: Arc::new(parts::policy(config, opened, here, outside)),
            default_family: parts::default_family(config),
            relay_addresses: RelayAddresses::new(told).with_former(outside.former.clone()),
            alternates: drain::alternates(&config.alternate),
            guard: guard::rules(config),
        };
        let urls = opened.url_sources(config, self.certificates.clone());
        warnings.extend(urls.turns_problem(Now::read()));
        let issuer = parts::issuer_of(config, urls.clone(), &secrets);
        Ok(Made {
            replacement,
            issuer,
            edge_options: {
                let identity = self.own.identity(config, opened.invite_base(config));
                parts::edge_options(config, urls, &secrets, identity)
            },
        })
    }

    /// Has it count; without an error it does, or will in a moment.
    pub(super) fn put_in_force(&self, made: Made) -> Result<Pending<Closed>, String> {
        let Made { replacement, issuer, edge_options } = made;
        let asked = self.handle.replace(replacement).map_err(|error| error.to_string())?;
        self.edge.replace(edge_options);
        self.issuer.replace(issuer);
        Ok(asked)
    }
}

impl Live {
    /// Other tenants count, and credentials that are good tomorrow are handed out.
    fn tell_signaling(&self, old: &Config, new: &Config) {
        let mut commands = vec![Command::Tenants(signaling::tenants(new))];
        let made_of = |config: &Config| {
            (config.auth.secrets.first().cloned(), config.ice.clone(), config.advertise.clone())
        };
        if made_of(old) != made_of(new) {
            commands.push(Command::RefreshIce);
        }
        self.operator.tell(commands);
    }

    /// Tells everybody that this node goes, and waits a moment for them to have heard it.
    pub(super) async fn say_goodbye(&self) {
        self.edge.drain();
        self.edge.end_streams();
        self.operator.drain(GOODBYE_PATIENCE).await;
        self.edge.pages_gone(GOODBYE_PATIENCE).await;
    }
}

fn is_same_wish(new: &Config, old: &Config) -> bool {
    new.relay_addresses == old.relay_addresses && new.external == old.external
}

fn changed(change: &Change) -> Changed {
    let Change { key, old, new, takes: _ } = change;
    Changed { key: (*key).to_owned(), old: old.clone(), new: new.clone() }
}

/// The file the daemon was started with, or what the command read in place of systemd's copy of it.
fn read_again(old: &Config, handed: Option<&Handed>) -> Result<Config, String> {
    let read = match (copy_of_systemd(&old.source), handed, &old.source) {
        (Some(path), Some(handed), _) => {
            Config::parse_handed(path, &handed.config, &handed.secret_files)
        }
        (Some(path), None, _) => return Err(only_a_copy(path)),
        (None, _, Source::File(path)) => Config::load(path),
        (None, _, Source::Embedded) => Config::find(None),
        (None, _, Source::Coturn(wanted)) => {
            let (config, report) = Config::of_coturn(wanted).map_err(|why| why.to_string())?;
            if let Some(why) = report.unread.as_ref().filter(|_| holds_less(&config, old)) {
                return Err(format!(
                    "coturn's user database was not read, and what it holds would be gone: {why}"
                ));
            }
            log_report(&report);
            return Ok(config);
        }
    };
    read.map_err(|error| error.to_string())
}

/// Whether something of what a user database brings is no longer there.
fn holds_less(new: &Config, old: &Config) -> bool {
    let counts = |config: &Config| {
        let auth = &config.auth;
        [
            auth.users.len(),
            auth.user_keys.len(),
            auth.secrets.len(),
            config.deny_peers.len(),
            config.allow_private_peers.len(),
        ]
    };
    counts(new).iter().zip(counts(old)).any(|(new, old)| *new < old)
}

fn copy_of_systemd(source: &Source) -> Option<&Path> {
    match source {
        Source::File(path) => {
            credentials().filter(|copies| path.starts_with(copies)).map(|_| path.as_path())
        }
        Source::Embedded | Source::Coturn(_) => None,
    }
}

/// What became of each option, for the log: what needs a person first and loudest.
pub(crate) fn log_report(report: &Report) {
    for line in &report.lines {
        let (origin, option) = (line.origin.to_string(), &line.option);
        match line.verdict {
            Verdict::Broken | Verdict::NotSupported => {
                tracing::warn!(origin, option, "{}: {}", line.verdict, line.text);
            }
            Verdict::Mapped => tracing::info!(origin, option, "{}: {}", line.verdict, line.text),
            Verdict::TakenOver | Verdict::NotNeeded => {
                tracing::debug!(origin, option, "{}: {}", line.verdict, line.text);
            }
        }
    }
    for note in &report.notes {
        tracing::info!("coturn: {note}");
    }
}

/// Where systemd lays the copies that it made at start (`LoadCredential`).
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|d| d.is_absolute())
}

fn only_a_copy(path: &Path) -> String {
    format!(
        "{} is systemd's copy of the config, made at start; a signal cannot bring a newer one: use \
         `systemctl reload turnbell`, or `turnbell reload` as root",
        path.display()
    )
}

fn tell(reloaded: &Reloaded) {
    let Reloaded {
        file,
        handed: _,
        applied,
        needs_restart,
        permissions_closed,
        channels_closed,
        warnings,
    } = reloaded;
    let file = file.as_deref().unwrap_or("built-in default");
    tracing::info!(file, permissions_closed, channels_closed, "reloaded");
    for Changed { key, old, new } in applied {
        tracing::info!("applied {key}: {old} -> {new}");
    }
    for Changed { key, old, new } in needs_restart {
        tracing::warn!("needs a restart, {key}: {old} -> {new}");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}
