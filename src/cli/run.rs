//! `turnbell run`: the daemon in the foreground.

use std::path::Path;

use clap::Args;

use crate::config::Config;
use crate::ops;

#[derive(Debug, Args, Default)]
#[command(after_help = "\
Without any config file this starts a relay to try out: STUN and TURN on UDP 3478, relayed ports
49152-65535, HTTP on http://localhost:8080/, state in ./turnbell-data.

Stop it with Ctrl-C or SIGTERM: the end of every allocation is recorded first.
On a server, scripts/install sets it up as a systemd service.")]
pub(super) struct Run {}

impl Run {
    pub(super) fn run(self, named: Option<&Path>) -> anyhow::Result<()> {
        let config = super::find(named)?;
        ops::log::start(config.log.level);
        start(config)
    }
}

/// Hands over to the daemon, which returns when it has stopped in order.
fn start(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("the daemon is not part of this build")
}
