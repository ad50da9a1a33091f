//! What signaling is made from.

use std::io;
use std::sync::Arc;

use super::{DaemonError, system};
use crate::auth::own_token::OwnKey;
use crate::auth::secret::random_bytes;
use crate::auth::token::Issuers;
use crate::call::contract::StoreFailed;
use crate::call::options::{TenantOptions, Tenants};
use crate::call::switchboard::{self, Switchboard};
use crate::config::Config;
use crate::edge::identity::{Guests, IdentityOptions};
use crate::edge::signaling::exchange::{Exchange, Storing};
use crate::ops::state_directory::StateDirectory;

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

/// Starts the switchboard on the runtime that the caller is in.
pub(super) fn start(config: &Config) -> Result<Exchange, DaemonError> {
    let seed = random_bytes::<32>()
        .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
    let tenants = Arc::new(tenants(config));
    let switchboard = Switchboard::new(switchboard::Options { tenants, seed });
    let storing: Storing = Box::new(|_row, stored| stored(Err(StoreFailed)));
    let facts = Box::new(|fact| tracing::debug!(?fact, "signaling"));
    Ok(Exchange::start(switchboard, storing, facts))
}
