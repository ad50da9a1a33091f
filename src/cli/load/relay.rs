//! `turnbell load data`, `stun`, `login`, `allocate`, `churn` and `idle`: load on the relay.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum, value_parser};

use crate::auth::secret::Secret;
use crate::cli::ask::{Format, issuing_secret};
use crate::cli::table;
use crate::config::Config;
use crate::limits::load::{
    LOAD_BURST_BYTES_MAX, LOAD_BURST_MAX, LOAD_CLIENTS_MAX, LOAD_DATAGRAM_BYTES_MAX,
    LOAD_DATAGRAM_BYTES_MIN, LOAD_RELAY_RATE_MAX, LOAD_SECONDS_MAX, LOAD_WINDOW_MAX,
};
use crate::load::relay::{self, Direction, Options, Pace, RelayReport, Scenario, Server};

#[derive(Debug, Args)]
#[command(after_help = "\
Every datagram carries its number, its time and letters that belong to it alone; what is changed, mixed up
or sent to the wrong one counts as corrupted. The peer is this program, too: with --peer at another of this
machine's addresses. turnbell lets nobody reach private peers; --print-config says what to allow for a test.

Without --rate the line is kept full with --window datagrams under way: how much can it carry? With --rate
each has a time at which it should be sent, and latency counts from there: how late is it at that load? From
about 500 a second on this keeps a core busy, to be on time. Run it on another core than the server's.

Examples:
  turnbell load data --clients 100 --rate 20000 --pid $(pidof turnbell)
  turnbell load data --direction to-client --size 1200 --burst 8      video, as a sender makes it
  turnbell load data --pair --indications                             Firefox to Firefox, both relayed
  turnbell load data --url 'turn:127.0.0.1:3478?transport=tcp' --user alice:wonderland-17
  turnbell load data --url turns:turn.example.org --secret-file s --i-own-this-server --json

Exit code 1 if it could not be done, or nothing of what was sent arrived.")]
pub(super) struct Data {
    /// Which way
    #[arg(long, value_enum, default_value_t = Way::Both, conflicts_with = "pair")]
    direction: Way,
    /// Each client sends to its neighbour's relayed address, and there is no other peer
    #[arg(long)]
    pair: bool,
    /// Send and Data indications in place of channels
    #[arg(long)]
    indications: bool,
    /// Bytes of each datagram: 160 is audio, 1200 video
    #[arg(long, default_value_t = 160, value_parser = value_parser!(u32).range(LOAD_DATAGRAM_BYTES_MIN as i64..=LOAD_DATAGRAM_BYTES_MAX as i64))]
    size: u32,
    /// Datagrams of one client that leave at once, in one send of the kernel (UDP_SEGMENT)
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=LOAD_BURST_MAX as i64))]
    burst: u32,
    /// Datagrams a second, all together [default: as fast as --window allows]
    #[arg(long, value_parser = value_parser!(u32).range(1..=LOAD_RELAY_RATE_MAX as i64))]
    rate: Option<u32>,
    /// Datagrams under way at the same time
    #[arg(long, default_value_t = 128, conflicts_with = "rate", value_parser = value_parser!(u32).range(1..=LOAD_WINDOW_MAX as i64))]
    window: u32,
    #[command(flatten)]
    common: Common,
}

/// Of what is done again and again, beside relaying.
#[derive(Debug, Args)]
pub(super) struct Paced {
    #[command(flatten)]
    pace: Paces,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  turnbell load idle --clients 10000 --seconds 60 --pid $(pidof turnbell)"
)]
pub(super) struct Idle {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Paces {
    /// How many a second [default: as fast as --window allows]
    #[arg(long, value_parser = value_parser!(u32).range(1..=LOAD_RELAY_RATE_MAX as i64))]
    rate: Option<u32>,
    /// How many at the same time
    #[arg(long, default_value_t = 64, conflicts_with = "rate", value_parser = value_parser!(u32).range(1..=LOAD_WINDOW_MAX as i64))]
    window: u32,
}

#[derive(Debug, Args)]
struct Common {
    /// The server: turn:HOST:PORT, with ?transport=tcp, or turns:HOST:PORT
    #[arg(long, default_value = "turn:127.0.0.1:3478")]
    url: String,
    /// The server is not this machine, and it is yours
    #[arg(long)]
    i_own_this_server: bool,
    /// How many; an even number with --pair
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(1..=LOAD_CLIENTS_MAX as i64))]
    clients: u32,
    /// How long it is measured
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=LOAD_SECONDS_MAX))]
    seconds: u64,
    /// A static account that all clients use
    #[arg(long, value_name = "NAME:PASSWORD")]
    user: Option<String>,
    /// The server's shared secret; others on this machine may see it, --secret-file is safer
    #[arg(long, conflicts_with_all = ["user", "secret_file"])]
    secret: Option<String>,
    /// A file with the shared secret in its first line [default: the secret of the config here]
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    secret_file: Option<PathBuf>,
    /// Address of this machine for the peer [default: that from which the server is reached]
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// Process of the server, if it is on this machine: its memory and CPU
    #[arg(long)]
    pid: Option<u32>,
    /// Authorities for turns:, PEM [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Only print what turnbell's config needs for it
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    ToPeer,
    ToClient,
    Both,
}

