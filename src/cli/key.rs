//! `turnbell key`: API keys for GET /ice. A key is shown once and stored as a hash.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::ask::{Format, Question};
use super::table;
use crate::config::Config;
use crate::edge::control_json::{Key as KeyRow, Request};

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
A key belongs to one server of yours, which hands ICE configs on to its users; a page must not hold
one. Changes count at once, without a restart.

Examples:
  turnbell key add website
  turnbell key list
  turnbell key revoke website"
)]
pub(super) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key; it is shown this once
    Add {
        /// What it is for, such as the name of a website; unique among active keys
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// List all keys, revoked ones too
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Revoke a key: requests with it are refused from then on
    Revoke {
        /// Its id, its name, or the key itself where it has leaked
        #[arg(value_name = "ID|NAME|KEY")]
        key: String,
        #[command(flatten)]
        format: Format,
    },
}

impl Key {
    pub(super) fn question(self) -> Question {
        let (request, format) = match self.command {
            KeyCommand::Add { name, format } => (Request::KeyAdd { name }, format),
            KeyCommand::List { format } => (Request::KeyList {}, format),
            KeyCommand::Revoke { key, format } => (Request::KeyRevoke { key }, format),
        };
        Question { request, format }
    }
}

pub(super) fn added(config: &Config, id: &str, name: &str, key: &str) -> String {
    let mut text = format!("Key {name:?} ({id}). Keep it: only its hash is stored.\n\n  {key}\n");
    // Which port 0 becomes is not in the config.
    if let Some(at) = config.http.listen.iter().find(|at| at.port() != 0) {
        let host = match at.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        text.push_str(&format!(
            "\nTry it while turnbell runs:\n\n  curl -H 'Authorization: Bearer {key}' \
             'http://{host}:{}{}/ice?user=alice'\n",
            at.port(),
            config.http.base_path
        ));
    }
    text
}

pub(super) fn listed(keys: &[KeyRow]) -> String {
    if keys.is_empty() {
        return "no keys; `turnbell key add NAME` makes one\n".to_owned();
    }
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let revoked = key.revoked_at.map_or_else(|| "active".to_owned(), table::time);
            vec![key.id.clone(), key.name.clone(), table::time(key.created_at), revoked]
        })
        .collect();
    table::table(&["ID", "NAME", "CREATED (UTC)", "REVOKED (UTC)"], &rows)
}

pub(super) fn revoked(id: &str, name: &str) -> String {
    format!("Key {name:?} ({id}) is revoked.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_with_their_state() {
        let key = |id: &str, revoked_at| KeyRow {
            id: id.to_owned(),
            name: "web\nsite".to_owned(),
            created_at: 0,
            revoked_at,
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
        let mut text = |listen: &[&str]| {
            config.http.listen = listen.iter().map(|at| at.parse().unwrap()).collect();
            added(&config, "k1", "site", "tbk_x")
        };
        let embedded = text(&["127.0.0.1:8080"]);
        assert!(embedded.contains("'http://127.0.0.1:8080/ice?user=alice'"), "{embedded}");
        assert!(text(&["[::1]:81"]).contains("http://[::1]:81/ice"));
        assert!(text(&["[::]:81"]).contains("http://localhost:81/ice"));
        config.http.base_path = "/turnbell".to_owned();
        let mut text = |listen: &[&str]| {
            config.http.listen = listen.iter().map(|at| at.parse().unwrap()).collect();
            added(&config, "k1", "site", "tbk_x")
        };
        assert!(text(&["[::1]:81"]).contains("http://[::1]:81/turnbell/ice"));
        assert!(!text(&[]).contains("curl"));
        assert!(!text(&["127.0.0.1:0"]).contains("curl"));
    }
}
