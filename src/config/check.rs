//! The one conversion from what was typed to what is meant. It checks everything and stops at
//! nothing, so that all problems are shown at once.

use std::path::Path;

use toml::Spanned;

use super::checker::Checker;
use super::load::HandedFiles;
use super::ports::RawListen;
use super::problem::Problem;
use super::raw::{List, Raw, RawAuth};
use super::value::{self, Refusal};
use super::{
    AddressPrivacy, Auth, ChannelNumbers, Config, CredentialExpiry, DefaultRelayFamily, LogFormat,
    RestUsernames, secrets,
};
use crate::limits::{
    ADVERTISE_MAX, ALTERNATES_MAX, RELAY_ADDRESSES_MAX, SECRETS_MAX, STATIC_USERS_MAX,
};

/// Fills `config`, which holds the defaults, with what was typed.
///
/// `text` is the file, for line numbers; `directory` is where its relative paths start; `handed` are
/// files that need not be read.
pub(super) fn convert(
    mut config: Config,
    raw: Raw,
    text: &str,
    directory: &Path,
    handed: &HandedFiles,
) -> Checked {
    let mut at = Checker { text, directory, handed, problems: Vec::new(), warnings: Vec::new() };
    config.realm = at.text("realm", raw.realm, config.realm, value::realm);
    config.state_directory =
        at.text("state_directory", raw.state_directory, config.state_directory, |text| {
            if text.is_empty() {
                return Err(Refusal("must be a path, such as \"/var/lib/turnbell\"".to_owned()));
            }
            Ok(directory.join(text))
        });
    config.tls = at.tls(raw.tls);
    let listen = RawListen {
        udp: raw.listen,
        tcp: raw.listen_tcp,
        tls: raw.listen_tls,
        proxied: raw.proxy_protocol,
    };
    at.listen(&mut config, listen);
    if let Some(found) = at.list(
        "relay_addresses",
        raw.relay_addresses,
        0..=RELAY_ADDRESSES_MAX,
        value::relay_address,
    ) {
        config.relay_addresses = found;
    }
    config.relay_ports =
        at.text("relay_ports", raw.relay_ports, config.relay_ports, value::relay_ports);
    at.external(&mut config, raw.external);
    at.outside(&mut config, raw.external_stun, raw.discover_nat64);
    if let Some(found) = at.list("advertise", raw.advertise, 0..=ADVERTISE_MAX, value::advertise) {
        config.advertise = found;
    }
    config.default_relay_family = at.choice(
        "default_relay_family",
        raw.default_relay_family,
        config.default_relay_family,
        &[
            ("ipv4", DefaultRelayFamily::Ipv4),
            ("ipv6", DefaultRelayFamily::Ipv6),
            ("client", DefaultRelayFamily::Client),
        ],
    );
    config.channel_numbers = at.choice(
        "channel_numbers",
        raw.channel_numbers,
        config.channel_numbers,
        &[("rfc8656", ChannelNumbers::Rfc8656), ("rfc5766", ChannelNumbers::Rfc5766)],
    );
    config.carry_tos =
        at.choice("carry_tos", raw.carry_tos, config.carry_tos, &[("off", false), ("on", true)]);
    let batch_delay = &[("off", false), ("auto", true)];
    config.batch_delay = at.choice("batch_delay", raw.batch_delay, config.batch_delay, batch_delay);
    config.threads = at.threads(raw.threads);
    at.peers(&mut config, raw.allow_private_peers, raw.deny_peers);
    if let Some(found) = at.list("alternate", raw.alternate, 0..=ALTERNATES_MAX, value::alternate) {
        config.alternate = found;
    }
    config.reflection_ports = at.text(
        "reflection_ports",
        raw.reflection_ports,
        config.reflection_ports,
        value::reflection_ports,
    );
    config.auth = at.auth(raw.auth);
    config.quota = at.quota(&config, raw.quota);
    config.shield = at.shield(config.shield, raw.shield);
    config.rates = at.rates(raw.rate);
    config.http = at.http(config.http, raw.http, &config.listen_tls);
    config.ice = at.ice(config.ice, raw.ice);
    config.tenants = at.tenants(raw.tenant);
    config.identity = at.identity(raw.identity, &config.tenants);
    config.record.retention_days = at.number(
        "record.retention_days",
        raw.record.retention_days,
        config.record.retention_days,
        1..=3650,
    );
    config.record.bytes_max = at.text(
        "record.bytes_max",
        raw.record.bytes_max,
        config.record.bytes_max,
        value::record_bytes,
    );
    config.record.addresses = at.choice(
        "record.addresses",
        raw.record.addresses,
        config.record.addresses,
        &[
            ("full", AddressPrivacy::Full),
            ("prefix", AddressPrivacy::Prefix),
            ("none", AddressPrivacy::None),
        ],
    );
    config.verify = at.verify(&config.verify, raw.verify);
    config.coturn_names = at.switch(raw.metrics.coturn_names, config.coturn_names);
    config.log.level = at.choice("log.level", raw.log.level, config.log.level, &LEVELS);
    config.log.format = at.choice(
        "log.format",
        raw.log.format,
        config.log.format,
        &[("text", LogFormat::Text), ("json", LogFormat::Json), ("journald", LogFormat::Journald)],
    );
    at.warn_of_overlap(&config);
    config.warnings = at.warnings;
    Checked { config, problems: at.problems }
}

