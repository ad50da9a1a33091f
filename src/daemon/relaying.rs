//! The shards from a config: the daemon's own, or one that is tried for a moment.

use std::io;
use std::sync::Arc;

use super::{DaemonError, Opened, drain, parts, system};
use crate::auth::credential::Verifier;
use crate::auth::nonce::NonceKey;
use crate::auth::secret::random_bytes;
use crate::config::{Config, Threads};
use crate::limits::plane::SHARDS_MAX;
use crate::plane::handle::Handle;
use crate::plane::ledger::Ledger;
use crate::plane::shard::{self, FactSink, Part, Thread};
use crate::plane::udp::Listener;
use crate::policy::peers::PeerPolicy;
use crate::policy::quota::QuotaLimits;
use crate::time::Now;
use crate::turn::guard::GuardOptions;
use crate::turn::relay::{Options as RelayOptions, Relay};
use crate::turn::relayed_address::RelayAddresses;

/// What differs between the two.
pub(super) struct Parts {
    pub(super) verifier: Verifier,
    pub(super) policy: Arc<PeerPolicy>,
    /// By shard; there are as many shards as of these.
    pub(super) listeners: Vec<Vec<Listener>>,
    pub(super) guard: GuardOptions,
    pub(super) quota: QuotaLimits,
    /// Makes the way that the facts of one shard go.
    pub(super) facts: Box<dyn Fn() -> FactSink>,
}

/// How many relay threads there are to be: as many as the config says, or one for each processor
/// that this process may use.
pub(super) fn threads(config: &Config) -> usize {
    match config.threads {
        Threads::Count(count) => count.into(),
        Threads::Auto => {
            std::thread::available_parallelism().map_or(1, |count| count.get().min(SHARDS_MAX))
        }
    }
}

/// Starts them; they answer when this returns.
pub(super) fn start(
    config: &Config,
    opened: &Opened,
    parts: Parts,
) -> Result<(Handle, Vec<Thread>), DaemonError> {
    let Parts { verifier, policy, listeners, guard, quota, facts } = parts;
    let bind: Vec<_> = opened.relay_addresses.iter().map(|a| a.bind).collect();
    let advertised: Vec<_> = opened.relay_addresses.iter().map(|a| a.advertised).collect();
    let key = random_bytes::<32>()
        .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
    let relay = RelayOptions {
        verifier: Arc::new(verifier),
        policy,
        nonce_key: NonceKey::new(key, Now::read()),
        relay_addresses: RelayAddresses::new(advertised),
        default_family: parts::default_family(config),
        channel_range: parts::channel_range(config),
        alternates: drain::alternates(&config.alternate),
        guard,
    };
    let relays = Relay::several(&relay, listeners.len());
    let ledger = Ledger::new(&bind, &config.relay_ports, quota);
    let parts = relays.into_iter().zip(listeners);
    let parts = parts.map(|(relay, listeners)| Part { relay, listeners, facts: facts() });
    let options = shard::Options {
        relay_bind_addresses: bind,
        has_batch_delay: config.batch_delay,
        carry_tos: config.carry_tos,
        ledger: Arc::new(ledger),
    };
    shard::spawn(&options, parts.collect())
        .map_err(|source| system("starting the relay threads", source))
}

/// Waits for the shards that were told to stop, or for those that are at their end already.
pub(super) fn join(shards: Vec<Thread>, were_told: bool) -> Result<(), DaemonError> {
    let end = |shard: Thread| {
        if !were_told && !shard.is_finished() {
            return Err(DaemonError::ShardDied("it does not answer".to_owned()));
        }
        match shard.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(DaemonError::ShardDied(error.to_string())),
            Err(_) => Err(DaemonError::ShardDied("it panicked".to_owned())),
        }
    };
    let ends: Vec<_> = shards.into_iter().map(end).collect();
    ends.into_iter().collect()
}
