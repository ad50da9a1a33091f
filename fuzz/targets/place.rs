//! Where both relay targets take place: addresses, accounts, options, the clock at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use turnbell::auth::credential::{Issued, User, Verifier, issue};
use turnbell::auth::nonce::NonceKey;
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::IssuedNames;
use turnbell::limits::{SHIELD_PER_SOURCE_DEFAULT, SHIELD_TOTAL_BITS_DEFAULT};
use turnbell::policy::peers::{PeerPolicy, PeerPolicyOptions};
use turnbell::policy::shield::Budgets;
use turnbell::time::Now;
use turnbell::turn::drain::Alternate;
use turnbell::turn::fact::Transport;
use turnbell::turn::five_tuple::{ConnectionNumber, FiveTuple};
use turnbell::turn::guard::{ExpiryRule, GuardOptions, GuardRules};
use turnbell::turn::rates::{Rate, RateOptions};
use turnbell::turn::relay::{DefaultFamily, Options, Relay};
use turnbell::turn::relayed_address::RelayAddresses;
use turnbell::turn::replace::Replacement;
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::ChannelRange;

use super::reader::Reader;

pub(crate) const REALM: &str = "turnbell";
/// Wall clock at the start, Unix seconds.
pub(crate) const START_S: i64 = 1_800_000_000;
pub(crate) const SERVER: SocketAddr = v4([198, 51, 100, 1], 3478);
pub(crate) const SERVER_V6: SocketAddr = v6([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1], 3478);
/// Relay addresses by index: one that listens, too, one of IPv6, one more that was also opened.
pub(crate) const RELAYS: [IpAddr; 3] =
    [SERVER.ip(), SERVER_V6.ip(), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2))];
/// Clients; the first two share an address, as behind a NAT.
pub(crate) const CLIENTS: usize = 6;

pub(crate) const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

pub(crate) const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), port)
}

/// What an execution chooses about its relay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) default_family: DefaultFamily,
    pub(crate) channels: ChannelRange,
    /// All of [`RELAYS`], or those of one family.
    pub(crate) relays: &'static [IpAddr],
    pub(crate) expiry: ExpiryRule,
    pub(crate) rates: RateOptions,
    pub(crate) shield: Budgets,
}

impl Setting {
    /// Two bytes; zeros stand for the defaults.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let (first, second) = (reader.u8(), reader.u8());
        let rate = |bytes, packets| Rate { bytes, packets };
        let none = RateOptions::default();
        Self {
            channels: if first & 1 == 0 { ChannelRange::Rfc8656 } else { ChannelRange::Rfc5766 },
            default_family: match first >> 1 & 3 {
                1 => DefaultFamily::Fixed(Family::V6),
                2 => DefaultFamily::Client,
                _ => DefaultFamily::Fixed(Family::V4),
            },
            relays: match first >> 3 & 3 {
                2 => &RELAYS[..1],
                3 => &RELAYS[1..2],
                _ => &RELAYS,
            },
            expiry: if first & 0x20 == 0 { ExpiryRule::Allocate } else { ExpiryRule::Strict },
            rates: match second & 7 {
                5 => RateOptions { per_allocation: rate(Some(256), Some(8)), ..none },
                6 => RateOptions { per_user: rate(None, Some(12)), ..none },
                7 => RateOptions { total: rate(Some(512), Some(8)), ..none },
                _ => none,
            },
            shield: Budgets {
                answers_per_source: if second & 8 == 0 { SHIELD_PER_SOURCE_DEFAULT } else { 1 },
                bits_total: if second & 16 == 0 { SHIELD_TOTAL_BITS_DEFAULT } else { 8000 },
            },
        }
    }

    /// The part of it that a reload may change.
    pub(crate) fn guard(&self) -> GuardRules {
        GuardRules { shield: self.shield, rates: self.rates, expiry: self.expiry }
    }

    pub(crate) fn has_family(&self, family: Family) -> bool {
        self.relays.iter().any(|ip| Family::of(*ip) == family)
    }
}

/// Which peers may be reached: some networks, or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Policy {
    #[default]
    Wide,
    Narrow,
}

/// Whether credentials of the secret that [`issued`] uses are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Secrets {
    #[default]
    Both,
    NextOnly,
}

