//! `turnbell credential`: one time-limited credential, issued by hand.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::record::{IfMissing, Record};
use super::table;
use crate::auth::credential::{Issued, User, issue};
use crate::auth::secret::Secret;
use crate::config::{Config, Host, parse_ttl, secrets};
use crate::daemon::Plan;
use crate::ops::interfaces;
use crate::ops::state_directory::SECRET_FILE;
use crate::store::{Entry, IssuedBy};
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
The credential is made from the secret alone, as any coturn-style backend makes it: username
\"<expiry>:<user>\", password base64(HMAC-SHA1(secret, username)). The daemon need not run.

Examples:
  turnbell credential
  turnbell credential --user alice --ttl 1h")]
pub(super) struct Credential {
    /// Name after the expiry, 1 to 128 bytes without '/' and '~' [default: a random one]
    #[arg(long, value_parser = |text: &str| User::parse(text))]
    user: Option<User>,
    /// How long it is good: 60s to 24h [default: `ttl` in [ice]]
    #[arg(long, value_parser = parse_ttl)]
    ttl: Option<Duration>,
}

impl Credential {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let secret = issuing_secret(config)?;
        let user = self.user.map_or_else(User::random, Ok)?;
        let ttl = self.ttl.unwrap_or(config.ice.ttl);
        let now = Now::read();
        let ttl_s = u32::try_from(ttl.as_secs()).context("a ttl is at most a day")?;
        let issued = issue(&secret, &user, now.unix_s() + i64::from(ttl_s));
        let server = server(config, &Plan::of(config, &interfaces::all()?)?);
        super::print(&shown(&issued, ttl, &server))?;
        // Not having it on record costs nobody the credential.
        if let Ok(record) = Record::reach(config, IfMissing::Fail) {
            let _ = record.note(Entry::CredentialIssued {
                at_unix_ms: now.unix_ms,
                user: user.as_str().to_owned(),
                username: issued.username,
                expires_at: issued.expires_at,
                ttl_s,
                by: IssuedBy::Command,
                client: None,
            });
        }
        Ok(())
    }
}

/// The secret that issues: the first of the config, else the one in the state directory.
fn issuing_secret(config: &Config) -> anyhow::Result<Secret<String>> {
    if let Some(first) = config.auth.secrets.first() {
        return Ok(first.clone());
    }
    let path = config.state_directory.join(SECRET_FILE);
    if matches!(path.try_exists(), Ok(false)) {
        bail!(
            "there is no secret yet: start turnbell once to have one made in {}, or write \
             `secrets` in [auth]",
            path.display()
        );
    }
    let read = secrets::read_file(&path).map_err(|why| {
        anyhow::anyhow!("{why}; run the command as root, or as the user the daemon runs as")
    })?;
    read.secrets.into_iter().next().context("a secret file holds a secret")
}

/// Where clients reach the relay.
struct Server {
    /// Name or address, bare.
    host: String,
    port: u16,
}

impl Server {
    fn url(&self) -> String {
        let host = &self.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        format!("turn:{host}:{}?transport=udp", self.port)
    }
}

fn server(config: &Config, plan: &Plan) -> Server {
    if let Some(advertise) = config.advertise.first() {
        let host = match &advertise.host {
            Host::Name(name) => name.clone(),
            Host::Address(address) => address.to_string(),
        };
        let port = advertise.port.unwrap_or_else(|| port_for(config, None));
        return Server { host, port };
    }
    let address = plan.relay.first().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |a| a.advertised);
    Server { host: address.to_string(), port: port_for(config, Some(address)) }
}

/// The port of the listener that answers on `address`, else of the first.
fn port_for(config: &Config, address: Option<IpAddr>) -> u16 {
    let answers = |at: &&SocketAddr| {
        address.is_some_and(|address| {
            at.ip() == address || at.ip().is_unspecified() && at.is_ipv4() == address.is_ipv4()
        })
    };
    let found = config.listen.iter().find(answers).or_else(|| config.listen.first());
    found.map_or(3478, SocketAddr::port)
}

