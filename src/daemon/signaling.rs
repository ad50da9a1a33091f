//! What signaling is made from.

use std::io;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::{DaemonError, system};
use crate::auth::own_token::OwnKey;
use crate::auth::secret::random_bytes;
use crate::auth::token::Issuers;
use crate::call::contract::{Command, StoreFailed};
use crate::call::options::{TenantOptions, Tenants};
use crate::call::switchboard::{self, Switchboard};
use crate::config::Config;
use crate::edge::identity::{Guests, IdentityOptions};
use crate::edge::signaling::exchange::{Exchange, Storing};
use crate::limits::call::RESTORED_CALLS_MAX;
use crate::ops::state_directory::StateDirectory;
use crate::store::{Acknowledge, Entry, Store};

/// Whose tokens count.
pub(super) fn identity(
    config: &Config,
    state: &StateDirectory,
) -> Result<IdentityOptions, DaemonError> {
    let own = OwnKey::of_text(&state.signing_key()?);
    let guests = if config.http.local_without_key { Guests::Local } else { Guests::Nobody };
    Ok(IdentityOptions { issuers: Arc::new(Issuers::new(vec![own.issuer()])), own, guests })
}

fn tenants(config: &Config) -> Tenants {
    let default = TenantOptions { ice_refresh: config.ice.ttl * 4 / 5, ..TenantOptions::default() };
    let default_tenant = crate::auth::identity::TenantId::default_tenant();
    Tenants { options_by_tenant: [(default_tenant, default)].into() }
}

/// Starts the switchboard, with the calls that the record holds as not over (P4).
pub(super) fn start(
    config: &Config,
    store: &Store,
    runtime: &Runtime,
) -> Result<Exchange, DaemonError> {
    let seed = random_bytes::<32>()
        .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
    let tenants = Arc::new(tenants(config));
    let switchboard = Switchboard::new(switchboard::Options { tenants, seed });
    let facts = Box::new(|fact| tracing::debug!(?fact, "signaling"));
    let exchange = {
        let _inside = runtime.enter();
        Exchange::start(switchboard, storing(store.clone()), facts)
    };
    match store.unfinished_calls(RESTORED_CALLS_MAX) {
        Ok(calls) if calls.is_empty() => {}
        Ok(calls) => {
            tracing::info!(calls = calls.len(), "calls of the run before are taken up or closed");
            let restored = runtime.block_on(exchange.command(Command::Restore(calls)));
            debug_assert!(restored.is_ok(), "nothing of it can be refused");
        }
        Err(why) => {
            tracing::warn!(%why, "calls of the run before cannot be read; nobody can rejoin them");
        }
    }
    Ok(exchange)
}

fn storing(store: Store) -> Storing {
    Box::new(move |row, stored| {
        let told = Acknowledge::new(move |result| stored(result.map_err(|_| StoreFailed)));
        store.record_acknowledged(Entry::Call(row), told);
    })
}
