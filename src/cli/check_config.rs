//! `turnbell check-config`: what would be open, what clients would be told, and everything that is
//! wrong; found out by trying it on this machine.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use serde_json::Value;

use super::ask::Format;
use super::banner::{Banner, wrapped};
use super::root_only::unreadable_for_the_service;
use crate::config::{Config, secrets};
use crate::daemon::jwks::{self, Tried};
use crate::daemon::trial::{self, Outcome, Taken, Try};
use crate::daemon::{ADDRESSES_FILE, parts, small_buffer};
use crate::edge::check_json::{Checked, KeysWord, RelayWord, TriedWord, UrlWord};
use crate::edge::control::{self, ControlError};
use crate::edge::control_json::Request;
use crate::edge::ice_urls::{Explained, UrlTransport};
use crate::limits::outside::RELAY_PORTS_FEW;
use crate::ops::interfaces;
use crate::ops::kernel::Kernel;
use crate::ops::port_holder::{Protocol, holder};
use crate::ops::state_directory::{CONTROL_SOCKET, SECRET_FILE};
use crate::plane::udp::Listener;
use crate::time::Now;
use crate::wire::address::Family;

#[derive(Debug, Args)]
#[command(after_help = "\
A relay is made from the file for a moment, on the configured addresses (at another port where the
configured one is taken), and two clients call each other through every listener: Binding, Allocate,
a permission, a datagram there and back. STUN servers of `external_stun` are asked, and keys fetched
from each `jwks_url`. No record, secret
or file is written, and a turnbell that runs does not notice.

Examples:
  turnbell check-config
  turnbell check-config --config /etc/turnbell/turnbell.toml
  turnbell check-config --config new.toml --json

Exit code 1 if something would not work: a file that cannot be meant, a port that another program
holds, a certificate that does not cover the advertised name or that the service cannot read, a client
that finds no way.")]
pub(super) struct CheckConfig {
    #[command(flatten)]
    format: Format,
}

impl CheckConfig {
    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        let config = super::find(named)?;
        let (checked, facts) = check(&config)?;
        if self.format.is_json() {
            super::print(&format!("{}\n", serde_json::to_string(&checked)?))?;
        } else {
            super::print(&shown(&checked, &facts))?;
        }
        match checked.problems.len() {
            0 => Ok(()),
            1 => anyhow::bail!("{}", checked.problems[0]),
            count => anyhow::bail!("{count} things would not work; see the list above"),
        }
    }
}

/// What a config means on this machine: for programs, and the first lines for a person.
pub(super) fn check(config: &Config) -> anyhow::Result<(Checked, String)> {
    let here = interfaces::all()?;
    let certificates = parts::certificates(config)?;
    let of_secret = generated_secret(config)?;
    let Outcome { plan, tries, taken } = trial::run(config, &here, certificates.clone())?;
    let listeners = parts::relay_listeners(&config.listen, &config.listen_tcp, &config.listen_tls);
    let urls = parts::url_sources(config, &plan.relay, listeners, certificates);
    let now = Now::read();

    let running = Running::on(config);
    let (ours, others): (Vec<&Taken>, Vec<&Taken>) =
        taken.iter().partition(|taken| running.holds(taken));
    let mut problems: Vec<String> = others.iter().map(|taken| taken.why.clone()).collect();
    problems.extend(tries.iter().filter_map(problem));
    problems.extend(urls.turns_problem(now));
    problems.extend(unreadable_for_the_service(config));
    let keys = jwks::try_once(config)?;
    problems.extend(keys.iter().filter_map(|tried| tried.keys.clone().err()));
    let mut warnings = plan.warnings.clone();
    warnings.extend(of_secret);
    warnings.extend(ours.iter().map(|taken| running.sentence(taken)));
    warnings.extend(few_ports(config));
    warnings.extend(parts::too_small(config, &Kernel::read()));
    // A socket of its own: the configured ones may be held by the daemon that runs.
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    warnings.extend(listener.ok().as_ref().and_then(small_buffer));

    let at_tls = |at: &SocketAddr| at.port() != 0 && config.listen_tls.contains(at);
    let (https, http): (Vec<_>, Vec<_>) = config.http.listen.iter().copied().partition(at_tls);
    let banner = Banner {
        config,
        listeners: &config.listen,
        tcp: &config.listen_tcp,
        tls: &config.listen_tls,
        http: &http,
        https: &https,
        relay: &plan.relay,
        warnings: &warnings,
    };
    let facts = banner.facts();
    let relay = plan.relay.iter().map(|relay| RelayWord {
        address: relay.bind.to_string(),
        told: relay.advertised.to_string(),
        told_by: relay.origin(),
        why: relay.why.clone(),
    });
    let checked = Checked {
        ok: problems.is_empty(),
        file: config.source.file().map(|path| path.display().to_string()),
        relay: relay.collect(),
        tried: tries.iter().map(tried).collect(),
        keys: keys.iter().map(keys_word).collect(),
        urls: urls.explain(now).into_iter().map(url).collect(),
        problems,
        warnings,
    };
    Ok((checked, facts))
}

