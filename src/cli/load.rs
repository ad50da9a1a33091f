//! `turnbell load`: puts load on a server of one's own, and says how it bears it.

mod relay;
mod ws;

use clap::{Args, Subcommand};

use crate::config::Config;

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
    Stun(relay::Stun),
    /// Clients that log in: 401, allocation, permission, channel
    Login(relay::Login),
    /// Allocations and nothing else
    Allocate(relay::Allocate),
    /// Allocations that come and go
    Churn(relay::Churn),
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
            What::Stun(stun) => stun.run(config),
            What::Login(login) => login.run(config),
            What::Allocate(allocate) => allocate.run(config),
            What::Churn(churn) => churn.run(config),
            What::Idle(idle) => idle.run(config),
            What::Ws(ws) => ws.run(config),
        }
    }
}
