//! Issuers and tenants as a person may see them.

use super::Value;
use crate::auth::secret::{Secret, hex};
use crate::call::options::TenantOptions;
use crate::call::request::WhenBusy;
use crate::config::{
    AuthorityFile, GuestRule, InviteRule, IssuerKeys, IssuerTenancy, KeysUrl, LogFormat,
    TenantTable, TokenIssuer, UserKey,
};

pub(super) fn guests(rule: GuestRule) -> &'static str {
    match rule {
        GuestRule::Local => "local",
        GuestRule::Anyone => "anyone",
        GuestRule::Off => "off",
    }
}

pub(super) fn invites(rule: InviteRule) -> &'static str {
    match rule {
        InviteRule::Local => "local",
        InviteRule::Members => "members",
        InviteRule::Anyone => "anyone",
        InviteRule::Off => "off",
    }
}

/// How many; never whose.
pub(super) fn user_keys(users: &[UserKey]) -> Value {
    let text = |user: &UserKey| format!("{}:{}", user.name, hex(user.key.expose()));
    let held = users.iter().map(|user| Secret::new(text(user))).collect();
    Value::Hidden { shown: super::counted(users.len(), "account"), held }
}

/// Name, tenants, and where the keys come from; never a key.
pub(super) fn issuers(issuers: &[TokenIssuer]) -> Value {
    let mut held = Vec::new();
    let shown: Vec<String> = issuers.iter().map(|issuer| one(issuer, &mut held)).collect();
    if held.is_empty() {
        return Value::List(shown);
    }
    Value::Hidden { shown: format!("{shown:?}"), held }
}

fn one(issuer: &TokenIssuer, held: &mut Vec<Secret<String>>) -> String {
    let TokenIssuer { name, audiences, tenancy, role_claim, keys } = issuer;
    let mut text = name.clone();
    if !audiences.is_empty() {
        text.push_str(&format!(" for {}", audiences.join(" or ")));
    }
    match tenancy {
        IssuerTenancy::One(tenant) => text.push_str(&format!(" (tenant {tenant})")),
        IssuerTenancy::Claim { claim, tenants } => {
            let tenants: Vec<&str> = tenants.iter().map(|tenant| tenant.as_str()).collect();
            text.push_str(&format!(" (tenant by {claim}: {})", tenants.join(", ")));
        }
    }
    if let Some(claim) = role_claim {
        text.push_str(&format!(" role by {claim}"));
    }
    match keys {
        IssuerKeys::Secret(secret) => {
            held.push(secret.clone());
            text.push_str(" by its shared secret");
        }
        IssuerKeys::SecretFile { file, secrets } => {
            held.extend(secrets.iter().cloned());
            text.push_str(&format!(" by {} of {file}", super::counted(secrets.len(), "secret")));
        }
        IssuerKeys::JwksFile { file, json } => {
            // Public, and still nothing to read in a list.
            held.push(Secret::new(json.clone()));
            text.push_str(&format!(" by the keys of {file}"));
        }
        IssuerKeys::JwksUrl(KeysUrl { url, authority }) => {
            text.push_str(&format!(" by the keys at {url}"));
            if let Some(AuthorityFile { file, pem }) = authority {
                held.push(Secret::new(pem.clone()));
                text.push_str(&format!(" vouched for by {file}"));
            }
        }
    }
    text
}

/// Each with what differs from the defaults.
pub(super) fn tenants(tenants: &TenantTable) -> Vec<String> {
    let shown = |(id, options): (_, &TenantOptions)| format!("{id}{}", differing(options));
    tenants.iter().map(shown).collect()
}

fn differing(options: &TenantOptions) -> String {
    let default = TenantOptions::default();
    let mut text = String::new();
    let mut note = |key: &str, differs: bool, value: String| {
        if differs {
            text.push_str(&format!(" {key}={value}"));
        }
    };
    let of = options;
    note("suspended", of.is_suspended != default.is_suspended, of.is_suspended.to_string());
    note("voice_enabled", of.voice_enabled != default.voice_enabled, of.voice_enabled.to_string());
    note("turn_enabled", of.turn_enabled != default.turn_enabled, of.turn_enabled.to_string());
    note("calls_max", of.calls_max != default.calls_max, of.calls_max.to_string());
    note(
        "invites_per_minute",
        of.invites_per_minute != default.invites_per_minute,
        of.invites_per_minute.to_string(),
    );
    note("sessions_max", of.sessions_max != default.sessions_max, of.sessions_max.to_string());
    note(
        "sessions_per_user_max",
        of.sessions_per_user_max != default.sessions_per_user_max,
        of.sessions_per_user_max.to_string(),
    );
    let busy = match of.when_busy {
        WhenBusy::Refuse => "refuse",
        WhenBusy::Wait => "wait",
    };
    note("when_busy", of.when_busy != default.when_busy, busy.to_owned());
    if let Some(allow) = &of.allow {
        let pairs: Vec<String> =
            allow.iter().map(|(from, to)| format!("{}>{}", from.code(), to.code())).collect();
        note("allow", true, pairs.join(","));
    }
    text
}

pub(super) fn log_format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
        LogFormat::Journald => "journald",
    }
}