/// For a person.
fn shown(checked: &Checked, facts: &str) -> String {
    let Checked { ok, tried, urls, keys, problems, file: _, relay: _, warnings: _ } = checked;
    let head = if *ok {
        "The configuration is good. It means:"
    } else {
        "The configuration can be read, but not all of it would work. It means:"
    };
    let mut text = format!("{head}\n\n{facts}\nTried on this machine, there and back:\n\n");
    for TriedWord { transport, listener, family, relayed, problem } in tried {
        let came = match (relayed, problem) {
            (Some(relayed), _) => format!("a client is told {relayed}"),
            (None, problem) => format!("FAILS: {}", problem.as_deref().unwrap_or("no answer")),
        };
        let way = format!("{} {listener}", transport.to_uppercase());
        let _ = writeln!(text, "  {way:<28}{family}  {came}");
    }
    text.push_str("\nGET /ice hands out, to somebody elsewhere:\n\n");
    for UrlWord { transport, url, why } in urls {
        let what = match url {
            Some(url) => url.clone(),
            None => format!("nothing over {}", transport.to_uppercase()),
        };
        text.push_str(&wrapped("  ", "    ", &format!("{what}: {why}")));
    }
    if !keys.is_empty() {
        text.push_str("\nKeys of issuers, fetched once:\n\n");
    }
    for KeysWord { issuer, url, keys } in keys {
        let came = keys.map_or_else(|| "none".to_owned(), |keys| keys.to_string());
        text.push_str(&wrapped("  ", "    ", &format!("{issuer}: {came}, from {url}")));
    }
    if !problems.is_empty() {
        text.push_str("\nWhat would not work:\n\n");
    }
    for problem in problems {
        text.push_str(&wrapped("  ! ", "    ", problem));
    }
    text
}

fn tried(tried: &Try) -> TriedWord {
    let Try { transport, listener, family, relayed } = tried;
    TriedWord {
        transport: transport.code().to_owned(),
        listener: listener.to_string(),
        family: family_word(*family),
        relayed: relayed.as_ref().ok().map(ToString::to_string),
        problem: relayed.as_ref().err().map(ToString::to_string),
    }
}

fn keys_word(tried: &Tried) -> KeysWord {
    let Tried { issuer, url, keys } = tried;
    let keys = keys.as_ref().ok().copied();
    KeysWord { issuer: issuer.clone(), url: url.clone(), keys }
}

