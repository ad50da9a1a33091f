//! API keys: made, listed and revoked, in the running daemon at once and on record.

use super::commands::{Commands, failed, wrong};
use super::control_json::Response;
use super::json::ErrorWord;
use super::key_json::{Key, KeyOpens, KeyWanted};
use crate::auth::api_key::{self, ApiKeyHash, KeyGrant, KeyScope};
use crate::auth::identity::TenantId;
use crate::auth::secret::{Secret, hex, random_bytes};
use crate::limits::identity::{KEY_ORIGIN_BYTES_MAX, KEY_ORIGINS_MAX};
use crate::store::KeyRow;
use crate::time::Now;

/// A key that was made: its text is nowhere else.
pub(super) struct MadeKey {
    pub(super) id: String,
    pub(super) key: Secret<String>,
    pub(super) hash: ApiKeyHash,
}

impl Commands {
    pub(super) fn add_key(&self, now: Now, wanted: KeyWanted) -> Result<Response, ErrorWord> {
        let grant = self.grant(&wanted)?;
        let name = wanted.name;
        if name.chars().any(char::is_control) {
            return Err(wrong("name", "a key's name has no control characters"));
        }
        let opens = KeyOpens::from(&grant);
        let MadeKey { id, key, hash: _ } =
            self.make_key(now, api_key::PREFIX, |_| name.clone(), grant)?;
        Ok(Response::KeyAdded { id, name, key: key.expose().clone(), opens })
    }

    /// Makes a key that is good from here on; `named` makes its name of its id.
    pub(super) fn make_key(
        &self,
        now: Now,
        prefix: &str,
        named: impl FnOnce(&str) -> String,
        grant: KeyGrant,
    ) -> Result<MadeKey, ErrorWord> {
        let no_entropy = |_| failed("internal", "the kernel gives no random bytes");
        let key = api_key::generate(prefix).map_err(no_entropy)?;
        let id = format!("k{}", hex(&random_bytes::<5>().map_err(no_entropy)?));
        let hash = ApiKeyHash::of(key.expose());
        self.store.add_key(KeyRow {
            id: id.clone(),
            name: named(&id),
            hash,
            grant: grant.clone(),
            created_at_unix_ms: now.unix_ms,
            revoked_at_unix_ms: None,
        })?;
        if let Some(daemon) = &self.daemon {
            daemon.keys.forget_ended(now);
            let inserted = daemon.keys.insert(hash, &id, grant);
            inserted.map_err(|full| failed("keys_full", full.to_string()))?;
        }
        Ok(MadeKey { id, key, hash })
    }

    fn grant(&self, wanted: &KeyWanted) -> Result<KeyGrant, ErrorWord> {
        let mut scopes = Vec::new();
        for word in &wanted.scopes {
            let scope = KeyScope::from_code(word).ok_or_else(|| {
                let all: Vec<_> = KeyScope::ALL.iter().map(|scope| scope.code()).collect();
                wrong("scopes", format!("a scope is one of {}", all.join(", ")))
            })?;
            scopes.push(scope);
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            scopes.push(KeyScope::Ice);
        }
        let is_known = |id: &TenantId| {
            let identity = self.identity.as_ref().map(|identity| identity());
            identity.is_none_or(|identity| identity.known_tenant(id.as_str()).is_some())
        };
        let tenant = wanted.tenant.as_deref().map(|text| {
            TenantId::new(text).filter(is_known).ok_or_else(|| {
                wrong("tenant", "there is no such tenant; add a table [tenant.<id>] to the config")
            })
        });
        if wanted.origins.len() > KEY_ORIGINS_MAX {
            return Err(wrong("origins", format!("a key has at most {KEY_ORIGINS_MAX} origins")));
        }
        // What a browser writes was checked where it was typed.
        let is_plain = |origin: &&String| {
            origin.len() <= KEY_ORIGIN_BYTES_MAX
                && origin.contains("://")
                && origin.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !wanted.origins.iter().all(|origin| is_plain(&origin)) {
            let form = "an origin is what a browser sends, such as https://app.example.org";
            return Err(wrong("origins", form));
        }
        let mut origins: Vec<Box<str>> =
            wanted.origins.iter().map(|origin| origin.as_str().into()).collect();
        origins.sort_unstable();
        origins.dedup();
        Ok(KeyGrant { scopes, tenant: tenant.transpose()?, origins, ends_at_unix_ms: None })
    }

    /// Those that ended by themselves are not shown: the next one that is made takes their room.
    pub(super) fn keys(&self, now: Now) -> Result<Response, ErrorWord> {
        let keys = self.store.keys()?.into_iter().filter(|key| !key.grant.has_ended(now));
        Ok(Response::Keys(keys.map(Key::from).collect()))
    }

    /// The daemon refuses the key from here on even if the record cannot be written.
    pub(super) fn revoke_key(&self, now: Now, wanted: &str) -> Result<Response, ErrorWord> {
        let hash = ApiKeyHash::of(wanted);
        let keys = self.store.keys()?;
        let is_active =
            |key: &&KeyRow| key.revoked_at_unix_ms.is_none() && !key.grant.has_ended(now);
        let active = || keys.iter().filter(is_active);
        let Some(key) = active()
            .find(|key| key.id == wanted)
            .or_else(|| active().find(|key| key.name == wanted || key.hash == hash))
        else {
            let why = failed("no_such_key", "no active key has this id, name or text");
            return Err(ErrorWord { hint: Some("`turnbell key list` shows them".into()), ..why });
        };
        let in_memory = self.daemon.as_ref().is_some_and(|daemon| daemon.keys.remove(key.hash));
        match self.store.revoke_key(&key.id, now) {
            Ok(_) => Ok(Response::KeyRevoked { id: key.id.clone(), name: key.name.clone() }),
            Err(why) if in_memory => Err(failed(
                "not_recorded",
                format!("refused from here on, but a restart would let it in again: {why}"),
            )),
            Err(why) => Err(why.into()),
        }
    }
}
