//! From the config to the small options of each part; the one place that knows both sides.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::outside::Outside;
use super::{DaemonError, Opened};
use crate::auth::credential::Verifier;
use crate::auth::key::LongTermKey;
use crate::auth::secret::Secret;
use crate::auth::user_hash::IssuedNames;
use crate::config::accounts::Account;
use crate::config::{
    self, Config, DefaultRelayFamily, Host, IceLogin, IcePolicy, IcePosition, Source,
};
use crate::edge::access::Access;
use crate::edge::api_keys::ApiKeys;
use crate::edge::certificate::CertificateFiles;
use crate::edge::certificates::Certificates;
use crate::edge::commands::Issuer;
use crate::edge::ice::{ForeignAuth, ForeignServer, IceOptions, Place};
use crate::edge::ice_urls::{Advertised, RelayListener, UrlSources, UrlTransport};
use crate::edge::identity::IdentityOptions;
use crate::edge::invites::InviteBase;
use crate::edge::{Options as EdgeOptions, Recorder};
use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_TIMEOUT, HTTP_REQUEST_TIMEOUT, STREAMS_MAX, STREAMS_OPENING_MAX,
};
use crate::ops::interfaces::InterfaceAddress;
use crate::ops::kernel::Kernel;
use crate::ops::relay_choice::RelayAddress;
use crate::ops::state_directory::StateDirectory;
use crate::policy::peers::{PeerPolicy, PeerPolicyOptions};
use crate::policy::quota::QuotaLimits;
use crate::store::{self, Entry, IssuedBy, KeyRow, Store};
use crate::time::Now;
use crate::turn::relay::DefaultFamily;
use crate::wire::address::Family;
use crate::wire::channel_data::ChannelRange;

/// What credentials are made and verified with.
pub(super) struct Secrets {
    /// The issuing one first; never empty.
    active: Vec<Secret<String>>,
    /// Accounts of the state directory that are good in this realm.
    accounts: Vec<Account>,
    /// What the edge notes and the relay looks up.
    pub(super) issued: Arc<IssuedNames>,
}

impl Secrets {
    /// The same, with the names that were issued before.
    pub(super) fn noted_in(self, issued: &Arc<IssuedNames>) -> Self {
        Self { issued: Arc::clone(issued), ..self }
    }
}

/// The active secrets; one is made at the first start if the config names none.
pub(super) fn secrets(
    config: &Config,
    state: &StateDirectory,
    warnings: &mut Vec<String>,
) -> Result<Secrets, DaemonError> {
    let issued = Arc::new(IssuedNames::new(&config.realm));
    let (accounts, others) = config::accounts::of_realm(config, &state.users_file())
        .map_err(|sentence| DaemonError::Wishes(vec![sentence]))?;
    warnings.extend(others);
    if !config.auth.secrets.is_empty() {
        return Ok(Secrets { active: config.auth.secrets.clone(), accounts, issued });
    }
    let file = config::secrets::read_file(&state.secret_file()?)
        .map_err(|sentence| DaemonError::Wishes(vec![sentence]))?;
    warnings.extend(file.warning);
    Ok(Secrets { active: file.secrets, accounts, issued })
}

/// Raises the soft limit of descriptors as far as the hard one lets it.
pub(super) fn raise_file_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // What comes of it is judged by `too_small`, which looks at the hard limit.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Lets no memory of this process, which holds secrets, get into a core dump.
pub(super) fn forbid_core_dumps() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "a crash may write a core dump, with the secrets in it");
    }
}

