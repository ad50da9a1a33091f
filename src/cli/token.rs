//! `turnbell token`: a token for one user, signed by hand.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::ask::Format;
use super::table;
use crate::auth::identity::{Identity, Role, TenantId, UserId};
use crate::auth::own_token::OwnKey;
use crate::auth::secret::Secret;
use crate::config::Config;
use crate::limits::identity::{INVITE_TTL_MIN, TOKEN_TTL_DEFAULT, TOKEN_TTL_MAX};
use crate::ops::state_directory::SIGNING_KEY_FILE;
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
Whoever has the token is that user: a page passes it to the client library, a program sends it in `hello`.
It is signed with the key in the state directory, so this is for its owner; the daemon need not run.
`turnbell revoke alice` ends what he has and refuses his tokens.

Examples:
  turnbell token --user alice --name 'Alice'
  turnbell token --user desk --role agent --tenant acme --ttl 30d")]
pub(super) struct Token {
    /// Who: 1 to 128 bytes, as your app names its users
    #[arg(long, value_parser = user)]
    user: UserId,
    /// How others see him [default: the user]
    #[arg(long)]
    name: Option<String>,
    /// Of which tenant
    #[arg(long, default_value = "default")]
    tenant: String,
    /// What he is there: owner, admin, agent, member, portal_customer, visitor, service
    #[arg(long, default_value = "member", value_parser = role)]
    role: Role,
    /// How long it is good: 60s to 365d [default: 12h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

impl Token {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Self { user, name, tenant, role, ttl, format } = self;
        let Some(tenant) = TenantId::new(&tenant).filter(|id| config.tenants.contains_key(id))
        else {
            bail!("there is no tenant {tenant:?}; the config names one by a table [tenant.<id>]");
        };
        let key = signing_key(config)?;
        let now = Now::read();
        let ttl_s = ttl.unwrap_or(TOKEN_TTL_DEFAULT).as_secs();
        let expires_at_unix_s = now.unix_s().saturating_add_unsigned(ttl_s);
        let who = Identity {
            name: name.unwrap_or_else(|| user.to_string()).into(),
            tenant,
            user,
            role,
            is_verified: true,
            expires_at_unix_s: Some(expires_at_unix_s),
            contact: None,
            number: None,
        };
        let token = key.session(now, &who).context("the token cannot be signed")?;
        if format.is_json() {
            let said = serde_json::json!({"token": {
                "token": token,
                "user": who.user.as_str(),
                "tenant": who.tenant.as_str(),
                "role": role.code(),
                "name": who.name,
                "expires_at": expires_at_unix_s * 1000,
            }});
            return super::print(&format!("{said}\n"));
        }
        super::print(&format!("{token}\n"))?;
        super::note(&format!(
            "{:?} of tenant {} as {}, until {} UTC",
            who.user.as_str(),
            who.tenant,
            role.code(),
            table::time(expires_at_unix_s * 1000)
        ));
        Ok(())
    }
}

/// The key of the state directory, which only its owner can read.
pub(super) fn signing_key(config: &Config) -> anyhow::Result<OwnKey> {
    let path = config.state_directory.join(SIGNING_KEY_FILE);
    if matches!(path.try_exists(), Ok(false)) {
        bail!("there is no key yet: start turnbell once to have {} made", path.display());
    }
    let text = std::fs::read_to_string(&path).map(Secret::new);
    Ok(OwnKey::of_text(&text.with_context(|| {
        format!("{} cannot be read; run as root, or as its owner", path.display())
    })?))
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::new(text).ok_or_else(|| "must have 1 to 128 bytes, no control characters".to_owned())
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_code(text).ok_or_else(|| {
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.code()).collect();
        format!("must be one of {}", roles.join(", "))
    })
}

fn ttl(text: &str) -> Result<Duration, String> {
    table::duration(text, INVITE_TTL_MIN..=TOKEN_TTL_MAX)
        .ok_or_else(|| "must be a time from 60s to 365d, such as 12h".to_owned())
}
