//! Every key with its value as a person may see it, and what a reload can do about it.

mod shown;
#[cfg(test)]
mod tests;

use super::{
    AddressPrivacy, Advertise, Alternate, ChannelNumbers, Config, CredentialExpiry,
    DefaultRelayFamily, External, Host, IceLogin, IcePolicy, IcePosition, IceServer, Rate,
    StunServer, value,
};
use crate::auth::secret::Secret;

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path, such as `quota.per_user`.
    pub key: &'static str,
    /// What is in effect.
    pub value: Value,
    /// What a reload does with another value.
    pub takes: Takes,
}

/// A value that holds no secret where it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// True or false.
    Switch(bool),
    /// Texts.
    List(Vec<String>),
    /// Secrets: how many of what, and the secrets to compare by.
    Hidden {
        /// In place of them.
        shown: String,
        /// Never shown.
        held: Vec<Secret<String>>,
    },
}

/// What it takes for another value to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A reload.
    Reload,
    /// A restart.
    Restart,
}

/// A key whose value is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub key: &'static str,
    /// What was in effect.
    pub old: String,
    /// What the file says.
    pub new: String,
    /// What it takes.
    pub takes: Takes,
}

/// The keys that differ, in the order of the shipped file.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let pairs = old.settings().into_iter().zip(new.settings());
    let changed = pairs.filter(|(old, new)| old.value != new.value);
    changed
        .map(|(old, new)| {
            let (before, mut after) = (old.value.to_string(), new.value.to_string());
            if before == after {
                after.push_str(" (others)");
            }
            Change { key: old.key, old: before, new: after, takes: old.takes }
        })
        .collect()
}

impl std::fmt::Display for Value {
    /// As TOML has it; secrets only by their number.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Hidden { shown, .. } => f.write_str(shown),
        }
    }
}

