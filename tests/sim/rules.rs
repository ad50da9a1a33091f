//! What the operator may change while calls are on, and what the model makes of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use turnbell::limits::{SHIELD_PER_SOURCE_DEFAULT, SHIELD_TOTAL_BITS_DEFAULT};
use turnbell::policy::shield::Budgets;
use turnbell::time::Now;
use turnbell::turn::drain::Alternate;
use turnbell::turn::guard::ExpiryRule;
use turnbell::turn::rates::{Rate, RateOptions};
use turnbell::turn::relay::{DefaultFamily, Options};
use turnbell::turn::replace::Replacement;
use turnbell::wire::address::Family;

use super::prng::Prng;
use crate::support::setup::{SECRET, Setup};
use crate::support::{RELAY_V4, RELAY_V6};

/// The rules in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) peers: Peers,
    /// Whether the secret that made all credentials is one of those that verify.
    pub(crate) knows_secret: bool,
    pub(crate) default_family: DefaultFamily,
    /// Whether a credential's expiry ends what it made.
    pub(crate) is_strict: bool,
    /// Datagrams a second of an allocation, each way.
    pub(crate) packets_per_s: Option<u64>,
    /// Whether few answers go to those who have proven nothing.
    pub(crate) is_stingy: bool,
}

/// Which peers are open beside the relay addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Those of the setup: 192.0.2.0/24 and 2001:db8:2::/48.
    Setup,
    /// Without 192.0.2.2.
    WithoutOne,
    /// Without 192.0.2.0/30.
    WithoutFour,
    /// Without 2001:db8:2::/64, with 10.0.0.0/24.
    Others,
}

impl Rules {
    pub(crate) fn first(prng: &mut Prng) -> Self {
        Self {
            peers: Peers::Setup,
            knows_secret: true,
            default_family: DefaultFamily::Fixed(Family::V4),
            is_strict: prng.chance(20),
            packets_per_s: prng.chance(25).then(|| prng.within(1, 4)),
            is_stingy: prng.chance(20),
        }
    }

    /// What a reload brings.
    pub(crate) fn changed(self, prng: &mut Prng) -> Self {
        let mut new = Self { knows_secret: true, ..self };
        match prng.below(10) {
            0 => new.knows_secret = false,
            1 => {
                new.default_family = *prng.pick(&[
                    DefaultFamily::Fixed(Family::V4),
                    DefaultFamily::Fixed(Family::V6),
                    DefaultFamily::Client,
                ]);
            }
            2 => new.is_strict = !self.is_strict,
            3 => new.packets_per_s = prng.chance(50).then(|| prng.within(1, 4)),
            4 => new.is_stingy = !self.is_stingy,
            _ => {
                new.peers = *prng.pick(&[
                    Peers::Setup,
                    Peers::WithoutOne,
                    Peers::WithoutFour,
                    Peers::Others,
                ]);
            }
        }
        new
    }

    pub(crate) fn options(self, start: Now) -> Options {
        let mut setup = Setup::default();
        let prefix = |text: &str| text.parse().expect("a prefix");
        match self.peers {
            Peers::Setup => {}
            Peers::WithoutOne => setup.policy.deny.push(prefix("192.0.2.2/32")),
            Peers::WithoutFour => setup.policy.deny.push(prefix("192.0.2.0/30")),
            Peers::Others => {
                setup.policy.deny.push(prefix("2001:db8:2::/64"));
                setup.policy.allow_private.push(prefix("10.0.0.0/24"));
            }
        }
        let secret = if self.knows_secret { SECRET } else { "a secret that made none" };
        setup.secret = secret.to_owned();
        setup.default_family = self.default_family;
        let rules = &mut setup.guard.rules;
        rules.expiry = if self.is_strict { ExpiryRule::Strict } else { ExpiryRule::Allocate };
        let per_allocation = Rate { bytes: None, packets: self.packets_per_s };
        rules.rates = RateOptions { per_allocation, ..RateOptions::default() };
        rules.shield = if self.is_stingy {
            Budgets { answers_per_source: 1, bits_total: 100_000 }
        } else {
            Budgets {
                answers_per_source: SHIELD_PER_SOURCE_DEFAULT,
                bits_total: SHIELD_TOTAL_BITS_DEFAULT,
            }
        };
        setup.options(start)
    }

    /// `alternates` go with every reload: the daemon hands the same ones on.
    pub(crate) fn replacement(self, start: Now, alternates: Arc<[Alternate]>) -> Replacement {
        let Options { verifier, policy, default_family, guard, relay_addresses, .. } =
            self.options(start);
        let guard = guard.rules;
        Replacement { verifier, policy, default_family, guard, relay_addresses, alternates }
    }

    pub(crate) fn family_for(self, client: SocketAddr) -> Family {
        match self.default_family {
            DefaultFamily::Fixed(family) => family,
            DefaultFamily::Client => Family::of(client.ip()),
        }
    }

    pub(crate) fn allows_address(self, ip: IpAddr) -> bool {
        let is_opened = match ip {
            IpAddr::V4(ip) => match (ip.octets(), self.peers) {
                ([192, 0, 2, host], Peers::WithoutOne) => host != 2,
                ([192, 0, 2, host], Peers::WithoutFour) => host > 3,
                ([192, 0, 2, _], Peers::Setup | Peers::Others) | ([10, 0, 0, _], Peers::Others) => {
                    true
                }
                _ => false,
            },
            IpAddr::V6(ip) => match (ip.segments(), self.peers) {
                ([0x2001, 0xdb8, 2, 0, ..], Peers::Others) => false,
                ([0x2001, 0xdb8, 2, ..], _) => true,
                _ => false,
            },
        };
        is_opened || is_relay_address(ip)
    }

    pub(crate) fn allows_peer(self, peer: SocketAddr) -> bool {
        let is_port =
            if is_relay_address(peer.ip()) { peer.port() >= 49_152 } else { peer.port() != 0 };
        is_port && self.allows_address(peer.ip())
    }
}

pub(crate) fn is_relay_address(ip: IpAddr) -> bool {
    ip == RELAY_V4 || ip == RELAY_V6
}
