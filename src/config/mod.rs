//! The configuration as it is meant: every value checked, every default filled in.

pub mod accounts;
mod check;
mod checker;
pub mod coturn;
mod guard;
mod http;
mod ice;
mod ice_url;
mod identity;
mod issuer;
mod load;
mod log;
mod outside;
mod places;
mod ports;
mod problem;
mod rate;
mod raw;
pub mod secrets;
mod settings;
mod suggest;
mod threads;
mod value;
mod verify;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::auth::secret::Secret;
use crate::limits::{
    ALLOCATIONS_PER_USER_DEFAULT, DRAIN_LIMIT_MAX, REFLECTION_PORTS_DEFAULT, TTL_MAX, TTL_MIN,
};

pub use guard::{CredentialExpiry, Rate, Rates, RestUsernames, Shield};
pub use http::Http;
pub use ice::{Ice, IceLogin, IcePolicy, IcePosition, IceServer};
pub use identity::{
    AuthorityFile, GuestRule, Identities, InviteRule, IssuerKeys, IssuerTenancy, KeysUrl,
    TenantTable, TokenIssuer,
};
pub use load::{HandedFiles, PLACES};
pub use log::{Log, LogFormat};
pub use outside::StunServer;
pub use places::{Place, Places};
pub use problem::{ConfigError, Problem};
pub use secrets::UserKey;
pub use settings::{Change, Setting, Takes, Value, changes};
pub use threads::Threads;
pub use value::origin_of_pages;
pub use verify::Verify;

/// Everything the daemon is told. Only a value that passed every check exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where it came from.
    pub source: Source,
    /// Realm of the long-term credentials.
    pub realm: String,
    /// Directory of the record, the generated secret, the lock and the control socket.
    pub state_directory: PathBuf,
    /// UDP listeners for STUN and TURN; never empty.
    pub listen: Vec<SocketAddr>,
    /// TCP listeners for STUN and TURN; empty: none.
    pub listen_tcp: Vec<SocketAddr>,
    /// TLS listeners for STUN and TURN; never without `tls`.
    pub listen_tls: Vec<SocketAddr>,
    /// Those of the two lists above where every connection begins with a PROXY header.
    pub proxy_protocol: Vec<SocketAddr>,
    /// Addresses relay sockets are bound to; empty: found by itself.
    pub relay_addresses: Vec<IpAddr>,
    /// Ports of relayed transport addresses.
    pub relay_ports: RangeInclusive<u16>,
    /// What clients are told when this machine is behind NAT; one per family at the most.
    pub external: Vec<External>,
    /// Servers that are asked for the public side where `external` does not say it.
    pub external_stun: Vec<StunServer>,
    /// Whether NAT64 prefixes of the local network are looked for, and denied as peers.
    pub discover_nat64: bool,
    /// Hosts in the URLs `/ice` hands out; empty: the relay addresses.
    pub advertise: Vec<Advertise>,
    /// Family of an allocation whose request names none.
    pub default_relay_family: DefaultRelayFamily,
    /// Channel numbers that clients may bind.
    pub channel_numbers: ChannelNumbers,
    /// Whether DSCP and ECN of a datagram are kept on its way through.
    pub carry_tos: bool,
    /// Whether a relay thread rests between turns at medium load.
    pub batch_delay: bool,
    /// How many threads relay.
    pub threads: Threads,
    /// Peers allowed although the deny table holds them.
    pub allow_private_peers: Vec<IpNet>,
    /// Peers denied although the deny table does not hold them; stronger than the line above.
    pub deny_peers: Vec<IpNet>,
    /// Servers that clients are sent to while this one drains or has no room.
    pub alternate: Vec<Alternate>,
    /// Peer ports that no data is sent to.
    pub reflection_ports: Vec<RangeInclusive<u16>>,
    /// The certificate; `None`: no TLS.
    pub tls: Option<Tls>,
    /// Who may allocate.
    pub auth: Auth,
    /// How much one of them may take.
    pub quota: Quota,
    /// How much is answered to those who have proven nothing.
    pub shield: Shield,
    /// How fast may be relayed.
    pub rates: Rates,
    /// The HTTP side.
    pub http: Http,
    /// What `GET /ice` answers.
    pub ice: Ice,
    /// Whose tokens count.
    pub identity: Identities,
    /// What each tenant may do.
    pub tenants: TenantTable,
    /// What is kept, and how long.
    pub record: Record,
    /// How often it verifies itself.
    pub verify: Verify,
    /// Whether `/metrics` has coturn's names, too.
    pub coturn_names: bool,
    /// What is logged.
    pub log: Log,
    /// Sentences for a person: legal, but probably not what was meant.
    pub warnings: Vec<String>,
    /// Where the file says what.
    pub places: Places,
}

