//! `turnbell load ws`: load on signaling.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, value_parser};

use crate::auth::identity::TenantId;
use crate::cli::ask::Format;
use crate::cli::{table, token};
use crate::config::Config;
use crate::limits::call::SUBSCRIBED_USERS_MAX;
use crate::limits::load::{
    LOAD_RATE_MAX, LOAD_SECONDS_MAX, LOAD_SESSION_RATE_MAX, LOAD_SESSIONS_MAX,
    LOAD_SIGNAL_BYTES_MAX,
};
use crate::load::ws::{self, Options, Scenario, Watching};
use crate::load::{Report, Signer, Target};

#[derive(Debug, Args)]
#[command(after_help = "\
Every message has a time at which it should be sent, and latency counts from there: a server that
stalls is charged for all that should have been sent meanwhile. Run it on another core, or another
machine, than the server; what this program is late itself stands in the table.
The clients' tokens are signed with the key in the state directory (run it as its owner, on the
server), or with the secret of an issuer that the server's config names.

Examples:
  turnbell load ws idle --sessions 10000 --pid $(pidof turnbell)
  turnbell load ws signals --calls 250 --rate 5000
  turnbell load ws ring --print-config          the quotas to raise before
  turnbell load ws abuse --url wss://turn.example.org/v1/ws --i-own-this-server")]
pub(super) struct Ws {
    #[command(subcommand)]
    scenario: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Sessions that say nothing: the memory of each
    Idle(Idle),
    /// Calls whose two sides send signals: how long each takes
    Signals(Signals),
    /// Calls that ring on many devices: how soon the others are silent when one answers
    Ring(Ring),
    /// Calls beside a slow reader and a flooder: what they notice
    Abuse(Abuse),
    /// Sessions that come back after a restart, which is yours to make when it says so
    Restart(Restart),
}

#[derive(Debug, Args)]
struct Idle {
    /// How many
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=LOAD_SESSIONS_MAX as i64))]
    sessions: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Signals {
    /// Calls, of two sessions each
    #[arg(long, default_value_t = 250, value_parser = value_parser!(u32).range(1..=LOAD_SESSIONS_MAX as i64 / 2))]
    calls: u32,
    /// Signals a second, of all together
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u32).range(1..=LOAD_RATE_MAX as i64))]
    rate: u32,
    /// Bytes of each
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u32).range(32..=LOAD_SIGNAL_BYTES_MAX as i64))]
    bytes: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Ring {
    /// Calls a second
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Devices of each callee
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(2..=32))]
    devices: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Abuse {
    /// Calls of the others, of two sessions each
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u32).range(1..=LOAD_SESSIONS_MAX as i64 / 3))]
    calls: u32,
    /// Signals a second, of all of them
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..=LOAD_RATE_MAX as i64))]
    rate: u32,
    /// Requests a second of the flooder
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u32).range(1..=LOAD_RATE_MAX as i64))]
    flood: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Restart {
    /// How many
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=LOAD_SESSIONS_MAX as i64))]
    sessions: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// WebSocket of the server
    #[arg(long, default_value = "ws://127.0.0.1:8080/v1/ws")]
    url: String,
    /// The server is not this machine, and it is yours
    #[arg(long)]
    i_own_this_server: bool,
    /// How long the load is on; of a restart, how long it is waited for
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=LOAD_SECONDS_MAX))]
    seconds: u64,
    /// Of which tenant the clients are
    #[arg(long, default_value = "default")]
    tenant: String,
    /// How many others each client watches
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(0..=SUBSCRIBED_USERS_MAX as i64))]
    contacts: u32,
    /// Each client watches all that are there, as the page at / does
    #[arg(long, conflicts_with = "contacts")]
    everybody: bool,
    /// Process of the server, if it is on this machine: its memory and CPU
    #[arg(long)]
    pid: Option<u32>,
    /// Issuer of the server's config whose tokens the clients show [default: the server itself]
    #[arg(long, requires = "secret_file")]
    issuer: Option<String>,
    /// File with the issuer's secret
    #[arg(long, requires = "issuer", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Audience of the issuer's tokens
    #[arg(long, requires = "issuer")]
    audience: Option<String>,
    /// Authorities for wss://, PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Only print what the server's config needs for it
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    format: Format,
}