/// What this process or the kernel allows too little of for the configured size.
pub(crate) fn too_small(config: &Config, kernel: &Kernel) -> Vec<String> {
    // One descriptor per allocation, and some for everything else.
    const OTHERS: u64 = (HTTP_CONNECTIONS_MAX + STREAMS_MAX + STREAMS_OPENING_MAX + 128) as u64;
    let needed = u64::from(config.quota.total) + OTHERS;
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard);
    let files = (hard < needed).then(|| {
        format!(
            "{hard} open files are allowed, {needed} may be needed for {} allocations; raise \
             LimitNOFILE in the unit (ulimit -n in a shell) or lower quota.total",
            config.quota.total
        )
    });
    let kernel = match &config.source {
        // Somebody tries it out: one call, on a machine that nobody prepared.
        Source::Embedded => Vec::new(),
        Source::File(_) | Source::Coturn(_) => {
            kernel.warnings(&config.relay_ports, config.quota.total)
        }
    };
    files.into_iter().chain(kernel).collect()
}

pub(super) fn verifier(config: &Config, secrets: &Secrets) -> Verifier {
    let users = config.auth.users.iter().map(|user| (user.name.clone(), user.password.clone()));
    let keys = config.auth.user_keys.iter();
    let keys = keys.map(|user| (user.name.clone(), LongTermKey::of_md5(user.key.expose())));
    let names = Arc::clone(&secrets.issued);
    let verifier = Verifier::new(&config.realm, secrets.active.clone(), users, names)
        .with_keys(keys)
        .with_keys(secrets.accounts.iter().flat_map(|account| {
            account.keys.iter().map(|key| (account.name.clone(), key.clone()))
        }));
    match config.auth.rest_usernames {
        config::RestUsernames::Strict => verifier,
        config::RestUsernames::Coturn => verifier.taking_coturn_usernames(),
    }
}

pub(crate) fn policy(
    config: &Config,
    opened: &Opened,
    here: &[InterfaceAddress],
    outside: &Outside,
) -> PeerPolicy {
    let told = opened.relay_addresses.iter().map(|a| a.advertised);
    // What was told before still leads to the allocations that were told it, and nowhere else.
    let advertised: Vec<_> = told.chain(outside.former.iter().map(|(ip, _)| *ip)).collect();
    let others = here
        .iter()
        .map(|a| a.address)
        .chain(opened.relay_addresses.iter().map(|a| a.bind))
        .chain(config.external.iter().flat_map(|e| [Some(e.public), e.private]).flatten());
    let own = others.filter(|ip| !advertised.contains(ip)).collect();
    let local_networks =
        here.iter().filter_map(|a| IpNet::new(a.address, a.prefix_bits).ok()).collect();
    PeerPolicy::new(PeerPolicyOptions {
        advertised_relay: advertised,
        own,
        local_networks,
        listeners: opened.listeners().collect(),
        relay_ports: config.relay_ports.clone(),
        deny: config.deny_peers.clone(),
        nat64: outside.nat64.clone(),
        allow_private: config.allow_private_peers.clone(),
        reflection_ports: config.reflection_ports.clone(),
    })
}

pub(super) fn default_family(config: &Config) -> DefaultFamily {
    match config.default_relay_family {
        DefaultRelayFamily::Ipv4 => DefaultFamily::Fixed(Family::V4),
        DefaultRelayFamily::Ipv6 => DefaultFamily::Fixed(Family::V6),
        DefaultRelayFamily::Client => DefaultFamily::Client,
    }
}

pub(super) fn channel_range(config: &Config) -> ChannelRange {
    match config.channel_numbers {
        config::ChannelNumbers::Rfc8656 => ChannelRange::Rfc8656,
        config::ChannelNumbers::Rfc5766 => ChannelRange::Rfc5766,
    }
}

pub(super) fn quota_limits(config: &Config) -> QuotaLimits {
    let config::Quota { per_user, per_source, total } = config.quota;
    QuotaLimits { per_user, per_source, total }
}

/// What the record keeps.
pub(super) fn keeping(config: &Config) -> store::Keeping {
    let store::Options { retention_days, bytes_max, addresses, .. } = store_options(config);
    store::Keeping { retention_days, bytes_max, addresses }
}