impl Data {
    pub(super) fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        let Self { direction, pair, indications, size, burst, rate, window, common } = self;
        let whole = (size as usize + INDICATION_BYTES) * burst as usize;
        if whole > LOAD_BURST_BYTES_MAX {
            let most = LOAD_BURST_BYTES_MAX / (size as usize + INDICATION_BYTES);
            bail!("--burst {burst} is too much for one send of {size} bytes each: at most {most}");
        }
        if rate.is_none() && window < burst {
            bail!("--burst {burst} does not fit in --window {window}");
        }
        if pair && !common.clients.is_multiple_of(2) {
            bail!("--pair needs an even number of --clients");
        }
        let data = relay::Data {
            direction: match direction {
                Way::ToPeer => Direction::ToPeer,
                Way::ToClient => Direction::ToClient,
                Way::Both => Direction::Both,
            },
            indications,
            is_pair: pair,
            bytes: size as usize,
            burst,
            pace: pace(rate, window),
        };
        common.run(Scenario::Data(data), config)
    }
}

/// Around the data of a Send indication to an IPv6 peer.
const INDICATION_BYTES: usize = 20 + 24 + 4 + 3;

impl Paced {
    pub(super) fn run(
        self,
        what: fn(Pace) -> Scenario,
        config: impl FnOnce() -> anyhow::Result<Config>,
    ) -> anyhow::Result<()> {
        self.common.run(what(pace(self.pace.rate, self.pace.window)), config)
    }
}

impl Idle {
    pub(super) fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<()> {
        self.common.run(Scenario::Idle, config)
    }
}

fn pace(rate: Option<u32>, window: u32) -> Pace {
    rate.map_or(Pace::Window(window), Pace::Rate)
}

impl Common {
    fn run(
        self,
        scenario: Scenario,
        config: impl FnOnce() -> anyhow::Result<Config>,
    ) -> anyhow::Result<()> {
        let server = Server::new(&self.url, self.i_own_this_server, self.ca.as_deref())?;
        let (clients, length) = (self.clients, Duration::from_secs(self.seconds));
        let (peer, pid, is_json) = (self.peer, self.pid, self.format.is_json());
        let is_asked_for_config = self.print_config;
        let needs_login = !matches!(scenario, Scenario::Stun(_)) && !is_asked_for_config;
        let login = match needs_login {
            true => self.login(config)?,
            false => relay::Login::Secret(Secret::new(String::new())),
        };
        let options = Options { server, login, clients, length, peer, pid };
        if is_asked_for_config {
            return crate::cli::print(&relay::needs(scenario, &options));
        }
        let is_terminal = std::io::stderr().is_terminal();
        let report = relay::run(scenario, &options, &|line| say(line, is_terminal), &|_| {});
        if is_terminal {
            say("", true);
        }
        let report = report?;
        crate::cli::print(&match is_json {
            true => format!("{}\n", serde_json::json!({"load": report})),
            false => as_table(&report),
        })?;
        if !report.has_arrived() {
            bail!(
                "nothing of what was sent came to its end: is the server's way to {} open?",
                options.peer_ip()
            );
        }
        Ok(())
    }

    fn login(
        self,
        config: impl FnOnce() -> anyhow::Result<Config>,
    ) -> anyhow::Result<relay::Login> {
        if let Some(user) = self.user {
            let Some((name, password)) = user.split_once(':') else {
                bail!("--user must be NAME:PASSWORD");
            };
            let (name, password) = (name.to_owned(), Secret::new(password.to_owned()));
            return Ok(relay::Login::Account { name, password });
        }
        let secret = match (self.secret, self.secret_file) {
            (Some(secret), _) => Secret::new(secret),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(&file).map(Secret::new);
                let text = text.with_context(|| file.display().to_string())?;
                let first = text.expose().lines().map(str::trim).find(|line| !line.is_empty());
                let Some(first) = first else { bail!("{}: no secret is in it", file.display()) };
                Secret::new(first.to_owned())
            }
            (None, None) => issuing_secret(&config()?)
                .context("no --user, --secret or --secret-file, and the config here has none")?,
        };
        Ok(relay::Login::Secret(secret))
    }
}

/// On a terminal one line that changes, elsewhere one line after the other.
fn say(line: &str, is_terminal: bool) {
    if is_terminal {
        // Nobody is left to tell if it is closed.
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
    } else {
        crate::cli::note(line);
    }
}

fn as_table(report: &RelayReport) -> String {
    let rows: Vec<Vec<String>> =
        report.rows().into_iter().map(|(name, value)| vec![name, value]).collect();
    table::table(&["WHAT", "FOUND"], &rows)
}