impl Ws {
    /// `config` is read only if the server's own key is needed.
    pub(super) fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        let (scenario, common) = self.scenario.read();
        let Some(tenant) = TenantId::new(&common.tenant) else {
            bail!("--tenant {:?} has 1 to 32 of a-z, 0-9 and -", common.tenant);
        };
        let needs = scenario.needs(&tenant);
        if common.print_config {
            return crate::cli::print(&needs);
        }
        may_be_sent(scenario)?;
        let is_json = common.format.is_json();
        let target = Target::new(&common.url, common.i_own_this_server, common.ca.as_deref())?;
        crate::cli::note(&format!("the server's config needs:\n{}", needs.trim_end()));
        let options = Options {
            target,
            length: Duration::from_secs(common.seconds),
            watching: match common.everybody {
                true => Watching::Everybody,
                false => Watching::Contacts(common.contacts),
            },
            pid: common.pid,
            signer: common.signer(tenant, config)?,
        };
        let report = ws::run(scenario, options, &|line| crate::cli::note(line))?;
        crate::cli::print(&match is_json {
            true => format!("{}\n", serde_json::json!({"load": report})),
            false => as_table(&report),
        })
    }
}

impl Common {
    fn signer(
        self,
        tenant: TenantId,
        config: impl FnOnce() -> anyhow::Result<Config>,
    ) -> anyhow::Result<Signer> {
        match (self.issuer, self.secret_file) {
            (Some(issuer), Some(file)) => Ok(Signer::issuer(issuer, self.audience, &file, tenant)?),
            (None, _) | (_, None) => Ok(Signer::own(token::signing_key(&config()?)?, tenant)),
        }
    }
}

impl Kind {
    fn read(self) -> (Scenario, Common) {
        match self {
            Self::Idle(Idle { sessions, common }) => (Scenario::Idle { sessions }, common),
            Self::Signals(Signals { calls, rate, bytes, common }) => {
                (Scenario::Signals { calls, rate, bytes }, common)
            }
            Self::Ring(Ring { rate, devices, common }) => {
                (Scenario::Ring { rate, devices }, common)
            }
            Self::Abuse(Abuse { calls, rate, flood, common }) => {
                (Scenario::Abuse { calls, rate, flood }, common)
            }
            Self::Restart(Restart { sessions, common }) => (Scenario::Restart { sessions }, common),
        }
    }
}

/// The server lets no session say more than it does.
fn may_be_sent(scenario: Scenario) -> anyhow::Result<()> {
    match scenario {
        Scenario::Signals { calls, rate, .. } | Scenario::Abuse { calls, rate, .. }
            if rate > 2 * calls * LOAD_SESSION_RATE_MAX =>
        {
            let wanted = rate.div_ceil(2 * LOAD_SESSION_RATE_MAX);
            bail!(
                "a session may send {LOAD_SESSION_RATE_MAX} signals a second here, and {calls} calls \
                 have two each: --rate {rate} needs --calls {wanted}"
            );
        }
        Scenario::Ring { .. } if scenario.sessions() > LOAD_SESSIONS_MAX => {
            bail!(
                "{} sessions are too many, at most {LOAD_SESSIONS_MAX}: lower --rate or --devices",
                scenario.sessions()
            );
        }
        Scenario::Signals { .. }
        | Scenario::Abuse { .. }
        | Scenario::Idle { .. }
        | Scenario::Ring { .. }
        | Scenario::Restart { .. } => Ok(()),
    }
}

fn as_table(report: &Report) -> String {
    let rows: Vec<Vec<String>> =
        report.rows().into_iter().map(|(name, value)| vec![name, value]).collect();
    table::table(&["WHAT", "FOUND"], &rows)
}
