//! `[identity]` and `[tenant.<id>]`: whose tokens count, and what each tenant may do.

use std::collections::BTreeMap;

use toml::Spanned;

use super::checker::Checker;
use super::raw::{List, RawIdentity, RawTenant};
use super::value::Refusal;
use crate::auth::identity::{Role, TenantId};
use crate::auth::secret::Secret;
use crate::call::options::TenantOptions;
use crate::call::request::WhenBusy;
use crate::limits::identity::{ALLOW_RULES_MAX, ISSUERS_MAX, TENANTS_MAX};

/// `[identity]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// Who gets a token without having one.
    pub guests: GuestRule,
    /// Whose page makes invites.
    pub invites: InviteRule,
    /// Whose tokens count beside our own.
    pub issuers: Vec<TokenIssuer>,
}

/// Who gets a token without having one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestRule {
    /// Pages on this machine.
    Local,
    /// Whoever asks.
    Anyone,
    /// Nobody.
    Off,
}

/// Whose page makes invites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteRule {
    /// Owners, admins, and pages on this machine.
    Local,
    /// Agents and members as well, but no guests.
    Members,
    /// Everybody who has a token.
    Anyone,
    /// Nobody.
    Off,
}

/// `[[identity.issuer]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuer {
    /// `iss` of its tokens.
    pub name: String,
    /// One of these must stand in `aud`; empty: it is not looked at.
    pub audiences: Vec<String>,
    /// Whose users they are.
    pub tenancy: IssuerTenancy,
    /// Where the role stands, beside the usual claims.
    pub role_claim: Option<String>,
    /// What verifies them.
    pub keys: IssuerKeys,
}

/// Which tenant an issuer's tokens belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerTenancy {
    /// All to this one.
    One(TenantId),
    /// To the one of these that a claim names.
    Claim {
        /// Where it stands, with dots.
        claim: String,
        /// Those that it may name.
        tenants: Vec<TenantId>,
    },
}

/// Keys of an issuer, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeys {
    /// A secret shared with it, from the config.
    Secret(Secret<String>),
    /// Secrets shared with it, from a file.
    SecretFile {
        /// As written.
        file: String,
        /// All of them verify.
        secrets: Vec<Secret<String>>,
    },
    /// Its public keys.
    JwksFile {
        /// As written.
        file: String,
        /// The JWK set, checked.
        json: String,
    },
    /// Its public keys, fetched while the daemon runs.
    JwksUrl(KeysUrl),
}

/// Where keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeysUrl {
    /// `https://...`, or `http://` to this machine; checked.
    pub url: String,
    /// Who vouches for that server in place of the system's authorities.
    pub authority: Option<AuthorityFile>,
}

/// Certificates of a private authority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthorityFile {
    /// As written.
    pub file: String,
    /// One certificate or more, checked.
    pub pem: String,
}

impl Default for Identities {
    fn default() -> Self {
        let invites = InviteRule::Members;
        Self { guests: GuestRule::Local, invites, issuers: Vec::new() }
    }
}

/// All tenants by their ids; `default` always exists.
pub type TenantTable = BTreeMap<TenantId, TenantOptions>;

/// The tenants of a config that names none.
pub(super) fn only_default() -> TenantTable {
    [(TenantId::default_tenant(), TenantOptions::default())].into()
}

impl Identities {
    /// Files that were read for it, as written.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().filter_map(|issuer| match &issuer.keys {
            IssuerKeys::Secret(_) => None,
            IssuerKeys::SecretFile { file, .. } | IssuerKeys::JwksFile { file, .. } => {
                Some(&**file)
            }
            IssuerKeys::JwksUrl(at) => at.authority.as_ref().map(|authority| &*authority.file),
        })
    }
}