/// What the record is told; the daemon and a command without one open it alike.
pub(crate) fn store_options(config: &Config) -> store::Options {
    store::Options {
        directory: config.state_directory.clone(),
        retention_days: config.record.retention_days,
        bytes_max: config.record.bytes_max,
        addresses: match config.record.addresses {
            config::AddressPrivacy::Full => store::AddressPrivacy::Full,
            config::AddressPrivacy::Prefix => store::AddressPrivacy::Prefix,
            config::AddressPrivacy::None => store::AddressPrivacy::None,
        },
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Keys that cannot be read now are missing until the daemon is started again; `/healthz` and the
/// log say why the record cannot be read.
pub(super) fn load_keys(store: &Store, keys: &Arc<ApiKeys>) {
    match store.keys() {
        Ok(rows) => {
            let now = Now::read();
            let passes =
                |row: &&KeyRow| row.revoked_at_unix_ms.is_none() && !row.grant.has_ended(now);
            for row in rows.iter().filter(passes) {
                if keys.insert(row.hash, &row.id, row.grant.clone()).is_err() {
                    tracing::warn!("more API keys than can be held; the rest is not accepted");
                    return;
                }
            }
        }
        Err(error) => tracing::warn!(%error, "API keys cannot be read"),
    }
}

/// What the running daemon issues with.
pub(super) fn issuer_of(config: &Config, urls: UrlSources, secrets: &Secrets) -> Issuer {
    issuer(config, issuing(secrets), urls)
}

/// What a credential is issued with by hand; the daemon and a command without one issue alike.
pub(crate) fn issuer(config: &Config, secret: Secret<String>, urls: UrlSources) -> Issuer {
    Issuer { secret, ttl_default: config.ice.ttl, urls }
}

// There is always one: `secrets` makes it where the config names none.
fn issuing(secrets: &Secrets) -> Secret<String> {
    secrets.active.first().cloned().unwrap_or_else(|| Secret::new(String::new()))
}

/// Takes issued credentials to the record; never waits.
pub(super) fn recorder(store: Store) -> Recorder {
    Arc::new(move |issuance| {
        store.record(Entry::CredentialIssued {
            at_unix_ms: issuance.at_unix_ms,
            user: issuance.user.into(),
            username: issuance.username.into(),
            expires_at: issuance.expires_at,
            ttl_s: u32::try_from(issuance.ttl_s).unwrap_or(u32::MAX),
            by: match issuance.access {
                Access::Key { id, hash: _, grant: _ } => IssuedBy::ApiKey(id.into()),
                Access::Local => IssuedBy::Local,
                Access::Token(_) => IssuedBy::Token,
            },
            client: issuance.peer,
        });
    })
}

pub(super) fn edge_options(
    config: &Config,
    urls: UrlSources,
    secrets: &Secrets,
    identity: IdentityOptions,
) -> EdgeOptions {
    let http = &config.http;
    EdgeOptions {
        ice: IceOptions {
            secret: issuing(secrets),
            issued: Arc::clone(&secrets.issued),
            ttl_default: config.ice.ttl,
            urls,
            relay_only: config.ice.policy == IcePolicy::Relay,
            stun: config.ice.stun,
            foreign: config.ice.servers.iter().map(foreign_server).collect(),
        },
        identity,
        cors_origins: http.cors_origins.iter().cloned().collect::<HashSet<_>>(),
        cors_local: http.local_without_key,
        local_without_key: http.local_without_key,
        rate_per_key: http.rate_per_key,
        trusted_proxies: http.trusted_proxies.clone(),
        base_path: http.base_path.clone(),
        log_addresses: keeping(config).addresses,
        coturn_realm: config.coturn_names.then(|| config.realm.clone()),
        connections_max: HTTP_CONNECTIONS_MAX,
        head_timeout: HTTP_HEAD_TIMEOUT,
        request_timeout: HTTP_REQUEST_TIMEOUT,
    }
}

/// The certificate, if one is configured; what cannot be served refuses to start.
pub(crate) fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, DaemonError> {
    let Some(config::Tls { cert, key }) = config.tls.clone() else { return Ok(None) };
    let loaded = Certificates::load(CertificateFiles { cert, key });
    loaded.map(Some).map_err(|error| DaemonError::Wishes(vec![error.to_string()]))
}

/// Ports of the relay as URLs name them.
pub(crate) fn relay_listeners(
    udp: &[SocketAddr],
    tcp: &[SocketAddr],
    tls: &[SocketAddr],
) -> Vec<RelayListener> {
    let of = |transport, addresses: &[SocketAddr]| {
        let listener = |addr: &SocketAddr| RelayListener { transport, addr: *addr };
        addresses.iter().map(listener).collect::<Vec<_>>()
    };
    [of(UrlTransport::Udp, udp), of(UrlTransport::Tcp, tcp), of(UrlTransport::Tls, tls)].concat()
}

/// What URLs are made of; the daemon and a command without one make the same.
pub(crate) fn url_sources(
    config: &Config,
    relay: &[RelayAddress],
    listeners: Vec<RelayListener>,
    certificates: Option<Arc<Certificates>>,
) -> UrlSources {
    let advertised = |advertise: &config::Advertise| Advertised {
        host: match &advertise.host {
            Host::Name(name) => name.clone(),
            Host::Address(ip) => ip.to_string(),
        },
        port: advertise.port,
    };
    UrlSources {
        advertise: config.advertise.iter().map(advertised).collect(),
        external: config.external.iter().map(|e| e.public).collect(),
        relay_addresses: relay.iter().map(|a| a.advertised).collect(),
        listeners,
        certificates,
    }
}

fn foreign_server(server: &config::IceServer) -> ForeignServer {
    ForeignServer {
        place: match server.position {
            IcePosition::Before => Place::Before,
            IcePosition::After => Place::After,
        },
        urls: server.urls.clone(),
        auth: match &server.login {
            IceLogin::None => ForeignAuth::None,
            IceLogin::Fixed { username, credential } => {
                ForeignAuth::Fixed { username: username.clone(), credential: credential.clone() }
            }
            IceLogin::Shared(secret) => ForeignAuth::Secret(secret.clone()),
        },
    }
}

/// What invite links begin with: what the config says, else a listener with TLS, else any.
pub(crate) fn invite_base(
    config: &Config,
    https: &[SocketAddr],
    http: &[SocketAddr],
) -> InviteBase {
    const CURE: &str = "set http.public_url to what people can open";
    let path = &config.http.base_path;
    if let Some(url) = &config.http.public_url {
        return InviteBase { url: url.clone(), from: "http.public_url says".to_owned() };
    }
    let advertised = config.advertise.first().map(|advertise| match &advertise.host {
        Host::Name(name) => name.clone(),
        Host::Address(ip) => SocketAddr::new(*ip, 0).to_string().trim_end_matches(":0").to_owned(),
    });
    let place = |at: &SocketAddr, usual: u16| match &advertised {
        Some(host) if at.port() == usual => host.clone(),
        Some(host) => format!("{host}:{}", at.port()),
        None if at.ip().is_unspecified() => format!("localhost:{}", at.port()),
        None => at.to_string(),
    };
    match (https.first(), http.first()) {
        (Some(at), _) if advertised.is_some() => InviteBase {
            url: format!("https://{}{path}", place(at, 443)),
            from: format!("advertise and the listener {at} with TLS say"),
        },
        (Some(at), _) => InviteBase {
            url: format!("https://{}{path}", place(at, 443)),
            from: format!("the listener {at} says, which no certificate names; {CURE}"),
        },
        (None, Some(at)) if at.ip().is_loopback() => InviteBase {
            url: format!("http://{at}{path}"),
            from: format!("the listener {at} says, which only this machine reaches; {CURE}"),
        },
        (None, Some(at)) => InviteBase {
            url: format!("http://{}{path}", place(at, 80)),
            from: format!("the listener {at} says, where browsers give no microphone; {CURE}"),
        },
        (None, None) => InviteBase {
            url: path.clone(),
            from: format!("http.listen, which is empty, says; {CURE}"),
        },
    }
}