fn shown(issued: &Issued, ttl: Duration, server: &Server) -> String {
    let credential = issued.credential.expose();
    let text = |text: &str| serde_json::Value::from(text);
    let ice = format!(
        "{{\"iceServers\":[{{\"urls\":[{}],\"username\":{},\"credential\":{}}}]}}",
        text(&server.url()),
        text(&issued.username),
        text(credential),
    );
    format!(
        "username    {}\ncredential  {credential}\nexpires     {} UTC, in {}\n\n\
         In a page:\n\n  new RTCPeerConnection({ice})\n\n\
         With coturn's test client, which then relays to itself:\n\n  \
         turnutils_uclient -y -u {} -w {} -p {} {}\n",
        issued.username,
        table::time(issued.expires_at * 1000),
        table::lasted(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)),
        quoted(&issued.username),
        quoted(credential),
        server.port,
        quoted(&server.host),
    )
}

/// A word for the shell, quoted where it must be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/=+@%,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::relay_choice::RelayAddress;

    fn config(text: &str) -> Config {
        Config::parse("turnbell.toml".as_ref(), text).unwrap()
    }

    fn plan(address: &str) -> Plan {
        let advertised = address.parse().unwrap();
        let relay = vec![RelayAddress { bind: advertised, advertised, why: String::new() }];
        Plan { relay, warnings: Vec::new() }
    }

    #[test]
    fn a_credential_comes_ready_to_be_used() {
        let secret = Secret::new("0f1e2d3c4b5a69788796".to_owned());
        let issued = issue(&secret, &User::parse("o'neil").unwrap(), 60);
        let server = Server { host: "turn.example.org".to_owned(), port: 3478 };
        let text = shown(&issued, Duration::from_secs(3600), &server);
        assert!(text.contains("username    60:o'neil\n"), "{text}");
        assert!(text.contains("expires     1970-01-01 00:01:00 UTC, in 1h00m\n"), "{text}");
        assert!(text.contains(r#""urls":["turn:turn.example.org:3478?transport=udp"]"#), "{text}");
        assert!(text.contains(r"-u '60:o'\''neil' -w "), "{text}");
        assert!(text.ends_with("-p 3478 turn.example.org\n"), "{text}");
    }

    #[test]
    fn the_server_is_the_advertised_one_and_else_the_relay_address_with_its_listener() {
        let of = |text: &str, address: &str| server(&config(text), &plan(address)).url();
        assert_eq!(of("", "203.0.113.7"), "turn:203.0.113.7:3478?transport=udp");
        assert_eq!(of("", "2001:db8::7"), "turn:[2001:db8::7]:3478?transport=udp");
        let listen = "listen = [\"0.0.0.0:1\", \"[::]:2\"]\n";
        assert_eq!(of(listen, "2001:db8::7"), "turn:[2001:db8::7]:2?transport=udp");
        let named = format!("{listen}advertise = [\"turn.example.org\"]");
        assert_eq!(of(&named, "2001:db8::7"), "turn:turn.example.org:1?transport=udp");
        let named = format!("{listen}advertise = [\"turn.example.org:443\"]");
        assert_eq!(of(&named, "2001:db8::7"), "turn:turn.example.org:443?transport=udp");
    }

    #[test]
    fn the_first_secret_of_the_config_issues_and_else_the_one_that_was_made() {
        let directory = tempfile::tempdir().unwrap();
        let state = format!("state_directory = {:?}\n", directory.path());
        let error = issuing_secret(&config(&state)).unwrap_err().to_string();
        assert!(error.contains("there is no secret yet"), "{error}");
        let made = "a5b4c3d2e1f001234567";
        std::fs::write(directory.path().join("secret"), made).unwrap();
        assert_eq!(issuing_secret(&config(&state)).unwrap().expose(), made);
        let written = "0f1e2d3c4b5a69788796";
        let both = format!("{state}[auth]\nsecrets = [\"{written}\"]");
        assert_eq!(issuing_secret(&config(&both)).unwrap().expose(), written);
    }

    #[test]
    fn a_shell_gets_one_word() {
        assert_eq!(quoted("a:b=+/"), "a:b=+/");
        assert_eq!(quoted("a b;$(c)"), "'a b;$(c)'");
        assert_eq!(quoted("'"), "''\\'''");
        assert_eq!(quoted(""), "''");
    }
}
