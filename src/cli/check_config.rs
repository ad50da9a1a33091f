//! `turnbell check-config`: what would be open, and everything that is wrong.

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;

use super::banner::Banner;
use crate::config::{Config, secrets};
use crate::daemon::{Plan, bind_tcp, has_ipv6, parts, small_buffer};
use crate::ops::interfaces::{self, InterfaceAddress};
use crate::ops::kernel::Kernel;
use crate::ops::port_holder::{Protocol, bind_failure};
use crate::ops::relay_choice::RelayAddress;
use crate::ops::state_directory::SECRET_FILE;
use crate::plane::udp::Listener;
use crate::time::Now;

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is started or changed. Ports are tried for a moment; one that is taken is only warned about,
because the program that holds it may be the one to be replaced.

Examples:
  turnbell check-config
  turnbell check-config --config /etc/turnbell/turnbell.toml

Exit code 1 if turnbell would refuse to start with it.")]
pub(super) struct CheckConfig {}

impl CheckConfig {
    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        super::print(&meaning(&super::find(named)?)?)
    }
}

/// What a config means on this machine.
fn meaning(config: &Config) -> anyhow::Result<String> {
    let here = interfaces::all()?;
    let mut plan = Plan::of(config, &here)?;
    plan.warnings.extend(generated_secret(config)?);
    plan.warnings.extend(taken_ports(config, &here));
    plan.warnings.extend(missing_turns(config, &plan.relay)?);
    plan.warnings.extend(parts::too_small(config, &Kernel::read()));
    // A socket of its own: the configured ones may be held by the daemon that runs.
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
    plan.warnings.extend(listener.ok().as_ref().and_then(small_buffer));
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
        warnings: &plan.warnings,
    };
    Ok(format!("The configuration is good. It means:\n\n{}", banner.facts()))
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

/// Reads the certificate as the daemon would, and says why no `turns:` URL would be handed out.
fn missing_turns(config: &Config, relay: &[RelayAddress]) -> anyhow::Result<Option<String>> {
    let Some(certificates) = parts::certificates(config)? else { return Ok(None) };
    let listeners = parts::relay_listeners(&[], &[], &config.listen_tls);
    let urls = parts::url_sources(config, relay, listeners, Some(certificates));
    Ok(urls.turns_problem(Now::read()))
}

/// Tries every port for a moment, as the daemon binds it.
fn taken_ports(config: &Config, here: &[InterfaceAddress]) -> Vec<String> {
    let has_ipv6 = has_ipv6(here);
    let udp = |at: &SocketAddr| {
        if at.is_ipv6() && !has_ipv6 {
            return Some(format!("this machine has no IPv6: {at} would not be listened on"));
        }
        let error = Listener::bind(*at).err()?;
        Some(bind_failure(Protocol::Udp, *at, "listen", &error))
    };
    let door = |key: &'static str| {
        move |at: &SocketAddr| {
            let error = bind_tcp(*at).err().filter(|_| at.is_ipv4() || has_ipv6)?;
            Some(bind_failure(Protocol::Tcp, *at, key, &error))
        }
    };
    let http = |at: &SocketAddr| {
        let error = bind_tcp(*at).err()?;
        Some(bind_failure(Protocol::Tcp, *at, "http.listen", &error))
    };
    let taken = config.listen.iter().filter_map(udp);
    let taken = taken.chain(config.listen_tcp.iter().filter_map(door("listen_tcp")));
    let taken = taken.chain(config.listen_tls.iter().filter_map(door("listen_tls")));
    let own = config.http.listen.iter().filter(|at| !config.is_shared(**at));
    taken.chain(own.filter_map(http)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

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
    fn a_good_config_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let text = meaning(&config(directory.path())).unwrap();
        assert!(text.contains("127.0.0.1, `relay_addresses` names it (lo)"), "{text}");
        assert!(text.contains("relay address 127.0.0.1 is loopback"), "{text}");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_its_setting() {
        let directory = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = config(directory.path());
        config.listen = vec![socket.local_addr().unwrap()];
        let warnings = taken_ports(&config, &[]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("set \"listen\" in turnbell.toml"), "{warnings:?}");
        drop(socket);
        assert_eq!(taken_ports(&config, &[]), Vec::<String>::new());
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
}
