//! One shard from a config: the daemon's own, or one that is tried for a moment.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::{DaemonError, Opened, drain, parts, system};
use crate::auth::credential::Verifier;
use crate::auth::nonce::NonceKey;
use crate::auth::secret::random_bytes;
use crate::config::Config;
use crate::plane::handle::Handle;
use crate::plane::ledger::{Ledger, ShardIndex};
use crate::plane::shard::{self, FactSink};
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
    pub(super) listeners: Vec<Listener>,
    pub(super) guard: GuardOptions,
    pub(super) quota: QuotaLimits,
    pub(super) facts: FactSink,
}

/// Starts it; it answers when this returns.
pub(super) fn start(
    config: &Config,
    opened: &Opened,
    parts: Parts,
) -> Result<(Handle, JoinHandle<io::Result<()>>), DaemonError> {
    let Parts { verifier, policy, listeners, guard, quota, facts } = parts;
    let bind: Vec<_> = opened.relay_addresses.iter().map(|a| a.bind).collect();
    let advertised: Vec<_> = opened.relay_addresses.iter().map(|a| a.advertised).collect();
    let key = random_bytes::<32>()
        .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
    let relay = Relay::new(RelayOptions {
        verifier: Arc::new(verifier),
        policy,
        nonce_key: NonceKey::new(key, Now::read()),
        relay_addresses: RelayAddresses::new(advertised),
        default_family: parts::default_family(config),
        channel_range: parts::channel_range(config),
        alternates: drain::alternates(&config.alternate),
        guard,
    });
    let ledger = Ledger::new(&bind, &config.relay_ports, quota);
    shard::spawn(shard::Options {
        index: ShardIndex(0),
        relay,
        listeners,
        relay_bind_addresses: bind,
        has_batch_delay: config.batch_delay,
        carry_tos: config.carry_tos,
        ledger: Arc::new(ledger),
        facts,
    })
    .map_err(|source| system("starting the relay thread", source))
}