/// Where a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// No file was found; the built-in default for trying it out on one's own machine.
    Embedded,
    /// This file.
    File(PathBuf),
    /// coturn's file, read as it is.
    Coturn(Box<coturn::Wanted>),
}

/// One address translation in front of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct External {
    /// What the world sends to.
    pub public: IpAddr,
    /// The address of this machine it arrives at; `None`: the relay address of that family.
    pub private: Option<IpAddr>,
}

/// A host that `/ice` URLs name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// Name or address.
    pub host: Host,
    /// Port; `None`: the listener's.
    pub port: Option<u16>,
}

/// Another TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternate {
    /// Its transport address; the protocol carries no name for it.
    pub server: SocketAddr,
    /// The name in its certificate, for clients over TLS.
    pub domain: Option<String>,
}

/// A name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, lower case, without a final dot.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Family of an allocation whose request names none (R20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRelayFamily {
    /// IPv4, as RFC 8656 §7.2 says.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// The family the client came with.
    Client,
}

/// Channel numbers that clients may bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelNumbers {
    /// 0x4000 to 0x4FFF, as today's clients do.
    Rfc8656,
    /// 0x4000 to 0x7FFF, as clients from before 2020 may.
    Rfc5766,
}

/// `[tls]`: two PEM files, read when the daemon starts and whenever they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain, its own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth {
    /// Shared secrets from `secrets` and `secret_files`, in that order: the first issues, all
    /// verify. Empty: the one in the state directory, generated at first start.
    pub secrets: Vec<Secret<String>>,
    /// Files that the last ones of them came from, as they were written.
    pub secret_files: Vec<String>,
    /// How many of them came from files.
    pub secrets_of_files: usize,
    /// Which usernames they make good.
    pub rest_usernames: RestUsernames,
    /// Static accounts.
    pub users: Vec<StaticUser>,
    /// Static accounts whose password nobody here knows.
    pub user_keys: Vec<UserKey>,
    /// What a credential's expiry ends.
    pub expiry: CredentialExpiry,
}

/// A static account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticUser {
    /// USERNAME.
    pub name: String,
    /// Password.
    pub password: Secret<String>,
}

/// `[quota]`, all of them numbers of allocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// One user (the part after the expiry, without `~session`).
    pub per_user: u32,
    /// One IPv4 address or IPv6 /64.
    pub per_source: u32,
    /// All.
    pub total: u32,
}

/// `[record]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Rows older than this many days are deleted.
    pub retention_days: u32,
    /// Size of the database above which the oldest rows are deleted.
    pub bytes_max: u64,
    /// How much of a client's address is kept.
    pub addresses: AddressPrivacy,
}

/// How much of a client's address is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPrivacy {
    /// All of it, with the port.
    Full,
    /// The /24 or /48.
    Prefix,
    /// Nothing.
    None,
}

