//! `[quota]`, `[shield]` and `[rate]`: what keeps one client's doings from becoming everybody's trouble.

use toml::Spanned;

use super::checker::Checker;
use super::rate;
use super::raw::{List, RawQuota, RawRate, RawShield};
use super::{Config, Quota};
use crate::limits::{
    RELAY_ADDRESSES_MAX, SHIELD_PER_SOURCE_DEFAULT, SHIELD_PER_SOURCE_MAX,
    SHIELD_TOTAL_BITS_DEFAULT,
};

/// What a credential's expiry ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialExpiry {
    /// Nothing that is on; no new allocation is made with it.
    #[default]
    Allocate,
    /// The allocations that were made with it, too.
    Strict,
}

/// Which usernames a shared secret makes good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestUsernames {
    /// `<expiry>:<user>`, as `GET /ice` makes them.
    #[default]
    Strict,
    /// A lone `<expiry>` and `<user>:<expiry>`, too.
    Coturn,
}

impl std::fmt::Display for RestUsernames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Coturn => "coturn",
        })
    }
}

/// `[shield]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shield {
    /// Answers a second of each kind to one IPv4 address or IPv6 /64.
    pub answers_per_source: u32,
    /// Bits a second to all of them.
    pub answers_total: u64,
}

/// `[rate]`: application data, each direction apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// One allocation.
    pub per_allocation: Rate,
    /// One user.
    pub per_user: Rate,
    /// All, shared fairly.
    pub total: Rate,
}

/// A rate, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Bits a second.
    pub bits: Option<u64>,
    /// Datagrams a second.
    pub packets: Option<u64>,
}

impl Default for Shield {
    fn default() -> Self {
        Self {
            answers_per_source: SHIELD_PER_SOURCE_DEFAULT,
            answers_total: SHIELD_TOTAL_BITS_DEFAULT,
        }
    }
}

impl Checker<'_> {
    pub(super) fn quota(&mut self, config: &Config, raw: RawQuota) -> Quota {
        let default = Quota::of_range(&config.relay_ports);
        let ports = u32::from(*config.relay_ports.end() - *config.relay_ports.start()) + 1;
        // Each relay address has the whole range, so more than one range can be asked for.
        let most = ports.saturating_mul(u32::try_from(RELAY_ADDRESSES_MAX).unwrap_or(1));
        let or = |found: u32, default: u32| if found == 0 { default } else { found };
        Quota {
            per_user: self.number("quota.per_user", raw.per_user, default.per_user, 1..=most),
            per_source: or(
                self.number("quota.per_source", raw.per_source, 0, 0..=most),
                default.per_source,
            ),
            total: or(self.number("quota.total", raw.total, 0, 0..=most), default.total),
        }
    }

    pub(super) fn shield(&mut self, default: Shield, raw: RawShield) -> Shield {
        Shield {
            answers_per_source: self.number(
                "shield.answers_per_source",
                raw.answers_per_source,
                default.answers_per_source,
                1..=SHIELD_PER_SOURCE_MAX,
            ),
            answers_total: self.text(
                "shield.answers_total",
                raw.answers_total,
                default.answers_total,
                rate::bits,
            ),
        }
    }

    pub(super) fn rates(&mut self, raw: RawRate) -> Rates {
        Rates {
            per_allocation: self.rate("rate.per_allocation", raw.per_allocation),
            per_user: self.rate("rate.per_user", raw.per_user),
            total: self.rate("rate.total", raw.total),
        }
    }

    fn rate(&mut self, key: &str, raw: List) -> Rate {
        let place = raw.as_ref().map(Spanned::span);
        let found = self.list(key, raw, 0..=2, rate::parse).unwrap_or_default();
        let mut bits = found.iter().filter_map(|rate| rate.bits);
        let mut packets = found.iter().filter_map(|rate| rate.packets);
        if bits.clone().count() > 1 || packets.clone().count() > 1 {
            self.refuse(
                place.unwrap_or(0..0),
                key,
                "there can be one rate in bits and one in packets",
            );
        }
        Rate { bits: bits.next(), packets: packets.next() }
    }
}
