//! `turnbell load`: puts load on a server of one's own, and says how it bears it.

mod relay;
mod ws;

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::load::relay::Scenario;

#[derive(Debug, Args)]
#[command(after_help = "\
Without a login the clients' credentials are made of the secret of the config here, so that on the server's
machine `turnbell load data` is all there is to type. Any TURN server can be tried, with --user or --secret.

Examples:
  turnbell load data --clients 100 --rate 20000     how late is what 400 calls send?
  turnbell load login --clients 1000                how many logins a second?
  turnbell load data --help                         all that can be asked")]
pub(super) struct Load {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Datagrams through the relay: how many, how late, how many lost
    Data(relay::Data),
    /// Binding requests: how many are answered
    #[command(after_help = "\
turnbell answers no more than `shield.answers_per_source` of them a second; --print-config says what to raise.

Examples:
  turnbell load stun --pid $(pidof turnbell)
  turnbell load stun --rate 100 --url stun:127.0.0.1")]
    Stun(relay::Paced),
    /// Clients that log in: 401, allocation, permission, channel
    #[command(after_help = "\
Each client logs in once: refused with 401, then an allocation, a permission and a channel. Their allocations
are given back at the end.

Example:
  turnbell load login --clients 1000 --window 64 --pid $(pidof turnbell)")]
    Login(relay::Paced),
    /// Allocations and nothing else
    #[command(
        after_help = "Example:\n  turnbell load allocate --clients 10000 --pid $(pidof turnbell)"
    )]
    Allocate(relay::Paced),
    /// Allocations that come and go
    #[command(after_help = "\
Each client is refused with 401, allocates, gives it back, and comes again from another port. What is refused
is counted by its code.

Example:
  turnbell load churn --clients 64 --seconds 30 --pid $(pidof turnbell)")]
    Churn(relay::Paced),
    /// Clients that are in and send nothing: the memory of each
    Idle(relay::Idle),
    /// Signaling: sessions and calls over WebSocket
    Ws(ws::Ws),
}

impl Load {
    /// `config` is read only if the server's own key or secret is needed.
    pub(super) fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        match self.what {
            What::Data(data) => data.run(config),
            What::Stun(paced) => paced.run(Scenario::Stun, config),
            What::Login(paced) => paced.run(Scenario::Login, config),
            What::Allocate(paced) => paced.run(Scenario::Allocate, config),
            What::Churn(paced) => paced.run(Scenario::Churn, config),
            What::Idle(idle) => idle.run(config),
            What::Ws(ws) => ws.run(config),
        }
    }
}