impl Config {
    /// The built-in default: what `turnbell` without any file does.
    #[must_use]
    pub fn embedded() -> Self {
        Self {
            source: Source::Embedded,
            realm: "turnbell".to_owned(),
            state_directory: default_state_directory(),
            listen: everywhere(STUN_PORT),
            listen_tcp: everywhere(STUN_PORT),
            listen_tls: Vec::new(),
            proxy_protocol: Vec::new(),
            relay_addresses: Vec::new(),
            relay_ports: 49_152..=65_535,
            external: Vec::new(),
            external_stun: Vec::new(),
            discover_nat64: false,
            advertise: Vec::new(),
            default_relay_family: DefaultRelayFamily::Ipv4,
            channel_numbers: ChannelNumbers::Rfc8656,
            carry_tos: false,
            batch_delay: false,
            threads: Threads::Auto,
            allow_private_peers: Vec::new(),
            deny_peers: Vec::new(),
            alternate: Vec::new(),
            reflection_ports: REFLECTION_PORTS_DEFAULT.to_vec(),
            tls: None,
            auth: Auth::default(),
            quota: Quota::of_range(&(49_152..=65_535)),
            shield: Shield::default(),
            rates: Rates::default(),
            http: Http {
                listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
                cors_origins: Vec::new(),
                local_without_key: true,
                rate_per_key: 50,
                trusted_proxies: Vec::new(),
                base_path: String::new(),
                public_url: None,
            },
            ice: Ice {
                ttl: Duration::from_secs(12 * 3600),
                policy: IcePolicy::All,
                stun: true,
                servers: Vec::new(),
            },
            identity: Identities::default(),
            tenants: identity::only_default(),
            record: Record {
                retention_days: 30,
                bytes_max: 1 << 30,
                addresses: AddressPrivacy::Full,
            },
            verify: Verify::default(),
            coturn_names: false,
            log: Log { level: tracing::Level::INFO, format: LogFormat::Text },
            warnings: Vec::new(),
            places: Places::default(),
        }
    }
}

impl Config {
    /// Whether HTTP is answered at this address of `listen_tcp` or `listen_tls`, too. Port 0 is a
    /// different one each time, and never shared.
    #[must_use]
    pub fn shares_http(&self, door: SocketAddr) -> bool {
        door.port() != 0 && self.http.listen.contains(&door)
    }

    /// Whether this address of `http.listen` is one of TURN's, too.
    #[must_use]
    pub fn is_shared(&self, http: SocketAddr) -> bool {
        let doors = [&self.listen_tcp, &self.listen_tls];
        http.port() != 0 && doors.iter().any(|list| list.contains(&http))
    }
}

/// Reads the lifetime of a credential as `[ice] ttl` takes it, for commands that ask for one.
///
/// # Errors
/// A sentence with the allowed range.
pub fn parse_ttl(text: &str) -> Result<Duration, String> {
    value::duration(text, &(TTL_MIN..=TTL_MAX)).map_err(|refusal| refusal.0)
}

/// Reads how long a drain may last.
///
/// # Errors
/// A sentence with the allowed range.
pub fn parse_drain_limit(text: &str) -> Result<Duration, String> {
    value::duration(text, &(Duration::from_secs(1)..=DRAIN_LIMIT_MAX)).map_err(|refusal| refusal.0)
}

impl Quota {
    /// The defaults over a port range: 64 per user, a quarter per source, 90 % in total (R18).
    #[must_use]
    pub fn of_range(ports: &RangeInclusive<u16>) -> Self {
        let count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
        Self {
            per_user: ALLOCATIONS_PER_USER_DEFAULT,
            per_source: (count / 4).max(1),
            total: (count * 9 / 10).max(1),
        }
    }
}

/// The port STUN and TURN are registered for (RFC 8489 §18.6).
const STUN_PORT: u16 = 3478;
/// The same over TLS.
const STUNS_PORT: u16 = 5349;

/// Every address of both families.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0; 4], port)), SocketAddr::from(([0; 16], port))]
}

/// `$STATE_DIRECTORY` (systemd sets it; the first of a list), else `./turnbell-data`.
fn default_state_directory() -> PathBuf {
    match std::env::var("STATE_DIRECTORY") {
        Ok(list) if !list.is_empty() => list.split(':').next().unwrap_or(&list).into(),
        Ok(_) | Err(_) => "turnbell-data".into(),
    }
}