/// What came out of a conversion; the config counts only if there are no problems.
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) problems: Vec<Problem>,
}

const LEVELS: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

impl Checker<'_> {
    fn external(&mut self, config: &mut Config, raw: List) {
        let place = raw.as_ref().map(Spanned::span);
        let Some(external) = self.list("external", raw, 0..=2, value::external) else { return };
        let of_v4 = external.iter().filter(|e| e.public.is_ipv4()).count();
        if of_v4 > 1 || external.len() - of_v4 > 1 {
            self.refuse(
                place.unwrap_or(0..0),
                "external",
                "there can be one entry for IPv4 and one for IPv6",
            );
        }
        config.external = external;
    }

    fn peers(&mut self, config: &mut Config, allow: List, deny: List) {
        let key = "allow_private_peers";
        if let Some(found) = self.list(key, allow, 0..=PEER_NETWORKS_MAX, value::allowed_network) {
            config.allow_private_peers = found.iter().map(|(net, _)| *net).collect();
            self.warnings.extend(found.into_iter().filter_map(|(_, note)| note));
            for net in &config.allow_private_peers {
                self.warnings.push(format!(
                    "allow_private_peers: clients can reach {net} through this relay, whatever \
                     listens there"
                ));
            }
        }
        if let Some(found) = self.list("deny_peers", deny, 0..=PEER_NETWORKS_MAX, value::network) {
            config.deny_peers = found.iter().map(|(net, _)| *net).collect();
            self.warnings.extend(found.into_iter().filter_map(|(_, note)| note));
        }
    }

    fn auth(&mut self, raw: RawAuth) -> Auth {
        let mut auth = Auth::default();
        auth.secrets.extend(
            self.list("auth.secrets", raw.secrets, 0..=SECRETS_MAX, secrets::check)
                .into_iter()
                .flatten(),
        );
        let (directory, handed) = (self.directory, self.handed);
        let place = raw.secret_files.as_ref().map(Spanned::span);
        let files = self.list("auth.secret_files", raw.secret_files, 0..=SECRETS_MAX, |text| {
            let path = directory.join(text);
            let read = match handed.get(text) {
                Some(held) => secrets::parse_file(&path, held),
                None => secrets::read_file(&path),
            };
            let read = read.map_err(Refusal)?;
            Ok((text.to_owned(), read.secrets, read.warning))
        });
        for (file, found, warning) in files.into_iter().flatten() {
            auth.secret_files.push(file);
            auth.secrets_of_files += found.len();
            auth.secrets.extend(found);
            self.warnings.extend(warning);
        }
        if auth.secrets.len() > SECRETS_MAX {
            self.refuse(
                place.unwrap_or(0..0),
                "auth.secret_files",
                &format!(
                    "there are {} secrets in all, at most {SECRETS_MAX} can be active at once",
                    auth.secrets.len()
                ),
            );
        }
        auth.rest_usernames = self.choice(
            "auth.rest_usernames",
            raw.rest_usernames,
            auth.rest_usernames,
            &[("strict", RestUsernames::Strict), ("coturn", RestUsernames::Coturn)],
        );
        let place = raw.users.as_ref().map(Spanned::span);
        auth.users = self
            .list("auth.users", raw.users, 0..=STATIC_USERS_MAX, secrets::static_user)
            .unwrap_or_default();
        let place_of_keys = raw.user_keys.as_ref().map(Spanned::span);
        auth.user_keys = self
            .list("auth.user_keys", raw.user_keys, 0..=STATIC_USERS_MAX, secrets::user_key)
            .unwrap_or_default();
        auth.expiry = self.choice(
            "auth.expiry",
            raw.expiry,
            auth.expiry,
            &[("allocate", CredentialExpiry::Allocate), ("strict", CredentialExpiry::Strict)],
        );
        let mut names: Vec<(&str, bool)> = auth
            .users
            .iter()
            .map(|user| (user.name.as_str(), false))
            .chain(auth.user_keys.iter().map(|user| (user.name.as_str(), true)))
            .collect();
        names.sort_unstable();
        // Of two the later one is to blame, and keys stand behind passwords.
        if let Some(twice) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (name, is_key) = twice[1];
            let (key, place) =
                if is_key { ("auth.user_keys", place_of_keys) } else { ("auth.users", place) };
            self.refuse(place.unwrap_or(0..0), key, &format!("user {name:?} stands there twice"));
        }
        auth
    }

    fn warn_of_overlap(&mut self, config: &Config) {
        for listener in &config.listen {
            if config.relay_ports.contains(&listener.port()) {
                self.warnings.push(format!(
                    "listen: port {} lies in relay_ports; move one of them",
                    listener.port()
                ));
            }
        }
    }
}

/// Networks in one list of peers.
const PEER_NETWORKS_MAX: usize = 1024;
