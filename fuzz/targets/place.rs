//! Where both relay targets take place: addresses, accounts, options, the clock at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use turnbell::auth::credential::{Issued, User, Verifier, issue};
use turnbell::auth::nonce::NonceKey;
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::IssuedNames;
use turnbell::policy::peers::{PeerPolicy, PeerPolicyOptions};
use turnbell::time::Now;
use turnbell::turn::fact::Transport;
use turnbell::turn::five_tuple::{ConnectionNumber, FiveTuple};
use turnbell::turn::relay::{DefaultFamily, Options, Relay};
use turnbell::turn::relayed_address::RelayAddresses;
use turnbell::wire::address::Family;
use turnbell::wire::channel_data::ChannelRange;

pub(crate) const REALM: &str = "turnbell";
/// Wall clock at the start, Unix seconds.
pub(crate) const START_S: i64 = 1_800_000_000;
pub(crate) const SERVER: SocketAddr = v4([198, 51, 100, 1], 3478);
pub(crate) const SERVER_V6: SocketAddr = v6([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1], 3478);
/// Relay addresses by index: one that listens, too, one of IPv6, one more.
pub(crate) const RELAYS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
];
/// Clients; the first two share an address, as behind a NAT.
pub(crate) const CLIENTS: usize = 6;

pub(crate) const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

pub(crate) const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), port)
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
pub(crate) fn relay(default_family: DefaultFamily, channel_range: ChannelRange) -> (Relay, Now) {
    static PLACE: OnceLock<(Options, Now)> = OnceLock::new();
    let (options, now) = PLACE.get_or_init(|| {
        let now = Now { unix_ms: START_S * 1000, ..Now::read() };
        (options(now), now)
    });
    (Relay::new(Options { default_family, channel_range, ..options.clone() }), *now)
}

/// The credential of `user` that is good until `expires_at`, Unix seconds.
pub(crate) fn issued(user: &str, expires_at: i64) -> Issued {
    issue(&secret(), &User::parse(user).expect("a user"), expires_at)
}

fn options(now: Now) -> Options {
    let users = [("static".to_owned(), Secret::new("account".to_owned()))];
    let secrets = vec![Secret::new("the next secret".to_owned()), secret()];
    let names = IssuedNames::new(REALM);
    names.note(&issued("alice", START_S + 86_400));
    let opened = ["192.0.2.0/24", "2001:db8:2::/48", "198.51.100.2/32"];
    let policy = PeerPolicyOptions {
        advertised_relay: RELAYS.into(),
        listeners: vec![SERVER, SERVER_V6],
        allow_private: opened.map(|net| net.parse().expect("a prefix")).into(),
        ..PeerPolicyOptions::default()
    };
    Options {
        verifier: Arc::new(Verifier::new(REALM, secrets, users, Arc::new(names))),
        policy: Arc::new(PeerPolicy::new(policy)),
        nonce_key: NonceKey::new([7; 32], now),
        relay_addresses: RelayAddresses::new(RELAYS.into()),
        default_family: DefaultFamily::Fixed(Family::V4),
        channel_range: ChannelRange::Rfc8656,
    }
}

fn secret() -> Secret<String> {
    Secret::new("a secret of this test".to_owned())
}