/// The five-tuple of client `index`; `connection` counts where it comes over a stream.
pub(crate) fn tuple(index: usize, connection: u64) -> FiveTuple {
    let (transport, client, server) = match index % CLIENTS {
        0 => (Transport::Udp, v4([203, 0, 113, 5], 40_000), SERVER),
        1 => (Transport::Udp, v4([203, 0, 113, 5], 40_001), SERVER),
        2 => (Transport::Udp, v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, 5], 40_000), SERVER_V6),
        3 => (Transport::Tcp, v4([203, 0, 113, 5], 40_000), SERVER),
        4 => (Transport::Tls, v4([203, 0, 113, 6], 40_000), SERVER),
        _ => (Transport::Tcp, v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, 6], 40_000), SERVER_V6),
    };
    let udp = FiveTuple::udp(client, server);
    match transport {
        Transport::Udp => udp,
        Transport::Tcp | Transport::Tls => {
            FiveTuple { transport, connection: ConnectionNumber(connection + 1), ..udp }
        }
    }
}

/// An empty relay and the time it starts at.
pub(crate) fn relay(setting: Setting) -> (Relay, Now) {
    let place = place();
    let relay = Relay::new(Options {
        verifier: Arc::clone(&place.verifiers[0]),
        policy: Arc::clone(&place.policies[0]),
        nonce_key: place.nonce_key.clone(),
        relay_addresses: RelayAddresses::new(setting.relays.into()),
        default_family: setting.default_family,
        channel_range: setting.channels,
        alternates: alternates(false),
        guard: GuardOptions { rules: setting.guard(), shield_seed: [3, 5], revoked: Vec::new() },
    });
    (relay, place.now)
}

/// What a reload may bring.
pub(crate) fn replacement(policy: Policy, secrets: Secrets, setting: Setting) -> Replacement {
    let place = place();
    Replacement {
        verifier: Arc::clone(&place.verifiers[secrets as usize]),
        policy: Arc::clone(&place.policies[policy as usize]),
        default_family: setting.default_family,
        relay_addresses: RelayAddresses::new(setting.relays.into()),
        alternates: alternates(false),
        guard: setting.guard(),
    }
}

/// Where else clients may go while this server drains: nowhere, or one of each family.
pub(crate) fn alternates(are_there: bool) -> Arc<[Alternate]> {
    if !are_there {
        return Arc::new([]);
    }
    let alternate =
        |server, domain: Option<&str>| Alternate { server, domain: domain.map(Into::into) };
    Arc::new([
        alternate(v4([198, 51, 100, 77], 3478), None),
        alternate(v6([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 77], 5349), Some("other.example.org")),
    ])
}

/// The credential of `user` that is good until `expires_at`, Unix seconds.
pub(crate) fn issued(user: &str, expires_at: i64) -> Issued {
    issue(&secret(), &User::parse(user).expect("a user"), expires_at)
}

/// Made once: nothing of it depends on an execution.
struct Place {
    now: Now,
    nonce_key: NonceKey,
    verifiers: [Arc<Verifier>; 2],
    policies: [Arc<PeerPolicy>; 2],
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let now = Now { unix_ms: START_S * 1000, ..Now::read() };
        let next = || Secret::new("the next secret".to_owned());
        Place {
            now,
            nonce_key: NonceKey::new([7; 32], now),
            verifiers: [verifier(vec![next(), secret()]), verifier(vec![next()])],
            policies: [
                policy(&["192.0.2.0/24", "2001:db8:2::/48", "198.51.100.2/32"], &[]),
                policy(&["192.0.2.0/24", "2001:db8:2::/48"], &["192.0.2.10/32"]),
            ],
        }
    })
}

fn verifier(secrets: Vec<Secret<String>>) -> Arc<Verifier> {
    let users = [("static".to_owned(), Secret::new("account".to_owned()))];
    let names = IssuedNames::new(REALM);
    names.note(&issued("alice", START_S + 86_400));
    names.note(&issued("bob", START_S + 300));
    Arc::new(Verifier::new(REALM, secrets, users, Arc::new(names)))
}

fn policy(opened: &[&str], denied: &[&str]) -> Arc<PeerPolicy> {
    let nets = |list: &[&str]| list.iter().map(|net| net.parse().expect("a prefix")).collect();
    Arc::new(PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: RELAYS.into(),
        listeners: vec![SERVER, SERVER_V6],
        allow_private: nets(opened),
        deny: nets(denied),
        ..PeerPolicyOptions::default()
    }))
}

fn secret() -> Secret<String> {
    Secret::new("a secret of this test".to_owned())
}
