//! What signaling is made from, and how it hears of what operators do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::time::timeout;

use super::jwks::Jwks;
use super::quotas::Near;
use super::{DaemonError, guard, system};
use crate::auth::credential::turn_user;
use crate::auth::key_ring::KeyRing;
use crate::auth::own_token::OwnKey;
use crate::auth::secret::random_bytes;
use crate::auth::token::{ClaimPath, Issuer, Issuers, Tenancy, TokenKey, Vouches};
use crate::call::contract::{Command, StoreFailed};
use crate::call::fact::Fact;
use crate::call::options::{TenantOptions, Tenants};
use crate::call::switchboard::{self, Switchboard};
use crate::config::{
    Config, GuestRule, InviteRule, IssuerKeys, IssuerTenancy, KeysUrl, TokenIssuer,
};
use crate::edge::identity::{Guests, IdentityOptions, Inviters};
use crate::edge::invites::InviteBase;
use crate::edge::revoked::Revoked;
use crate::edge::signaling::exchange::{Exchange, Storing};
use crate::limits::ANSWER_PATIENCE;
use crate::limits::call::RESTORED_CALLS_MAX;
use crate::limits::identity::DRAIN_SPREAD;
use crate::ops::call_counts::CallCounter;
use crate::ops::state_directory::StateDirectory;
use crate::plane;
use crate::store::{Acknowledge, Entry, Store};
use crate::time::Now;

/// What stays the same over reloads.
#[derive(Clone)]
pub(super) struct Own {
    key: OwnKey,
    revoked: Arc<Revoked>,
    jwks: Arc<Jwks>,
}

impl Own {
    pub(super) fn open(
        state: &StateDirectory,
        store: &Store,
        jwks: Arc<Jwks>,
    ) -> Result<Self, DaemonError> {
        let key = OwnKey::of_text(&state.signing_key()?);
        let revoked = Arc::new(Revoked::default());
        let users = guard::revoked(store).into_iter();
        revoked.load(users.map(|revocation| (revocation.user, revocation.until_unix_ms)));
        Ok(Self { key, revoked, jwks })
    }

    pub(super) fn revoked(&self) -> Arc<Revoked> {
        Arc::clone(&self.revoked)
    }

    /// Whose tokens count by this config.
    pub(super) fn identity(&self, config: &Config, invite_base: InviteBase) -> IdentityOptions {
        let fetched = |issuer: &str, at: &KeysUrl| self.jwks.ring(issuer, at);
        IdentityOptions {
            revoked: self.revoked(),
            fetch_keys: self.jwks.on_demand(config),
            ..identity_with(config, self.key.clone(), invite_base, &fetched)
        }
    }

    /// This config is in force: keys that it does not name are fetched no longer.
    pub(super) fn forget_others(&self, config: &Config) {
        self.jwks.forget_others(config);
    }
}

/// Whose tokens count by this config, if nobody is revoked and no key is fetched.
pub(crate) fn identity(config: &Config, own: OwnKey, invite_base: InviteBase) -> IdentityOptions {
    identity_with(config, own, invite_base, &|_, _| KeyRing::fetched())
}

fn identity_with(
    config: &Config,
    own: OwnKey,
    invite_base: InviteBase,
    fetched: &dyn Fn(&str, &KeysUrl) -> KeyRing,
) -> IdentityOptions {
    let issuers = config.identity.issuers.iter().map(|of| issuer(of, fetched));
    let issuers = issuers.chain([own.issuer()]).collect();
    let guests = match config.identity.guests {
        GuestRule::Local => Guests::Local,
        GuestRule::Anyone => Guests::Anyone,
        GuestRule::Off => Guests::Nobody,
    };
    let inviters = match config.identity.invites {
        InviteRule::Local => Inviters::Local,
        InviteRule::Members => Inviters::Members,
        InviteRule::Anyone => Inviters::Anyone,
        InviteRule::Off => Inviters::Nobody,
    };
    IdentityOptions {
        issuers: Arc::new(Issuers::new(issuers)),
        fetch_keys: Arc::new(|_| None),
        own,
        guests,
        inviters,
        tenants: tenants(config),
        revoked: Arc::default(),
        invite_base,
    }
}

