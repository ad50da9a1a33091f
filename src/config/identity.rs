//! `[identity]` and `[tenant.<id>]`: whose tokens count, and what each tenant may do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;

use super::checker::Checker;
use super::raw::{List, RawIdentity, RawIssuer, RawTenant, Text};
use super::secrets;
use super::value::Refusal;
use crate::auth::identity::{Role, TenantId};
use crate::auth::own_token::OWN_ISSUER;
use crate::auth::secret::Secret;
use crate::auth::token_keys::check_jwk_set;
use crate::call::options::TenantOptions;
use crate::call::request::WhenBusy;
use crate::limits::identity::{
    ALLOW_RULES_MAX, AUDIENCES_MAX, ISSUERS_MAX, JWKS_BYTES_MAX, TENANTS_MAX,
    TOKEN_SECRET_BYTES_MIN,
};

/// `[identity]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// Who gets a token without having one.
    pub guests: GuestRule,
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
}

impl Default for Identities {
    fn default() -> Self {
        Self { guests: GuestRule::Local, issuers: Vec::new() }
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
        Identities { guests, issuers }
    }

    fn issuer(&mut self, raw: Spanned<RawIssuer>, known: &TenantTable) -> Option<TokenIssuer> {
        let place = raw.span();
        let raw = raw.into_inner();
        let before = self.problems.len();
        let name = match raw.issuer {
            None => {
                let text = "needs `issuer`, the `iss` of its tokens, such as \
                            \"https://id.example.org\"";
                self.refuse(place.clone(), "identity.issuer", text);
                String::new()
            }
            named => self.text("identity.issuer.issuer", named, String::new(), issuer_name),
        };
        let audiences = self
            .list("identity.issuer.audience", raw.audience, 0..=AUDIENCES_MAX, not_empty)
            .unwrap_or_default();
        let tenancy = self.tenancy(place.clone(), raw.tenant, raw.tenant_claim, raw.tenants, known);
        let role_claim = self
            .text("identity.issuer.role_claim", raw.role_claim, None, |t| not_empty(t).map(Some));
        let keys = self.issuer_keys(place, raw.secret, raw.secret_file, raw.jwks_file);
        let (tenancy, keys) = (tenancy?, keys?);
        (self.problems.len() == before).then_some(TokenIssuer {
            name,
            audiences,
            tenancy,
            role_claim,
            keys,
        })
    }

    fn tenancy(
        &mut self,
        place: Range<usize>,
        tenant: Text,
        claim: Text,
        tenants: List,
        known: &TenantTable,
    ) -> Option<IssuerTenancy> {
        let known = |text: &str| {
            let id = TenantId::new(text).ok_or_else(|| Refusal(TENANT.to_owned()))?;
            if known.contains_key(&id) {
                return Ok(id);
            }
            Err(Refusal(format!("there is no such tenant; add a table [tenant.{id}]")))
        };
        match (tenant, claim, tenants) {
            (None, None, None) => Some(IssuerTenancy::One(TenantId::default_tenant())),
            (Some(tenant), None, None) => {
                let id = self
                    .text("identity.issuer.tenant", Some(tenant), None, |t| known(t).map(Some))?;
                Some(IssuerTenancy::One(id))
            }
            (None, Some(claim), Some(tenants)) => {
                let claim = self.text("identity.issuer.tenant_claim", Some(claim), None, |t| {
                    not_empty(t).map(Some)
                });
                let key = "identity.issuer.tenants";
                let tenants = self.list(key, Some(tenants), 1..=TENANTS_MAX, known);
                Some(IssuerTenancy::Claim { claim: claim?, tenants: tenants? })
            }
            (_, Some(_), _) | (_, _, Some(_)) => {
                let text = "needs either `tenant`, or `tenant_claim` and `tenants` together: the \
                            claim that names a tenant, and the tenants that it may name";
                self.refuse(place, "identity.issuer", text);
                None
            }
        }
    }

    fn issuer_keys(
        &mut self,
        place: Range<usize>,
        secret: Text,
        secret_file: Text,
        jwks_file: Text,
    ) -> Option<IssuerKeys> {
        let (directory, handed) = (self.directory, self.handed);
        match (secret, secret_file, jwks_file) {
            (Some(secret), None, None) => {
                self.text("identity.issuer.secret", Some(secret), None, |text| {
                    Ok(Some(IssuerKeys::Secret(long_enough(secrets::check(text)?)?)))
                })
            }
            (None, Some(file), None) => {
                let mut warning = None;
                let keys = self.text("identity.issuer.secret_file", Some(file), None, |file| {
                    let path = directory.join(file);
                    let read = match handed.get(file) {
                        Some(held) => secrets::parse_file(&path, held),
                        None => secrets::read_file(&path),
                    };
                    let read = read.map_err(Refusal)?;
                    warning = read.warning;
                    let secrets = read.secrets.into_iter().map(long_enough);
                    let secrets = secrets.collect::<Result<_, _>>()?;
                    Ok(Some(IssuerKeys::SecretFile { file: file.to_owned(), secrets }))
                });
                self.warnings.extend(warning);
                keys
            }
            (None, None, Some(file)) => {
                self.text("identity.issuer.jwks_file", Some(file), None, |file| {
                    let json = match handed.get(file) {
                        Some(held) => held.clone(),
                        None => read_jwks(directory.join(file))?,
                    };
                    check_jwk_set(json.as_bytes()).map_err(|why| {
                        Refusal(format!("{why}; it must be the issuer's JWK set"))
                    })?;
                    Ok(Some(IssuerKeys::JwksFile { file: file.to_owned(), json }))
                })
            }
            (_, _, _) => {
                let text = "needs exactly one of `secret`, `secret_file` and `jwks_file`: what \
                            its tokens are verified with";
                self.refuse(place, "identity.issuer", text);
                None
            }
        }
    }
}

const TENANT: &str = "must be 1 to 32 of a-z, 0-9 and -";
/// Most of anything that a tenant can be allowed.
const COUNT_MAX: u32 = 1_000_000;

fn read_jwks(path: PathBuf) -> Result<String, Refusal> {
    use std::io::Read;
    let shown = path.display().to_string();
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(JWKS_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|why| Refusal(format!("{shown} cannot be read: {why}")))?;
    if read as u64 > JWKS_BYTES_MAX {
        return Err(Refusal(format!("{shown} is larger than {JWKS_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn issuer_name(text: &str) -> Result<String, Refusal> {
    if text == OWN_ISSUER {
        return Err(Refusal(format!(
            "is the name of this daemon's own tokens; have your backend write another `iss`, such \
             as \"https://id.example.org\", and name it here: {OWN_ISSUER:?} is reserved"
        )));
    }
    not_empty(text)
}

fn not_empty(text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Refusal(format!(
            "must have 1 to {NAME_BYTES_MAX} bytes without control characters, exactly as in the \
             token"
        )));
    }
    Ok(text.to_owned())
}

const NAME_BYTES_MAX: usize = 256;

/// RFC 7518 §3.2: a key of HS256 is not shorter than its hash.
fn long_enough(secret: Secret<String>) -> Result<Secret<String>, Refusal> {
    let found = secret.expose().len();
    if found < TOKEN_SECRET_BYTES_MIN {
        return Err(Refusal(format!(
            "must be at least {TOKEN_SECRET_BYTES_MIN} bytes long to sign tokens with HS256, found \
             {found}; make a good one with: openssl rand -hex 32"
        )));
    }
    Ok(secret)
}
