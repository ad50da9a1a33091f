//! What the relay is told about abuse.

use std::io;
use std::sync::Arc;

use super::{DaemonError, system};
use crate::auth::secret::random_bytes;
use crate::config::{self, Config, CredentialExpiry};
use crate::edge::revoke::{TellShards, Told};
use crate::limits::ANSWER_PATIENCE;
use crate::plane::handle::Handle;
use crate::policy::shield::Budgets;
use crate::store::Store;
use crate::time::Now;
use crate::turn::guard::{ExpiryRule, GuardOptions, GuardRules};
use crate::turn::rates::{Rate, RateOptions};
use crate::turn::revocation::Revocation;

/// The guard of one shard.
pub(super) fn options(
    config: &Config,
    revoked: Vec<Revocation>,
) -> Result<GuardOptions, DaemonError> {
    let random = || {
        let bytes = random_bytes::<8>()
            .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
        Ok::<u64, DaemonError>(u64::from_ne_bytes(bytes))
    };
    Ok(GuardOptions { rules: rules(config), shield_seed: [random()?, random()?], revoked })
}

/// What it judges by.
pub(super) fn rules(config: &Config) -> GuardRules {
    GuardRules {
        shield: Budgets {
            answers_per_source: config.shield.answers_per_source,
            bits_total: config.shield.answers_total,
        },
        expiry: match config.auth.expiry {
            CredentialExpiry::Allocate => ExpiryRule::Allocate,
            CredentialExpiry::Strict => ExpiryRule::Strict,
        },
        rates: RateOptions {
            per_allocation: rate(config.rates.per_allocation),
            per_user: rate(config.rates.per_user),
            total: rate(config.rates.total),
        },
    }
}

/// Who cannot be read now is not revoked until the daemon is started again; `/healthz` and the log
/// say why the record cannot be read.
pub(super) fn revoked(store: &Store) -> Vec<Revocation> {
    match store.revocations(Now::read()) {
        Ok(rows) => rows
            .into_iter()
            .map(|row| Revocation { user: row.user.into(), until_unix_ms: row.until_unix_ms })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "revoked users cannot be read");
            Vec::new()
        }
    }
}

/// How the control socket has users revoked.
pub(super) fn tell_shards(handle: Handle) -> TellShards {
    Arc::new(move |command| match handle.tell(ANSWER_PATIENCE, command) {
        Ok(Some(closed)) => Told::Done(closed),
        Ok(None) => Told::Full,
        Err(_) => Told::NoAnswer,
    })
}

fn rate(rate: config::Rate) -> Rate {
    Rate { bytes: rate.bits.map(|bits| bits / 8), packets: rate.packets }
}
