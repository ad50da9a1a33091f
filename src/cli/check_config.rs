//! `turnbell check-config`: what would be open, and everything that is wrong.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;

use clap::Args;

use super::banner::Banner;
use super::plan::Plan;
use crate::config::Config;
use crate::ops::interfaces;
use crate::ops::port_holder::{Protocol, bind_failure};

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is started or changed. Ports are tried; one that is taken is only warned about, because the
daemon that holds it may be the one to be replaced.

Examples:
  turnbell check-config
  turnbell check-config --config /etc/turnbell/turnbell.toml

Exit code 1 if turnbell would refuse to start with it.")]
pub(super) struct CheckConfig {}

impl CheckConfig {
    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        let config = super::find(named)?;
        let mut plan = Plan::of(&config, &interfaces::all()?)?;
        plan.warnings.extend(taken_ports(&config));
        let facts = Banner {
            config: &config,
            listeners: &config.listen,
            http: &config.http.listen,
            relay: &plan.relay,
            warnings: &plan.warnings,
        }
        .facts();
        super::print(&format!(
            "The configuration is good. It means:\n\n{facts}  {}\n",
            auth(&config)
        ))
    }
}

/// Who may allocate, in one line.
fn auth(config: &Config) -> String {
    let count = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let secrets = match config.auth.secrets.len() {
        0 => {
            let file = config.state_directory.join(crate::ops::state_directory::SECRET_FILE);
            format!("the secret in {} (made at first start)", file.display())
        }
        several => count(several, "shared secret"),
    };
    format!("auth      {secrets}, {}", count(config.auth.users.len(), "static account"))
}

/// Tries every port for a moment.
fn taken_ports(config: &Config) -> Vec<String> {
    let udp = |at: &SocketAddr| {
        let error = UdpSocket::bind(at).err()?;
        Some(bind_failure(Protocol::Udp, *at, "listen", &error))
    };
    let tcp = |at: &SocketAddr| {
        let error = TcpListener::bind(at).err()?;
        Some(bind_failure(Protocol::Tcp, *at, "http.listen", &error))
    };
    // A v6 wildcard of std takes v4, too; the daemon's does not, so each is tried alone.
    config.listen.iter().filter_map(udp).chain(config.http.listen.iter().filter_map(tcp)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_its_setting() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = Config::embedded();
        config.listen = vec![socket.local_addr().unwrap()];
        config.http.listen = Vec::new();
        let warnings = taken_ports(&config);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("set \"listen\" in turnbell.toml"), "{warnings:?}");
        drop(socket);
        assert_eq!(taken_ports(&config), Vec::<String>::new());
    }

    #[test]
    fn the_line_about_credentials_counts_what_is_active() {
        let parse = |text: &str| Config::parse("turnbell.toml".as_ref(), text).unwrap();
        let line = auth(&parse("state_directory = \"/s\"\n[auth]\nusers = [\"a:k7Q2z9xw\"]"));
        assert_eq!(
            line,
            "auth      the secret in /s/secret (made at first start), 1 static account"
        );
        let line = auth(&parse("[auth]\nsecrets = [\"0f1e2d3c4b5a69788796\"]"));
        assert_eq!(line, "auth      1 shared secret, 0 static accounts");
    }
}
