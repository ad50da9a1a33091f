//! `turnbell run`: the daemon in the foreground.

use std::path::{Path, PathBuf};

use clap::Args;

use super::banner::Banner;
use super::import_coturn::database;
use crate::config::coturn::Wanted;
use crate::config::{Config, LogFormat};
use crate::daemon::live::log_report;
use crate::daemon::{Daemon, Opened};
use crate::ops::{log, systemd};

#[derive(Debug, Args, Default)]
#[command(after_help = "\
Without any config file this starts a relay to try out: STUN and TURN on UDP 3478, relayed ports
49152-65535, HTTP on http://localhost:8080/, state in ./turnbell-data.

Stop it with Ctrl-C or SIGTERM: the end of every allocation is recorded first.
On a server, scripts/install sets it up as a systemd service.")]
pub(super) struct Run {
    /// Run straight from coturn's file; what becomes of each option stands in the log
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    coturn_config: Option<PathBuf>,
    /// What stands behind `turnserver` in its unit or container
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    coturn_args: Option<String>,
    /// coturn's user database: a file, a URL, or "none" [default: the one its file names]
    #[arg(long, value_name = "FILE|URL")]
    turndb: Option<String>,
}

impl Run {
    /// What is to be read of coturn's, if anything is.
    fn wanted(&self) -> Option<Wanted> {
        if self.coturn_config.is_none() && self.coturn_args.is_none() {
            return None;
        }
        Some(Wanted {
            file: self.coturn_config.clone(),
            arguments: self.coturn_args.clone(),
            database: database(self.turndb.as_deref()),
        })
    }

    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        let config = match self.wanted() {
            None => {
                let config = super::find(named)?;
                log::start(config.log.level, format(config.log.format));
                config
            }
            Some(wanted) => {
                let (config, report) = Config::of_coturn(&wanted)?;
                log::start(config.log.level, format(config.log.format));
                log_report(&report);
                config
            }
        };
        let mut daemon = Daemon::start(config.clone())?;
        announce(&config, daemon.opened())?;
        let ended = daemon.wait();
        systemd::stopping();
        let stopped = daemon.stop();
        // What ended it explains what came of the stop.
        ended.and(stopped)?;
        tracing::info!("stopped in order");
        Ok(())
    }
}

fn format(format: LogFormat) -> log::Format {
    match format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
        LogFormat::Journald => log::Format::Journald,
    }
}

/// Tells people and the service manager what is open. A journal gets records with priorities, a
/// terminal or a file the banner.
fn announce(config: &Config, opened: &Opened) -> anyhow::Result<()> {
    let is_for_people = config.log.format == LogFormat::Text;
    if log::goes_to_the_journal() || !is_for_people {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = ?opened.udp, listen_tcp = ?opened.tcp, listen_tls = ?opened.tls, http = ?opened.http, "up");
        for relay in &opened.relay_addresses {
            tracing::info!("{relay}");
        }
        for warning in &opened.warnings {
            tracing::warn!("{warning}");
        }
    } else {
        let banner = Banner {
            config,
            listeners: &opened.udp,
            tcp: &opened.tcp,
            tls: &opened.tls,
            https: &opened.https,
            http: &opened.http,
            relay: &opened.relay_addresses,
            warnings: &opened.warnings,
        };
        super::print(&banner.started())?;
    }
    let relay: Vec<String> =
        opened.relay_addresses.iter().map(|relay| relay.advertised.to_string()).collect();
    systemd::ready(&format!("relaying on {}", relay.join(", ")));
    Ok(())
}
