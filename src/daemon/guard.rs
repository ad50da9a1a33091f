//! What the relay is told about abuse.

use std::io;

use super::{DaemonError, system};
use crate::auth::secret::random_bytes;
use crate::config::{self, Config, CredentialExpiry};
use crate::policy::shield::ShieldOptions;
use crate::turn::guard::{ExpiryRule, GuardOptions};
use crate::turn::rates::{Rate, RateOptions};

/// The guard of one shard.
pub(super) fn options(config: &Config) -> Result<GuardOptions, DaemonError> {
    let random = || {
        let bytes = random_bytes::<8>()
            .map_err(|error| system("reading random bytes", io::Error::other(error)))?;
        Ok::<u64, DaemonError>(u64::from_ne_bytes(bytes))
    };
    Ok(GuardOptions {
        shield: ShieldOptions {
            answers_per_source: config.shield.answers_per_source,
            bits_total: config.shield.answers_total,
            seed: [random()?, random()?],
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
    })
}

fn rate(rate: config::Rate) -> Rate {
    Rate { bytes: rate.bits.map(|bits| bits / 8), packets: rate.packets }
}