fn issuer(of: &TokenIssuer, fetched: &dyn Fn(&str, &KeysUrl) -> KeyRing) -> Issuer {
    let keys = match &of.keys {
        IssuerKeys::Secret(secret) => KeyRing::fixed(vec![TokenKey::shared(secret)]),
        IssuerKeys::SecretFile { file: _, secrets } => {
            KeyRing::fixed(secrets.iter().map(TokenKey::shared).collect())
        }
        // It was read once when the config was checked.
        IssuerKeys::JwksFile { file: _, json } => {
            KeyRing::fixed(TokenKey::of_jwk_set(json.as_bytes()).unwrap_or_default())
        }
        IssuerKeys::JwksUrl(at) => fetched(&of.name, at),
    };
    let tenancy = match &of.tenancy {
        IssuerTenancy::One(tenant) => Tenancy::One(tenant.clone()),
        IssuerTenancy::Claim { claim, tenants } => {
            Tenancy::Claim { claim: ClaimPath::new(claim), among: tenants.clone() }
        }
    };
    Issuer {
        name: of.name.as_str().into(),
        audiences: of.audiences.iter().map(|audience| audience.as_str().into()).collect(),
        tenancy,
        role_claim: of.role_claim.as_deref().map(ClaimPath::new),
        keys,
        vouches: Vouches::Always,
    }
}

/// What tenants may do by this config.
pub(super) fn tenants(config: &Config) -> Arc<Tenants> {
    let ice_refresh = config.ice.ttl * 4 / 5;
    let all = config.tenants.iter();
    let options_by_tenant = all
        .map(|(id, options)| (id.clone(), TenantOptions { ice_refresh, ..options.clone() }))
        .collect();
    Arc::new(Tenants { options_by_tenant })
}

/// Starts the switchboard, with the calls that the record holds as not over (P4).
pub(super) fn start(
    config: &Config,
    store: &Store,
    runtime: &Runtime,
    (relay, near): (plane::handle::Handle, Near),
    counter: CallCounter,
) -> Result<Exchange, DaemonError> {
    let seed = random_bytes::<32>()
        .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
    let tenants = tenants(config);
    let switchboard = Switchboard::new(switchboard::Options { tenants, seed });
    let facts = Box::new(move |fact| {
        counter.note(&fact);
        tracing::debug!(?fact, "signaling");
        heed(fact, &relay, &near);
    });
    let exchange = {
        let _inside = runtime.enter();
        Exchange::start(switchboard, storing(store.clone()), facts)
    };
    match store.blocks(Now::read()) {
        Ok(blocks) => {
            let loaded = runtime.block_on(exchange.command(Command::LoadBlocks(blocks)));
            debug_assert!(loaded.is_ok(), "nothing of it can be refused");
        }
        Err(why) => tracing::warn!(%why, "who has blocked whom cannot be read: everybody rings"),
    }
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

/// What the daemon does about what signaling says.
fn heed(fact: Fact, relay: &plane::handle::Handle, near: &Near) {
    match fact {
        Fact::CallCut { call, tenant, seats } => {
            for (user, session) in seats {
                let (user, session) = (turn_user(&tenant, &user), session.to_string());
                let end = relay.end(user.into(), Some(session.into()));
                if let Err(why) = end {
                    tracing::warn!(%call, %why, "what a call relays goes on until it expires");
                }
            }
        }
        Fact::CallsNearBound { tenant, calls, calls_max, is_near } => {
            near.calls(tenant, calls, calls_max, is_near);
        }
        Fact::SessionOpened { .. }
        | Fact::SessionResumed { .. }
        | Fact::SessionEnded { .. }
        | Fact::Refused { .. }
        | Fact::CallEnded { .. }
        | Fact::RowLost { .. } => {}
    }
}

fn storing(store: Store) -> Storing {
    Box::new(move |row, stored| {
        let told = Acknowledge::new(move |result| stored(result.map_err(|_| StoreFailed)));
        store.record_acknowledged(Entry::Call(row), told);
    })
}

/// The switchboard, as those see it who are not async.
pub(super) struct Operator {
    pub(super) exchange: Exchange,
    pub(super) runtime: Handle,
}

impl Operator {
    /// Has commands carried out, one after the other, and does not wait for it.
    pub(super) fn tell(&self, commands: Vec<Command>) {
        let exchange = self.exchange.clone();
        self.runtime.spawn(async move {
            for command in commands {
                if let Err(why) = exchange.command(command).await {
                    tracing::warn!(why = %why.message, "signaling does not do as told");
                }
            }
        });
    }

    /// Has one carried out and waits, for as long as any part may take. Only for threads that may
    /// wait; `false`: nobody knows.
    pub(super) fn ask(&self, command: Command) -> bool {
        let asked = async { timeout(ANSWER_PATIENCE, self.exchange.command(command)).await };
        matches!(self.runtime.block_on(asked), Ok(Ok(())))
    }

    /// Sends everybody away.
    pub(super) async fn drain(&self, patience: Duration) {
        let _ = timeout(patience, self.exchange.command(drain())).await;
    }
}

/// Everybody is sent away, to come back at different times.
pub(super) fn drain() -> Command {
    Command::Drain { spread: DRAIN_SPREAD }
}