impl Config {
    /// Every key there is, in the order of the shipped file.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let mut all = self.settings_of_the_relay();
        all.extend(self.settings_of_the_edge());
        all
    }

    fn settings_of_the_relay(&self) -> Vec<Setting> {
        use Takes::{Reload, Restart};
        let in_files = self.auth.secrets.len() - self.auth.secrets_of_files;
        let (typed, of_files) = self.auth.secrets.split_at(in_files);
        vec![
            setting("realm", Restart, text(&self.realm)),
            setting("state_directory", Restart, text(self.state_directory.display())),
            setting("listen", Restart, list(&self.listen)),
            setting("listen_tcp", Restart, list(&self.listen_tcp)),
            setting("listen_tls", Restart, list(&self.listen_tls)),
            setting("proxy_protocol", Restart, list(&self.proxy_protocol)),
            setting("relay_addresses", Restart, list(&self.relay_addresses)),
            setting("relay_ports", Restart, text(range(self))),
            setting("external", Restart, Value::List(self.external.iter().map(external).collect())),
            setting(
                "external_stun",
                Reload,
                Value::List(self.external_stun.iter().map(stun_server).collect()),
            ),
            setting("discover_nat64", Reload, Value::Switch(self.discover_nat64)),
            setting(
                "advertise",
                Reload,
                Value::List(self.advertise.iter().map(advertise).collect()),
            ),
            setting("default_relay_family", Reload, text(family(self.default_relay_family))),
            setting("channel_numbers", Restart, text(channels(self.channel_numbers))),
            setting("carry_tos", Restart, text(if self.carry_tos { "on" } else { "off" })),
            setting("batch_delay", Restart, text(if self.batch_delay { "auto" } else { "off" })),
            setting("threads", Restart, text(self.threads)),
            setting("allow_private_peers", Reload, list(&self.allow_private_peers)),
            setting("deny_peers", Reload, list(&self.deny_peers)),
            setting(
                "alternate",
                Reload,
                Value::List(self.alternate.iter().map(alternate).collect()),
            ),
            setting("reflection_ports", Reload, text(ports(&self.reflection_ports))),
            setting("tls.cert", Restart, path(self.tls.as_ref().map(|tls| &tls.cert))),
            setting("tls.key", Restart, path(self.tls.as_ref().map(|tls| &tls.key))),
            setting("auth.secrets", Reload, hidden(typed.to_vec(), "secret")),
            setting("auth.secret_files", Reload, {
                let files = Value::List(self.auth.secret_files.clone());
                let shown = match &*self.auth.secret_files {
                    [] => files.to_string(),
                    [..] => format!("{files} ({})", hidden(of_files.to_vec(), "secret")),
                };
                Value::Hidden { shown, held: of_files.to_vec() }
            }),
            setting("auth.rest_usernames", Reload, text(self.auth.rest_usernames)),
            setting("auth.users", Reload, {
                let users = self.auth.users.iter();
                let held = users.flat_map(|u| [Secret::new(u.name.clone()), u.password.clone()]);
                let shown = counted(self.auth.users.len(), "account");
                Value::Hidden { shown, held: held.collect() }
            }),
            setting("auth.user_keys", Reload, shown::user_keys(&self.auth.user_keys)),
            setting("auth.expiry", Reload, text(expiry(self.auth.expiry))),
            setting("quota.per_user", Reload, Value::Number(self.quota.per_user.into())),
            setting("quota.per_source", Reload, Value::Number(self.quota.per_source.into())),
            setting("quota.total", Reload, Value::Number(self.quota.total.into())),
            setting(
                "shield.answers_per_source",
                Reload,
                Value::Number(self.shield.answers_per_source.into()),
            ),
            setting("shield.answers_total", Reload, text(bits(self.shield.answers_total))),
            setting("rate.per_allocation", Reload, rate(self.rates.per_allocation)),
            setting("rate.per_user", Reload, rate(self.rates.per_user)),
            setting("rate.total", Reload, rate(self.rates.total)),
        ]
    }

    fn settings_of_the_edge(&self) -> Vec<Setting> {
        use Takes::{Reload, Restart};
        vec![
            setting("http.listen", Restart, list(&self.http.listen)),
            setting("http.cors_origins", Reload, list(&self.http.cors_origins)),
            setting("http.local_without_key", Reload, Value::Switch(self.http.local_without_key)),
            setting("http.rate_per_key", Reload, Value::Number(self.http.rate_per_key.into())),
            setting("http.trusted_proxies", Reload, list(&self.http.trusted_proxies)),
            setting("http.base_path", Reload, text(&self.http.base_path)),
            setting("ice.ttl", Reload, text(value::shown(self.ice.ttl))),
            setting("ice.policy", Reload, text(ice_policy(self.ice.policy))),
            setting("ice.stun", Reload, Value::Switch(self.ice.stun)),
            setting("ice.server", Reload, ice_servers(&self.ice.servers)),
            setting("http.public_url", Reload, text(self.http.public_url.as_deref().unwrap_or(""))),
            setting("identity.guests", Reload, text(shown::guests(self.identity.guests))),
            setting("identity.invites", Reload, text(shown::invites(self.identity.invites))),
            setting("identity.issuer", Reload, shown::issuers(&self.identity.issuers)),
            setting("tenant", Reload, Value::List(shown::tenants(&self.tenants))),
            setting(
                "record.retention_days",
                Reload,
                Value::Number(self.record.retention_days.into()),
            ),
            setting("record.bytes_max", Reload, text(size(self.record.bytes_max))),
            setting("record.addresses", Reload, text(privacy(self.record.addresses))),
            setting("verify.every", Reload, text(self.verify.shown())),
            setting("metrics.coturn_names", Reload, Value::Switch(self.coturn_names)),
            setting("log.level", Reload, text(self.log.level.as_str().to_ascii_lowercase())),
            setting("log.format", Restart, text(shown::log_format(self.log.format))),
        ]
    }

    /// What is in effect after a reload of `self` into a daemon that runs on `old`.
    #[must_use]
    pub fn reloaded_into(&self, old: &Self) -> Self {
        let mut new = self.clone();
        new.realm.clone_from(&old.realm);
        new.state_directory.clone_from(&old.state_directory);
        new.listen.clone_from(&old.listen);
        new.listen_tcp.clone_from(&old.listen_tcp);
        new.listen_tls.clone_from(&old.listen_tls);
        new.proxy_protocol.clone_from(&old.proxy_protocol);
        new.tls.clone_from(&old.tls);
        new.relay_addresses.clone_from(&old.relay_addresses);
        new.relay_ports = old.relay_ports.clone();
        new.external.clone_from(&old.external);
        new.channel_numbers = old.channel_numbers;
        new.carry_tos = old.carry_tos;
        (new.batch_delay, new.threads) = (old.batch_delay, old.threads);
        new.http.listen.clone_from(&old.http.listen);
        new.log.format = old.log.format;
        for Setting { key, takes, value: _ } in old.settings() {
            if takes == Takes::Restart {
                new.places.take_from(&old.places, key);
            }
        }
        new
    }
}

fn setting(key: &'static str, takes: Takes, value: Value) -> Setting {
    Setting { key, value, takes }
}

