//! The configuration as it was typed: names and types only, every value with its place.
//!
//! serde stops at the first key it does not like. [`parse`] takes that key out and goes on, so that
//! a person sees everything that is wrong at once.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, line_of};
use super::suggest;
use crate::limits::CONFIG_PROBLEMS_MAX;

pub(super) type Text = Option<Spanned<String>>;
pub(super) type List = Option<Spanned<Vec<Spanned<String>>>>;
pub(super) type Number = Option<Spanned<i64>>;
pub(super) type Switch = Option<Spanned<bool>>;

/// A number or a word.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"auto\" or a number")]
pub(super) enum RawThreads {
    Count(i64),
    Word(String),
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) realm: Text,
    pub(super) state_directory: Text,
    pub(super) listen: List,
    pub(super) listen_tcp: List,
    pub(super) listen_tls: List,
    pub(super) proxy_protocol: List,
    pub(super) relay_addresses: List,
    pub(super) relay_ports: Text,
    pub(super) external: List,
    pub(super) external_stun: List,
    pub(super) discover_nat64: Switch,
    pub(super) advertise: List,
    pub(super) default_relay_family: Text,
    pub(super) channel_numbers: Text,
    pub(super) carry_tos: Text,
    pub(super) batch_delay: Text,
    pub(super) threads: Option<Spanned<RawThreads>>,
    pub(super) allow_private_peers: List,
    pub(super) deny_peers: List,
    pub(super) alternate: List,
    pub(super) reflection_ports: Text,
    pub(super) tls: RawTls,
    pub(super) auth: RawAuth,
    pub(super) quota: RawQuota,
    pub(super) shield: RawShield,
    pub(super) rate: RawRate,
    pub(super) http: RawHttp,
    pub(super) ice: RawIce,
    pub(super) identity: RawIdentity,
    pub(super) tenant: BTreeMap<String, Spanned<RawTenant>>,
    pub(super) record: RawRecord,
    pub(super) verify: RawVerify,
    pub(super) metrics: RawMetrics,
    pub(super) log: RawLog,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawVerify {
    pub(super) every: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) cert: Text,
    pub(super) key: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) secrets: List,
    pub(super) secret_files: List,
    pub(super) rest_usernames: Text,
    pub(super) users: List,
    pub(super) user_keys: List,
    pub(super) expiry: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawQuota {
    pub(super) per_user: Number,
    pub(super) per_source: Number,
    pub(super) total: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawShield {
    pub(super) answers_per_source: Number,
    pub(super) answers_total: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRate {
    pub(super) per_allocation: List,
    pub(super) per_user: List,
    pub(super) total: List,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    pub(super) listen: List,
    pub(super) cors_origins: List,
    pub(super) local_without_key: Switch,
    pub(super) rate_per_key: Number,
    pub(super) trusted_proxies: List,
    pub(super) base_path: Text,
    pub(super) public_url: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIce {
    pub(super) ttl: Text,
    pub(super) policy: Text,
    pub(super) stun: Switch,
    pub(super) server: Vec<Spanned<RawIceServer>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIceServer {
    pub(super) urls: List,
    pub(super) username: Text,
    pub(super) credential: Text,
    pub(super) secret: Text,
    pub(super) position: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub(super) guests: Text,
    pub(super) invites: Text,
    pub(super) issuer: Vec<Spanned<RawIssuer>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) issuer: Text,
    pub(super) audience: List,
    pub(super) tenant: Text,
    pub(super) tenant_claim: Text,
    pub(super) tenants: List,
    pub(super) role_claim: Text,
    pub(super) secret: Text,
    pub(super) secret_file: Text,
    pub(super) jwks_file: Text,
    pub(super) jwks_url: Text,
    pub(super) jwks_ca_file: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTenant {
    pub(super) suspended: Switch,
    pub(super) voice_enabled: Switch,
    pub(super) turn_enabled: Switch,
    pub(super) calls_max: Number,
    pub(super) invites_per_minute: Number,
    pub(super) sessions_max: Number,
    pub(super) sessions_per_user_max: Number,
    pub(super) when_busy: Text,
    pub(super) allow: List,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRecord {
    pub(super) retention_days: Number,
    pub(super) bytes_max: Text,
    pub(super) addresses: Text,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMetrics {
    pub(super) coturn_names: Switch,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: Text,
    pub(super) format: Text,
}

/// Reads what can be read, and says what cannot.
///
/// After a syntax error nothing else is looked at: what follows it may mean anything.
pub(super) fn parse(text: &str) -> (Raw, Vec<Problem>) {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (Raw::default(), errors.iter().map(|e| syntax_problem(text, e)).collect());
    }
    let mut problems = Vec::new();
    while problems.len() < CONFIG_PROBLEMS_MAX {
        let error = match Raw::deserialize(toml::de::Deserializer::from(document.clone())) {
            Ok(raw) => return (raw, problems),
            Err(error) => error,
        };
        let place = error.span().unwrap_or(0..0);
        let Some(path) = take_out(document.get_mut(), &place) else {
            problems.push(syntax_problem(text, &error));
            break;
        };
        problems.push(key_problem(text, &path, &place, error.message()));
    }
    (Raw::default(), problems)
}

/// Every key there is, as a path: `realm`, `auth.secrets`, `ice.server.urls`.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys = fields_of::<Raw>("");
    for (section, fields) in [
        ("tls", fields_of::<RawTls>("tls.")),
        ("auth", fields_of::<RawAuth>("auth.")),
        ("quota", fields_of::<RawQuota>("quota.")),
        ("shield", fields_of::<RawShield>("shield.")),
        ("rate", fields_of::<RawRate>("rate.")),
        ("http", fields_of::<RawHttp>("http.")),
        ("ice", fields_of::<RawIce>("ice.")),
        ("ice.server", fields_of::<RawIceServer>("ice.server.")),
        ("identity", fields_of::<RawIdentity>("identity.")),
        ("identity.issuer", fields_of::<RawIssuer>("identity.issuer.")),
        // Every tenant has the keys of this one, which always exists.
        ("tenant", fields_of::<RawTenant>("tenant.default.")),
        ("record", fields_of::<RawRecord>("record.")),
        ("verify", fields_of::<RawVerify>("verify.")),
        ("metrics", fields_of::<RawMetrics>("metrics.")),
        ("log", fields_of::<RawLog>("log.")),
    ] {
        keys.retain(|key| key != section);
        keys.extend(fields);
    }
    keys
}

/// Names the fields of a type by the complaint about one that it cannot have.
fn fields_of<'de, T: Deserialize<'de>>(prefix: &str) -> Vec<String> {
    let Ok(probe) = toml::de::Deserializer::parse("\"?\" = 0") else {
        return Vec::new();
    };
    match T::deserialize(probe) {
        Ok(_) => Vec::new(),
        Err(error) => expected_names(error.message())
            .into_iter()
            .map(|name| format!("{prefix}{name}"))
            .collect(),
    }
}

/// The names in "unknown field `x`, expected one of `a`, `b`".
fn expected_names(message: &str) -> Vec<&str> {
    let Some((_, names)) = message.rsplit_once(", expected ") else { return Vec::new() };
    names.split('`').skip(1).step_by(2).collect()
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().map_or(0, |span| span.start);
    Problem {
        line: Some(line_of(text, at)),
        key: String::new(),
        text: format!("this is not TOML: {}", error.message().replace('\n', "; ")),
    }
}

fn key_problem(text: &str, path: &str, place: &Range<usize>, message: &str) -> Problem {
    let line = Some(line_of(text, place.start));
    if message.starts_with("unknown field") {
        let text = suggest::for_unknown_key(&as_default_tenant(path), &known_keys());
        return Problem { line, key: path.to_owned(), text };
    }
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    let expected = match expected.trim() {
        "i64" => "a whole number",
        "a sequence" => "a list, such as [\"one\", \"two\"]",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        other if other.starts_with("struct Raw") => "a section with keys of its own",
        other => other,
    };
    let found = if is_secret(path) {
        "something of another kind (not shown here)".to_owned()
    } else {
        text.get(place.clone()).map_or_else(String::new, suggest::shortened)
    };
    Problem { line, key: path.to_owned(), text: format!("must be {expected}, found {found}") }
}

/// `tenant.acme.x` as the known keys have it.
fn as_default_tenant(path: &str) -> String {
    match path.strip_prefix("tenant.").and_then(|rest| rest.split_once('.')) {
        Some((_, key)) => format!("tenant.default.{key}"),
        None => path.to_owned(),
    }
}

/// Whether a key's value must not be repeated in a message.
pub(super) fn is_secret(path: &str) -> bool {
    let is_choice = matches!(path, "auth.expiry" | "auth.rest_usernames");
    path.starts_with("auth.") && !is_choice
        || path.ends_with(".credential")
        || path.ends_with(".secret")
}

/// Removes the innermost key that holds `place` and returns its path.
fn take_out(table: &mut DeTable<'_>, place: &Range<usize>) -> Option<String> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        let inner = if let DeValue::Table(inner) = value.get_mut() {
            take_out(inner, place)
        } else if let DeValue::Array(items) = value.get_mut() {
            items.iter_mut().find_map(|item| match item.get_mut() {
                DeValue::Table(inner) => take_out(inner, place),
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_) => None,
            })
        } else {
            None
        };
        if let Some(inner) = inner {
            return Some(format!("{name}.{inner}"));
        }
        let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
        if holds(key.span()) || holds(value.span()) {
            found = Some(name);
        }
    }
    let name = found?;
    table.remove(name.as_str());
    Some(name)
}
