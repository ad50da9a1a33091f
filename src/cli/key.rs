//! `turnbell key`: API keys for servers, each with what it opens. A key is shown once and stored as a hash.

use std::net::IpAddr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::ask::{Format, Question};
use super::table;
use crate::auth::api_key::KeyScope;
use crate::config::{Config, origin_of_pages};
use crate::edge::control_json::Request;
use crate::edge::key_json::{Key as KeyRow, KeyOpens, KeyWanted};
use crate::ops::log::printable;

#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
A key belongs to one server of yours; a page must not hold one, unless --origin names the page. It
opens what its scopes say: ice asks for ICE configs, calls ends calls and makes invites, log reads
calls, /metrics and health, verify verifies from a page, admin does all of this and revokes users.
Changes count at once. Links of `turnbell verify --link` are keys, too; they end by themselves.

Examples:
  turnbell key add website                             ICE configs, which it hands on to its users
  turnbell key add backend --scope ice,calls --tenant acme
  turnbell key add grafana --scope log
  turnbell key add page --origin https://app.example.org
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
        /// What it opens; several with commas [default: ice]
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', value_parser = scopes())]
        scopes: Vec<String>,
        /// The one tenant it is for [default: all of them]
        #[arg(long)]
        tenant: Option<String>,
        /// Pages that may use it, and nobody else then; may be repeated
        #[arg(long = "origin", value_name = "ORIGIN", value_parser = origin_of_pages)]
        origins: Vec<String>,
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
            KeyCommand::Add { name, scopes, tenant, origins, format } => {
                (Request::KeyAdd(KeyWanted { name, scopes, tenant, origins }), format)
            }
            KeyCommand::List { format } => (Request::KeyList {}, format),
            KeyCommand::Revoke { key, format } => (Request::KeyRevoke { key }, format),
        };
        Question { request, format }
    }
}

fn scopes() -> PossibleValuesParser {
    PossibleValuesParser::new(KeyScope::ALL.iter().map(|scope| scope.code()))
}

