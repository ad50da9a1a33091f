//! `turnbell key`: API keys for GET /ice. A key is shown once and stored as a hash.

use clap::{Args, Subcommand};

use super::record::{IfMissing, Record};
use super::table;
use crate::auth::api_key::{self, ApiKeyHash};
use crate::auth::secret::{hex, random_bytes};
use crate::config::Config;
use crate::limits::TEXT_BYTES_MAX;
use crate::store::KeyRow;
use crate::time::Now;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key; it is shown this once
    Add {
        /// What it is for, such as the name of a website; unique among active keys
        #[arg(value_parser = name)]
        name: String,
    },
    /// List all keys, revoked ones too
    List,
    /// Revoke a key: requests with it are refused from then on
    Revoke {
        /// Its id or its name
        #[arg(value_name = "ID|NAME")]
        id_or_name: String,
    },
}

impl Key {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        super::print(&self.command.answer(config)?)
    }
}

impl KeyCommand {
    /// Does it, and says what was done.
    fn answer(self, config: &Config) -> anyhow::Result<String> {
        match self {
            Self::Add { name } => add(config, name),
            Self::List => Ok(listed(&Record::reach(config, IfMissing::Fail)?.keys()?)),
            Self::Revoke { id_or_name } => {
                if !Record::reach(config, IfMissing::Fail)?.revoke_key(&id_or_name)? {
                    anyhow::bail!(
                        "no active key has the id or name {id_or_name:?}; `turnbell key list` \
                         shows them"
                    );
                }
                Ok(format!("revoked {id_or_name}\n"))
            }
        }
    }
}

fn add(config: &Config, name: String) -> anyhow::Result<String> {
    let text = api_key::generate()?;
    let row = KeyRow {
        id: format!("k{}", hex(&random_bytes::<4>()?)),
        name,
        hash: ApiKeyHash::of(text.expose()),
        created_at_unix_ms: Now::read().unix_ms,
        revoked_at_unix_ms: None,
    };
    let (id, name) = (row.id.clone(), row.name.clone());
    Record::reach(config, IfMissing::Make)?.add_key(row)?;
    Ok(added(config, &id, &name, text.expose()))
}

fn added(config: &Config, id: &str, name: &str, key: &str) -> String {
    let mut text = format!("Key {name:?} ({id}). Keep it: only its hash is stored.\n\n  {key}\n");
    if let Some(at) = config.http.listen.first() {
        let host =
            if at.ip().is_unspecified() { "localhost".to_owned() } else { at.ip().to_string() };
        let host = if at.is_ipv6() && host.contains(':') { format!("[{host}]") } else { host };
        text.push_str(&format!(
            "\nTry it while turnbell runs:\n\n  curl -H 'Authorization: Bearer {key}' \
             'http://{host}:{}/ice?user=alice'\n",
            at.port()
        ));
    }
    text
}

fn listed(keys: &[KeyRow]) -> String {
    if keys.is_empty() {
        return "no keys; `turnbell key add NAME` makes one\n".to_owned();
    }
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let revoked = key.revoked_at_unix_ms.map_or_else(|| "active".to_owned(), table::time);
            vec![key.id.clone(), key.name.clone(), table::time(key.created_at_unix_ms), revoked]
        })
        .collect();
    table::table(&["ID", "NAME", "CREATED (UTC)", "REVOKED (UTC)"], &rows)
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!("must have 1 to {TEXT_BYTES_MAX} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_with_their_state_and_never_with_their_hash() {
        let key = |id: &str, revoked| KeyRow {
            id: id.to_owned(),
            name: "web\nsite".to_owned(),
            hash: ApiKeyHash([0xab; 32]),
            created_at_unix_ms: 0,
            revoked_at_unix_ms: revoked,
        };
        let text = listed(&[key("k1", None), key("k2", Some(60_000))]);
        assert_eq!(
            text,
            "ID  NAME       CREATED (UTC)        REVOKED (UTC)\n\
             k1  web\\nsite  1970-01-01 00:00:00  active\n\
             k2  web\\nsite  1970-01-01 00:00:00  1970-01-01 00:01:00\n"
        );
        assert!(listed(&[]).contains("`turnbell key add NAME`"));
    }

    #[test]
    fn a_new_key_comes_with_a_command_to_try_it() {
        let mut config = Config::embedded();
        let text = added(&config, "k1", "site", "tbk_x");
        assert!(text.contains("'http://127.0.0.1:8080/ice?user=alice'"), "{text}");
        config.http.listen = vec!["[::1]:81".parse().unwrap()];
        assert!(added(&config, "k1", "site", "tbk_x").contains("http://[::1]:81/ice"));
        config.http.listen = vec!["[::]:81".parse().unwrap()];
        assert!(added(&config, "k1", "site", "tbk_x").contains("http://localhost:81/ice"));
        config.http.listen.clear();
        assert!(!added(&config, "k1", "site", "tbk_x").contains("curl"));
    }

    #[test]
    fn a_key_that_was_added_is_listed_and_can_be_revoked_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::embedded();
        config.state_directory = directory.path().join("state");
        let run = |command: KeyCommand| command.answer(&config);
        let error = run(KeyCommand::List).unwrap_err().to_string();
        assert!(error.contains("there is no record in"), "{error}");
        let made = run(KeyCommand::Add { name: "site".to_owned() }).unwrap();
        assert!(made.contains("tbk_"), "{made}");
        assert!(run(KeyCommand::Add { name: "site".to_owned() }).is_err());
        let list = run(KeyCommand::List).unwrap();
        assert!(list.lines().count() == 2 && list.trim_end().ends_with("active"), "{list}");
        let revoke = || run(KeyCommand::Revoke { id_or_name: "site".to_owned() });
        revoke().unwrap();
        assert!(revoke().unwrap_err().to_string().contains("no active key"));
    }

    #[test]
    fn a_name_has_1_to_128_bytes() {
        assert!(name(&"x".repeat(128)).is_ok());
        assert!(name(&"x".repeat(129)).is_err() && name("").is_err() && name("a\n").is_err());
    }
}