impl Checker<'_> {
    pub(super) fn tenants(&mut self, raw: BTreeMap<String, Spanned<RawTenant>>) -> TenantTable {
        let mut tenants = only_default();
        for (id, raw) in raw {
            let place = raw.span();
            let Some(tenant) = TenantId::new(&id) else {
                self.refuse(place, "tenant", &format!("{id:?} {TENANT}"));
                continue;
            };
            let options = self.tenant(&id, raw.into_inner());
            tenants.insert(tenant, options);
            if tenants.len() > TENANTS_MAX {
                self.refuse(place, "tenant", &format!("there can be at most {TENANTS_MAX}"));
                break;
            }
        }
        tenants
    }

    fn tenant(&mut self, id: &str, raw: RawTenant) -> TenantOptions {
        let key = |name: &str| format!("tenant.{id}.{name}");
        let default = TenantOptions::default();
        let mut count = |name, raw, default: usize| {
            let default = u32::try_from(default).unwrap_or(u32::MAX);
            self.number(&key(name), raw, default, 1..=COUNT_MAX) as usize
        };
        let calls_max = count("calls_max", raw.calls_max, default.calls_max);
        let sessions_max = count("sessions_max", raw.sessions_max, default.sessions_max);
        let sessions_per_user_max = count(
            "sessions_per_user_max",
            raw.sessions_per_user_max,
            default.sessions_per_user_max,
        );
        TenantOptions {
            is_suspended: self.switch(raw.suspended, default.is_suspended),
            voice_enabled: self.switch(raw.voice_enabled, default.voice_enabled),
            turn_enabled: self.switch(raw.turn_enabled, default.turn_enabled),
            calls_max,
            invites_per_minute: self.number(
                &key("invites_per_minute"),
                raw.invites_per_minute,
                default.invites_per_minute,
                1..=6000,
            ),
            sessions_max,
            sessions_per_user_max,
            when_busy: self.choice(
                &key("when_busy"),
                raw.when_busy,
                default.when_busy,
                &[("refuse", WhenBusy::Refuse), ("wait", WhenBusy::Wait)],
            ),
            allow: self.allow(&key("allow"), raw.allow),
            ..default
        }
    }

    /// An empty list forbids every call; none allows all.
    fn allow(&mut self, key: &str, raw: List) -> Option<Vec<(Role, Role)>> {
        self.list(key, raw, 0..=ALLOW_RULES_MAX, |text| {
            let role = |word: &str| Role::from_code(word.trim());
            let pair = text.split_once('>').and_then(|(from, to)| Some((role(from)?, role(to)?)));
            pair.ok_or_else(|| {
                let roles: Vec<&str> = Role::ALL.iter().map(|role| role.code()).collect();
                let roles = roles.join(", ");
                Refusal(format!(
                    "must be \"caller>callee\", such as \"visitor>agent\"; roles are {roles}"
                ))
            })
        })
    }

    pub(super) fn identity(&mut self, raw: RawIdentity, tenants: &TenantTable) -> Identities {
        let guests = self.choice(
            "identity.guests",
            raw.guests,
            GuestRule::Local,
            &[("local", GuestRule::Local), ("anyone", GuestRule::Anyone), ("off", GuestRule::Off)],
        );
        if guests == GuestRule::Anyone {
            self.warnings.push(
                "identity.guests: whoever reaches this page gets a token, may call everybody in \
                 the tenant `default`, and uses this relay; `turnbell invite` lets single people in"
                    .to_owned(),
            );
        }
        let invites = self.choice(
            "identity.invites",
            raw.invites,
            InviteRule::Members,
            &[
                ("members", InviteRule::Members),
                ("local", InviteRule::Local),
                ("anyone", InviteRule::Anyone),
                ("off", InviteRule::Off),
            ],
        );
        if invites == InviteRule::Anyone {
            self.warnings.push(
                "identity.invites: whoever came in by an invite lets others in, and these again"
                    .to_owned(),
            );
        }
        if raw.issuer.len() > ISSUERS_MAX {
            let place = raw.issuer[ISSUERS_MAX].span();
            self.refuse(place, "identity.issuer", &format!("there can be at most {ISSUERS_MAX}"));
        }
        let mut issuers: Vec<TokenIssuer> = Vec::new();
        for raw in raw.issuer.into_iter().take(ISSUERS_MAX) {
            let place = raw.span();
            let Some(issuer) = self.issuer(raw, tenants) else { continue };
            if issuers.iter().any(|other| other.name == issuer.name) {
                let text = format!(
                    "there are two of the name {:?}; a token's `iss` must name one: merge them, \
                     several keys fit into secret_file or jwks_file",
                    issuer.name
                );
                self.refuse(place, "identity.issuer.issuer", &text);
            }
            issuers.push(issuer);
        }
        Identities { guests, invites, issuers }
    }
}

pub(super) const TENANT: &str = "must be 1 to 32 of a-z, 0-9 and -";
/// Most of anything that a tenant can be allowed.
const COUNT_MAX: u32 = 1_000_000;