pub(super) fn added(config: &Config, id: &str, name: &str, key: &str, opens: &KeyOpens) -> String {
    let of = opens.tenant.as_ref().map_or_else(
        || "of every tenant".to_owned(),
        |tenant| format!("of tenant {}", printable(tenant)),
    );
    let mut text = format!(
        "Key {name:?} ({id}) opens {} {of}. Keep it: only its hash is stored.\n\n  {key}\n",
        opens.scopes.join(", ")
    );
    if !opens.origins.is_empty() {
        text.push_str(&format!("\nOnly for pages of {}.\n", opens.origins.join(", ")));
        return text;
    }
    let opens = |scope: KeyScope| opens.scopes.iter().any(|own| own == scope.code());
    let path = if opens(KeyScope::Ice) || opens(KeyScope::Admin) {
        "ice?user=alice"
    } else if opens(KeyScope::Log) {
        "v1/calls"
    } else {
        return text;
    };
    // Which port 0 becomes is not in the config.
    if let Some(at) = config.http.listen.iter().find(|at| at.port() != 0) {
        let host = match at.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        text.push_str(&format!(
            "\nTry it while turnbell runs:\n\n  curl -H 'Authorization: Bearer {key}' \
             'http://{host}:{}{}/{path}'\n",
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
            let state = match (key.revoked_at, key.ends_at) {
                (Some(at), _) => table::time(at),
                (None, Some(at)) => format!("until {}", table::time(at)),
                (None, None) => "active".to_owned(),
            };
            let KeyOpens { scopes, tenant, origins } = &key.opens;
            vec![
                key.id.clone(),
                key.name.clone(),
                if scopes.is_empty() { "nothing".to_owned() } else { scopes.join(",") },
                tenant.clone().unwrap_or_else(|| "all".to_owned()),
                if origins.is_empty() { "servers".to_owned() } else { origins.join(" ") },
                table::time(key.created_at),
                state,
            ]
        })
        .collect();
    let head = ["ID", "NAME", "OPENS", "TENANT", "FOR", "CREATED (UTC)", "REVOKED (UTC)"];
    table::table(&head, &rows)
}

pub(super) fn revoked(id: &str, name: &str) -> String {
    format!("Key {name:?} ({id}) is revoked.\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_with_their_state() {
        let key = |id: &str, revoked_at: Option<i64>| KeyRow {
            id: id.to_owned(),
            name: "web\nsite".to_owned(),
            opens: KeyOpens {
                scopes: vec!["ice".to_owned(), "calls".to_owned()],
                tenant: revoked_at.map(|_| "acme".to_owned()),
                origins: revoked_at.iter().map(|_| "https://a".to_owned()).collect(),
            },
            created_at: 0,
            ends_at: revoked_at.map(|at| at + 1),
            revoked_at,
        };
        let text = listed(&[key("k1", None), key("k2", Some(60_000))]);
        assert_eq!(
            text,
            "ID  NAME       OPENS      TENANT  FOR        CREATED (UTC)        REVOKED (UTC)\n\
             k1  web\\nsite  ice,calls  all     servers    1970-01-01 00:00:00  active\n\
             k2  web\\nsite  ice,calls  acme    https://a  1970-01-01 00:00:00  1970-01-01 00:01:00\n"
        );
        let link = KeyRow { ends_at: Some(0), ..key("k3", None) };
        assert!(listed(&[link]).ends_with("  until 1970-01-01 00:00:00\n"));
        assert!(listed(&[]).contains("`turnbell key add NAME`"));
    }

    fn opens(scopes: &[&str]) -> KeyOpens {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        KeyOpens { scopes, ..KeyOpens::default() }
    }

    #[test]
    fn a_new_key_says_what_it_opens_and_for_whom() {
        let mut config = Config::embedded();
        config.http.listen = vec!["127.0.0.1:8080".parse().unwrap()];
        let text = |opens: &KeyOpens| added(&config, "k1", "site", "tbk_x", opens);
        let log = text(&opens(&["log"]));
        assert!(
            log.contains("opens log of every tenant") && log.contains("8080/v1/calls'"),
            "{log}"
        );
        let calls = KeyOpens { tenant: Some("acme".to_owned()), ..opens(&["calls"]) };
        let calls = text(&calls);
        assert!(calls.contains("opens calls of tenant acme") && !calls.contains("curl"), "{calls}");
        let page = KeyOpens { origins: vec!["https://a".to_owned()], ..opens(&["ice"]) };
        let page = text(&page);
        assert!(page.contains("Only for pages of https://a.") && !page.contains("curl"), "{page}");
    }

    #[test]
    fn a_new_key_comes_with_a_command_to_try_it() {
        let mut config = Config::embedded();
        let mut text = |listen: &[&str]| {
            config.http.listen = listen.iter().map(|at| at.parse().unwrap()).collect();
            added(&config, "k1", "site", "tbk_x", &opens(&["ice"]))
        };
        let embedded = text(&["127.0.0.1:8080"]);
        assert!(embedded.contains("'http://127.0.0.1:8080/ice?user=alice'"), "{embedded}");
        assert!(text(&["[::1]:81"]).contains("http://[::1]:81/ice"));
        assert!(text(&["[::]:81"]).contains("http://localhost:81/ice"));
        config.http.base_path = "/turnbell".to_owned();
        let mut text = |listen: &[&str]| {
            config.http.listen = listen.iter().map(|at| at.parse().unwrap()).collect();
            added(&config, "k1", "site", "tbk_x", &opens(&["ice"]))
        };
        assert!(text(&["[::1]:81"]).contains("http://[::1]:81/turnbell/ice"));
        assert!(!text(&[]).contains("curl"));
        assert!(!text(&["127.0.0.1:0"]).contains("curl"));
    }
}