fn problem(tried: &Try) -> Option<String> {
    let Try { transport, listener, family, relayed } = tried;
    let fault = relayed.as_ref().err()?;
    let (transport, family) = (transport.code().to_uppercase(), family_word(*family));
    Some(format!("a client that comes to {listener} over {transport} and wants {family}: {fault}"))
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

fn url(explained: Explained) -> UrlWord {
    let Explained { transport, url, why } = explained;
    let transport = match transport {
        UrlTransport::Udp => "udp",
        UrlTransport::Tcp => "tcp",
        UrlTransport::Tls => "tls",
    };
    UrlWord { transport, url, why }
}

fn few_ports(config: &Config) -> Option<String> {
    let count = config.relay_ports.len();
    (count < RELAY_PORTS_FEW).then(|| {
        format!(
            "relay_ports has {count} ports: each allocation takes one, and a browser makes several \
             for a call"
        )
    })
}

/// The daemon that runs on the same state directory, if there is one: its ports are where they
/// should be.
struct Running {
    /// What it has open, protocol by protocol.
    addresses: Value,
}

impl Running {
    fn on(config: &Config) -> Self {
        let socket = config.state_directory.join(CONTROL_SOCKET);
        let is_running = match control::call(&socket, &Request::Status {}) {
            Ok(_) => true,
            Err(ControlError::NotRunning(_)) => false,
            // It may be there and not for us; then its ports are somebody else's.
            Err(_) => false,
        };
        let file = config.state_directory.join(ADDRESSES_FILE);
        let text = is_running.then(|| std::fs::read_to_string(file).ok()).flatten();
        let addresses = text.and_then(|text| serde_json::from_str(&text).ok());
        Self { addresses: addresses.unwrap_or(Value::Null) }
    }

    fn holds(&self, taken: &Taken) -> bool {
        let at = taken.at.to_string();
        let lists = match taken.protocol {
            Protocol::Udp => &["udp"][..],
            Protocol::Tcp => &["tcp", "tls", "http", "https"][..],
        };
        let is_there = |list: &&str| {
            let list = self.addresses.get(*list).and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|entry| entry.as_str() == Some(&at)))
        };
        lists.iter().any(is_there)
    }

    fn sentence(&self, taken: &Taken) -> String {
        let Taken { protocol, at, why: _ } = taken;
        let by = holder(*protocol, *at);
        let by =
            by.map_or_else(|| "turnbell".to_owned(), |by| format!("turnbell (pid {})", by.pid));
        format!(
            "{protocol} port {} on {} is held by {by}, which runs on this state directory; another \
             port was tried in its place",
            at.port(),
            at.ip()
        )
    }
}

/// Reads the secret in the state directory, if it is needed and has been made.
fn generated_secret(config: &Config) -> anyhow::Result<Option<String>> {
    let path = config.state_directory.join(SECRET_FILE);
    if !config.auth.secrets.is_empty() {
        return Ok(None);
    }
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) => {
            return Ok(Some(format!(
                "{} is not looked at: {error}; run this as root, or as the user turnbell runs as",
                path.display()
            )));
        }
    }
    secrets::read_file(&path).map(|read| read.warning).map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names no port of the machine and no state.
    fn config(directory: &Path) -> Config {
        let mut config = Config::embedded();
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.listen_tcp = Vec::new();
        config.http.listen = Vec::new();
        config.relay_addresses = vec!["127.0.0.1".parse().unwrap()];
        config.state_directory = directory.to_owned();
        config
    }

    #[test]
    fn a_secret_in_the_state_directory_is_looked_at_if_it_is_the_one_used() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        assert_eq!(generated_secret(&config).unwrap(), None);
        std::fs::write(directory.path().join(SECRET_FILE), "changeme\n").unwrap();
        let error = generated_secret(&config).unwrap_err().to_string();
        assert!(error.contains("secret:1: is a well-known sample"), "{error}");
        let written = crate::auth::secret::generate_shared_secret().unwrap();
        config.auth.secrets = vec![written];
        assert_eq!(generated_secret(&config).unwrap(), None);
    }

    #[test]
    fn a_range_of_few_ports_is_warned_about() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        config.relay_ports = 50_000..=50_099;
        assert_eq!(few_ports(&config), None);
        config.relay_ports = 50_000..=50_098;
        assert!(few_ports(&config).unwrap().starts_with("relay_ports has 99 ports"));
    }
}