fn text(value: impl std::fmt::Display) -> Value {
    Value::Text(value.to_string())
}

fn list<T: std::fmt::Display>(items: &[T]) -> Value {
    Value::List(items.iter().map(ToString::to_string).collect())
}

/// Empty: not set.
fn path(path: Option<&std::path::PathBuf>) -> Value {
    text(path.map_or_else(String::new, |path| path.display().to_string()))
}

fn hidden(held: Vec<Secret<String>>, what: &str) -> Value {
    Value::Hidden { shown: counted(held.len(), what), held }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn range(config: &Config) -> String {
    format!("{}-{}", config.relay_ports.start(), config.relay_ports.end())
}

fn external(external: &External) -> String {
    match external.private {
        Some(private) => format!("{}/{private}", external.public),
        None => external.public.to_string(),
    }
}

fn stun_server(server: &StunServer) -> String {
    match &server.host {
        Host::Name(name) => format!("{name}:{}", server.port),
        Host::Address(ip) => std::net::SocketAddr::new(*ip, server.port).to_string(),
    }
}

fn advertise(advertise: &Advertise) -> String {
    match (&advertise.host, advertise.port) {
        (Host::Name(name), None) => name.clone(),
        (Host::Name(name), Some(port)) => format!("{name}:{port}"),
        (Host::Address(ip), None) => ip.to_string(),
        (Host::Address(ip), Some(port)) => std::net::SocketAddr::new(*ip, port).to_string(),
    }
}

fn alternate(alternate: &Alternate) -> String {
    match &alternate.domain {
        Some(domain) => format!("{}/{domain}", alternate.server),
        None => alternate.server.to_string(),
    }
}

fn ice_servers(servers: &[IceServer]) -> Value {
    let mut held = Vec::new();
    let shown: Vec<String> = servers
        .iter()
        .map(|server| {
            let login = match &server.login {
                IceLogin::None => String::new(),
                IceLogin::Fixed { username, credential } => {
                    held.push(credential.clone());
                    format!(" as {username:?}")
                }
                IceLogin::Shared(secret) => {
                    held.push(secret.clone());
                    " by its shared secret".to_owned()
                }
            };
            let position = match server.position {
                IcePosition::Before => "before",
                IcePosition::After => "after",
            };
            format!("{}{login} ({position})", server.urls.join(" "))
        })
        .collect();
    if held.is_empty() {
        return Value::List(shown);
    }
    Value::Hidden { shown: format!("{shown:?}"), held }
}

fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = |(shift, _): &&(u32, &str)| bytes.is_multiple_of(1 << shift);
    match units.iter().find(fits) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

fn ports(ports: &[std::ops::RangeInclusive<u16>]) -> String {
    let shown = |range: &std::ops::RangeInclusive<u16>| {
        let (first, last) = (range.start(), range.end());
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ports.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn expiry(expiry: CredentialExpiry) -> &'static str {
    match expiry {
        CredentialExpiry::Allocate => "allocate",
        CredentialExpiry::Strict => "strict",
    }
}

fn rate(rate: Rate) -> Value {
    let packets = rate.packets.map(|packets| {
        if packets.is_multiple_of(1000) {
            format!("{}kpps", packets / 1000)
        } else {
            format!("{packets}pps")
        }
    });
    Value::List(rate.bits.map(bits).into_iter().chain(packets).collect())
}

fn bits(bits: u64) -> String {
    let units = [(1_000_000_000, "Gbit"), (1_000_000, "Mbit"), (1000, "kbit")];
    match units.iter().find(|(size, _)| bits.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", bits / size),
        None => format!("{bits}bit"),
    }
}

fn family(family: DefaultRelayFamily) -> &'static str {
    match family {
        DefaultRelayFamily::Ipv4 => "ipv4",
        DefaultRelayFamily::Ipv6 => "ipv6",
        DefaultRelayFamily::Client => "client",
    }
}

fn channels(numbers: ChannelNumbers) -> &'static str {
    match numbers {
        ChannelNumbers::Rfc8656 => "rfc8656",
        ChannelNumbers::Rfc5766 => "rfc5766",
    }
}

fn ice_policy(policy: IcePolicy) -> &'static str {
    match policy {
        IcePolicy::All => "all",
        IcePolicy::Relay => "relay",
    }
}

fn privacy(addresses: AddressPrivacy) -> &'static str {
    match addresses {
        AddressPrivacy::Full => "full",
        AddressPrivacy::Prefix => "prefix",
        AddressPrivacy::None => "none",
    }
}
